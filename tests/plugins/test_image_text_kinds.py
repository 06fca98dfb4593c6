"""Image-text models of open_clip and SigLIP: their libraries' own logits, and every tuner on each of them."""

from __future__ import annotations

import copy
import functools
import json
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from robench import (
    BiasedNetwork,
    DataError,
    FeatureNetwork,
    ImageTextNetwork,
    PluginError,
    SpecError,
    TextNetwork,
    TuningSetting,
)
from robench.conformance.examine import examine
from robench.networks.evaluate import fingerprint
from robench.registry.registry import discover
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoTokenizer, SiglipModel

from robench_plugins.adaptations.components import ADAPTATIONS
from robench_plugins.models.clip import CLIP
from robench_plugins.models.clip_network import CLIPNetwork
from robench_plugins.models.image_text import ImageText
from robench_plugins.models.open_clip_model import OpenCLIP
from robench_plugins.models.resizing import brought_to
from robench_plugins.objectives.components import OBJECTIVES
from tests.helpers.clip_kinds import save_tiny_open_clip, save_tiny_siglip
from tests.helpers.plugin_fixtures import ToyDataset, make_context, save_tiny_clip, trainable

CONVNEXT = {"timm_model_name": "test_convnext", "timm_pool": "avg", "timm_proj": "linear", "image_size": 64}
TIMM_VIT = {"timm_model_name": "test_vit", "timm_pool": "", "timm_proj": "none", "image_size": 160}
TEXT = ["coop", "prompts", "lora-text"]
"""Adaptations that need the text tower."""
KINDS = ["open-clip", "open-clip-quick", "convnext", "sigmoid", "siglip"]


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("kinds")
    (root / "clip").mkdir()
    return {
        "clip": save_tiny_clip(root / "clip"),
        "open-clip": save_tiny_open_clip(root / "open-clip"),
        "open-clip-quick": save_tiny_open_clip(root / "quick", quick_gelu=True),
        "convnext": save_tiny_open_clip(root / "convnext", CONVNEXT),
        "sigmoid": save_tiny_open_clip(root / "sigmoid", custom_text=True, init_logit_bias=-2.0),
        "siglip": save_tiny_siglip(root / "siglip"),
    }


def model_of(folder: Path, **params: Any) -> ImageText:
    kind = OpenCLIP if (folder / "open_clip_config.json").is_file() else CLIP
    return kind(kind.Params.read({"path": str(folder), **params}, "model"))  # type: ignore[arg-type]


def build(folder: Path, **params: Any) -> CLIPNetwork:
    network = model_of(folder, **params).build(make_context(Path("unused")))
    assert isinstance(network, CLIPNetwork)
    return network.eval()


def toy(n: int = 8) -> tuple[Tensor, Tensor]:
    data = ToyDataset().split("test", n)
    return torch.from_numpy(data.images).float() / 255, torch.from_numpy(data.labels)


@torch.no_grad()
def own_logits(folder: Path, network: CLIPNetwork) -> Tensor:
    """Return the logits that open_clip computes from the same files, its tokenizer and its zero-shot arithmetic."""
    name = f"local-dir:{folder}"
    model, tokenizer = open_clip.create_model(name).eval(), open_clip.get_tokenizer(name)
    pixels = (brought_to(toy()[0], network.image_size, network.sight) - network.mean) / network.std
    classes = [
        F.normalize(model.encode_text(tokenizer(list(prompts)), normalize=True).mean(0), dim=-1)
        for prompts in ToyDataset().prompts()
    ]
    logits: Tensor = model.logit_scale.exp() * model.encode_image(pixels, normalize=True) @ torch.stack(classes).T
    return logits if model.logit_bias is None else logits + model.logit_bias


@pytest.mark.parametrize("kind", ["open-clip", "open-clip-quick", "convnext", "sigmoid"])
def test_logits_are_open_clips_own(kind: str, folders: dict[str, Path]) -> None:
    network = build(folders[kind])
    with torch.no_grad():
        found = network(toy()[0])
    torch.testing.assert_close(found, own_logits(folders[kind], network), rtol=1e-4, atol=1e-4)
    assert found.std() > 0.01
    assert hasattr(network.clip, "vision_model") == (kind != "convnext")


