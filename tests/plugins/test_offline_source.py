"""The images that clip-tiny-offline was trained on: captions of their own classes, and no image of the test split."""

from __future__ import annotations

import numpy as np

from robench_plugins.datasets.drawn import Shapes, Textures
from robench_plugins.make_weights.offline_source import offline_source


def test_each_image_has_a_caption_of_its_class_among_all_36_and_is_in_no_test_split() -> None:
    source = offline_source(n_leaves=20, n_drawn=16, n_digits=12)
    assert len(source.images) == 20 + 2 * 16 + 12 and len(source.class_prompts) == 10 + 8 + 8 + 10
    assert set(source.labels.tolist()) <= set(range(36)) and int(source.validation_labels.max()) == 35
    assert all(
        set(caption) <= set(source.class_prompts[label])
        for caption, label in zip(source.captions, source.labels.tolist(), strict=True)
    )
    drawn = {image.numpy().tobytes() for image in source.images}
    for kind in (Shapes, Textures):
        dataset = kind(kind.Params())
        for split in ("train", "validation", "test"):
            assert not drawn & {image.tobytes() for image in dataset.take(split, np.arange(16)).images}
