"""What the constraints on pixel values share: changes in levels of 8 bits, and the smallest radius."""

from __future__ import annotations

from fractions import Fraction

from robench import BudgetError, Constraint
from torch import Tensor


class Values(Constraint):
    """A norm of the change of all pixel values together, in ``[0, 1]`` pixel units."""

    def project(self, clean: Tensor, perturbed: Tensor, radius: Fraction) -> Tensor:
        """Return the images of the ball near `perturbed`.

        Raises:
            BudgetError: The radius is above 0 and below 1/255, so that no 8-bit image but the clean one is in the ball.
        """
        if 0 < radius < Fraction(1, 255):
            raise BudgetError(f"epsilon {self.written(radius)} is below 1/255, the smallest change of an 8-bit image")
        change = self.cut(perturbed.clamp(0, 1) * 255 - clean, radius * 255)
        return (clean + change).clamp(0, 255).to(clean.dtype)

    def sizes_unrounded(self, images: Tensor, perturbed: Tensor) -> Tensor:
        """Return the sizes of the changes as they are, ``(N,)``."""
        return self.sizes(images * 255, perturbed * 255)

    def cut(self, levels: Tensor, radius: Fraction) -> Tensor:
        """Return whole levels near `levels`, ``float32 (N, 3, H, W)``, of norm `radius` at most, also in levels."""
        raise NotImplementedError


def changed_levels(clean: Tensor, changed: Tensor) -> Tensor:
    """Return the change of each value in levels, ``float64 (N, 3 * H * W)``; sums of their squares are exact."""
    difference: Tensor = changed.flatten(1).double() - clean.flatten(1).double()
    return difference
