from __future__ import annotations

import numpy as np
import pytest
import torch
from robench.errors import DataError, PluginError
from robench.images.image_set import ImageSet
from robench.networks.evaluate import fingerprint, predict
from torch import Tensor, nn

from tests.helpers.toy import LinearNetwork

CPU = torch.device("cpu")


def test_every_image_is_counted_once_in_order() -> None:
    levels = np.random.RandomState(0).randint(0, 256, 511)
    images = np.broadcast_to(levels[:, None, None, None], (511, 3, 2, 2)).astype(np.uint8)
    network = LinearNetwork(50.0, False)
    predictions = predict(network, images, n_classes=2, device=CPU)
    np.testing.assert_array_equal(predictions, levels > 127.5)


def test_modes_are_restored_and_dropout_is_off() -> None:
    network = nn.Sequential(nn.Dropout(0.9), LinearNetwork(50.0, False))
    images = np.full((64, 3, 2, 2), 255, np.uint8)
    assert (predict(network, images, n_classes=2, device=CPU) == 1).all()
    assert network.training


def test_nan_logits_are_no_accuracy() -> None:
    with pytest.raises(PluginError, match="NaN"):
        predict(LinearNetwork(50.0, True), np.zeros((3, 3, 2, 2), np.uint8), n_classes=2, device=CPU)


def test_logits_of_the_wrong_shape_are_refused() -> None:
    with pytest.raises(PluginError, match=r"\(3, 2\); expected logits of shape \(3, 10\)"):
        predict(LinearNetwork(50.0, False), np.zeros((3, 3, 2, 2), np.uint8), n_classes=10, device=CPU)


def test_a_fingerprint_follows_weights_buffers_and_names() -> None:
    network = nn.BatchNorm2d(3)
    before = fingerprint(network)
    assert fingerprint(nn.BatchNorm2d(3)) == before
    assert network.running_mean is not None
    network.running_mean[0] = 1e-7
    assert fingerprint(network) != before
    assert fingerprint(nn.Sequential(nn.BatchNorm2d(3))) != before


def test_a_fingerprint_does_not_depend_on_memory_layout() -> None:
    network = nn.Conv2d(3, 4, 3)
    before = fingerprint(network)
    assert fingerprint(network.to(memory_format=torch.channels_last)) == before


def test_a_label_outside_the_classes_is_named() -> None:
    data = ImageSet(images=np.zeros((3, 3, 2, 2), np.uint8), labels=np.array([0, 1, 7], np.int64))
    with pytest.raises(DataError, match="image 2 has label 7; labels must be within 0 and 1"):
        data.check_labels(2)


@pytest.mark.parametrize("images", [np.zeros((2, 3, 2, 2), np.float32), np.zeros((2, 2, 2, 3), np.uint8)])
def test_images_of_another_type_or_layout_are_refused(images: Tensor) -> None:
    with pytest.raises(DataError, match="must be uint8"):
        ImageSet(images=images, labels=np.zeros(2, np.int64))  # type: ignore[arg-type]


def test_a_data_fingerprint_follows_pixels_labels_and_order() -> None:
    images = np.arange(24, dtype=np.uint8).reshape(2, 3, 2, 2)
    data = ImageSet(images=images, labels=np.array([0, 1], np.int64))
    other_labels = ImageSet(images=images, labels=np.array([1, 0], np.int64))
    reordered = ImageSet(images=images[::-1], labels=np.array([1, 0], np.int64))
    assert len({data.fingerprint(), other_labels.fingerprint(), reordered.fingerprint()}) == 3
    assert data.first(2).fingerprint() == data.fingerprint()


def test_a_fingerprint_is_of_values_and_not_of_their_layout() -> None:
    plain = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.Conv2d(4, 2, 3))
    before = fingerprint(plain)
    assert fingerprint(plain.to(memory_format=torch.channels_last)) == before
    plain[0].weight.data.add_(1)
    assert fingerprint(plain) != before
