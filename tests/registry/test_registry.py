from __future__ import annotations

import gc
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from robench import Component, Field, Params, hookimpl
from robench.contracts.dataset import Dataset
from robench.contracts.model import Model
from robench.errors import PluginError, SpecError
from robench.registry import discovery
from robench.registry.discovery import load_class
from robench.registry.registry import Registry, discover

from tests.conftest import entry_point, registry_of
from tests.helpers.toy import Linear, component


def plugin_with(module: Any, name: str, *items: Component) -> str:
    @hookimpl
    def robench_components() -> list[Component]:
        return list(items)

    made: str = module(name, robench_components=robench_components)
    return made


def test_the_built_ins_come_through_the_entry_point() -> None:
    registry = discover()
    builtin = next(plugin for plugin in registry.plugins if plugin.name == "robench/builtin")
    assert builtin.error is None
    assert {"clip-tiny", "clip-vit-b32", "resnet20", "resnet56"} <= set(registry.names("model"))
    assert {"none", "lora-ce", "tecoa", "vpt"} <= set(registry.names("tuner"))


def test_a_misspelt_name_gets_the_nearest(registry: Registry) -> None:
    with pytest.raises(SpecError, match="unknown tuner 'bais'; did you mean 'bias'"):
        registry.resolve("tuner", "bais")
    with pytest.raises(SpecError, match="unknown attack 'sgin'; did you mean 'sign-linear'"):
        registry.resolve_attack("sgin-linear")
    with pytest.raises(SpecError, match="unknown model 'liner'; did you mean 'sign-linear'"):
        registry.resolve_attack("sign-liner")


@pytest.mark.parametrize(
    ("typed", "unknown", "meant"),
    [
        ("colour-fx", "colour-fx", "colour-fw"),
        ("apgd-c", "apgd-c", "apgd-ce"),
        ("spatial-gird", "spatial-gird", "spatial-grid"),
        ("mi-fgsn-resnet20+resnet56", "mi-fgsn", "mi-fgsm-resnet20+resnet56"),
        ("pdg-resnt20", "pdg", "pgd-resnt20"),
        ("mifgsm-resnt20", "mifgsm", "mi-fgsm-resnt20"),
    ],
)
def test_hyphens_of_an_unknown_attack_may_be_its_own_or_before_a_surrogate(
    typed: str, unknown: str, meant: str
) -> None:
    with pytest.raises(SpecError, match=re.escape(f"unknown attack {unknown!r}; did you mean {meant!r}?")):
        discover().resolve_attack(typed)


def test_unknown_parameters_and_wrong_types_are_named(registry: Registry) -> None:
    with pytest.raises(SpecError, match="attacker 'sign' has no parameter 'esp'; did you mean 'sign:eps=8/255'"):
        registry.resolve_attack("sign:esp=8/255")
    with pytest.raises(SpecError, match=r"model 'linear': gain=much: .*number"):
        registry.resolve("model", "linear:gain=much")
    with pytest.raises(SpecError, match="has no parameter 'eps'; it has none"):
        registry.resolve("tuner", "none:eps=1")


def test_a_surrogate_is_split_from_the_longest_attack_name(registry: Registry) -> None:
    attack = registry.resolve_attack("sign-twice-linear")
    assert attack.component.name == "sign-twice"
    assert attack.surrogate is not None and attack.surrogate.component.name == "linear"
    assert registry.resolve_attack("sign-twice").surrogate is None


def test_parameters_of_attack_surrogate_and_size_go_where_they_belong(registry: Registry) -> None:
    attack = registry.resolve_attack("sign-linear:eps=4/255,surrogate.gain=3,n=7")
    assert attack.params.as_dict() == {"eps": "4/255"}
    assert attack.surrogate is not None and attack.surrogate.params.as_dict()["gain"] == 3.0
    assert attack.n == 7
    assert attack.label == "sign-linear:eps=4/255,surrogate.gain=3.0"
    assert str(attack.threat()) == "Linf 4/255 transfer"


@pytest.mark.parametrize("n", ["0", "-1", "1.5", "all"])
def test_an_attack_needs_a_positive_number_of_images(registry: Registry, n: str) -> None:
    with pytest.raises(SpecError, match=f"n={n}"):
        registry.resolve_attack(f"sign:n={n}")


def test_a_surrogate_parameter_without_a_surrogate_is_refused(registry: Registry) -> None:
    with pytest.raises(SpecError, match="names no surrogate"):
        registry.resolve_attack("sign:surrogate.gain=3")


def test_labels_leave_out_defaults(registry: Registry) -> None:
    assert registry.resolve("model", "linear:gain=50").label == "linear"
    assert registry.resolve("model", "steep").label == "steep"
    assert registry.resolve("model", "steep:gain=50").label == "steep:gain=50.0"


