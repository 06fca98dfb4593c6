"""The documentation is built strictly, is complete, and says what is true: its code runs and its commands are valid."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import robench
from PIL import Image
from robench import cli
from robench.cli.components import PLURALS
from robench.contracts.types import KINDS
from robench.registry.describe import describe
from robench.registry.discovery import GROUP
from robench.registry.registry import Registry, discover
from robench.run.plan import Request, plan
from robench.scaffold.write import package
from robench.suite.definition import read_suite
from robench.suite.parts import parts_of
from robench.suite.places import Places
from robench.suite.published import read_published
from robench.sweep.plan import plan_sweep, read_sweep
from safetensors.numpy import save_file
from sphinx.util.inventory import InventoryFile

from tests.conftest import entry_point
from tests.helpers.documentation import blocks, commands, inline_commands

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "benchmarks" / "README.md"]
CARDS = sorted((ROOT / "plugins").glob("robench_plugins/weights/*/README.md"))
RUN = [ROOT / "docs" / "start.md", ROOT / "docs" / "checks.md"]
"""Pages whose commands are run, one after the other, and whose output is compared."""
FOREIGN = {"cat", "cd", "cp", "eval", "export", "git", "hf", "ls", "mkdir", "pip", "pytest", "python", "sbatch", "uv"}
LAUNCHERS = {"accelerate", "torchrun"}
"""What starts ``python -m`` several times."""

Readers = Callable[[Path], Callable[[], Registry]]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built once and as strictly as Sphinx can."""
    folder = tmp_path_factory.mktemp("site")
    words = ["-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "-d", str(folder / "trees"), "docs"]
    done = subprocess.run(
        [sys.executable, *words, str(folder / "html")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "html"


@pytest.mark.slow
def test_every_component_has_a_page_with_its_parameters(site: Path) -> None:
    registry = discover(entry_points(group=GROUP, name="builtin"))
    for plural, kind in PLURALS.items():
        overview = (site / "generated" / plural / "index.html").read_text()
        for _, component in registry.components(kind):
            page = (site / "generated" / plural / f"{component.name}.html").read_text()
            assert f'href="{component.name}.html"' in overview
            for parameter in describe(registry, kind, component.name).parameters:
                assert f">{parameter.name}</span>" in page, (component.name, parameter.name)


def test_parameters_are_described_with_what_they_take() -> None:
    found = describe(discover(), "attacker", "pgd").parameters
    types = {parameter.name: parameter.type for parameter in found}
    assert types["norm"] == "Linf or L2" and types["steps"] == "int ≥ 1" and types["random_start"] == "bool"
    assert types["eps"].startswith("radius") and types["alpha"].startswith("step")


@pytest.mark.slow
def test_public_names_and_commands_are_documented(site: Path) -> None:
    with (site / "objects.inv").open("rb") as file:
        inventory = InventoryFile.load(file, "", lambda base, path: path)
    documented = {
        name: entry[2].partition("#")[0]
        for domain, entries in inventory.items()
        if domain.startswith("py:") and domain != "py:module"
        for name, entry in entries.items()
    }
    for name in (*(f"robench.{name}" for name in robench.__all__), "robench.testing.assert_conforms"):
        assert documented.get(name) == "api.html", name
    reference = (site / "cli.html").read_text()
    for name, command in cli.cli.commands.items():
        for option in (each for each in command.params if not getattr(each, "hidden", False)):
            assert f'id="cmdoption-robench-{name}-' in reference, (name, option.name)


@pytest.mark.slow
def test_the_site_asks_no_other_host(site: Path) -> None:
    for page in site.rglob("*.html"):
        fetched = re.findall(
            r"<(?:link|script|img|iframe)\b[^>]*?(?:src|href)=\"((?:https?:)?//[^\"]*)", page.read_text()
        )
        assert not fetched, page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", sheet.read_text()), sheet


@pytest.mark.parametrize("page", [*PAGES, *CARDS], ids=name_of)
def test_every_file_of_the_source_that_a_page_names_exists(page: Path) -> None:
    made = {"docs/_build", "docs/_build/index.html", *package("my-plugin", "attacker")}
    for name in re.findall(r"`((?:benchmarks|docs|plugins|robench|tests)/[\w./-]+)`", page.read_text()):
        assert (ROOT / name).exists() or name in made, name


@pytest.mark.parametrize("page", [*CARDS, ROOT / "benchmarks" / "README.md"], ids=name_of)
def test_every_link_of_the_pages_outside_docs_leads_to_a_file(page: Path) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text()):
        assert (page.parent / target).is_file(), target


def modules_of(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[ModuleType]:
    """Write the Python blocks of a page to the files that it says they are, import them all, and return them."""
    names = []
    for number, block in enumerate(each for each in blocks(page, "python") if not each.not_run):
        file = folder / (block.file or f"block_{number}.py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block.text)
        names.append(".".join(file.relative_to(folder).with_suffix("").parts).removesuffix(".__init__"))
    monkeypatch.syspath_prepend(folder)
    for name in names:  # of another page or test
        sys.modules.pop(name, None)
    return [import_module(name) for name in names]


@pytest.fixture
def readers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Readers:
    """What a reader of a page has: what is shipped, and the plugins that the page shows."""

    def made(page: Path) -> Callable[[], Registry]:
        modules = modules_of(page, tmp_path / "modules", monkeypatch)
        names = [each.__name__ for each in modules if hasattr(each, "robench_components")]
        points = [*entry_points(group=GROUP, name="builtin"), *(entry_point(name, name, name) for name in names)]
        return lambda: discover(points)

    return made


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder like the checkout, with the data and files that pages speak of."""
    for name in ("benchmarks", "docs", "plugins", "results"):
        (tmp_path / name).symlink_to(ROOT / name)
    for name in ("mine", "unpacked"):
        write_classes(tmp_path / "data" / name)
    (tmp_path / "DIR").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_classes(folder: Path, seed: int = 0) -> None:
    random = np.random.default_rng(seed)
    for name in ("ants", "bees"):
        (folder / name).mkdir(parents=True)
        for number in range(20):
            pixels = random.integers(0, 256, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number:04}.jpg")


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=name_of)
def test_the_python_of_a_page_runs(page: Path, folder: Path, readers: Readers) -> None:
    registry = readers(page)()
    assert not [plugin.error for plugin in registry.plugins if plugin.error]
    for kind in KINDS:
        for plugin, component in registry.components(kind):
            if plugin.distribution != "robench":
                registry.implementation(component)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "toml")], ids=name_of)
def test_the_toml_of_a_page_parses(page: Path, folder: Path) -> None:
    for block in blocks(page, "toml"):
        if {"title", "rows"} <= tomllib.loads(block.text).keys():  # rows alone are to be put into a definition
            (folder / "sweep.toml").write_text(block.text)
            assert plan_sweep(discover(), read_sweep(folder / "sweep.toml"))
        elif "datasets" in tomllib.loads(block.text):
            (folder / "suite.toml").write_text(block.text)
            suite = read_suite(folder / "suite.toml")
            assert parts_of(discover(), suite, {"tuner": "tecoa"}, Places(), {})
        elif "reported" in tomllib.loads(block.text):
            (folder / "papers.toml").write_text(block.text)
            assert read_published(suite, folder / "suite.toml")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_of_a_page_is_valid(page: Path, folder: Path, readers: Readers) -> None:
    registry = readers(page)
    found = [words for block in blocks(page, "sh") if not block.not_run for words in commands(block.text)]
    for words in (*found, *inline_commands(page)):
        if words[0] in LAUNCHERS:
            words = words[words.index("-m") + 1 :]
        if words[:2] == ["robench", "import"]:
            continue  # it wants files that are there
        if words[0] == "robench":
            parse_or_plan(words[1:], registry)
        else:
            assert words[0] in FOREIGN, words


@pytest.mark.slow
def test_every_command_of_a_component_s_page_is_valid(site: Path, folder: Path, readers: Readers) -> None:
    registry = readers(ROOT / "docs" / "components.md")
    pages = [page for plural in PLURALS for page in (ROOT / "docs" / "generated" / plural).glob("*.md")]
    found = [words[1:] for page in pages for block in blocks(page, "sh") for words in commands(block.text)]
    assert len(found) == sum(len(registry().components(kind)) for kind in KINDS)
    for words in found:
        if not words[-1].endswith("-NAME"):
            parse_or_plan(words, registry)


def parse_or_plan(words: list[str], registry: Callable[[], Registry]) -> None:
    """Parse a command, and go as far as data, weights and a network are not needed."""
    command: click.Command = cli.cli
    name, rest = "robench", words
    with contextlib.ExitStack() as stack:
        while isinstance(command, click.Group):
            group = stack.enter_context(command.make_context(name, [*rest]))
            found, command, rest = command.resolve_command(group, rest)
            name = str(found)
        if not rest and any(isinstance(each, click.Argument) and each.required for each in command.params):
            return  # the text speaks of the command
        if "--adapter" in rest:
            made_with = {"tuner": "tecoa", "model": "clip-tiny", "model_fingerprint": "0"}
            save_file({"weights": np.zeros(1)}, rest[rest.index("--adapter") + 1], made_with)
        # While it is open, a file named by --plugin is loaded too.
        given = stack.enter_context(command.make_context(name, rest)).params
        for text in given.get("loggers", ()):
            registry().resolve("logger", text)
        if name == "run":
            plan(registry(), Request(**{key: given[key] for key in given.keys() & Request.__dataclass_fields__.keys()}))
        elif name == "sweep" and str(given["file"]) != "FILE":
            assert plan_sweep(registry(), read_sweep(given["file"]))
        elif name in ("describe", "check") and not re.match(r"NAME|my-", given["name"]):
            assert any(registry().knows(kind, given["name"].partition(":")[0]) for kind in KINDS), words
        elif name == "list" and given["what"]:
            assert given["what"] in PLURALS


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN, ids=name_of)
def test_commands_print_what_a_page_shows(
    page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    printed: list[str] = []
    for block in blocks(page):
        if block.language == "sh":
            printed = []
            for words in commands(block.text):
                if words[0] == "robench":
                    with pytest.raises(SystemExit) as exit_:
                        cli.main(words[1:])
                    captured = capsys.readouterr()
                    assert not exit_.value.code, captured.err
                    printed += captured.out.splitlines()
        else:
            shown = [line for line in block.text.splitlines() if re.search(r"\w", line)]
            assert shown
            for line in shown:
                assert any(alike(line, each) for each in printed), (line, printed)


NUMBER = re.compile(r"[+-]?\d[\w.,+-]*")


def alike(shown: str, printed: str) -> bool:
    """Return whether two lines have the same words, and accuracies that another machine may well give."""
    forms = [NUMBER.sub("#", line).split() for line in (shown, printed)]
    decimals = [[float(each) for each in re.findall(r"\d+\.\d+", line)] for line in (shown, printed)]
    return forms[0] == forms[1] and all(abs(a - b) <= 10 for a, b in zip(*decimals, strict=False))


def test_parquet_in_the_hub_s_layout_unpacks_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (module,) = modules_of(ROOT / "docs" / "my-data.md", tmp_path / "modules", monkeypatch)
    names = ["ants", "bees"]
    features = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
    for seed, part in enumerate(("train", "test")):
        classes = tmp_path / part
        write_classes(classes, seed)
        rows = [
            {"image": {"bytes": file.read_bytes(), "path": file.name}, "label": label}
            for label, name in enumerate(names)
            for file in sorted((classes / name).iterdir())
        ]
        table = pa.Table.from_pylist(rows).replace_schema_metadata({"huggingface": json.dumps(features)})
        (tmp_path / "hub" / "data").mkdir(parents=True, exist_ok=True)
        pq.write_table(table, tmp_path / "hub" / "data" / f"{part}-00000-of-00001.parquet")
    assert module.unpack(tmp_path / "hub", tmp_path / "unpacked") == 80
    dataset = discover().resolve("dataset", f"leaf:path={tmp_path / 'unpacked'},size=32,alike=0").build()
    assert dataset.class_names == ("ants", "bees") and dataset.size("test") == 40
