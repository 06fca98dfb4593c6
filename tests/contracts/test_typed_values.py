"""Parameters as users type them: text that names a value of another type."""

from __future__ import annotations

from typing import Literal

import pytest
from robench import Params, SpecError


class Sizes(Params):
    depth: Literal[20, 32] = 20
    size: Literal["native", 64] = "native"
    steps: int = 1


def test_a_number_among_choices_may_be_typed() -> None:
    read = Sizes.read({"depth": "32", "size": "64", "steps": "7"}, "x")
    assert (read.depth, read.size, read.steps) == (32, 64, 7)
    assert Sizes.read({"size": "native"}, "x").size == "native"


@pytest.mark.parametrize("value", ["33", "32.0", "", "native"])
def test_others_are_refused_by_name(value: str) -> None:
    with pytest.raises(SpecError, match=f"x: depth={value}: Input should be 20 or 32"):
        Sizes.read({"depth": value}, "x")
