"""Prompt tokens in vision transformers of timm, of open_clip's own and of robench's own."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from robench import Model, PluginError, TuningSetting
from robench.conformance.parts import check_parts
from robench.registry.registry import discover
from torch import Tensor, nn

from robench_plugins.models.leaf_vit import LeafViT
from robench_plugins.models.open_clip_model import OpenCLIP
from robench_plugins.models.timm_classifier import TimmClassifier, TimmNetwork
from tests.helpers.clip_kinds import save_tiny_open_clip, spread
from tests.helpers.plugin_fixtures import make_context, trainable

IMAGES = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
SMALL = {"image_size": 16, "patch_size": 4, "stride": 4, "dim": 8, "dense1": 8, "dense2": 8}
OPEN_CLIP: dict[str, dict[str, Any]] = {
    "attentional": {"attentional_pool": True, "attn_pooler_queries": 4},
    "trunk": {"timm_model_name": "test_vit", "timm_pool": "token", "timm_proj": "linear", "image_size": 160},
}
KINDS = ["test_vit", "leaf-vit", "attentional", pytest.param("trunk", marks=pytest.mark.slow)]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], TuningSetting]:
    made: dict[str, TuningSetting] = {}

    def setting(kind: str) -> TuningSetting:
        if kind not in made:
            folder = tmp_path_factory.mktemp(kind)
            model: Model
            if kind in OPEN_CLIP:
                model = OpenCLIP(OpenCLIP.Params(path=str(save_tiny_open_clip(folder, OPEN_CLIP[kind]))))
            elif kind == "leaf-vit":
                model = LeafViT(LeafViT.Params(**SMALL))
            else:
                model = TimmClassifier(TimmClassifier.Params(architecture=kind))
            context = make_context(folder)
            network = spread(model.build(context))
            made[kind] = TuningSetting(network=network, parts=model.adaptable(network), model=model, context=context)
        found = made[kind]
        network, parts = copy.deepcopy((found.network, dict(found.parts)))
        return TuningSetting(network=network, parts=parts, model=found.model, context=found.context)

    return setting


def prompted(setting: TuningSetting, name: str, n: int) -> nn.Module:
    adaptation = discover().resolve("adaptation", name, {"tokens": n}).build()
    adaptation.set_up(setting)
    torch.manual_seed(0)
    adaptation.adapt(setting.network, setting.parts)
    return setting.network


@pytest.mark.parametrize("name", ["vpt", "vpt-deep"])
@pytest.mark.parametrize("kind", KINDS)
def test_tokens_are_trained_and_nothing_else(kind: str, name: str, settings: Callable[[str], TuningSetting]) -> None:
    setting = settings(kind)
    tokens, plain = setting.tokens, setting.network(IMAGES)
    assert tokens is not None
    network = prompted(setting, name, 5)
    weights = trainable(network)
    depth = len(setting.parts["blocks"]) if name == "vpt-deep" else 1  # type: ignore[arg-type]
    assert [tuple(weight.shape) for weight in weights.values()] == [(1, 5, tokens.width)] * depth
    logits = network(IMAGES)
    assert logits.shape == plain.shape and not torch.allclose(logits, plain, rtol=1e-3)
    logits[:, 0].sum().backward()
    assert all(weight.grad is not None and weight.grad.abs().max() > 0 for weight in weights.values())
    torch.testing.assert_close(copy.deepcopy(network)(IMAGES), logits)
    (rule,) = (each for each in check_parts(setting.model, settings(kind).network, IMAGES) if each.rule == "tokens")
    assert rule.kept, rule.seen


@pytest.mark.parametrize("name", ["vpt", "vpt-deep"])
def test_the_forward_pass_is_that_of_the_paper(name: str, settings: Callable[[str], TuningSetting]) -> None:
    """In timm's own modules: tokens after the class token, before every block or the first, and none at the end."""
    network = prompted(settings("test_vit"), name, 4)
    assert isinstance(network, TimmNetwork)
    tower: Any = copy.deepcopy(network.network)
    found = network(IMAGES)
    for block in tower.blocks:
        block._forward_pre_hooks.clear()
        block._forward_hooks.clear()
    hidden: Tensor = tower.norm_pre(tower._pos_embed(tower.patch_embed(network._pixels(IMAGES))))
    for number, block in enumerate(tower.blocks):
        if number == 0 or name == "vpt-deep":
            patches = hidden[:, 1 + (4 if number else 0) :]
            hidden = torch.cat([hidden[:, :1], block.prompt.expand(3, -1, -1), patches], dim=1)
        hidden = block(hidden)
    hidden = torch.cat([hidden[:, :1], hidden[:, 5:]], dim=1)
    torch.testing.assert_close(found, tower.forward_head(tower.norm(hidden)))


@pytest.mark.parametrize("kind", ["test_resnet", "test_vit_relpos"])
def test_a_tower_that_takes_no_more_tokens_is_refused(kind: str, settings: Callable[[str], TuningSetting]) -> None:
    """It has none, or has positions inside its blocks, which are those of the patches alone."""
    assert settings(kind).tokens is None
    with pytest.raises(PluginError, match="does not say how its blocks take tokens"):
        prompted(settings(kind), "vpt", 2)
