"""Low-rank adapters whose ranks share a budget during training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import torch
from peft import AdaLoraConfig, AdaLoraModel
from pydantic import model_validator
from robench import Field
from torch import Tensor, nn

from robench_plugins.adaptations.lora import LoRA, LoRAParams

IMPORTANCE = ("ipt", "exp_avg_ipt", "exp_avg_unc")
"""The state of peft's rank allocator."""


class AdaLoRAParams(LoRAParams):
    """Parameters of AdaLoRA."""

    rank: int = Field(default=8, ge=1, description="mean rank of the updates at the end")
    initial_rank: int | None = Field(
        default=None, ge=2, description="rank of each update at the start; 1.5 times rank if not given"
    )
    orthogonality: float = Field(default=0.1, ge=0, description="weight gamma of the orthogonality penalty")

    @model_validator(mode="after")
    def _budget_shrinks(self) -> Self:
        if self.start_rank <= self.rank:
            raise ValueError(
                f"initial_rank={self.initial_rank} leaves nothing to prune; expected more than rank={self.rank}"
            )
        return self

    @property
    def start_rank(self) -> int:
        """The rank at the start."""
        return -(-3 * self.rank // 2) if self.initial_rank is None else self.initial_rank


class AdaLoRA(LoRA):
    """Adds ``(alpha / r) P diag(E) Q`` to the query, key and value projections of the vision tower.

    All three are trained. During training the least important singular values E of all layers are set to zero, until
    their mean number a layer is `rank`. E starts at zero, so that the network starts unchanged.

    Source: Zhang et al., "AdaLoRA: adaptive budget allocation for parameter-efficient fine-tuning", ICLR 2023,
    section 3. The budget is full in the first eighth of the steps and final in the last half, about as in the paper's
    appendix for GLUE; nothing is pruned if there is only one step. The penalty is the mean, not the sum, of unsquared
    Frobenius norms, as in the authors' code.
    """

    Params = AdaLoRAParams
    params: AdaLoRAParams
    method = AdaLoraModel

    def config(self, names: list[str]) -> Any:
        """Return peft's configuration; :meth:`begin` sets the lengths of the phases."""
        params = self.params
        return AdaLoraConfig(
            init_r=params.start_rank,
            target_r=params.rank,
            lora_alpha=params.alpha,
            lora_dropout=params.dropout,
            orth_reg_weight=params.orthogonality,
            target_modules=names,
            total_step=1,
        )

    def adapt(self, network: nn.Module, parts: Mapping[str, nn.Module]) -> None:
        """Freeze the network and add adapters to its vision tower, drawn from torch's global random state.

        Raises:
            PluginError: The network has no vision tower with these layers.
        """
        super().adapt(network, parts)
        for name, parameter in self.injected.model.named_parameters():
            if ".ranknum." in name:
                # A constant, which peft makes trainable when it moves it to the device of the tower.
                parameter.requires_grad_(False)

    def begin(self, network: nn.Module, n_steps: int) -> None:
        """Set the phases of the pruning."""
        (config,) = self.injected.peft_config.values()
        config.total_step, config.tinit, config.tfinal = n_steps, n_steps // 8, max(1, n_steps // 2)

    def state(self) -> dict[str, Any]:
        """Return the importance of each weight so far."""
        return {name: dict(getattr(self._allocator, name)) for name in IMPORTANCE}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over the importances."""
        device = next(self.injected.model.parameters()).device
        for name in IMPORTANCE:
            found = {key: value.to(device) for key, value in state[name].items()}
            setattr(self._allocator, name, found)

    @property
    def _allocator(self) -> Any:
        return self.injected.rankallocator

    def penalty(self, network: nn.Module) -> Tensor:
        """Return gamma times the mean distance of ``P^T P`` and ``Q Q^T`` from the identity."""
        distances = []
        for name, weight in self.injected.model.named_parameters():
            if ".lora_A." in name or ".lora_B." in name:
                gram = weight @ weight.T if ".lora_A." in name else weight.T @ weight
                distances.append(torch.linalg.norm(gram - torch.eye(len(gram), device=gram.device)))
        return self.params.orthogonality * torch.stack(distances).mean()

    def after_step(self, network: nn.Module, step: int) -> None:
        """Update the importances by this step's gradients, and prune to the budget of this step."""
        (config,) = self.injected.peft_config.values()
        if config.total_step > 1:
            self.injected.update_and_allocate(step)
