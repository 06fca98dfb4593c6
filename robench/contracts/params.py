"""The parameters of components, validated before anything heavy starts, and shown by ``robench describe``."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError, model_validator
from pydantic.fields import FieldInfo

from robench.contracts.types import (
    USUAL_NORM,
    Norm,
    ShareOfEps,
    format_pixels,
    parse_amount,
    parse_pixels,
    parse_radius,
    parse_step,
)
from robench.errors import SpecError, nearest

Pixels = Annotated[
    Fraction,
    BeforeValidator(parse_pixels),
    PlainSerializer(format_pixels, return_type=str, when_used="always"),
]
"""An exact distance in ``[0, 1]`` pixel units; users write ``8/255``."""

Radius = Annotated[
    Fraction,
    BeforeValidator(parse_radius),
    PlainSerializer(format_pixels, return_type=str, when_used="always"),
]
"""An exact radius of an L2 ball in ``[0, 1]`` pixel units, which may exceed 1; users write ``0.5`` or ``128/255``."""

Amount = Annotated[Fraction, BeforeValidator(parse_amount), PlainSerializer(str, return_type=str, when_used="always")]
"""An exact radius of a constraint with a unit of its own, such as 10 pixels; users write ``10``."""

StepSize = Annotated[
    Fraction,
    BeforeValidator(parse_step),
    PlainSerializer(format_pixels, return_type=str, when_used="always"),
]
"""An exact step size in ``[0, 1]`` pixel units; users write ``2/255``, or ``eps/4`` for a quarter of the radius."""


def Later(default: Any, **more: Any) -> Any:  # noqa: N802  # beside pydantic's Field
    """Declare a parameter that older records lack. At its default it is not part of a run's identity."""
    return Field(default, json_schema_extra={"later": True}, **more)


def is_later(field: FieldInfo) -> bool:
    """Tell whether a parameter was declared by :func:`Later`; a record without it has the default of its class."""
    return isinstance(field.json_schema_extra, dict) and bool(field.json_schema_extra.get("later"))


class Params(BaseModel):
    """Base of all parameters of components. They are frozen, and an unknown name is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, validate_default=True)

    @classmethod
    def canonical(cls, name: str) -> str:
        """Return the name of the parameter that users may also type as `name`; by default each has one name."""
        return name

    @classmethod
    def read(cls, values: dict[str, Any], owner: str, whole: Callable[[str, str], str] | None = None) -> Self:
        """Return the parameters with `values`, which may be text, for the component called `owner`.

        Args:
            whole: Returns what the user should type, given a wrong name and the right one; by default the right one.

        Raises:
            SpecError: A name is unknown, or a value is missing or wrong; the message names it and what was expected.
        """
        values = {cls.canonical(key): cls._meant(cls.canonical(key), value) for key, value in values.items()}
        for key in values:
            if key not in cls.model_fields:
                hint = (
                    nearest(key, cls.model_fields, partial(whole, key) if whole else str)
                    if cls.model_fields
                    else "; it has none"
                )
                raise SpecError(f"{owner} has no parameter {key!r}{hint}")
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            if first["type"] == "missing":
                raise SpecError(f"{owner} needs {key}; write {key}=... after its name and a colon") from None
            message = first["msg"].removeprefix("Value error, ")
            where = f"{key}={first['input']!s}: " if key else ""
            raise SpecError(f"{owner}: {where}{message}") from None

    @classmethod
    def _meant(cls, key: str, value: Any) -> Any:
        """Return the number that a text names among those that a parameter may be."""
        field = cls.model_fields.get(key)
        if field is None or not isinstance(value, str) or get_origin(field.annotation) is not Literal:
            return value
        return next((each for each in get_args(field.annotation) if str(each) == value), value)

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values, distances as exact text, without :func:`Later` parameters at their defaults."""
        values = written(self)
        for name, field in type(self).model_fields.items():
            if is_later(field) and getattr(self, name) == field.default:
                del values[name]
        return values


def paths_of(params: Params) -> dict[str, Path]:
    """Return the existing files and folders that parameters name, by the names of these parameters."""
    found = {}
    for name, field in type(params).model_fields.items():
        value, kinds = getattr(params, name), {field.annotation, *get_args(field.annotation)}
        if not (isinstance(value, str | Path) and str(value) and kinds & {str, Path}):
            continue
        # A text may be too long for a path, hold a null character, or name an unknown user.
        with contextlib.suppress(OSError, ValueError, RuntimeError):
            if (path := Path(value).expanduser()).exists():
                found[name] = path
    return found


def written(params: Params) -> dict[str, Any]:
    """Return plain JSON values; a path is written the same however it was typed."""
    return {**params.model_dump(mode="json"), **{name: plain_path(path) for name, path in paths_of(params).items()}}


def plain_path(path: Path) -> str:
    """Return how robench writes the path of an existing file or folder: relative if it is in the current folder.

    Links are not followed.
    """
    plain = Path(os.path.normpath(path))
    if plain.is_absolute() and plain.is_relative_to(Path.cwd()):
        plain = plain.relative_to(Path.cwd())
    return plain.as_posix() if plain.exists() and plain.samefile(path) else path.as_posix()


class AttackParams(Params):
    """The parameter of every attack: the radius of its ball."""

    eps: Pixels = Field(default=Fraction(8, 255), description="radius of the ball, in [0, 1] pixel units")

    def settle_step(self, share: Fraction, *, most: Fraction | None = None) -> None:
        """Set ``alpha``, a :data:`StepSize`, to a distance: a share of ``eps`` to that, and None to `share` of it.

        A validator of the class calls it, once ``eps`` is known. The usual share counts as not given.

        Args:
            most: The largest step that makes sense; None for any.

        Raises:
            ValueError: It is larger.
        """
        given: Fraction | None = getattr(self, "alpha")  # noqa: B009  # subclasses have it
        if isinstance(given, ShareOfEps):
            share, usual = given, given == share
        else:
            usual = given is None
        if given is None or isinstance(given, ShareOfEps):
            object.__setattr__(self, "alpha", self.eps * Fraction(share))
        if usual:
            self.model_fields_set.discard("alpha")
        elif most is not None and given is not None and not isinstance(given, ShareOfEps) and given > most:
            raise ValueError(
                f"alpha={given} is outside [0, {most}]; distances are in [0, 1] pixel units, such as 2/255"
                + (f"; did you mean {given}/255?" if given <= 255 else "")
            )


class NormParams(AttackParams):
    """The parameters of attacks that work in both norms."""

    norm: Norm = Field(default=USUAL_NORM, description="norm of the ball: Linf or L2")
    eps: Radius | None = Field(  # type: ignore[assignment]
        default=None, description="radius of the ball, in [0, 1] pixel units; 8/255 in Linf, 128/255 in L2 if not given"
    )

    @model_validator(mode="after")
    def _choose_eps(self) -> Self:
        if self.eps is None:
            object.__setattr__(self, "eps", Fraction(8, 255) if self.norm == USUAL_NORM else Fraction(128, 255))
            self.model_fields_set.discard("eps")
        elif self.norm == USUAL_NORM:
            parse_pixels(self.eps)
        return self
