"""A network that was given in Python as the model of a run. It has no name, so its content identifies it."""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from robench.contracts.context import RunContext
from robench.contracts.model import Model
from robench.contracts.params import Params
from robench.contracts.types import Component
from robench.errors import SpecError
from robench.registry.discovery import Plugin
from robench.registry.resolved import Resolved

if TYPE_CHECKING:
    from torch import nn

GIVEN = "given-in-python"
"""The name of such a model in records."""
PLAIN = (bool, int, float, str, type(None))


class GivenParams(Params):
    """What identifies a network that was given in Python."""

    name: str = Field(description="what the user calls it; by default the name of its class")
    weights: str = Field(description="SHA-256 of its state_dict, first 16 hex digits")
    code: str = Field(
        description="SHA-256 of the source and the plain attributes of its modules that are not torch's own"
    )


def given(network: nn.Module, name: str | None = None) -> Resolved:
    """Return `network` as the model of a run.

    Raises:
        SpecError: It is not a ``torch.nn.Module``, or the name cannot stand in a label.
    """
    from torch import nn

    from robench.networks.borrowed import Borrowed
    from robench.networks.evaluate import fingerprint

    if not isinstance(network, nn.Module):
        kind = type(network).__name__
        raise SpecError(f"the network is of type {kind}; expected a torch.nn.Module that returns logits")
    name = type(network).__name__ if name is None else name
    if not re.fullmatch(r"[^,:=\s](?:[^,:=\n]*[^,:=\s])?", name):
        raise SpecError(f"the network cannot be called {name!r}; expected a name without ',', ':' and '='")

    class Given(Model):
        Params = GivenParams

        def build(self, context: RunContext) -> nn.Module:
            return Borrowed(network)

        @classmethod
        def files(cls, params: Any) -> Mapping[str, Path]:
            return {}

    component = Component(
        kind="model", name=GIVEN, target=f"{__name__}:given", summary="a network that was given in Python"
    )
    kind = type(network)
    plugin = Plugin(
        name=GIVEN, distribution=GIVEN, version=f"{kind.__module__}.{kind.__qualname__}", components=(component,)
    )
    params = GivenParams(name=name, weights=fingerprint(network), code=code_of(network))
    return Resolved(
        name=GIVEN,
        component=component,
        plugin=plugin,
        implementation=Given,
        params=params,
        origins={f"model {GIVEN}": (plugin, component)},
        recorded_as=f"{GIVEN}:name={name},weights={params.weights}",
    )


def refuse_given(name: str) -> None:
    """Refuse the name of a network that was given in Python, which only Python can give again.

    Raises:
        SpecError: It is such a name.
    """
    if name.partition(":")[0] == GIVEN:
        raise SpecError(
            f"model {name!r} is a network that was given in Python, which no record holds; expected a call of "
            "robench.evaluate(network, ...) with the network"
        )


def code_of(network: nn.Module) -> str:
    """Return the first 16 hex digits of the SHA-256 of the modules' classes, their source and plain attributes.

    torch's own classes count by name, and functions that a module keeps as attributes do not count.
    """
    digest, seen = hashlib.sha256(), set()
    for name, module in network.named_modules():
        kind = type(module)
        plain = {key: value for key, value in sorted(vars(module).items()) if key[0] != "_" and _is_plain(value)}
        plain.pop("training", None)
        digest.update(f"{name} {kind.__module__}.{kind.__qualname__} {plain}\n".encode())
        if kind not in seen and kind.__module__.partition(".")[0] != "torch":
            seen.add(kind)
            digest.update(_source(kind).encode())
    return digest.hexdigest()[:16]


def _is_plain(value: object) -> bool:
    return isinstance(value, PLAIN) or (isinstance(value, tuple | list) and all(map(_is_plain, value)))


def _source(kind: type[Any]) -> str:
    """Return the source of a class, or of its methods where a notebook keeps only theirs."""
    parts: list[str] = []
    members: tuple[Any, ...] = (kind, *(member for member in vars(kind).values() if inspect.isfunction(member)))
    for part in members:
        try:
            parts.append(inspect.getsource(part))
        except (OSError, TypeError):
            continue
        if part is kind:
            break
    return "\n".join(parts)
