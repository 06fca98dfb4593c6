"""One patch for all images, trained on the training images."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from robench import Attacker, Field, ImageSet, RunContext, to_pixels
from torch import Tensor, nn
from torch.nn import functional as F

from robench_plugins.attackers.params import PatchParams
from robench_plugins.attackers.sparse_rs import pasted

FORMAT = 1
"""Of the file that keeps a patch; another training needs another number."""


class AdversarialPatchParams(PatchParams):
    """Parameters of the patch: its side and its training."""

    rounds: int = Field(default=200, ge=1, description="training steps of the patch")
    batch: int = Field(default=32, ge=1, description="training images of a step")
    lr: float = Field(default=0.05, gt=0, description="learning rate of Adam, on pixels in [0, 1]")
    train: int = Field(default=512, ge=1, description="training images, the first of the split, at most")


class AdversarialPatch(Attacker):
    """Trains one square on the training split, at random places, and puts it at a random place of each image.

    It raises the cross-entropy of the labels. The patch is kept in the cache under the hash of all that decides it: the
    weights and logits of the network, the training images, and the parameters. ``robench.attack`` has no training
    images and takes the given ones.

    Source: Brown, Mane, Roy, Abadi and Gilmer, "Adversarial patch", 2017 (arXiv:1712.09665), section 2. Deviations: no
    target class, and patches are moved, but neither turned nor scaled.
    """

    Params = AdversarialPatchParams
    params: AdversarialPatchParams
    norm = "patch"
    _context: RunContext | None = None
    _patch: Tensor | None = None
    _train: ImageSet | None = None

    def prepare(self, context: RunContext) -> Mapping[str, Any]:
        """Load the training images, which decide the patch."""
        self._context, self._patch = context, None
        many = min(self.params.train, context.dataset.size("train"))
        self._train = context.dataset.split("train", many)
        return {"train": self._train.fingerprint()}

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return the images with the patch."""
        side = min(int(self.params.eps), *images.shape[2:])
        if side < 1:
            return images.clone()
        if self._patch is None:
            self._patch = self._kept(network, images, labels, side)
        patches = self._patch.to(images).expand(len(images), -1, -1, -1)
        return pasted(images, patches, _places(images, side))

    def _kept(self, network: nn.Module, images: Tensor, labels: Tensor, side: int) -> Tensor:
        """Return the patch, ``(1, 3, side, side)``, from the cache if it was trained before."""
        with torch.random.fork_rng([images.device] if images.is_cuda else []):
            torch.manual_seed(0)  # one patch for all batches and seeds
            if self._train is None or self._context is None:
                return self._trained(network, images, labels, side)
            data, context = self._train, self._context
            pixels = to_pixels(data.images, images.device)
            truth = torch.from_numpy(data.labels).to(images.device)
            with torch.no_grad():
                logits = network(pixels[: self.params.batch])
            key = _hash(network, logits, f"{FORMAT} {self.params.as_dict()} {data.fingerprint()}")

            def make(path: Path) -> None:
                with path.open("wb") as file:
                    torch.save(self._trained(network, pixels, truth, side).cpu(), file)

            def read(path: Path) -> Tensor:
                patch: Tensor = torch.load(path, map_location="cpu", weights_only=True)
                return patch

            return context.cached(f"patches/{key}.pt", read=read, make=make)

    def _trained(self, network: nn.Module, images: Tensor, labels: Tensor, side: int) -> Tensor:
        patch = torch.rand(1, 3, side, side, device=images.device).requires_grad_()
        optimizer = torch.optim.Adam([patch], lr=self.params.lr)
        for _ in range(self.params.rounds):
            some = torch.randint(len(images), (self.params.batch,), device=images.device)
            given = pasted(images[some], patch.expand(len(some), -1, -1, -1), _places(images[some], side))
            (patch.grad,) = torch.autograd.grad(-F.cross_entropy(network(given), labels[some]), patch)
            optimizer.step()
            with torch.no_grad():
                patch.clamp_(0, 1)
        return patch.detach()


def _places(images: Tensor, side: int) -> Tensor:
    """Return a random place of a square in each image, its top and left, ``(N, 2)``."""
    room = torch.tensor([size - side + 1 for size in images.shape[2:]], device=images.device)
    return (torch.rand(len(images), 2, device=images.device) * room).long()


def _hash(network: nn.Module, logits: Tensor, rest: str) -> str:
    """Return the hash of a network's state and of what it answers, in which its defence shows, too."""
    digest = hashlib.sha256(rest.encode())
    for value in (*network.state_dict().values(), logits):
        digest.update(value.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()[:32]
