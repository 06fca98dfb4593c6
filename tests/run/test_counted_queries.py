"""A run of attacks that may only ask: what is refused at the start, and what its record keeps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from robench import Attacker, AttackParams, Component, Field, RunResult, SpecError, hookimpl
from robench.registry.registry import Registry
from robench.run.plan import Request, plan
from robench.run.runner import run
from torch import Tensor, nn

from tests.conftest import entry_point, registry_of
from tests.helpers import toy


class Queries(AttackParams):
    queries: int = Field(default=30, ge=1)


class Darker(Attacker):
    """Goes a level further in either direction with each query, and never looks at the answer."""

    Params = Queries
    params: Queries
    knowledge = "labels"

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        for level in range(1, self.params.queries + 1):
            for sign in (-1, 1):
                network(images + sign * min(level, round(255 * float(self.params.eps))) / 255)
        return images


@pytest.fixture
def registry(module: object) -> Registry:
    item = Component(kind="attacker", name="darker", target="asking_plugin:Darker", summary="asks")
    plugin = module("asking_plugin", Darker=Darker, robench_components=hookimpl(lambda: [item]))  # type: ignore[operator]
    return registry_of(entry_point("toy", toy.__name__, "toy-dist"), entry_point("asking", plugin, "asking-dist"))


def made(registry: Registry, folder: Path, *attacks: str, **more: object) -> RunResult:
    asked = Request(dataset="dots", tuner="none", attacks=attacks, test_size=40, white_box=False, **more)  # type: ignore[arg-type]
    planned = plan(registry, asked)
    return run(registry, planned, device=torch.device("cpu"), cache_dir=folder / "cache", save=lambda result: result)


def test_the_record_keeps_when_each_image_fell(registry: Registry, tmp_path: Path) -> None:
    few, many = "darker:eps=32/255,queries=10", "darker:eps=32/255,queries=60"
    result = made(registry, tmp_path, few, many, "sign:eps=32/255")
    assert result.status == "completed" and result.clean is not None
    short, long, sign = result.attacks
    assert short.knowledge == long.knowledge == "labels" and sign.queries is None
    assert short.queries is not None and long.queries is not None
    assert (short.queries.budget, short.queries.most, short.queries.asked) == (10, 10, 400)
    # Classes lie about 10/255 from the boundary, so five levels either way break none.
    assert short.correct == 40 and long.correct == 0
    numbers = long.queries.numbers(40)
    assert (numbers > 2 * 8).all() and (numbers <= 2 * 16).all() and len(set(numbers)) > 1
    assert long.queries.curve(40)[0] == (0, result.clean.correct)
    assert RunResult.model_validate_json(result.model_dump_json()) == result


def test_an_image_that_is_wrong_clean_fell_to_no_query(registry: Registry, tmp_path: Path) -> None:
    result = made(registry, tmp_path, "darker:eps=32/255,queries=4", model="linear:gain=-50")
    assert result.clean is not None and result.clean.correct < 40
    counts = result.attacks[0].queries
    assert counts is not None
    assert np.array_equal(counts.numbers(40) == 0, ~result.clean.mask())


def test_a_surrogate_is_asked_without_counting(registry: Registry, tmp_path: Path) -> None:
    (score,) = made(registry, tmp_path, "darker-linear:eps=32/255,queries=4").attacks
    assert score.knowledge == "transfer" and score.queries is None


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        ("darker:queries=9999999999", r"queries=9999999999 is no budget; expected a number from 1 to 2,147,483,647"),
        (
            "darker:queries=3,samples=4",
            r"averages 4 answers for each query, so queries=3 allows none; expected queries=4 or more",
        ),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused_before_anything_starts(
    registry: Registry, tmp_path: Path, attack: str, message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        made(registry, tmp_path, attack)
