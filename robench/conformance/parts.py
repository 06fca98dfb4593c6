"""The rules of the parts that a Model names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from robench.conformance.finding import Finding, rule
from robench.contracts.model import Model, Tokens
from robench.errors import PluginError

CLOSE = 1e-3
"""Largest difference that rounding explains, relative to the largest value."""
TEXTS = ("a photo of a leaf", "a drawing of an airplane in the sky")


def check_parts(model: Model, network: nn.Module, images: Tensor) -> Iterator[Finding]:
    """Yield the rules ``parts``, and for each of these parts that there is ``encoder``, ``patches``, ``attention`` and
    ``text``; and ``tokens``, if the model says how its blocks take them.

    Args:
        network: The network, in evaluation mode.
        images: ``float32 (N, 3, H, W)`` in ``[0, 1]``.
    """
    inside = set(network.parameters())
    parts = model.adaptable(network)
    strange = ", ".join(name for name, part in parts.items() if not inside.issuperset(part.parameters()))
    yield rule("parts", not strange, f"named: {', '.join(parts) or 'none'}", f"not in the network: {strange}")
    if "encoder" in parts:
        yield _encoder(network, parts, images)
    if "patches" in parts:
        yield _patches(parts["patches"], images)
    if "attention" in parts:
        yield _attention(parts, images)
    if (tokens := model.tokens(network)) is not None:
        yield _tokens(tokens, network, parts, images)
    if "text" in parts:
        yield _text(model, network, parts["text"])


@torch.no_grad()
def _encoder(network: nn.Module, parts: Mapping[str, nn.Module], images: Tensor) -> Finding:
    """Call the encoder, then turn its embeddings round while the network answers, which must turn the logits round."""
    encoder, expected = parts["encoder"], "expected embeddings (N, D) of images in [0, 1]"
    try:
        embeddings = encoder(images)
    except Exception as error:
        return rule("encoder", False, f"it cannot be called with images: {type(error).__name__}: {error}"[:200])
    if not isinstance(embeddings, Tensor) or embeddings.ndim != 2 or len(embeddings) != len(images):
        return rule("encoder", False, f"it returns {_shape(embeddings)} for {len(images)} images; {expected}")
    if "head" in parts and set(encoder.parameters()) & set(parts["head"].parameters()):
        return rule("encoder", False, f"it has the weights of the part 'head'; {expected}, which are the head's input")
    logits = network(images)

    def turned(module: nn.Module, inputs: Sequence[Any], output: Tensor) -> Tensor:
        return output.flip(0)

    hook = encoder.register_forward_hook(turned)
    try:
        moved = network(images)
    finally:
        hook.remove()
    far = float((moved - logits.flip(0)).abs().max() / logits.abs().max())
    seen = f"embeddings {tuple(embeddings.shape)}, from which the network makes its logits"
    otherwise = "the network does not make its logits of what the encoder returns for the images: a hook does nothing"
    return rule("encoder", far < CLOSE and bool(embeddings.isfinite().all()), seen, otherwise)


@torch.no_grad()
def _patches(part: nn.Module, images: Tensor) -> Finding:
    found = part(images)
    shaped = isinstance(found, Tensor) and found.ndim == 3 and len(found) == len(images) and found.shape[1] > 1
    if not shaped:
        return rule("patches", False, f"it returns {_shape(found)}; expected (N, P, D) with a row for every patch")
    differ = float(found.std(dim=1).max()) > 0 and float(found.std(dim=0).max()) > 0
    seen = f"{tuple(found.shape)}, other values for other patches and images"
    return rule("patches", differ and bool(found.isfinite().all()), seen, "all patches, or all images, have one value")


@torch.no_grad()
def _attention(parts: Mapping[str, nn.Module], images: Tensor) -> Finding:
    found = parts["attention"](images)
    if (
        not isinstance(found, Tensor)
        or found.ndim != 4
        or len(found) != len(images)
        or found.shape[2] != found.shape[3]
    ):
        return rule("attention", False, f"it returns {_shape(found)}; expected (N, heads, T, T), T for all tokens")
    n_patches = parts["patches"](images).shape[1] if "patches" in parts else 1
    shares = bool((found >= 0).all()) and float((found.sum(dim=3) - 1).abs().max()) < CLOSE
    if not shares:
        return rule("attention", False, "what a token attends to does not sum to 1, or is negative")
    differ = float(found.std(dim=0).max()) > 0 and float(found.std(dim=3).max()) > 0
    told = f"{tuple(found.shape)}, of which {n_patches} patches"
    return rule(
        "attention",
        differ and found.shape[3] >= n_patches,
        f"{told}; rows sum to 1, other values for other images and tokens",
        f"{told}: fewer tokens than patches, or one value for all tokens or images",
    )


@torch.no_grad()
def _tokens(tokens: Tokens, network: nn.Module, parts: Mapping[str, nn.Module], images: Tensor) -> Finding:
    """Look at what the first block is given."""
    blocks, seen = parts.get("blocks"), list[Any]()
    if not isinstance(blocks, nn.ModuleList) or not len(blocks):
        return rule("tokens", False, "tokens says how 'blocks' takes them, and there is no such part")
    hook = blocks[0].register_forward_pre_hook(lambda block, given: seen.append(given[0] if given else None))
    try:
        network(images)
    finally:
        hook.remove()
    given = seen[0] if seen else None
    n, length = (0, 1) if tokens.batch_first else (1, 0)
    fits = False
    if isinstance(given, Tensor) and given.ndim == 3:
        fits = given.shape[n] == len(images) and given.shape[2] == tokens.width and given.shape[length] > tokens.first
    return rule("tokens", fits, f"the first block is given {_shape(given)} for {len(images)} images, and {tokens}")


def _text(model: Model, network: nn.Module, part: nn.Module) -> Finding:
    """Embed two texts, and look whether gradients reach the weights of the part."""
    try:
        tokens = model.tokenize(network, TEXTS)
    except PluginError as error:
        return rule("text", False, f"there is a part 'text', and tokenize says: {error}")
    wanted = [weight.requires_grad for weight in part.parameters()]
    with torch.enable_grad():
        embeddings = part.requires_grad_(True)(tokens.to(next(part.parameters()).device))
        if embeddings.ndim != 2 or len(embeddings) != 2:
            return rule("text", False, f"it returns {_shape(embeddings)} for 2 texts; expected (N, D)")
        weights = list(part.parameters()) if embeddings.requires_grad else []
        gradients = torch.autograd.grad(embeddings[0].sum(), weights, allow_unused=True) if weights else ()
    for weight, trained in zip(part.parameters(), wanted, strict=True):
        weight.requires_grad_(trained)
    reached = any(gradient is not None and bool(gradient.abs().max() > 0) for gradient in gradients)
    differ = not torch.equal(embeddings[0], embeddings[1])
    seen = f"embeddings {tuple(embeddings.shape)} of 2 texts; gradients reach its weights"
    return rule("text", reached and differ, seen, "no gradient reaches its weights, or two texts have one embedding")


def _shape(found: object) -> str:
    return str(tuple(found.shape)) if isinstance(found, Tensor) else type(found).__name__
