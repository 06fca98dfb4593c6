"""Images at a random size and place."""

from __future__ import annotations

from fractions import Fraction

import torch
from robench import Field, Params, Purifier
from torch import Tensor, nn
from torch.nn import functional as F


class ResizePadParams(Params):
    """Parameters of the resizing; the default frame is the paper's 331 pixels around 299."""

    frame: float = Field(
        default=331 / 299, gt=1, le=4, description="side of the frame, as a multiple of that of the image"
    )
    grey: float = Field(default=0.5, ge=0, le=1, description="value of the pixels around the image")


class ResizePad(Purifier):
    """Enlarges images to a random side below that of a frame, and puts them at a random place in it.

    Gradients pass it, and a random place draws other gradients each time, so an adaptive attack averages answers (EOT).
    All images of a batch share a draw, as in the authors' code.

    Source: Xie et al., "Mitigating adversarial effects through randomization", ICLR 2018 (arXiv:1711.01991), section
    3.2, with the authors' nearest-neighbour resizing. Deviation: the frame is brought back to the size of the image by
    bilinear interpolation, because most networks here take one size. Attacked so by Athalye et al., ICML 2018
    (arXiv:1802.00420), section 5.3.2.
    """

    Params = ResizePadParams
    params: ResizePadParams
    stochastic = True

    def purify(self, network: nn.Module, images: Tensor) -> Tensor:
        """Return the framed images, of the same height and width as before."""
        height, width = images.shape[-2:]
        frame = [max(side + 1, round(Fraction(self.params.frame) * side)) for side in (height, width)]
        share = float(torch.rand(()))
        inner = [side + int(share * (most - side)) for side, most in zip((height, width), frame, strict=True)]
        resized = F.interpolate(images, tuple(inner), mode="nearest")
        left = [int(torch.randint(most - side + 1, ())) for side, most in zip(inner, frame, strict=True)]
        right = [most - side - start for side, most, start in zip(inner, frame, left, strict=True)]
        padded = F.pad(resized, (left[1], right[1], left[0], right[0]), value=self.params.grey)
        return F.interpolate(padded, (height, width), mode="bilinear", align_corners=False)
