"""robench suite: runs what is missing, shows the table, and tells of data sets that are not there."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import robench
from robench import Component, DataError, SpecError, hookimpl
from robench.records.record import RunResult
from robench.registry.registry import Registry
from robench.suite.averages import average
from robench.suite.definition import read_suite

from tests.conftest import command
from tests.helpers import toy, toy_corruptions
from tests.suite.test_definition import SUITE, brings, with_plugins, written

SMALL = ["--checks", "off", "--device", "cpu", "--quiet"]


class Gone(toy.Dots):
    """A data set whose files are not here."""

    def check_files(self) -> None:
        raise DataError("get it from the moon")


class Shell:
    """Runs commands on the toy components, with one folder of records."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys, self.results = folder, capsys, folder / "results"
        self.file = written(folder / "dots.toml")
        self.errors = ""

    def __call__(self, *words: object, code: int = 0) -> str:
        shown, self.errors = command(self.capsys, *words, code=code)
        return shown

    def suite(self, *words: object, code: int = 0) -> str:
        return self("suite", self.file, "--results", self.results, *words, code=code)

    def json(self, *words: object) -> Any:
        return json.loads(self.suite(*words, "--format", "json"))

    def records(self) -> list[RunResult]:
        found = [RunResult.model_validate_json(path.read_text()) for path in self.results.glob("*.json")]
        return sorted(found, key=lambda each: (each.provenance.started, each.run_id))


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    plugin = brings("mine", written(tmp_path / "plugin.toml"))
    gone = Component(kind="dataset", name="gone", target=f"{__name__}:Gone", summary="not here")
    plugin.robench_components = hookimpl(lambda: [gone, *toy_corruptions.robench_components()])  # type: ignore[attr-defined]
    registry = with_plugins(monkeypatch, plugin)
    for module in ("run", "sweep", "suite", "options"):
        monkeypatch.setattr(f"robench.cli.{module}.discover", lambda **_: registry)
    return registry


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str], toys: Registry) -> Shell:
    return Shell(tmp_path, capsys)


def test_the_list_has_a_line_for_each_suite(shell: Shell) -> None:
    assert shell("suite").splitlines() == ["dots@2  two toys; 2 data sets, 2 attacks"]
    shell("suite", "dot@2", code=2)
    assert shell.errors == "robench: unknown suite 'dot@2'; did you mean 'dots@2'?; a file of your own ends in .toml\n"
    shown = shell.suite("--dry-run")
    assert read_suite(shell.file).content_hash in shown and "both: the worst of Sign and Still" in shown


