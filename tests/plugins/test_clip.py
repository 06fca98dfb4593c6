"""CLIP as a classifier: its arithmetic, its sizes, and what happens to damaged weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from robench import DataError, ImageTextNetwork, SpecError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoTokenizer, CLIPConfig, CLIPImageProcessor, CLIPModel
from transformers.models.clip.modeling_clip import CLIPAttention

from robench_plugins.adaptations.full import Full
from robench_plugins.adaptations.head import Head
from robench_plugins.adaptations.lora import LoRA
from robench_plugins.adaptations.vpt import VPT, DeepVPT
from robench_plugins.models.clip import CLIP
from robench_plugins.models.clip_network import CLIPNetwork
from robench_plugins.models.resizing import resize_and_crop
from tests.helpers.plugin_fixtures import (
    TenClasses,
    ToyDataset,
    make_context,
    n_parameters,
    save_tiny_clip,
    switch_hub_off,
    trainable,
)


@pytest.fixture(scope="module")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_clip(tmp_path_factory.mktemp("tiny-clip"))


@pytest.fixture(scope="module")
def network(tiny_clip: Path) -> CLIPNetwork:
    return build(tiny_clip)


def build(path: Path | str, **params: Any) -> CLIPNetwork:
    network = CLIP(CLIP.Params.read({"path": str(path), **params}, "clip")).build(make_context(Path("unused")))
    assert isinstance(network, CLIPNetwork)
    return network


def toy_images(n: int = 6) -> Tensor:
    return torch.from_numpy(ToyDataset().split("test", n).images).float() / 255


def b32() -> CLIPNetwork:
    """ViT-B/32's vision tower, with shapes and no values, and a small text tower."""
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    clip = CLIPModel(CLIPConfig(text_config=small))
    return CLIPNetwork(clip, [0.5] * 3, [0.5] * 3, torch.zeros(10, clip.config.projection_dim))


# ViT-B/32


def test_vit_b32_has_its_published_shape() -> None:
    with torch.device("meta"):
        network = b32()
        config = network.clip.config.vision_config
        assert (config.hidden_size, config.num_hidden_layers, config.patch_size) == (768, 12, 32)
        assert network.image_size == 224
        assert n_parameters(network.clip.vision_model) == 87_456_000
        assert network(torch.rand(2, 3, 32, 32)).shape == (2, 10)


def test_lora_trains_442368_of_the_vision_parameters_of_vit_b32_and_none_of_the_text() -> None:
    with torch.device("meta"):
        network = b32()
        text = n_parameters(network.clip.text_model)
        LoRA().adapt(network, CLIP.adaptable(CLIP(CLIP.Params(path="x")), network))
    assert sum(weight.numel() for weight in trainable(network).values()) == 442_368
    assert n_parameters(network.clip.vision_model) == 87_898_368
    assert n_parameters(network.clip.text_model) == text
    assert not trainable(network.clip.text_model)


def test_vpt_trains_7680_parameters_of_vit_b32_and_lengthens_its_sequence_to_60() -> None:
    lengths = []
    with torch.device("meta"):
        network = b32()
        network.clip.vision_model.pre_layrnorm.register_forward_hook(
            lambda module, inputs, output: lengths.append(output.shape[1])
        )
        network(torch.rand(1, 3, 32, 32))
        VPT().adapt(network, {"vision": network.clip.vision_model})
        network(torch.rand(1, 3, 32, 32))
    assert sum(weight.numel() for weight in trainable(network).values()) == 7_680
    assert lengths == [50, 60]
    assert not trainable(network.clip.text_model)


# Arithmetic


def test_logits_are_those_of_a_direct_computation_with_transformers(tiny_clip: Path, network: CLIPNetwork) -> None:
    clip = CLIPModel.from_pretrained(tiny_clip)
    tokenizer = AutoTokenizer.from_pretrained(tiny_clip)
    processor = CLIPImageProcessor.from_pretrained(tiny_clip)
    images = ToyDataset().split("test", 6).images
    pixels = processor([Image.fromarray(image.transpose(1, 2, 0)) for image in images], return_tensors="pt")
    with torch.no_grad():
        classes = []
        for prompts in ToyDataset().prompts():
            # One prompt at a time: no padding can get into the embedding.
            each = [
                clip.get_text_features(**tokenizer(prompt, return_tensors="pt")).pooler_output[0] for prompt in prompts
            ]
            classes.append(F.normalize(F.normalize(torch.stack(each), dim=-1).mean(0), dim=-1))
        features = F.normalize(clip.get_image_features(**pixels).pooler_output, dim=-1)
        expected = clip.logit_scale.exp() * features @ torch.stack(classes).T
        torch.testing.assert_close(network(toy_images()), expected, rtol=1e-4, atol=1e-4)


