"""Settings chosen on validation images: which runs that takes, which candidate wins, and what the table says of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from robench.cli import cli
from robench.cli.comparison import Engine, choose, complete
from robench.errors import SpecError
from robench.registry.registry import Registry, discover
from robench.sweep.choose import Trials, candidates_of, settled
from robench.sweep.local import Bench
from robench.sweep.plan import Sweep, plan_sweep, read_sweep
from robench.sweep.summary import summarise, summary_json
from robench.sweep.summary_table import summary_grid

from tests.helpers.results import result

DOTS = """
title = "Dots"
seeds = [0, 1]
[choose]
attacks = ["sign"]
test_size = 10
seed = 7
[common]
dataset = "dots"
attacks = ["sign-linear"]
train_size = 30
test_size = 40
[[rows]]
name = "none"
tuner = "none"
[[rows]]
name = "bias"
tuner = "bias"
choose = { epochs = [1, 2, 3] }
"""
LOCAL = Engine(name="local", jobs=1, cpus=None, gpus=None)
Write = Callable[[str], Sweep]


@pytest.fixture(autouse=True)
def in_a_command() -> Iterator[None]:
    with click.Context(cli):
        yield


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str) -> Sweep:
        path = tmp_path / "sweep.toml"
        path.write_text(text)
        return read_sweep(path)

    return write


def made_up(sweep: Sweep, registry: Registry, scores: list[tuple[int, int]]) -> Trials:
    """Return trials whose records have these clean and attacked counts of 100, in the order of the candidates."""
    candidates = candidates_of(sweep)
    assert candidates is not None
    planned = plan_sweep(registry, candidates)
    records = [result(clean=clean, attacks=(("sign", attacked, 100),)) for clean, attacked in scores]
    completed = {job.run_id: record for job, record in zip(planned, records, strict=False)}
    return Trials(definition=candidates, planned=planned, completed=completed)


def test_candidates_are_scored_on_validation_images_with_the_attacks_of_the_choice(
    registry: Registry, write: Write
) -> None:
    candidates = candidates_of(write(DOTS))
    assert candidates is not None
    jobs = plan_sweep(registry, candidates)
    assert [(job.row, job.seed) for job in jobs] == [(f"bias: epochs={n}", 7) for n in (1, 2, 3)]
    specs = [job.plan.spec for job in jobs]
    assert {(spec.split, spec.test_size, spec.train_size) for spec in specs} == {("validation", 10, 30)}
    assert [[attack.label for attack in spec.attacks] for spec in specs] == [["sign"]] * 3
    assert [spec.tuner.params["epochs"] for spec in specs] == [1, 2, 3]


@pytest.mark.parametrize(
    ("by", "chosen"),
    [("clean", 1), ("attacked", 2), ("mean", 3)],
)
def test_the_best_by_clean_attacked_or_both_is_taken(registry: Registry, write: Write, by: str, chosen: int) -> None:
    sweep = write(DOTS.replace("seed = 7", f'by = "{by}"'))
    row = settled(sweep, made_up(sweep, registry, [(90, 10), (50, 60), (80, 50)])).rows[1]
    assert row.settings["epochs"] == chosen and row.chosen.startswith(f"epochs={chosen} (of ")


def test_of_equals_the_first_is_taken(registry: Registry, write: Write) -> None:
    sweep = write(DOTS)
    assert settled(sweep, made_up(sweep, registry, [(70, 30), (60, 40), (40, 60)])).rows[1].settings["epochs"] == 1


def test_nothing_is_chosen_from_a_part_of_the_candidates(registry: Registry, write: Write) -> None:
    sweep = write(DOTS)
    trials = made_up(sweep, registry, [(90, 10), (50, 60)])
    assert [row.name for row in settled(sweep, trials).rows] == ["none"]
    plan = settled(sweep, trials, first_if_open=True)
    assert [(row.name, row.settings.get("epochs"), row.chosen) for row in plan.rows] == [
        ("none", None, ""),
        ("bias", 1, ""),
    ]


def test_all_at_once(registry: Registry, write: Write, tmp_path: Path) -> None:
    sweep = write(DOTS)
    bench = Bench(results=tmp_path / "results", cache_dir=tmp_path / "cache", device="cpu", checks="fast")
    chosen, trials, failed = choose(registry, sweep, bench, LOCAL, dry_run=False, quiet=True)
    assert trials is not None and not failed
    assert len(list((tmp_path / "results" / "validation").glob("*.json"))) == 3
    assert not list((tmp_path / "results").glob("*.json")), "what is shown has no run of a candidate"
    jobs = plan_sweep(registry, chosen)
    done = complete(registry, jobs, bench, 1, None, False, True)
    summary = summarise(chosen, jobs, done.completed)
    assert [line.recorded for line in summary.lines] == [(0, 1), (0, 1)]
    table = summary_grid(summary).to_markdown()
    best = chosen.rows[1].chosen
    assert best in table and "chosen" in table and best in summary_json(summary)
    again, _, _ = choose(registry, sweep, bench, LOCAL, dry_run=True, quiet=True)
    assert again == chosen, "recorded candidates are not run again, and a plan knows what was chosen"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('[choose]\nattacks = ["sign"]\ntest_size = 10\nseed = 7\n', "", "row 'bias' has candidates; expected a part"),
        ('attacks = ["sign"]', 'attack = ["sign"]', "choose.attack"),
        ('attacks = ["sign"]', "attacks = []", "choose.attacks: "),
        ("seed = 7", 'by = "worst"', "choose.by: "),
        ("epochs = [1, 2, 3]", "epochs = 3", "row 'bias': choose.epochs: "),
        ("epochs = [1, 2, 3]", "epochs = []", "row 'bias': choose.epochs: "),
        ("epochs = [1, 2, 3]", "epoch = [1]", "row 'bias': unknown key 'choose.epoch'; did you mean 'epochs'?"),
        (
            'tuner = "none"',
            'tuner = "bias"\nchoose = { lr = [1e-3] }',
            "row 'none' chooses among 1, row 'bias' among 3; give every row the same number",
        ),
    ],
)
def test_a_choice_that_is_none_or_unfair_is_one_line(write: Write, old: str, new: str, said: str) -> None:
    assert DOTS.count(old) == 1
    with pytest.raises(SpecError) as caught:
        write(DOTS.replace(old, new))
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(("datasets", "runs"), [((), 12), (("digits",), 2 + 4), (("digits", "shapes"), 2 * 2 + 4)])
def test_candidates_on_a_suite_are_tried_on_all_its_data_sets_or_on_those_named(
    tmp_path: Path, datasets: tuple[str, ...], runs: int
) -> None:
    found = on_a_suite(tmp_path, datasets=datasets)
    assert found.exit_code == 0, found.output
    seeds = {line.split(",")[0]: line for line in found.output.splitlines()}
    assert {"LoRA: lr=0.001", "LoRA: lr=0.01", "LoRA"} < set(seeds) and seeds["to do"].startswith(f"to do,{runs},")


@pytest.mark.parametrize(
    ("suite", "said"),
    [
        ("offline@1", "offline@1 has no data set 'digit'; did you mean 'digits'?"),
        (None, "[choose] names datasets of a suite, and row 'LoRA: lr=0.001' is on none"),
    ],
)
def test_data_sets_that_candidates_cannot_be_tried_on_are_one_line(
    tmp_path: Path, suite: str | None, said: str
) -> None:
    found = on_a_suite(tmp_path, suite=suite, datasets=("digit",))
    assert isinstance(found.exception, SpecError) and said in str(found.exception)


def test_candidates_meet_no_corruptions_of_their_suite(write: Write) -> None:
    text = DOTS.replace('dataset = "dots"', 'suite = "offline-threats@1"').replace('attacks = ["sign-linear"]', "")
    text = (
        text.replace("train_size = 30\ntest_size = 40", "").replace('"sign"', '"noise"').replace('"bias"', '"lora-ce"')
    )
    candidates = candidates_of(write(text))
    assert candidates is not None
    jobs = plan_sweep(discover(), candidates)
    assert len(jobs) == 3 * 4 and {job.request.corruptions for job in jobs} == {()}


def on_a_suite(tmp_path: Path, *, suite: str | None = "offline@1", datasets: tuple[str, ...]) -> Result:
    """Plan a row with two candidates, on a suite or on leaf-synth."""
    path = tmp_path / "sweep.toml"
    where = f'suite = "{suite}"' if suite else 'dataset = "leaf-synth"'
    path.write_text(
        f'title = "x"\n[choose]\nattacks = ["noise:eps=8/255"]\ndatasets = {json.dumps(datasets)}\n[common]\n{where}\n'
        '[[rows]]\nname = "LoRA"\ntuner = "lora-ce"\nchoose = { lr = [1e-3, 1e-2] }\n'
    )
    folders = ["--results", str(tmp_path / "results"), "--cache-dir", str(tmp_path / "cache")]
    return CliRunner().invoke(cli, ["sweep", str(path), "--dry-run", "--format", "csv", *folders])
