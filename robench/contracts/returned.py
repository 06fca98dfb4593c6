"""What methods of plugins must return: stated at the contract, and checked at every call of an implementation."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sized
from fractions import Fraction
from functools import cached_property, wraps
from numbers import Integral, Real
from typing import Any, TypeVar

from robench.errors import PluginError

Method = TypeVar("Method", bound=Callable[..., Any])
Check = Callable[[Any, Mapping[str, Any]], str]
"""From what was returned, and the arguments by name, to what was expected in words; empty if that is what came."""
MARK = "_robench_returns"


def returns(check: Check) -> Callable[[Method], Method]:
    """State what all implementations of a contract's method return. :func:`enforce` sees to it."""

    def mark(method: Method) -> Method:
        vars(method)[MARK] = (check, inspect.signature(method))
        return method

    return mark


def enforce(implementation: type) -> None:
    """Let each method that `implementation` defines, and that a contract above it marks, check what it returns."""
    for name, member in list(vars(implementation).items()):
        marks = (getattr(_function(vars(base).get(name)), MARK, None) for base in implementation.__mro__[1:])
        function, found = _function(member), next(filter(None, marks), None)
        if function is not None and found is not None:
            _replace(implementation, name, member, _checked(function, *found))


def _checked(function: Callable[..., Any], check: Check, signature: inspect.Signature) -> Callable[..., Any]:
    @wraps(function)
    def call(self: Any, *given: Any, **named: Any) -> Any:
        found = function(self, *given, **named)
        try:
            arguments = signature.bind(self, *given, **named).arguments
        except TypeError:  # a plugin calls its own method with arguments of its own
            return found
        if expected := check(found, arguments):
            owner = self if isinstance(self, type) else type(self)
            raise PluginError(
                f"{owner.__module__}:{owner.__qualname__}.{function.__name__} returned {told(found)}; "
                f"expected {expected}"
            )
        return found

    vars(call)[MARK] = (check, signature)
    return call


def _function(member: Any) -> Any:
    """Return the function of a method or a property; None of another member of a class."""
    if isinstance(member, property):
        return member.fget
    if isinstance(member, cached_property):
        return member.func
    return member if inspect.isfunction(member) else None


def _replace(implementation: type, name: str, member: Any, function: Callable[..., Any]) -> None:
    if isinstance(member, cached_property):
        member.func = function
    else:
        setattr(implementation, name, member.getter(function) if isinstance(member, property) else function)


def told(value: Any) -> str:
    """Return what `value` is in a few words."""
    if value is None:
        return "None"
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        kind = "a tensor" if is_tensor(value) else "a numpy array"
        return f"{kind} {str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
    if isinstance(value, str | Real):
        return f"the {type(value).__name__} {value!r}"[:80]
    many = f" of {len(value)}" if isinstance(value, Sized) else ""
    return f"a {type(value).__name__}{many}"


def is_tensor(value: Any) -> bool:
    """Return whether `value` is a tensor of torch, without importing it."""
    return "torch" in sys.modules and isinstance(value, sys.modules["torch"].Tensor)


def _is_floating(value: Any) -> bool:
    return is_tensor(value) and value.is_floating_point()


def _is_module(value: Any) -> bool:
    return "torch" in sys.modules and isinstance(value, sys.modules["torch"].nn.Module)


def _is_scalar(value: Any) -> bool:
    return _is_floating(value) and value.dim() == 0


def instance(kind: type, what: str) -> Check:
    """Return the check for an instance of `kind`."""
    return lambda found, call: "" if isinstance(found, kind) else what


def optional(check: Check) -> Check:
    """Return the check that also takes None."""

    def either(found: Any, call: Mapping[str, Any]) -> str:
        expected = "" if found is None else check(found, call)
        return f"{expected}, or None" if expected else ""

    return either


def images_like(found: Any, call: Mapping[str, Any]) -> str:
    """Check images of the shape of the argument ``images``."""
    shape = tuple(call["images"].shape)
    return "" if _is_floating(found) and tuple(found.shape) == shape else f"a floating-point tensor of shape {shape}"


def images(found: Any, call: Mapping[str, Any]) -> str:
    """Check as many images as the argument ``images``, of any height and width."""
    n = len(call["images"])
    right = _is_floating(found) and found.dim() == 4 and found.shape[:2] == (n, 3)
    return "" if right else f"a floating-point tensor of shape ({n}, 3, H, W)"


def logits(found: Any, call: Mapping[str, Any]) -> str:
    """Check logits for each of the argument ``images``."""
    n = len(call["images"])
    right = _is_floating(found) and found.dim() == 2 and len(found) == n
    return "" if right else f"a floating-point tensor of logits ({n}, n_classes)"


def scalar(found: Any, call: Mapping[str, Any]) -> str:
    """Check a number with gradients."""
    return "" if _is_scalar(found) else "a floating-point tensor without dimensions, such as loss.mean()"


def penalty(found: Any, call: Mapping[str, Any]) -> str:
    """Check a number with or without gradients."""
    return "" if _is_scalar(found) or isinstance(found, Real) else "a number, or a tensor without dimensions"


