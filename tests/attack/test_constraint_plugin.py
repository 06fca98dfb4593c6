"""A constraint of a stranger: found by name, asked by the core and by the checks, and judged like any other."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import robench
import torch
from robench.attack.perturbation import check_ball
from robench.attack.python import attack
from robench.conformance.examine import examine
from robench.errors import BudgetError, PluginError, SpecError
from robench.records.limits import radius
from robench.registry.registry import Registry, discover

PLUGIN = '''
import torch
from robench import Amount, Attacker, AttackParams, Component, Constraint, Field, hookimpl

class Rows(Constraint):
    """Whole rows may change."""
    unit = "rows"
    usual = 4
    projected = {projected}

    def sizes(self, clean, changed):
        return (clean != changed).any(dim=3).any(dim=1).sum(dim=1).double()

    def furthest(self, images, direction, radius):
        found = images.clone()
        found[:, :, : int(radius)] = (direction[:, :, : int(radius)] > 0).float()
        return found

    def project(self, clean, perturbed, radius):
        levels = (perturbed.clamp(0, 1) * 255).round().to(clean.dtype)
        return torch.cat([levels[:, :, : int(radius)], clean[:, :, int(radius) :]], dim=2)

class RowParams(AttackParams):
    eps: Amount = Field(4, description="rows")
    rows: int = 4

class Black(Attacker):
    """Black rows, more than asked for if `rows` is more."""
    Params = RowParams
    norm = "{norm}"

    def perturb(self, network, images, labels):
        found = images.clone()
        found[:, :, : self.params.rows] = 0
        return found

@hookimpl
def robench_components():
    return [
        Component(kind="constraint", name="rows", target="{module}:Rows", summary="whole rows"),
        Component(kind="attacker", name="black", target="{module}:Black", summary="black rows"),
    ]
'''


def plugin(folder: Path, module: str, *, projected: bool = True, norm: str = "rows") -> str:
    file = folder / f"{module}.py"
    file.write_text(PLUGIN.format(module=module, projected=projected, norm=norm))
    return str(file)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    return discover(files=[plugin(tmp_path_factory.mktemp("plugin"), "rows_plugin")])


IMAGES = np.full((2, 3, 8, 8), 200, np.uint8)


def test_a_radius_is_counted_and_written_as_its_constraint_says(registry: Registry) -> None:
    attack = registry.resolve_attack("black:eps=2")
    assert attack.label == "black:eps=2"
    assert str(attack.threat()) == "rows 2 rows white-box" and radius(attack.threat().written) == 2
    assert {"attacker black", "constraint rows"} <= attack.origins.keys()
    with pytest.raises(SpecError, match="whole number"):
        registry.resolve_attack("black:eps=1/2")


def test_what_lies_outside_is_projected(tmp_path: Path) -> None:
    file = plugin(tmp_path, "rows_projected")
    with pytest.warns(UserWarning, match="2 of 2 images came back far outside"):
        made = attack(torch.nn.Flatten(), IMAGES, [0, 1], "black:eps=2,rows=5", plugins=[file])
    assert (made[:, :, :2] == 0).all() and (made[:, :, 2:] == 200).all()


def test_what_lies_outside_counts_as_no_attack_if_the_constraint_refuses(tmp_path: Path) -> None:
    file = plugin(tmp_path, "rows_refused", projected=False)
    with pytest.warns(UserWarning, match="2 of 2 images are outside and count as no attack"):
        made = attack(torch.nn.Flatten(), IMAGES, [0, 1], "black:eps=2,rows=5", plugins=[file])
    np.testing.assert_array_equal(made, IMAGES)
    inside = attack(torch.nn.Flatten(), IMAGES, [0, 1], "black:eps=5,rows=5", plugins=[file])
    assert (inside[:, :, :5] == 0).all()


def test_the_ball_is_checked_by_the_constraint(registry: Registry) -> None:
    threat = registry.resolve_attack("black").threat()
    changed = IMAGES.copy()
    changed[1, 0, :4, 3] = 0
    assert check_ball(IMAGES, changed, threat) == 4
    changed[1, 0, 4, 3] = 0
    with pytest.raises(BudgetError, match=r"rows norm 5 rows lies outside rows 4 rows white-box"):
        check_ball(IMAGES, changed, threat)


def test_an_unknown_constraint_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    registry = discover(files=[plugin(tmp_path, "rows_misnamed", norm="row")])
    with pytest.raises(PluginError, match=r"rows_misnamed:Black has norm 'row'; did you mean 'rows'\?"):
        registry.resolve_attack("black")


@pytest.mark.slow
def test_a_run_is_recorded_checked_and_shown(tmp_path: Path) -> None:
    result = robench.run(
        model="resnet20",
        attacks=["black:eps=8,rows=32"],
        test_size=16,
        plugins=[plugin(tmp_path, "rows_run")],
        results=tmp_path / "results",
        cache_dir=tmp_path,
    )
    (score,) = result.attacks
    assert (score.norm, score.eps, score.largest_norm) == ("rows", "8 rows", 8)
    reasons = {check.name: check.reason for check in result.checks if check.attack}
    assert reasons["ball"] == "largest change 8 rows of 8 rows allowed"
    assert "noise" in reasons and not [check for check in result.checks if check.verdict == "incomplete"]
    assert any("came back far outside" in warning for warning in result.warnings)
    assert result.provenance.plugins["constraint rows"].startswith("rows_run.py")
    (ball,) = result.worst_case
    assert (ball.norm, ball.eps) == ("rows", "8 rows")


def test_the_plugin_of_the_docs_keeps_every_rule(root: Path, tmp_path: Path) -> None:
    text = (root / "docs" / "threat-models.md").read_text()
    (code,) = re.findall(r"```python\n(# my_frames.py\n.*?)```", text, flags=re.DOTALL)
    code = code.replace("my_frames", "frames_of_the_page")  # another test imports the page's own
    (tmp_path / "frames_of_the_page.py").write_text(code)
    registry = discover(files=[str(tmp_path / "frames_of_the_page.py")])
    for kind, name in (("constraint", "my-frame"), ("attacker", "steepest-frame")):
        found = list(examine(registry, kind, name, model="resnet20"))  # type: ignore[arg-type]
        assert len(found) >= 8 and all(each.kept for each in found), found
    constraint = code[code.index("def depths") : code.index("class FrameParams")]
    assert len([line for line in constraint.splitlines() if line]) <= 40
