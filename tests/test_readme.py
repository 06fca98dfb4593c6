"""What the README says is true: its plugin runs, its names resolve, its tables are what the records say."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

import pytest
import torch
from robench.records.store import Store
from robench.registry.discovery import GROUP
from robench.registry.registry import Registry, discover
from robench.scaffold.write import write_package
from robench.sweep.plan import latest_completed, plan_sweep, read_sweep
from robench.sweep.summary import summarise, summary_grid

from tests.conftest import entry_point, registry_of
from tests.scaffold.test_scaffold import NAMES

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def readme() -> str:
    return (ROOT / "README.md").read_text()


def blocks(text: str, language: str) -> Iterator[str]:
    yield from re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_the_plugin_of_the_readme_works(readme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = blocks(readme, "python")
    (toml,) = blocks(readme, "toml")
    ((name, target),) = tomllib.loads(toml)["project"]["entry-points"]["robench"].items()
    module = ModuleType(target)
    exec(code, vars(module))
    monkeypatch.setitem(sys.modules, target, module)
    attack = registry_of(entry_point(name, target, "mine")).resolve_attack("salt:eps=16/255")
    images = torch.full((2, 3, 4, 4), 0.5)
    noisy = attack.build().perturb(torch.nn.Identity(), images, torch.zeros(2))
    assert 0 < (noisy - images).abs().max() <= 16 / 255


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


@pytest.mark.parametrize(
    ("page", "name"),
    [
        ("README.md", "leaf-synth"),
        ("docs/study.md", "cifar10-clip-tiny"),
        ("docs/study.md", "leaf-synth"),
        ("docs/study-leaf.md", "leaf-photos"),
        ("docs/study-leaf.md", "leaf-photos-transfer"),
        ("docs/study-leaf.md", "leaf-protocol"),
        ("docs/study-leaf.md", "leaf-models"),
        ("docs/study-leaf.md", "leaf-models-transfer"),
    ],
)
def test_the_tables_are_what_the_committed_records_say(page: str, name: str, root: Path) -> None:
    records = Store(root / "results").read(lambda warning: pytest.fail(warning))
    sweep = read_sweep(root / "benchmarks" / f"{name}.toml")
    summary = summarise(sweep, plan_sweep(discover(), sweep), latest_completed(records))
    assert all(set(line.recorded) == set(sweep.seeds) for line in summary.lines)
    shown = re.search(rf"<!-- {name} -->\n(.*?)\n<!-- end -->", (root / page).read_text(), re.DOTALL)
    assert shown is not None and shown[1].strip() == summary_grid(summary).to_markdown().strip()


def test_every_run_of_a_shipped_definition_that_is_recorded_has_its_figures_in_a_table(root: Path) -> None:
    records = Store(root / "results").read(lambda warning: pytest.fail(warning))
    planned = {
        job.run_id for path in (root / "benchmarks").glob("*.toml") for job in plan_sweep(discover(), read_sweep(path))
    }
    assert {record.spec.run_id() for record in records} <= planned


@pytest.mark.parametrize("page", PAGES)
def test_every_file_a_page_links_to_exists(page: str) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", (ROOT / page).read_text()):
        assert ((ROOT / page).parent / target).is_file(), target
