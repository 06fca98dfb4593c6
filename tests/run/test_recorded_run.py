"""Files and folders that a run is to make are tried before it starts, and not made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from robench.errors import SpecError
from robench.registry.registry import Registry
from robench.run.plan import Plan, Request, plan
from robench.run.recorded_run import Setting


@pytest.fixture
def planned(registry: Registry) -> Plan:
    return plan(registry, Request(dataset="dots", tuner="bias", attacks=("sign",), train_size=30, test_size=40))


def test_other_processes_of_a_run_never_see_its_files_while_one_of_them_checks(
    planned: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = {"save_adapter": tmp_path / "adapter", "save_images": tmp_path / "deep" / "images"}
    seen: set[str] = set()

    def looking(method: Any) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            found = method(*args, **options)
            seen.update(name for name, path in new.items() if path.exists())
            return found

        return call

    for name in ("touch", "mkdir", "rename", "replace", "unlink"):
        monkeypatch.setattr(Path, name, looking(getattr(Path, name)))
    Setting(results=None, cache_dir=tmp_path, **new).check(planned)
    assert not seen and not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["save_adapter", "save_images"])
def test_what_cannot_be_written_is_refused(planned: Plan, tmp_path: Path, name: str) -> None:
    with pytest.raises(SpecError, match="cannot be written"):
        Setting(results=None, cache_dir=tmp_path, **{name: tmp_path / ("x" * 300)}).check(planned)  # type: ignore[arg-type]
