"""Images compressed as JPEG."""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image
from robench import Field, Params, Purifier
from torch import Tensor, nn


class JPEGParams(Params):
    """Parameters of the compression."""

    quality: int = Field(default=75, ge=1, le=95, description="quality of Pillow's encoder")


class JPEG(Purifier):
    """Compresses each image as JPEG and reads it again, with Pillow.

    The compression has no gradient, so an adaptive attack takes the identity in its place (BPDA).

    Source: Dziugaite, Ghahramani and Roy, "A study of the effect of JPG compression on adversarial images", 2016
    (arXiv:1608.00853), at quality 75; attacked so by Athalye et al., ICML 2018 (arXiv:1802.00420), section 5.2.
    """

    Params = JPEGParams
    params: JPEGParams
    differentiable = False

    def purify(self, network: nn.Module, images: Tensor) -> Tensor:
        """Return the decompressed images, of the same size."""
        levels = (images * 255).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        read = np.stack([self._again(each) for each in levels])
        return torch.from_numpy(read).permute(0, 3, 1, 2).to(images) / 255

    def _again(self, image: np.ndarray) -> np.ndarray:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=self.params.quality)
        return np.asarray(Image.open(file))
