"""Text-guided contrastive adversarial training."""

from __future__ import annotations

from robench import ImageTextNetwork
from torch import Tensor
from torch.nn import functional as F


def tecoa(network: ImageTextNetwork, adversarial: Tensor, labels: Tensor) -> Tensor:
    """Return the contrastive loss of adversarial images against the class prompts, a scalar.

    ``-log softmax(cos(z_adv, t_k) * exp(logit_scale))[label]``, averaged over the batch: each image is pulled to
    the text of its class and pushed from the texts of the others. With one class it is 0.

    Source: Mao et al., "Understanding zero-shot adversarial robustness for large-scale models", ICLR 2023, eq. 3.

    Args:
        network: An image-text network with frozen text embeddings.
        adversarial: ``float32 (N, 3, H, W)`` in ``[0, 1]``.
        labels: ``int64 (N,)``.
    """
    cosines = network.embed_images(adversarial) @ network.class_embeddings().T
    return F.cross_entropy(network.temperature() * cosines, labels)