def test_methods_are_measured_once_and_averaged_over_sets_and_seeds(shell: Shell) -> None:
    asked = ["--tuner", "none", "--tuner", "bias", "--seeds", "0,1", *SMALL]
    planned = shell.suite(*asked, "--dry-run")
    assert "8 of 8 runs to do" in planned and not shell.results.exists()
    shown = shell.suite(*asked)
    assert shown.count("average") >= 4 and "Sign, sign:eps=4/255" in shown
    first = shell.records()
    suite = read_suite(shell.file)
    assert len(first) == 8 and {each.provenance.suite for each in first} == {suite.mark}
    assert {each.spec.train_size for each in first} == {None, 16}
    found = shell.json(*asked)
    assert shell.records() == first
    assert found["hash"] == suite.content_hash and [row["tuner"] for row in found["rows"]] == ["none", "bias:lr=0.5"]
    for row in found["rows"]:
        by_name: dict[tuple[str, str], list[float]] = {}
        for record in (each for each in first if each.spec.tuner.label == row["tuner"]):
            assert record.clean is not None
            scores = {"clean": record.clean, **{each.label: each for each in record.attacks}}
            for measured, label in {"clean": "clean", "Sign": "sign:eps=4/255", "Still": "still"}.items():
                by_name.setdefault((record.spec.dataset.name, measured), []).append(100 * scores[label].accuracy)
        means = {key: sum(values) / len(values) for key, values in by_name.items()}
        for figure in (each for each in row["figures"] if each["measured"] != "both"):
            assert figure["percent"] == pytest.approx(means[figure["dataset"].lower(), figure["measured"]])
        for each in (each for each in row["averages"] if each["measured"] != "both"):
            of_sets = [means[name, each["measured"]] for name in ("dots", "stripes")]
            assert each["mean"]["percent"] == pytest.approx(sum(of_sets) / 2) and each["measured_sets"] == 2
    # What the ensemble leaves is right clean and under both, so it is no more than under either.
    percent = {(f["dataset"], f["measured"]): f["percent"] for f in found["rows"][0]["figures"]}
    for name in ("Dots", "Stripes"):
        assert percent[name, "both"] <= min(percent[name, each] for each in ("clean", "Sign", "Still"))
    table = list(csv.reader(shell.suite("--format", "csv").splitlines()))
    assert table[0][:4] == ["method", "measured", "Dots (n=20)", "Stripes (n=20)"] and len(table) == 1 + 4 * 2
    markdown = shell.suite("--format", "markdown")
    assert markdown.count("| bias") == 1 + 4 and "toprule" in shell.suite("--format", "latex")
    # The first table has the averages of the others, the method that withstands the first attack best at the top.
    names = {"none": "zero-shot", "bias:lr=0.5": "bias"}
    averages = {
        names[row["tuner"]]: [
            f"{each['mean']['percent']:.1f}" for each in row["averages"] if each["measured"] in ("clean", "both")
        ]
        for row in found["rows"]
    }
    lines = [line for line in markdown.splitlines() if line.startswith(("| zero-shot", "| bias"))][:2]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert {name: [cell.partition(" ")[0] for cell in cells] for name, *cells, _ in rows} == averages
    assert float(rows[0][2].partition(" ")[0]) >= float(rows[1][2].partition(" ")[0])


def test_corruptions_count_with_the_share_that_is_right_and_stand_beside_attacks(shell: Shell) -> None:
    corrupted = '[[corruptions]]\nname = "Lights"\ncorruption = "lights"\n[[datasets]]\nname = "Dots"'
    written(shell.file, SUITE.replace('[[datasets]]\nname = "Dots"', corrupted))
    assert "corrupted Lights: lights" in shell.suite("--dry-run")
    found = shell.json("--tuner", "none", *SMALL)
    # Of six versions of an image four look as it does, and two show light as dark.
    clean = [record.clean.mask() for record in shell.records() if record.clean]
    expected = average([{0: np.where(mask, 4 / 6, 2 / 6)} for mask in clean])
    assert expected and {len(record.corruptions[0].scores) for record in shell.records()} == {6}
    (row,) = found["rows"]
    (mean,) = [each["mean"] for each in row["averages"] if each["measured"] == "Lights"]
    assert (mean["percent"], mean["low"], mean["high"]) == pytest.approx(
        (expected.percent, expected.low, expected.high)
    )
    written(shell.file, shell.file.read_text().replace('"lights"', '"lights:n=10"'))
    (row,) = shell.json("--tuner", "none", *SMALL)["rows"]
    assert {each["n"] for each in row["figures"] if each["measured"] == "Lights"} == {10}
    (row,) = shell.json("--tuner", "none", "--n", 5, *SMALL)["rows"]
    assert {each["n"] for each in row["figures"]} == {5}
    averages = shell.suite("--format", "markdown").partition("dots@2, linear: clean")[0]
    headings = next(line for line in averages.splitlines() if line.startswith("| method"))
    # Attacks of an ensemble have tables of their own.
    assert [cell.strip() for cell in headings.strip("|").split("|")] == ["method", "clean", "both", "Lights", "seeds"]
    shell("run", "--suite", shell.file, "--dataset", "dots", "--corruption", "lights", code=2)
    assert "'corruptions' is said by suite dots@2" in shell.errors