def terms(found: Any, call: Mapping[str, Any]) -> str:
    """Check summands by name."""
    right = isinstance(found, Mapping) and found and all(map(_is_scalar, found.values()))
    return "" if right else "floating-point tensors without dimensions by name, at least one"


def network(found: Any, call: Mapping[str, Any]) -> str:
    """Check a network."""
    return "" if _is_module(found) else "a torch.nn.Module from images to logits"


def parts(found: Any, call: Mapping[str, Any]) -> str:
    """Check parts of a network by name."""
    right = isinstance(found, Mapping) and all(map(_is_module, found.values()))
    return "" if right else "a dict of torch.nn.Module by the names of parts"


def token_ids(found: Any, call: Mapping[str, Any]) -> str:
    """Check token ids of the argument ``texts``."""
    n = len(call["texts"])
    right = is_tensor(found) and not found.is_floating_point() and found.dim() == 2 and len(found) == n
    return "" if right else f"a tensor of token ids int64 ({n}, L)"


def texts(found: Any, call: Mapping[str, Any]) -> str:
    """Check a sequence of texts, which a single text is not."""
    return "" if isinstance(found, tuple | list) and _all(found, str) else "a tuple of str"


def groups(found: Any, call: Mapping[str, Any]) -> str:
    """Check a group of texts for each class."""
    right = isinstance(found, tuple | list) and all(
        isinstance(each, tuple | list) and _all(each, str) for each in found
    )
    return "" if right else "a tuple of prompts, a tuple of str, for each class"


def lines(found: Any, call: Mapping[str, Any]) -> str:
    """Check some texts, which a single text is not."""
    return "" if isinstance(found, Iterable) and not isinstance(found, str | bytes) else "some str, such as a list"


def count(found: Any, call: Mapping[str, Any]) -> str:
    """Check a number of things."""
    right = isinstance(found, Integral) and not isinstance(found, bool) and int(found) >= 0
    return "" if right else "an int of at least 0"


def counts(found: Any, call: Mapping[str, Any]) -> str:
    """Check a number for each class."""
    return "" if isinstance(found, tuple | list) and _all(found, Integral) else "a tuple of int, one for each class"


def labels(found: Any, call: Mapping[str, Any]) -> str:
    """Check labels in an array."""
    right = not is_tensor(found) and getattr(getattr(found, "dtype", None), "kind", "") in "iu" and found.ndim == 1
    return "" if right else "a numpy array int64 (N,)"


def history(found: Any, call: Mapping[str, Any]) -> str:
    """Check the rows of a training."""
    rows = isinstance(found, list | tuple) and all(isinstance(row, Mapping) for row in found)
    return "" if rows and all(_all(row.values(), Real) for row in found) else "a list with a dict of numbers an epoch"


def levels_like(found: Any, call: Mapping[str, Any]) -> str:
    """Check 8-bit images of the shape of the argument ``images``."""
    shape = call["images"].shape
    right = str(getattr(found, "dtype", "")) == "uint8" and found.shape == shape
    return "" if right else f"a numpy array uint8 {shape}"


def corrupted(found: Any, call: Mapping[str, Any]) -> str:
    """Check 8-bit images of the shape of those in the argument ``images``, a set."""
    return levels_like(found, {"images": call["images"].images})


def severities(found: Any, call: Mapping[str, Any]) -> str:
    """Check some whole numbers in rising order."""
    right = isinstance(found, tuple | list) and _all(found, Integral) and list(found) == sorted(set(found))
    return "" if right else "a tuple of int in rising order, such as (1, 2, 3, 4, 5)"


def levels(found: Any, call: Mapping[str, Any]) -> str:
    """Check 8-bit images on the device, of the shape of the argument ``clean``."""
    shape = tuple(call["clean"].shape)
    right = is_tensor(found) and str(found.dtype) == "torch.uint8" and tuple(found.shape) == shape
    return "" if right else f"a tensor uint8 of shape {shape}"


def sizes(found: Any, call: Mapping[str, Any]) -> str:
    """Check a number for each of the images that the first argument holds."""
    return "" if _is_floating(found) and _each(found, call) else f"a floating-point tensor of shape ({_n(call)},)"


def flags(found: Any, call: Mapping[str, Any]) -> str:
    """Check whether something is so of each of the images that the first argument holds."""
    right = is_tensor(found) and str(found.dtype) == "torch.bool" and _each(found, call)
    return "" if right else f"a tensor bool of shape ({_n(call)},)"


def radius(found: Any, call: Mapping[str, Any]) -> str:
    """Check a radius."""
    right = isinstance(found, Fraction | int) and not isinstance(found, bool) and found >= 0
    return "" if right else "a fractions.Fraction of at least 0"


def function(found: Any, call: Mapping[str, Any]) -> str:
    """Check something that can be called."""
    return "" if callable(found) else "a function of images"


mapping = instance(Mapping, "a dict")
text = instance(str, "a str")


def _n(call: Mapping[str, Any]) -> int:
    return len(call["clean"] if "clean" in call else call["images"])


def _each(found: Any, call: Mapping[str, Any]) -> bool:
    return tuple(found.shape) == (_n(call),)


def _all(values: Iterable[Any], kind: type) -> bool:
    return all(isinstance(value, kind) for value in values)
