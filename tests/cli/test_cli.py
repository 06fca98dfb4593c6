"""The command line as a user meets it, on toy components; a few tests start real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from robench import cli
from robench.registry.registry import Registry

from tests.helpers import toy

RUN = ["run", "--dataset", "dots", "--tuner", "bias", "--attack", "sign-linear", "--train-size", "20"]

UNTUNED = [word if word != "bias" else "none" for word in RUN]


class Terminal:
    """Runs commands in this process and keeps what they print."""

    def __init__(self, capsys: pytest.CaptureFixture[str], folder: Path) -> None:
        self.capsys = capsys
        self.results = folder / "results"

    def __call__(self, *arguments: str, code: int = 0) -> str:
        with pytest.raises(SystemExit) as exit_:
            cli.main(list(arguments))
        captured = self.capsys.readouterr()
        self.errors = captured.err
        assert (exit_.value.code or 0) == code, captured.err
        return captured.out

    def run(self, *more: str, code: int = 0) -> str:
        return self(*RUN, "--test-size", "40", "--results", str(self.results), *more, code=code)


@pytest.fixture
def terminal(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> Terminal:
    for module in ("run", "components", "environment", "options", "sweep"):
        monkeypatch.setattr(f"robench.cli.{module}.discover", lambda **_: registry)
    monkeypatch.setenv("COLUMNS", "100")
    return Terminal(capsys, tmp_path)


def test_two_commands_give_a_leaderboard(terminal: Terminal) -> None:
    shown = terminal.run()
    assert "bias" in shown and "sign-linear" in shown and "white-box" in shown and "worst" in shown
    terminal.run("--seed", "1")
    board = terminal("leaderboard", "--results", str(terminal.results))
    assert "2 seeds each" in board and "seed 1" not in board
    board = terminal("leaderboard", "--results", str(terminal.results), "--runs")
    assert "seed 0" in board and "seed 1" in board


def test_a_run_without_a_terminal_tells_of_no_stage_that_takes_a_moment(terminal: Terminal) -> None:
    terminal.run("--checks", "off")
    assert terminal.errors == ""


def test_checks_are_in_the_record_the_leaderboard_and_the_words_of_a_run(terminal: Terminal) -> None:
    record = json.loads(terminal.run("--json"))
    assert "robench: check warn: surrogate of sign-linear: the surrogate classifies 100 %" in terminal.errors
    verdicts = {(check["name"], check["attack"]): check["verdict"] for check in record["checks"]}
    assert verdicts["determinism", ""] == "pass" and verdicts["surrogate", "sign-linear"] == "warn"
    (row,) = json.loads(terminal("leaderboard", "--json", "--results", str(terminal.results)))[0]["rows"]
    assert row["checks"] == "warn"
    assert "checks: warn" in terminal("show", record["run_id"], "--results", str(terminal.results))
    unchecked = json.loads(terminal.run("--json", "--checks", "off", "--force"))
    assert unchecked["checks"] == [] and unchecked["spec"] == record["spec"]


def test_json_is_all_there_is_on_standard_output(terminal: Terminal) -> None:
    record = json.loads(terminal.run("--json"))
    assert record["status"] == "completed"
    assert [score["knowledge"] for score in record["attacks"]] == ["transfer", "white-box"]
    assert json.loads(terminal("leaderboard", "--json", "--results", str(terminal.results)))[0]["rows"]
    assert json.loads(terminal("list", "--json"))["tuners"][1]["name"] == "bias"
    assert json.loads(terminal("describe", "bias", "--json"))[0]["parameters"][0]["default"] == "0.1"
    assert json.loads(terminal("plugins", "--json"))[0]["error"] is None
    assert "torch" in json.loads(terminal("doctor", "--json"))["versions"]


def test_a_recorded_run_is_shown_not_repeated_unless_forced(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.run()
    calls: list[int] = []
    perturb = toy.Sign.perturb
    monkeypatch.setattr(toy.Sign, "perturb", lambda self, *a: calls.append(1) or perturb(self, *a))
    assert "bias" in terminal.run()
    assert "already recorded" in terminal.errors and not calls
    terminal.run("--force")
    assert calls
    assert len(list(terminal.results.glob("*.json"))) == 2


def test_quiet_prints_nothing_and_saves_all_the_same(terminal: Terminal) -> None:
    assert terminal.run("--quiet") == ""
    assert len(list(terminal.results.glob("*.json"))) == 1


def test_a_dry_run_shows_the_plan_and_touches_nothing(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toy.Dots, "split", lambda *_: pytest.fail("data was read"))
    shown = terminal.run("--dry-run")
    assert "Linf 8/255 transfer" in shown and "Linf 8/255 white-box" in shown and "20 images" in shown
    assert not terminal.results.exists()
    plan = json.loads(terminal.run("--dry-run", "--json"))
    assert plan["run_id"] in shown and plan["recorded"] is False


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--tuner", "bais", "--dataset", "dots"], "unknown tuner 'bais'; did you mean 'bias'"),
        (["run", "--dataset", "dotz"], "unknown dataset 'dotz'; did you mean 'dots'"),
        (["run", "--dataset", "dots", "--attack", "sign:eps=8"], "did you mean 8/255"),
        (["run", "--dataset", "dots", "--attack", "sign:eps=x"], "eps=x"),
        (["run", "--dataset", "dots", "--attack", "sign:esp=1/255"], "did you mean 'sign:eps=1/255'"),
        (["run", "--dataset", "dots", "--attack", "sign", "--device", "tpu9"], "--device tpu9"),
        (["run", "--dataset", "dots", "--attack", "sign", "--test-size", "many"], "'many' is not a number of images"),
        (["run", "--dataset", "dots", "--attack", "sign", "--test-size", "41"], "dots has 40 test images"),
        (["run", "--dataset", "dots", "--tunr", "bias"], "--tunr"),
        (["run", "--dataset", "dots", "--attack", "sign", "--test-size", "4", "--model", "linear:broken=true"], "NaN"),
        (["run", "--dataset", "dots", "--tuner", "bias", "--attack", "sign", "--results", "/dev/null/x"], "--results"),
        (["lst"], "unknown command 'lst'; did you mean 'list'"),
        (["list", "tuner"], "did you mean 'tuners'"),
        (["describe", "linaer"], "did you mean 'linear'"),
        (["leaderboard", "--results", "nowhere"], "no results at nowhere"),
        (["leaderboard", "--format", "html5"], "unknown value 'html5'"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_code_2(
    terminal: Terminal, arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert terminal(*arguments, code=2) == ""
    assert message in terminal.errors
    assert terminal.errors.count("\n") == 1 and "Traceback" not in terminal.errors


def test_debug_shows_the_traceback(terminal: Terminal) -> None:
    with pytest.raises(cli.RobenchError):
        cli.main(["run", "--dataset", "dotz", "--debug"])


def test_a_bug_is_one_line_and_exit_code_1(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(*_: object) -> Any:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(toy.Linear, "build", bug)
    terminal.run(code=1)
    assert "ZeroDivisionError: oops; add --debug" in terminal.errors
    assert json.loads(next(terminal.results.glob("*.json")).read_text())["status"] == "failed"


def test_warnings_reach_the_user_and_the_record(terminal: Terminal) -> None:
    record = json.loads(terminal.run("--attack", "sign-steep:surrogate.gain=-5", "--json"))
    assert "classifies only" in record["warnings"][0] and "classifies only" in terminal.errors


def test_markdown_and_csv_are_plain_text(terminal: Terminal) -> None:
    terminal.run()
    for style in ("markdown", "csv"):
        text = terminal("leaderboard", "--format", style, "--results", str(terminal.results))
        assert "\x1b" not in text and "bias" in text
    assert terminal("leaderboard", "--filter", "tuner=none", "--results", str(terminal.results), code=2) == ""
    assert "no completed run" in terminal.errors


def test_describe_shows_parameters_defaults_and_source(terminal: Terminal) -> None:
    shown = terminal("describe", "steep")
    assert "gain=500.0" in shown and "slope of the logits" in shown and "toy-dist 1.0" in shown
    assert "Reference: by hand" in terminal("describe", "sign") and "n=all" in terminal("describe", "sign")


def test_names_are_completed(terminal: Terminal) -> None:
    option = next(p for p in cli.cli.commands["run"].params if p.name == "tuner")
    context = cli.cli.commands["run"].make_context("run", [], resilient_parsing=True)
    assert [item.value for item in option.shell_complete(context, "bi")] == ["bias"]
    assert "_ROBENCH_COMPLETE" in terminal("completion", "bash")


SLOW = """
import signal, sys, time
from robench import cli
from tests.helpers import toy
from tests.conftest import entry_point, registry_of

