from __future__ import annotations

import base64
import json
import re
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError
from robench.records import record as records
from robench.records.class_labels import pack_labels, unpack_labels
from robench.records.record import RunResult, Score

from tests.helpers.results import result


@given(hnp.arrays(np.bool_, st.integers(1, 200)))
def test_per_example_correctness_survives_packing(correct: NDArray[np.bool_]) -> None:
    score = Score.model_validate_json(Score.of(correct).model_dump_json())
    np.testing.assert_array_equal(score.mask(), correct)
    assert score.correct == correct.sum() and score.n == len(correct)


@pytest.mark.parametrize(("field", "value"), [("correct", 3), ("n", 100), ("bits", "!!"), ("bits", "")])
def test_a_score_that_contradicts_itself_is_refused(field: str, value: object) -> None:
    content = Score.of(np.array([True, False, True])).model_dump()
    with pytest.raises(ValidationError):
        Score.model_validate({**content, field: value})


def test_the_identity_ignores_how_things_are_displayed() -> None:
    spec = result().spec
    relabelled = spec.model_copy(update={"model": spec.model.model_copy(update={"label": "other"})})
    assert relabelled.run_id() == spec.run_id()


def test_a_record_whose_name_is_not_its_spec_s_hash_is_refused() -> None:
    content = result().model_dump()
    content["spec"]["seed"] = 5
    with pytest.raises(ValidationError, match="not the hash of the spec"):
        RunResult.model_validate(content)


def test_unknown_keys_and_later_schemas_are_refused() -> None:
    content = json.loads(result().model_dump_json())
    for wrong in ({"accuracy": 99.9}, {"schema_version": records.SCHEMA + 1}):
        with pytest.raises(ValidationError):
            RunResult.model_validate({**content, **wrong})


def test_a_completed_record_without_measurements_is_refused() -> None:
    content = result().model_dump()
    with pytest.raises(ValidationError, match="completed run needs"):
        RunResult.model_validate({**content, "clean": None})


@given(st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
def test_any_json_is_read_or_refused_as_invalid(content: object) -> None:
    with pytest.raises(ValidationError):
        RunResult.model_validate_json(json.dumps(content))


def test_every_field_of_the_schema_is_documented(root: Path) -> None:
    text = (root / "docs" / "records.md").read_text()
    models = [m for m in vars(records).values() if isinstance(m, type) and issubclass(m, records.Record)]
    assert issubclass(records.Record, BaseModel)
    missing = {name for model in models for name in model.model_fields if f"`{name}`" not in text}
    assert not missing
    assert re.search(rf"schema_version.*{records.SCHEMA}", text)


@given(st.lists(st.integers(0, 65535), max_size=50))
def test_labels_survive_packing(labels: list[int]) -> None:
    assert unpack_labels(pack_labels(np.array(labels, dtype=np.int64)), len(labels)).tolist() == labels


def test_labels_that_cannot_be_are_refused() -> None:
    content = json.loads(result().model_dump_json())
    bomb = base64.b64encode(zlib.compress(bytes(50_000_000))).decode()
    forged = {bomb: "201 bytes of labels", "AAAA": "cannot be unpacked", pack_labels(np.zeros(100, int)): "do not add"}
    for text, message in forged.items():
        content["data"]["labels"] = text
        with pytest.raises(ValidationError, match=message):
            RunResult.model_validate(content)
