"""Sparse-RS: random search over a few pixels, or over a patch; it sees logits alone."""

from __future__ import annotations

import torch
from robench import Attacker, Field, ask
from torch import Tensor, nn

from robench_plugins.attackers.losses import margins
from robench_plugins.attackers.n_classes import require_classes
from robench_plugins.attackers.params import L0Params, PatchParams

_SHARES = {
    # Of 10,000 queries: up to which, and what divides alpha.
    "L0": ((0, 1), (50, 2), (200, 4), (500, 5), (1000, 6), (2000, 8), (4000, 10), (6000, 12), (8000, 15), (None, 20)),
    "patch": ((10, 1), (50, 2), (200, 4), (500, 8), (1000, 16), (4000, 32), (8000, 64), (None, 128)),
}
SHIFT = 0.75
"""How far a patch may move at first, as a share of the image; this falls to 0 over the queries."""


class SparseRSParams(L0Params):
    """Parameters of Sparse-RS; the defaults are those of its code, with the 10,000 queries of the paper."""

    queries: int = Field(default=10_000, ge=1, description="most queries for each image")
    share: float = Field(default=0.3, gt=0, le=1, description="share of the pixels that a query moves at first, alpha")


class SparseRS(Attacker):
    """Random search over which pixels change, each to a random corner of the colour cube.

    A query moves a share of the pixels elsewhere. The share falls to a twentieth of what it is at first. An image stops
    once it fools the network; one that withstands is returned where the margin of its logits was smallest.

    Source: Croce, Andriushchenko, Singh, Flammarion and Hein, "Sparse-RS: a versatile framework for query-efficient
    sparse black-box adversarial attacks", AAAI 2022 (arXiv:2006.12834), algorithm 1 and section 4, with the schedule of
    the authors' code. Deviation: an image that the network gets wrong is left alone.
    """

    Params = SparseRSParams
    params: SparseRSParams
    norm = "L0"
    knowledge = "query"

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return the images with the smallest margins found.

        Raises:
            SpecError: The network has a single class.
        """
        require_classes(2, network, images, "sparse-rs", "noise")
        n, channels, height, width = images.shape
        many = min(int(self.params.eps), height * width - 1)
        flat, found = images.flatten(2), images.clone()
        lowest = _margins(network, images, labels)
        # The first `many` of a row are the pixels that change now.
        places = torch.rand(n, height * width, device=images.device).argsort(dim=1)
        best, count = torch.full_like(lowest, float("inf")), many
        for query in range(self.params.queries - 1):  # the first was about the clean images
            left = (torch.minimum(best, lowest) >= 0).nonzero().flatten()
            if not len(left) or many < 1:
                break
            old, new, tried = places[left], places[left], found[left].flatten(2)
            if query:
                count = max(int(falling("L0", query, self.params.queries) * self.params.share * many), 1)
                count = min(count, height * width - many)
                out = torch.randperm(many, device=images.device)[:count]
                into = many + torch.randperm(height * width - many, device=images.device)[:count]
                new = old.clone()
                new[:, out], new[:, into] = old[:, into], old[:, out]
                back = old[:, None, out].expand(-1, channels, -1)
                tried = tried.scatter(2, back, flat[left].gather(2, back))
                spots = old[:, None, into].expand(-1, channels, -1)
            else:
                spots = old[:, None, :many].expand(-1, channels, -1)
            tried = tried.scatter(2, spots, corners(spots.shape, images)).view(-1, channels, height, width)
            margin = _margins(network, tried, labels, left)
            better = margin < best[left]
            some = left[better]
            found[some], places[some], best[some] = tried[better], new[better], margin[better]
        return torch.where((best < lowest).view(-1, 1, 1, 1), found, images)


class SparseRSPatchParams(PatchParams):
    """Parameters of Sparse-RS for patches; the defaults are those of the paper, with a smaller patch."""

    queries: int = Field(default=10_000, ge=1, description="most queries for each image")
    share: float = Field(default=0.4, gt=0, le=1, description="share of the patch that a query changes at first, alpha")


class SparseRSPatch(Attacker):
    """Random search over the values and the place of a patch, for each image.

    It starts from a random place with random vertical stripes. A query adds or takes the whole pixel range in a square
    of the patch; every fifth moves the patch, and later every tenth and so on. Squares and moves become smaller.

    Source: Croce et al., "Sparse-RS", AAAI 2022 (arXiv:2006.12834), algorithm 1 and section 5, with the schedule of the
    authors' code. Deviations: images need not be square, and one that the network gets wrong is left alone.
    """

    Params = SparseRSPatchParams
    params: SparseRSPatchParams
    norm = "patch"
    knowledge = "query"

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return the images with the smallest margins found.

        Raises:
            SpecError: The network has a single class.
        """
        require_classes(2, network, images, "sparse-rs-patch", "noise")
        n, channels, height, width = images.shape
        side, queries = min(int(self.params.eps), height, width), self.params.queries
        lowest = _margins(network, images, labels)
        best = torch.full_like(lowest, float("inf"))
        patches = corners((n, channels, 1, side), images).repeat(1, 1, side, 1)
        room = torch.tensor([height - side + 1, width - side + 1], device=images.device)
        places = (torch.rand(n, 2, device=images.device) * room).long()
        for query in range(queries - 1):  # the first was about the clean images
            left = (torch.minimum(best, lowest) >= 0).nonzero().flatten()
            if not len(left) or side < 1:
                break
            new, where = patches[left], places[left]
            reach = int((queries - query) / queries * SHIFT * min(height, width))
            if query and query % (5 * (1 + query // 1000)) == 0 and reach:
                moved = where + torch.randint(-reach, reach + 1, where.shape, device=images.device)
                where = moved.clamp_min(0).minimum(room - 1)
            elif query:
                size = int(max((falling("patch", query, queries) * self.params.share) ** 0.5 * side, 1))
                top, at = torch.randint(side - size + 1, (2,)).tolist()
                sign = 2 * corners((len(left), channels, 1, 1), images) - 1
                new = new.clone()
                new[:, :, top : top + size, at : at + size] += sign
                new = new.clamp(0, 1)
            margin = _margins(network, pasted(images[left], new, where), labels, left)
            better = margin < best[left]
            some = left[better]
            patches[some], places[some], best[some] = new[better], where[better], margin[better]
        return torch.where((best < lowest).view(-1, 1, 1, 1), pasted(images, patches, places), images)


def falling(kind: str, query: int, queries: int) -> float:
    """Return what the share of a query is multiplied with; the schedule is stretched over the queries."""
    at = int(query / queries * 10_000)
    return next(1 / part for last, part in _SHARES[kind] if last is None or at <= last)


def corners(shape: tuple[int, ...], images: Tensor) -> Tensor:
    """Return random values of 0 or 1."""
    return torch.randint(0, 2, shape, device=images.device).to(images.dtype)


def pasted(images: Tensor, patches: Tensor, places: Tensor) -> Tensor:
    """Return images with `patches` ``(N, 3, S, S)`` in place; `places` are the top and left of each, ``(N, 2)``."""
    side, device = patches.shape[-1], images.device
    rows = places[:, 0, None, None] + torch.arange(side, device=device)[None, :, None]
    columns = places[:, 1, None, None] + torch.arange(side, device=device)[None, None, :]
    found = images.permute(0, 2, 3, 1).clone()
    found[torch.arange(len(images), device=device)[:, None, None], rows, columns] = patches.permute(0, 2, 3, 1)
    return found.permute(0, 3, 1, 2).contiguous()


@torch.no_grad()
def _margins(network: nn.Module, images: Tensor, labels: Tensor, left: Tensor | None = None) -> Tensor:
    """Return the logit of the label minus the largest other, ``(N,)``; negative if the network is wrong.

    Args:
        left: Which images of the batch these are, with the labels of the batch; None for all of them.
    """
    if left is None:
        return margins(network(images), labels)
    return margins(ask(network, images, left), labels[left])
