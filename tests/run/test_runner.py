from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from robench import hookimpl
from robench.contracts.context import Progress
from robench.errors import PluginError, RobenchError
from robench.records.record import RunResult, RunSpec, Score
from robench.records.store import Store
from robench.registry.registry import Registry
from robench.run.plan import Request, plan
from robench.run.runner import run
from robench.statistics.worst_case import worst_cases

from tests.helpers import toy
from tests.helpers.results import attack_score, bits
from tests.helpers.toy import SIZES

ASKED = Request(dataset="dots", tuner="bias", attacks=("sign-linear", "sign"), train_size=60, test_size=40)


class Runs:
    """Runs requests against one results folder and one cache."""

    def __init__(self, registry: Registry, folder: Path) -> None:
        self.registry = registry
        self.store = Store(folder / "results")
        self.store.prepare()
        self.cache = folder / "cache"

    def __call__(self, request: Request) -> RunResult:
        return run(
            self.registry,
            plan(self.registry, request),
            device=torch.device("cpu"),
            cache_dir=self.cache,
            save=lambda result: self.store.write(result)[0],
        )


@pytest.fixture
def runs(registry: Registry, tmp_path: Path) -> Runs:
    return Runs(registry, tmp_path)


def test_a_run_measures_what_the_toy_makes_certain(runs: Runs) -> None:
    result = runs(replace(ASKED, tuner="none"))
    assert result.clean is not None and result.clean.correct == 40
    # Classes lie about 10/255 from the boundary on either side, so 8/255 fools none and 16/255 all.
    strong = runs(replace(ASKED, tuner="none", attacks=("sign:eps=4/255", "sign:eps=32/255")))
    assert [score.correct for score in strong.attacks] == [40, 0]
    assert [score.largest_norm for score in strong.attacks] == [4 / 255, 32 / 255]
    assert strong.worst_case[0].correct == 0 and strong.worst_case[0].eps == "32/255"


def test_the_same_run_gives_the_same_numbers_and_another_seed_its_own_stream(runs: Runs) -> None:
    first, second = runs(ASKED), runs(ASKED)
    assert second.run_id == f"{first.run_id}-2"
    assert first.tuning is not None and second.tuning is not None
    assert first.tuning.tuned_fingerprint == second.tuning.tuned_fingerprint
    assert [score.bits for score in first.attacks] == [score.bits for score in second.attacks]
    assert (
        runs(replace(ASKED, attacks=("liar",))).attacks[0].images
        != runs(replace(ASKED, attacks=("liar",), seed=1)).attacks[0].images
    )


def test_settings_are_chosen_on_the_validation_split(runs: Runs) -> None:
    chosen = runs(replace(ASKED, split="validation", test_size=20))
    assert chosen.data is not None
    assert chosen.data.test_fingerprint == toy.Dots().split("validation").fingerprint()


def test_transfer_sets_are_shared_by_targets_and_white_box_sets_are_not(runs: Runs) -> None:
    first = runs(ASKED)
    second = runs(replace(ASKED, model="steep", tuner="none"))
    assert [score.cached for score in first.attacks] == [False, False]
    assert [score.cached for score in second.attacks] == [True, False]
    assert first.attacks[0].images == second.attacks[0].images


def test_the_record_tells_what_was_tuned(runs: Runs) -> None:
    tuned, untuned = runs(ASKED).tuning, runs(replace(ASKED, tuner="none")).tuning
    assert tuned is not None and untuned is not None
    assert (tuned.parameters, tuned.trainable_parameters) == (2, 1)
    assert untuned.trainable_parameters == 0
    assert tuned.tuned_fingerprint != tuned.model_fingerprint == untuned.tuned_fingerprint
    assert [row["epoch"] for row in tuned.history] == [1]


def test_white_box_training_attacks_the_model_as_it_stands(runs: Runs) -> None:
    result = runs(replace(ASKED, tuner="bias:adversary=sign,epochs=2"))
    assert result.spec.adversary is not None and result.spec.adversary.surrogate is None
    assert result.tuning is not None and len(result.tuning.history) == 2
    # Only the transferred test set is cached; training images depended on the model as it stood.
    assert len(list(runs.cache.glob("adversarial/*/meta.json"))) == 1


def test_a_failed_run_is_a_record_with_its_reason(runs: Runs) -> None:
    with pytest.raises(PluginError, match="NaN"):
        runs(replace(ASKED, tuner="none", model="linear:broken=true"))
    (record,) = runs.store.read(print)
    assert record.status == "failed" and record.error is not None and "NaN" in record.error.message
    assert record.data is not None


