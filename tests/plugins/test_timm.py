"""Classifiers of timm: weights from everywhere they come from, in native pixels."""

from __future__ import annotations

import json
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from robench import DataError, SpecError
from robench.attack.perturbation import frozen_for_attack
from robench.networks.evaluate import fingerprint
from robench.registry.registry import discover
from safetensors.torch import load_file, save_file
from timm.models import save_for_hf
from timm.utils import CheckpointSaver

from robench_plugins.models.resizing import resize_and_crop
from robench_plugins.models.timm_classifier import TimmClassifier, TimmNetwork
from tests.helpers.plugin_fixtures import ToyDataset, make_context, n_parameters, switch_hub_off

SMALL = {"architecture": "resnet10t", "image_size": 32}
VIT = {"architecture": "vit_tiny_patch16_224", "image_size": 32}


def build(seed: int = 0, **params: Any) -> TimmNetwork:
    network = TimmClassifier(TimmClassifier.Params.read(params, "timm")).build(make_context(Path("unused"), seed=seed))
    assert isinstance(network, TimmNetwork)
    return network.eval()


def toy_images() -> torch.Tensor:
    return torch.from_numpy(ToyDataset().split("test", 4).images).float() / 255


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    path = tmp_path / "fine-tuned.safetensors"
    save_file(timm.create_model("resnet10t", num_classes=3).state_dict(), path)
    return path


def test_a_name_after_timm_is_an_architecture_also_as_a_surrogate() -> None:
    registry = discover()
    model = registry.resolve("model", "timm-resnet10t:image_size=32")
    assert model.params.as_dict()["architecture"] == "resnet10t" and model.label == "timm-resnet10t:image_size=32"
    attack = registry.resolve_attack("pgd-timm-resnet10t:surrogate.image_size=32")
    assert attack.surrogate is not None and attack.surrogate.name == "timm-resnet10t"


@pytest.mark.parametrize("params", [SMALL, VIT, {"architecture": "convnext_atto"}])
def test_networks_are_timms_own_with_a_head_for_the_classes(params: dict[str, Any]) -> None:
    network = build(**params)
    assert n_parameters(network) == n_parameters(
        timm.create_model(params["architecture"], num_classes=3, **({"img_size": 32} if params is VIT else {}))
    )
    assert network(toy_images()).shape == (4, 3)


def test_logits_are_timms_on_resized_and_normalised_images(checkpoint: Path) -> None:
    network = build(architecture="resnet10t", weights=str(checkpoint), image_size=48)
    reference = timm.create_model("resnet10t", num_classes=3).eval()
    reference.load_state_dict(timm.models.load_state_dict(str(checkpoint)))
    config = reference.pretrained_cfg
    mean, std = (torch.tensor(config[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    pixels = (resize_and_crop(toy_images(), 48) - mean) / std
    torch.testing.assert_close(network(toy_images()), reference(pixels))


def test_without_a_size_images_are_brought_to_the_networks_own() -> None:
    assert build(architecture="resnet10t").image_size == timm.create_model("resnet10t").pretrained_cfg["input_size"][-1]


def test_random_weights_follow_the_seed_and_leave_the_random_state_alone() -> None:
    state = torch.get_rng_state()
    first, again, other = build(**SMALL), build(**SMALL), build(seed=1, **SMALL)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first(toy_images()), again(toy_images()))
    assert not torch.equal(first(toy_images()), other(toy_images()))


def test_a_folder_in_the_hubs_layout_is_a_checkpoint(tmp_path: Path, checkpoint: Path) -> None:
    folder = tmp_path / "hub"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(checkpoint.read_bytes())
    (folder / "config.json").write_text(json.dumps({"architecture": "resnet10t", "num_classes": 3}))
    assert torch.equal(
        build(weights=str(folder), **SMALL)(toy_images()), build(weights=str(checkpoint), **SMALL)(toy_images())
    )
    with pytest.raises(DataError, match=r"holds a resnet10t, not a resnet18; use timm-resnet10t"):
        build(architecture="resnet18", weights=str(folder))
    (folder / "config.json").unlink()
    with pytest.raises(DataError, match=r"no config\.json that names an architecture"):
        build(weights=str(folder), **SMALL)


@pytest.mark.parametrize("safe", [True, False])
def test_a_folder_written_by_timm_brings_its_own_size_and_normalisation(tmp_path: Path, safe: bool) -> None:
    fine_tuned = timm.create_model("vit_tiny_patch16_224", num_classes=3, img_size=32).eval()
    fine_tuned.pretrained_cfg["mean"] = (0.1, 0.2, 0.3)
    save_for_hf(fine_tuned, str(tmp_path), safe_serialization=safe)
    network = build(architecture="vit_tiny_patch16_224.augreg_in21k_ft_in1k", weights=str(tmp_path))
    assert network.image_size == 32
    pixels = (resize_and_crop(toy_images(), 32) - torch.tensor([0.1, 0.2, 0.3]).view(1, 3, 1, 1)) / 0.5
    torch.testing.assert_close(network(toy_images()), fine_tuned(pixels))


def test_a_checkpoint_of_timms_training_script_is_read_wrapped_or_not(tmp_path: Path, checkpoint: Path) -> None:
    trained = timm.create_model("resnet10t", num_classes=3)
    trained.load_state_dict(timm.models.load_state_dict(str(checkpoint)))
    optimizer = torch.optim.SGD(trained.parameters(), lr=0.1)
    settings = Namespace(model="resnet10t", lr=0.1)
    for wrapped in (trained, torch.nn.DataParallel(trained)):
        saver = CheckpointSaver(
            wrapped, optimizer, settings, checkpoint_dir=str(tmp_path), unwrap_fn=lambda model: model
        )
        saver.save_checkpoint(epoch=0, metric=50.0)
        found = build(weights=str(tmp_path / "last.pth.tar"), **SMALL)
        assert torch.equal(found(toy_images()), build(weights=str(checkpoint), **SMALL)(toy_images()))


def test_networks_that_differ_in_more_than_their_weights_have_other_fingerprints(checkpoint: Path) -> None:
    """Adversarial images of a surrogate are cached by its fingerprint."""
    sizes = [fingerprint(build(architecture="resnet10t", weights=str(checkpoint), image_size=n)) for n in (32, 48, 32)]
    assert sizes[0] == sizes[2] != sizes[1]


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "convnext_atto"])
def test_a_size_that_the_network_cannot_see_is_refused(name: str) -> None:
    with pytest.raises(DataError, match=f"{name} cannot see images of image_size=8 pixels"):
        build(architecture=name, image_size=8)


