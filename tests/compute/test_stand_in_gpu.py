"""A run on a stand-in for a GPU mixes no devices and counts what a CPU counts; tests of components are on it, too."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from robench.records.record import RunResult
from robench.registry.registry import discover
from robench.run.plan import Request, plan
from robench.run.runner import run
from torch import nn

from tests.helpers.plugin_fixtures import make_context
from tests.helpers.stand_in_gpu import stand_in_gpu


def test_it_refuses_what_a_gpu_refuses() -> None:
    with stand_in_gpu() as gpu:
        there, here = torch.ones(3, device=gpu), torch.ones(3)
        with pytest.raises(RuntimeError, match="same device"):
            there + here
        with pytest.raises(RuntimeError, match="same device"):
            torch.stack([here, there])
        with pytest.raises(RuntimeError, match="indices"):
            here[torch.tensor([0], device=gpu)]
        with pytest.raises(RuntimeError, match="same device"):
            nn.Linear(3, 2)(there)
        for view in (there.numpy, lambda: np.asarray(there)):
            with pytest.raises(TypeError, match="numpy"):
                view()


def test_it_takes_what_a_gpu_takes() -> None:
    with stand_in_gpu() as gpu:
        there = torch.rand(3, device="cuda")
        assert (there + torch.tensor(1.0)).device == there[torch.tensor([0, 2])].device == gpu
        assert there.cpu().numpy().shape == (3,) and there.to("cpu").device.type == "cpu"
        assert there.double().is_cuda and there.new_zeros(2).is_cuda and torch.zeros_like(there).is_cuda
        here = torch.zeros(2, 3)
        here[0] = there
        here.copy_(there)
        assert not here.is_cuda


def test_a_network_moves_with_all_that_it_has() -> None:
    with stand_in_gpu() as gpu:
        network = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 4))
        network[2].weight = network[0].weight
        network.to(gpu)
        assert network[2].weight is network[0].weight
        assert {each.device for each in (*network.parameters(), *network.buffers())} == {gpu}
        assert {each.device for each in copy.deepcopy(network).parameters()} == {gpu}
        optimiser = torch.optim.AdamW(network.parameters(), lr=0.1)
        before = network[0].weight.detach().clone()
        loss = network(torch.rand(5, 4, device=gpu)).square().sum()
        (by_hand,) = torch.autograd.grad(loss, network[0].weight, retain_graph=True)
        loss.backward()
        optimiser.step()
        assert by_hand.is_cuda and network[0].weight.grad is not None and network[0].weight.grad.is_cuda
        assert network[0].weight.is_cuda and bool((network[0].weight != before).any())
        assert not network.cpu()[0].weight.is_cuda


@pytest.mark.parametrize("model", ["leaf-vit", "leaf-inception:image_size=96", "timm-resnet18", "resnet20:epochs=1"])
def test_making_a_network_leaves_the_random_numbers_of_a_gpu_as_they_were(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stand_in_gpu() as gpu:
        monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: pytest.fail("seeded"))
        dataset = discover().resolve("dataset", "leaf-synth").build()
        context = replace(make_context(tmp_path, dataset, name="leaf-synth"), device=gpu)
        discover().resolve("model", model).build().build(context)


@pytest.mark.slow
@pytest.mark.parametrize(
    "asked",
    [
        Request(tuner="lora+tecoa:adversary=white-box,steps=2", attacks=("pgd-resnet20", "pgd:eps=1/255,n=10")),
        Request(tuner="vpt", defence="jpeg", corruptions=("common:severities=3",), attacks=("square:queries=20,n=10",)),
    ],
    ids=["white-box tuning", "a defence and a corruption"],
)
def test_a_run_counts_what_it_counts_on_a_cpu(asked: Request, tmp_path: Path) -> None:
    def carried_out(device: torch.device) -> RunResult:
        registry, request = discover(), replace(asked, train_size=32, test_size=24)
        folder = tmp_path / device.type
        return run(registry, plan(registry, request), device=device, cache_dir=folder, save=lambda result: result)

    here = carried_out(torch.device("cpu"))
    with stand_in_gpu() as gpu:
        there = carried_out(gpu)
    assert there.status == here.status == "completed" and there.provenance.device == "cuda: stand-in"
    assert there.clean is not None and here.clean is not None and there.clean.correct == here.clean.correct
    assert [each.correct for each in there.attacks] == [each.correct for each in here.attacks]
    assert not [each for each in there.checks if each.verdict == "incomplete"]
