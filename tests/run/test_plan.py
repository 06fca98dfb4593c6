from __future__ import annotations

import shlex
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from robench.cli import cli
from robench.errors import SpecError
from robench.records.labels import command_of
from robench.registry.registry import Registry
from robench.run.plan import Request, plan

from tests.conftest import entry_point, registry_of
from tests.helpers.toy import SIZES

ASKED = Request(dataset="dots", tuner="bias", attacks=("sign-linear",), train_size=20, test_size=10)


def test_a_lone_transfer_attack_gets_its_white_box_twin(registry: Registry) -> None:
    spec = plan(registry, replace(ASKED, attacks=("sign-linear:eps=4/255,n=5",))).spec
    assert [attack.label for attack in spec.attacks] == ["sign-linear:eps=4/255", "sign:eps=4/255"]
    assert spec.attacks[1].surrogate is None and spec.attacks[1].n == 5


def test_a_control_beside_a_transfer_attack_is_no_white_box_attack(registry: Registry) -> None:
    asked = replace(ASKED, attacks=("still", "sign-linear"))
    assert [attack.label for attack in plan(registry, asked).spec.attacks] == ["still", "sign-linear", "sign"]
    assert len(plan(registry, replace(asked, attacks=("still",))).spec.attacks) == 1


def test_another_dataset_may_have_its_own_number_of_images(registry: Registry) -> None:
    plain = plan(registry, replace(ASKED, eval_datasets=("stripes",))).spec
    more = plan(registry, replace(ASKED, eval_datasets=("stripes:n=30",))).spec
    whole = plan(registry, replace(ASKED, eval_datasets=("stripes:n=all",))).spec
    assert [each.scored(each.eval_datasets[0]) for each in (plain, more, whole)] == [10, 30, SIZES["test"]]
    assert len({plain.run_id(), more.run_id(), whole.run_id()}) == 3
    few = plan(registry, replace(ASKED, attacks=("sign:n=4", "still"), eval_datasets=("stripes:n=30",))).spec
    # An attack on all of the run's images takes all of the others too, one on the first takes as many.
    assert [few.attacked(attack, 30) for attack in few.attacks] == [4, 30]
    for wrong in ("n=0", "n=x", "n=3,n=4"):
        with pytest.raises(SpecError, match="n="):
            plan(registry, replace(ASKED, eval_datasets=(f"stripes:{wrong}",)))


def test_no_twin_where_unwanted_or_already_there(registry: Registry) -> None:
    assert len(plan(registry, replace(ASKED, white_box=False)).spec.attacks) == 1
    both = replace(ASKED, attacks=("sign-linear", "sign:eps=2/255"))
    assert len(plan(registry, both).spec.attacks) == 2


def test_the_dataset_recommends_the_model_and_the_model_the_tuner_s_settings(registry: Registry) -> None:
    planned = plan(registry, ASKED)
    assert planned.spec.model.name == "linear"
    assert planned.spec.tuner.params["lr"] == 0.5
    assert plan(registry, replace(ASKED, tuner="bias:lr=0.2")).spec.tuner.params["lr"] == 0.2
    assert plan(registry, replace(ASKED, lr=0.3)).spec.tuner.params["lr"] == 0.3


def test_a_flag_and_a_parameter_that_say_the_same_thing_twice_are_refused(registry: Registry) -> None:
    with pytest.raises(SpecError, match="lr is given both"):
        plan(registry, replace(ASKED, tuner="bias:lr=0.2", lr=0.3))


def test_a_flag_the_tuner_does_not_know_is_refused(registry: Registry) -> None:
    with pytest.raises(SpecError, match="tuner 'none' has no parameter 'lr'"):
        plan(registry, replace(ASKED, tuner="none", lr=0.3))


def test_the_tuner_s_adversary_is_resolved_before_anything_runs(registry: Registry) -> None:
    planned = plan(registry, replace(ASKED, tuner="bias:surrogate.gain=7"))
    assert planned.adversary is not None and planned.adversary.surrogate is not None
    assert planned.adversary.surrogate.params.as_dict()["gain"] == 7.0
    with pytest.raises(SpecError, match="unknown attack 'sgin'"):
        plan(registry, replace(ASKED, tuner="bias:adversary=sgin"))
    with pytest.raises(SpecError, match="trains on no attack"):
        plan(registry, replace(ASKED, tuner="none:surrogate.gain=7"))