def test_transformers_returns_projected_features_that_are_not_normalised(network: CLIPNetwork) -> None:
    with torch.no_grad():
        features = network.clip.get_image_features(pixel_values=torch.rand(4, 3, 16, 16)).pooler_output
    assert features.shape == (4, network.clip.config.projection_dim)
    assert ((features.norm(dim=-1) - 1).abs() > 0.01).all()


def test_image_and_class_embeddings_are_unit_vectors(network: CLIPNetwork) -> None:
    assert isinstance(network, ImageTextNetwork)
    for embeddings in (network.embed_images(toy_images()), network.class_embeddings()):
        torch.testing.assert_close(embeddings.norm(dim=-1), torch.ones(len(embeddings)))


def test_logits_are_cosines_times_the_temperature(network: CLIPNetwork) -> None:
    cosines = network.embed_images(toy_images()) @ network.class_embeddings().T
    torch.testing.assert_close(network(toy_images()), network.temperature() * cosines)
    assert cosines.abs().max() <= 1 + 1e-6
    assert network.temperature().item() == pytest.approx(np.exp(2.6592), rel=1e-4)


@torch.no_grad()
def test_under_autocast_the_last_product_stays_in_float32(network: CLIPNetwork) -> None:
    """Only the tower is in bfloat16; a product in it would add its own error, times the temperature."""
    images = toy_images()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits, embeddings = network(images), network.embed_images(images)
    assert logits.dtype == torch.float32
    exact = network.temperature() * embeddings.float() @ network.class_embeddings().T
    torch.testing.assert_close(logits, exact, rtol=1e-5, atol=1e-5)
    assert not torch.equal(logits, network(images)), "autocast changed nothing"


def test_a_template_takes_the_place_of_the_datasets_prompts(tiny_clip: Path, network: CLIPNetwork) -> None:
    found = build(tiny_clip, template="a photo of a {}").class_embeddings()
    assert not torch.allclose(found, network.class_embeddings(), atol=1e-3)

    class Spelled(ToyDataset):
        def prompts(self) -> tuple[tuple[str, ...], ...]:
            return tuple((f"a photo of a {colour} leaf",) for colour in ("red", "green", "blue"))

    model = CLIP(CLIP.Params.read({"path": str(tiny_clip)}, "clip"))
    spelled = model.build(make_context(Path("unused"), Spelled()))
    assert isinstance(spelled, CLIPNetwork)
    torch.testing.assert_close(found, spelled.class_embeddings())


def test_braces_in_a_template_are_text_but_for_the_class(tiny_clip: Path) -> None:
    assert build(tiny_clip, template="a {colour} photo {0} of a {}").class_embeddings().shape[0] == 3


def test_a_template_without_a_place_for_the_class_is_refused(tiny_clip: Path) -> None:
    with pytest.raises(SpecError, match=r"has no \{\} for the class name"):
        build(tiny_clip, template="a photo")
    with pytest.raises(SpecError, match=r"has no \{\} for the class name"):  # also in a dry run
        CLIP(CLIP.Params(path=str(tiny_clip), template="a photo")).check_files()


def test_half_precision_weights_are_computed_in_single_precision(tmp_path: Path) -> None:
    network = build(save_tiny_clip(tmp_path, dtype=torch.float16))
    assert network(toy_images()).dtype == torch.float32
    assert {weight.dtype for weight in network.parameters()} == {torch.float32}


# Resizing


@pytest.mark.parametrize(("height", "width"), [(16, 16), (8, 8), (32, 32), (40, 20), (17, 23)])
def test_images_of_any_size_reach_the_models_own(network: CLIPNetwork, height: int, width: int) -> None:
    resized = resize_and_crop(torch.rand(2, 3, height, width), network.image_size)
    assert resized.shape == (2, 3, 16, 16)
    assert resized.min() >= 0 and resized.max() <= 1


def test_images_of_the_models_size_are_left_alone(network: CLIPNetwork) -> None:
    images = toy_images()
    assert resize_and_crop(images, network.image_size) is images


def test_resizing_keeps_a_flat_image_flat(network: CLIPNetwork) -> None:
    torch.testing.assert_close(
        resize_and_crop(torch.full((1, 3, 20, 31), 0.3), network.image_size), torch.full((1, 3, 16, 16), 0.3)
    )


def test_wide_images_are_cropped_in_the_centre(network: CLIPNetwork) -> None:
    middle = torch.rand(1, 3, 16, 16)
    wide = torch.cat([torch.zeros(1, 3, 16, 5), middle, torch.ones(1, 3, 16, 5)], dim=3)
    torch.testing.assert_close(resize_and_crop(wide, network.image_size), middle, atol=1e-5, rtol=0)
    torch.testing.assert_close(resize_and_crop(wide.mT, network.image_size), middle.mT, atol=1e-5, rtol=0)


