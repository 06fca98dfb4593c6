"""Folders of a CLIP with a damaged or hostile file: each is one clear line, and nothing is run or contacted."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from robench import RobenchError

from robench_plugins.models.clip import CLIP
from tests.helpers.plugin_fixtures import make_context, save_tiny_clip, switch_hub_off

DEEP = "[" * 100_000
CONFIGS: dict[str, Any] = {
    "no JSON": "{",
    "a list": "[]",
    "deep": DEEP,
    "empty file": "",
    "unknown attention": {"_attn_implementation": "banana", "attn_implementation": "banana"},
    "text for a number": {"projection_dim": "many"},
    "negative": {"projection_dim": -1},
    "other projection": {"projection_dim": 7},
    "tower is a list": {"vision_config": []},
    "tower is a number": {"text_config": 3},
    "image size": {"vision_config": {"image_size": "big"}},
    "image size nought": {"vision_config": {"image_size": 0}},
    "patch nought": {"vision_config": {"patch_size": 0}},
    "heads": {"vision_config": {"num_attention_heads": 5}},
    "activation": {"vision_config": {"hidden_act": "banana"}},
    "layers": {"text_config": {"num_hidden_layers": 9}},
    "width": {"text_config": {"hidden_size": 64}},
    "vocabulary": {"text_config": {"vocab_size": 3}},
    "positions": {"text_config": {"max_position_embeddings": 1}},
    "huge": {"text_config": {"hidden_size": 10**12}},
    "a bomb": {"vision_config": {"hidden_size": 4096, "intermediate_size": 4096}},
    "many layers": {"vision_config": {"num_hidden_layers": 10**5}},
}
FILES: dict[str, Any] = {
    "tokenizer_config.json": {"tokenizer_class": "BertJapaneseTokenizer"},
    "tokenizer.json": "{",
    "preprocessor_config.json": {"image_mean": "grey"},
    "model.safetensors": "cut short",
    "adapter_config.json": {"base_model_name_or_path": "someone/something", "peft_type": "LORA"},
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    switch_hub_off(monkeypatch, tmp_path / "hub")
    (tmp_path / "clip").mkdir()
    return save_tiny_clip(tmp_path / "clip")


def refused(folder: Path) -> str:
    with pytest.raises(RobenchError) as caught:
        CLIP(CLIP.Params.read({"path": str(folder)}, "clip")).build(make_context(Path("unused")))
    return str(caught.value)


@pytest.mark.parametrize("change", CONFIGS.values(), ids=CONFIGS.keys())
def test_a_changed_config_is_refused(folder: Path, change: Any) -> None:
    path = folder / "config.json"
    if isinstance(change, str):
        path.write_text(change)
    else:
        config = json.loads(path.read_text())
        for key, value in change.items():
            inner = isinstance(value, dict)
            config[key] = {**config[key], **value} if inner else value
        path.write_text(json.dumps(config))
    assert str(folder) in refused(folder) or "CLIP" in refused(folder)


@pytest.mark.parametrize("name", FILES)
def test_another_damaged_file_is_refused(folder: Path, name: str) -> None:
    content = FILES[name]
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    assert refused(folder)


def test_a_missing_vocabulary_or_normalisation_is_seen_at_the_start(folder: Path, tmp_path: Path) -> None:
    def told(**more: str) -> str:
        with pytest.raises(RobenchError) as caught:
            CLIP(CLIP.Params.read({"path": str(folder), **more}, "clip")).check_files()
        return str(caught.value)

    assert "no folder processor=nix; expected one with tokenizer.json, or ORG/NAME" in told(processor="nix")
    (tmp_path / "other").mkdir()
    assert "other has no vocabulary; expected a file such as tokenizer.json" in told(processor=str(tmp_path / "other"))
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(json.dumps({"model_type": "align"}))
    assert "holds a model of type 'align'; expected clip or siglip" in told()
    (folder / "config.json").write_text(config)
    (folder / "preprocessor_config.json").unlink()
    assert f"{folder} has no normalisation; expected a file such as preprocessor_config.json; if it" in told()
    for name in ("tokenizer.json", "vocab.json"):
        (folder / name).unlink(missing_ok=True)
    assert f"{folder} has no vocabulary" in told() and "processor=" in told()
    assert "has no vocabulary" in refused(folder)


def test_a_hostile_pickle_is_not_run_and_the_cure_is_named(folder: Path, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "run"),)

    (folder / "model.safetensors").unlink()
    torch.save({"x": Evil()}, folder / "pytorch_model.bin")
    assert "convert it to model.safetensors" in refused(folder)
    assert not (tmp_path / "run").exists()
