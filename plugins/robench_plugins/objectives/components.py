"""The objectives, declared as data."""

from __future__ import annotations

from robench import Component

from robench_plugins.groups import group_of

_GROUPS = {
    "labels": ("ce", "trades", "fap"),
    "class prompts": ("tecoa", "clip", "siglip", "debiased"),
    "the model before training": ("fare", "sim-clip", "lore", "agft"),
    "class prompts and the model before training": ("pmg-aft", "tga-zsr", "caw"),
}


def _objective(name: str, target: str, summary: str, reference: str, title: str) -> Component:
    target = f"robench_plugins.objectives.{target}"
    group = group_of(name, _GROUPS)
    return Component(
        kind="objective", name=name, target=target, summary=summary, reference=reference, title=title, group=group
    )


OBJECTIVES: list[Component] = [
    _objective(
        "ce",
        "cross_entropy:CrossEntropy",
        "cross-entropy of adversarial images, or mixed with that of clean ones by clean_weight",
        "Madry et al., Towards deep learning models resistant to adversarial attacks, ICLR 2018 (arXiv:1706.06083); "
        "Goodfellow et al., Explaining and harnessing adversarial examples, ICLR 2015 (arXiv:1412.6572), section 6",
        title="CE",
    ),
    _objective(
        "tecoa",
        "tecoa:TeCoA",
        "TeCoA: text-guided contrastive loss of adversarial images and the class prompts",
        "Mao et al., Understanding zero-shot adversarial robustness for large-scale models, ICLR 2023 "
        "(arXiv:2212.07016), eq. 3",
        title="TeCoA",
    ),
    _objective(
        "fare",
        "fare:FARE",
        "FARE: keeps embeddings of adversarial images near the original ones of the clean images, without labels",
        "Schlarmann et al., Robust CLIP: unsupervised adversarial fine-tuning of vision embeddings for robust large "
        "vision-language models, ICML 2024 (arXiv:2402.12336), section 3.2",
        title="FARE",
    ),
    _objective(
        "clip",
        "clip:SymmetricContrastive",
        "CLIP's symmetric contrastive loss between the images of a batch and their class prompts",
        "Radford et al., Learning transferable visual models from natural language supervision, ICML 2021 "
        "(arXiv:2103.00020), figure 3; Yang et al., Unified contrastive learning in image-text-label space, CVPR 2022 "
        "(arXiv:2204.03610)",
        title="CLIP loss",
    ),
    _objective(
        "siglip",
        "siglip:PairwiseSigmoid",
        "SigLIP: a sigmoid loss for every pair of an image and a class prompt",
        "Zhai et al., Sigmoid loss for language image pre-training, ICCV 2023 (arXiv:2303.15343), section 3.2",
        title="SigLIP",
    ),
    _objective(
        "debiased",
        "debiased:Debiased",
        "contrastive loss of a batch, corrected for other images' prompts that name the same class",
        "Chuang et al., Debiased contrastive learning, NeurIPS 2020 (arXiv:2007.00224), section 4",
        title="debiased loss",
    ),
    _objective(
        "trades",
        "trades:TRADES",
        "TRADES: clean cross-entropy plus beta times the divergence between clean and adversarial predictions",
        "Zhang et al., Theoretically principled trade-off between robustness and accuracy, ICML 2019 "
        "(arXiv:1901.08573), eq. 5",
        title="TRADES",
    ),
    _objective(
        "pmg-aft",
        "pmg_aft:PMGAFT",
        "PMG-AFT: TeCoA's loss, and adversarial predictions near the original model's and the clean ones",
        "Wang et al., Pre-trained model guided fine-tuning for zero-shot adversarial robustness, CVPR 2024 "
        "(arXiv:2401.04350)",
        title="PMG-AFT",
    ),
    _objective(
        "sim-clip",
        "sim_clip:SimCLIP",
        "Sim-CLIP: cosines between the embeddings of clean and adversarial images, without labels",
        "Hossain and Imteaj, Sim-CLIP, 2024 (arXiv:2407.14971)",
        title="Sim-CLIP",
    ),
    _objective(
        "tga-zsr",
        "tga_zsr:TGAZSR",
        "TGA-ZSR: TeCoA's loss, and maps of the text's attention to patches near the original model's",
        "Yu et al., Text-guided attention is all you need for zero-shot robustness in vision-language models, NeurIPS "
        "2024 (arXiv:2410.21802)",
        title="TGA-ZSR",
    ),
    _objective(
        "agft",
        "agft:AGFT",
        "AGFT: the original model's softened prediction of the clean image as the target, without labels",
        "Cui et al., AGFT: alignment-guided fine-tuning, CVPR 2026 (arXiv:2603.29410)",
        title="AGFT",
    ),
    _objective(
        "caw",
        "caw:CAW",
        "CAW: adversarial cross-entropy, a divergence that weighs unsure images more, and a distance of embeddings",
        "Naghavian and Tavassolipour, Confidence-aware weighting, 2025 (arXiv:2510.02913)",
        title="CAW",
    ),
    _objective(
        "lore",
        "lore:LORE",
        "LORE: FARE's loss under a constraint on clean embeddings, with a learned multiplier for each image",
        "Khodabandeh et al., LORE: Lagrangian-optimized robust embeddings, 2025 (arXiv:2505.18884)",
        title="LORE",
    ),
    _objective(
        "fap",
        "fap:FAP",
        "FAP: clean cross-entropy, and the divergence of adversarial predictions weighted by the embeddings' cosine",
        "Zhou et al., Few-shot adversarial prompt learning on vision-language models, NeurIPS 2024 (arXiv:2403.14774)",
        title="FAP",
    ),
]
