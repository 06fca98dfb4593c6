"""Images with few levels."""

from __future__ import annotations

from robench import Field, Params, Purifier
from torch import Tensor, nn


class BitDepthParams(Params):
    """Parameters of the reduction."""

    bits: int = Field(default=4, ge=1, le=8, description="bits a channel; 8 changes nothing")


class BitDepth(Purifier):
    """Rounds each channel to ``2^bits`` levels.

    Rounding has no gradient, so an adaptive attack takes the identity in its place (BPDA).

    Source: Xu, Evans and Qi, "Feature squeezing", NDSS 2018 (arXiv:1704.01155), section III-A; attacked so by Athalye
    et al., ICML 2018 (arXiv:1802.00420), section 5.2.
    """

    Params = BitDepthParams
    params: BitDepthParams
    differentiable = False

    def purify(self, network: nn.Module, images: Tensor) -> Tensor:
        """Return ``round(x (2^bits - 1)) / (2^bits - 1)``."""
        steps = float(2**self.params.bits - 1)
        return (images * steps).round() / steps
