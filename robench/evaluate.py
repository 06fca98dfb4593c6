"""Count correct answers: the clean and adversarial loops, and the identity of a network."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from robench.data import to_pixels
from robench.errors import PluginError
from robench.interfaces import Progress, Report, silent
from robench.memory import in_batches

EVALUATION_BATCH = 250


@contextlib.contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Put `network` in evaluation mode and restore the mode of every module afterwards, also after an exception."""
    modes = [(module, module.training) for module in network.modules()]
    try:
        network.eval()
        yield
    finally:
        for module, training in modes:
            module.training = training


def predict(
    network: nn.Module,
    images: NDArray[np.uint8],
    *,
    n_classes: int,
    device: torch.device,
    report: Report = silent,
    warn: Callable[[str], None] = lambda message: None,
    stage: str = "evaluation",
) -> NDArray[np.int64]:
    """Return the predicted class of each image, ``int64 (N,)``, with the network in evaluation mode.

    Where memory runs out, `warn` hears of it and it goes on with fewer images at a time.

    Raises:
        PluginError: Logits have the wrong shape, or are NaN or infinite.
    """
    predictions = torch.empty(len(images), dtype=torch.long, device=device)
    finite = torch.ones((), dtype=torch.bool, device=device)
    report(Progress(stage=stage, done=0, total=len(images)))

    def look(part: slice) -> None:
        batch = to_pixels(images[part], device)
        logits = network(batch)
        if tuple(logits.shape) != (len(batch), n_classes):
            raise PluginError(
                f"the model returned logits of shape {tuple(logits.shape)}; expected {(len(batch), n_classes)}"
            )
        finite.logical_and_(torch.isfinite(logits).all())
        predictions[part] = logits.argmax(dim=1)
        report(Progress(stage=stage, done=part.stop, total=len(images)))

    with evaluation_mode(network), torch.inference_mode():
        in_batches(len(images), EVALUATION_BATCH, look, warn, stage)
    if not finite.item():
        raise PluginError("the model returned NaN or infinite logits, so its accuracy means nothing")
    result: NDArray[np.int64] = predictions.cpu().numpy()
    return result


def logits_of(network: nn.Module, images: NDArray[np.uint8], device: torch.device) -> NDArray[np.float32]:
    """Return the logits of images, ``float32 (N, n_classes)``, with the network in evaluation mode."""
    found: list[Tensor] = []

    def look(part: slice) -> None:
        found.append(network(to_pixels(images[part], device)).float())

    with evaluation_mode(network), torch.inference_mode():
        # The same images have just been predicted, which told of any want of memory.
        in_batches(len(images), EVALUATION_BATCH, look, lambda message: None, "logits")
        logits: NDArray[np.float32] = torch.cat(found).cpu().numpy()
    return logits


def fingerprint(network: nn.Module) -> str:
    """Return the SHA-256 (first 16 hex digits) of all weights and buffers with their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        # Flat, because weights laid out channels last cannot be seen as bytes in their own shape.
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:16]
