"""Places of records and caches."""

from __future__ import annotations

from pathlib import Path

import pytest
from robench import DataError
from robench.storage.location import prepare_cache


def test_a_cache_is_made(tmp_path: Path) -> None:
    prepare_cache(tmp_path / "a" / "b")
    assert [*(tmp_path / "a").iterdir()] == [tmp_path / "a" / "b"]
    assert not any((tmp_path / "a" / "b").iterdir())


def test_a_cache_that_cannot_be_written_to_is_refused_before_a_run_spends_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot write the cache .*: Not a directory; pass --cache-dir DIR"):
        prepare_cache(tmp_path / "file" / "cache")
