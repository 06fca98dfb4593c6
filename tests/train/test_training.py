"""Products of adaptation and objective, and the loop that trains them all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from robench import Field, ImageSet, Params, PluginError, Progress, SpecError, TuningTask
from robench.attack.perturbation import seeded
from robench.registry.registry import Registry
from robench.run.plan import Request, plan
from robench.train.optimizer import lr_factor, make_optimizer
from robench.train.params import TrainingParams
from robench.train.product import Product, product
from torch import nn

from robench_plugins.adaptations.text_head import FromTexts
from tests.helpers.plugin_fixtures import make_context
from tests.helpers.toy import Dots, Likely, LinearNetwork, Shift

ShiftLikely = product("shift+likely", Shift, Likely)


def make(**params: Any) -> Product:
    return ShiftLikely(ShiftLikely.Params.read(params, "shift+likely"))  # type: ignore[arg-type]


def task(network: LinearNetwork, *, n: int = 60, **more: Any) -> TuningTask:
    train = Dots().split("train", n)
    given: dict[str, Any] = {"adversary": lambda indices, images, labels, score=None: images, **more}
    return TuningTask(network=network, train=train, context=make_context(Path("unused"), Dots()), **given)


def fit(tuner: Product, *, seed: int = 0, bias: float = 3.0, **more: Any) -> tuple[float, list[dict[str, float]]]:
    """Train the toy from a wrong bias and return the bias and the history."""
    network = LinearNetwork(50.0, False)
    network.bias.data.fill_(bias)
    tuner.adapt(network, {})
    with seeded(seed, torch.device("cpu")):
        history = tuner.fit(task(network, **more))
    return network.bias.item(), history


# Products


def test_a_product_has_the_parameters_of_both_halves_and_of_training(registry: Registry) -> None:
    tuner = registry.resolve("tuner", "shift+likely:pull=0.25,epochs=3,adversary=none")
    assert tuner.name == "shift+likely"
    assert tuner.label == "shift+likely:epochs=3,adversary=none,pull=0.25"
    assert tuner.params.as_dict() | {"lr": 0.01, "pull": 0.25, "epochs": 3} == tuner.params.as_dict()
    assert isinstance(tuner.build(), Product)
    assert tuner.origins.keys() == {"tuner shift+likely", "adaptation shift", "objective likely"}


def test_a_preset_is_a_product_with_defaults_of_its_own(registry: Registry) -> None:
    preset = registry.resolve("tuner", "preset")
    assert preset.label == "preset"
    assert preset.params.as_dict()["pull"] == 0.5
    assert preset.params.as_dict()["lr"] == 0.01  # what the adaptation recommends
    assert preset.build().adversary() == "sign-linear:eps=8/255"


def test_what_a_model_recommends_for_an_adaptation_reaches_its_products(registry: Registry) -> None:
    request = Request(dataset="dots", tuner="shift+likely:adversary=sign-linear", attacks=("sign",), train_size=9)
    planned = plan(registry, Request(**{**vars(request), "test_size": 9}))
    assert planned.spec.tuner.params["epochs"] == 2
    flagged = plan(registry, Request(**{**vars(request), "test_size": 9, "epochs": 5}))
    assert flagged.spec.tuner.params["epochs"] == 5


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("shift", "'shift' is half a tuner; expected ADAPTATION\\+OBJECTIVE"),
        ("likely", "'likely' is half a tuner"),
        ("shfit+likely", "unknown adaptation 'shfit'; did you mean 'shift.likely'"),
        ("shift+unlikly", "unknown objective 'unlikly'; did you mean 'shift.likely'"),
        ("shift+likely:tau=1", "tuner 'shift\\+likely' has no parameter 'tau'"),
        ("shift+likely:keep=best", "keep=best needs validation images"),
        ("shift+likely:optimizer=lion", "optimizer=lion: .*'adamw', 'adam' or 'sgd'"),
    ],
)
def test_half_a_tuner_or_a_wrong_one_is_refused_by_name(registry: Registry, name: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        registry.resolve("tuner", name)


class Greedy(Likely):
    """Calls its parameters as the adaptation and the training do."""

    class Params(Params):
        lr: float = Field(default=1.0, description="mine")
        pull: int = Field(default=3, ge=1, description="mine, too")
        push: int = Field(default=0, description="nobody else's")


def test_parameters_of_two_halves_have_namespaces_where_their_names_are_not_unique() -> None:
    kind = product("shift+greedy", Shift, Greedy)
    given = {"objective.lr": "2", "lr": "0.5", "adaptation.pull": "0.25", "objective.push": "7"}
    params = kind.Params.read(given, "tuner")
    tuner = kind(params)
    assert (params.lr, tuner._adaptation.params.pull) == (0.5, 0.25)
    assert tuner._objective.params.model_dump() == {"lr": 2.0, "pull": 3, "push": 7}
    assert params.as_dict()["push"] == 7 and "objective.push" not in params.as_dict()
    with pytest.raises(SpecError, match=r"both halves .* 'pull'; write adaptation\.pull or objective\.pull"):
        kind.Params.read({"pull": "1"}, "tuner")
    with pytest.raises(SpecError, match=r"objective\.pull=0: .* greater than or equal to 1"):
        kind.Params.read({"objective.pull": "0"}, "tuner")
    with pytest.raises(SpecError, match=r"no parameter 'objective\.pul'; did you mean 'objective\.pull'"):
        kind.Params.read({"objective.pul": "1"}, "tuner")


def test_a_unique_parameter_may_be_typed_with_its_half_and_is_recorded_without(registry: Registry) -> None:
    short, long = (registry.resolve("tuner", f"shift+likely:{name}=0.5") for name in ("pull", "adaptation.pull"))
    assert short.label == long.label == "shift+likely:pull=0.5" and short.values() == long.values()
    assert registry.resolve("tuner", "preset:adaptation.pull=0.25").label == "preset:pull=0.25"
    with pytest.raises(SpecError, match="'pull' is given twice"):
        registry.resolve("tuner", "shift+likely:pull=1,adaptation.pull=2")


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, "pgd-resnet20:eps=8/255"),
        ({"eps": "4/255", "steps": 3}, "pgd-resnet20:eps=4/255,steps=3"),
        ({"adversary": "white-box"}, "pgd:eps=8/255"),
        ({"adversary": "none"}, None),
        ({"adversary": "pgd-resnet20:alpha=1/255", "steps": 2}, "pgd-resnet20:alpha=1/255,eps=8/255,steps=2"),
    ],
)
def test_the_adversary_is_written_as_an_attack(params: dict[str, Any], expected: str | None) -> None:
    assert TrainingParams.read(params, "tuner").attack() == expected


def test_the_ball_may_be_said_of_the_adversary_itself_but_once() -> None:
    said = TrainingParams.read({"adversary": "pgd:norm=L2,eps=2/255,steps=3"}, "tuner")
    assert said == TrainingParams.read({"adversary": "pgd:norm=L2", "eps": "2/255", "steps": "3"}, "tuner")
    assert said.attack() == "pgd:norm=L2,eps=2/255,steps=3"
    with pytest.raises(SpecError, match="eps=4/255 and adversary=pgd:eps=2/255 differ; expected it once"):
        TrainingParams.read({"adversary": "pgd:eps=2/255", "eps": "4/255"}, "tuner")


@pytest.mark.parametrize(
    "params", [{"lr": 0}, {"epochs": 0}, {"batch_size": 0}, {"eps": "8"}, {"accumulate": 0}, {"warmup": 1}]
)
def test_training_parameters_out_of_range_are_refused(params: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match=next(iter(params))):
        make(**params)


# The loop


def test_the_halves_hear_what_happens_in_order() -> None:
    tuner = make(epochs=2, batch_size=16, lr=0.1)
    fit(tuner)
    heard = tuner._adaptation.heard  # type: ignore[attr-defined]
    assert heard == [("begin", 8), *(("step", step) for step in range(8))]


def test_training_finds_the_bias_that_the_classes_want() -> None:
    bias, history = fit(make(epochs=20, lr=0.2))
    assert abs(bias) < 1.5
    assert [row["epoch"] for row in history] == list(range(1, 21))
    assert history[-1]["loss"] < 0.5 * history[0]["loss"]


def test_the_history_is_the_mean_loss_of_an_image() -> None:
    tuner = make(batch_size=25, optimizer="sgd", lr=1e-9)
    _, (row,) = fit(tuner)
    network = LinearNetwork(50.0, False)
    network.bias.data.fill_(3.0)
    data = Dots().split("train")
    network.eval()
    loss = torch.nn.functional.cross_entropy(
        network(torch.from_numpy(data.images).float() / 255), torch.from_numpy(data.labels)
    )
    assert row["loss"] == pytest.approx(loss.item(), rel=1e-4)


def test_the_penalty_of_an_adaptation_counts() -> None:
    free, _ = fit(make(epochs=10, lr=0.2, optimizer="sgd", momentum=0.0))
    pulled, _ = fit(make(epochs=10, lr=0.2, optimizer="sgd", momentum=0.0, pull=1.0))
    assert abs(pulled) < abs(free)


@pytest.mark.parametrize("n", [60, 50])
def test_accumulated_batches_act_as_one_batch_of_their_joint_size(n: int) -> None:
    settings = {"epochs": 2, "lr": 0.05, "optimizer": "sgd"}
    whole, whole_history = fit(make(batch_size=32, **settings), n=n)
    pieces, pieces_history = fit(make(batch_size=8, accumulate=4, **settings), n=n)
    assert pieces == pytest.approx(whole, rel=1e-5)
    assert pieces_history[-1]["loss"] == pytest.approx(whole_history[-1]["loss"], rel=1e-5)


def test_clipping_bounds_a_step() -> None:
    settings = {"batch_size": 60, "optimizer": "sgd", "momentum": 0.0, "lr": 1.0}
    free, _ = fit(make(**settings), bias=0.3)
    clipped, _ = fit(make(**settings, clip_norm=1e-3), bias=0.3)
    assert abs(free - 0.3) > 1e-3
    assert abs(clipped - 0.3) == pytest.approx(1e-3, rel=1e-3)


def test_the_seed_decides_the_order() -> None:
    settings = {"batch_size": 7, "lr": 0.3}
    assert fit(make(**settings)) == fit(make(**settings))
    assert fit(make(**settings)) != fit(make(**settings), seed=1)


def test_a_loss_that_is_not_finite_is_an_error() -> None:
    with pytest.raises(PluginError, match="training loss became nan in epoch 1; lower --lr"):
        fit(make(), adversary=lambda indices, images, labels, score: images * torch.nan)


def test_an_objective_that_the_adaptation_cannot_serve_is_an_error() -> None:
    class Blind(Likely):
        def loss(self, network: Any, clean: Any, adversarial: Any, labels: Any) -> Any:
            return clean.mean()

    class Free(Shift):
        def penalty(self, network: Any) -> float:
            return 0.0

    kind = product("free+blind", Free, Blind)
    with pytest.raises(PluginError, match="depends on nothing that the adaptation trains"):
        fit(kind(kind.Params.read({}, "x")))  # type: ignore[arg-type]


def test_without_an_adversary_the_adversarial_images_are_the_clean_ones() -> None:
    seen: list[bool] = []

    class Looks(Likely):
        def loss(self, network: Any, clean: Any, adversarial: Any, labels: Any) -> Any:
            seen.append(torch.equal(clean, adversarial))
            return super().loss(network, clean, adversarial, labels)

    kind = product("shift+looks", Shift, Looks)
    fit(kind(kind.Params.read({"adversary": "none"}, "x")), adversary=None)  # type: ignore[arg-type]
    assert seen == [True]


@pytest.mark.parametrize("white_box", [True, False])
def test_the_score_of_an_objective_reaches_a_white_box_adversary_only(white_box: bool) -> None:
    given: list[Any] = []

    class Scored(Likely):
        def score(self, network: Any, clean: Any, labels: Any) -> Any:
            return lambda images: (images - clean).flatten(1).norm(dim=1)

    def adversary(indices: Any, images: Any, labels: Any, score: Any = None) -> Any:
        given.append(score)
        return images

    kind = product(f"shift+scored-{white_box}", Shift, Scored)
    fit(kind(kind.Params.read({}, "x")), adversary=adversary, white_box=white_box)  # type: ignore[arg-type]
    assert len(given) == 1
    assert (given[0] is not None) == white_box


def test_progress_ends_with_every_image_of_every_epoch() -> None:
    seen: list[Progress] = []
    tuner, network = make(epochs=2, batch_size=25), LinearNetwork(50.0, False)
    tuner.adapt(network, {})
    work = task(network)
    object.__setattr__(work.context, "report", seen.append)
    tuner.fit(work)
    assert [p.done for p in seen] == [0, 25, 50, 60, 85, 110, 120]
    assert {(p.stage, p.total) for p in seen} == {("tuning", 120)}


# Choosing on validation images


def test_the_best_epoch_on_validation_images_is_kept() -> None:
    """Accuracy as told peaks at epoch 2 of 4; the weights of that epoch must come back."""
    told = iter([0.5, 0.9, 0.9, 0.2])
    biases: list[float] = []
    tuner, network = make(epochs=4, lr=0.3, validate_on=20, keep="best"), LinearNetwork(50.0, False)
    network.bias.data.fill_(3.0)
    tuner.adapt(network, {})

    def validate(n: int) -> dict[str, float]:
        assert n == 20 and not network.training
        biases.append(network.bias.item())
        return {"validation_clean": 0.0, "validation_adversarial": next(told)}

    history = tuner.fit(task(network, validate=validate))
    assert network.bias.item() == biases[1] != biases[3]
    assert [row["validation_adversarial"] for row in history] == [0.5, 0.9, 0.9, 0.2]


def test_without_an_adversary_the_best_epoch_is_the_most_accurate_on_clean_images() -> None:
    told = iter([0.9, 0.1])
    tuner, network = make(epochs=2, lr=0.3, validate_on=5, keep="best", adversary="none"), LinearNetwork(50.0, False)
    network.bias.data.fill_(3.0)
    tuner.adapt(network, {})
    biases: list[float] = []

    def validate(n: int) -> dict[str, float]:
        biases.append(network.bias.item())
        return {"validation_clean": next(told)}

    tuner.fit(task(network, adversary=None, validate=validate))
    assert network.bias.item() == biases[0]


# Optimisers and schedules


def test_each_optimiser_is_torchs_own_with_the_settings_asked_for() -> None:
    weight = [torch.nn.Parameter(torch.zeros(1))]
    adamw = make_optimizer(TrainingParams(lr=0.1), weight)
    assert type(adamw) is torch.optim.AdamW and adamw.defaults["weight_decay"] == 0.01
    adam = make_optimizer(TrainingParams(optimizer="adam"), weight)
    assert type(adam) is torch.optim.Adam and adam.defaults["weight_decay"] == 0
    sgd = make_optimizer(TrainingParams(optimizer="sgd", momentum=0.5, weight_decay=1e-4), weight)
    assert type(sgd) is torch.optim.SGD
    assert (sgd.defaults["momentum"], sgd.defaults["weight_decay"]) == (0.5, 1e-4)


@pytest.mark.parametrize("fused_from", [0, 10**9])
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_embeddings_made_of_weights_follow_every_step(
    optimizer: Any, fused_from: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fused step counts no versions by itself, and embeddings that nobody trains are kept while none is counted."""
    monkeypatch.setattr("robench.train.optimizer.FUSED_FROM", fused_from)
    words = torch.nn.Parameter(torch.ones(2, 3))
    made = FromTexts(lambda: 2 * words, [], words=words)
    taking = make_optimizer(TrainingParams(optimizer=optimizer, lr=0.1), [words])
    for _ in range(2):
        with torch.no_grad():
            before = made(torch.zeros(2, 3)).clone()
        made(torch.zeros(2, 3)).sum().backward()
        taking.step()
        with torch.no_grad():
            torch.testing.assert_close(made(torch.zeros(2, 3)), 2 * words)
            assert (made(torch.zeros(2, 3)) < before).all()


