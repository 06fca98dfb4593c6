"""Who may import whom."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HEAVY = {"torch", "transformers", "peft", "torchattacks", "timm", "torchvision"}
SCIENTIFIC = {"numpy", "pandas", "scipy", "pydantic"}


def top_level_imports(path: Path) -> Iterator[str]:
    """Yield modules imported when `path` is imported, not those inside functions or for type checking."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules(root: Path, package: str) -> list[Path]:
    return sorted((root / package).rglob("*.py"))


def roots(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in top_level_imports(path)}


FLOORS = (
    ("errors",),
    ("compute", "images", "scaffold"),
    ("storage",),
    ("records",),
    ("contracts",),
    ("networks", "statistics"),
    ("present", "train"),
    ("registry",),
    ("attack",),
    ("bench", "checks"),
    ("run",),
    ("suite",),
    ("conformance", "evidence", "leaderboard", "sweep"),
    ("exchange", "testing"),
    ("cli",),
    ("__main__",),
)
"""The rooms of robench, lowest first: a room imports only rooms below its floor, also within functions."""
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}

LIGHT_ROOMS = ("records", "contracts", "statistics", "present", "registry", "leaderboard", "exchange", "scaffold")
"""Rooms whose modules never import torch at their top, so that commands which only read stay fast."""


def every_import(path: Path) -> Iterator[tuple[str, int]]:
    """Yield all modules that a file imports, also in functions and for type checking, each with its line."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, node.lineno
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def upward_imports(package: Path) -> list[str]:
    """Return each import of a room on the same floor or above it, as ``file:line: room``."""
    found = []
    for path in sorted(package.rglob("*.py")):
        room = path.relative_to(package).parts[0].removesuffix(".py")
        if room == "__init__":
            continue
        for name, line in every_import(path):
            parts = name.split(".")
            if parts[0] != package.name or len(parts) == 1 or parts[1] not in FLOOR_OF or parts[1] == room:
                continue
            if FLOOR_OF[parts[1]] >= FLOOR_OF[room]:
                found.append(f"{path.relative_to(package)}:{line}: {parts[1]}")
    return sorted(set(found))


def test_every_room_has_its_floor(root: Path) -> None:
    rooms = {path.name for path in (root / "robench").iterdir() if path.is_dir() and path.name != "__pycache__"}
    rooms |= {path.stem for path in (root / "robench").glob("*.py") if path.name != "__init__.py"}
    assert rooms == FLOOR_OF.keys()


def test_no_room_imports_one_above_it(root: Path) -> None:
    assert upward_imports(root / "robench") == []


@pytest.mark.parametrize(
    "statement",
    [
        "from robench.run.runner import run",
        "import robench.run.runner",
        "from robench import run",
        "def late() -> None:\n    from robench.run.plan import SPLITS",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from robench.run.plan import Plan",
    ],
)
def test_an_upward_import_is_found(tmp_path: Path, statement: str) -> None:
    package = tmp_path / "robench"
    (package / "storage").mkdir(parents=True)
    (package / "run").mkdir()
    (package / "storage" / "cache.py").write_text(f"from robench.errors import DataError\n{statement}\n")
    (package / "run" / "runner.py").write_text("from robench.storage.cache import DataError\n")
    assert [found.partition(":")[0] for found in upward_imports(package)] == ["storage/cache.py"]


def test_the_root_shows_rooms_and_few_files(root: Path) -> None:
    files = {path.name for path in (root / "robench").iterdir() if path.is_file()}
    assert files == {"__init__.py", "__main__.py", "errors.py", "py.typed", "testing.py"}


def test_every_room_says_what_it_is_for(root: Path) -> None:
    for folder in (path.parent for path in (root / "robench").rglob("__init__.py")):
        if folder.name != "robench":
            assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text())), folder


@pytest.mark.parametrize("name", ["contracts/types", "errors"])
def test_the_nouns_need_the_standard_library_alone(root: Path, name: str) -> None:
    assert roots(root / "robench" / f"{name}.py") <= sys.stdlib_module_names | {"robench"}


@pytest.mark.parametrize("room", LIGHT_ROOMS)
def test_light_rooms_do_not_import_torch(root: Path, room: str) -> None:
    heavy = [path for path in modules(root, f"robench/{room}") if roots(path) & HEAVY]
    assert not heavy


def test_the_command_line_imports_nothing_heavy_at_the_top(root: Path) -> None:
    for path in modules(root, "robench/cli"):
        assert not roots(path) & (HEAVY | SCIENTIFIC), path


def test_nobody_imports_the_command_line(root: Path) -> None:
    for path in modules(root, "robench") + modules(root, "plugins"):
        if path.parent.name != "cli" and path.name != "__main__.py":
            assert not any(name.startswith("robench.cli") for name in top_level_imports(path)), path


def test_the_core_never_names_its_plugins_but_to_say_where_they_are(root: Path) -> None:
    for path in modules(root, "robench"):
        text = path.read_text()
        about = ast.get_docstring(ast.parse(text), clean=False) or ""
        assert "robench_plugins" not in text.replace(about, ""), path


def test_plugins_use_public_names_only(root: Path) -> None:
    import robench

    for path in modules(root, "plugins"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "robench":
                assert node.module == "robench", f"{path} imports {node.module}"
                assert {alias.name for alias in node.names} <= set(robench.__all__), path


def test_every_public_name_exists_and_a_misspelt_one_does_not() -> None:
    import robench

    for name in robench.__all__:
        assert getattr(robench, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Datset'"):
        _ = robench.Datset


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["list"],
        ["list", "tuners"],
        ["plugins"],
        ["run", "--help"],
        ["leaderboard", "--help"],
        ["sweep", "--help"],
        ["suite", "--help"],
    ],
)
def test_light_commands_load_nothing_heavy(arguments: list[str]) -> None:
    program = (
        "import sys, contextlib, io\n"
        "from robench.cli import main\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
        f"    main({arguments!r})\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not set(output.stdout.split()) & (HEAVY | SCIENTIFIC)


def test_the_leaderboard_command_does_not_load_torch(tmp_path: Path) -> None:
    program = (
        "import sys, contextlib\n"
        "from robench.cli import main\n"
        "with contextlib.suppress(SystemExit):\n"
        f"    main(['leaderboard', '--results', {str(tmp_path)!r}])\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not set(output.stdout.split()) & HEAVY


@pytest.mark.slow
def test_a_plan_loads_nothing_that_only_an_attack_or_a_test_of_significance_needs() -> None:
    program = (
        "import sys, contextlib, io, gc, atexit\n"
        "from robench.cli import main\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
        "    main(['run', '--tuner', 'tecoa', '--attack', 'pgd-resnet20', '--dry-run'])\n"
        "print(*{'torch', 'peft', 'torchattacks', 'statsmodels', 'scipy.stats'} & set(sys.modules))\n"
        "atexit._run_exitfuncs()\n"
        "print(gc.get_freeze_count() > 0)"
    )
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    modules, frozen = output.stdout.splitlines()
    assert set(modules.split()) == {"torch", "peft"}
    assert frozen == "True"  # so that its end takes no second