def test_many_measures_of_few_methods_stand_one_below_the_other(shell: Shell) -> None:
    more = "".join(f'[[attacks]]\nname = "{n}"\nattack = "sign:eps={n}/255"\n' for n in range(5, 10))
    written(shell.file, SUITE.replace("[[ensembles]]", f"{more}[[ensembles]]"))
    averages = shell.suite("--tuner", "none", *SMALL, "--format", "markdown").partition("dots@2, linear: clean")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in averages.splitlines() if line[:1] == "|"]
    assert rows[0] == ["", "zero-shot"] and rows[-1] == ["seeds", "1"]
    assert [row[0] for row in rows[2:-1]] == ["clean", "both", *map(str, range(5, 10))]


def test_a_run_made_without_the_suite_serves_it(shell: Shell) -> None:
    attacks = ["--attack", "sign:eps=4/255", "--attack", "still", "--attack", "sign-twice"]
    run = ["run", "--dataset", "dots", "--results", shell.results, *attacks, *SMALL]
    shell(*run, "--test-size", 20)
    shell(*run, "--test-size", 20, "--split", "validation")  # of other images, so no figure of the suite
    shell(*run, "--test-size", 19)
    (row,) = shell.json()["rows"]
    assert (row["tuner"], row["seeds"], len(row["runs"])) == ("none", [0], 1)
    (average, *_) = row["averages"]
    assert (average["measured_sets"], average["of"]) == (1, 2)
    assert "over 1 of 2 sets" in " ".join(shell.suite("--format", "markdown").split())


def test_a_missing_data_set_is_named_and_the_average_is_of_the_others(shell: Shell) -> None:
    own = SUITE.replace('dataset = "stripes"', 'dataset = "gone"')
    shell.file.write_text(own)
    shown = shell.suite("--tuner", "none", *SMALL, "--format", "markdown")
    assert "Not here, 1 of 2 data sets:" in shown and "- Stripes: get it from the moon" in shown
    assert "over 1 of 2 sets" in shown
    assert shell.json()["missing"] == {"Stripes": "get it from the moon"}
    shell.file.write_text(own.replace("train_size = 16", 'train_size = 16\ntrain = "gone"'))
    shown = shell.suite("--tuner", "bias", "--dry-run", "--format", "markdown")
    assert "0 of 0 runs to do" in shown and "Tuners that train have no figures on Dots" in shown


def test_tuned_once_and_scored_on_the_others_each_with_its_own_n(shell: Shell) -> None:
    text = SUITE.replace('dataset = "stripes"', 'dataset = "stripes"\nn = "all"')
    shell.file.write_text(text.replace("n = 20", 'n = 20\ntrain = "dots"'))
    shell.suite("--tuner", "bias", "--tuner", "none", *SMALL)
    (record,) = [each for each in shell.records() if each.spec.train_size]
    assert [(each.label, each.n) for each in record.spec.eval_datasets] == [("stripes", 40)]
    assert (record.spec.test_size, record.elsewhere[0].clean.n) == (20, 40)
    assert [score.n for score in record.elsewhere[0].attacks] == [40, 40]
    assert "--eval-dataset stripes:n=40" in record.provenance.command
    assert len(shell.records()) == 3  # without training, one run for each data set
    assert "n=40" in shell.suite()  # what all were
    rows = shell.json()["rows"]
    assert [len(row["figures"]) for row in rows] == [8, 8]


def test_a_script_for_slurm_repeats_the_command(shell: Shell) -> None:
    words = ["--tuner", "none", "--tuner", "bias", "--seeds", "0,2", "--n", 5, "--engine", "slurm", "--jobs", 3]
    script = shell.suite(*words, "--cache-dir", shell.folder / "cache")
    command = next(line for line in script.splitlines() if "robench suite" in line)
    assert "--tuner none --tuner bias --seeds 0,2 --n 5" in command and "--results" in command
    assert not shell.results.exists()


