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


@pytest.mark.parametrize("name", ["types", "errors"])
def test_the_nouns_need_the_standard_library_alone(root: Path, name: str) -> None:
    assert roots(root / "robench" / f"{name}.py") <= sys.stdlib_module_names | {"robench"}


@pytest.mark.parametrize(
    "name",
    [
        "registry",
        "discovery",
        "spec",
        "store",
        "shared_store",
        "shared",
        "lease",
        "leaderboard",
        "rankings",
        "ranks",
        "columns",
        "entries",
        "index",
        "index_read",
        "listing",
        "provenance",
        "records",
        "interfaces",
        "tuning",
        "sweep",
        "sweep_cost",
        "summary",
        "grid",
        "tables",
        "doctor",
    ],
)
def test_light_modules_do_not_import_torch(root: Path, name: str) -> None:
    assert not roots(root / "robench" / f"{name}.py") & HEAVY


def test_the_command_line_imports_nothing_heavy_at_the_top(root: Path) -> None:
    for path in modules(root, "robench/cli"):
        assert not roots(path) & (HEAVY | SCIENTIFIC), path


def test_nobody_imports_the_command_line(root: Path) -> None:
    for path in modules(root, "robench") + modules(root, "plugins"):
        if path.parent.name != "cli" and path.name != "__main__.py":
            assert not any(name.startswith("robench.cli") for name in top_level_imports(path)), path


def test_the_core_never_imports_its_plugins(root: Path) -> None:
    for path in modules(root, "robench"):
        assert "robench_plugins" not in path.read_text(), path


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
