from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from robench.contracts.types import ThreatModel, format_pixels, parse_name, parse_pixels
from robench.errors import SpecError, nearest

from robench_plugins.constraints.linf import Linf

WORD = st.text(st.characters(codec="ascii", categories=["L", "N"], include_characters="._/-"), min_size=1)


@given(head=WORD, params=st.dictionaries(WORD, WORD, max_size=4))
def test_a_written_name_reads_back(head: str, params: dict[str, str]) -> None:
    text = head + (":" + ",".join(f"{k}={v}" for k, v in params.items()) if params else "")
    name = parse_name(text)
    assert name.text == head
    assert dict(name.params) == params


@given(st.text())
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    try:
        parse_name(text)
    except SpecError as error:
        assert str(error)


@pytest.mark.parametrize("text", ["", ":eps=1", "pgd:", "pgd:eps", "pgd:eps=", "pgd:=1", "pgd:eps=1,,steps=2"])
def test_malformed_names_are_refused(text: str) -> None:
    with pytest.raises(SpecError):
        parse_name(text)


def test_a_parameter_given_twice_is_refused() -> None:
    with pytest.raises(SpecError, match="'eps' is given twice"):
        parse_name("pgd:eps=1/255,eps=2/255")


@given(st.integers(0, 255))
def test_pixel_levels_are_exact(level: int) -> None:
    assert parse_pixels(f"{level}/255") == Fraction(level, 255)
    assert format_pixels(Fraction(level, 255)) == f"{level}/255"


@given(st.fractions(0, 1))
def test_pixel_distances_read_back(distance: Fraction) -> None:
    assert parse_pixels(format_pixels(distance)) == distance


def test_decimal_distances_are_not_rounded_to_binary() -> None:
    assert parse_pixels("0.1") == Fraction(1, 10)


def test_a_level_typed_as_a_distance_gets_the_right_hint() -> None:
    with pytest.raises(ValueError, match="did you mean 8/255"):
        parse_pixels("8")


@pytest.mark.parametrize("text", ["-1/255", "2", "1/0", "eight", "nan", "inf", ""])
def test_impossible_distances_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_pixels(text)


def test_a_threat_model_reads_like_the_field_writes_it() -> None:
    threat = ThreatModel(norm="Linf", eps=Fraction(8, 255), knowledge="transfer")
    assert str(threat) == "Linf 8/255 transfer"


def test_linf_epsilon_beyond_the_pixel_range_is_refused() -> None:
    with pytest.raises(SpecError, match=r"within \[0, 1\]"):
        ThreatModel(norm="Linf", eps=Fraction(8), knowledge="transfer", constraint=Linf())


def test_the_nearest_name_is_suggested_and_all_are_listed_when_none_is_near() -> None:
    assert nearest("tecao", ["tecoa", "vpt"]) == "; did you mean 'tecoa'?"
    assert nearest("zzz", ["tecoa", "vpt"]) == "; known: tecoa, vpt"


def test_a_first_value_without_a_name_sets_the_parameter_for_it() -> None:
    assert parse_name("hub:org/name,size=32", "repository").params == (("repository", "org/name"), ("size", "32"))
    for text in ("hub:org/name", "hub:size=32,org/name"):
        with pytest.raises(SpecError, match=r"'org/name' in .* is not a parameter"):
            parse_name(text, "repository" if "size" in text else "")
