"""Whatever is typed or lies in a file is understood or refused in one line; nothing else happens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from robench.errors import DataError, RobenchError, SpecError
from robench.records.record import RunResult
from robench.records.store import read_record
from robench.registry.registry import Registry
from robench.run.plan import Request, plan
from robench.sweep.plan import plan_sweep, read_sweep

from tests.helpers.results import result

NAMES = st.sampled_from(["sign", "sign-linear", "linear", "dots", "bias", "keep", "SIGN", "sign-", "-sign", ""])
VALUES = st.one_of(
    st.sampled_from(["8/255", "1e-3", "0", "-1", "1/0", "inf", "nan", "999999999999", "none"]), st.text()
)
KEYS = st.one_of(st.sampled_from(["eps", "n", "gain", "lr", "epochs", "surrogate.gain", "adversary"]), st.text())
PARAMS = st.lists(st.tuples(KEYS, VALUES).map("=".join), max_size=3).map(",".join)
TYPED = st.one_of(st.text(), st.tuples(NAMES, PARAMS).map(":".join))
WIDELY = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@WIDELY
@given(part=st.sampled_from(["dataset", "model", "tuner", "attacks"]), text=TYPED)
@example(part="tuner", text="bias:adversary=sign:eps=1/0")
@example(part="attacks", text="sign:eps=\x00")
def test_names_are_resolved_or_refused(registry: Registry, part: str, text: str) -> None:
    valid = {"dataset": "dots", "model": "linear", "tuner": "bias", "attacks": ("sign",)}
    fuzzed = (text,) if part == "attacks" else text
    try:
        planned = plan(registry, Request(**{**valid, part: fuzzed}))  # type: ignore[arg-type]
    except SpecError as error:
        assert str(error)
    else:
        assert planned.spec.run_id()


TOML = st.one_of(
    st.text(),
    st.recursive(
        st.one_of(st.booleans(), st.integers(-5, 5), st.floats(0, 1), st.text(max_size=8)),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
        max_leaves=6,
    ).map(json.dumps),
)
LINES = st.tuples(st.sampled_from(["title", "seeds", "rows", "common", "note", "dataset"]), TOML).map(" = ".join)


@WIDELY
@given(
    content=st.one_of(
        st.binary(max_size=200), st.lists(LINES, max_size=4).map(lambda x: "\n".join(x).encode("utf-8", "replace"))
    )
)
def test_definitions_are_read_or_refused(registry: Registry, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "fuzzed.toml"
    path.write_bytes(content)
    try:
        plan_sweep(registry, read_sweep(path))
    except RobenchError as error:
        assert str(error)


RECORD = json.loads(result().model_dump_json())


def leaves(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return the paths of all values within `value`."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, inner in items for found in leaves(inner, (*path, key)))]


@WIDELY
@given(
    where=st.sampled_from(leaves(RECORD)[1:]),
    what=st.one_of(st.none(), st.integers(), st.text(), st.just("../../x"), st.just([])),
)
def test_records_with_a_part_replaced_are_read_or_refused(
    tmp_path: Path, where: tuple[str | int, ...], what: object
) -> None:
    content = json.loads(json.dumps(RECORD))
    inner = content
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = what
    path = tmp_path / f"{RECORD['run_id']}.json"
    path.write_text(json.dumps(content))
    before = sorted(tmp_path.rglob("*"))
    try:
        assert isinstance(read_record(path), RunResult)
    except DataError as error:
        assert str(path) in str(error)
    assert sorted(tmp_path.rglob("*")) == before


@WIDELY
@given(content=st.binary(max_size=300))
def test_files_that_are_no_records_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "123456789abc.json"
    path.write_bytes(content)
    with pytest.raises(DataError):
        read_record(path)