def test_training_size_is_no_part_of_a_run_that_does_not_train(registry: Registry) -> None:
    small, large = (plan(registry, replace(ASKED, tuner="none", train_size=n)).spec for n in (5, 50))
    assert small.run_id() == large.run_id()
    assert small.train_size is None


def test_the_same_run_written_in_other_words_has_the_same_identity(registry: Registry) -> None:
    written = replace(ASKED, model="linear:gain=50.0", tuner="bias:lr=0.5,epochs=1", attacks=("sign-linear", "sign"))
    assert plan(registry, written).spec.run_id() == plan(registry, ASKED).spec.run_id()


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": 1},
        {"split": "validation"},
        {"test_size": 11},
        {"train_size": 21},
        {"tuner": "bias:epochs=2"},
        {"model": "steep"},
        {"attacks": ("sign-linear:eps=1/255",)},
        {"attacks": ("sign-steep",)},
        {"attacks": ("sign-linear:n=3",)},
    ],
)
def test_anything_that_can_change_a_number_changes_the_identity(registry: Registry, changed: dict[str, object]) -> None:
    assert plan(registry, replace(ASKED, **changed)).spec.run_id() != plan(registry, ASKED).spec.run_id()  # type: ignore[arg-type]


def test_impossible_sizes_and_seeds_are_refused(registry: Registry) -> None:
    for wrong in ({"test_size": 0}, {"train_size": -1}, {"seed": -1}):
        with pytest.raises(SpecError):
            plan(registry, replace(ASKED, **wrong))  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="cannot score split 'train'"):
        plan(registry, replace(ASKED, split="train"))
    with pytest.raises(SpecError, match="asks for n=11 images, but the run has only 10"):
        plan(registry, replace(ASKED, attacks=("sign:n=11",)))
    with pytest.raises(SpecError, match="asked for twice"):
        plan(registry, replace(ASKED, attacks=("sign", "sign:eps=8/255")))


@given(
    lr=st.floats(1e-6, 1),
    gain=st.floats(-1e3, 1e3),
    eps=st.integers(1, 255),
    n=st.integers(1, 10),
    seed=st.integers(0, 2**31),
    split=st.sampled_from(["test", "validation"]),
    transfer=st.booleans(),
    white_box=st.booleans(),
    tuner=st.sampled_from(["bias:lr={},surrogate.gain={}", "bias:lr={},adversary=sign", "none"]),
)
def test_the_recorded_command_repeats_the_run(
    lr: float, gain: float, eps: int, n: int, seed: int, split: str, transfer: bool, white_box: bool, tuner: str
) -> None:
    registry = registry_of(entry_point("toy", "tests.helpers.toy", "toy-dist"))
    attack = f"sign-linear:eps={eps}/255,n={n},surrogate.gain={gain}" if transfer else f"sign:eps={eps}/255"
    asked = replace(ASKED, tuner=tuner.format(lr, gain), attacks=(attack,), seed=seed, split=split, white_box=white_box)
    spec = plan(registry, asked).spec
    words = shlex.split(command_of(spec))[2:]
    flags = cli.commands["run"].make_context("run", words).params
    typed = Request(**{key: value for key, value in flags.items() if key in Request.__dataclass_fields__})
    assert plan(registry, typed).spec.run_id() == spec.run_id()


def test_all_means_as_many_images_as_the_split_has(registry: Registry) -> None:
    asked = plan(registry, replace(ASKED, train_size="all", test_size="all")).spec
    assert (asked.train_size, asked.test_size) == (SIZES["train"], SIZES["test"])
    validated = plan(registry, replace(ASKED, test_size="all", split="validation")).spec
    assert validated.test_size == validated.attacks[0].n == SIZES["validation"]
    by_number = plan(registry, replace(ASKED, train_size=SIZES["train"], test_size=SIZES["test"])).spec
    assert by_number.run_id() == asked.run_id()


def test_the_protocol_is_a_parameter_of_the_dataset(registry: Registry) -> None:
    with pytest.raises(SpecError, match="'dots' has no parameter 'protocol'"):
        plan(registry, replace(ASKED, protocol="study"))
