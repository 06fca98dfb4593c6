"""The dataset `leaf`: a preset of `folder`."""

from __future__ import annotations

from collections.abc import Mapping

from robench import Field

from robench_plugins.datasets.folder import Alike, Folder, FolderParams, Size
from robench_plugins.datasets.leaf.names import class_name, in_order, is_tomato, prompts_for

ALIKE = 76


class LeafParams(FolderParams):
    """Where the photographs are and how they are divided."""

    path: str = Field(description="folder of class folders, or of train, validation and test folders of them")
    size: Size = Field(default=64, description="height and width in pixels that photographs are brought to, or native")
    alike: Alike = Field(
        default=ALIKE, description="bits of 256 in which the hashes of near-duplicates may differ; or off"
    )


class Leaf(Folder):
    """Photographs of leaves in class folders, such as PlantVillage's tomatoes: cropped to squares of ``size`` pixels.

    ``locked`` keeps near-duplicates, which are mostly further photographs of one leaf, on one side of a split.
    ``study`` repeats the study: no test split, no care for duplicates and, with ``balance``, augmented copies made
    before the photographs are divided. The classes of PlantVillage's tomatoes are called, and ordered, as in
    `leaf-synth`.

    Source: Hughes and Salathe, "An open access repository of images on plant health", 2015 (arXiv:1511.08060).
    """

    Params = LeafParams
    params: LeafParams
    called = "leaf"

    def names(self, keys: tuple[str, ...]) -> tuple[dict[str, str], tuple[str, ...]]:
        """Return the class of each folder; those that have another name are noted."""
        own = {key: class_name(key) for key in keys}
        order = in_order(sorted(set(own.values())))
        renamed = sorted(f"{key} is {name}" for key, name in own.items() if key != name)
        note = f"{len(renamed)} class folders under another name: {', '.join(renamed)}"
        return dict(sorted(own.items(), key=lambda item: order.index(item[1]))), (note,) if renamed else ()

    def own_prompts(self, names: Mapping[str, str]) -> tuple[tuple[str, ...], ...]:
        """Return captions of tomato leaves for classes of tomatoes, and plain ones for others."""
        tomatoes = {name for key, name in names.items() if is_tomato(key, names.values())}
        plain = dict(zip(dict.fromkeys(names.values()), super().own_prompts(names), strict=True))
        return tuple(prompts_for(name) if name in tomatoes else own for name, own in plain.items())