def test_a_broken_plugin_is_kept_with_its_traceback_and_named_in_errors(module: Any) -> None:
    registry = registry_of(
        entry_point("toy", "tests.helpers.toy", "toy-dist"),
        entry_point("gone", "no_such_module", "gone-dist"),
        entry_point("exits", module("exits"), "exits-dist"),
    )
    gone = registry.plugins[1]
    assert gone.error is not None and "ModuleNotFoundError" in gone.error
    assert registry.resolve("model", "linear").component.name == "linear"
    with pytest.raises(SpecError, match="failed to load: gone-dist/gone"):
        registry.resolve("model", "unknown")


def test_a_plugin_that_hangs_on_import_is_named_while_one_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "slow_plugin.py").write_text("import time\ntime.sleep(0.5)\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(discovery, "PATIENCE", 0.05)
    registry_of(entry_point("slow", "slow_plugin", "slow-dist"), entry_point("toy", "tests.helpers.toy", "toy-dist"))
    errors = capfd.readouterr().err
    assert "plugin slow-dist/slow is still loading" in errors and "pip uninstall slow-dist" in errors
    assert "toy-dist" not in errors


def test_a_plugin_that_raises_in_its_hook_or_returns_rubbish_is_reported(module: Any) -> None:
    @hookimpl
    def robench_components() -> list[Any]:
        return ["pgd"]

    registry = registry_of(entry_point("odd", module("odd", robench_components=robench_components), "odd-dist"))
    assert registry.plugins[0].error is not None and "'pgd'" in registry.plugins[0].error
    assert not registry.components("attacker")


def test_colliding_names_need_their_distribution(module: Any) -> None:
    rival = plugin_with(module, "rival", component("model", "linear", "Linear"))
    registry = registry_of(entry_point("toy", "tests.helpers.toy", "toy-dist"), entry_point("r", rival, "rival-dist"))
    with pytest.raises(SpecError, match="write toy-dist/linear or rival-dist/linear"):
        registry.resolve("model", "linear")
    assert registry.resolve("model", "rival-dist/linear").plugin.distribution == "rival-dist"
    attack = registry.resolve_attack("sign-rival-dist/linear")
    assert attack.surrogate is not None and attack.surrogate.name == "rival-dist/linear"
    assert "toy-dist/linear" in registry.names("model")


def test_a_class_that_misses_a_method_says_which(module: Any) -> None:
    class Half(Dataset):
        @property
        def class_names(self) -> tuple[str, ...]:
            return ("a",)

    module("half", Half=Half)
    item = Component(kind="dataset", name="half", target="half:Half", summary="")
    registry = registry_of(entry_point("h", plugin_with(module, "half_plugin", item), "half-dist"))
    with pytest.raises(PluginError, match=r"dataset 'half' is incomplete.*split"):
        registry.resolve("dataset", "half").build()


def test_a_target_of_the_wrong_kind_or_place_is_refused(module: Any) -> None:
    wrong = component("dataset", "wrong", "Linear")
    nowhere = component("model", "nowhere", "Missing")
    plugin = plugin_with(module, "wrongs", wrong, nowhere)
    registry = registry_of(entry_point("w", plugin, "wrong-dist"))
    with pytest.raises(PluginError, match="does not implement Dataset"):
        registry.resolve("dataset", "wrong")
    with pytest.raises(PluginError, match=r"cannot be loaded from tests\.helpers\.toy:Missing"):
        registry.resolve("model", "nowhere")


def test_interfaces_cannot_be_built_half_finished() -> None:
    with pytest.raises(TypeError, match="build"):
        Model()  # type: ignore[abstract]
    assert isinstance(Linear(), Model)


def test_a_family_takes_the_rest_of_a_longer_name(module: Any) -> None:
    family = Component(
        kind="model",
        name="gained",
        target="tests.helpers.toy:Linear",
        summary="",
        defaults={"broken": True},
        family="gain",
    )
    registry = registry_of(
        entry_point("kin", plugin_with(module, "kin", family, component("attacker", "sign", "Sign")), "kin")
    )
    resolved = registry.resolve("model", "gained-12.5:broken=false")
    assert (resolved.name, resolved.label) == ("gained-12.5", "gained-12.5:broken=False")
    assert resolved.params.as_dict() == {"gain": 12.5, "broken": False}
    attack = registry.resolve_attack("sign-gained-3")
    assert attack.surrogate is not None and attack.surrogate.params.as_dict()["gain"] == 3
    with pytest.raises(SpecError, match="unknown model 'gianed-3'"):
        registry.resolve("model", "gianed-3")


def test_names_are_found_in_any_case(registry: Registry) -> None:
    assert registry.resolve("model", "Linear").name == "linear"


def test_a_required_parameter_stands_in_the_label(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Needy(Linear):
        class Params(Params):
            path: str = Field(description="where")
            gain: float = Field(default=1.0, description="slope")
            broken: bool = Field(default=False, description="no")

    monkeypatch.setattr("tests.helpers.toy.Needy", Needy, raising=False)
    registry = registry_of(entry_point("n", plugin_with(module, "needing", component("model", "needy", "Needy")), "n"))
    assert registry.resolve("model", "needy:path=there").label == "needy:path=there"
    with pytest.raises(SpecError, match=r"model 'needy' needs path; write path=\.\.\. after its name"):
        registry.resolve("model", "needy")


def test_a_later_parameter_at_its_default_changes_no_record_and_no_label(registry: Registry) -> None:
    """Records made before `patience` existed keep their identity; a preset that sets it shows what a user sets back."""
    plain = registry.resolve("tuner", "shift+likely:validate_on=20,patience=0")
    assert "patience" not in plain.values() and plain.label == "shift+likely:validate_on=20"
    patient = registry.resolve("tuner", "shift+likely:validate_on=20,patience=3")
    assert patient.values()["patience"] == 3 and patient.label == "shift+likely:validate_on=20,patience=3"
    impatient = discover().resolve("tuner", "supervised:patience=0")
    assert "patience" not in impatient.values() and impatient.label == "supervised:patience=0"
    assert discover().resolve("tuner", "supervised").values()["patience"] == 10


@pytest.mark.parametrize("collecting", [True, False])
def test_importing_a_class_looks_for_no_garbage_and_leaves_the_collector_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, collecting: bool
) -> None:
    source = "import gc\nfrom robench import Dataset\nCOLLECTING = gc.isenabled()\nclass Own(Dataset): ...\n"
    (tmp_path / f"own_dataset_{collecting}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    own = Component(kind="dataset", name="own", target=f"own_dataset_{collecting}:Own", summary="own")
    before = gc.isenabled()
    if not collecting:
        gc.disable()
    try:
        load_class(own)
        assert gc.isenabled() == collecting
    finally:
        if before:
            gc.enable()
    assert gc.get_freeze_count() == 0
    assert not sys.modules[f"own_dataset_{collecting}"].COLLECTING


def test_what_somebody_froze_stays_frozen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "frozen_dataset.py").write_text("from robench import Dataset\nclass Own(Dataset): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    gc.freeze()
    try:
        load_class(Component(kind="dataset", name="own", target="frozen_dataset:Own", summary="own"))
        assert gc.get_freeze_count()
    finally:
        gc.unfreeze()


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("pdg-resnet20", "pgd-resnet20"),
        ("pgd-resent20", "pgd-resnet20"),
        ("pgd-resnet20+resent32", "pgd-resnet20+resnet32"),
        ("pgd:esp=8/255", "pgd:eps=8/255"),
        ("pgd-resnet20:eps=8/255,setps=3", "pgd-resnet20:eps=8/255,steps=3"),
    ],
)
def test_a_suggestion_is_all_that_should_be_typed(typed: str, meant: str) -> None:
    with pytest.raises(SpecError) as caught:
        discover().resolve_attack(typed)
    assert f"did you mean {meant!r}?" in str(caught.value)


@pytest.mark.parametrize(("typed", "meant"), [("lroa+tecoa", "lora+tecoa"), ("lora+tecao", "lora+tecoa")])
def test_a_suggestion_for_half_a_tuner_is_the_whole(typed: str, meant: str) -> None:
    with pytest.raises(SpecError) as caught:
        discover().resolve("tuner", typed)
    assert f"did you mean {meant!r}?" in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("attack", "salt", "component 'salt' has kind='attack'; did you mean 'attacker'"),
        ("attacker", "Salt And", "attacker 'Salt And' has a name that cannot be typed; expected .* 'salt-and'"),
        ("attacker", "a+b", "attacker 'a\\+b' has a name that cannot be typed; expected .* 'a-b'"),
    ],
)
def test_a_component_that_nobody_can_type_is_named_with_its_cure(
    kind: Any, name: str, message: str, module: Callable[..., str]
) -> None:
    item = Component(kind=kind, name=name, target="x:Y", summary="wrong")
    plugin = module("wrong_plugin", robench_components=hookimpl(lambda: [item]))
    (found,) = registry_of(entry_point("wrong", plugin, "wrong-dist")).plugins
    assert re.search(message, found.error or "")
