"""Too large a batch is halved, the record says so, and nothing else changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from robench.attack.adversary import Adversaries
from robench.networks.evaluate import logits_of, predict
from robench.networks.memory import in_batches, out_of_memory
from robench.registry.registry import discover
from robench.storage.adversarial_cache import AdversarialCache
from torch import Tensor

from tests.helpers.plugin_fixtures import make_context
from tests.helpers.toy import Dots, LinearNetwork
from tests.train.test_training import fit, make

SHORTAGES = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory: you tried"),
    MemoryError("Unable to allocate 7.45 GiB"),
]


class Small(LinearNetwork):
    """A network for which more than `most` images are too many."""

    def __init__(self, most: int, shortage: Exception = SHORTAGES[0]) -> None:
        super().__init__(50.0, False)
        self.most, self.shortage = most, shortage

    def forward(self, images: Tensor) -> Tensor:
        if len(images) > self.most:
            raise self.shortage
        return super().forward(images)


@pytest.mark.parametrize("shortage", SHORTAGES)
def test_predictions_are_the_same_in_smaller_batches(shortage: Exception) -> None:
    images = Dots().split("test").images
    warnings: list[str] = []
    given: Any = {"n_classes": 2, "device": torch.device("cpu"), "warn": warnings.append}
    found = predict(Small(20, shortage), images, **given)
    assert warnings and all("out of memory with" in warning for warning in warnings)
    assert (found == predict(LinearNetwork(50.0, False), images, **given)).all()
    assert np.allclose(
        logits_of(Small(20), images, given["device"]), logits_of(LinearNetwork(50.0, False), images, given["device"])
    )


def test_attacks_go_on_and_cached_images_tell_of_it(tmp_path: Path) -> None:
    attack = discover().resolve_attack("pgd:steps=2")
    warnings: list[str] = []
    context = make_context(tmp_path, Dots())
    context = type(context)(**{**vars(context), "warn": warnings.append})
    data = Dots().split("test", 40)
    found = Adversaries(context, AdversarialCache(tmp_path, print)).attacked(attack, Small(30), data, "test")
    assert found.images.shape == data.images.shape
    assert warnings == [f"attack {attack.label}, test images: out of memory with 40 images at a time; went on with 20"]


def test_training_takes_the_step_again_in_parts() -> None:
    """Weighed by their images, the parts give the gradient of the whole batch."""
    plain, history = fit(make(epochs=2, batch_size=16, lr=0.2))
    network_of = LinearNetwork.forward

    def forward(self: LinearNetwork, images: Tensor) -> Tensor:
        if len(images) > 5:
            raise SHORTAGES[0]
        return network_of(self, images)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LinearNetwork, "forward", forward)
        bias, halved = fit(make(epochs=2, batch_size=16, lr=0.2))
    assert bias == pytest.approx(plain, abs=1e-5)
    assert [row["loss"] for row in halved] == pytest.approx([row["loss"] for row in history], abs=1e-5)


def test_one_image_too_much_and_other_errors_are_raised() -> None:
    images = Dots().split("test", 10).images
    given: Any = {"n_classes": 2, "device": torch.device("cpu")}
    with pytest.raises(torch.OutOfMemoryError):
        predict(Small(0), images, **given)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        predict(Small(3, RuntimeError("shapes do not match")), images, **given)
    assert not out_of_memory(ValueError("out of memory."))


@pytest.mark.parametrize(
    "said",
    [
        "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    ],
)
def test_libraries_of_cuda_that_find_no_memory_are_understood(said: str) -> None:
    assert out_of_memory(RuntimeError(said))


def test_every_image_is_worked_on_once_whatever_the_sizes() -> None:
    for n in (0, 1, 7, 64):
        seen: list[int] = []

        def work(part: slice, seen: list[int] = seen) -> None:
            if part.stop - part.start > 3:
                raise MemoryError
            seen += range(part.start, part.stop)

        assert in_batches(n, 25, work, lambda message: None, "work") <= 25
        assert seen == list(range(n))
