"""What the README says is true: its plugin runs, its names resolve, its tables are what the records say."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from robench import cli
from robench.present.grid import Grid
from robench.records.record import RunResult
from robench.records.store import Store
from robench.registry.discovery import GROUP
from robench.registry.registry import FILES, Registry, discover
from robench.run.plan import Request, plan
from robench.scaffold.write import write_package
from robench.sweep.choose import FOLDER, Trials, candidates_of, settled
from robench.sweep.plan import Sweep, latest_completed, plan_sweep, read_sweep
from robench.sweep.summary import summarise
from robench.sweep.summary_table import summary_grid

from tests.conftest import command, entry_point
from tests.scaffold.test_scaffold import NAMES

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def readme() -> str:
    return (ROOT / "README.md").read_text()


def blocks(text: str, language: str) -> Iterator[str]:
    yield from re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_the_plugin_of_the_readme_works(readme: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (code,) = blocks(readme, "python")
    (tmp_path / "my_attacks.py").write_text(code)
    assert code.startswith("# my_attacks.py\n") and "With `--plugin my_attacks.py`" in readme
    monkeypatch.delitem(sys.modules, "my_attacks", raising=False)  # another test may have imported its own
    monkeypatch.setenv(FILES, str(tmp_path / "my_attacks.py"))
    attack = discover().resolve_attack("salt:eps=16/255")
    images = torch.full((2, 3, 4, 4), 0.5)
    noisy = attack.build().perturb(torch.nn.Identity(), images, torch.zeros(2))
    assert 0 < (noisy - images).abs().max() <= 16 / 255


def test_the_output_of_the_readme_is_that_of_its_commands(
    readme: str, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    start = readme[readme.index("## Start") :]
    (commands,) = [line for line in next(blocks(start, "sh")).splitlines() if line.startswith("robench")]
    *runs, leaderboard = (shlex.split(part) for part in commands.split(" && "))
    shown = [line.rstrip() for line in next(blocks(start, "text")).splitlines()]
    for run in runs:
        given = cli.cli.commands["run"].make_context("run", run[2:]).params
        request = Request(**{key: given[key] for key in given.keys() & Request.__dataclass_fields__.keys()})
        # The runs that these commands make were recorded once; making them takes a minute.
        record = root / "tests" / "readme_run" / f"{plan(discover(), request).spec.run_id()}.json"
        assert record.is_file(), "the commands of the README make another run than the one that it shows"
    monkeypatch.setenv("COLUMNS", "80")
    leaderboard[leaderboard.index("--results") + 1] = str(record.parent)
    printed = [line.rstrip() for line in command(capsys, *leaderboard[1:])[0].splitlines()]
    assert [line for line in shown if line != "..."] == [line for line in printed if line in shown and line]
    told = start[start.index("\n```\n", start.index("```text")) : start.index("\n## ")]
    assert set(re.findall(r"\d+\.\d+", told)) <= set(" ".join(shown).split())


@pytest.fixture
def documented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Registry]:
    """What is installed once a reader has made and installed the plugins of the tutorial."""
    points = [*entry_points(group=GROUP)]
    for kind, name in NAMES.items():
        write_package(name, kind, tmp_path / name)  # type: ignore[arg-type]
        monkeypatch.syspath_prepend(tmp_path / name)
        points.append(entry_point(name, name.replace("-", "_"), name))
    return lambda: discover(points)


PAGES = sorted(str(page.relative_to(ROOT)) for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("page", PAGES)
def test_every_name_in_the_use_table_resolves(page: str, documented: Callable[[], Registry]) -> None:
    registry = documented()
    for kind, text in re.findall(r"`--(model|tuner|attack) ([^`\s]+)`", (ROOT / page).read_text()):
        if kind == "attack":
            registry.resolve_attack(text)
        else:
            registry.resolve(kind, re.sub(r",?surrogate\.[^,]*", "", text))


def grid_of(name: str, root: Path) -> Grid:
    """The table of a shipped definition, from the committed records; each row must have one, and says how many."""
    sweep = settled_by_records(root / "benchmarks" / f"{name}.toml", root)
    summary = summarise(sweep, plan_sweep(discover(), sweep), latest_completed(read(root / "results")))
    assert all(line.recorded for line in summary.lines)
    return summary_grid(summary)


def read(folder: Path) -> list[RunResult]:
    return list(Store(folder).read(lambda warning: pytest.fail(warning)))


def settled_by_records(path: Path, root: Path) -> Sweep:
    """A definition whose choices were made by the committed records of its candidates."""
    sweep = read_sweep(path)
    if (candidates := candidates_of(sweep)) is None:
        return sweep
    planned = plan_sweep(discover(), candidates)
    completed = latest_completed(read(root / "results" / FOLDER))
    return settled(sweep, Trials(definition=candidates, planned=planned, completed=completed))


def between_markers(page: Path, name: str) -> str:
    shown = re.search(rf"<!-- {name} -->\n(.*?)\n<!-- end -->", page.read_text(), re.DOTALL)
    assert shown is not None
    return shown[1].strip()


def table_rows(markdown: str) -> list[dict[str, str]]:
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in markdown.splitlines() if line[:1] == "|"]
    return [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]


@pytest.mark.parametrize(
    ("page", "name"),
    [
        ("docs/study.md", "cifar10-clip-tiny"),
        ("docs/study.md", "leaf-synth"),
        ("docs/study-methods.md", "finding-cifar10"),
        ("docs/study-methods.md", "finding-cifar10-autoattack"),
        ("docs/study-leaf.md", "leaf-photos"),
        ("docs/study-leaf.md", "leaf-photos-transfer"),
        ("docs/study-leaf.md", "leaf-protocol"),
        ("docs/study-leaf.md", "leaf-models"),
        ("docs/study-leaf.md", "leaf-models-transfer"),
    ],
)
def test_the_tables_are_what_the_committed_records_say(page: str, name: str, root: Path) -> None:
    assert between_markers(root / page, name) == grid_of(name, root).to_markdown().strip()


@pytest.mark.parametrize(
    ("page", "suite"), [("study-methods.md", "offline@1"), ("threat-models.md", "offline-threats@1")]
)
def test_the_averages_of_a_suite_are_what_the_committed_records_say(page: str, suite: str, root: Path) -> None:
    words = ["suite", suite, "--results", str(root / "results"), "--format", "markdown"]
    printed = CliRunner().invoke(cli.cli, words, catch_exceptions=False).output
    shown = between_markers(root / "docs" / page, f"suite {suite}")
    assert "averages over 4 data sets" in shown and printed.startswith(shown + "\n")


def test_the_readme_s_rows_and_figures_are_those_of_the_records(readme: str, root: Path) -> None:
    full = {row["row"]: row for row in table_rows(grid_of("leaf-synth", root).to_markdown())}
    shown = table_rows(between_markers(root / "README.md", "leaf-synth"))
    assert len(shown) >= 3
    for row in shown:
        assert row.items() <= full[row["row"]].items()
    text = readme[readme.index("<!-- end -->") : readme.index("## Commands")]
    means = {cell.partition(" ")[0] for row in shown for cell in row.values()}
    said = set(re.findall(r"\d+\.\d+", text))
    assert said and said <= means


def test_every_record_is_a_run_of_a_shipped_definition(root: Path) -> None:
    shown, tried = set[str](), set[str]()
    for path in (root / "benchmarks").glob("*.toml"):
        shown |= {job.run_id for job in plan_sweep(discover(), settled_by_records(path, root))}
        if candidates := candidates_of(read_sweep(path)):
            tried |= {job.run_id for job in plan_sweep(discover(), candidates)}
    assert {record.spec.run_id() for record in read(root / "results")} <= shown
    assert {record.spec.run_id() for record in read(root / "results" / FOLDER)} <= tried


@pytest.mark.parametrize("page", PAGES)
def test_every_file_a_page_links_to_exists(page: str) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", (ROOT / page).read_text()):
        assert ((ROOT / page).parent / target).is_file(), target
