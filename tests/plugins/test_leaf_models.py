"""The study's networks for leaves: their sizes to the last parameter, what they compute, and their weights."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from robench import DataError, SpecError
from robench.contracts.model import PatchNetwork
from robench.registry.registry import discover
from robench.train.adapters import save_adapter
from torch import nn
from torch.nn import functional as F

from robench_plugins.models.leaf_inception import LeafInceptionNetwork
from robench_plugins.models.leaf_vit_network import LeafViTNetwork, PatchEncoder, SelfAttention
from tests.helpers.plugin_fixtures import TenClasses, ToyDataset, make_context

SMALL = {"image_size": 16, "patch_size": 8, "stride": 4, "dim": 8, "heads": 2, "head_dim": 6, "mlp": 10}
SMALL |= {"dense1": 12, "dense2": 9}


def build(name: str, *, seed: int = 0, toy: bool = False, **params: Any) -> Any:
    text = name + (":" + ",".join(f"{key}={value}" for key, value in params.items()) if params else "")
    dataset = ToyDataset() if toy else TenClasses()
    return discover().resolve("model", text).build().build(make_context(Path("unused"), dataset, seed=seed))


@cache
def inception() -> LeafInceptionNetwork:
    network: LeafInceptionNetwork = build("leaf-inception", image_size=75)
    return network.eval()


def count(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def images(n: int = 2, side: int = 16) -> torch.Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(0))


# The vision transformer


@pytest.mark.parametrize(
    ("name", "total", "patches"), [("leaf-vit", 15_319_754, 18_752), ("leaf-vit-256", 15_504_074, 203_072)]
)
def test_the_vit_has_the_studys_parameters_to_the_last_one(name: str, total: int, patches: int) -> None:
    network = build(name)
    assert (count(network), count(network.patches)) == (total, patches)
    assert [count(block) for block in network.blocks] == [83_200]
    assert network.patches.positions.shape == (100, 64)
    assert network(images()).shape == (2, 10)


def test_depth_width_and_heads_are_parameters() -> None:
    one, three = (build("leaf-vit", depth=depth) for depth in (1, 3))
    assert count(three) - count(one) == 2 * 83_200
    small = build("leaf-vit", **SMALL, depth=2)
    assert small.patches.positions.shape == (9, 8) and small.blocks[0].attention.query.out_features == 12
    assert small(images()).shape == (2, 10)


def test_patches_overlap_and_are_encoded_one_by_one() -> None:
    encoder = PatchEncoder(image_size=20, patch_size=8, stride=6, dim=5)
    pixels = images(1, 20)
    encoded = encoder(pixels)[0]
    cuts = [pixels[0, :, top : top + 8, left : left + 8] for top in (0, 6, 12) for left in (0, 6, 12)]
    expected = torch.stack([encoder.projection(cut.flatten()) for cut in cuts]) + encoder.positions
    torch.testing.assert_close(encoded, expected)


def test_attention_is_its_closed_form() -> None:
    attention = SelfAttention(dim=6, heads=2, head_dim=5, dropout=0.3).eval()
    tokens = torch.randn(3, 7, 6)
    heads = []
    for head in range(2):
        part = slice(5 * head, 5 * head + 5)
        query, key, value = (layer(tokens)[..., part] for layer in (attention.query, attention.key, attention.value))
        weights = (query @ key.transpose(1, 2) / 5**0.5).softmax(dim=-1)
        heads.append(weights @ value)
    torch.testing.assert_close(attention(tokens), attention.out(torch.cat(heads, dim=-1)))


def test_the_vit_is_its_parts_in_order() -> None:
    network: LeafViTNetwork = build("leaf-vit", **SMALL, depth=2).eval()
    tokens = network.patches(2 * images() - 1)
    assert isinstance(network, PatchNetwork)
    torch.testing.assert_close(network.embed_patches(images()), tokens)
    for block in network.blocks:
        tokens = tokens + block.attention(block.norm1(tokens))
        tokens = tokens + F.gelu(block.mlp[3](F.gelu(block.mlp[0](block.norm2(tokens)))))
    hidden = F.gelu(network.dense2(F.gelu(network.dense1(network.norm(tokens).flatten(1)))))
    torch.testing.assert_close(network(images()), network.head(hidden))


def test_weights_start_as_keras_starts_them() -> None:
    network = build("leaf-vit")
    bound = (6 / (6400 + 2048)) ** 0.5
    assert 0.98 * bound < network.dense1.weight.abs().max() <= bound
    assert 0.049 < network.patches.positions.abs().max() <= 0.05
    assert not network.blocks[0].attention.query.bias.any()


def test_a_patch_larger_than_the_image_is_refused() -> None:
    with pytest.raises(SpecError, match="patch_size=32 is larger than the image; expected at most image_size=16"):
        build("leaf-vit", image_size=16, patch_size=32)


# InceptionV3


def test_inception_differs_from_the_studys_keras_model_by_its_batch_norm_scales_alone() -> None:
    """Keras counts running statistics as parameters, and gives its batch norms no scale."""
    network = inception()
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    scales = sum(norm.weight.numel() for norm in norms)
    statistics = sum(norm.running_mean.numel() + norm.running_var.numel() for norm in norms)  # type: ignore[union-attr]
    assert scales == 17_216 and statistics == 2 * scales
    assert count(network) == 22_839_786
    assert count(network) + statistics - scales == 22_857_002
    assert count(network.dense) == 2048 * 512 + 512 and count(network.head) == 512 * 10 + 10


def test_inception_normalises_inside_and_has_one_dense_layer_between() -> None:
    network = inception()
    features = network.backbone((F.interpolate(images(), 75, mode="bicubic", antialias=True).clamp(0, 1) - 0.5) / 0.5)
    assert features.shape == (2, 2048)
    with torch.no_grad():
        torch.testing.assert_close(network(images()), network.head(F.relu(network.dense(features))))


def test_pretrained_inception_offline_says_what_to_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match=r"inception_v3 cannot be loaded .*pass weights=none to train from scratch"):
        build("leaf-inception", weights="pretrained")


# Both


@pytest.mark.parametrize("network", [lambda: build("leaf-vit", **SMALL).eval(), inception], ids=["vit", "inception"])
def test_gradients_reach_the_pixels_and_evaluation_is_repeatable(network: Any) -> None:
    classifier, pixels = network(), images().requires_grad_()
    logits = classifier(pixels)
    (gradient,) = torch.autograd.grad(logits[:, 0].sum(), pixels)
    assert gradient.shape == pixels.shape and bool((gradient != 0).any())
    assert torch.equal(logits, classifier(pixels))


def test_the_seed_decides_the_weights_and_leaves_the_random_state_alone() -> None:
    before = torch.random.get_rng_state()
    first, again, other = (build("leaf-vit", seed=seed, **SMALL) for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first.head.weight, again.head.weight)
    assert not torch.equal(first.head.weight, other.head.weight)


TIMM = {"architecture": "resnet10t", "image_size": 32}


@pytest.mark.parametrize(
    ("name", "params"), [("leaf-vit", SMALL), ("leaf-inception", {"image_size": 75}), ("timm", TIMM)]
)
def test_what_a_run_saved_is_a_models_weights(tmp_path: Path, name: str, params: dict[str, Any]) -> None:
    trained, file = build(name, seed=1, **params).eval(), tmp_path / "trained.safetensors"
    with torch.no_grad():
        for buffer in trained.buffers():
            if buffer.is_floating_point():
                buffer.add_(0.01)
    save_adapter(file, trained, {"tuner": "supervised", "model": name})
    # Constants such as timm's mean are no weights, and not in the file.
    loaded = build(name, **params, weights=file).eval()
    for (key, value), (_, wanted) in zip(loaded.state_dict().items(), trained.state_dict().items(), strict=True):
        assert torch.equal(value, wanted) or key in ("mean", "std", "identity"), key
    if name == "timm":  # which begins anew where the classes are others in number, and says so
        other = build(name, toy=True, **params, weights=file).eval()
        assert other(torch.zeros(1, 3, 8, 8)).shape == (1, len(ToyDataset().class_names))
        return
    with pytest.raises(DataError, match="classes"):
        build(name, toy=True, **params, weights=file)


def test_weights_that_are_not_all_of_them_are_refused(tmp_path: Path) -> None:
    network, file = build("leaf-vit", **SMALL), tmp_path / "part.safetensors"
    network.requires_grad_(False)
    network.head.requires_grad_(True)
    save_adapter(file, network, {"tuner": "head+ce", "model": "leaf-vit"})
    with pytest.raises(DataError, match=r"has no 'patches.positions'; expected all weights of this architecture"):
        build("leaf-vit", **SMALL, weights=file)
    with pytest.raises(DataError, match=r"no weights at .*nowhere"):
        build("leaf-vit", **SMALL, weights=tmp_path / "nowhere.safetensors")
    whole = tmp_path / "whole.safetensors"
    save_adapter(whole, build("leaf-vit", **SMALL, depth=2), {"tuner": "supervised", "model": "leaf-vit"})
    with pytest.raises(DataError, match=r"holds 'blocks.1.* which this architecture does not have"):
        build("leaf-vit", **SMALL, weights=whole)


def test_parts_are_the_whole_the_blocks_and_the_head() -> None:
    model = discover().resolve("model", "leaf-vit").build()
    network = build("leaf-vit", **SMALL)
    parts = {"vision": network, "encoder": network.parts["encoder"], "blocks": network.blocks, "head": network.head}
    assert model.adaptable(network) == parts
    model = discover().resolve("model", "leaf-inception").build()
    assert model.adaptable(inception()) == {"encoder": inception().parts["encoder"], "head": inception().head}
