"""Tuners that are published recipes, declared as data: what is trained, the optimiser, its schedule, the adversary.

Epochs are of the set that the paper trains on. A warm-up in steps is written as its share of these epochs' steps.
"""

from __future__ import annotations

import re
from typing import Any

from robench import Component

# What the papers' code shares: SGD with momentum 0.9 and no weight decay, warm-up and cosine, images attacked on the
# network itself by PGD with steps of 1/255 within 1/255.
_TECOA = {
    "optimizer": "sgd",
    "weight_decay": 0.0,
    "schedule": "cosine",
    "epochs": 10,
    "batch_size": 256,
    "adversary": "pgd:alpha=1/255",
    "eps": "1/255",
    "steps": 2,
}
# As FARE's: AdamW, and PGD with 10 steps of 1/255.
_FARE = {
    "lr": 1e-5,
    "optimizer": "adamw",
    "weight_decay": 1e-4,
    "schedule": "cosine",
    "warmup": 0.07,
    "epochs": 2,
    "batch_size": 128,
    "adversary": "pgd:alpha=1/255",
    "eps": "2/255",
    "steps": 10,
}


def _recipe(name: str, target: str, defaults: dict[str, Any], summary: str, reference: str) -> Component:
    """Declare a tuner that is a published recipe: what is trained, the optimiser, its schedule and the adversary."""
    return Component(
        kind="tuner",
        name=name,
        target=target,
        summary=summary,
        reference=reference,
        defaults=defaults,
        title=re.split(" as published| with |:", summary)[0] + " recipe",
        recipe=True,
        group="published recipes",
    )


