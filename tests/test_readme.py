"""What the README says is true: its plugin runs, its commands parse, its tables are what the records say."""

from __future__ import annotations

import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from robench.cli import cli
from robench.leaderboard import leaderboard
from robench.registry import discover
from robench.spec import Request, plan
from robench.store import Store
from robench.tables import to_markdown

from tests.conftest import entry_point, registry_of


@pytest.fixture(scope="module")
def readme() -> str:
    return (Path(__file__).parent.parent / "README.md").read_text()


def blocks(text: str, language: str) -> Iterator[str]:
    yield from re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_the_plugin_of_the_readme_works(readme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = blocks(readme, "python")
    (toml,) = blocks(readme, "toml")
    ((name, target),) = tomllib.loads(toml)["project"]["entry-points"]["robench"].items()
    module = ModuleType(target)
    exec(code, vars(module))
    monkeypatch.setitem(sys.modules, target, module)
    attack = registry_of(entry_point(name, target, "mine")).resolve_attack("noise:eps=16/255")
    images = torch.full((2, 3, 4, 4), 0.5)
    noisy = attack.build().perturb(torch.nn.Identity(), images, torch.zeros(2))
    assert 0 < (noisy - images).abs().max() <= 16 / 255


def test_every_run_command_of_the_readme_is_valid(readme: str) -> None:
    registry = discover()
    commands = []
    for block in blocks(readme, "sh"):
        variables = dict(re.findall(r'^(\w+)="(.*?)"$', block, re.MULTILINE | re.DOTALL))
        for line in re.split(r"\n|&&", block):
            for name, value in variables.items():
                line = line.replace(f"${name}", " ".join(value.split()))
            if line.strip().startswith("robench run"):
                commands.append(shlex.split(line)[2:])
    assert len(commands) >= 5
    for words in commands:
        flags = cli.commands["run"].make_context("run", words).params
        plan(registry, Request(**{k: v for k, v in flags.items() if k in Request.__dataclass_fields__}))


@pytest.mark.parametrize("dataset", ["leaf-synth", "cifar10"])
def test_the_tables_of_the_readme_are_what_the_committed_records_say(readme: str, dataset: str, root: Path) -> None:
    records = Store(root / "results").read(lambda warning: pytest.fail(warning))
    tables = to_markdown(leaderboard(records, filters=[f"dataset={dataset}"]))
    shown = re.search(rf"<!-- {dataset} -->\n(.*?)\n<!-- end -->", readme, re.DOTALL)
    assert tables and shown is not None and shown[1].strip() == tables


def test_every_file_the_readme_links_to_exists(readme: str, root: Path) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", readme):
        assert (root / target).is_file(), target
