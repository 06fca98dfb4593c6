"""Several surrogates as one network, the mean of their logits, whose attacks transfer better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robench.contracts.context import RunContext
from robench.contracts.model import Model
from robench.contracts.params import Params
from robench.contracts.types import Component
from robench.errors import SpecError
from robench.registry.resolved import Resolved

if TYPE_CHECKING:
    from torch import nn


class EnsembleModel(Model):
    """Several models as one, whose logits are the mean of theirs.

    Source: Dong et al., "Boosting adversarial attacks with momentum", CVPR 2018 (arXiv:1710.06081), section 3.3. They
    find that attacks transfer better than with the mean of probabilities or losses.
    """

    def __init__(self, members: Sequence[Model]) -> None:
        super().__init__()
        self.members = members

    def build(self, context: RunContext) -> nn.Module:
        """Build every member.

        Raises:
            DataError: The weights of a member are missing, damaged, or do not fit the classes.
        """
        from robench.networks.ensemble import MeanLogits

        return MeanLogits([member.build(context) for member in self.members])


@dataclass(frozen=True, kw_only=True)
class Ensemble(Resolved):
    """Several models that act as one. Parameters as typed apply to every member."""

    members: tuple[Resolved, ...]

    @property
    def label(self) -> str:
        """The names joined by ``+``, and the parameters of the first."""
        _, colon, params = self.members[0].label.partition(":")
        return self.name + colon + params

    def values(self) -> dict[str, Any]:
        """Return each member's parameters under its name."""
        return {member.name: member.values() for member in self.members}

    def files(self) -> dict[str, Path]:
        """Return the files of every member, their names after the member's."""
        return {f"{part.name}.{name}": path for part in self.members for name, path in part.files().items()}

    def build(self) -> EnsembleModel:
        """Instantiate every member."""
        return EnsembleModel([member.build() for member in self.members])


def ensemble(members: Sequence[Resolved]) -> Ensemble:
    """Return the ensemble of `members`.

    Raises:
        SpecError: A member is named twice.
    """
    names = [member.name for member in members]
    name = "+".join(names)
    for member in names:
        if names.count(member) > 1:
            raise SpecError(f"surrogate {member!r} is named twice in {name!r}")
    component = Component(kind="model", name=name, target=f"{__name__}:EnsembleModel", summary="mean of the logits")
    return Ensemble(
        name=name,
        component=component,
        plugin=members[0].plugin,
        implementation=EnsembleModel,
        params=Params(),
        origins={key: value for member in members for key, value in member.origins.items()},
        members=tuple(members),
    )
