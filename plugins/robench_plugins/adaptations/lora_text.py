"""Low-rank adapters in the text tower."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from robench_plugins.adaptations.lora import LoRA, LoRAParams
from robench_plugins.adaptations.parts import find_part
from robench_plugins.adaptations.text_head import FromTexts, class_means, follow, settle


class LoRATextParams(LoRAParams):
    """Parameters of low-rank adapters in the text tower."""


class LoRAText(LoRA):
    """LoRA on the query, key and value projections of the text tower; the vision tower stays frozen.

    The class embeddings follow the text tower while it is trained. Afterwards the adapters are folded into it, so on
    other datasets the class prompts go through the tuned tower. A step costs a pass of all class prompts.

    Source: Hu et al., "LoRA: low-rank adaptation of large language models", ICLR 2022, section 4.1; Zanella and Ben
    Ayed, "Low-rank few-shot adaptation of vision-language models", CVPR 2024 workshops (CLIP-LoRA), adapt both towers.
    """

    Params = LoRATextParams
    params: LoRATextParams
    place = "text"

    def adapt(self, network: nn.Module, parts: Mapping[str, nn.Module]) -> None:
        """Freeze the network and add adapters to its text tower, drawn from torch's global random state.

        Raises:
            PluginError: The network has no text tower with these layers.
        """
        head, text = find_part(parts, "head"), find_part(parts, "text")
        prompts = self.setting.prompts
        tokens = self.setting.tokenize([prompt for group in prompts for prompt in group])
        tokens = tokens.to(head.weight.device)
        super().adapt(network, parts)

        def embeddings() -> Tensor:
            return class_means(text(tokens), [len(group) for group in prompts])

        self._head = head
        follow(head, FromTexts(embeddings, text.parameters()))

    def layers_by_role(self) -> Mapping[str, tuple[str, ...]]:
        """Return nothing: roles are known of vision towers, so a text tower's layers have transformers' names."""
        return {}

    def merge(self, network: nn.Module) -> None:
        """Fold the adapters into the text tower, and fix the class embeddings as they are."""
        super().merge(network)
        settle(self._head)
