"""CLIP ViT-B/32 at its real size: counts on no device, and CLIP's real vocabulary where it can be had."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest
import torch
from robench.bench.vit_b32 import configuration, vocabulary_of, write_tokenizer
from transformers import AutoTokenizer, CLIPModel

from robench_plugins.adaptations.lora import LoRA
from robench_plugins.adaptations.vpt import VPT
from robench_plugins.models.clip import CLIP
from robench_plugins.models.clip_network import CLIPNetwork
from tests.helpers.plugin_fixtures import trainable
from tests.helpers.scripts import benchmark_script


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return benchmark_script("vit_b32")


@pytest.fixture
def clip(script: ModuleType) -> CLIPModel:
    with torch.device("meta"):
        return CLIPModel(configuration())


def test_the_configuration_is_that_of_the_published_model(clip: CLIPModel) -> None:
    assert sum(weight.numel() for weight in clip.parameters()) == 151_277_313
    assert sum(weight.numel() for weight in clip.vision_model.parameters()) == 87_456_000


@pytest.mark.parametrize(("adaptation", "expected"), [(LoRA(), 442_368), (VPT(), 7_680)])
def test_the_studys_adaptations_train_what_it_says(clip: CLIPModel, adaptation: LoRA | VPT, expected: int) -> None:
    with torch.device("meta"):
        network = CLIPNetwork(clip, [0.5] * 3, [0.5] * 3, torch.empty(10, 512))
        adaptation.adapt(network, CLIP(CLIP.Params(path="x")).adaptable(network))
    assert sum(weight.numel() for weight in trainable(network).values()) == expected


def test_a_vocabulary_has_bytes_ends_of_words_merges_and_two_special_tokens(script: ModuleType, tmp_path: Path) -> None:
    merges = script.merges_of(["heading", "c a", "ca t</w>"])
    vocabulary = vocabulary_of(merges)
    assert len(vocabulary) == 256 + 256 + 2 + 2
    assert (vocabulary["!"], vocabulary["!</w>"], vocabulary["ca"], vocabulary["cat</w>"]) == (0, 256, 512, 513)
    assert vocabulary["<|endoftext|>"] == 515
    write_tokenizer(tmp_path, merges)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "clip"}))
    tokens = AutoTokenizer.from_pretrained(tmp_path)("a cat").input_ids
    assert tokens == [514, vocabulary["a</w>"], 513, 515]


@pytest.mark.skipif(
    importlib.util.find_spec("open_clip") is None, reason="CLIP's vocabulary: open_clip_torch is absent"
)
def test_the_real_vocabulary_gives_the_tokens_that_clip_was_trained_on(script: ModuleType, tmp_path: Path) -> None:
    write_tokenizer(tmp_path, script.real_merges())
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "clip"}))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert len(tokenizer) == 49_408
    assert tokenizer("a photo of a cat.").input_ids == [49406, 320, 1125, 539, 320, 2368, 269, 49407]
