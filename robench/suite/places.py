"""Where the files of data sets lie, and which data sets are not there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from robench.contracts.types import parse_name
from robench.errors import RobenchError, SpecError
from robench.registry.registry import Registry
from robench.run.doctor import is_here


@dataclass(frozen=True, kw_only=True)
class Places:
    """Folders of data sets, as given after ``--data``.

    Attributes:
        roots: Folders in which each data set has a folder of its name, such as ``DIR/cifar100``.
        named: The folder of one data set, by its name.
    """

    roots: tuple[Path, ...] = ()
    named: Mapping[str, Path] = field(default_factory=dict)

    def located(self, registry: Registry, text: str) -> str:
        """Return a dataset as typed with the folder of its files, if it reads files and there is one for it.

        Raises:
            SpecError: There is no such dataset.
        """
        component = registry.find("dataset", text.partition(":")[0])[1]
        given = dict(parse_name(text, component.bare).params)
        if "path" not in registry.implementation(component).Params.model_fields or {"path", component.bare} & {*given}:
            return text
        found = self.named.get(component.name)
        found = found or next((root / component.name for root in self.roots if (root / component.name).is_dir()), None)
        return text if found is None else with_parameter(text, "path", str(found))


def with_parameter(text: str, key: str, value: object) -> str:
    """Return a component as typed with one parameter more."""
    return f"{text}{',' if ':' in text else ':'}{key}={value}"


def read_places(given: Iterable[str]) -> Places:
    """Return the places that ``--data DIR`` and ``--data NAME=DIR`` name.

    Raises:
        SpecError: A folder does not exist, or its path has a comma, which ends a parameter.
    """
    roots: list[Path] = []
    named: dict[str, Path] = {}
    for text in given:
        name, equals, path = text.partition("=")
        folder = Path(path if equals else text).expanduser()
        if not folder.is_dir():
            raise SpecError(f"--data {text}: there is no folder {folder}; expected DIR or NAME=DIR, as cifar100=DIR")
        if "," in str(folder):
            raise SpecError(f"--data {text}: a path with a comma cannot be a parameter; rename the folder")
        if equals:
            named[name] = folder
        else:
            roots.append(folder)
    return Places(roots=tuple(roots), named=named)


def why_missing(registry: Registry, text: str) -> str:
    """Return why a dataset, as typed with its folder, cannot be read here; empty if it can, or can be fetched.

    Nothing is downloaded.
    """
    try:
        resolved = registry.resolve("dataset", text)
        absent = (
            [] if "path" in resolved.files() else [each for each in resolved.component.downloads if not is_here(each)]
        )
        if absent:
            return _not_fetched(absent[0], resolved.component.name)
        resolved.build().check_files()
    except RobenchError as error:
        return str(error)
    return ""


def _not_fetched(download: str, name: str) -> str:
    """Return why a set of the Hub cannot be read; empty if it can be fetched."""
    from huggingface_hub import constants

    if not constants.HF_HUB_OFFLINE:
        return ""
    repository = download.partition(":")[2]
    return f"not in the Hub's cache; hf download {repository} --repo-type dataset --local-dir DIR/{name}"
