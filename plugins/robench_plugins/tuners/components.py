"""The tuners, declared as data: a class, or an adaptation and an objective."""

from __future__ import annotations

from robench import Component

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
        target=f"{_HERE}.none:NoTuning",
        summary="no tuning: the model as it is, such as CLIP zero-shot",
        reference="the baseline",
    ),
    Component(
        kind="tuner",
        name="lora-ce",
        target="lora+ce",
        summary="LoRA, with the mean of clean and adversarial cross-entropy",
        defaults={"clean_weight": 0.5},
    ),
    Component(
        kind="tuner",
        name="tecoa",
        target="lora+tecoa",
        summary="LoRA, with the text-guided contrastive adversarial loss TeCoA",
    ),
    Component(
        kind="tuner",
        name="vpt",
        target="vpt+tecoa",
        summary="visual prompt tuning (learned tokens), with the text-guided contrastive adversarial loss TeCoA",
    ),
    Component(
        kind="tuner",
        name="supervised",
        target="full+ce",
        summary="ordinary training of all weights with cross-entropy, early stopping, best weights kept",
        defaults={**_SUPERVISED, "adversary": "none"},
    ),
    Component(
        kind="tuner",
        name="supervised-at",
        target="full+ce",
        summary="as supervised, on white-box PGD images made during training (adversarial training)",
        defaults={**_SUPERVISED, "adversary": "white-box"},
    ),
    Component(
        kind="tuner",
        name="supervised-trades",
        target="full+trades",
        summary="as supervised-at, with TRADES: clean cross-entropy plus the divergence of adversarial predictions",
        defaults={**_SUPERVISED, "adversary": "white-box"},
    ),
]
