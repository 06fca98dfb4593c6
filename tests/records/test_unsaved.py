"""A record that cannot be saved anywhere is not lost."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from robench.records.record import RunResult
from robench.records.store import Store, UnsavedError

from tests.helpers.results import result


def test_an_error_has_the_record_and_names_its_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Store, path: Path, text: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Store, "_create", full)
    made = result()
    with pytest.raises(UnsavedError, match="No space left on device") as caught:
        Store(tmp_path / "results").write_or_rescue(made, tmp_path / "rescue")
    again = pickle.loads(pickle.dumps(caught.value))  # as it comes from the process of a run
    assert again.result == made and str(again) == str(caught.value)
    assert made.clean is not None
    for name, score in (("clean", made.clean), *((each.label, each) for each in made.attacks)):
        assert f"{name} {100 * score.accuracy:.2f} (n={score.n})" in str(again)
    assert RunResult.model_validate_json(again.result.model_dump_json()) == made
