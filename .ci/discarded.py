"""Check the log of `pip install --log FILE`: pip fetched one version of every package and discarded none.

Usage: python .ci/discarded.py FILE
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from pathlib import Path

FETCHED = re.compile(
    r"^\S*\s+(?:Downloading|Processing|Using cached) (?:\S*/)?"  # the time, what pip does, and from where
    r"([A-Za-z0-9_.]+?)-(\d[\w.+!]*?)(?:-\S*)?\.(?:whl|tar\.gz)",
    re.MULTILINE,
)


def fetched(log: str) -> dict[str, list[str]]:
    """Return the versions of each package that the log of pip says it looked into, in order."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, version in FETCHED.findall(log):
        versions = found[re.sub(r"[-_.]+", "-", name).lower()]
        if version not in versions:
            versions.append(version)
    return dict(found)


def main() -> None:
    """Print what was discarded and exit with 1, or say how many packages were fetched."""
    found = fetched(Path(sys.argv[1]).read_text(encoding="utf-8", errors="replace"))
    several = {name: versions for name, versions in found.items() if len(versions) > 1}
    for name, versions in sorted(several.items()):
        print(f"{name}: pip fetched {len(versions)} versions ({', '.join(versions)}); state a bound in pyproject.toml")
    if several or not found:
        sys.exit("the log names no package" if not found else 1)
    print(f"{len(found)} packages, one version of each")


if __name__ == "__main__":
    main()
