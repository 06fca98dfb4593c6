"""Parameters of components: declared once, validated early, described by ``robench describe``."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError

from robench.errors import SpecError, nearest
from robench.types import format_pixels, parse_pixels

Pixels = Annotated[
    Fraction,
    BeforeValidator(parse_pixels),
    PlainSerializer(format_pixels, return_type=str, when_used="always"),
]
"""A distance in ``[0, 1]`` pixel units, exact; users write ``8/255``."""


class Params(BaseModel):
    """Base of every component's parameters: frozen, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, validate_default=True)

    @classmethod
    def read(cls, values: dict[str, Any], owner: str) -> Self:
        """Validate `values`, which may still be text, for the component called `owner`.

        Raises:
            SpecError: Names the parameter, the value, what was expected and the nearest valid name.
        """
        for key in values:
            if key not in cls.model_fields:
                hint = nearest(key, cls.model_fields) if cls.model_fields else "; it has none"
                raise SpecError(f"{owner} has no parameter {key!r}{hint}")
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            message = first["msg"].removeprefix("Value error, ")
            raise SpecError(f"{owner}: {key}={first['input']!s}: {message}") from None

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values, exact where floats would not be."""
        return self.model_dump(mode="json")


class AttackParams(Params):
    """What every attack has: the radius of its ball."""

    eps: Pixels = Field(default=Fraction(8, 255), description="radius of the ball, in [0, 1] pixel units")
