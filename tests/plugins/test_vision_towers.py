"""Vision towers from files of their own, and peft adapters made elsewhere: put in completely, or refused by name."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from peft import LoraConfig, get_peft_model
from robench import DataError, SpecError
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPModel

from robench_plugins.models.clip import CLIP
from robench_plugins.models.clip_network import CLIPNetwork
from robench_plugins.models.open_clip_model import OpenCLIP
from robench_plugins.models.vision_towers import in_open_clip, to_transformers
from tests.helpers.clip_kinds import save_tiny_open_clip
from tests.helpers.plugin_fixtures import ToyDataset, make_context, save_tiny_clip


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_open_clip(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def robust(base: Path) -> nn.Module:
    """The base with another vision tower, as adversarial fine-tuning leaves it."""
    model = open_clip.create_model(f"local-dir:{base}").eval()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in model.visual.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=generator))
    found: nn.Module = model
    return found


def build(kind: Any, folder: Path, **params: Any) -> CLIPNetwork:
    network = kind(kind.Params(path=str(folder), **params)).build(make_context(Path("unused")))
    assert isinstance(network, CLIPNetwork)
    return network.eval()


def images() -> Tensor:
    return torch.from_numpy(ToyDataset().split("test", 6).images).float() / 255


WRAPPED = {
    "bare": lambda state: state,
    "visual": lambda state: {f"visual.{name}": value for name, value in state.items()},
    "tecoa": lambda state: {
        "epoch": 10,
        "vision_encoder_state_dict": {f"module.{name}": value for name, value in state.items()},
    },
    "parallel": lambda state: {"state_dict": {f"module.visual.{name}": value for name, value in state.items()}},
    "compiled": lambda state: {"model": {f"_orig_mod.module.{name}": value for name, value in state.items()}},
}


@torch.no_grad()
@pytest.mark.parametrize("how", WRAPPED)
def test_a_tower_of_open_clip_gives_the_logits_it_was_trained_to(
    how: str, base: Path, robust: Any, tmp_path: Path
) -> None:
    file = tmp_path / "tower.pth.tar"
    torch.save(WRAPPED[how](robust.visual.state_dict()), file)
    network = build(OpenCLIP, base, tower=str(file))
    pixels = (images() - network.mean) / network.std
    torch.testing.assert_close(network.image_features(images()), robust.encode_image(pixels), rtol=1e-4, atol=1e-5)
    assert torch.equal(network.class_embeddings(), build(OpenCLIP, base).class_embeddings())
    assert not torch.allclose(network(images()), build(OpenCLIP, base)(images()), atol=1e-3)


@torch.no_grad()
def test_a_tower_in_open_clips_names_fits_a_clip_of_transformers(clip: Path, tmp_path: Path) -> None:
    theirs = open_clip.create_model(f"local-dir:{save_tiny_open_clip(tmp_path / 'o', quick_gelu=True)}").eval()
    save_file(theirs.visual.state_dict(), tmp_path / "tower.safetensors")
    network = build(CLIP, clip, tower=str(tmp_path / "tower.safetensors"))
    pixels = (images() - network.mean) / network.std
    torch.testing.assert_close(network.image_features(images()), theirs.encode_image(pixels), rtol=1e-4, atol=1e-5)


def test_what_does_not_fit_is_refused_by_name(base: Path, clip: Path, robust: Any, tmp_path: Path) -> None:
    state, file = robust.visual.state_dict(), tmp_path / "tower.pt"
    lacking = {
        "transformer.resblocks.1.ln_1.weight": r"has no 'transformer\.resblocks\.1\.ln_1\.weight'",
        "transformer.resblocks.0.attn.in_proj_bias": r"has no 'transformer\.resblocks\.0\.attn\.in_proj_bias \(k\)'",
        "ln_pre.bias": r"has no 'ln_pre\.bias'",
        "proj": "no projection",
    }
    for name, message in lacking.items():
        torch.save({key: value for key, value in state.items() if key != name}, file)
        with pytest.raises(DataError, match=message):
            build(OpenCLIP, base, tower=str(file))
    torch.save({**state, "positional_embedding": torch.zeros(50, 32)}, file)
    with pytest.raises(DataError, match=r"'positional_embedding' .*is \(50, 32\), not \(17, 32\).*image size"):
        build(OpenCLIP, base, tower=str(file))
    torch.save({**state, "transformer.resblocks.2.ln_1.weight": torch.zeros(32)}, file)
    with pytest.raises(DataError, match=r"resblocks\.2\.ln_1\.weight.* does not have"):
        build(CLIP, clip, tower=str(file))
    torch.save({"logits": torch.zeros(3)}, file)
    with pytest.raises(DataError, match=r"no projection|no vision tower"):
        build(CLIP, clip, tower=str(file))
    with pytest.raises(DataError, match="no vision tower at"):
        OpenCLIP(OpenCLIP.Params(path=str(base), tower=str(tmp_path / "none.pt"))).check_files()


def test_a_conversion_loses_no_tensor(robust: Any) -> None:
    state = robust.visual.state_dict()
    assert sum(t.numel() for t in to_transformers(state).values()) == sum(t.numel() for t in state.values())


def test_names_come_back_from_transformers(robust: Any) -> None:
    for name, tensor in robust.visual.state_dict().items():
        assert all(in_open_clip(new).partition(" ")[0] == name for new in to_transformers({name: tensor}))


# Adapters of peft


@pytest.fixture
def adapter(clip: Path, tmp_path: Path) -> tuple[Path, nn.Module]:
    torch.manual_seed(0)
    adapted = get_peft_model(CLIPModel.from_pretrained(clip), LoraConfig(r=2, target_modules=["q_proj", "v_proj"]))
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.normal_()
    adapted.save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter", adapted.eval()


@torch.no_grad()
def test_a_peft_folder_is_merged_into_its_base(clip: Path, adapter: tuple[Path, Any]) -> None:
    folder, adapted = adapter
    network = build(CLIP, clip, adapter=str(folder))
    pixels = (images() - network.mean) / network.std
    expected = copy.deepcopy(adapted).base_model.model.get_image_features(pixel_values=pixels).pooler_output
    torch.testing.assert_close(network.image_features(images()), expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(network(images()), build(CLIP, clip)(images()), atol=1e-3)


def test_a_peft_folder_that_does_not_fit_is_one_line(clip: Path, adapter: tuple[Path, Any], tmp_path: Path) -> None:
    folder, _ = adapter
    with pytest.raises(DataError, match=r"peft adapter without its model; pass clip:path=BASE,adapter="):
        CLIP(CLIP.Params(path=str(folder))).check_files()
    with pytest.raises(DataError, match=r"no adapter_config\.json in"):
        CLIP(CLIP.Params(path=str(clip), adapter=str(tmp_path))).check_files()
    from safetensors.torch import load_file

    state = load_file(folder / "adapter_model.safetensors")
    save_file(dict(list(state.items())[1:]), folder / "adapter_model.safetensors", {"format": "pt"})
    with pytest.raises(DataError, match=r"it is incomplete"):
        build(CLIP, clip, adapter=str(folder))
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(DataError, match=r"json and no weights; expected adapter_model\.safetensors"):
        CLIP(CLIP.Params(path=str(clip), adapter=str(folder))).check_files()
    with pytest.raises(SpecError, match=r"merges no adapter of peft; expected .* clip:path=BASE,adapter=mine"):
        OpenCLIP.Params.read({"path": "x.pt", "adapter": "mine"}, "model 'open-clip'")