def test_resizing_agrees_with_clips_own_processor(network: CLIPNetwork) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    processor = CLIPImageProcessor(size={"shortest_edge": 16}, crop_size=16, do_normalize=False)
    expected = processor(Image.fromarray(picture), return_tensors="pt")["pixel_values"]
    found = resize_and_crop(torch.from_numpy(picture).permute(2, 0, 1)[None] / 255, network.image_size)
    torch.testing.assert_close(found, expected, atol=0.01, rtol=0)


@pytest.mark.parametrize("size", [(16, 16), (32, 32), (9, 9)])
def test_the_gradient_reaches_every_pixel(network: CLIPNetwork, size: tuple[int, int]) -> None:
    images = (0.1 + 0.8 * torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))).requires_grad_()
    (gradient,) = torch.autograd.grad(F.cross_entropy(network(images), torch.tensor([0, 1])), images)
    assert gradient.shape == images.shape
    assert (gradient != 0).float().mean() > 0.99


# Classes of another dataset


def rebind(path: Path, network: CLIPNetwork, **params: Any) -> CLIPNetwork:
    model = CLIP(CLIP.Params.read({"path": str(path), **params}, "clip"))
    bound = model.rebind(network, make_context(Path("unused"), TenClasses()))
    assert isinstance(bound, CLIPNetwork)
    return bound


@pytest.mark.parametrize("params", [{}, {"template": "a {} leaf"}])
def test_a_rebound_network_is_what_a_fresh_one_for_those_classes_is(tiny_clip: Path, params: dict[str, str]) -> None:
    model = CLIP(CLIP.Params.read({"path": str(tiny_clip), **params}, "clip"))
    context = make_context(Path("unused"), TenClasses())
    fresh, bound = model.build(context), rebind(tiny_clip, build(tiny_clip, **params), **params)
    assert torch.equal(bound(toy_images()), fresh(toy_images()))
    assert bound.state_dict().keys() == fresh.state_dict().keys()
    assert not bound.head.weight.requires_grad


def test_a_rebound_network_shares_the_encoder_as_it_was_tuned(tiny_clip: Path) -> None:
    network = build(tiny_clip)
    parts = CLIP(CLIP.Params(path="x")).adaptable(network)
    LoRA().adapt(network, parts)
    untuned = rebind(tiny_clip, network)(toy_images())
    with torch.no_grad():
        for weight in trainable(network).values():
            weight.add_(0.1)
    modes = [module.training for module in network.modules()]
    bound = rebind(tiny_clip, network)
    assert [module.training for module in network.modules()] == modes
    assert bound.clip is network.clip
    assert torch.equal(bound.eval().embed_images(toy_images()), network.eval().embed_images(toy_images()))
    assert not torch.allclose(bound(toy_images()), untuned, atol=1e-3)


def test_a_trained_head_is_left_behind_for_the_prompts_of_the_other_classes(tiny_clip: Path) -> None:
    network = build(tiny_clip)
    expected = rebind(tiny_clip, network)(toy_images())
    Head().adapt(network, CLIP(CLIP.Params(path="x")).adaptable(network))
    with torch.no_grad():
        network.head.weight.normal_()
    assert torch.equal(rebind(tiny_clip, network)(toy_images()), expected)
    cosines = network.embed_images(toy_images()) @ network.class_embeddings().T
    torch.testing.assert_close(network.temperature() * cosines, network(toy_images()))


def test_building_a_network_leaves_the_random_state_alone(tiny_clip: Path) -> None:
    network = build(tiny_clip)
    state = torch.get_rng_state()
    rebind(tiny_clip, network)
    assert torch.equal(torch.get_rng_state(), state)


def test_attention_is_that_of_the_last_block(tiny_clip: Path) -> None:
    """As transformers gives it, also with prompt tokens, and with gradients to the pixels."""
    network = build(tiny_clip).eval()
    tower, attention = network.clip.vision_model, network.parts["attention"]
    images = torch.rand(2, 3, 16, 16)
    tower.config._attn_implementation = "eager"
    with torch.no_grad():
        seen: list[Tensor] = []
        hook = tower.encoder.layers[-2].register_forward_hook(lambda block, given, output: seen.append(output))
        tower(pixel_values=network._pixels(images))
        hook.remove()
        last, theirs = tower.encoder.layers[-1], CLIPAttention(tower.config).eval()
        theirs.load_state_dict(last.self_attn.state_dict())
        _, weights = theirs(last.layer_norm1(seen[0]))
    torch.testing.assert_close(attention(images), weights)
    DeepVPT(DeepVPT.Params(tokens=3)).adapt(network, {"vision": tower, "blocks": tower.encoder.layers})
    pixels = images.clone().requires_grad_()
    found = attention(pixels)
    assert found.shape == (2, 2, 20, 20) and weights.shape == (2, 2, 17, 17)
    torch.testing.assert_close(found.sum(dim=3), torch.ones(2, 2, 20))
    (gradient,) = torch.autograd.grad(found[:, :, 0, 4:].square().sum(), pixels)
    assert gradient.abs().max() > 0