def test_the_cosine_falls_from_one_through_a_half_to_zero() -> None:
    factors = [lr_factor(step, 10, warmup=0, schedule="cosine") for step in range(11)]
    assert factors[0] == 1 and factors[5] == pytest.approx(0.5) and factors[10] == pytest.approx(0)
    assert factors == sorted(factors, reverse=True)
    assert factors[2] == pytest.approx((1 + math.cos(math.pi / 5)) / 2)


def test_warm_up_rises_linearly_and_then_the_schedule_takes_over() -> None:
    factors = [lr_factor(step, 10, warmup=0.4, schedule="constant") for step in range(10)]
    assert factors[:4] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert factors[4:] == [1.0] * 6
    assert lr_factor(4, 10, warmup=0.4, schedule="cosine") == 1


@given(st.integers(1, 300), st.floats(0, 0.99), st.sampled_from(["constant", "cosine"]))
def test_a_learning_rate_never_leaves_its_range(n_steps: int, warmup: float, schedule: str) -> None:
    factors = [lr_factor(step, n_steps, warmup=warmup, schedule=schedule) for step in range(n_steps)]
    assert all(0 < factor <= 1 for factor in factors)
    assert max(factors) == 1 or round(warmup * n_steps) == n_steps


def test_the_schedule_acts_on_the_steps_taken() -> None:
    """With SGD and a constant gradient the way covered is the sum of the factors."""

    class Slope(Likely):
        def loss(self, network: Any, clean: Any, adversarial: Any, labels: Any) -> Any:
            return network.bias

    kind = product("shift+slope", Shift, Slope)
    params = {"batch_size": 6, "lr": 0.1, "optimizer": "sgd", "momentum": 0.0, "schedule": "cosine", "warmup": 0.3}
    bias, _ = fit(kind(kind.Params.read(params, "x")), bias=0.0)  # type: ignore[arg-type]
    factors = [lr_factor(step, 10, warmup=0.3, schedule="cosine") for step in range(10)]
    assert bias == pytest.approx(-0.1 * sum(factors), rel=1e-5)


