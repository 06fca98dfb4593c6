"""Low-rank adapters on the vision tower, trained with cross-entropy or TeCoA."""

from __future__ import annotations

from collections.abc import Mapping

from peft import LoraConfig, inject_adapter_in_model
from robench import Field, PluginError, Tuner, TuningTask
from torch import Tensor, nn

from robench_plugins.losses.cross_entropy import mixed_cross_entropy
from robench_plugins.losses.tecoa import tecoa
from robench_plugins.tuners.parts import freeze, image_text, vision_tower
from robench_plugins.tuners.training import AdversarialTrainingParams, train

TARGETS = ("q_proj", "k_proj", "v_proj")


class LoRAParams(AdversarialTrainingParams):
    """Parameters of the adapters; the defaults are the study's."""

    rank: int = Field(default=8, ge=1, description="rank r of each update")
    alpha: int = Field(default=32, ge=1, description="scale; updates are multiplied by alpha / r")
    dropout: float = Field(default=0.1, ge=0, lt=1, description="dropout before each adapter")


class LoRA(Tuner):
    """Adds ``(alpha / r) B A`` to the query, key and value projections of the vision tower, and trains A and B.

    Source: Hu et al., "LoRA: low-rank adaptation of large language models", ICLR 2022, section 4.1.
    """

    Params = LoRAParams
    params: LoRAParams

    def adversary(self) -> str:
        """Return the attack that makes the training images."""
        return self.params.attack()

    def adapt(self, network: nn.Module, parts: Mapping[str, nn.Module]) -> None:
        """Freeze the network and inject adapters into its vision tower.

        Raises:
            PluginError: It has no vision tower with query, key and value projections.
        """
        tower = vision_tower(parts)
        freeze(network)
        params = self.params
        config = LoraConfig(
            r=params.rank, lora_alpha=params.alpha, lora_dropout=params.dropout, target_modules=list(TARGETS)
        )
        try:
            inject_adapter_in_model(config, tower)
        except ValueError as error:
            raise PluginError(f"LoRA finds no {', '.join(TARGETS)} in the vision tower: {error}") from error


class LoRACrossEntropyParams(LoRAParams):
    """Parameters of LoRA-CE."""

    clean_weight: float = Field(default=0.5, ge=0, le=1, description="weight of the loss on clean images")


class LoRACrossEntropy(LoRA):
    """LoRA trained with the mean of clean and adversarial cross-entropy."""

    Params = LoRACrossEntropyParams
    params: LoRACrossEntropyParams

    def fit(self, task: TuningTask) -> list[dict[str, float]]:
        """Train the adapters."""

        def objective(clean: Tensor, adversarial: Tensor, labels: Tensor) -> Tensor:
            return mixed_cross_entropy(task.network, clean, adversarial, labels, clean_weight=self.params.clean_weight)

        return train(task, self.params, objective)


class TeCoA(LoRA):
    """LoRA trained with the text-guided contrastive loss on adversarial images alone.

    Source: Mao et al., "Understanding zero-shot adversarial robustness for large-scale models", ICLR 2023. The
    paper trains the whole vision tower on white-box examples (``adversary=white-box``); the study trains LoRA on
    transferred ones, which is the default here.
    """

    def adapt(self, network: nn.Module, parts: Mapping[str, nn.Module]) -> None:
        """Freeze the network and inject adapters; the network must compare images with text."""
        image_text(network)
        super().adapt(network, parts)

    def fit(self, task: TuningTask) -> list[dict[str, float]]:
        """Train the adapters."""
        network = image_text(task.network)

        def objective(clean: Tensor, adversarial: Tensor, labels: Tensor) -> Tensor:
            return tecoa(network, adversarial, labels)

        return train(task, self.params, objective)
