"""The objectives, declared as data."""

from __future__ import annotations

from robench import Component


def _objective(name: str, target: str, summary: str, reference: str) -> Component:
    target = f"robench_plugins.objectives.{target}"
    return Component(kind="objective", name=name, target=target, summary=summary, reference=reference)


OBJECTIVES: list[Component] = [
    _objective(
        "ce",
        "cross_entropy:CrossEntropy",
        "cross-entropy of adversarial images, or mixed with that of clean ones by clean_weight",
        "Madry et al., Towards deep learning models resistant to adversarial attacks, ICLR 2018 (arXiv:1706.06083); "
        "Goodfellow et al., Explaining and harnessing adversarial examples, ICLR 2015 (arXiv:1412.6572), section 6",
    ),
    _objective(
        "tecoa",
        "tecoa:TeCoA",
        "TeCoA: text-guided contrastive loss of adversarial images and the class prompts",
        "Mao et al., Understanding zero-shot adversarial robustness for large-scale models, ICLR 2023 "
        "(arXiv:2212.07016), eq. 3",
    ),
    _objective(
        "fare",
        "fare:FARE",
        "FARE: keeps embeddings of adversarial images near the original ones of the clean images, without labels",
        "Schlarmann et al., Robust CLIP: unsupervised adversarial fine-tuning of vision embeddings for robust large "
        "vision-language models, ICML 2024 (arXiv:2402.12336), section 3.2",
    ),
    _objective(
        "clip",
        "clip:SymmetricContrastive",
        "CLIP's symmetric contrastive loss between the images of a batch and their class prompts",
        "Radford et al., Learning transferable visual models from natural language supervision, ICML 2021 "
        "(arXiv:2103.00020), figure 3; Yang et al., Unified contrastive learning in image-text-label space, CVPR 2022 "
        "(arXiv:2204.03610)",
    ),
    _objective(
        "siglip",
        "siglip:PairwiseSigmoid",
        "SigLIP: a sigmoid loss for every pair of an image and a class prompt",
        "Zhai et al., Sigmoid loss for language image pre-training, ICCV 2023 (arXiv:2303.15343), section 3.2",
    ),
    _objective(
        "debiased",
        "debiased:Debiased",
        "contrastive loss of a batch, corrected for other images' prompts that name the same class",
        "Chuang et al., Debiased contrastive learning, NeurIPS 2020 (arXiv:2007.00224), section 4",
    ),
    _objective(
        "trades",
        "trades:TRADES",
        "TRADES: clean cross-entropy plus beta times the divergence between clean and adversarial predictions",
        "Zhang et al., Theoretically principled trade-off between robustness and accuracy, ICML 2019 "
        "(arXiv:1901.08573), eq. 5",
    ),
]