RECIPES = [
    _recipe(
        "tecoa-paper",
        "full+tecoa",
        # 1,000 of the 50,040 steps of 10 epochs of ImageNet in batches of 256.
        {**_TECOA, "lr": 1e-5, "warmup": 0.02},
        "TeCoA as published: the whole vision tower, SGD, PGD with 2 steps within 1/255",
        "Mao et al., ICLR 2023 (arXiv:2212.07016), section 4, and github.com/cvlab-columbia/ZSRobust4FoundationModel: "
        "ImageNet, SGD 1e-5, 10 epochs, batches of 256, warm-up of 1,000 steps, PGD-2 within 1/255",
    ),
    _recipe(
        "fare",
        "full+fare",
        _FARE,
        "FARE as published: the whole vision tower, AdamW, PGD with 10 steps within 2/255 (eps=4/255 is FARE-4)",
        "Schlarmann et al., ICML 2024 (arXiv:2402.12336), section 4, and github.com/chs20/RobustVLM: ImageNet, 20,000 "
        "steps of 128 images, AdamW 1e-5, weight decay 1e-4, warm-up of 1,400 steps, cosine, PGD-10 within 2/255 or "
        "4/255",
    ),
    _recipe(
        "pmg-aft",
        "full+pmg-aft",
        # 1,000 of the 3,910 steps of 10 epochs of Tiny-ImageNet in batches of 256.
        {**_TECOA, "lr": 5e-5, "warmup": 0.256},
        "PMG-AFT as published: the whole vision tower, SGD, PGD with 2 steps within 1/255",
        "Wang et al., CVPR 2024 (arXiv:2401.04350), and the command in the authors' code: Tiny-ImageNet, SGD 5e-5, 10 "
        "epochs, batches of 256, warm-up of 1,000 steps, PGD-2 within 1/255; that code trains without the temperature "
        "(unscaled=true)",
    ),
    _recipe(
        "tga-zsr",
        "full+tga-zsr",
        # 1,000 of the 7,820 steps of 10 epochs of Tiny-ImageNet in batches of 128.
        {**_TECOA, "lr": 1e-4, "batch_size": 128, "warmup": 0.128},
        "TGA-ZSR as published: the whole vision tower, SGD, PGD with 2 steps within 1/255",
        "Yu et al., NeurIPS 2024 (arXiv:2410.21802), and the defaults of github.com/zhyblue424/TGA-ZSR: Tiny-ImageNet, "
        "SGD 1e-4, 10 epochs, batches of 128, warm-up of 1,000 steps, PGD-2 within 1/255, alpha 0.08, beta 0.05",
    ),
    _recipe(
        "agft",
        "full+agft",
        {**_TECOA, "lr": 4e-4, "warmup": 0.02},
        "AGFT as published: the whole vision tower, SGD, PGD with 2 steps within 1/255, no labels",
        "Cui et al., CVPR 2026 (arXiv:2603.29410), and the command of github.com/YuboCui/AGFT: ImageNet, SGD 4e-4, 10 "
        "epochs, batches of 2 x 128, warm-up of 1,000 steps, PGD-2 within 1/255, scale 180, ratio 0.4",
    ),
    _recipe(
        "caw",
        "full+caw",
        {**_TECOA, "lr": 5e-5, "warmup": 0.256},
        "CAW with the recipe of PMG-AFT, its rival there: the whole vision tower, SGD, PGD with 2 steps within 1/255",
        "Naghavian and Tavassolipour, 2025 (arXiv:2510.02913): Tiny-ImageNet; its learning rate and weights were not "
        "at hand, so optimiser and schedule are those of PMG-AFT",
    ),
    _recipe(
        "sim-clip",
        "full+sim-clip",
        # 1,400 of 10,000 steps; 10,000 steps of 64 images are half an epoch of ImageNet.
        {**_FARE, "lr": 1e-3, "weight_decay": 1e-5, "warmup": 0.14, "epochs": 1, "batch_size": 64, "eps": "4/255"},
        "Sim-CLIP as published: the whole vision tower, AdamW, PGD with 10 steps within 4/255, no labels",
        "Hossain and Imteaj, 2024 (arXiv:2407.14971), and the script of github.com/speedlab-git/SimCLIP: ImageNet, "
        "10,000 steps of 64 images, AdamW 1e-3, weight decay 1e-5, warm-up of 1,400 steps, cosine, PGD-10 within 4/255",
    ),
    _recipe(
        "lore",
        "full+lore",
        _FARE,
        "LORE with the recipe of FARE: the whole vision tower, AdamW, PGD with 10 steps within 2/255, no labels",
        "Khodabandeh et al., 2025 (arXiv:2505.18884): ImageNet; optimiser and schedule are those of FARE",
    ),
    _recipe(
        "apt",
        "coop+ce",
        {
            "context": 16,
            "lr": 2e-3,
            "optimizer": "sgd",
            "weight_decay": 5e-4,
            "schedule": "cosine",
            "epochs": 50,
            "batch_size": 32,
            "adversary": "pgd:alpha=89/8500",  # 2.67/255
            "eps": "4/255",
            "steps": 3,
        },
        "APT as published: 16 learned context words, SGD, PGD with 3 steps within 4/255; for few shots",
        "Li et al., CVPR 2024 (arXiv:2403.01849), and github.com/TreeLLi/APT (vit_b32_ep50): 16 shots, SGD 0.002, "
        "cosine, 50 epochs, batches of 32, PGD-3 with steps of 2.67/255 within 4/255",
    ),
    _recipe(
        "fap",
        "prompts+fap",
        {
            "lr": 3.5e-3,
            "optimizer": "sgd",
            "weight_decay": 5e-4,
            "schedule": "cosine",
            "epochs": 10,
            "batch_size": 4,
            "adversary": "pgd:alpha=1/255",
            "eps": "1/255",
            "steps": 2,
        },
        "FAP with prompts of images and texts: SGD, PGD with 2 steps within 1/255; for few shots",
        "Zhou et al., NeurIPS 2024 (arXiv:2403.14774), and github.com/lionel-w2/FAP (vit_b32_ep10_batch4_2ctx): SGD "
        "0.0035, cosine, 10 epochs, batches of 4, PGD-2 within 1/255",
    ),
]
