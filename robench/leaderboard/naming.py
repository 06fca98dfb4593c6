"""The name of a method in words, what it was trained against, and its papers.

A name says as much as tells the methods of one table apart: ``LoRA + TeCoA``, or ``LoRA + TeCoA, trained white-box at
2/255`` beside it. Words and papers are the components' own (``title`` and ``reference`` of
:class:`robench.contracts.types.Component`); a component that is not installed is called by its name.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from robench.errors import PluginError, SpecError
from robench.registry.products import halves_of

if TYPE_CHECKING:
    from robench.contracts.types import Component
    from robench.registry.registry import Registry

ADVERSARY = ("adversary", "eps", "steps")
"""Parameters of a tuner that the words for its adversary stand for."""
UNTRAINED = "-"
CHANGED = ", changed"
"""What follows the title of a published recipe of which a setting was changed."""


def method_names(asked: Sequence[str]) -> list[str]:
    """Return the names of the methods of one table.

    Args:
        asked: For each method, the JSON of the column ``asked``.
    """
    found = [_parsed(text) for text in asked]
    bases = [base_name(text) for text in asked]
    alike: dict[str, list[int]] = {}
    for place, base in enumerate(bases):
        alike.setdefault(base, []).append(place)
    names = list(bases)
    for base, places in alike.items():
        if len(places) > 1 and len({asked[place] for place in places}) > 1:
            for place, details in zip(places, _details([found[place] for place in places]), strict=True):
                names[place] = ", ".join([base, *details])
    return names


@lru_cache(maxsize=65536)
def base_name(asked: str) -> str:
    """Return the words for a tuner alone, such as ``LoRA + TeCoA``, and for a defence with how it was attacked."""
    method = _parsed(asked)
    return _tuned(method) + str(method.get("defence", ""))


def _tuned(method: Mapping[str, Any]) -> str:
    if method["zero_shot"]:
        return "zero-shot"
    component, halves = _tuner(method["tuner"])
    if component is not None and component.title:
        own = _given(method)
        changed = any(own.get(key, str(value)) != str(value) for key, value in component.defaults.items())
        return component.title + (CHANGED if changed and component.recipe else "")
    if not method["trains"] and not method["adapter"]:
        return "untuned" if method["tuner"] == "none" else str(method["tuner"])
    return " + ".join(half.title or half.name for half in halves) or str(method["tuner"])


@lru_cache(maxsize=65536)
def trained_against(asked: str) -> str:
    """Return what a method was trained on, such as ``pgd-resnet20 at 8/255, transfer``; ``-`` if it was not trained."""
    method = _parsed(asked)
    adversary = method.get("adversary")
    if adversary is None:
        return "clean images" if method["trains"] else UNTRAINED
    radius = f" at {adversary['eps']}" if adversary["eps"] else ""
    if not adversary["surrogate"]:
        return f"white-box {adversary['name']}{radius}"
    return f"{adversary['name']}-{adversary['surrogate']}{radius}, transfer"


@lru_cache(maxsize=65536)
def references(asked: str) -> tuple[str, ...]:
    """Return the papers of a method's components, such as ``Hu et al., LoRA, ICLR 2022 (arXiv:2106.09685)``."""
    component, halves = _tuner(_parsed(asked)["tuner"])
    parts = [*([component] if component else []), *halves]
    return tuple(dict.fromkeys(part.reference for part in parts if part.reference))


def _details(methods: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return for methods of one base name what tells them apart, in words."""
    details: list[list[str]] = [[] for _ in methods]
    given = [_given(each) for each in methods]
    if len({json.dumps(each.get("adversary")) for each in methods}) > 1:
        for words, method, own in zip(details, methods, given, strict=True):
            if any(key in own for key in ADVERSARY):
                words.append(_trained(method.get("adversary")))
        if len(set(map(tuple, details))) == len(details):
            return details
    for key in dict.fromkeys(key for own in given for key in own):
        if len({own.get(key) for own in given}) > 1 and key not in ADVERSARY and not key.startswith("surrogate."):
            for words, own in zip(details, given, strict=True):
                words += [_setting(key, own[key])] if key in own else []
    for key, form in (("images", "{}"), ("adapter", "adapter {}"), ("elsewhere", "tuned {}")):
        if len({each[key] for each in methods}) > 1:
            for words, each in zip(details, methods, strict=True):
                words += [form.format(_short(each[key]))] if each[key] else []
    # What is still alike is told apart by every parameter that differs, whether or not it is a default.
    taken = Counter(map(tuple, details))
    for repeated in [words for words, n in taken.items() if n > 1]:
        same = [place for place, each in enumerate(details) if tuple(each) == repeated]
        for key in dict.fromkeys(key for place in same for key in methods[place]["params"]):
            if len({str(methods[place]["params"].get(key)) for place in same}) > 1:
                for place in same:
                    details[place].append(_setting(key, str(methods[place]["params"].get(key))))
    return details


def _given(method: Mapping[str, Any]) -> dict[str, str]:
    """Return the parameters that were typed."""
    return dict(item.partition("=")[::2] for item in method["given"].split(",") if item)


def _trained(adversary: Mapping[str, str] | None) -> str:
    if adversary is None:
        return "trained on clean images"
    radius = f" at {adversary['eps']}" if adversary["eps"] else ""
    return f"trained {'on ' + adversary['surrogate'] if adversary['surrogate'] else 'white-box'}{radius}"


def _setting(key: str, value: str) -> str:
    """Return a parameter in words: ``5 tokens``, ``lr 0.001``."""
    words = key.replace("_", " ")
    if value.isdecimal() and words.endswith("s"):
        return f"{int(value):,} {words.removesuffix('s') if value == '1' else words}"
    return f"{words} {_short(value)}"


def _short(value: str) -> str:
    """Return of a path only the last part; a radius such as ``8/255`` is none."""
    *_, last = value.rstrip("/").split("/")
    return value if last.isdecimal() else last


@lru_cache(maxsize=65536)  # many rows ask the same
def _parsed(text: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(text)
    return found


@cache
def _tuner(name: str) -> tuple[Component | None, tuple[Component, ...]]:
    """Return the component of a tuner, and those of its adaptation and its objective; None if it is not installed."""
    registry = _registry()
    component = next((item for _, item in registry.components("tuner") if item.name == name.rpartition("/")[2]), None)
    with_halves = halves_of(component) if component else None
    first, plus, second = name.partition("+")
    halves = with_halves or ((first, second) if plus else None)
    found = []
    for kind, half in zip(("adaptation", "objective"), halves or (), strict=False):
        try:
            found.append(registry.find(kind, half)[1])  # type: ignore[arg-type]
        except SpecError:
            return component, ()
    return component, tuple(found)


@cache
def _registry() -> Registry:
    from robench.registry.registry import Registry, discover

    try:
        return discover(broken_files=True)
    except PluginError:
        return Registry(())