def test_groups_have_a_harmonic_mean_and_share_the_tuning_of_the_base(shell: Shell) -> None:
    text = SUITE.replace("n = 20", 'n = 20\nharmonic_mean = ["base", "new"]')
    text = text.replace('dataset = "dots"', 'dataset = "dots"\ngroup = "base"')
    shell.file.write_text(text.replace('dataset = "stripes"', 'dataset = "stripes"\ngroup = "new"\ntrain = "dots"'))
    shown = shell.suite("--tuner", "bias", *SMALL)
    assert len(shell.records()) == 1 and "harmonic" in shown
    (row,) = shell.json()["rows"]
    groups = {each["group"]: each["mean"] for each in row["averages"] if each["measured"] == "clean"}
    base, new = groups["base"]["percent"], groups["new"]["percent"]
    assert groups["harmonic mean"]["percent"] == pytest.approx(2 * base * new / (base + new))
    (row,) = shell.json("--tuner", "bias", "--only", "Dots", *SMALL)["rows"]  # without the new classes there is none
    assert {each["group"] for each in row["averages"]} == {"base"}


def test_a_first_look_says_that_it_is_another_suite(shell: Shell) -> None:
    shown = shell.suite("--tuner", "none", "--n", 5, "--only", "Dots", *SMALL, "--format", "markdown")
    assert "dots@2 (n=5; only Dots), linear: clean" in shown and "Stripes" not in shown
    (record,) = shell.records()
    assert record.provenance.suite is not None
    assert record.provenance.suite.startswith("dots@2 (n=5; only Dots) ")
    assert read_suite(shell.file).content_hash not in record.provenance.suite
    # An attack on the first images takes no more than there are.
    shell.file.write_text(SUITE.replace("sign:eps=4/255", "sign:eps=4/255,n=10"))
    (row,) = shell.json("--tuner", "none", "--n", 5, *SMALL)["rows"]
    assert {each["n"] for each in row["figures"]} == {5}
    shell.suite("--only", "Dot", code=2)
    assert "has no data set 'Dot'; did you mean 'Dots'?" in shell.errors


def test_run_and_sweep_take_the_same_definition(shell: Shell) -> None:
    shell("run", "--suite", "dots@2", "--results", shell.results, *SMALL, code=2)
    assert "has 2 such runs; pass --dataset with one of Dots, Stripes" in shell.errors
    shell("run", "--suite", "dots@2", "--dataset", "dots", "--test-size", 3, code=2)
    assert "'test_size' is said by suite dots@2" in shell.errors
    shell("run", "--suite", "dots@2", "--dataset", "dots", "--results", shell.results, *SMALL)
    (record,) = shell.records()
    assert record.provenance.suite == read_suite(shell.file).mark and record.spec.test_size == 20
    file = written(shell.folder / "sweep.toml", 'title = "s"\n[common]\nsuite = "dots@2"\n[[rows]]\nname = "a"\n')
    planned = shell("sweep", file, "--results", shell.results, "--dry-run")
    assert "1 of 2 runs to do" in planned and "1 of 2 missing" in planned
    shown = shell("sweep", file, "--results", shell.results, *SMALL)
    assert len(shell.records()) == 2 and "average clean" in " ".join(shown.split())
    (row,) = shell.json()["rows"]
    assert len(row["runs"]) == 2
    written(file, file.read_text().replace('"dots@2"', '"dots@2"\ntest_size = 3'))
    shell("sweep", file, code=2)
    assert "row 'a': 'test_size' is said by suite dots@2" in shell.errors


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--tuner", "none", "--seeds", "0,x"], "--seeds 0,x: 'x' is not a seed; expected numbers such as 0,1,2"),
        (["--tuner", "none", "--seeds", "1,1"], "--seeds 1,1: seed 1 is given twice"),
        (["--data", "nowhere"], "there is no folder nowhere; expected DIR or NAME=DIR"),
        (["--tuner", "bais"], "did you mean 'bias'?"),
        (["--model", "liner"], "did you mean 'linear'?"),
        (["--tuner", "none", "--cpus", 2], "--cpus and --gpus are for --engine ray and slurm"),
        ([], "has figures of dots@2; pass --tuner NAME to measure one"),
    ],
)
def test_what_cannot_be_done_is_one_line(shell: Shell, words: list[str], said: str) -> None:
    shell.results.mkdir()
    shell.suite(*words, code=2)
    assert said in shell.errors and shell.errors.count("\n") == 1, shell.errors