# Prompt tokens


def test_prompt_tokens_stand_between_the_class_token_and_the_patches(tiny_clip: Path) -> None:
    network = build(tiny_clip)
    tower = network.clip.vision_model
    pixels = torch.rand(2, 3, 16, 16)
    plain = tower.embeddings(pixels)
    VPT(VPT.Params(tokens=3)).adapt(network, {"vision": tower})
    prompted = tower.embeddings(pixels)
    assert prompted.shape[1] == plain.shape[1] + 3
    assert torch.equal(prompted[:, 0], plain[:, 0])
    assert torch.equal(prompted[:, 4:], plain[:, 1:])
    assert torch.equal(prompted[0, 1:4], tower.embeddings.prompt[0])


def test_after_prompts_the_class_token_is_still_what_is_pooled(tiny_clip: Path) -> None:
    network = build(tiny_clip)
    VPT().adapt(network, {"vision": network.clip.vision_model})
    output = network.clip.vision_model(pixel_values=torch.rand(2, 3, 16, 16))
    pooled = network.clip.vision_model.post_layernorm(output.last_hidden_state[:, 0])
    torch.testing.assert_close(output.pooler_output, pooled)


def test_tuning_the_vision_tower_leaves_class_embeddings_alone(tiny_clip: Path) -> None:
    network = build(tiny_clip)
    text = {name: value.clone() for name, value in network.clip.text_model.state_dict().items()}
    parts = CLIP(CLIP.Params(path="x")).adaptable(network)
    told = {"vision", "encoder", "blocks", "head", "patches", "attention", "projection", "text", "token_embedding"}
    assert set(parts) == {*told, "text_blocks"}
    classes = network.class_embeddings().clone()
    Full().adapt(network, parts)
    assert not any(name.startswith(("clip.text", "clip.logit_scale", "head")) for name in trainable(network))
    LoRA().adapt(network, parts)
    assert torch.equal(network.class_embeddings(), classes)
    assert network.clip.text_model.state_dict().keys() == text.keys()
    assert all(torch.equal(value, text[name]) for name, value in network.clip.text_model.state_dict().items())


# Damaged and missing files


@pytest.fixture
def copy(tiny_clip: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_clip, tmp_path / "clip"))


@pytest.mark.parametrize("name", ["visual_projection.weight", "text_model.final_layer_norm.bias", "logit_scale"])
def test_missing_weights_are_refused_and_named(copy: Path, name: str) -> None:
    state = load_file(copy / "model.safetensors")
    assert state.pop(name) is not None
    save_file(state, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DataError, match=f"incomplete: {name}"):
        build(copy)


def test_weights_of_another_shape_are_refused(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    config["vision_config"]["hidden_size"] = 64
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(DataError, match=r"class_embedding.* of the wrong shape"):
        build(copy)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_truncated_weights_are_refused(copy: Path, share: float) -> None:
    whole = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(DataError, match="cannot be read"):
        build(copy)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", "preprocessor_config.json"])
def test_a_folder_that_misses_a_file_is_refused(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(DataError) as caught:
        build(copy)
    assert str(copy) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "preprocessor_config.json"])
def test_a_damaged_text_file_is_refused(copy: Path, name: str) -> None:
    (copy / name).write_text((copy / name).read_text()[:-40])
    with pytest.raises(DataError, match="cannot be read"):
        build(copy)


@pytest.mark.parametrize("path", ["/no/such/folder", "./nothing", "~/nothing/here", "shipped:nothing", "clip"])
def test_a_missing_folder_is_refused(path: str) -> None:
    with pytest.raises(DataError, match="no folder"):
        build(path)


def test_a_hub_id_offline_says_how_to_bring_the_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    switch_hub_off(monkeypatch, tmp_path)
    with pytest.raises(DataError, match=r"hf download openai/clip-vit-base-patch32 .*clip:path=DIR") as caught:
        build("openai/clip-vit-base-patch32")
    assert "\n" not in str(caught.value)


def test_a_home_folder_is_expanded(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(copy.parent))
    assert build("~/clip").image_size == 16
