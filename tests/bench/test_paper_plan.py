"""The plan in the documentation is what its command prints, and its arithmetic is what it says."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from robench.registry.registry import discover
from robench.suite.shelf import find_suite

from tests.helpers.scripts import benchmark_script


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return benchmark_script("paper_plan")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mark", "words"),
    [
        ("plan", []),
        ("plan 50000", ["--train-size", "50000"]),
        ("plan tecoa-16@1", ["--suite", "tecoa-16@1"]),
        ("plan robustvlm-13@1", ["--suite", "robustvlm-13@1", "--tuner", "fare"]),
    ],
)
def test_the_page_shows_what_the_command_prints(
    script: ModuleType,
    root: Path,
    mark: str,
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["paper_plan.py", *words])
    script.main()
    page = (root / "docs" / "paper-plan.md").read_text()
    shown = page.partition(f"<!-- {mark} -->")[2].partition("<!-- end -->")[0]
    assert shown.strip() == capsys.readouterr().out.strip()


def test_sharing_saves_what_does_not_depend_on_the_network_and_nothing_else(script: ModuleType) -> None:
    plan = script.Plan(models=3, tuners=2, datasets=5, transfer=1, white_box=1, train=7, test=11, attacked=2, steps=4)
    unit = script.Unit(forward=1.0, gradient=2.0, tuning=3.0, surrogate=5.0)
    found = {name: (shared, apart) for name, shared, apart in script.costs(plan, unit)}
    assert found["tuning, one epoch"] == (30 * 7 * 3,) * 2
    assert found["training images on the surrogate"] == (5 * 7 * 4 * 5, 5 * 7 * 4 * 5 * 6)
    assert found["test images on surrogates"] == (5 * 2 * 4 * 5, 5 * 2 * 4 * 5 * 6)
    assert found["white-box attacks"] == (30 * 2 * 4 * 2,) * 2
    assert found["evaluation"] == (30 * (11 + 2 * 2),) * 2


@pytest.mark.parametrize(
    ("typed", "gradients", "queries"),
    [
        ("fgsm", 1, 0),
        ("pgd:steps=20,restarts=3", 60, 0),
        ("apgd-t", 900, 0),
        ("autoattack", 1900, 5000),
        ("autoattack-ce-dlr", 200, 0),
    ],
)
def test_an_attack_costs_its_steps_times_its_starts_and_targets(
    script: ModuleType, typed: str, gradients: int, queries: int
) -> None:
    assert script.passes(discover().resolve_attack(typed)) == (gradients, queries)


def test_a_suite_costs_what_its_images_and_passes_add_up_to(script: ModuleType) -> None:
    suite = find_suite(discover(), "tecoa-16@1").suite.reduced(None, ("CIFAR-10", "ImageNet"))
    unit = script.Unit(forward=1.0, gradient=3.0, tuning=5.0, surrogate=0.0)
    found = {part: (images, cost) for part, images, _, cost in script.suite_costs(suite, "tecoa-paper", unit)}
    assert found["tuning by `tecoa-paper`"] == (1_281_167, 10 * 1_281_167 * (2 * 3 + 5 + 2))
    assert found["clean images"] == (60_000, 60_000)
    assert found["PGD-10"] == (60_000, 60_000 * (10 * 3 + 1))
    assert found["AutoAttack"] == (2_000, 2_000 * (1900 * 3 + 5001)), "1,000 images of each set"
    untrained = script.suite_costs(suite, "none", unit)
    assert [part[0] for part in untrained] == ["clean images", "PGD-10", "PGD-100", "AutoAttack", "CW"]
    rows = script.suite_table(suite, "none", unit, 60_000.0, [1, 8]).splitlines()
    assert [cell.strip() for cell in rows[2].split("|")[4:6]] == ["1.0", "0.1"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--suite", "tecoa-61@1"], "tecoa-16@1"),
        (["--suite", "offline@1"], "the size of 'leaf-synth' is not known"),
        (["--suite", "coop-11@1"], "is not known"),
        (["--suite", "tecoa-16@1", "--tuner", "fere"], "did you mean 'fare'"),
    ],
)
def test_what_cannot_be_counted_is_refused_in_one_line(
    script: ModuleType,
    words: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["paper_plan.py", *words])
    with pytest.raises(SystemExit) as exit_:
        script.main()
    assert exit_.value.code == 2 and message in capsys.readouterr().err


@pytest.mark.slow
def test_seconds_are_measured_where_operations_are_not_enough(script: ModuleType) -> None:
    unit = script.measured(torch.device("cpu"), 4, side=32, typed="clip-tiny", surrogate="resnet10t")
    assert min(unit.forward, unit.gradient, unit.tuning, unit.surrogate) > 0
    unit, operations = (script.Unit(forward=x, gradient=0.2, tuning=0.1, surrogate=0.1) for x in (0.0125, 5.0))
    rows = [[cell.strip() for cell in line.split("|")[1:4]] for line in script.sustained(unit, operations).splitlines()]
    assert rows[2] == ["ViT-B/32 evaluated", "12.5", "0.40"]


def test_the_hours_on_the_page_follow_from_the_milliseconds_beside_them(script: ModuleType, root: Path) -> None:
    page = (root / "docs" / "paper-plan.md").read_text()
    shown = page.partition("<!-- measured -->")[2].partition("<!-- end -->")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in shown.splitlines() if "|" in line]
    numbers = {row[0]: float(row[1].replace(",", "")) for row in rows if row[1][:1].isdigit()}
    unit = script.Unit(
        forward=numbers["ViT-B/32 evaluated"] / 1e3,
        gradient=numbers["ViT-B/32 attacked, a step"] / 1e3,
        tuning=numbers["ViT-B/32 with LoRA trained"] / 1e3,
        surrogate=numbers["ResNet-50 attacked, a step"] / 1e3,
    )
    for name, shared, _ in script.costs(script.Plan(), unit):
        assert shared / 3600 == pytest.approx(numbers[name], rel=0.01)
