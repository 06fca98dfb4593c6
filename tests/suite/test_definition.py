"""What a suite says: its hash, its faults in one line, where it comes from, and the suites that are shipped."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from robench import hookimpl
from robench.errors import SpecError
from robench.registry.registry import Registry, discover
from robench.suite.definition import Suite, read_suite
from robench.suite.published import disagreements, read_published
from robench.suite.shelf import find_suite, shelf

from robench_plugins.datasets.catalogue import facts
from tests.conftest import entry_point, registry_of
from tests.helpers import toy
from tests.helpers.plugin_fixtures import switch_hub_off

SUITE = """
name = "dots"
version = 2
title = "two toys"
source = "by hand"
n = 20
train_size = 16
default_model = "linear"
[[attacks]]
name = "Sign"
attack = "sign:eps=4/255"
[[attacks]]
name = "Still"
attack = "still"
[[ensembles]]
name = "both"
attacks = ["Sign", "Still"]
[[datasets]]
name = "Dots"
dataset = "dots"
[[datasets]]
name = "Stripes"
dataset = "stripes"
"""
SHIPPED = {
    "coop-11-all@1": "f8ec826350f711d5",
    "coop-11@1": "a1d30239e8c46dbc",
    "offline-threats@1": "c622e49816917ead",
    "offline@1": "cfa387848c9dc62d",
    "robustvlm-13@1": "f4433fa12db0c088",
    "tecoa-16@1": "2125c14838d5443c",
}
"""Records name these hashes: whoever changes what a suite measures raises its version."""


def written(path: Path, text: str = SUITE) -> Path:
    path.write_text(text)
    return path


def suite_of(path: Path, old: str = "", new: str = "") -> Suite:
    assert not old or SUITE.count(old) >= 1
    return read_suite(written(path / "suite.toml", SUITE.replace(old, new, 1) if old else SUITE))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("n = 20", "n = 21"),
        ("train_size = 16", "train_size = 17"),
        ("train_size = 16", "shots = 16"),
        ("eps=4/255", "eps=5/255"),
        ('name = "Still"\nattack = "still"\n', 'name = "Still"\nattack = "still:eps=1/255"\n'),
        ('dataset = "stripes"', 'dataset = "stripes"\nn = 10'),
        ('dataset = "stripes"', 'dataset = "stripes"\naverage = false'),
        ('dataset = "stripes"', 'dataset = "stripes"\ntrain = "dots"'),
        ('default_model = "linear"', 'default_model = "linear"\nmodel = { gain = 2 }'),
        ('default_model = "linear"', 'default_model = "linear"\nsplit = "validation"'),
        ('attacks = ["Sign", "Still"]', 'attacks = ["Still", "Sign"]'),
        ("[[ensembles]]", '[[corruptions]]\nname = "dark"\ncorruption = "lights"\n[[ensembles]]'),
    ],
)
def test_all_that_decides_figures_is_hashed(tmp_path: Path, old: str, new: str) -> None:
    assert suite_of(tmp_path, old, new).content_hash != suite_of(tmp_path).content_hash


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('title = "two toys"', 'title = "others"'),
        ('source = "by hand"', 'source = "by heart"\nnote = "told"'),
        ('default_model = "linear"', ""),
        ("n = 20\ntrain_size = 16", "train_size = 16\nn = 20"),
        ('default_model = "linear"', 'split = "test"\ntrain = "each"'),
    ],
)
def test_what_is_only_told_is_not_hashed(tmp_path: Path, old: str, new: str) -> None:
    assert suite_of(tmp_path, old, new).content_hash == suite_of(tmp_path).content_hash


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('title = "two toys"', 'title = "two toys', "not TOML: .*line 4"),
        ("n = 20", "m = 20", "unknown key 'm'"),
        ("n = 20", "n = 0", "n: .*greater than 0"),
        ("n = 20", 'n = "some"', "n"),
        ("n = 20\n", "", "n: Field required"),
        ("version = 2", 'version = "two"', "version: .*'two'"),
        ('name = "dots"', 'name = "Dots!"', "name: .*'Dots!'"),
        ('attack = "still"', 'attak = "still"', "attacks 2: unknown key 'attak'; did you mean 'attack'"),
        ('dataset = "stripes"', 'dataset = "stripes"\nnn = 3', "datasets 2: unknown key 'nn'"),
        ('name = "Still"', 'name = "Sign"', "attacks: 'Sign' stands twice"),
        ('dataset = "stripes"', 'dataset = "dots"', "datasets: 'dots' stands twice"),
        ('dataset = "stripes"', 'dataset = "stripes"\ntrain = "dot"', "train: 'dot' is none .*did you mean 'dots'"),
        ("train_size = 16", "", "train_size: expected it, or shots"),
        ("train_size = 16", "train_size = 16\nshots = 1", "train_size: expected it, or shots"),
        ('["Sign", "Still"]', '["Sign", "Stil"]', "ensembles: 'Stil' is none of its attacks; did you mean 'Still'"),
        ("[[ensembles]]", '[[corruptions]]\nname = "Sign"\ncorruption = "a"\n[[ensembles]]', "'Sign' stands twice"),
        ("[[ensembles]]", '[[corruptions]]\nname = "a"\n[[ensembles]]', "corruptions.0.corruption: Field required"),
        (
            "n = 20",
            'n = 20\ntrain = "dots"\ncorruptions = [{name = "dark", corruption = "lights"}]',
            "corruptions: only where tuners train on each data set itself",
        ),
        ("n = 20", 'n = 20\nharmonic_mean = ["base", "new"]', "harmonic_mean: 'base' is the group of no dataset"),
    ],
)
def test_a_fault_is_one_line_that_names_file_and_key(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(SpecError, match=said) as caught:
        suite_of(tmp_path, old, new)
    assert "suite.toml" in str(caught.value) and "\n" not in str(caught.value)


def brings(name: str, *paths: Any) -> ModuleType:
    """Return a plugin that contributes the suites at `paths`."""
    made = ModuleType(name)

    @hookimpl
    def robench_suites() -> list[Path]:
        return [path if isinstance(path, Path) else path() for path in paths]

    made.robench_suites = robench_suites  # type: ignore[attr-defined]
    return made


def with_plugins(monkeypatch: pytest.MonkeyPatch, *plugins: ModuleType) -> Registry:
    for each in plugins:
        monkeypatch.setitem(__import__("sys").modules, each.__name__, each)
    points = [entry_point(each.__name__, each.__name__, f"{each.__name__}-dist") for each in plugins]
    return registry_of(entry_point("toy", toy.__name__, "toy-dist"), *points)


def test_a_plugin_contributes_suites_through_the_door_of_the_built_in_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = with_plugins(monkeypatch, brings("mine", written(tmp_path / "a.toml")))
    found = find_suite(registry, "dots@2")
    assert found.suite.title == "two toys" and found.plugin == "mine-dist/mine"
    with pytest.raises(SpecError, match="unknown suite 'dost@2'; did you mean 'dots@2'"):
        find_suite(registry, "dost@2")
    with pytest.raises(SpecError, match="expected its version too: dots@2"):
        find_suite(registry, "dots")
    assert find_suite(registry, str(written(tmp_path / "own.toml"))).plugin == ""


def test_a_suite_that_cannot_be_read_spoils_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad = written(tmp_path / "a.toml"), written(tmp_path / "b.toml", "name = 3")

    def fails() -> Path:
        raise ValueError("no suites today")

    plugins = [brings("first", good, bad), brings("second", good), brings("third", fails)]
    registry, told = with_plugins(monkeypatch, *plugins), list[str]()
    assert [each.plugin for each in shelf(registry, told.append)] == ["first-dist/first"]
    assert len(told) == 3
    assert "b.toml" in told[0] and "second" in told[1] and "dots@2 is that of" in told[1]
    assert "third" in told[2] and "no suites today" in told[2]


def test_shipped_suites_are_those_that_records_name() -> None:
    told: list[str] = []
    found = {each.suite.full_name: each.suite for each in shelf(discover(), told.append)}
    assert not told
    assert {name: suite.content_hash for name, suite in found.items()} == SHIPPED
    averaged = {
        name: [sum(e.group == g for e in s.datasets if e.average) for g in s.groups] for name, s in found.items()
    }
    assert averaged == {
        "coop-11-all@1": [11],
        "coop-11@1": [11, 11],
        "offline-threats@1": [4],
        "offline@1": [4],
        "robustvlm-13@1": [13],
        "tecoa-16@1": [16],
    }


def test_all_components_of_shipped_suites_are_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    switch_hub_off(monkeypatch, tmp_path)
    registry = discover()
    for each in shelf(registry):
        for attack in each.suite.attacks:
            registry.resolve_attack(attack.attack)
        for entry in each.suite.datasets:
            assert registry.resolve("dataset", entry.dataset).name == entry.dataset.partition(":")[0]


def test_suites_score_the_sets_that_the_catalogue_names_for_them() -> None:
    found = {each.suite.name: each.suite for each in shelf(discover())}
    for name, more in (
        ("tecoa-16", {"cifar10"}),
        ("robustvlm-13", {"cifar10"}),
        ("coop-11", set()),
        ("coop-11-all", set()),
    ):
        protocol = name.removesuffix("-all")
        named = {key for key, each in facts().items() if protocol in each["protocols"]} | more
        assert {each.dataset.partition(":")[0] for each in found[name].datasets} == named


def test_published_figures_name_a_measure_of_their_suite_and_disagree_where_papers_do() -> None:
    for each in shelf(discover()):
        reported = read_published(each.suite, each.path)
        assert bool(reported) == (each.suite.published is not None)
        for figure in reported:
            assert figure.measure is None or figure.measure in each.suite.measures
            assert figure.clean is not None or figure.robust is not None
        if each.suite.name == "tecoa-16":
            (line,) = [line for line in disagreements(reported) if line.startswith("FARE ")]
            assert line == "FARE ViT-B/32 at 1/255 is reported 5 times, between 10 and 38."