def test_images_reach_the_objective_as_pixels_with_their_labels() -> None:
    class Checks(Likely):
        def loss(self, network: Any, clean: Any, adversarial: Any, labels: Any) -> Any:
            assert clean.dtype == torch.float32 and clean.min() >= 0 and clean.max() <= 1
            assert labels.dtype == torch.int64
            # Dots are brighter in class 1, by more than any image differs within its class.
            assert torch.equal((clean.mean(dim=(1, 2, 3)) > 127.5 / 255).long(), labels)
            return super().loss(network, clean, adversarial, labels)

    kind = product("shift+checks", Shift, Checks)
    fit(kind(kind.Params.read({"batch_size": 13}, "x")))  # type: ignore[arg-type]


def test_training_sees_no_images_but_its_own() -> None:
    tuner, network = make(), LinearNetwork(50.0, False)
    tuner.adapt(network, {})
    data = ImageSet(images=np.full((3, 3, 2, 2), 200, np.uint8), labels=np.ones(3, np.int64))
    seen: list[float] = []
    work = TuningTask(
        network=network,
        train=data,
        adversary=lambda indices, images, labels, score: seen.append(images.unique().item()) or images,
        context=make_context(Path("unused"), Dots()),
    )
    tuner.fit(work)
    assert seen == [pytest.approx(200 / 255)]


