"""Batch norms folded into the convolutions before them while a network is attacked, which saves time."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

from robench.networks.evaluate import evaluation_mode

TOLERANCE = 1e-4
"""Largest change of a logit, relative to the largest logit: a few roundings of float32."""


@contextlib.contextmanager
def folded(network: nn.Module, sample: Tensor) -> Iterator[None]:
    """Within the block, fold the batch norms of `network` into the convolutions before them.

    In evaluation mode a batch norm scales and shifts each channel. A convolution with other weights and a bias does the
    same, and saves the memory traffic of several activations. Logits and gradients stay the same up to rounding.
    Modules are replaced, never changed, and return afterwards. If folding would change the logits of `sample`, the
    network stays as it is, for example one that normalises by its batch.

    Args:
        network: The network.
        sample: Images ``float32 (N, 3, H, W)`` in ``[0, 1]``, on its device.

    Source: Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only
    inference", CVPR 2018, section 3.2.
    """
    with _without_trace(network, sample):
        pairs = list(_pairs(network))
        before = network(sample) if pairs else None
    originals = [(parent, name, getattr(parent, name)) for pair in pairs for parent, name in pair]
    try:
        if before is not None:
            with _without_trace(network, sample):
                _fold(pairs)
                moved = (network(sample) - before).abs().max()
            # Not `moved > ...`, so that NaN counts as moved.
            if not bool(moved <= TOLERANCE * before.abs().max()):
                _restore(originals)
        yield
    finally:
        _restore(originals)


@contextlib.contextmanager
def _without_trace(network: nn.Module, sample: Tensor) -> Iterator[None]:
    """Use `network` in evaluation mode; random numbers that it draws leave torch's random state as it was."""
    devices = [sample.device] if sample.is_cuda else []
    with evaluation_mode(network), torch.no_grad(), torch.random.fork_rng(devices=devices):
        yield


Child = tuple[nn.Module, str]
"""A module and the name of one of its children."""


def _fold(pairs: list[tuple[Child, Child]]) -> None:
    for (conv_parent, conv_name), (norm_parent, norm_name) in pairs:
        conv, norm = getattr(conv_parent, conv_name), getattr(norm_parent, norm_name)
        setattr(conv_parent, conv_name, fuse_conv_bn_eval(conv, norm))
        # Some batch norms have their activation as a child. Without children this is the identity.
        setattr(norm_parent, norm_name, nn.Sequential(*norm.children()).eval())


def _restore(originals: list[tuple[nn.Module, str, nn.Module]]) -> None:
    for parent, name, module in originals:
        setattr(parent, name, module)


def _pairs(module: nn.Module) -> Iterator[tuple[Child, Child]]:
    """Yield every convolution whose output goes only to one batch norm, and that batch norm."""
    if not any(isinstance(each, _BatchNorm) for each in module.modules()):
        return
    try:
        graph = _Tracer().trace(module)
    except Exception:  # tracing gives code a stand-in for images, at which it may raise anything
        for child in module.children():
            yield from _pairs(child)
        return
    called = [node for node in graph.nodes if node.op == "call_module"]
    times = Counter(node.target for node in called)
    for node in called:
        source = node.args[0] if node.args else None
        norm = module.get_submodule(str(node.target))
        if not isinstance(source, fx.Node) or source.op != "call_module" or len(source.users) > 1:
            continue
        conv = module.get_submodule(str(source.target))
        if times[node.target] == times[source.target] == 1 and _foldable(conv, norm):
            yield _child(module, str(source.target)), _child(module, str(node.target))


def _foldable(conv: nn.Module, norm: nn.Module) -> bool:
    return (
        type(conv) is nn.Conv2d
        and isinstance(norm, nn.BatchNorm2d | nn.SyncBatchNorm)
        and norm.running_mean is not None
        and not any((conv._forward_hooks, conv._forward_pre_hooks, norm._forward_hooks))
    )


def _child(module: nn.Module, target: str) -> Child:
    parent, _, name = target.rpartition(".")
    return module.get_submodule(parent), name


class _Tracer(fx.Tracer):
    """Traces a network down to its batch norms, of any class."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, _BatchNorm) or bool(super().is_leaf_module(m, module_qualified_name))
