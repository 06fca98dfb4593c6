"""The losses of pretraining: contrast of images and captions, and distillation through class prompts."""

from __future__ import annotations

import torch
from torch.nn import functional


def contrastive_loss(logits: torch.Tensor, caption_of_image: torch.Tensor) -> torch.Tensor:
    """Return the symmetric contrastive loss, in which images with equal captions share them.

    Args:
        logits: ``(N, U)``, scaled cosines between images and the distinct captions of the batch.
        caption_of_image: int64 ``(N,)``, the column of each image's caption; other columns are only negatives.

    Source: Radford et al. 2021, "Learning Transferable Visual Models From Natural Language Supervision";
    shared captions as in Yang et al. 2022, "Unified Contrastive Learning in Image-Text-Label Space".
    Deviation: each distinct caption counts once, so that common captions do not weigh more as negatives.
    """
    from_images = functional.cross_entropy(logits, caption_of_image)
    matches = functional.one_hot(caption_of_image, logits.shape[1]).T.float()
    counts = matches.sum(dim=1, keepdim=True)
    used = counts[:, 0] > 0
    from_captions = functional.cross_entropy(logits.T[used], matches[used] / counts[used])
    return (from_images + from_captions) / 2


def distillation_loss(class_logits: torch.Tensor, teacher_logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return the KL divergence from teacher to student at `temperature`, times its square.

    Args:
        class_logits: ``(N, C)``, scaled cosines between images and class prompts.
        teacher_logits: ``(N, C)``.
        temperature: Divides both logits.

    Source: Hinton et al. 2015, "Distilling the Knowledge in a Neural Network".
    """
    student = functional.log_softmax(class_logits / temperature, dim=1)
    teacher = functional.log_softmax(teacher_logits / temperature, dim=1)
    return functional.kl_div(student, teacher, reduction="batchmean", log_target=True) * temperature**2
