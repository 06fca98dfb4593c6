"""The interface of a defence at test time: what stands before a network when it answers, and how it is attacked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar

from robench.contracts import returned
from robench.contracts.setting import Told

if TYPE_CHECKING:
    from torch import Tensor, nn

    from robench.contracts.context import RunContext


@dataclass(frozen=True, kw_only=True)
class Certified:
    """What a defence proves of each image.

    Attributes:
        classes: The class that is proved, ``int64 (N,)``; -1 where it abstains.
        radii: The radius around each image within which the class cannot change, ``float (N,)``.
    """

    classes: Tensor
    radii: Tensor


def _certified(found: Any, call: Mapping[str, Any]) -> str:
    n = len(call["images"])
    right = isinstance(found, Certified) and all(
        returned.is_tensor(each) and tuple(each.shape) == (n,) for each in (found.classes, found.radii)
    )
    return "" if right else f"a robench.Certified with tensors classes and radii ({n},)"


class Defence(Told, ABC):
    """Answers in place of a network, which it uses.

    robench puts it in front of the tuned network, after the adapter, and again after the network is bound to the
    classes of another dataset. Training never sees it. An attack sees it unless it says ``aware=no``.

    It may use ``self.setting``: the parts of the network, the class names, prompts and tokenizer, and the run. In front
    of another defence it is told of no parts.

    Attributes:
        stochastic: Whether two answers on one image may differ. Attacks then average answers, and the certificate
            expects the difference.
        uses_gradients: Whether an answer takes gradients. robench otherwise calls it in inference mode.
        differentiable: Whether the gradients that autograd finds through :meth:`answer` lead an attack. If not, an
            adaptive attack follows :meth:`approximate`.
        norm: The constraint, such as a norm, of the radii of :meth:`certify`.
        levels: The radii at which certified accuracy is recorded.
    """

    stochastic: ClassVar[bool] = False
    uses_gradients: ClassVar[bool] = False
    differentiable: ClassVar[bool] = True
    norm: ClassVar[str] = "L2"
    levels: ClassVar[tuple[Fraction, ...]] = tuple(Fraction(n, 20) for n in (0, 2, 5, 10, 15, 20))

    def prepare(self, network: nn.Module, context: RunContext) -> None:
        """Is called once, with the network that it is put in front of, before the first answer.

        A network of its own, such as a denoiser, is an attribute that it sets here, on ``context.device``; robench
        freezes it and puts it in evaluation mode. Nothing may be learned from the split that is scored.

        Raises:
            PluginError: The defence does not fit it; for example it needs embeddings, and the network has none.
        """

    @abstractmethod
    @returned.returns(returned.logits)
    def answer(self, network: nn.Module, images: Tensor) -> Tensor:
        """Return logits ``(N, n_classes)`` of images ``float32 (N, 3, H, W)`` in ``[0, 1]``.

        torch's global random state is seeded for an evaluation and for each batch of an attack.

        Args:
            network: The undefended network, in evaluation mode. It has all that it offers, such as ``embed_images``.
        """

    @returned.returns(returned.logits)
    def approximate(self, network: nn.Module, images: Tensor) -> Tensor:
        """Return logits whose gradient leads an attack: the backward pass differentiable approximation (BPDA).

        By default the values are those of :meth:`answer`, and the gradient is that of the undefended network.

        Source: Athalye, Carlini and Wagner, "Obfuscated gradients give a false sense of security", ICML 2018
        (arXiv:1802.00420), section 4.1.
        """
        import torch

        with torch.set_grad_enabled(self.uses_gradients):
            answered = self.answer(network, images.detach()).detach()
        plain: Tensor = network(images)
        return answered + (plain - plain.detach())

    @returned.returns(returned.count)
    def certified_images(self) -> int:
        """Return how many images, the first of the split, are to be given to :meth:`certify`; by default none."""
        return 0

    @returned.returns(_certified)
    def certify(self, network: nn.Module, images: Tensor, n_classes: int) -> Certified:
        """Return what the defence proves of images ``float32 (N, 3, H, W)``."""
        raise NotImplementedError


class Purifier(Defence):
    """A defence that changes images, which the network then answers."""

    @abstractmethod
    @returned.returns(returned.images)
    def purify(self, network: nn.Module, images: Tensor) -> Tensor:
        """Return images ``float32 (N, 3, H, W)`` in ``[0, 1]`` for `network`; height and width may be others."""

    def answer(self, network: nn.Module, images: Tensor) -> Tensor:
        """Return the logits of the purified images."""
        logits: Tensor = network(self.purify(network, images))
        return logits

    def approximate(self, network: nn.Module, images: Tensor) -> Tensor:
        """Return the logits of the purified images, with the identity as the gradient of :meth:`purify`.

        Where that changes height and width, bilinear resizing takes the place of the identity.
        """
        import torch
        from torch.nn import functional as F

        with torch.set_grad_enabled(self.uses_gradients):
            purified = self.purify(network, images.detach()).detach()
        through = images
        if purified.shape != images.shape:
            through = F.interpolate(images, purified.shape[-2:], mode="bilinear", align_corners=False)
        # The difference is exactly zero: only its gradient counts.
        logits: Tensor = network(purified + (through - through.detach()))
        return logits
