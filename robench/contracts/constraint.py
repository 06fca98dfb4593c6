"""The interface of a constraint: what an attack may change of an image, and how much."""

from __future__ import annotations

from abc import ABC, abstractmethod
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

from robench.contracts import returned
from robench.contracts.configured import Configured
from robench.contracts.types import format_pixels
from robench.errors import SpecError

if TYPE_CHECKING:
    from torch import Tensor


class Constraint(Configured, ABC):
    """Measures how far an image is from the clean one, and says what becomes of an image that is too far.

    An attack names it as its ``norm``, and its radius is the attack's ``eps``. The images within the radius are the
    ball. robench judges by 8-bit images: it calls :meth:`project`, or counts what is outside as no attack.

    Everywhere `clean` and `changed` are ``uint8 (N, 3, H, W)`` on one device, and `images` and `perturbed` are
    ``float32 (N, 3, H, W)`` in ``[0, 1]``. A batch may be empty.

    Attributes:
        unit: What the radius counts, such as ``pixels``; tables write it after the radius. Empty for a radius in
            ``[0, 1]`` pixel units, which is written as ``8/255``.
        projected: Whether images outside are projected on the ball. If not, the clean image stands in their place, and
            the record counts and names them.
        gradients_lead: Whether following gradients finds at least what a random search does. If not, because an attack
            must choose among pixels or transformations, a query attack that breaks more is no sign of masked gradients.
        usual: A radius as papers choose it, which ``robench check`` tries.
    """

    unit: ClassVar[str] = ""
    projected: ClassVar[bool] = True
    gradients_lead: ClassVar[bool] = True
    usual: ClassVar[Fraction] = Fraction(8, 255)

    @abstractmethod
    @returned.returns(returned.sizes)
    def sizes(self, clean: Tensor, changed: Tensor) -> Tensor:
        """Return how far each image is from the clean one, ``float64 (N,)``, as radii are; infinite if no radius is
        large enough. It is 0 for the clean image alone.
        """

    @abstractmethod
    @returned.returns(returned.optional(returned.images_like))
    def furthest(self, images: Tensor, direction: Tensor, radius: Fraction) -> Tensor | None:
        """Return, for each image, about the point of the ball that is furthest along `direction`.

        Checks step along the gradient by it, and along a random direction for noise of the same size. None if a change
        of pixel values means nothing here; then :meth:`noise` must be overridden.
        """

    @returned.returns(returned.levels)
    def project(self, clean: Tensor, perturbed: Tensor, radius: Fraction) -> Tensor:
        """Return 8-bit images in the ball near `perturbed`, ``uint8 (N, 3, H, W)``, unless ``projected`` is False."""
        raise NotImplementedError(f"{type(self).__name__} projects no image; expected `projected = False`")

    @returned.returns(returned.flags)
    def inside(self, clean: Tensor, changed: Tensor, radius: Fraction) -> Tensor:
        """Return which images are in the ball, ``bool (N,)``; override it where whole numbers decide exactly."""
        return self.sizes(clean, changed) <= float(radius) * (1 + 1e-9)

    @returned.returns(returned.sizes)
    def sizes_unrounded(self, images: Tensor, perturbed: Tensor) -> Tensor:
        """Return the sizes of what an attack returned, ``(N,)``; by default those of its 8-bit images."""
        import torch

        clean, changed = ((pixels.clamp(0, 1) * 255).round().to(torch.uint8) for pixels in (images, perturbed))
        return self.sizes(clean, changed)

    @returned.returns(returned.flags)
    def far(self, clean: Tensor, perturbed: Tensor, radius: Fraction) -> Tensor:
        """Return which images are farther outside than rounding to 8 bits explains, ``bool (N,)``."""
        return ~self.inside(clean, (perturbed.clamp(0, 1) * 255).round().to(clean.dtype), radius)

    @returned.returns(returned.images_like)
    def noise(self, images: Tensor, radius: Fraction) -> Tensor:
        """Return random images of the ball, as far from `images` as it allows."""
        import torch

        found = self.furthest(images, torch.randn_like(images), radius)
        if found is None:
            raise NotImplementedError(f"{type(self).__name__} has no direction; expected a method `noise`")
        return found

    @returned.returns(returned.images_like)
    def varied(self, images: Tensor, best: Tensor, radius: Fraction, share: float) -> Tensor:
        """Return images of the ball to try next in a random search.

        Args:
            best: The best so far, in the ball around `images`.
            share: How much of an image to change, of its height and width; it falls from a half towards 0.
        """
        return self.noise(images, radius)

    def require(self, radius: Fraction) -> None:
        """Refuse a radius that means nothing; by default one with a unit must be a whole number.

        Raises:
            SpecError: It does; the message says what was expected.
        """
        if self.unit and radius.denominator != 1:
            raise SpecError(f"epsilon counts {self.unit} here; expected a whole number, such as 1 (got {radius})")

    @returned.returns(returned.optional(returned.radius))
    def scaled(self, radius: Fraction, factor: Fraction) -> Fraction | None:
        """Return about `factor` times `radius`, which checks attack with, too; None if no such radius differs."""
        if not self.unit:
            return radius * factor if radius * factor >= Fraction(1, 255) else None
        found = Fraction(int(radius * factor))
        return found if found >= 1 and found != radius else None

    @returned.returns(returned.optional(returned.radius))
    def huge(self, shape: tuple[int, int, int]) -> Fraction | None:
        """Return a radius at which every pixel of an image of `shape` ``(3, H, W)`` can turn grey; None without one."""
        return None

    @returned.returns(returned.text)
    def written(self, radius: Fraction) -> str:
        """Return a radius as tables write it and records keep it: a number, then its unit, such as ``10 pixels``."""
        return f"{radius} {self.unit}" if self.unit else format_pixels(radius)

    @returned.returns(returned.text)
    def told(self, size: float) -> str:
        """Return a size to four digits, as messages say it."""
        return f"{size:.4g} {self.unit}" if self.unit else f"{255 * size:.4g}/255"
