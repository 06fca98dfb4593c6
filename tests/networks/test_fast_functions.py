"""Linear layers as convolutions, up to the order of sums; dropout, bit by bit; and both only where they pay."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from robench.networks import fast_functions as module
from robench.networks.fast_functions import DRAWS, GAIN, MULTIPLICATIONS, ROWS, Faster, fast_functions, gain, way
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


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A machine on which nothing was measured, with torch's two libraries; yields the user's cache."""
    monkeypatch.setattr(module, "user_cache_path", lambda name: tmp_path / name)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    module._gain.cache_clear()
    yield tmp_path / "robench" / "machines"
    module._gain.cache_clear()


@pytest.mark.parametrize(("found", "expected"), [(GAIN, True), (GAIN - 0.01, False), (0.1, False)])
def test_convolutions_are_used_where_a_measurement_finds_them_faster(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, found: float, expected: bool
) -> None:
    monkeypatch.setattr(module, "_measured", lambda: found)
    with fast_functions():
        used = "ConvolutionBackward0" in operations(nn.Linear(8, 8)(torch.randn(ROWS, 8)))
    assert used == expected
    assert "ConvolutionBackward0" not in operations(nn.Linear(8, 8)(torch.randn(ROWS, 8)))
    assert way() == f"as {'convolutions' if expected else 'matrix products'} ({found:.2f})"


def test_a_machine_is_measured_once_and_other_threads_are_another_machine(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = iter([1.5, 0.9])
    monkeypatch.setattr(module, "_measured", lambda: next(measured))
    assert [gain(), gain()] == [1.5, 1.5]
    module._gain.cache_clear()  # as in another process
    assert gain() == 1.5
    threads = torch.get_num_threads()
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads + 1)
    assert gain() == 0.9 and len(list(fresh.glob("*.json"))) == 2


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"gain": "fast"}', '{"gain": NaN}', '{"gain": 1e9}'])
def test_a_damaged_measurement_is_made_again(fresh: Path, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    monkeypatch.setattr(module, "_measured", lambda: 1.5)
    gain()
    (kept,) = fresh.glob("*.json")
    kept.write_text(content)
    module._gain.cache_clear()
    assert gain() == 1.5 and json.loads(kept.read_text())["gain"] == 1.5


def test_a_cache_that_cannot_be_written_to_is_no_error(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_measured", lambda: 1.5)
    fresh.parent.write_text("a file")
    assert gain() == 1.5


@pytest.mark.parametrize("lacking", ["AVX-512", "MKL", "oneDNN"])
def test_nothing_is_measured_without_both_libraries_and_avx_512(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, lacking: str
) -> None:
    monkeypatch.setattr(module, "_measured", lambda: pytest.fail("measured"))
    where = {"AVX-512": torch.backends.cpu, "MKL": torch.backends.mkl, "oneDNN": torch.backends.mkldnn}[lacking]
    name = "get_cpu_capability" if lacking == "AVX-512" else "is_available"
    monkeypatch.setattr(where, name, lambda: "AVX2" if lacking == "AVX-512" else False)
    assert (gain(), way()) == (0.0, "")


def test_the_measurement_is_a_plausible_ratio_and_leaves_random_numbers_as_they_were() -> None:
    before = torch.get_rng_state()
    assert 0.05 < module._measured() < 20
    assert torch.equal(torch.get_rng_state(), before)


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
        monkeypatch.setattr(module, "gain", lambda pays=pays: GAIN if pays else 0.5)
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