# Judging epochs


def scored(values: list[float]) -> Any:
    left = iter(values)
    return lambda n: {"validation_loss": next(left), "validation_clean": 0.5}


JUDGED = {"validate_on": 10, "monitor": "loss", "epochs": 12}


def test_training_stops_after_as_many_epochs_without_a_better_one_as_patience_allows() -> None:
    tuner = make(**JUDGED, patience=3)
    _, history = fit(tuner, validate=scored([5, 4, 4, 3, 3.5, 3.5, 3, 1, 1, 1, 1, 1]))
    assert [row["validation_loss"] for row in history] == [5, 4, 4, 3, 3.5, 3.5, 3]


def test_the_epoch_of_the_lowest_loss_is_kept_after_an_early_stop() -> None:
    biases: list[float] = []

    def fitted(epochs: int) -> float:
        return fit(make(epochs=epochs))[0]

    bias, history = fit(make(**JUDGED, patience=2, keep="best"), validate=scored([3, 2, 1, 9, 9]))
    biases += [fitted(3), fitted(5)]
    assert len(history) == 5 and bias == biases[0] != biases[1]


def test_a_plateau_halves_the_rate_from_the_next_epoch_on() -> None:
    tuner = make(**JUDGED, schedule="plateau", lr=0.08)
    _, history = fit(tuner, validate=scored([1.0] * 12))
    assert [row["lr"] for row in history] == [0.08] * 6 + [0.04] * 5 + [0.02]


