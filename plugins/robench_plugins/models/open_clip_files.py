"""Read models of open_clip: from files, from folders, by tag, or from the Hub."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from robench import DataError, SpecError
from torch import Tensor

from robench_plugins.models.image_text import Loaded
from robench_plugins.models.open_clip_towers import OpenCLIPPair
from robench_plugins.models.resizing import Sight
from robench_plugins.models.saved_weights import load_all, read_state

CONFIG = "open_clip_config.json"
HUB = "hf-hub:"
WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "open_clip_pytorch_model.bin")


@contextlib.contextmanager
def readable(where: str) -> Iterator[None]:
    """Turn what open_clip raises for missing or damaged files into one clear line."""
    try:
        yield
    except (DataError, SpecError):
        raise
    except Exception as error:  # a stranger's configuration leads open_clip to any of them
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise DataError(f"open_clip's {where} cannot be read: {lines[0][:300]}") from error


class OpenCLIPWords:
    """A tokenizer of open_clip."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.longest = int(tokenizer.context_length)

    def length(self, text: str) -> int:
        """Return the number of tokens of a text that is not cut."""
        if hasattr(self._tokenizer, "encode"):
            return len(self._tokenizer.encode(text)) + 2  # the marks of start and end
        return len(self._tokenizer.tokenizer(text)["input_ids"])

    def tokens(self, texts: Sequence[str]) -> Mapping[str, Tensor]:
        """Return token ids ``int64 (N, L)``."""
        return {"input_ids": self._tokenizer(list(texts))}


