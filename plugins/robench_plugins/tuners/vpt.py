"""Visual prompt tuning: learned tokens beside the patches of a frozen vision tower."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from robench import Field, PluginError, Tuner, TuningTask
from torch import Tensor, nn

from robench_plugins.losses.tecoa import tecoa
from robench_plugins.tuners.parts import freeze, image_text, vision_tower
from robench_plugins.tuners.training import AdversarialTrainingParams, train


class VPTParams(AdversarialTrainingParams):
    """Parameters of shallow prompts; the defaults are the study's."""

    lr: float = Field(default=1e-2, gt=0, description="learning rate of AdamW")
    tokens: int = Field(default=10, ge=1, description="number of prompt tokens")


class PromptedEmbeddings(nn.Module):
    """Embeddings of a vision transformer with learned tokens after its class token."""

    def __init__(self, embeddings: nn.Module, tokens: int, width: int, patch_size: int) -> None:
        super().__init__()
        self.embeddings = embeddings
        # Uniform within the bound of Jia et al. (their code, after Glorot): patch size and width set the scale.
        bound = math.sqrt(6 / (3 * patch_size**2 + width))
        self.prompt = nn.Parameter(torch.empty(1, tokens, width).uniform_(-bound, bound))

    def forward(self, *args: Tensor, **kwargs: bool) -> Tensor:
        """Return ``[CLS, prompt tokens, patches]``, ``(N, 1 + tokens + patches, width)``."""
        embedded: Tensor = self.embeddings(*args, **kwargs)
        prompt = self.prompt.expand(len(embedded), -1, -1)
        # CLS stays first: the tower pools position 0.
        return torch.cat([embedded[:, :1], prompt, embedded[:, 1:]], dim=1)


class VPT(Tuner):
    """Trains prompt tokens inserted once, before the first block, with the TeCoA loss.

    Source: Jia et al., "Visual prompt tuning", ECCV 2022, section 3.2 (VPT-shallow); loss of Mao et al., ICLR 2023.
    """

    Params = VPTParams
    params: VPTParams

    def adversary(self) -> str:
        """Return the attack that makes the training images."""
        return self.params.attack()

    def adapt(self, network: nn.Module, parts: Mapping[str, nn.Module]) -> None:
        """Freeze the network and insert the tokens.

        Raises:
            PluginError: It has no CLIP vision tower, or no text to compare with.
        """
        image_text(network)
        tower = vision_tower(parts)
        embeddings = getattr(tower, "embeddings", None)
        if not isinstance(embeddings, nn.Module):
            raise PluginError("tuner vpt finds no 'embeddings' module in the vision tower")
        freeze(network)
        config: Any = tower.config
        tower.embeddings = PromptedEmbeddings(embeddings, self.params.tokens, config.hidden_size, config.patch_size)

    def fit(self, task: TuningTask) -> list[dict[str, float]]:
        """Train the tokens."""
        network = image_text(task.network)

        def objective(clean: Tensor, adversarial: Tensor, labels: Tensor) -> Tensor:
            return tecoa(network, adversarial, labels)

        return train(task, self.params, objective)
