"""The parameters of both halves of a tuner and of its training as one: short names where they are unique."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self, TypeVar, cast

from pydantic import ValidationError, create_model, model_validator

from robench.contracts.params import Params
from robench.errors import SpecError
from robench.train.params import TrainingParams

P = TypeVar("P", bound=Params)


class Merged(TrainingParams):
    """The parameters of training, with those of the halves.

    Attributes:
        halves: The parameters of each half, by its role.
        known_as: For each role the name here of each of its parameters, by its own name.
    """

    halves: ClassVar[Mapping[str, type[Params]]]
    known_as: ClassVar[Mapping[str, Mapping[str, str]]]

    @classmethod
    def canonical(cls, name: str) -> str:
        """Return the short name of ``objective.NAME`` or ``adaptation.NAME``, if that is unique.

        Raises:
            SpecError: The short name of a parameter was given that both halves have.
        """
        role, _, short = name.partition(".")
        if short:
            return cls.known_as.get(role, {}).get(short, name)
        owners = [role for role, names in cls.known_as.items() if name in names]
        if len(owners) > 1 and name not in cls.model_fields:
            choices = " or ".join(f"{owner}.{name}" for owner in owners)
            raise SpecError(f"both halves of the tuner have a parameter {name!r}; write {choices}")
        return name

    @model_validator(mode="after")
    def _each_half_agrees(self) -> Self:
        for role, half in self.halves.items():
            if not isinstance(self, half):  # else its own checks were made
                own(role, half, self)
        return self


def merged(title: str, halves: Mapping[str, type[Params]]) -> type[Params]:
    """Return the class of the parameters of training and of `halves`, by role."""
    kinds: list[type[Params]] = [*halves.values(), TrainingParams]
    taken = [set(params.model_fields) for params in kinds]
    twice = {name for name in set().union(*taken) if sum(name in names for names in taken) > 1}
    known_as = {
        role: {name: f"{role}.{name}" if name in twice else name for name in params.model_fields}
        for role, params in halves.items()
    }
    create: Any = create_model  # its overloads know no bases that are found while the program runs
    if not twice:
        bases = tuple(params for params in halves.values() if params is not Params)
        made = create(title, __base__=(*bases, Merged))
    else:
        fields: dict[str, Any] = {
            known_as[role][name]: (field.rebuild_annotation(), field)
            for role, params in halves.items()
            for name, field in params.model_fields.items()
        }
        made = create(title, __base__=Merged, **fields)
    made.halves, made.known_as = dict(halves), known_as
    return cast("type[Params]", made)


def own(role: str, kind: type[P], params: Params) -> P:
    """Return the parameters of the half `role`, of the class `kind`, among those of the whole tuner.

    Raises:
        ValueError: The half refuses a value.
    """
    if isinstance(params, kind):
        return params
    names = params.known_as[role] if isinstance(params, Merged) else {name: name for name in kind.model_fields}
    given = {name: getattr(params, here) for name, here in names.items() if here in params.model_fields_set}
    try:
        return kind(**given)
    except ValidationError as error:
        raise ValueError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None
