"""A device ``cuda`` for machines without one: it computes on the CPU, and refuses what a GPU refuses.

Tensors on it carry a mark. An operation on a marked and an unmarked tensor is an error, and so is numpy's view of a
marked one. It shows nothing of time, memory, rounding or copies that nobody waits for, and what runs in backward passes
is not looked at.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from unittest.mock import patch

import torch
import torch._dynamo  # compares what is patched below, when it is imported
from torch import Tensor
from torch.overrides import TorchFunctionMode

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
MARK = "_on_the_stand_in"
MOVES = {Tensor.to, Tensor.cuda, Tensor.cpu, Tensor.type_as}
MIXES: set[Any] = {
    Tensor.set_,
    Tensor.backward,
    torch.autograd.backward,
    torch.autograd.grad,
    torch._has_compatible_shallow_copy_type,
    torch.nn.functional.interpolate,
}
"""What takes tensors of two devices: whole graphs, and sizes that are read from tensors."""
INDEXED: set[Any] = {Tensor.__getitem__, Tensor.__setitem__, Tensor.index_put, Tensor.index_put_, torch.index_put}
"""What takes indices of the CPU beside a tensor of the GPU, but not the reverse."""


def on_gpu(tensor: object) -> bool:
    """Return whether `tensor` is one that counts as being on the GPU."""
    return isinstance(tensor, Tensor) and MARK in tensor.__dict__


def _marked(found: Any) -> Any:
    if isinstance(found, Tensor):
        found.__dict__[MARK] = True
    elif isinstance(found, (tuple, list)):
        for each in found:
            _marked(each)
    return found


def _tensors(given: Iterable[Any]) -> list[Tensor]:
    """Return all tensors among arguments, also those in lists, tuples and dictionaries."""
    found: list[Tensor] = []
    for each in given:
        if isinstance(each, Tensor):
            found.append(each)
        elif isinstance(each, (tuple, list)):
            found += _tensors(each)
        elif isinstance(each, dict):
            found += _tensors(each.values())
    return found


class _StandIn(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.__name__ in ("__get__", "__set__"):
            return _attribute(func, args)
        kwargs = {key: value for key, value in kwargs.items() if key != "pin_memory"} if kwargs else {}
        first = args[0] if args else None
        there = on_gpu(first)
        if func in (Tensor.numpy, Tensor.__array__) and there:
            raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first")
        if func is Tensor.get_device:
            return 0 if there else -1
        if func is Tensor.pin_memory:
            return first
        if func is Tensor.copy_:
            return func(*args, **kwargs)
        if func is Tensor.__deepcopy__:  # whose second argument holds copies of other tensors
            return _marked(func(*args)) if there else func(*args)
        if func in MOVES:
            return _moved(func, first, args[1:], kwargs)
        if (device := kwargs.get("device")) is not None:
            if torch.device(device).type != "cuda":
                return func(*args, **kwargs)
            return _marked(func(*args, **{**kwargs, "device": CPU}))
        tensors = _tensors(args)
        if kwargs:
            tensors += _tensors(kwargs.values())
        here = [each for each in tensors if MARK not in each.__dict__]
        if len(here) == len(tensors):
            return func(*args, **kwargs)
        if here and func not in MIXES:
            _refuse_mixes(func, args, here)
        return _marked(func(*args, **kwargs))


def _attribute(func: Any, args: Any) -> Any:
    tensor, name, there = args[0], getattr(func.__self__, "__name__", ""), on_gpu(args[0])
    if func.__name__ == "__set__":
        func(*args)
        if name == "data" and not on_gpu(args[1]):
            tensor.__dict__.pop(MARK, None)
        elif name == "data":
            _marked(tensor)
        return None
    answers = {"device": GPU, "is_cuda": True, "is_cpu": False}
    if there and name in answers:
        return answers[name]
    return _marked(func(*args)) if there else func(*args)


def _refuse_mixes(func: Any, args: Any, here: list[Tensor]) -> None:
    here = [each for each in here if each.dim() > 0]
    if func in INDEXED:
        indices = _tensors(args[1:2])
        if not on_gpu(args[0]) and any(map(on_gpu, indices)):
            raise RuntimeError("indices should be either on cpu or on the same device as the indexed tensor (cpu)")
        # Values for places that no tensor names are copied, from wherever they are.
        here = [each for each in here if indices and any(each is value for value in args[2:])]
    if here:
        raise RuntimeError(f"{func.__name__}: Expected all tensors to be on the same device, found cuda:0 and cpu")


def _moved(func: Any, tensor: Tensor, rest: Any, kwargs: dict[str, Any]) -> Tensor:
    target = {Tensor.cpu: CPU, Tensor.cuda: GPU}.get(func, kwargs.pop("device", None))
    dtype = kwargs.pop("dtype", None)
    for each in rest:
        if isinstance(each, torch.dtype):
            dtype = each
        elif isinstance(each, Tensor):
            target, dtype = (GPU if on_gpu(each) else CPU), each.dtype
        elif isinstance(each, (torch.device, str)):
            target = each
    there, found = on_gpu(tensor), tensor
    kind = torch.device(target).type if target is not None else "cuda" if there else "cpu"
    if kind not in ("cuda", "cpu"):
        return tensor.to(target)
    layout = {key: value for key, value in kwargs.items() if key == "memory_format"}
    if dtype is not None or layout:
        found = tensor.to(dtype=dtype or tensor.dtype, **layout)
    if found is tensor and (kind == "cuda") != there:
        found = tensor.clone()
    return _marked(found) if kind == "cuda" else found


class _Event:
    def record(self, stream: object) -> None:
        pass

    def query(self) -> bool:
        return True


@contextlib.contextmanager
def stand_in_gpu() -> Iterator[torch.device]:
    """Let this process have a GPU that is none, and return it."""
    answers: dict[str, Callable[..., Any]] = {
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "device_count": lambda: 1,
        "device": lambda device: contextlib.nullcontext(),
        "current_stream": lambda device=None: None,
        "current_device": lambda: 0,
        "get_device_name": lambda device=None: "stand-in",
        "is_bf16_supported": lambda including_emulation=True: including_emulation,
        "empty_cache": lambda: None,
        "get_rng_state": lambda device=None: torch.get_rng_state(),
        "set_rng_state": lambda state, device=None: None,
        "manual_seed": lambda seed: None,
        "manual_seed_all": lambda seed: None,
        "Event": _Event,
    }
    make = Tensor._make_subclass

    def made(cls: Any, data: Tensor, *others: Any) -> Any:
        """Make a parameter of what may be on the GPU."""
        return _marked(make(cls, data, *others)) if on_gpu(data) else make(cls, data, *others)

    with contextlib.ExitStack() as stack:
        for name, answer in answers.items():
            for module in (torch.cuda, torch.cuda.random):
                if hasattr(module, name):
                    stack.enter_context(patch.object(module, name, answer))
        stack.enter_context(patch.object(torch.accelerator, "is_available", lambda: False))  # it would ask for streams
        stack.enter_context(patch.object(Tensor, "_make_subclass", staticmethod(made)))
        stack.enter_context(_StandIn())
        yield GPU
