"""Weight interpolation and soups of saved adapters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from robench import DataError, PluginError, TuningSetting
from robench.registry.registry import discover
from robench.train.adapters import save_adapter
from torch import nn

from robench_plugins.adaptations.full import Full
from robench_plugins.adaptations.head import Head
from robench_plugins.tuners.wise_ft import WiSEFT
from tests.helpers.plugin_fixtures import make_context
from tests.plugins.test_guided_objectives import Towers

MADE_ON = {"model_fingerprint": "f00d", "model": "tower", "class_names": '["red_leaf", "green_leaf", "blue_leaf"]'}


def network() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 3))


def saved(path: Path, value: float, *, head: bool = False, **told: str) -> Path:
    """Save an adapter of the whole network, or of its last layer, whose weights all have one value."""
    made = network()
    parts = {"head": made[1]}
    (Head() if head else Full()).adapt(made, parts)
    with torch.no_grad():
        for weight in made.parameters():
            weight.fill_(value)
    save_adapter(path, made, {**MADE_ON, **told})
    return path


def merged(paths: list[Path], alpha: float, fingerprint: str = "f00d") -> nn.Sequential:
    tuner = WiSEFT(WiSEFT.Params.read({"adapters": "+".join(map(str, paths)), "alpha": alpha}, "wise-ft"))
    made, model = network(), Towers()
    context = make_context(Path("unused"))
    tuner.set_up(TuningSetting(network=made, parts={}, model=model, context=context, fingerprint=fingerprint))
    tuner.adapt(made, {})
    assert not any(weight.requires_grad for weight in made.parameters())
    return made


def test_one_adapter_is_interpolated_with_the_models_own_weights(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.safetensors", 2.0)
    for before, after in zip(network().parameters(), merged([path], 0.25).parameters(), strict=True):
        torch.testing.assert_close(after, 0.75 * before + 0.25 * torch.full_like(before, 2.0))


def test_a_soup_is_the_mean_of_several_and_leaves_alone_what_none_trained(tmp_path: Path) -> None:
    one, two = (saved(tmp_path / f"{value}.safetensors", value, head=True) for value in (1.0, 4.0))
    soup, before = merged([one, two], 1.0), network()
    assert torch.equal(soup[1].weight, torch.full((3, 3), 2.5))
    assert torch.equal(soup[0].weight, before[0].weight)


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    good = saved(tmp_path / "a.safetensors", 2.0)
    with pytest.raises(DataError, match="trained on other weights of tower"):
        merged([good], 0.5, fingerprint="beef")
    with pytest.raises(DataError, match="no adapter at"):
        merged([tmp_path / "none"], 0.5)
    with pytest.raises(DataError, match="other classes"):
        merged([saved(tmp_path / "b.safetensors", 2.0, class_names='["a", "b", "c"]')], 0.5)
    (tmp_path / "c").write_text("nothing")
    with pytest.raises(DataError, match="cannot be read as an adapter"):
        merged([tmp_path / "c"], 0.5)
    strange: Any = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 5))
    save_adapter(tmp_path / "d", strange, MADE_ON)
    with pytest.raises(PluginError, match=r"holds 1\.(weight|bias), which this network does not have in that shape"):
        merged([tmp_path / "d"], 0.5)


def test_it_is_listed_with_its_files(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.safetensors", 2.0)
    tuner = discover().resolve("tuner", f"wise-ft:adapters={path}+{path},alpha=0.5")
    assert set(tuner.files()) == {"adapter 1", "adapter 2"}