@torch.no_grad()
def test_logits_are_siglips_own_bias_included(folders: dict[str, Path]) -> None:
    network, folder = build(folders["siglip"]), folders["siglip"]
    model, tokenizer = SiglipModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    classes = []
    for prompts in ToyDataset().prompts():
        ids = tokenizer(list(prompts), padding="max_length", max_length=16, truncation=True, return_tensors="pt")
        text = model.get_text_features(input_ids=ids["input_ids"]).pooler_output
        classes.append(F.normalize(F.normalize(text, dim=-1).mean(0), dim=-1))
    features = F.normalize(model.get_image_features(pixel_values=(toy()[0] - 0.5) / 0.5).pooler_output, dim=-1)
    expected = model.logit_scale.exp() * features @ torch.stack(classes).T + model.logit_bias
    torch.testing.assert_close(network(toy()[0]), expected, rtol=1e-4, atol=1e-4)
    assert (network.sight.fit, network.sight.interpolation) == ("squash", "bilinear")


@pytest.mark.parametrize("kind", ["clip", *KINDS])
def test_one_interface_serves_all(kind: str, folders: dict[str, Path]) -> None:
    network, images = build(folders[kind]), toy()[0]
    assert isinstance(network, ImageTextNetwork) and isinstance(network, FeatureNetwork)
    assert isinstance(network, TextNetwork) and isinstance(network, BiasedNetwork)
    with torch.no_grad():
        raw, unit = network.image_features(images), network.embed_images(images)
        torch.testing.assert_close(F.normalize(raw, dim=-1), unit)
        logits = network.temperature() * unit @ network.class_embeddings().T
        bias = network.bias()
        torch.testing.assert_close(network(images), logits if bias is None else logits + bias)
    assert (bias is not None) == (kind in ("sigmoid", "siglip")) and network.temperature().shape == ()
    tokens = network.class_tokens
    assert len(tokens) == 3 and all(len(each) == 2 for each in tokens)
    first = F.normalize(network.embed_text(tokens[0]).mean(0), dim=-1)
    torch.testing.assert_close(first.detach(), network.class_embeddings()[0], rtol=1e-4, atol=1e-5)
    network.embed_text(tokens[1]).sum().backward()
    assert any(
        weight.grad is not None for name, weight in network.named_parameters() if "text" in name or "token" in name
    )


@torch.no_grad()
@pytest.mark.parametrize("kind", ["clip", "open-clip", "siglip"])
def test_patch_features_are_what_the_last_block_makes_of_each_patch(kind: str, folders: dict[str, Path]) -> None:
    network, images = build(folders[kind]), toy()[0]
    before = network(images)
    found = network.patch_features(images)
    assert found.shape == (8, 16, network.class_embeddings().shape[1])
    assert torch.equal(network(images), before)
    if kind == "open-clip":
        model = open_clip.create_model(f"local-dir:{folders[kind]}").eval().visual
        pixels = (images - network.mean) / network.std
        hidden = model.ln_post(model.transformer(model._embeds(pixels)))[:, 1:] @ model.proj
        torch.testing.assert_close(found, hidden, rtol=1e-4, atol=1e-4)


def test_a_tower_without_patches_says_so(folders: dict[str, Path]) -> None:
    with pytest.raises(DataError, match="no features of patches"):
        build(folders["convnext"]).patch_features(toy()[0])


@pytest.fixture(scope="module")
def networks(folders: dict[str, Path]) -> dict[str, CLIPNetwork]:
    return {kind: build(folders[kind]) for kind in KINDS}


REFUSED = {"lora", "dora", "adalora", "ia3", "loha", "oft", "vera", "vpt", "vpt-deep"}


