"""Predictions and logits of a network in evaluation mode, and the hash of its weights."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from robench.compute.precision import Float, computing
from robench.compute.world import ALONE, World
from robench.contracts.context import Progress, Report, silent
from robench.contracts.returned import told
from robench.errors import PluginError
from robench.images.image_set import to_pixels
from robench.images.memory_mapped import let_go
from robench.networks.memory import in_batches

EVALUATION_BATCH, CPU_BATCH = 250, 64
"""Images evaluated together; fewer on a CPU, so that activations stay in its cache."""


@contextlib.contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Put `network` in evaluation mode; the mode of every module returns afterwards, also after an exception."""
    modes = [(module, module.training) for module in network.modules()]
    try:
        network.eval()
        yield
    finally:
        for module, training in modes:
            module.training = training


def _batch(device: torch.device) -> int:
    return CPU_BATCH if device.type == "cpu" else EVALUATION_BATCH


@dataclass(frozen=True, kw_only=True, eq=False)
class Answers:
    """What a network answers.

    Attributes:
        predictions: The predicted class of each image, ``int64 (N,)``.
        confidence: The probability of that class, the softmax of the logits, ``float32 (N,)``.
        nll: The negative log-likelihood of the label, in nats.
        brier: The sum over classes of the squared difference of probability and truth.
    """

    predictions: NDArray[np.int64]
    confidence: NDArray[np.float32]
    nll: NDArray[np.float32]
    brier: NDArray[np.float32]


def predict(network: nn.Module, images: NDArray[np.uint8], **more: Any) -> NDArray[np.int64]:
    """Return the predicted class of each image, ``int64 (N,)``. The arguments are those of :func:`answer`."""
    return answer(network, images, None, **more).predictions


def answer(
    network: nn.Module,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64] | None,
    *,
    n_classes: int,
    device: torch.device,
    precision: Float = "float32",
    report: Report = silent,
    warn: Callable[[str], None] = lambda message: None,
    stage: str = "evaluation",
    world: World = ALONE,
) -> Answers:
    """Return what the network, in evaluation mode, answers for each image; without `labels`, predictions alone.

    If memory runs out, `warn` is told and fewer images are evaluated at a time. The processes of `world` share the
    images. The device is waited for once, at the end.

    Args:
        images: ``uint8 (N, 3, H, W)``.
        labels: ``int64 (N,)``.
        precision: What the network computes in, whatever autocast surrounds the call.
        stage: What the predictions are for, in progress and warnings.

    Raises:
        PluginError: Logits have a wrong shape, or are NaN or infinite.
    """
    total, share = len(images), world.share(len(images), _batch(device))
    images, truth = images[share], None if labels is None else torch.from_numpy(labels[share]).to(device)
    sure = torch.zeros((0 if truth is None else len(images), 3), device=device)
    predictions = torch.empty(len(images), dtype=torch.long, device=device)
    finite = torch.ones((), dtype=torch.bool, device=device)
    report(Progress(stage=stage, done=0, total=total))

    def look(part: slice) -> None:
        batch = to_pixels(images[part], device)
        let_go(images)
        logits = network(batch)
        if not isinstance(logits, Tensor) or tuple(logits.shape) != (len(batch), n_classes):
            raise PluginError(f"the model returned {told(logits)}; expected logits of shape {(len(batch), n_classes)}")
        finite.logical_and_(torch.isfinite(logits).all())
        predictions[part] = logits.argmax(dim=1)
        if truth is not None:
            sure[part] = _sureness(logits, truth[part])
        report(Progress(stage=stage, done=total * part.stop // len(images), total=total))

    with evaluation_mode(network), torch.inference_mode(), computing(precision, device):
        in_batches(len(images), _batch(device), look, warn, stage)
    if not finite.item():
        raise PluginError("the model returned NaN or infinite logits; its accuracy would mean nothing")
    confidence, nll, brier = world.concatenate(sure.cpu().numpy()).T
    found = world.concatenate(predictions.cpu().numpy())
    return Answers(predictions=found, confidence=confidence, nll=nll, brier=brier)


def _sureness(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the confidence, the negative log-likelihood and the Brier score of each image, ``float32 (N, 3)``."""
    log_probabilities = logits.float().log_softmax(dim=1)
    probabilities = log_probabilities.exp()
    own = log_probabilities.gather(1, labels[:, None])[:, 0]
    brier = probabilities.square().sum(dim=1) - 2 * own.exp() + 1
    return torch.stack([probabilities.amax(dim=1), -own, brier], dim=1)


def logits_of(
    network: nn.Module,
    images: NDArray[np.uint8],
    device: torch.device,
    precision: Float = "float32",
    world: World = ALONE,
) -> NDArray[np.float32]:
    """Return the logits ``float32 (N, n_classes)`` of images ``uint8 (N, 3, H, W)``.

    The network is in evaluation mode. The processes of `world` share the images.
    """
    images = images[world.share(len(images), _batch(device))]
    found: list[Tensor] = []

    def look(part: slice) -> None:
        found.append(network(to_pixels(images[part], device)).float())

    with evaluation_mode(network), torch.inference_mode(), computing(precision, device):
        # No warning: the same images have just been predicted, which has warned if memory ran out.
        in_batches(len(images), _batch(device), look, lambda message: None, "logits")
        logits = torch.cat(found) if found else torch.empty(0, 0)
    return world.concatenate(logits.cpu().numpy())


def fingerprint(network: nn.Module) -> str:
    """Return the first 16 hex digits of the SHA-256 of all weights and buffers with their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        # Flat, because weights in channels-last layout cannot be viewed as bytes.
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:16]
