"""Vision towers in open_clip's names: into transformers' layout, and from files that hold nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from robench import DataError
from torch import Tensor, nn

from robench_plugins.models.saved_weights import load_all, read_state

PROJECTION = "visual_projection.weight"
TIMM_LAYERS = {"qkv": ("attn.qkv",), "output": ("attn.proj",), "mlp_in": ("mlp.fc1",), "mlp_out": ("mlp.fc2",)}
"""Where timm's vision transformers have their linear layers, by role."""
_BLOCK = re.compile(r"transformer\.resblocks\.(\d+)\.(.+)")
_OUTSIDE = {
    "conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "class_embedding": "vision_model.embeddings.class_embedding",
    "positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "ln_pre.weight": "vision_model.pre_layrnorm.weight",
    "ln_pre.bias": "vision_model.pre_layrnorm.bias",
    "ln_post.weight": "vision_model.post_layernorm.weight",
    "ln_post.bias": "vision_model.post_layernorm.bias",
}
_INSIDE = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}


def to_transformers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a vision tower with the names that ``CLIPModel`` of transformers has, given open_clip's.

    open_clip keeps query, key and value in one ``in_proj``, and the projection transposed. Names that open_clip does
    not have stay as they are.
    """
    found: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if name == "proj":
            found[PROJECTION] = tensor.T.contiguous()
        elif name in _OUTSIDE:
            found[_OUTSIDE[name]] = tensor
        elif match := _BLOCK.fullmatch(name):
            block, (inner, _, kind) = f"vision_model.encoder.layers.{match[1]}", match[2].rpartition(".")
            if match[2] in ("attn.in_proj_weight", "attn.in_proj_bias"):
                kind = match[2].rpartition("_")[2]
                parts = zip("qkv", tensor.chunk(3), strict=True) if len(tensor) % 3 == 0 else ()
                found |= {f"{block}.self_attn.{letter}_proj.{kind}": part.clone() for letter, part in parts}
            else:
                found[f"{block}.{_INSIDE.get(inner, inner)}.{kind}"] = tensor
        else:
            found[name] = tensor
    return found


def in_open_clip(name: str) -> str:
    """Return what open_clip calls a tensor of ``CLIPModel``: the inverse of :func:`to_transformers` for one name."""
    outside = {theirs: own for own, theirs in _OUTSIDE.items()} | {PROJECTION: "proj"}
    inside = {theirs: own for own, theirs in _INSIDE.items()}
    if (match := re.fullmatch(r"vision_model\.encoder\.layers\.(\d+)\.(.+)\.(\w+)", name)) is None:
        return outside.get(name, name)
    number, part, kind = match.groups()
    if fused := re.fullmatch(r"self_attn\.([qkv])_proj", part):
        return f"transformer.resblocks.{number}.attn.in_proj_{kind} ({fused[1]})"
    return f"transformer.resblocks.{number}.{inside.get(part, part)}.{kind}"


def load_tower(clip: Any, path: Path) -> None:
    """Put the vision tower in a file into `clip`, completely or not at all.

    Its names may be those of open_clip or of transformers, bare or after ``visual.``, ``vision_model.``, ``module.``
    or other prefixes of training scripts. A whole CLIP in the file gives its vision tower.

    Args:
        clip: A ``CLIPModel`` or ``SiglipModel`` of transformers, or what has their interface.

    Raises:
        DataError: The file is missing or damaged, or a tensor is missing, unexpected or of another shape, as in the
            tower of another architecture or image size. The message names the first, and `clip` is unchanged.
    """
    state = only_vision(read_state(path))
    called: Callable[[str], str] = str
    tower = getattr(clip, "vision_model", None)
    if tower is None:
        target: nn.Module = clip.model.visual
        misses, own = "this vision tower", state
    else:
        projection = getattr(clip, "visual_projection", None)
        target = nn.ModuleDict({"vision_model": tower})
        if projection is not None:
            target["visual_projection"] = projection
        own = to_transformers(state)
        misses = "this vision transformer"
        if own.keys() - state.keys():
            called = in_open_clip
        if projection is not None and PROJECTION not in own:
            raise DataError(
                f"{path} has no projection ('proj' or {PROJECTION!r}) of the vision tower, so nobody knows which one "
                "it was trained with; expected the whole tower"
            )
    if not own:
        raise DataError(f"{path} holds no vision tower; expected names such as conv1.weight or visual.conv1.weight")
    load_all(
        target,
        own,
        path,
        missing=f"it is not the whole of {misses}; does the file belong to another base?",
        misfit="the file belongs to a base of another architecture or image size",
        called=called,
    )


def only_vision(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of the vision tower, without the prefix ``visual.`` or that of a wrapper's attribute."""
    for prefix in ("visual.", "model.visual.", "clip.visual.", "vision_encoder.", "model."):
        inside = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        if inside and (prefix != "model." or len(inside) == len(state)):
            return only_vision(inside) if prefix == "model." else inside
    of_transformers = ("vision_model.", PROJECTION)
    if inside := {name: value for name, value in state.items() if name.startswith(of_transformers)}:
        return {name: value for name, value in inside.items() if not name.endswith("position_ids")}
    return dict(state)
