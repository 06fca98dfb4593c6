"""Adapters in the last blocks only: how many, what is gone back through, and that no gradient is another for it."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from robench import PluginError, SpecError
from robench.attack.perturbation import seeded
from robench.registry.registry import Registry, discover
from robench.train.adapters import adapter_state, read_adapter
from torch import Tensor, nn
from torch.nn import functional as F

from robench_plugins.models.clip_network import CLIPNetwork
from tests.conftest import command
from tests.helpers.plugin_fixtures import make_context, trainable

CPU = torch.device("cpu")
WIDTH, DEPTH, RANK = 128, 6, 8
ADAPTERS = ["lora", "dora", "adalora"]


@pytest.fixture(scope="module")
def registry() -> Registry:
    return discover()


@pytest.fixture(scope="module")
def clip_tiny(registry: Registry) -> CLIPNetwork:
    network = registry.resolve("model", "clip-tiny").build().build(make_context(Path("unused")))
    assert isinstance(network, CLIPNetwork)
    return network.eval()


@pytest.fixture
def adapt(registry: Registry, clip_tiny: CLIPNetwork) -> Any:
    """Return a copy of clip-tiny, adapted as typed, always from the same random stream."""
    adaptable = registry.resolve("model", "clip-tiny").build().adaptable

    def adapt(typed: str) -> CLIPNetwork:
        network = copy.deepcopy(clip_tiny)
        name, colon, params = typed.partition(":")
        with seeded(0, CPU):
            registry.resolve("tuner", f"{name}+ce{colon}{params}").build().adapt(network, adaptable(network))
        return network

    return adapt


def blocks(network: CLIPNetwork) -> Any:
    return network.clip.vision_model.encoder.layers


def batch(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    return torch.rand(4, 3, 32, 32, generator=generator).to(dtype), torch.arange(4) % 3


def loss(network: nn.Module) -> Tensor:
    images, labels = batch()
    return F.cross_entropy(network(images), labels)


@pytest.mark.parametrize("n", [1, 2, DEPTH])
def test_the_number_of_trained_parameters_is_the_closed_form(adapt: Any, n: int) -> None:
    counts = {
        "lora": 3 * n * RANK * 2 * WIDTH,
        "dora": 3 * n * (RANK * 2 * WIDTH + WIDTH),
        "adalora": 3 * n * (12 * 2 * WIDTH + 12),
    }
    for name, expected in counts.items():
        learned = trainable(adapt(f"{name}:n={n}"))
        assert sum(weight.numel() for weight in learned.values()) == expected
        assert {int(key.split(".")[4]) for key in learned} == set(range(DEPTH - n, DEPTH))
        assert all(key.startswith("clip.vision_model.encoder.layers.") for key in learned)


@pytest.mark.parametrize("name", ADAPTERS)
def test_by_default_all_blocks_have_adapters(adapt: Any, name: str) -> None:
    every, default = adapt(f"{name}:n={DEPTH}"), adapt(name)
    assert trainable(every).keys() == trainable(default).keys()
    assert all(torch.equal(weight, trainable(default)[key]) for key, weight in trainable(every).items())


@pytest.mark.parametrize("name", ADAPTERS)
def test_the_network_starts_as_it_was(adapt: Any, clip_tiny: CLIPNetwork, name: str) -> None:
    images, _ = batch()
    with torch.no_grad():
        torch.testing.assert_close(adapt(f"{name}:n=2")(images), clip_tiny(images), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ADAPTERS)
@pytest.mark.parametrize("n", [1, 2])
def test_blocks_below_the_first_adapter_build_no_graph_and_are_not_gone_back_through(
    adapt: Any, n: int, name: str
) -> None:
    network = adapt(f"{name}:n={n}").train()
    given: list[bool] = []
    returned: list[int] = []

    def watch(index: int, output: Tensor) -> None:
        if output.requires_grad:
            output.register_hook(lambda gradient: returned.append(index))

    for index, block in enumerate(blocks(network)):
        block.register_forward_pre_hook(lambda module, inputs: given.append(inputs[0].requires_grad))
        block.register_forward_hook(lambda module, inputs, output, index=index: watch(index, output))
    loss(network).backward()
    # The first block with adapters is given what needs no gradient; what follows is given its output, which does.
    assert given == [False] * (DEPTH - n + 1) + [True] * (n - 1)
    assert returned == list(reversed(range(DEPTH - n, DEPTH)))


def gradients(network: CLIPNetwork, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    network.zero_grad(set_to_none=True)
    F.cross_entropy(network(images), labels).backward()
    return {key: weight.grad.clone() for key, weight in trainable(network).items() if weight.grad is not None}


@pytest.mark.parametrize("name", ADAPTERS)
def test_gradients_are_those_of_going_back_through_everything(adapt: Any, name: str) -> None:
    network = adapt(f"{name}:n=2").double()
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for weight in trainable(network).values():
            weight.add_(0.05 * torch.randn(weight.shape, generator=generator, dtype=weight.dtype))
    images, labels = batch(torch.float64)
    short = gradients(network, images, labels)
    whole = gradients(network, images.clone().requires_grad_(), labels)
    assert short.keys() == whole.keys() == trainable(network).keys()
    assert all(value.any() for value in short.values())
    for key, value in short.items():
        torch.testing.assert_close(value, whole[key], rtol=1e-12, atol=1e-15)


def test_adapters_in_every_block_are_trained_to_the_same_bits(adapt: Any) -> None:
    def trained(typed: str) -> dict[str, Tensor]:
        network = adapt(typed).train()
        optimizer = torch.optim.AdamW(trainable(network).values(), lr=1e-2)
        with seeded(1, CPU):
            for _ in range(2):
                loss(network).backward()
                optimizer.step()
                optimizer.zero_grad()
        return adapter_state(network)

    every, default, start = trained(f"lora:n={DEPTH}"), trained("lora"), adapter_state(adapt("lora"))
    assert every.keys() == default.keys()
    assert all(torch.equal(value, default[key]) for key, value in every.items())
    assert not any(torch.equal(value, start[key]) for key, value in every.items())


def test_an_unset_number_of_blocks_is_no_part_of_a_runs_identity(registry: Registry) -> None:
    for name in ADAPTERS:
        assert "n" not in registry.resolve("tuner", f"{name}+tecoa").values()
        few = registry.resolve("tuner", f"{name}+tecoa:n=2")
        assert few.values()["n"] == 2 and few.label == f"{name}+tecoa:n=2"


def test_numbers_of_blocks_that_do_not_fit_are_refused(registry: Registry, clip_tiny: CLIPNetwork, adapt: Any) -> None:
    with pytest.raises(PluginError, match="n=7 is more than the model's 6 blocks"):
        adapt("lora:n=7")
    with pytest.raises(SpecError, match="n=0: Input should be greater than or equal to 1"):
        adapt("lora:n=0")
    network = copy.deepcopy(clip_tiny)
    before = set(trainable(network))
    tuner = registry.resolve("tuner", "lora+ce:n=2").build()
    with pytest.raises(PluginError, match="the part 'blocks' of a model"):
        tuner.adapt(network, {"vision": network.clip.vision_model})
    assert set(trainable(network)) == before


def test_a_run_on_the_last_blocks_is_recorded_and_its_adapters_are_saved_and_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ["run", "--results", tmp_path / "results", "--cache-dir", tmp_path / "cache", "--json"]
    size, file = ["--test-size", "10", "--attack", "fgsm", "--checks", "off"], tmp_path / "adapter.safetensors"
    tuner = "lora+tecoa:n=2,adversary=white-box,steps=1,epochs=1"
    shown, _ = command(capsys, *run, *size, "--train-size", "16", "--tuner", tuner, "--save-adapter", file)
    trained = json.loads(shown)
    assert trained["spec"]["tuner"]["params"]["n"] == 2
    assert trained["tuning"]["trainable_parameters"] == 3 * 2 * RANK * 2 * WIDTH
    later = json.loads(command(capsys, *run, *size, "--adapter", file)[0])
    assert later["tuning"]["tuned_fingerprint"] == trained["tuning"]["tuned_fingerprint"]
    assert later["attacks"][0]["bits"] == trained["attacks"][0]["bits"]


def test_adalora_shares_its_budget_out_among_the_last_blocks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = ["--results", tmp_path / "results", "--cache-dir", tmp_path / "cache"]
    tuner = "adalora+ce:n=2,adversary=none,batch_size=8,epochs=2"
    size = ["--train-size", "32", "--test-size", "10", "--attack", "fgsm", "--checks", "off"]
    command(capsys, "run", "--tuner", tuner, *size, *folders, "--save-adapter", tmp_path / "kept")
    state, _ = read_adapter(tmp_path / "kept")
    kept = [int((value != 0).sum()) for key, value in state.items() if ".lora_E." in key]
    assert len(kept) == 3 * 2 and sum(kept) == 3 * 2 * RANK


@pytest.mark.parametrize(
    ("n", "message"),
    [
        (0, "n=0: Input should be greater than or equal to 1"),
        (7, "n=7 is more than the model's 6 blocks"),
    ],
)
def test_a_number_of_blocks_that_does_not_fit_is_one_line(
    n: int, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = ["--results", tmp_path / "results", "--cache-dir", tmp_path / "cache"]
    size = ["--train-size", "4", "--test-size", "10", "--attack", "fgsm", "--quiet"]
    _, errors = command(capsys, "run", "--tuner", f"lora+ce:n={n},adversary=none", *size, *folders, code=2)
    assert message in errors and errors.count("\n") == 1


def test_describing_an_adapter_tells_of_the_blocks(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ADAPTERS:
        shown, _ = command(capsys, "describe", name)
        assert "n=unset " in shown and "number of blocks with adapters, the last ones; all if" in shown
        (described,) = json.loads(command(capsys, "describe", f"{name}+tecoa", "--json")[0])
        assert [each["type"] for each in described["parameters"] if each["name"] == "n"] == ["int ≥ 1"]