def test_a_failure_half_way_keeps_what_was_measured(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> torch.Tensor:
        raise KeyboardInterrupt

    monkeypatch.setattr(toy.Liar, "perturb", interrupt)
    with pytest.raises(KeyboardInterrupt):
        runs(replace(ASKED, tuner="none", attacks=("sign", "liar")))
    (record,) = runs.store.read(print)
    assert record.status == "interrupted"
    assert record.clean is not None and [score.label for score in record.attacks] == ["sign"]


def test_too_few_images_are_an_error_before_any_training(runs: Runs) -> None:
    with pytest.raises(RobenchError, match="dots has 40 test images; 41 were asked for"):
        runs(replace(ASKED, test_size=41))


def test_a_broken_surrogate_is_warned_about(runs: Runs) -> None:
    result = runs(replace(ASKED, tuner="none", attacks=("sign-linear:surrogate.gain=-50",)))
    assert result.attacks[0].surrogate is not None and result.attacks[0].surrogate.clean_correct == 0
    assert any("classifies only 0.0 %" in warning for warning in result.warnings)
    assert not runs(replace(ASKED, tuner="none")).warnings


def test_hooks_hear_the_start_the_progress_and_the_end(runs: Runs) -> None:
    heard: list[str] = []

    class Listener:
        @hookimpl
        def robench_run_started(self, spec: RunSpec, run_id: str) -> None:
            heard.append(f"started {run_id}")

        @hookimpl
        def robench_run_progress(self, progress: Progress) -> None:
            heard.append(progress.stage)

        @hookimpl
        def robench_run_finished(self, result: RunResult) -> None:
            heard.append(f"finished {result.run_id} {result.status}")

    runs.registry.manager.register(Listener())
    result = runs(ASKED)
    assert heard[0] == f"started {result.run_id}" and heard[-1] == f"finished {result.run_id} completed"
    assert {
        "data",
        "tuning",
        "attack sign-linear, train images",
        "attack sign-linear, test images",
        "attack sign, test images",
        "evaluation, clean",
    } <= set(heard)


def test_the_worst_case_counts_images_right_under_everything() -> None:
    clean = Score.of(bits(90, 100))
    transfer = attack_score("pgd-resnet20", 60, 100, "w")
    white_box = attack_score("pgd", 30, 50, "w")
    flipped = white_box.model_copy(update={"bits": Score.of(np.arange(50) >= 20).bits})
    (worst,) = worst_cases(clean, [transfer, flipped])
    # On the 50 common images: transfer leaves 0-49 right, white-box 20-49.
    assert (worst.n, worst.correct, worst.attacks) == (50, 30, ("pgd-resnet20", "pgd"))
    assert worst_cases(Score.of(bits(25, 100)), [transfer, flipped])[0].correct == 5


def test_a_control_does_not_count_as_an_attack(runs: Runs) -> None:
    result = runs(replace(ASKED, tuner="none", attacks=("still:eps=1", "sign:eps=4/255")))
    assert result.attacks[0].knowledge == "nothing" and result.attacks[0].bits == result.clean.bits  # type: ignore[union-attr]
    (worst,) = result.worst_case
    assert worst.attacks == ("sign:eps=4/255",) and worst.eps == "4/255"
    assert not runs(replace(ASKED, tuner="none", attacks=("still",))).worst_case


# Other datasets


def test_a_tuned_network_is_scored_on_other_datasets_too(runs: Runs) -> None:
    result = runs(replace(ASKED, eval_datasets=("stripes",)))
    (away,) = result.elsewhere
    assert result.data is not None and away.data.class_names == ("dim", "bright")
    assert away.data.test_fingerprint != result.data.test_fingerprint
    assert away.dataset.name == "stripes"
    # Stripes are dots upside down, and the toy looks at the mean alone: the same images are right.
    assert result.clean is not None and away.clean.bits == result.clean.bits
    assert [score.label for score in away.attacks] == ["sign-linear", "sign"]
    assert away.worst_case[0].attacks == ("sign-linear", "sign")


def test_a_dataset_is_not_scored_twice(registry: Registry) -> None:
    with pytest.raises(RobenchError, match="dataset 'dots' is asked for twice"):
        plan(registry, replace(ASKED, eval_datasets=("dots",)))


def test_a_model_that_knows_its_own_classes_only_says_so(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(toy.Linear, "rebind")
    with pytest.raises(PluginError, match="cannot name the classes of another dataset"):
        runs(replace(ASKED, eval_datasets=("stripes",)))


def test_a_closed_set_model_is_scored_on_another_dataset_of_its_classes(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(toy.Linear, "rebind")
    monkeypatch.setattr(toy.Stripes, "class_names", toy.Dots.class_names)
    (away,) = runs(replace(ASKED, eval_datasets=("stripes",))).elsewhere
    assert away.clean.n == ASKED.test_size


def test_what_a_run_does_not_have_leaves_its_identity_alone(registry: Registry) -> None:
    plain, more = plan(registry, ASKED).spec, plan(registry, replace(ASKED, eval_datasets=("stripes",))).spec
    assert plain.run_id() != more.run_id()
    bare = plain.model_dump()
    del bare["eval_datasets"], bare["adapter"]
    assert RunSpec.model_validate(bare).run_id() == plain.run_id()


# Products and validation


def test_a_record_says_where_images_and_parameters_are(runs: Runs) -> None:
    result = runs(replace(ASKED, tuner="shift+likely:adversary=none,balance=7"))
    assert result.data is not None and result.tuning is not None
    assert result.data.train_counts == (30, 30) and result.data.test_counts == (20, 20)
    assert result.tuning.drawn_counts == (7, 7)
    assert sum(result.tuning.layers.values()) == result.tuning.parameters
    untrained = runs(replace(ASKED, tuner="none"))
    assert untrained.data is not None and untrained.tuning is not None
    assert untrained.data.train_counts is None and untrained.tuning.drawn_counts is None


def test_validation_takes_all_images_where_there_are_fewer_than_asked_for(runs: Runs) -> None:
    few, many = (
        runs(replace(ASKED, tuner=f"shift+likely:adversary=none,validate_on={n}")) for n in (SIZES["validation"], 9999)
    )
    assert few.tuning is not None and many.tuning is not None
    assert few.tuning.history == many.tuning.history


def test_a_product_is_validated_on_the_locked_split(runs: Runs) -> None:
    tuner = "shift+likely:adversary=sign-linear,validate_on=20,keep=best,epochs=2"
    result = runs(replace(ASKED, tuner=tuner))
    assert result.tuning is not None and result.tuning.trainable_parameters == 1
    for row in result.tuning.history:
        assert row.keys() == {"epoch", "loss", "lr", "validation_loss", "validation_clean", "validation_adversarial"}
        assert 0 <= row["validation_adversarial"] <= row["validation_clean"] <= 1


def test_a_white_box_adversary_works_against_the_network_in_training(runs: Runs) -> None:
    result = runs(replace(ASKED, tuner="shift+likely:adversary=sign,eps=4/255,validate_on=5"))
    assert result.spec.adversary is not None and result.spec.adversary.surrogate is None
    assert result.tuning is not None and "validation_adversarial" in result.tuning.history[0]


# Ensembles


def test_an_attack_on_an_ensemble_is_an_attack_on_the_mean_logits(runs: Runs) -> None:
    result = runs(replace(ASKED, tuner="none", attacks=("sign-linear+steep", "sign-linear"), white_box=False))
    both, one = result.attacks
    assert both.label == "sign-linear+steep" and both.knowledge == "transfer"
    assert both.surrogate is not None and both.surrogate.name == "linear+steep"
    # Two linear models of the same direction: the same signs, so the same images.
    assert both.images == one.images
    assert both.surrogate.fingerprint != one.surrogate.fingerprint  # type: ignore[union-attr]
    spec = result.spec.attacks[0].surrogate
    assert spec is not None and spec.params["linear"]["gain"] == 50 and spec.params["steep"]["gain"] == 500


def test_parameters_of_an_ensemble_go_to_every_member(registry: Registry) -> None:
    attack = registry.resolve_attack("sign-linear+steep:surrogate.gain=7")
    assert attack.surrogate is not None
    assert attack.surrogate.values() == {name: {"gain": 7.0, "broken": False} for name in ("linear", "steep")}
    assert attack.label == "sign-linear+steep:surrogate.gain=7.0"
    with pytest.raises(RobenchError, match="surrogate 'linear' is named twice"):
        registry.resolve_attack("sign-linear+linear")
    with pytest.raises(RobenchError, match=r"unknown model 'stepe'; did you mean 'sign-linear\+steep'"):
        registry.resolve_attack("sign-linear+stepe")