def test_wrong_weights_are_named(tmp_path: Path, checkpoint: Path) -> None:
    with pytest.raises(DataError, match=r"no weights at .*nowhere\.pth"):
        build(weights=str(tmp_path / "nowhere.pth"), **SMALL)
    with pytest.raises(DataError, match=r"not a checkpoint of this architecture|does not have"):
        build(architecture="resnet18", weights=str(checkpoint))
    other = tmp_path / "seven.safetensors"
    save_file(timm.create_model("resnet10t", num_classes=7).state_dict(), other)
    assert build(weights=str(other), **SMALL)(toy_images()).shape == (4, 3)
    positions = tmp_path / "positions.safetensors"
    save_file(timm.create_model("vit_tiny_patch16_224", num_classes=3).state_dict(), positions)
    with pytest.raises(DataError, match=r"is \(1, 197, 192\), not \(1, 5, 192\); .* the network sees 32 pixels"):
        build(weights=str(positions), **VIT)


def test_an_unknown_architecture_gets_the_nearest() -> None:
    with pytest.raises(SpecError, match="no architecture 'resnet19'; did you mean 'resnet1"):
        build(architecture="resnet19")


def test_pretrained_weights_offline_say_what_to_pass(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    switch_hub_off(monkeypatch, tmp_path)
    with pytest.raises(DataError, match=r"cannot be loaded from the Hugging Face Hub .* pass weights=FILE"):
        build(architecture="resnet18", weights="pretrained")


SWIN = {"architecture": "swin_tiny_patch4_window7_224", "image_size": 32}


@pytest.mark.parametrize(
    ("params", "n_blocks"), [(SMALL, 4), (VIT, 12), (SWIN, 4), ({"architecture": "convnext_atto"}, 4)]
)
def test_parts_are_the_whole_the_blocks_and_the_head(params: dict[str, Any], n_blocks: int) -> None:
    network = build(**params)
    parts = TimmClassifier(TimmClassifier.Params.read(params, "timm")).adaptable(network)
    assert parts["vision"] is network.network and parts["encoder"] is network.parts["encoder"]
    assert len(parts["blocks"]) == n_blocks  # type: ignore[arg-type]
    assert parts["head"].out_features == 3


def test_gradients_reach_native_pixels_and_an_attack_leaves_running_statistics_alone() -> None:
    network = build(**{**SMALL, "image_size": 40}).train()
    before = {name: value.clone() for name, value in network.named_buffers()}
    images = toy_images().requires_grad_()
    with frozen_for_attack(network):
        (gradient,) = torch.autograd.grad(network(images)[:, 0].sum(), images)
    assert gradient.shape == images.shape and gradient.abs().sum() > 0
    assert all(torch.equal(value, before[name]) for name, value in network.named_buffers())
    assert network.training


def test_a_head_of_another_size_is_replaced_and_said_so(tmp_path: Path) -> None:
    torch.manual_seed(1)
    seven, path = timm.create_model("resnet10t", num_classes=7), tmp_path / "seven.pth"
    torch.save({"state_dict_ema": {k: v for k, v in seven.state_dict().items() if "num_batches" not in k}}, path)
    said: list[str] = []
    context = replace(make_context(Path("unused")), warn=said.append)
    network = TimmClassifier(TimmClassifier.Params.read({"weights": str(path), **SMALL}, "timm")).build(context)
    assert said and "a head of 7 classes; a new, untrained head of 3 replaces it" in said[0]
    assert isinstance(network, TimmNetwork)
    own, theirs = network.network.state_dict(), seven.state_dict()
    same = {name for name in own if torch.equal(own[name], theirs[name])}
    assert own.keys() - same == {"fc.weight", "fc.bias"}


def test_names_of_another_publisher_are_matched_by_order_when_asked(tmp_path: Path, checkpoint: Path) -> None:
    state = load_file(checkpoint)
    ordered = timm.create_model("resnet10t", num_classes=3).state_dict()
    foreign = {f"layer_{number}": state[name] for number, name in enumerate(ordered)}
    torch.save(foreign, tmp_path / "foreign.pth")
    weights = str(tmp_path / "foreign.pth")
    with pytest.raises(DataError, match="another publisher's; if it is the same network, add match=order"):
        build(weights=weights, **SMALL)
    expected = build(weights=str(checkpoint), **SMALL)(toy_images())
    assert torch.equal(build(weights=weights, match="order", **SMALL)(toy_images()), expected)
    torch.save(dict(reversed(foreign.items())), weights)
    with pytest.raises(DataError, match="match=order needs the same shapes"):
        build(weights=weights, match="order", **SMALL)