@pytest.mark.parametrize("name", [each.name for each in ADAPTATIONS if each.name not in TEXT])
@pytest.mark.parametrize("kind", KINDS)
def test_every_adaptation_works_or_says_why_not(
    kind: str, name: str, networks: dict[str, CLIPNetwork], folders: dict[str, Path]
) -> None:
    network = copy.deepcopy(networks[kind])
    setting = setting_of(network, folders[kind])
    parts = setting.parts
    params = {"block_size": 8} if name == "oft" else {}
    adaptation = discover_once().resolve("adaptation", name, params).build()
    adaptation.set_up(setting)
    if kind == "convnext" and name in REFUSED:
        with pytest.raises(PluginError, match=r"finds no .* in the vision tower"):
            adaptation.adapt(network, parts)
        return
    torch.manual_seed(0)
    adaptation.adapt(network, parts)
    images, labels = toy()
    F.cross_entropy(network(images), labels).backward()
    moved = [weight.grad.abs().sum() for weight in trainable(network).values() if weight.grad is not None]
    assert moved and max(moved) > 0
    assert not any("text" in each or "logit" in each for each in trainable(network))


@pytest.mark.parametrize("name", [each.name for each in OBJECTIVES])
@pytest.mark.parametrize("kind", ["convnext", "siglip"])
def test_every_objective_trains_every_kind(
    kind: str, name: str, networks: dict[str, CLIPNetwork], folders: dict[str, Path]
) -> None:
    network, (images, labels) = copy.deepcopy(networks[kind]), toy()
    objective = discover_once().resolve("objective", name).build()
    objective.set_up(setting_of(network, folders[kind]))
    if name == "tga-zsr" and kind == "convnext":
        with pytest.raises(PluginError, match="needs the part 'patches'"):
            objective.prepare(network)
        return
    objective.prepare(network)
    loss = objective.loss(network, images, (images + 0.1).clamp(0, 1), labels)
    loss.backward()
    assert loss.isfinite() and any(weight.grad is not None for weight in network.parameters())


def test_the_sigmoid_loss_takes_the_networks_own_bias(networks: dict[str, CLIPNetwork]) -> None:
    network, (images, labels) = networks["siglip"], toy()
    objective = discover_once().resolve("objective", "siglip").build()
    with torch.no_grad():
        signs = 2 * F.one_hot(labels, 3) - 1
        expected = -F.logsigmoid(signs * network(images)).sum() / len(labels)
        torch.testing.assert_close(objective.loss(network, images, images, labels), expected)


def test_prompt_tokens_are_not_pooled_where_no_class_token_is_read(
    networks: dict[str, CLIPNetwork], folders: dict[str, Path]
) -> None:
    for name in ("vpt", "vpt-deep"):
        network = copy.deepcopy(networks["siglip"])
        discover_once().resolve("adaptation", name).build().adapt(
            network, model_of(folders["siglip"]).adaptable(network)
        )
        hidden = network.clip.vision_model(pixel_values=torch.rand(2, 3, 16, 16)).last_hidden_state
        assert hidden.shape[1] == 16


def setting_of(network: CLIPNetwork, folder: Path) -> TuningSetting:
    model = model_of(folder)
    return TuningSetting(network=network, parts=model.adaptable(network), model=model, context=make_context(folder))


@pytest.mark.parametrize("name", TEXT)
@pytest.mark.parametrize("kind", KINDS)
def test_adaptations_of_texts_work_or_say_why_not(
    kind: str, name: str, networks: dict[str, CLIPNetwork], folders: dict[str, Path]
) -> None:
    network = copy.deepcopy(networks[kind])
    setting = setting_of(network, folders[kind])
    adaptation = discover_once().resolve("adaptation", name).build()
    adaptation.set_up(setting)
    if (name == "lora-text" and kind != "siglip") or (name == "prompts" and kind == "convnext"):
        with pytest.raises(PluginError, match=r"finds no .* in the (text|vision) tower"):
            adaptation.adapt(network, setting.parts)
        return
    if kind == "siglip" and name == "coop":  # it reads 16 tokens
        with pytest.raises(PluginError, match="does not keep 16 words X apart"):
            adaptation.adapt(network, setting.parts)
        return
    adaptation.adapt(network, setting.parts)
    images, labels = toy()
    F.cross_entropy(network(images), labels).backward()
    assert all(weight.grad is not None for weight in trainable(network).values())