def perturb(self, network, images, labels):
    print("attacking", flush=True)
    time.sleep(60)

toy.Sign.perturb = perturb
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job inherits it ignored
cli.run.discover = lambda: registry_of(entry_point("toy", "tests.helpers.toy", "toy-dist"))
cli.main(sys.argv[1:])
"""


@pytest.mark.slow
def test_control_c_is_exit_code_130_one_line_and_a_record(tmp_path: Path, root: Path) -> None:
    command = [sys.executable, "-c", SLOW, "run", "--dataset", "dots", "--attack", "sign", "--test-size", "40"]
    process = subprocess.Popen(
        [*command, "--results", str(tmp_path)], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=root
    )
    assert process.stdout is not None and process.stdout.readline() == "attacking\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.strip() == "robench: interrupted; records and cached sets already saved are intact"
    record = json.loads(next(tmp_path.glob("*.json")).read_text())
    assert record["status"] == "interrupted" and record["clean"]["n"] == 40


def test_a_reader_that_stops_early_gets_no_traceback() -> None:
    command = [sys.executable, "-c", "from robench.cli import main; main()", "list"]
    process = subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    process.wait(timeout=60)


def test_the_command_is_installed() -> None:
    script = Path(sys.executable).parent / "robench"
    output = subprocess.run([script, "--version"], capture_output=True, text=True, check=True, env=dict(os.environ))
    assert output.stdout.startswith("robench, version")


# Adapters and other datasets


def test_what_was_trained_is_saved_and_scores_the_same_when_loaded(terminal: Terminal, tmp_path: Path) -> None:
    file = str(tmp_path / "bias.safetensors")
    trained = json.loads(terminal.run("--save-adapter", file, "--json"))
    loaded = json.loads(
        terminal(
            *("run", "--dataset", "dots", "--adapter", file, "--attack", "sign-linear", "--test-size", "40"),
            *("--results", str(terminal.results), "--json"),
        )
    )
    assert loaded["clean"] == trained["clean"]
    assert [attack["bits"] for attack in loaded["attacks"]] == [attack["bits"] for attack in trained["attacks"]]
    assert loaded["tuning"]["tuned_fingerprint"] == trained["tuning"]["tuned_fingerprint"]
    assert loaded["tuning"]["history"] == [] and loaded["spec"]["train_size"] is None
    assert loaded["spec"]["tuner"]["name"] == "bias" and loaded["spec"]["adapter"]["path"] == file
    assert loaded["run_id"] != trained["run_id"]
    assert f"--adapter {file}" in loaded["provenance"]["command"]


def test_an_adapter_is_never_overwritten_and_never_made_of_nothing(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "bias.safetensors"
    file.write_bytes(b"mine")
    terminal.run("--save-adapter", str(file), code=2)
    assert "is not overwritten" in terminal.errors and file.read_bytes() == b"mine"
    terminal(*UNTUNED, "--save-adapter", str(tmp_path / "other"), "--results", str(terminal.results), code=2)
    assert "trains nothing" in terminal.errors


def test_a_wrong_adapter_is_one_clear_line(terminal: Terminal, tmp_path: Path) -> None:
    def load(path: Path, *more: str) -> str:
        words = ("run", "--dataset", "dots", "--adapter", str(path), "--test-size", "40", "--attack", "sign")
        terminal(*words, *more, "--results", str(terminal.results), code=2)
        assert terminal.errors.count("\n") == 1
        return terminal.errors

    assert "does not exist" in load(tmp_path / "missing")
    noise = tmp_path / "noise"
    noise.write_bytes(b"not an adapter at all")
    assert "expected a file made by --save-adapter" in load(noise)
    file = tmp_path / "bias.safetensors"
    terminal.run("--save-adapter", str(file))
    assert "was trained with model 'linear', not 'steep'" in load(file, "--model", "steep")
    assert "was trained with tuner 'bias:lr=0.5', not 'preset'" in load(file, "--tuner", "preset")
    assert "do nothing with --adapter" in load(file, "--lr", "0.1")
    (tmp_path / "peft").mkdir()
    (tmp_path / "peft" / "adapter_config.json").write_text("{}")
    assert "is a peft adapter, not a file made by --save-adapter" in load(tmp_path / "peft")


def test_an_adapter_takes_the_model_it_was_saved_with_as_typed(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "bias.safetensors"
    terminal.run("--save-adapter", str(file))
    words = ("run", "--dataset", "dots", "--adapter", str(file), "--test-size", "40", "--attack", "sign")
    terminal(*words, "--model", "linear:gain=50.0", "--results", str(terminal.results))


def test_an_adapter_of_other_weights_is_refused(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "bias.safetensors"
    terminal.run("--save-adapter", str(file))
    monkeypatch.setattr(toy, "LinearNetwork", lambda gain, broken: toy_network(gain + 1, broken))
    terminal(
        *("run", "--dataset", "dots", "--adapter", str(file), "--test-size", "40", "--attack", "sign"),
        *("--results", str(terminal.results)),
        code=2,
    )
    assert "was trained on other weights of linear" in terminal.errors


toy_network = toy.LinearNetwork


def test_a_tuned_model_is_shown_on_other_datasets_too(terminal: Terminal) -> None:
    shown = terminal.run("--eval-dataset", "stripes")
    assert "tuned on dots" in shown
    plan = terminal.run("--eval-dataset", "stripes", "--dry-run")
    assert "also on   stripes" in plan
    terminal.run("--eval-dataset", "strips", code=2)
    assert "did you mean 'stripes'" in terminal.errors


def test_products_and_presets_are_described_with_both_sources(terminal: Terminal) -> None:
    for name in ("preset", "shift+likely"):
        shown = terminal("describe", name)
        assert "by hand; by heart" in shown
        assert "pull=" in shown and "epochs=" in shown
    assert "ADAPTATION+OBJECTIVE is a tuner too" in terminal("list")


def test_describe_shows_the_settings_that_a_run_would_use(terminal: Terminal) -> None:
    def shown(*words: str) -> dict[str, tuple[str, str]]:
        (found,) = json.loads(terminal("describe", "bias", "--json", *words))
        return {each["name"]: (each["default"], each["source"]) for each in found["parameters"]}

    assert shown()["lr"] == ("0.1", "")
    assert shown("--model", "linear")["lr"] == ("0.5", "linear recommends this; otherwise 0.1")
    assert shown("--model", "steep") == shown()
    assert json.loads(terminal.run("--model", "linear", "--json"))["spec"]["tuner"]["params"]["lr"] == 0.5
    assert "(linear recommends this; otherwise 0.1)" in terminal("describe", "bias", "--model", "linear")
    terminal("describe", "bias", "--model", "linaer", code=2)
    assert "did you mean 'linear'" in terminal.errors


# Sweeps

SWEEP = """
title = "the toy"
seeds = [0, 1]
[common]
dataset = "dots"
attacks = ["sign-linear"]
train_size = 20
test_size = 40
[[rows]]
name = "as it comes"
tuner = "none"
published = { clean = 90, adversarial = 12.5 }
[[rows]]
name = "tuned"
tuner = "bias"
"""


def test_a_sweep_plans_runs_what_is_missing_and_shows_the_table(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "toy.toml"
    file.write_text(SWEEP)
    words = ("sweep", str(file), "--results", str(terminal.results))
    planned = terminal(*words, "--dry-run")
    assert "missing" in planned and not terminal.results.exists()
    terminal(*UNTUNED, "--seed", "1", "--test-size", "40", "--results", str(terminal.results))
    shown = terminal(*words)
    assert "as it comes" in shown and "tuned" in shown and "90" in shown
    # One of the four runs was recorded already.
    assert len(list(terminal.results.glob("*.json"))) == 4
    terminal(*words, "--quiet")
    assert terminal.errors == "" and len(list(terminal.results.glob("*.json"))) == 4
    assert json.loads(terminal(*words, "--format", "json"))
    assert terminal(*words, "--format", "markdown").count("|") > 10


def test_a_sweep_saves_what_its_runs_train_under_their_ids(terminal: Terminal, tmp_path: Path) -> None:
    file, trained = tmp_path / "toy.toml", tmp_path / "kept" / "trained"
    file.write_text(SWEEP)
    terminal("sweep", str(file), "--results", str(terminal.results), "--save-adapters", str(trained))
    records = [json.loads(path.read_text()) for path in terminal.results.glob("*.json")]
    tuned = {record["run_id"] for record in records if record["spec"]["train_size"]}
    assert len(tuned) == 2 and {path.stem for path in trained.iterdir()} == tuned


def test_a_sweep_goes_on_past_a_run_that_fails_and_exits_with_1(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "toy.toml"
    file.write_text(SWEEP + '[[rows]]\nname = "broken"\nmodel = "linear:broken=true"\n')
    shown = terminal("sweep", str(file), "--results", str(terminal.results), code=1)
    assert "as it comes" in shown and "broken" in terminal.errors and "NaN" in terminal.errors


def test_a_definition_that_is_wrong_is_one_line(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "toy.toml"
    file.write_text(SWEEP.replace("seeds", "sedes"))
    terminal("sweep", str(file), code=2)
    assert terminal.errors.count("\n") == 1 and "toy.toml" in terminal.errors and "seeds" in terminal.errors
    terminal("sweep", str(tmp_path / "none.toml"), code=2)
    assert "none.toml" in terminal.errors
