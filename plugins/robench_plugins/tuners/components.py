"""The tuners, declared as data: a class, or a product of adaptation and objective."""

from __future__ import annotations

from robench import Component

_HERE = "robench_plugins.tuners"

# The study's Keras callbacks, and the size of a batch that its example uses by default.
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
        summary="no tuning: the model as it comes (CLIP zero-shot)",
        reference="the baseline",
    ),
    Component(
        kind="tuner",
        name="lora-ce",
        target="lora+ce",
        summary="LoRA with the mean of clean and adversarial cross-entropy",
        defaults={"clean_weight": 0.5},
    ),
    Component(
        kind="tuner",
        name="tecoa",
        target="lora+tecoa",
        summary="LoRA with the text-guided contrastive adversarial loss",
    ),
    Component(
        kind="tuner",
        name="vpt",
        target="vpt+tecoa",
        summary="learned tokens beside the patches, with the text-guided contrastive adversarial loss",
    ),
    Component(
        kind="tuner",
        name="supervised",
        target="full+ce",
        summary="plain training of all weights with cross-entropy, early stopping, best weights kept",
        defaults={**_SUPERVISED, "adversary": "none"},
    ),
    Component(
        kind="tuner",
        name="supervised-at",
        target="full+ce",
        summary="adversarial training: the same on white-box PGD examples made on the fly",
        defaults={**_SUPERVISED, "adversary": "white-box"},
    ),
    Component(
        kind="tuner",
        name="supervised-trades",
        target="full+trades",
        summary="the same with TRADES: clean cross-entropy plus the divergence of adversarial predictions",
        defaults={**_SUPERVISED, "adversary": "white-box"},
    ),
]