def test_parameters_of_the_suite_are_no_part_of_a_models_name(shell: Shell) -> None:
    shell.file.write_text(SUITE.replace("n = 20", "n = 20\nmodel = { gain = 30 }"))
    shell.suite("--tuner", "none", *SMALL)
    assert {each.spec.model.params["gain"] for each in shell.records()} == {30.0}
    assert [row["model"] for row in shell.json()["rows"]] == ["linear"]
    shell.suite("--model", "linear:gain=4", "--tuner", "none", code=2)
    assert "'linear:gain=4' sets gain, which suite dots@2 says; leave it out" in shell.errors
    shell.file.write_text(SUITE.replace("n = 20", "n = 20\nmodel = { gian = 30 }"))
    shell.suite("--tuner", "none", code=2)
    assert "sets gian= of models, and linear has no such parameter; did you mean 'gain'?" in shell.errors


def test_published_figures_stand_beside_measured_ones(shell: Shell) -> None:
    shell.file.write_text(SUITE.replace("n = 20", 'n = 20\npublished = "papers.toml"'))
    figure = 'method = "Bias"\nmodel = "L"\neps = "4/255"\nattack = "Sign"\nclean = 90\nrobust = {}\nsource = "{}"\n'
    figure += 'tuners = ["none"]\nmodels = ["linear"]\n'
    papers = shell.folder / "papers.toml"
    told = [f"[[reported]]\n{figure.format(robust, source)}" for robust, source in ((10, "A"), (38, "B"))]
    papers.write_text('source = "x"\n' + "".join(told))
    shell.suite("--tuner", "none", *SMALL)
    shown = shell.suite("--published", "--format", "markdown")
    found = {each["measured"]: each["mean"]["percent"] for each in shell.json()["rows"][0]["averages"]}
    assert "Bias L at 4/255 is reported 2 times, between 10 and 38." in shown
    for robust, source in ((10, "A"), (38, "B")):
        line = next(line for line in shown.splitlines() if line.rstrip(" |").endswith(f" {source}"))
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert cells[3:7] == ["90", str(robust), f"{found['clean']:.1f}", f"{found['Sign']:.1f}"]
    papers.write_text(papers.read_text().replace("robust = 38", "robust = 380"))
    shell.suite("--published", code=2)
    assert "papers.toml: reported.1.robust: " in shell.errors


def test_python_runs_a_suite_as_the_command_does(shell: Shell, toys: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("robench.suite.python.discover", lambda **_: toys)
    where: dict[str, Any] = {"results": shell.results, "cache_dir": shell.folder / "cache", "checks": "off"}
    shell("run", "--suite", shell.file, "--dataset", "Dots", *SMALL, "--results", shell.results)
    (made,) = shell.records()
    found = robench.run(suite=shell.file, dataset="dots", **where)
    assert found == made and len(shell.records()) == 1
    gaining = written(shell.folder / "gaining.toml", "model = { gain = 50.0 }\n" + SUITE)
    with pytest.warns(UserWarning, match="sets gain of models, which a network that is given in Python keeps"):
        scored = robench.evaluate(toy.LinearNetwork(50.0, broken=False), suite=gaining, dataset="Dots", **where)
    spec = made.spec
    assert scored.spec == spec.model_copy(update={"model": scored.spec.model})
    assert made.provenance.suite == read_suite(shell.file).mark
    assert scored.provenance.suite == read_suite(gaining).mark
    for more, said in (
        ({}, "has 2 such runs; pass --dataset with one of Dots"),
        ({"dataset": "dits"}, "no run on 'dits'; did you mean 'Dots'"),
        ({"dataset": "dots", "test_size": 5}, "'test_size' is said by suite dots@2"),
        ({"suite": "dot@2"}, "unknown suite 'dot@2'; did you mean 'dots@2'"),
        ({"suite": None, "data": str(shell.folder)}, "data= says where data sets of a suite lie; pass suite= too"),
    ):
        with pytest.raises(SpecError, match=said):
            robench.run(**{"suite": shell.file, **where, **more})