def test_early_stopping_ends_the_progress_bar() -> None:
    seen: list[Progress] = []
    tuner = make(**JUDGED, patience=1)
    network = LinearNetwork(50.0, False)
    tuner.adapt(network, {})
    work = task(network, validate=scored([1.0] * 12))
    object.__setattr__(work.context, "report", seen.append)
    tuner.fit(work)
    assert seen[-1].done == seen[-1].total == 12 * 60


@pytest.mark.parametrize("setting", [{"keep": "best"}, {"schedule": "plateau"}, {"patience": 3}])
def test_judging_needs_validation_images(setting: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="needs validation images"):
        make(**setting)


def test_a_balanced_epoch_trains_on_as_many_images_of_each_class() -> None:
    seen: list[int] = []

    class Counts(Likely):
        def loss(self, network: Any, clean: Any, adversarial: Any, labels: Any) -> Any:
            seen.extend(labels.tolist())
            return super().loss(network, clean, adversarial, labels)

    tuner_class = product("counts", Shift, Counts)
    tuner = tuner_class(tuner_class.Params.read({"balance": 40, "batch_size": 16}, "counts"))  # type: ignore[arg-type]
    network = LinearNetwork(50.0, False)
    tuner.adapt(network, {})
    tuner.fit(task(network))
    assert np.bincount(seen).tolist() == [40, 40]
    assert tuner.drawn((50, 10)) == (40, 40) and make().drawn((50, 10)) == (50, 10)


