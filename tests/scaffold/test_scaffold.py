"""A stranger's way: `robench plugin new`, installed into a fresh environment, listed, checked, run and tested there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import get_args

import pytest
from robench import cli
from robench.cli.components import SCAFFOLDS
from robench.conformance.examine import examine
from robench.errors import SpecError
from robench.scaffold.write import COMMANDS, KINDS, Scaffold, package, write_package

from tests.conftest import entry_point, registry_of
from tests.helpers import toy

NAMES = {
    "dataset": "sklearn-digits",
    "model": "small-net",
    "attacker": "one-step",
    "tuner": "bitfit",
    "adaptation": "residual",
    "objective": "stay-near",
    "defence": "noisy",
    "constraint": "frame",
    "corruption": "dead-pixels",
    "logger": "json-lines",
}
INSTALLED = ("dataset", "model", "attacker", "tuner")
"""Kinds that are installed into an environment of their own; the others are tried where the tests run."""
LONGEST = 50
"""Lines of a component, which is one screen."""


class Location:
    """An environment in which all the plugins are installed, beside what the tests run with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        venv.create(folder / "env", with_pip=True)
        # What is heavy is taken from the environment of the tests; the plugins are not in there.
        (site,) = (folder / "env" / "lib").glob("python*/site-packages")
        parent = sysconfig.get_path("purelib")
        (site / "parent.pth").write_text(f"import site; site.addsitedir({parent!r})\n")
        for kind in INSTALLED:
            write_package(NAMES[kind], kind, folder / NAMES[kind])  # type: ignore[arg-type]
        wanted = [str(folder / NAMES[kind]) for kind in INSTALLED]
        # Its build backend comes from the tests' environment too: nothing is fetched.
        self("pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation", *wanted)

    def __call__(self, program: str, *words: str, cwd: Path | None = None) -> str:
        command = [str(self.folder / "env" / "bin" / "python"), "-m", program, *words]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        done = subprocess.run(command, cwd=cwd or self.folder, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Location:
    return Location(tmp_path_factory.mktemp("stranger"))


@pytest.mark.slow
def test_they_are_listed_with_the_package_they_came_from(place: Location) -> None:
    listed = json.loads(place("robench", "list", "--json"))
    for kind in INSTALLED:
        name = NAMES[kind]
        plural = "attacks" if kind == "attacker" else f"{kind}s"
        assert {"name": name, "plugin": f"{name} 0.1.0"}.items() <= {
            key: value for row in listed[plural] if row["name"] == name for key, value in row.items()
        }.items()


@pytest.mark.slow
@pytest.mark.parametrize("kind", INSTALLED)
def test_it_passes_check_and_its_own_test_and_runs(
    kind: str, place: Location, capsys: pytest.CaptureFixture[str]
) -> None:
    name = NAMES[kind]
    # Their test does what `robench check` does.
    place("pytest", "-q", "-p", "no:cacheprovider", cwd=place.folder / name)
    command = COMMANDS[kind].format(name=name)  # type: ignore[index]
    words = re.sub(r"train-size \d+", "train-size 100", re.sub(r"test-size \d+", "test-size 50", command)).split()[1:]
    results = place.folder / "results" / kind
    words += ["--model", "resnet20:epochs=1"] if kind == "dataset" else []
    place("robench", *words, "--results", str(results), "--checks", "off", "--quiet")
    (record,) = results.glob("*.json")
    made = json.loads(record.read_text())["provenance"]
    assert f"{name} 0.1.0" in made["plugins"].values() and name.replace("-", "_") in made["code"]
    with pytest.raises(SystemExit):  # here, where the plugin is not installed
        cli.main(["leaderboard", "--results", str(results)])
    assert f"{name} 0.1.0" in capsys.readouterr().out


def test_a_model_an_adaptation_and_an_objective_keep_their_rules_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both halves need the parts of the network, by a hook on its encoder and by a copy of it."""
    points = [entry_point("toy", toy.__name__, "toy-dist")]
    for kind in ("model", "adaptation", "objective"):
        write_package(NAMES[kind], kind, tmp_path / kind)  # type: ignore[arg-type]
        monkeypatch.syspath_prepend(tmp_path / kind)
        points.append(entry_point(NAMES[kind], NAMES[kind].replace("-", "_"), NAMES[kind]))
    registry, tuner = registry_of(*points), "residual+stay-near:hidden=4,adversary=none"
    found = list(examine(registry, "tuner", tuner, dataset="dots", model="small-net:width=4"))
    assert len(found) == 8 and all(each.kept for each in found), found


@pytest.mark.parametrize(("kind", "text"), [("constraint", "frame"), ("corruption", "dead-pixels:share=0.1")])
def test_a_constraint_and_a_corruption_keep_their_rules(
    kind: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_package(NAMES[kind], kind, tmp_path)  # type: ignore[arg-type]
    monkeypatch.syspath_prepend(tmp_path)
    point = entry_point(NAMES[kind], NAMES[kind].replace("-", "_"), NAMES[kind])
    registry = registry_of(entry_point("toy", toy.__name__, "toy-dist"), point)
    found = list(examine(registry, kind, text, dataset="dots"))  # type: ignore[arg-type]
    assert len(found) >= 6 and all(each.kept for each in found), found


def test_the_command_offers_every_kind() -> None:
    assert set(KINDS) == set(SCAFFOLDS) == set(get_args(Scaffold))


@pytest.mark.parametrize("kind", KINDS)
def test_a_component_fits_on_a_screen(kind: str) -> None:
    name = NAMES[kind]
    text = package(name, kind)[f"{name.replace('-', '_')}/{kind}.py"]  # type: ignore[arg-type]
    assert text.count("\n") <= LONGEST


@pytest.mark.parametrize("kind", KINDS)
def test_the_tutorial_shows_the_very_files(kind: str, root: Path) -> None:
    text = (root / "docs" / "tutorial.md").read_text()
    shown = set(re.findall(r"^```(?:python|toml)\n(.*?)^```", text, flags=re.S | re.M))
    name = NAMES[kind]
    files = package(name, kind)  # type: ignore[arg-type]
    for path in (f"{name.replace('-', '_')}/__init__.py", f"{name.replace('-', '_')}/{kind}.py"):
        assert files[path] in shown, path


@pytest.mark.parametrize("name", ["Bad", "1st", "two--hyphens", "../up", "under_score", ""])
def test_a_name_that_cannot_be_typed_is_refused(name: str) -> None:
    with pytest.raises(SpecError, match="cannot name a plugin"):
        package(name, "model")


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    for words, message in (
        (("fresh", "--output", str(tmp_path / "mine")), "is not empty"),
        (("pgd",), "attacker 'pgd' exists already"),
    ):
        with pytest.raises(SystemExit) as exit_:
            cli.main(["plugin", "new", *words, "--kind", "attacker"])
        assert exit_.value.code == 2 and message in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


@pytest.mark.slow
def test_somebody_elses_attack_in_sixty_lines_and_check_says_which_rules_it_tried(root: Path, tmp_path: Path) -> None:
    path = root / "docs" / "examples" / "foolbox_ddn.py"
    assert path.read_text().count("\n") < 60
    words = ["check", "ddn:eps=1.0,steps=10", "--plugin", str(path)]
    done = subprocess.run([sys.executable, "-m", "robench", *words], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0 and "keeps all" in done.stdout and "FAIL" not in done.stdout, done.stdout + done.stderr
