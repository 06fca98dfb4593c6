"""LoRA and its relatives on vision transformers of timm and on the study's, whose layers have names of their own."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from robench import Model, PluginError, TuningSetting
from robench.registry.registry import discover
from torch import nn
from torch.nn import functional as F

from tests.helpers.plugin_fixtures import make_context, trainable

MODELS = {
    "timm": "timm-test_vit",
    "leaf-vit": "leaf-vit:image_size=16,patch_size=4,stride=4,dim=32,dense1=8,dense2=8,depth=2",
}
LAYERS = {"timm": {"qkv"}, "leaf-vit": {"query", "key", "value"}}
NAMES = ["lora", "dora", "adalora", "loha", "oft", "vera"]


@pytest.fixture(scope="module")
def built() -> dict[str, tuple[Model, nn.Module]]:
    context = make_context(Path("unused"))
    models = {name: discover().resolve("model", text).build() for name, text in MODELS.items()}
    return {name: (model, model.build(context).eval()) for name, model in models.items()}


def adapted(name: str, of: tuple[Model, nn.Module]) -> nn.Module:
    model, network = of[0], copy.deepcopy(of[1])
    parts, context = model.adaptable(network), make_context(Path("unused"))
    adaptation = discover().resolve("adaptation", name).build()
    adaptation.set_up(TuningSetting(network=network, parts=parts, model=model, context=context))
    torch.manual_seed(0)
    adaptation.adapt(network, parts)
    return network


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", MODELS)
def test_adapters_are_on_queries_keys_and_values(
    kind: str, name: str, built: dict[str, tuple[Model, nn.Module]]
) -> None:
    network = adapted(f"{name}:block_size=16" if name == "oft" else name, built[kind])
    found = {part for weight in trainable(network) for part in weight.split(".") if part in LAYERS[kind]}
    assert found == LAYERS[kind]
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(network(images), built[kind][1](images), rtol=1e-3, atol=1e-4)
    F.cross_entropy(network(images), torch.tensor([0, 1])).backward()
    assert any(weight.grad is not None and weight.grad.any() for weight in trainable(network).values())


def test_roles_and_names_may_be_chosen_and_a_wrong_one_is_answered_with_what_there_is(
    built: dict[str, tuple[Model, nn.Module]],
) -> None:
    by_role = trainable(adapted("lora:targets=output+mlp_in", built["timm"]))
    by_name = trainable(adapted("lora:targets=attn.proj+mlp.fc1", built["timm"]))
    assert by_role.keys() == by_name.keys() and len(by_role) > 0
    with pytest.raises(PluginError, match=r"finds no proj2 in the vision tower; targets=NAME\+NAME takes .* attn\.qkv"):
        adapted("lora:targets=proj2", built["timm"])
    with pytest.raises(PluginError, match=r"finds no k_proj, v_proj in the vision tower; targets=NAME\+NAME"):
        adapted("ia3", built["timm"])
    last = trainable(adapted("lora:n=1", built["leaf-vit"]))
    assert {name.split(".")[1] for name in last} == {"1"}


@pytest.mark.parametrize("kind", MODELS)
def test_embeddings_of_a_classifier_are_the_input_of_its_head(
    kind: str, built: dict[str, tuple[Model, nn.Module]]
) -> None:
    model, network = built[kind][0], copy.deepcopy(built[kind][1])
    parts, images = model.adaptable(network), torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    embeddings = parts["encoder"](images)
    torch.testing.assert_close(parts["head"](embeddings), network(images))
    objective = discover().resolve("objective", "fare").build()
    context = make_context(Path("unused"))
    objective.set_up(TuningSetting(network=network, parts=parts, model=model, context=context))
    objective.prepare(network)
    assert objective.loss(network, images, images, torch.zeros(3)).item() == 0
    moved = (images + 0.1).clamp(0, 1)
    expected = (parts["encoder"](moved) - embeddings).square().sum(dim=1).mean()
    torch.testing.assert_close(objective.loss(network, images, moved, torch.zeros(3)), expected)
