"""Linear layers as convolutions, up to the order of sums; dropout, bit by bit; and both only where they pay."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from robench.compute import fast_functions as module
from robench.compute.fast_functions import DRAWS, MULTIPLICATIONS, ROWS, Faster, fast_functions
from robench.registry.registry import discover
from robench.run.plan import Request, plan
from robench.run.runner import run
from torch import Tensor, fx, nn
from torch.nn import functional as F


def operations(output: Tensor) -> set[str]:
    """Name all that autograd would go back through."""
    found, left = set(), [output.grad_fn]
    while left:
        node = left.pop()
        if node is not None and node not in found:
            found.add(node)
            left += [before for before, _ in node.next_functions]
    return {node.name() for node in found}


def convolves(layer: nn.Linear, images: Tensor) -> bool:
    with Faster(same_draws=False):
        return "ConvolutionBackward0" in operations(layer(images))


@settings(max_examples=25, deadline=None)
@given(
    shape=st.sampled_from([(ROWS,), (64, 65), (2, 3, 200), (5000,)]),
    inputs=st.integers(1, 70),
    outputs=st.integers(1, 70),
    bias=st.booleans(),
    apart=st.booleans(),
)
def test_values_and_all_gradients_are_those_of_the_layer(
    shape: tuple[int, ...], inputs: int, outputs: int, bias: bool, apart: bool
) -> None:
    torch.manual_seed(inputs * 71 + outputs)
    layer = nn.Linear(inputs, outputs, bias=bias)
    x = torch.randn(*shape, 2 * inputs)[..., ::2] if apart else torch.randn(*shape, inputs)
    x.requires_grad_()
    upstream = torch.randn(*shape, outputs)
    wanted = [x, *layer.parameters()]
    expected = [layer(x), *torch.autograd.grad(layer(x), wanted, upstream)]
    with Faster(same_draws=False):
        found = [layer(x), *torch.autograd.grad(layer(x), wanted, upstream)]
    assert convolves(layer, x) == (x.numel() // inputs >= ROWS)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4 * float(theirs.detach().abs().max()))


def test_many_multiplications_count_as_many_rows_do_and_few_of_both_are_left_alone() -> None:
    images = torch.randn(16, 1024)
    assert convolves(nn.Linear(1024, MULTIPLICATIONS // (16 * 1024)), images)
    assert not convolves(nn.Linear(1024, MULTIPLICATIONS // (16 * 1024) - 1), images)
    assert not convolves(nn.Linear(8, 8), torch.randn(0, 8))
    assert not convolves(nn.Linear(8, 8), torch.randn(8))


def test_other_numbers_and_autocast_are_left_alone() -> None:
    layer, images = nn.Linear(8, 8), torch.randn(2 * ROWS, 8)
    assert convolves(layer, images)
    assert not convolves(nn.Linear(8, 8, dtype=torch.float64), images.double())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not convolves(layer, images)


def test_an_argument_by_name_is_understood_and_a_wrong_one_refused_as_torch_does() -> None:
    x, weight = torch.randn(ROWS, 8), torch.randn(4, 8)
    with Faster(same_draws=False):
        torch.testing.assert_close(F.linear(input=x, weight=weight, bias=None), x @ weight.T)
        with pytest.raises(RuntimeError, match=r"shape|size|channels"):
            F.linear(x, torch.randn(4, 9))


def test_a_traced_layer_stays_a_layer() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(4, 8))

        def forward(self, x: Tensor) -> Tensor:
            return F.linear(x, self.weight)

    with Faster(same_draws=False):
        graph = fx.symbolic_trace(Net()).graph
    assert [node.target for node in graph.nodes if node.op == "call_function"] == [F.linear]


same_draws = pytest.mark.skipif(not module._same_draws(), reason="bernoulli_ draws by Intel's library here")


@same_draws
@pytest.mark.parametrize("p", [0.1, 0.5, 1 / 3, 0.999])
def test_dropout_drops_the_same_and_leaves_the_same_random_state(p: float) -> None:
    images = torch.randn(3, DRAWS, requires_grad=True)
    upstream = torch.randn(3, DRAWS)
    results = []
    for mode in (contextlib.nullcontext(), Faster(same_draws=True)):
        torch.manual_seed(5)
        with mode:
            output = nn.Dropout(p)(images)
        (gradient,) = torch.autograd.grad(output, images, upstream)
        results.append((output, gradient, torch.get_rng_state()))
    for theirs, ours in zip(*results, strict=True):
        assert torch.equal(theirs, ours)
    assert 0 < int((output == 0).sum()) < output.numel()


@same_draws
@pytest.mark.parametrize(
    "change",
    [
        lambda x: F.dropout(x, 0.0),
        lambda x: F.dropout(x, 1.0),
        lambda x: F.dropout(x, 0.3, training=False),
        lambda x: F.dropout(x, 0.3, inplace=True),
        lambda x: F.dropout(x.T, 0.3),
        lambda x: F.dropout(x[:1, :9], 0.3),
        lambda x: F.dropout(x.double(), 0.3),
        lambda x: F.dropout(x.bfloat16(), 0.3),
    ],
)
def test_any_other_dropout_is_torchs(change: Callable[[Tensor], Tensor]) -> None:
    results = []
    for mode in (contextlib.nullcontext(), Faster(same_draws=True)):
        torch.manual_seed(5)
        with mode:
            results.append((change(torch.ones(2, DRAWS)), torch.get_rng_state()))
    for theirs, ours in zip(*results, strict=True):
        assert torch.equal(theirs, ours) and theirs.dtype == ours.dtype


def test_a_probability_that_is_none_is_refused_as_torch_does() -> None:
    with Faster(same_draws=True), pytest.raises(ValueError, match="between 0 and 1"):
        F.dropout(torch.ones(DRAWS), 1.5)


@pytest.mark.parametrize(
    ("make", "capability", "expected"),
    [
        ("vendor_id\t: AuthenticAMD", "AVX512", True),
        ("AMD64 Family 25 Model 97 Stepping 2, AuthenticAMD", "AVX512", True),
        ("vendor_id\t: GenuineIntel", "AVX512", False),
        ("vendor_id\t: AuthenticAMD", "AVX2", False),
    ],
)
def test_only_processors_that_mkl_does_not_use_to_the_full(
    monkeypatch: pytest.MonkeyPatch, make: str, capability: str, expected: bool
) -> None:
    monkeypatch.setattr(module, "maker", lambda: make)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    with fast_functions():
        found = "ConvolutionBackward0" in operations(nn.Linear(8, 8)(torch.randn(ROWS, 8)))
    assert found == expected
    assert "ConvolutionBackward0" not in operations(nn.Linear(8, 8)(torch.randn(ROWS, 8)))


@pytest.mark.slow
def test_a_run_comes_to_the_same_answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    registry = discover()
    asked = Request(
        dataset="leaf-synth",
        tuner="tecoa:epochs=1,batch_size=16",
        attacks=("pgd-resnet20", "pgd:eps=1/255,steps=2"),
        train_size=32,
        test_size=48,
    )
    answers = []
    for pays in (False, True):
        monkeypatch.setattr(module, "_pays", lambda pays=pays: pays)
        result = run(
            registry,
            plan(registry, asked),
            device=torch.device("cpu"),
            cache_dir=tmp_path / str(pays),
            save=lambda made: made,
        )
        assert result.clean is not None and result.tuning is not None
        masks = [result.clean.mask(), *(attack.mask() for attack in result.attacks)]
        answers.append((result.tuning.history[0]["loss"], [mask.tolist() for mask in masks]))
    (plain_loss, plain), (loss, found) = answers
    assert found == plain
    assert loss == pytest.approx(plain_loss, rel=1e-4)
