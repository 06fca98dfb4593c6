"""Names of corruptions and severities, as users type them."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches


def chosen_names(typed: str, main: Sequence[str], extra: Sequence[str]) -> tuple[str, ...]:
    """Return the corruptions that ``main``, ``extra``, ``all``, or names joined by ``+`` mean.

    Raises:
        ValueError: A name is unknown or stands twice, or there is none.
    """
    groups = {"main": tuple(main), "extra": tuple(extra), "all": (*main, *extra)}
    if typed in groups:
        return groups[typed]
    names = tuple(name.strip().replace("-", "_") for name in typed.split("+"))
    for name in names:
        if name not in groups["all"]:
            near = get_close_matches(name, groups["all"], 1, 0.5)
            hint = (
                f"did you mean {near[0]}?" if near else f"expected main, extra, all, or of {', '.join(groups['all'])}"
            )
            raise ValueError(f"no corruption is called {name!r}; {hint}")
    if len(set(names)) < len(names):
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)} stands twice in {typed!r}")
    return names


def chosen_severities(typed: str, known: Sequence[int]) -> tuple[int, ...]:
    """Return severities that were typed as ``1+3+5``.

    Raises:
        ValueError: One is unknown, or they do not ascend.
    """
    texts = [text.strip() for text in typed.split("+")]
    for text in texts:
        if text not in map(str, known):
            raise ValueError(f"severity {text!r} is unknown; expected some of {'+'.join(map(str, known))}")
    severities = tuple(map(int, texts))
    if list(severities) != sorted(set(severities)):
        raise ValueError(f"severities {typed!r} do not ascend; expected {'+'.join(map(str, sorted(set(severities))))}")
    return severities
