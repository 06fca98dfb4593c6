"""robench bench: its arithmetic, its report, and that rivals do the same work and come to the same result."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from robench.bench import ITEMS, items_named
from robench.bench import certificate as certificate_item
from robench.bench import study as study_item
from robench.bench import training as training_item
from robench.bench.attack import alike
from robench.bench.clips import as_rivals_have_it
from robench.bench.evaluation import fastest
from robench.bench.limit import gradient_flops, peak_flops
from robench.bench.memory import write_parquet
from robench.bench.process import python
from robench.bench.report import Report, Row, compared, read_report
from robench.bench.rivals import adapters, clip_benchmark_evaluation, transformers_evaluation
from robench.bench.rivals import study as script
from robench.bench.rivals.plain import plain_network
from robench.bench.setting import Setting
from robench.bench.timing import in_turns, ratio_of
from robench.bench.vit_b32 import N_MERGES, stand_in_merges, vocabulary_of
from robench.errors import DataError, RobenchError, SpecError
from robench.images.image_set import to_pixels
from robench.networks.evaluate import logits_of, predict
from robench.registry.registry import discover
from torch import nn

from tests.conftest import command

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    folder = tmp_path_factory.mktemp("bench")
    return Setting(registry=discover(), device=CPU, folder=folder, repeats=1, quick=True, train_size=8, test_size=8)


def row(**changes: object) -> Row:
    figures = {"item": "attack", "case": "PGD", "unit": "images/s", "robench": 120.0}
    return Row.model_validate({**figures, **changes})


def test_ratios_are_medians_over_neighbours_in_time() -> None:
    # The second turn was slow on both sides: a ratio of medians would say 2, that of pairs says 3.
    ratio = ratio_of((1, 10, 2), (3, 20, 8))
    assert (ratio.median, ratio.lowest, ratio.highest) == (3, 2, 4)


def test_rates_are_amounts_a_second_and_targets_are_of_ratios() -> None:
    made = compared((2, 2), (3, 3), amount=100, least=1.5, item="a", case="b", unit="c", rival="d")
    assert made.robench == 50 and made.rival_figure == pytest.approx(100 / 3)
    assert made.ratio == 1.5 and made.met


@pytest.mark.slow
def test_sides_take_turns_after_a_warm_up_and_only_the_work_is_timed() -> None:
    calls: list[str] = []

    def side(name: str) -> object:
        calls.append(f"make {name}")
        return lambda: calls.append(name)

    found = in_turns({"a": lambda: side("a"), "b": lambda: side("b")}, 2, CPU)  # type: ignore[dict-item, return-value]
    assert [call for call in calls if not call.startswith("make")] == ["a", "b", "a", "b", "a", "b"]
    assert len(calls) == 12 and {len(each.seconds) for each in found.values()} == {2}


def test_the_fastest_choice_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 5.0, 10.0, 12.0, 20.0, 29.0])
    monkeypatch.setattr("robench.bench.evaluation.time.perf_counter", lambda: next(clock))
    assert fastest(lambda size: None, [32, 64, 250]) == 64
    assert fastest(lambda size: None, [40]) == 40


def test_items_are_named_once_and_others_are_refused_with_the_nearest() -> None:
    assert [item.name for item in items_named([])] == ["startup", "attack", "evaluation", "training"]
    assert [item.name for item in items_named(["memory", "attack", "memory"])] == ["memory", "attack"]
    for item in ITEMS:
        assert importlib.util.find_spec(f"robench.bench.{item.name}") is not None
    with pytest.raises(SpecError, match="unknown item 'atack'; did you mean 'attack'"):
        items_named(["atack"])


def test_the_command_s_help_names_every_item(capsys: pytest.CaptureFixture[str]) -> None:
    shown, _ = command(capsys, "bench", "--help")
    assert all(f"{item.name:11}  {item.summary}" in shown for item in ITEMS)


@pytest.mark.slow
def test_the_command_measures_writes_and_shows_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "report.json"
    words = ["attack", "whitebox", "evaluation", "--quick", "--repeats", "1", "--device", "cpu", "--output", file]
    shown, log = command(capsys, "bench", *words)
    assert "A smoke run" in shown and "PGD-7 on ResNet-20, 8 images, 4 together" in log
    content = json.loads(file.read_text())
    assert content["schema"] == 1 and content["quick"] and content["machine"]["versions"]["torch"][0].isdigit()
    assert {each["item"] for each in content["rows"]} == {"attack", "whitebox", "evaluation"}
    assert all(each["same"] in (True, None) for each in content["rows"])
    assert command(capsys, "bench", "--from", file, "--json")[0].strip() == file.read_text().strip()
    markdown, _ = command(capsys, "bench", "--from", file, "--format", "markdown")
    assert "| attack: PGD-7 on ResNet-20, 8 images, 4 together" in markdown and "torchattacks" in markdown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["atack"], "unknown item 'atack'"),
        (["--device", "nowhere"], "--device nowhere"),
        (["--format", "cvs"], "unknown value 'cvs'"),
        (["attack", "--from", "FILE"], "measures nothing"),
        (["--from", "FILE"], "FILE: No such file"),
        (["--output", "nowhere/FILE"], "there is no folder nowhere"),
    ],
)
def test_bad_input_is_one_line(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    _, error = command(capsys, "bench", *words, code=2)
    assert message in error and error.count("\n") == 1


def test_another_result_is_told_and_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    about = {"processor": "p", "cores": 2, "threads": 2, "memory_gib": 4, "device": "cpu", "tf32": False}
    machine = {**about, "platform": "Linux", "versions": {"torch": "2"}, "git": None}
    rows = (row(check="loss 1 and 2", same=False),)
    report = Report.model_validate(
        {"schema": 1, "command": "c", "started": "2026", "seconds": 1, "quick": False, "machine": machine, "rows": rows}
    )
    file = tmp_path / "report.json"
    file.write_text(report.model_dump_json(by_alias=True))
    shown, _ = command(capsys, "bench", "--from", file, code=1)
    assert "NO: loss 1 and 2" in shown
    file.write_text('{"rows": 3}')
    with pytest.raises(DataError, match=r"report\.json is no report of robench bench"):
        read_report(file)


@pytest.mark.parametrize(("seconds", "met"), [(9.0, True), (21.0, False)])
def test_the_certificate_s_share_is_of_the_whole_run(
    seconds: float, met: bool, setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    caches: list[str] = []

    def run(words: list[str], folder: Path) -> None:
        given = dict(pairwise(words))
        caches.append(given["--cache-dir"])
        Path(given["--results"]).mkdir(parents=True)
        stages = {"tuning": 80.0, "checks": seconds, "total": 100.0}
        (Path(given["--results"]) / "run.json").write_text(json.dumps({"seconds": stages}))

    monkeypatch.setattr(certificate_item, "python", run)
    rows = list(certificate_item.measure(replace(setting, folder=tmp_path, repeats=2)))
    assert [row.case for row in rows] == ["its share of `robench run`", "its share of `robench run --tuner tecoa`"]
    assert {(row.robench, row.unit, row.met) for row in rows} == {(seconds, "%", met)}
    assert caches[0] == caches[1] != caches[2] == caches[3], "the second run has the cache of the first"


def test_a_plain_network_computes_what_robench_s_does_in_the_layout_it_was_published_in(setting: Setting) -> None:
    network = setting.network("resnet20")
    plain = plain_network(network)
    images = to_pixels(setting.context.dataset.split("test", 4).images, CPU)
    with torch.no_grad():
        assert torch.allclose(plain(images), network(images), atol=1e-4)
    assert all(weight.is_contiguous() for weight in plain.parameters())
    assert {type(module) for module in plain.modules()}.isdisjoint(
        {type(module) for module in network.modules()} - {nn.Sequential, nn.Conv2d, nn.BatchNorm2d, nn.Linear}
    )  # no code is shared that robench made fast


def test_attacks_are_told_apart_by_rate_and_by_loss() -> None:
    assert alike((0.98, 8.0), (0.97, 8.2), 500)
    assert not alike((0.98, 8.0), (0.90, 8.0), 500)
    assert not alike((1.0, 8.0), (1.0, 4.0), 500)


def test_flops_are_those_of_the_forward_pass_and_of_the_inputs_gradient() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 5, bias=False))
    images, labels = torch.rand(3, 3, 2, 2), torch.zeros(3, dtype=torch.long)
    assert gradient_flops(network, images, labels) == 2 * (2 * 12 * 5)
    assert all(weight.requires_grad for weight in network.parameters())
    assert peak_flops(CPU, (64,)) > 1e6


def test_evaluation_rivals_predict_what_robench_predicts(setting: Setting) -> None:
    network = setting.network("clip-tiny")
    clip, data = as_rivals_have_it(network), setting.context.dataset.split("test", 30)
    ours = predict(network, data.images, n_classes=10, device=CPU)
    bare = transformers_evaluation.predictions(clip, torch.from_numpy(data.images), 7)
    pictures = clip_benchmark_evaluation.loader(clip, data.images, data.labels, 0)
    assert (bare.numpy() == ours).all()
    assert (clip_benchmark_evaluation.predictions(clip, pictures).numpy() == ours).all()
    assert len(np.unique(ours)) > 5  # or there would be nothing to compare


@pytest.mark.slow
@pytest.mark.parametrize("case", (*training_item.CASES, training_item.WHOLE), ids=lambda case: case.tuner)
def test_training_rivals_come_to_the_same_loss_and_train_as_many_weights(
    setting: Setting, case: training_item.Case
) -> None:
    model = setting.registry.resolve("model", "clip-tiny").build()
    network = model.build(setting.context)
    images = training_item._images(setting, 32)
    ours, theirs = (
        training_item.fitting(setting, case.tuner, model, network, images)(),
        training_item._theirs(setting, case, network, images)(),
    )
    assert ours == pytest.approx(theirs, rel=1e-4)
    trained = sum(weight.numel() for weight in case.adapt(as_rivals_have_it(network).model))
    tuner, fresh = setting.registry.resolve("tuner", case.tuner).build(), setting.network("clip-tiny")
    tuner.adapt(fresh, model.adaptable(fresh))
    assert trained == sum(weight.numel() for weight in fresh.parameters() if weight.requires_grad)


def test_layers_below_all_that_is_trained_are_not_gone_back_through(setting: Setting) -> None:
    model = setting.registry.resolve("model", "clip-tiny").build()
    network = setting.network("clip-tiny")
    setting.registry.resolve("tuner", "last-n+tecoa:n=1").build().adapt(network, model.adaptable(network))
    blocks = model.adaptable(network)["blocks"]
    seen: list[bool] = []
    for block in blocks:
        block.register_forward_hook(lambda module, given, output: seen.append(output.requires_grad))
    network(to_pixels(setting.context.dataset.split("test", 2).images, CPU))
    assert seen == [False] * (len(blocks) - 1) + [True]


@pytest.mark.slow
def test_the_study_s_script_evaluates_as_robench_does_and_trains(setting: Setting) -> None:
    plan = {"seed": 0, "device": "cpu", "folder": str(setting.folder), "model": "clip-tiny", "size": 32}
    methods = [{**vars(study_item.METHODS[0]), "batch_size": 8}, {**vars(study_item.METHODS[5]), "batch_size": 8}]
    found = script.main({**plan, "anew": False, "train_size": 8, "test_size": 30, "methods": methods})
    data, network = setting.context.dataset.split("test", 30), setting.network("clip-tiny")
    right = (logits_of(network, data.images, CPU).argmax(axis=1) == data.labels).mean()
    assert found["rows"]["CLIP"]["clean"] == pytest.approx(right)
    assert found["attacked"] == 8 + 2 * 30 and found["attack_seconds"] > 0
    often = script.main(
        {**plan, "anew": True, "train_size": 8, "test_size": 4, "methods": [{**methods[1], "epochs": 3}]}
    )
    assert often["attacked"] == 3 * 8 + 4


def test_methods_are_the_study_s_nine_and_typed_as_robench_wants_them(setting: Setting) -> None:
    assert len({method.name for method in study_item.METHODS}) == 9
    for method in (*study_item.METHODS, study_item.FURTHER):
        params = setting.registry.resolve("tuner", method.typed()).params.as_dict()
        if method.adapt:
            wanted = (method.lr, method.epochs, method.clean_weight)
            assert (params["lr"], params["epochs"], params["clean_weight"]) == wanted
            assert params.get("tokens", 0) == method.tokens


def test_the_study_in_part_is_added_up_from_its_images(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    def finished(seconds: float, attack_seconds: float, attacked: int) -> object:
        output = json.dumps({"attack_seconds": attack_seconds, "attacked": attacked})
        return study_item.Usage(seconds=seconds, cpu_seconds=0, peak_bytes=0, output=output)

    monkeypatch.setattr(study_item, "_script", lambda *args, **more: finished(9, 6, 3))
    methods = (study_item.METHODS[0], study_item.METHODS[-1])
    # 2 s an image; 5 epochs of 8 and 2 evaluations of 8 are 56; 70 s for all else.
    seconds, how = study_item._study_seconds(setting, methods, finished(100, 30, 1))  # type: ignore[arg-type]
    assert seconds == 2 * 56 + 70 and "extrapolated from 3 images" in how


def test_adapters_of_the_rivals_change_nothing_but_what_is_trained(setting: Setting) -> None:
    model = as_rivals_have_it(setting.network("clip-tiny")).model
    weights = adapters.vpt(model, tokens=3, deep=True)
    assert {tuple(weight.shape) for weight in weights} == {(1, 3, 128)}
    assert not any(weight.requires_grad for weight in model.parameters())  # prompts live in hooks


def test_a_process_is_measured_and_its_failure_is_one_line(tmp_path: Path) -> None:
    usage = python(["-c", "print('done', len(bytearray(200_000_000)))"], tmp_path)
    assert usage.output.startswith("done") and usage.peak_bytes > 150_000_000 and usage.seconds > 0
    with pytest.raises(RobenchError, match="failed with 3: out of luck"):
        python(["-c", "import sys; print('out of luck', file=sys.stderr); sys.exit(3)"], tmp_path)


def test_written_images_are_read_by_a_dataset(tmp_path: Path, setting: Setting) -> None:
    data = setting.context.dataset.split("test", 10)
    for part, count in (("train", 20), ("test", 25)):
        write_parquet(tmp_path / f"{part}-00000-of-00001.parquet", data.images, data.labels, count)
    read = discover().resolve("dataset", f"cifar10:path={tmp_path}").build().split("test", 25)
    known = {image.tobytes() for image in data.images}
    assert len(read) == 25 and {image.tobytes() for image in read.images} == known


def test_the_stand_in_vocabulary_is_of_clip_s_size() -> None:
    merges = stand_in_merges()
    vocabulary = vocabulary_of(merges)
    assert len(merges) == N_MERGES and len(vocabulary) == 49_408
    assert (vocabulary["<|startoftext|>"], vocabulary["<|endoftext|>"]) == (49_406, 49_407)