def test_augmented_images_are_what_the_objective_and_the_adversary_see() -> None:
    shown: list[Any] = []

    def adversary(indices: Any, images: Any, labels: Any, score: Any = None) -> Any:
        shown.append(images)
        return images

    class Looks(Likely):
        def loss(self, network: Any, clean: Any, adversarial: Any, labels: Any) -> Any:
            assert clean is shown[-1]
            return super().loss(network, clean, adversarial, labels)

    tuner_class = product("looks", Shift, Looks)
    params = {"augment": "study-vit", "adversary": "white-box", "epochs": 2}
    tuner = tuner_class(tuner_class.Params.read(params, "looks"))  # type: ignore[arg-type]
    network = LinearNetwork(50.0, False)
    tuner.adapt(network, {})
    tuner.fit(task(network, adversary=adversary, white_box=True))
    epochs = torch.cat(shown).chunk(2)
    originals = {image.tobytes() for image in task(network).train.images}
    as_bytes = [{(255 * image).round().byte().numpy().tobytes() for image in epoch} for epoch in epochs]
    assert all(len(seen & originals) < len(seen) / 2 for seen in as_bytes)
    assert as_bytes[0] != as_bytes[1]


def test_augmentation_and_images_made_beforehand_exclude_each_other() -> None:
    with pytest.raises(SpecError, match="augment=study-cnn changes every image anew, but pgd-resnet20 makes"):
        make(augment="study-cnn", adversary="pgd-resnet20")


def test_a_batch_norm_that_nobody_trains_keeps_its_statistics() -> None:
    network = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(192, 2))

    class Last(Shift):
        def adapt(self, network: nn.Module, parts: Mapping[str, nn.Module]) -> None:
            network.requires_grad_(False)
            for weight in network[2].parameters():  # type: ignore[index, union-attr]
                weight.requires_grad_(True)

        def after_step(self, network: nn.Module, step: int) -> None:
            pass

        def penalty(self, network: nn.Module) -> float:  # type: ignore[override]
            return 0.0

    kind = product("last+likely", Last, Likely)
    tuner = kind(kind.Params.read({"adversary": "none"}, "tuner"))
    tuner.adapt(network, {})
    before = network[2].weight.detach().clone()
    tuner.fit(task(network))  # type: ignore[arg-type]
    assert torch.equal(network[0].running_mean, torch.zeros(3)) and not torch.equal(network[2].weight, before)
