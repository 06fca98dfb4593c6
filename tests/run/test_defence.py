"""Runs with a defence: what is measured, how it was attacked, and what the record says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import robench
import torch
from robench.contracts.types import SAMPLES
from robench.errors import PluginError, SpecError
from robench.evidence.certify import certified
from robench.images.image_set import to_pixels
from robench.leaderboard.tables import leaderboard
from robench.networks.defended import Defended
from robench.present.show import describe_run
from robench.records.labels import command_of
from robench.records.record import RunResult, RunSpec
from robench.registry.registry import Registry
from robench.run.plan import Request, plan
from robench.run.replan import replan
from robench.run.runner import run
from robench.run.stages import defended
from robench.suite import python
from robench.sweep.plan import plan_sweep, read_sweep

from tests.conftest import entry_point, registry_of
from tests.helpers import toy, toy_defences
from tests.helpers.plugin_fixtures import make_context

STRONG = "sign:eps=32/255"
ASKED = Request(dataset="dots", model="linear:gain=-50", tuner="none", attacks=(STRONG,), test_size=40)


@pytest.fixture
def registry() -> Registry:
    return registry_of(
        entry_point("toy", toy.__name__, "toy-dist"), entry_point("defences", toy_defences.__name__, "defences")
    )


@pytest.fixture
def runs(registry: Registry, tmp_path: Path) -> Callable[..., RunResult]:
    def carry_out(request: Request, **more: object) -> RunResult:
        planned = plan(registry, request)
        cpu = torch.device("cpu")
        return run(registry, planned, device=cpu, cache_dir=tmp_path, save=lambda result: result, **more)  # type: ignore[arg-type]

    return carry_out


def correct(result: RunResult) -> list[int]:
    assert result.clean is not None
    return [result.clean.correct, *(score.correct for score in result.attacks)]


def test_a_run_without_a_defence_is_the_run_that_it_was(registry: Registry) -> None:
    content = plan(registry, ASKED).spec.model_dump(mode="json")
    for part in (content, *content["attacks"]):
        for key in ("defence", "samples", "aware"):
            part.pop(key, None)
    assert RunSpec.model_validate(content).run_id() == plan(registry, ASKED).spec.run_id()
    assert plan(registry, replace(ASKED, defence="mirror")).spec.run_id() != plan(registry, ASKED).spec.run_id()


def test_only_an_attacker_who_knows_the_defence_breaks_it(runs: Callable[..., RunResult]) -> None:
    """Behind the mirror the network is right, and its own gradients lead away from the boundary."""
    attacks = tuple(f"{STRONG}{more}" for more in ("", ",aware=no", ",aware=bpda"))
    result = runs(replace(ASKED, defence="mirror", attacks=attacks))
    assert correct(result) == [40, 0, 40, 40]
    assert [score.defence for score in result.attacks] == ["adaptive", "unaware", "BPDA"]
    assert [score.knowledge for score in result.attacks] == ["white-box", "unaware", "white-box"]
    assert correct(runs(ASKED)) == [0, 0]


def test_a_defence_without_gradients_falls_to_its_approximation(runs: Callable[..., RunResult]) -> None:
    asked = replace(ASKED, model="linear", defence="stairs", attacks=(STRONG, f"{STRONG},aware=exact"))
    result = runs(asked)
    assert correct(result) == [40, 0, 40]
    assert [score.defence for score in result.attacks] == ["BPDA", "autograd"]


def test_a_random_defence_is_attacked_by_the_mean_of_its_answers(
    registry: Registry, runs: Callable[..., RunResult]
) -> None:
    asked = replace(ASKED, model="linear", defence="coin", attacks=(STRONG, f"{STRONG},samples=3", "still"))
    planned = plan(registry, asked)
    assert [attack.samples for attack in planned.spec.attacks] == [SAMPLES, 3, 1]
    assert [attack.label for attack in planned.spec.attacks] == [STRONG, f"{STRONG},samples=3", "still"]
    typed = plan(registry, replace(asked, attacks=(f"{STRONG},samples={SAMPLES}", *asked.attacks[1:])))
    assert typed.spec == planned.spec
    first, again = runs(asked), runs(asked)
    assert [score.defence for score in first.attacks] == [f"adaptive, EOT {SAMPLES}", "adaptive, EOT 3", None]
    assert correct(first) == correct(again)


def test_a_random_defence_that_says_so_passes_and_one_answer_is_warned_of(runs: Callable[..., RunResult]) -> None:
    asked = replace(ASKED, model="linear", defence="shaky", attacks=(f"{STRONG},samples=1", "sign:eps=4/255"))
    checks = {(check.name, check.attack): check for check in runs(asked, checks="fast").checks}
    assert checks["determinism", ""].verdict == "pass" and "as it says" in checks["determinism", ""].reason
    assert checks["slopes", ""].verdict == "pass" and ("batch neighbours", "") not in checks
    assert checks["expectation", f"{STRONG},samples=1"].verdict == "warn"
    assert ("expectation", "sign:eps=4/255") not in checks


def test_a_figure_of_an_unaware_attacker_alone_is_warned_of(registry: Registry, runs: Callable[..., RunResult]) -> None:
    asked = replace(ASKED, defence="mirror", attacks=(f"{STRONG},aware=no",))
    assert [attack.label for attack in plan(registry, asked).spec.attacks] == [f"{STRONG},aware=no", STRONG]
    alone = replace(asked, white_box=False)
    found = {check.name: check for check in runs(alone, checks="fast").checks}
    assert found["white-box"].verdict == "warn" and "no attack knows the defence" in found["white-box"].reason


def test_masked_gradients_fail_where_an_unaware_attacker_breaks_more(runs: Callable[..., RunResult]) -> None:
    asked = replace(ASKED, model="linear", defence="stairs", attacks=(f"{STRONG},aware=exact", f"{STRONG},aware=no"))
    result = runs(asked, checks="fast")
    assert correct(result) == [40, 40, 0]
    assert next(check for check in result.checks if check.name == "white-box").verdict == "fail"


def test_accuracy_under_attack_above_clean_fails(runs: Callable[..., RunResult]) -> None:
    """Behind a mirror this network is wrong on every image, and what an unaware attacker adds puts it right."""
    asked = replace(ASKED, model="linear", defence="mirror", attacks=(f"{STRONG},aware=no",), white_box=False)
    result = runs(asked, checks="fast")
    assert correct(result) == [0, 40]
    assert next(check for check in result.checks if check.name == "above clean").verdict == "fail"


def test_it_is_put_in_front_again_on_another_dataset(runs: Callable[..., RunResult]) -> None:
    result = runs(replace(ASKED, defence="mirror", eval_datasets=("stripes",)))
    (there,) = result.elsewhere
    assert (there.clean.correct, there.attacks[0].correct) == (40, 0) and there.attacks[0].defence == "adaptive"


def test_it_stands_in_front_of_what_was_tuned_and_training_does_not_see_it(runs: Callable[..., RunResult]) -> None:
    trained = replace(ASKED, model="linear", tuner="bias:adversary=sign", train_size=20)
    plain, defended = runs(trained), runs(replace(trained, defence="mirror"))
    assert plain.tuning is not None and defended.tuning is not None
    assert plain.tuning.tuned_fingerprint == defended.tuning.tuned_fingerprint != plain.tuning.model_fingerprint
    assert correct(defended)[0] < correct(plain)[0]


def test_what_it_proves_is_in_the_record(runs: Callable[..., RunResult]) -> None:
    """Means lie about 10/255 from the boundary: proved to 1/255, not to 1/2."""
    result = runs(replace(ASKED, model="linear", defence="counter"))
    assert [(score.eps, score.norm, score.n, score.correct) for score in result.certified] == [
        ("1/255", "Linf", 6, 6),
        ("1/2", "Linf", 6, 0),
    ]
    assert not runs(replace(ASKED, defence="mirror")).certified


def test_the_record_names_the_run_and_can_be_made_again(registry: Registry, runs: Callable[..., RunResult]) -> None:
    asked = replace(ASKED, model="linear", defence="coin", attacks=(STRONG, f"{STRONG},aware=no,samples=2"))
    result = runs(asked)
    assert "--defence coin" in result.provenance.command and "--no-white-box" in command_of(result.spec)
    again = RunResult.model_validate_json(result.model_dump_json())
    assert again == result and replan(registry, again.spec).spec == result.spec
    assert result.provenance.plugins["defence coin"] == "defences 1.0"


def test_a_table_says_how_each_row_was_attacked(runs: Callable[..., RunResult]) -> None:
    asked = replace(ASKED, model="linear", attacks=(STRONG,))
    rows = [runs(asked), runs(replace(asked, defence="stairs"))]
    unaware = runs(replace(asked, defence="stairs", attacks=(f"{STRONG},aware=no",), white_box=False))
    aware, apart = sorted(leaderboard([*rows, unaware]), key=lambda table: -len(table.rows))
    assert {row.tuner for row in aware.rows} == {"none", "none (defence stairs; attacked: BPDA)"}
    assert [row.tuner for row in apart.rows] == ["none (defence stairs; attacked: unaware)"]
    assert sorted(row.name for row in aware.rows) == ["zero-shot", "zero-shot (defence stairs; attacked: BPDA)"]
    assert [row.name for row in apart.rows] == ["zero-shot (defence stairs; attacked: unaware)"]


def test_a_recorded_run_is_certified_behind_its_defence(
    registry: Registry, runs: Callable[..., RunResult], tmp_path: Path
) -> None:
    result = runs(replace(ASKED, defence="mirror"))
    found = certified(
        replan(registry, result.spec), result, device=torch.device("cpu"), cache_dir=tmp_path, level="fast"
    )
    assert found.checks and "white-box" not in {check.name for check in found.checks if check.verdict == "fail"}


def test_what_does_not_fit_is_refused_at_the_start(registry: Registry, runs: Callable[..., RunResult]) -> None:
    for attack, said in (
        ("sign:aware=no", "sets aware, but nothing defends; expected --defence NAME"),
        ("sign:aware=maybe", "aware=maybe .* is not known"),
        ("sign-linear:aware=no", "is made on a surrogate, which has no defence"),
        ("still:aware=no", "takes no gradients of the target"),
        ("sign:samples=0", "samples=0 .* expected a positive integer"),
        ("sign:samples=20000", "too many"),
    ):
        with pytest.raises(SpecError, match=said):
            plan(registry, replace(ASKED, attacks=(attack,)))
    with pytest.raises(SpecError, match="unknown defence 'miror'; did you mean 'mirror'"):
        plan(registry, replace(ASKED, defence="miror"))
    with pytest.raises(PluginError, match="choosy wants another network"):
        runs(replace(ASKED, defence="choosy"))


def test_it_is_asked_for_in_python_and_in_a_comparison(
    registry: Registry, runs: Callable[..., RunResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(python, "discover", lambda **more: registry)
    where = {"results": None, "cache_dir": tmp_path, "checks": "off", "test_size": 40, "attacks": STRONG}
    asked = replace(ASKED, model="linear", defence="stairs")
    made = robench.run(dataset="dots", model="linear", defence="stairs", **where)  # type: ignore[arg-type]
    assert made.run_id == plan(registry, asked).spec.run_id() and correct(made) == [40, 0]
    network = toy.LinearNetwork(gain=-50.0, broken=False)
    assert correct(robench.evaluate(network, dataset="dots", defence="mirror", **where)) == [40, 0]  # type: ignore[arg-type]
    (tmp_path / "sweep.toml").write_text(
        'title = "t"\n[common]\ndataset = "dots"\n'
        'attacks = ["sign"]\n[[rows]]\nname = "plain"\n[[rows]]\nname = "stairs"\ndefence = "stairs"\n'
        '[[rows]]\nname = "both"\ndefence = ["coin", "stairs"]\n'
    )
    jobs = plan_sweep(registry, read_sweep(tmp_path / "sweep.toml"))
    assert [[each.name for each in job.plan.spec.defences] for job in jobs] == [[], ["stairs"], ["coin", "stairs"]]


def test_a_plan_and_a_record_in_words_name_it(runs: Callable[..., RunResult], registry: Registry) -> None:
    asked = replace(ASKED, model="linear", defence="counter", attacks=(STRONG, f"{STRONG},aware=no,samples=2"))
    rows = plan(registry, asked).rows()
    assert ("defence", "counter") in rows
    assert f"{STRONG} (Linf 32/255 white-box; adaptive), 40 test images" in dict(rows[:6]).values()
    text = describe_run(runs(asked))
    assert "defence    counter()" in text and "defence attacked: unaware, EOT 2" in text
    assert "certified Linf 1/255" in text


def test_a_label_cannot_hide_that_the_attacker_was_unaware(runs: Callable[..., RunResult]) -> None:
    result = runs(replace(ASKED, defence="mirror", attacks=(f"{STRONG},aware=no",), white_box=False))
    text = result.model_dump_json()
    with pytest.raises(ValueError, match="does not say aware=no"):
        RunResult.model_validate_json(text.replace(",aware=no", ""))
    with pytest.raises(ValueError, match="which is not what was asked for"):
        RunResult.model_validate_json(text.replace('"knowledge":"unaware"', '"knowledge":"white-box"'))


STACK = replace(ASKED, defence=("mirror", "stairs"))


def test_of_several_the_first_typed_meets_images_first(registry: Registry, runs: Callable[..., RunResult]) -> None:
    planned = plan(registry, STACK)
    dataset, network = toy.Dots(), toy.LinearNetwork(gain=-50.0, broken=False).eval().requires_grad_(False)
    test = dataset.split("test", 4)
    found = defended(planned, network, test, make_context(Path("none"), dataset))
    images = to_pixels(test.images, torch.device("cpu"))
    mirrored = toy_defences.Mirror().purify(network, images)
    assert torch.equal(found(images), network(toy_defences.Stairs().purify(network, mirrored)))
    assert isinstance(found, Defended) and found.undefended is network and found.seen("no") is network
    result = runs(replace(STACK, attacks=(STRONG, f"{STRONG},aware=no", f"{STRONG},aware=exact")))
    assert correct(result) == [40, 0, 40, 40]
    assert [score.defence for score in result.attacks] == ["BPDA", "unaware", "autograd"]


def test_one_defence_is_the_run_that_it_was_and_order_counts(registry: Registry) -> None:
    def spec(*names: str) -> RunSpec:
        return plan(registry, replace(ASKED, defence=names)).spec

    assert (
        spec("mirror") == plan(registry, replace(ASKED, defence="mirror")).spec and spec() == plan(registry, ASKED).spec
    )
    assert spec("mirror").model_dump(mode="json")["defence"]["name"] == "mirror"
    assert (
        len({each.run_id() for each in (spec(), spec("mirror"), spec("mirror", "stairs"), spec("stairs", "mirror"))})
        == 4
    )
    listed = spec("mirror").model_dump(mode="json")
    listed["defence"] = [listed["defence"]]
    with pytest.raises(ValueError, match="at least 2 items"):
        RunSpec.model_validate(listed)


def test_a_stack_is_random_if_one_of_it_is_and_is_put_in_front_again_elsewhere(
    registry: Registry, runs: Callable[..., RunResult]
) -> None:
    asked = replace(STACK, model="linear", defence=("stairs", "coin"), eval_datasets=("stripes",))
    result = runs(asked, checks="fast")
    (there,) = result.elsewhere
    assert {score.defence for score in (*result.attacks, *there.attacks)} == {f"BPDA, EOT {SAMPLES}"}
    found = {check.name: check for check in result.checks}
    assert found["determinism"].verdict == "pass" and "as it says" in found["determinism"].reason
    assert "--defence stairs --defence coin" in result.provenance.command
    again = RunResult.model_validate_json(result.model_dump_json())
    assert again == result and replan(registry, again.spec).spec == result.spec
    assert {"defence stairs", "defence coin"} <= set(result.provenance.plugins)
    (table, _) = leaderboard([result])
    assert table.rows[0].name == f"zero-shot (defence stairs + coin; attacked: BPDA, EOT {SAMPLES})"
    assert "defence    stairs()" in describe_run(result) and "defence    coin()" in describe_run(result)
    assert [row for row in plan(registry, asked).rows() if row[0] == "defence"] == [
        ("defence", "stairs"),
        ("defence", "coin"),
    ]


def test_what_cannot_stand_behind_another_is_refused(registry: Registry, runs: Callable[..., RunResult]) -> None:
    with pytest.raises(SpecError, match=r"counter proves nothing behind mirror, .* put --defence counter before it"):
        plan(registry, replace(ASKED, defence=("mirror", "counter")))
    assert runs(replace(ASKED, model="linear", defence=("counter", "shaky"))).certified
    with pytest.raises(PluginError, match=r"choosy does not fit a network behind mirror: .* stands last"):
        runs(replace(ASKED, defence=("choosy", "mirror")))
