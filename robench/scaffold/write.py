"""Write a new plugin: a package that installs, runs and passes ``robench check`` as it is."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from robench.errors import SpecError

Scaffold = Literal[
    "dataset",
    "model",
    "attacker",
    "tuner",
    "adaptation",
    "objective",
    "defence",
    "constraint",
    "corruption",
    "logger",
]
# The tuner is an adaptation: an objective adds training, checkpoints and white-box examples.
KINDS: dict[Scaffold, tuple[str, ...]] = {
    "dataset": ("dataset",),
    "model": ("model",),
    "attacker": ("attacker",),
    "tuner": ("adaptation", "tuner"),
    "adaptation": ("adaptation",),
    "objective": ("objective",),
    "logger": ("logger",),
    "defence": ("defence",),
    "constraint": ("constraint",),
    "corruption": ("corruption",),
}
COMMANDS: dict[Scaffold, str] = {
    "dataset": "robench run --dataset {name} --attack pgd --test-size 200",
    "model": "robench run --model {name} --tuner supervised --attack pgd --train-size 1000 --test-size 200",
    "attacker": "robench run --attack {name} --test-size 200",
    "tuner": "robench run --tuner {name} --attack pgd-resnet20 --train-size 500 --test-size 200",
    "adaptation": "robench run --tuner {name}+tecoa --attack pgd-resnet20 --train-size 500 --test-size 200",
    "objective": "robench run --tuner lora+{name} --attack pgd-resnet20 --train-size 500 --test-size 200",
    "logger": "robench run --log {name} --attack pgd --test-size 50",
    "constraint": "robench run --attack noise:norm={name},eps=2 --test-size 200",
    "corruption": "robench run --corruption {name} --attack pgd --test-size 200",
    "defence": "robench run --defence {name} --attack pgd:eps=2/255 --test-size 200",
}


def package(name: str, kind: Scaffold) -> dict[str, str]:
    """Return the files of a new plugin by relative path.

    Args:
        name: The name of the package and of its component, in lower case with hyphens.

    Raises:
        SpecError: `name` is not of this form.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise SpecError(f"{name!r} cannot name a plugin; expected lower case, digits and hyphens, such as my-{kind}")
    module = name.replace("-", "_")
    templates = Environment(
        loader=PackageLoader("robench.scaffold", ""),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )
    values = {
        "name": name,
        "module": module,
        "class_name": "".join(part.capitalize() for part in name.split("-")),
        "kind": kind,
        "article": "an" if kind[0] in "ao" else "a",
        "command": COMMANDS[kind].format(name=name),
        "version": version("robench"),
    }
    files = {
        "pyproject.toml": "pyproject.toml.j2",
        "README.md": "README.md.j2",
        f"{module}/__init__.py": f"{kind}.init.py.j2",
        f"{module}/{kind}.py": f"{kind}.py.j2",
        "tests/test_contract.py": "test_contract.py.j2",
    }
    return {path: templates.get_template(template).render(values) for path, template in files.items()}


def write_package(name: str, kind: Scaffold, folder: Path) -> list[Path]:
    """Write a new plugin into `folder` and return its files.

    Raises:
        SpecError: `name` is not in lower case with hyphens, or `folder` is not empty.
    """
    files = package(name, kind)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SpecError(f"{folder} is not empty; pass --output DIR for another folder")
    written = []
    for path, text in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        written.append(file)
    return written
