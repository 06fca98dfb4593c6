"""The tuners, declared as data: a class, or an adaptation and an objective."""

from __future__ import annotations

from robench import Component

from robench_plugins.tuners.recipes import RECIPES

_HERE = "robench_plugins.tuners"

# As the study's Keras callbacks.
_SUPERVISED = {
    "lr": 1e-3,
    "epochs": 30,
    "optimizer": "adam",
    "schedule": "plateau",
    "patience": 10,
    "keep": "best",
    "monitor": "loss",
    "validate_on": 1000,
}

TUNERS = [
    Component(
        kind="tuner",
        name="none",
        group="no training",
        target=f"{_HERE}.none:NoTuning",
        summary="no tuning: the model as it is, such as CLIP zero-shot",
        reference="the baseline",
    ),
    Component(
        kind="tuner",
        name="lora-ce",
        group="adapters and prompts",
        target="lora+ce",
        summary="LoRA, with the mean of clean and adversarial cross-entropy",
        defaults={"clean_weight": 0.5},
    ),
    Component(
        kind="tuner",
        name="tecoa",
        group="adapters and prompts",
        target="lora+tecoa",
        summary="LoRA, with the text-guided contrastive adversarial loss TeCoA",
    ),
    Component(
        kind="tuner",
        name="vpt",
        group="adapters and prompts",
        target="vpt+tecoa",
        summary="visual prompt tuning (learned tokens), with the text-guided contrastive adversarial loss TeCoA",
    ),
    Component(
        kind="tuner",
        name="linear-probe",
        group="adapters and prompts",
        target="head+ce",
        summary="the last layer alone, with cross-entropy on clean images: head+ce without an adversary",
        defaults={"adversary": "none"},
    ),
    Component(
        kind="tuner",
        name="supervised",
        group="all weights",
        title="supervised training",
        target="full+ce",
        summary="ordinary training of all weights with cross-entropy, early stopping, best weights kept",
        defaults={**_SUPERVISED, "adversary": "none"},
    ),
    Component(
        kind="tuner",
        name="supervised-at",
        group="all weights",
        title="adversarial training",
        target="full+ce",
        summary="as supervised, on white-box PGD images made during training (adversarial training)",
        defaults={**_SUPERVISED, "adversary": "white-box"},
    ),
    Component(
        kind="tuner",
        name="supervised-trades",
        group="all weights",
        title="TRADES training",
        target="full+trades",
        summary="as supervised-at, with TRADES: clean cross-entropy plus the divergence of adversarial predictions",
        defaults={**_SUPERVISED, "adversary": "white-box"},
    ),
    *RECIPES,
    Component(
        kind="tuner",
        name="wise-ft",
        group="no training",
        target=f"{_HERE}.wise_ft:WiSEFT",
        summary="WiSE-FT and soups: saved adapters averaged and interpolated with the model's own weights, no training",
        reference="Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022 (arXiv:2109.01903); Model soups, "
        "ICML 2022 (arXiv:2203.05482)",
    ),
]
