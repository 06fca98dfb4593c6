"""The processes that share a run: this one alone, or several that a launcher started together.

All go through the same run in the same order. What no other image changes is dealt out: whole batches of an evaluation
or an attack, parts of a training batch. What comes of it is put together again in all of them, so that each goes on as
if it had done everything itself. The main process alone prints and writes.
"""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from robench.errors import PluginError, RobenchError

if TYPE_CHECKING:
    from torch import Tensor, nn

T = TypeVar("T")
Number = TypeVar("Number", bound=np.generic)
Share = Callable[[int], slice]
"""Which of so many images are this process's."""

MESSAGE = 1 << 28
"""Bytes of an array that are sent at once."""


class _HeardError(Exception):
    """What another process raised, on its way through this one."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(frozen=True, kw_only=True)
class World:
    """The processes of a run. What is said to be for all must be called by all of them, in the same order.

    Attributes:
        size: How many there are.
        rank: Which of them this is; 0 is the main one.
    """

    size: int = 1
    rank: int = 0

    @property
    def is_main(self) -> bool:
        """Whether this process prints and writes."""
        return self.rank == 0

    def share(self, n: int, batch: int = 1) -> slice:
        """Return which of `n` images are this process's: whole batches of `batch` images, nearly as many for each.

        The shares of all processes follow one another. A batch has the same images as in one process alone, so that
        what is computed of it is the same.
        """
        batches = -(-n // batch)
        first, last = (-(-batches * rank // self.size) for rank in (self.rank, self.rank + 1))
        return slice(min(n, first * batch), min(n, last * batch))

    def whole(self, n: int) -> slice:
        """Return all of `n` images in the main process, none in the others: the shares of what cannot be dealt out."""
        return slice(0, n if self.is_main else 0)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Let no process go on alone: what one raises within the block, all raise at their next exchange.

        The main process does not wait to be heard: it records what it raised, and ends. The others end after it, since
        a launcher ends all processes as soon as one has failed.
        """
        try:
            yield
            self.gather(None)
        except _HeardError as heard:
            self._outlast_main()
            raise heard.error from None
        except BaseException as error:
            self._tell(error)
            self._outlast_main()
            raise

    def gather(self, value: T) -> list[T]:
        """Return the value that each process gave, in their order. For all.

        Raises:
            RobenchError: Another process has ended.
        """
        return self._exchange((None, value))

    def from_main(self, value: T) -> T:
        """Return the value that the main process gave. For all."""
        if self.size == 1:
            return value
        from accelerate.utils import broadcast_object_list

        self.gather(None)
        (given,) = broadcast_object_list([value if self.is_main else None])
        return given  # type: ignore[no-any-return]

    def same(self, value: str, what: str) -> None:
        """See that all processes have the same `value`. For all.

        Raises:
            PluginError: They do not; the message says of `what`.
        """
        found = self.gather(value)
        if len(set(found)) > 1:
            raise PluginError(
                f"{what} differ between the {self.size} processes of this run ({', '.join(found)}); do all see the "
                "same files?"
            )

    def concatenate(self, part: NDArray[Number]) -> NDArray[Number]:
        """Return the parts of all processes, in their order, as one array; empty ones may be of any shape. For all."""
        if self.size == 1:
            return part
        import torch
        from torch import distributed

        shapes = self.gather(part.shape)
        ends = np.cumsum([0, *(shape[0] for shape in shapes)]).tolist()
        item = next((shape[1:] for shape in shapes if shape[0]), part.shape[1:])
        whole = np.empty((ends[-1], *item), part.dtype)
        whole[ends[self.rank] : ends[self.rank + 1]] = part.reshape(-1, *item)
        at_once = max(1, MESSAGE // max(1, whole[:1].nbytes))
        for source, (first, last) in enumerate(pairwise(ends)):
            for start in range(first, last, at_once):
                piece = whole[start : min(last, start + at_once)]
                distributed.broadcast(torch.from_numpy(piece), src=source)
        return whole

    def copy_main(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite `tensors` by those of the main process. For all."""
        if self.size == 1:
            return
        import torch
        from torch import distributed

        self.gather(None)
        with torch.no_grad():
            for tensor in tensors:
                flat = tensor.reshape(-1).clone()
                distributed.broadcast(flat, src=0)
                tensor.copy_(flat.view_as(tensor))

    def add_up(self, weights: Sequence[nn.Parameter], total: Tensor) -> None:
        """Replace the gradients of `weights`, and `total`, by their sums over all processes. For all.

        The sums are the same bits everywhere. A weight without a gradient in any process keeps none.
        """
        if self.size == 1:
            return
        import torch
        from torch import distributed

        used = np.any(self.gather([weight.grad is not None for weight in weights]), axis=0)
        summed = [total]
        for weight in (weight for weight, anywhere in zip(weights, used, strict=True) if anywhere):
            weight.grad = torch.zeros_like(weight) if weight.grad is None else weight.grad
            summed.append(weight.grad)
        flat = torch.cat([tensor.reshape(-1) for tensor in summed])
        distributed.all_reduce(flat)
        for tensor, values in zip(summed, flat.split([tensor.numel() for tensor in summed]), strict=True):
            tensor.copy_(values.view_as(tensor))

    def _tell(self, error: BaseException) -> None:
        """Give the others `error` in place of what they wait for; if they are gone, there is nobody to tell."""
        if self.is_main:
            return
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:  # an exception with a constructor of its own
            error = RuntimeError(f"{type(error).__name__}: {error}")
        with contextlib.suppress(_HeardError, RobenchError):
            self._exchange((error, None))

    def _outlast_main(self) -> None:
        """Wait for an exchange that the main process will not come to, until it has left."""
        if not self.is_main:
            with contextlib.suppress(_HeardError, RobenchError):
                self._exchange((None, None))

    def _exchange(self, given: tuple[BaseException | None, Any]) -> list[Any]:
        if self.size == 1:
            return [given[1]]
        from accelerate.utils import gather_object

        try:
            found = gather_object([given])
        except RuntimeError as error:
            raise RobenchError("another process of this run has ended; its launcher says which") from error
        for failure, _ in found:
            if failure is not None:
                raise _HeardError(failure)
        return [value for _, value in found]


ALONE = World()
"""A process that shares its run with no other."""