@dataclass(frozen=True, kw_only=True)
class OpenCLIPSource:
    """Where a model of open_clip comes from; the attributes are the parameters of the component."""

    model: str | None
    pretrained: str | None
    path: str | None
    revision: str | None

    def check(self) -> None:
        """Check the name, the tag and the files; nothing is downloaded.

        Raises:
            SpecError: open_clip has no such architecture, or no such tag for it.
            DataError: A file is missing, or open_clip is not installed.
        """
        open_clip = _open_clip()
        if (self.pretrained is None) == (self.path is None) or (self.pretrained and self.model is None):
            raise SpecError(
                "a model of open_clip needs model=NAME,pretrained=TAG, or path=FILE,model=NAME, or path=FOLDER, or "
                f"path={HUB}ORG/NAME (got model={self.model}, pretrained={self.pretrained}, path={self.path})"
            )
        if self.model is not None and self.model not in open_clip.list_models():
            raise SpecError(
                f"open_clip has no architecture {self.model!r}{_nearest(self.model, open_clip.list_models())}"
            )
        if self.pretrained is not None:
            self._tag()
        elif not self._on_hub():
            place = Path(str(self.path)).expanduser()
            if place.is_dir():
                self._weights_in(place)
            elif not place.is_file():
                raise DataError(
                    f"no {self.path}; expected a folder with {CONFIG}, a .pt or .safetensors file, or {HUB}ORG/NAME"
                )
            elif self.model is None:
                raise DataError(f"{self.path} does not say its architecture; add model=NAME, such as model=ViT-B-32")

    def load(self) -> Loaded:
        """Return the model, its vocabulary and its normalisation.

        Raises:
            SpecError: As :meth:`check`.
            DataError: As :meth:`check`, or the weights are damaged, incomplete or of another architecture.
        """
        self.check()
        with readable(self.path or f"{self.model} {self.pretrained}"):
            folder, weights, preprocessing = self._files()
            name = f"local-dir:{folder}" if folder is not None else str(self.model)
            with torch.random.fork_rng(devices=[]), _silent():
                model = _open_clip().create_model(name, load_weights=False, pretrained_text=False)
            _load(model, weights, name if folder is None else str(folder))
            seen = {**model.visual.preprocess_cfg, **preprocessing}
            side = model.visual.image_size
            size = side if isinstance(side, int) else side[0]
            if not isinstance(side, int) and len(set(side)) > 1:
                raise DataError(f"{name} reads images of {side[0]} x {side[1]} pixels; expected a square")
            config = _open_clip().get_model_config(name)
            fit = {"shortest": "crop", "squash": "squash"}.get(seen["resize_mode"])
            if fit is None:
                raise DataError(f"{name} resizes by {seen['resize_mode']!r}; expected shortest or squash")
            between = "bilinear" if seen["interpolation"] == "bilinear" else "bicubic"
            return Loaded(
                clip=OpenCLIPPair(model, int(size)),
                words=self.words(folder),
                mean=tuple(seen["mean"]),
                std=tuple(seen["std"]),
                sight=Sight(fit, between),  # type: ignore[arg-type]
                identity=json.dumps(config, sort_keys=True),
            )

    def words(self, folder: Path | None = None) -> OpenCLIPWords:
        """Return the vocabulary.

        Raises:
            DataError: It cannot be read.
        """
        with readable(self.path or str(self.model)):
            if folder is None:
                folder = self._files()[0]
            name = f"local-dir:{folder}" if folder is not None else str(self.model)
            config = _open_clip().get_model_config(name) or {}
            if folder is not None and not (folder / "tokenizer_config.json").is_file():
                # The tokenizer is then in the repository that the configuration names.
                other = config.get("text_cfg", {}).get("hf_tokenizer_name")
                if other:
                    from open_clip.tokenizer import HFTokenizer

                    text = config["text_cfg"]
                    more = text.get("tokenizer_kwargs") or {}
                    return OpenCLIPWords(HFTokenizer(other, context_length=text.get("context_length", 77), **more))
            return OpenCLIPWords(_open_clip().get_tokenizer(name))

    def _on_hub(self) -> bool:
        return self.path is not None and self.path.startswith(HUB)

    def _files(self) -> tuple[Path | None, Path, dict[str, Any]]:
        """Return the folder with the configuration, if there is one, the weights, and what a tag says of images."""
        if self.pretrained is not None:
            from open_clip.pretrained import download_pretrained

            tag = self._tag()
            told = {key: tag[key] for key in ("mean", "std", "interpolation", "resize_mode") if tag.get(key)}
            return None, Path(download_pretrained(tag)), told
        if self._on_hub():
            folder = self._fetched(str(self.path).removeprefix(HUB))
        else:
            folder = Path(str(self.path)).expanduser()
            if folder.is_file():
                return None, folder, {}
        return folder, self._weights_in(folder), {}

    def _fetched(self, name: str) -> Path:
        from huggingface_hub import snapshot_download

        patterns = [CONFIG, "*.safetensors", "*tokenizer*", "*vocab*", "merges.txt", "special_tokens_map.json"]
        try:
            found = Path(snapshot_download(name, revision=self.revision, allow_patterns=patterns))
            if not any((found / weights).is_file() for weights in WEIGHTS):
                snapshot_download(name, revision=self.revision, allow_patterns=["*.bin", "*.pt"])
        except Exception as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise DataError(
                f"{name} cannot be loaded from the Hugging Face Hub ({reason[:200]}); download it where there is a "
                f"network (hf download {name} --local-dir DIR) and pass --model open-clip:path=DIR"
            ) from error
        return found

    def _tag(self) -> dict[str, Any]:
        open_clip = _open_clip()
        tags = open_clip.list_pretrained_tags_by_model(self.model)
        if not (tag := open_clip.get_pretrained_cfg(self.model, self.pretrained)):
            raise SpecError(
                f"open_clip has no weights {self.pretrained!r} of {self.model}{_nearest(str(self.pretrained), tags)}"
            )
        quick = bool(open_clip.get_model_config(self.model).get("quick_gelu"))
        if bool(tag.get("quick_gelu")) != quick:
            other = str(self.model).removesuffix("-quickgelu") if quick else f"{self.model}-quickgelu"
            raise SpecError(
                f"the weights {self.pretrained!r} were trained with {'GELU' if quick else 'QuickGELU'}, "
                f"and {self.model} computes the other one; use model={other}"
            )
        return dict(tag)

    def _weights_in(self, folder: Path) -> Path:
        if not (folder / CONFIG).is_file():
            raise DataError(f"no {CONFIG} in {folder}; expected a folder that open_clip has written")
        found = [path for name in WEIGHTS if (path := folder / name).is_file()]
        found = found or sorted(folder.glob("*.safetensors")) or sorted([*folder.glob("*.bin"), *folder.glob("*.pt")])
        if not found:
            raise DataError(f"no weights in {folder}; expected {WEIGHTS[0]}")
        return found[0]


def _load(model: Any, path: Path, name: str) -> None:
    from open_clip.convert import convert_state_dict
    from open_clip.model import convert_to_custom_text_state_dict

    state = convert_state_dict(model, read_state(path))
    if "positional_embedding" in state and not hasattr(model, "positional_embedding"):
        state = convert_to_custom_text_state_dict(state)
    own = model.state_dict()
    state = {key: value for key, value in state.items() if key in own or not key.endswith("position_ids")}
    for key in ("logit_scale", "logit_bias"):
        if key in state and key in own and state[key].numel() == 1:
            state[key] = state[key].reshape(own[key].shape)
    if state and not any(key.startswith("visual.") for key in state):
        raise DataError(
            f"{path} holds no whole model of open_clip; if it is a vision tower alone, pass it as tower={path} with "
            "the model that it belongs to"
        )
    load_all(
        model,
        state,
        path,
        missing=f"it is not the whole of {name}",
        misfit=f"the file is of another architecture or image size than {name}",
    )


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keep open_clip from warning that it loads no weights, which are loaded afterwards."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _open_clip() -> Any:
    try:
        import open_clip
    except ImportError as error:
        raise DataError(
            "open_clip is not installed; install it with pip install 'robench[open-clip]' (or open_clip_torch)"
        ) from error
    return open_clip


def _nearest(name: str, known: Sequence[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, known, n=1, cutoff=0.4)
    return f"; did you mean {close[0]!r}?" if close else f"; it has {', '.join(known[:8])}"
