"""Names of PlantVillage's tomato classes, which its copies spell in many ways."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

from robench_plugins.datasets.leaf_synth.classes import CLASS_NAMES

_CONDITIONS = {
    "Bacterial_spot": "bacterial spot",
    "Early_blight": "early blight",
    "Late_blight": "late blight",
    "Leaf_Mold": "leaf mold",
    "Septoria_leaf_spot": "septoria leaf spot",
    "Spider_mites_Two_spotted_spider_mite": "two-spotted spider mites",
    "Target_Spot": "target spot",
    "YellowLeaf_Curl_Virus": "yellow leaf curl virus",
    "mosaic_virus": "mosaic virus",
}


def _key(name: str) -> str:
    return re.sub(r"^(tomato)+", "", re.sub(r"[^a-z0-9]", "", name.lower()))


_KNOWN = {_key(name): name for name in CLASS_NAMES}


def class_name(folder: str) -> str:
    """Return the class that a folder stands for, under the name `leaf-synth` gives it if it is one of its ten.

    ``Tomato___Bacterial_spot`` is ``Bacterial_spot``; other folders keep their names. macOS writes an accent and its
    letter as two characters, others as one, which the name has (Unicode's form NFC).
    """
    composed = unicodedata.normalize("NFC", folder)
    return _KNOWN.get(_key(composed), composed)


def in_order(names: list[str]) -> tuple[str, ...]:
    """Return classes in `leaf-synth`'s order, so that labels agree, and others after them by name."""
    known = [name for name in CLASS_NAMES if name in names]
    return (*known, *sorted(set(names) - set(known)))


def is_tomato(folder: str, names: Collection[str]) -> bool:
    """Return whether a folder's class is of a tomato: its name says so, or all `names` are of `leaf-synth`."""
    return folder.lower().startswith("tomato") or set(names) <= set(CLASS_NAMES)


def prompts_for(name: str) -> tuple[str, ...]:
    """Return what an image of the class would be captioned with."""
    if name == "healthy":
        return ("a photo of a healthy tomato leaf.", "a close-up photo of a healthy tomato leaf.")
    if name in _CONDITIONS:
        condition = _CONDITIONS[name]
        return (f"a photo of a tomato leaf with {condition}.", f"a close-up photo of a tomato leaf with {condition}.")
    return (f"a photo of a {re.sub('[_ ]+', ' ', name)}.",)
