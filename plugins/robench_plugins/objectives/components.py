"""The built-in objectives, declared as data."""

from __future__ import annotations

from robench import Component

_HERE = "robench_plugins.objectives"

OBJECTIVES: list[Component] = [
    Component(
        kind="objective",
        name="ce",
        target=f"{_HERE}.cross_entropy:CrossEntropy",
        summary="cross-entropy of adversarial images, mixed with that of clean ones by clean_weight",
        reference="Madry et al., Towards deep learning models resistant to adversarial attacks, ICLR 2018 "
        "(arXiv:1706.06083); Goodfellow et al., Explaining and harnessing adversarial examples, ICLR 2015 "
        "(arXiv:1412.6572), section 6",
    ),
    Component(
        kind="objective",
        name="tecoa",
        target=f"{_HERE}.tecoa:TeCoA",
        summary="text-guided contrastive loss of adversarial images against the class prompts",
        reference="Mao et al., Understanding zero-shot adversarial robustness for large-scale models, ICLR 2023 "
        "(arXiv:2212.07016), eq. 3",
    ),
    Component(
        kind="objective",
        name="fare",
        target=f"{_HERE}.fare:FARE",
        summary="keeps embeddings of adversarial images near the original network's of the clean ones; no labels",
        reference="Schlarmann et al., Robust CLIP: unsupervised adversarial fine-tuning of vision embeddings for "
        "robust large vision-language models, ICML 2024 (arXiv:2402.12336), section 3.2",
    ),
    Component(
        kind="objective",
        name="clip",
        target=f"{_HERE}.clip:SymmetricContrastive",
        summary="CLIP's symmetric contrastive loss of a batch of images and their class prompts",
        reference="Radford et al., Learning transferable visual models from natural language supervision, ICML 2021 "
        "(arXiv:2103.00020), figure 3; Yang et al., Unified contrastive learning in image-text-label space, CVPR "
        "2022 (arXiv:2204.03610)",
    ),
    Component(
        kind="objective",
        name="siglip",
        target=f"{_HERE}.siglip:PairwiseSigmoid",
        summary="pairwise sigmoid loss of images and the prompts of all classes",
        reference="Zhai et al., Sigmoid loss for language image pre-training, ICCV 2023 (arXiv:2303.15343), "
        "section 3.2",
    ),
    Component(
        kind="objective",
        name="debiased",
        target=f"{_HERE}.debiased:Debiased",
        summary="contrastive loss of a batch, corrected for other images' prompts that name the same class",
        reference="Chuang et al., Debiased contrastive learning, NeurIPS 2020 (arXiv:2007.00224), section 4",
    ),
    Component(
        kind="objective",
        name="trades",
        target=f"{_HERE}.trades:TRADES",
        summary="clean cross-entropy plus beta times the divergence of adversarial from clean predictions",
        reference="Zhang et al., Theoretically principled trade-off between robustness and accuracy, ICML 2019 "
        "(arXiv:1901.08573), eq. 5",
    ),
]