def test_layers_with_adapters_may_be_named_where_attention_is_no_layer(
    networks: dict[str, CLIPNetwork], folders: dict[str, Path]
) -> None:
    network = copy.deepcopy(networks["convnext"])
    setting = setting_of(network, folders["convnext"])
    for targets in ("mlp_in+mlp_out", "mlp.fc1+mlp.fc2"):
        adaptation = discover_once().resolve("adaptation", f"lora:targets={targets}").build()
        adaptation.set_up(setting)
        adaptation.adapt(copy.deepcopy(network), copy.deepcopy(dict(setting.parts)))
    adaptation.adapt(network, setting.parts)
    assert {name.split(".")[-4] for name in trainable(network)} == {"fc1", "fc2"}


@functools.cache
def discover_once() -> Any:
    return discover()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["open-clip", "convnext", "siglip"])
def test_the_conformance_kit_passes(kind: str, folders: dict[str, Path]) -> None:
    name = "clip" if kind == "siglip" else "open-clip"
    findings = list(examine(discover_once(), "model", f"{name}:path={folders[kind]}"))
    assert len(findings) >= 11 and all(each.kept for each in findings), findings


# Where they come from


def test_a_file_needs_its_architecture_and_gives_the_same_network(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folders["open-clip"]
    open_clip.add_model_config(_named(folder, tmp_path / "ViT-tiny-robench.json"))
    model = open_clip.create_model("ViT-tiny-robench")
    model.load_state_dict(open_clip.create_model(f"local-dir:{folder}").state_dict())
    file = tmp_path / "epoch_3.pt"
    torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in model.state_dict().items()}}, file)
    network = OpenCLIP(OpenCLIP.Params(path=str(file), model="ViT-tiny-robench")).build(make_context(Path("unused")))
    # Without a folder nothing says how images are normalised but open_clip's own default.
    network.mean, network.std = build(folder).mean, build(folder).std
    torch.testing.assert_close(network(toy()[0]), build(folder)(toy()[0]))
    with pytest.raises(DataError, match="does not say its architecture; add model=NAME"):
        OpenCLIP(OpenCLIP.Params(path=str(file))).check_files()
    with pytest.raises(SpecError, match=r"no architecture 'ViT-B-33'; did you mean 'ViT-B-32'"):
        OpenCLIP(OpenCLIP.Params(path=str(file), model="ViT-B-33")).check_files()
    with pytest.raises(DataError, match=r"open-clip:path=.*epoch_3\.pt,model="):
        CLIP(CLIP.Params(path=str(file))).check_files()


def _named(folder: Path, path: Path) -> Path:
    path.write_text(json.dumps(json.loads((folder / "open_clip_config.json").read_text())["model_cfg"]))
    return path


def test_wrong_names_and_tags_are_refused_before_anything_is_fetched() -> None:
    registry = discover_once()
    model = registry.resolve("model", "open-clip-ViT-B-32:pretrained=laion2b_s34b_b79k")
    assert model.params.model == "ViT-B-32" and model.label.startswith("open-clip-ViT-B-32")
    model.build().check_files()
    for text, message in {
        "open-clip-ViT-B-32:pretrained=laion2b": "no weights 'laion2b' of ViT-B-32; did you mean 'laion2b",
        "open-clip-ViT-B-32:pretrained=openai": "use model=ViT-B-32-quickgelu",
        "open-clip:path=/no/such": "no /no/such; expected a folder with open_clip_config.json",
    }.items():
        with pytest.raises((DataError, SpecError), match=message):
            registry.resolve("model", text).build().check_files()
    with pytest.raises(SpecError, match=r"needs model=NAME,pretrained=TAG, or path=FILE"):
        registry.resolve("model", "open-clip-ViT-B-32").build().check_files()


def test_an_open_clip_folder_given_to_clip_names_the_model_to_use(folders: dict[str, Path]) -> None:
    with pytest.raises(DataError, match="use --model open-clip:path="):
        CLIP(CLIP.Params(path=str(folders["open-clip"]))).check_files()


def test_an_activation_is_part_of_what_a_surrogate_is(folders: dict[str, Path]) -> None:
    plain, quick = build(folders["open-clip"]), build(folders["open-clip-quick"])
    with torch.no_grad():
        for mine, theirs in zip(plain.parameters(), quick.parameters(), strict=True):
            mine.copy_(theirs)
    assert fingerprint(plain) != fingerprint(quick)
