"""The processes that share a run: this one alone, or several that a launcher started together.

All go through the same run in the same order. They divide the batches of an evaluation or an attack, and the images of
a training batch. Afterwards each has the whole result. Only the main process prints and writes.

accelerate starts the group and sends objects. It cannot do the following, which is therefore done here;
``accelerate_alone`` in ``tests/helpers/world_program.py`` tries it out:

- Divide images: `prepare` fills the last batches with images from the start. `split_between_processes` cuts through
  batches, returns an array undivided, and divides nothing in a data loader's spawned worker.
- Join unequal parts: `gather` crashes. `gather_object` takes three times the memory of the result.
- Add up gradients: `prepare` averages them, and hangs if a process has no images. `reduce` takes no missing gradient,
  adds up the wrong elements if memory formats differ, and sends a message for every weight.
- Share an error: the other processes wait until the failed one ends. They never learn the reason for the record.
"""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from robench.errors import PluginError, RobenchError

if TYPE_CHECKING:
    from torch import Tensor, nn

T = TypeVar("T")
Number = TypeVar("Number", bound=np.generic)
Share = Callable[[int], slice]
"""Returns which of so many images are this process's."""


class _HeardError(Exception):
    """Holds an error of another process, so that no code on its way takes it for an error of its own."""


@dataclass(frozen=True, kw_only=True)
class World:
    """The processes of a run. A method "for all" must be called by all of them, in the same order.

    Attributes:
        size: The number of processes.
        rank: The number of this one; 0 is the main process.
    """

    size: int = 1
    rank: int = 0

    @property
    def is_main(self) -> bool:
        """Whether this process prints and writes."""
        return self.rank == 0

    def share(self, n: int, batch: int = 1) -> slice:
        """Return which of `n` images are this process's: whole batches of `batch`, as one process would see them."""
        starts = np.array_split(np.arange(0, n, batch), self.size)[self.rank].tolist()
        return slice(starts[0], min(n, starts[-1] + batch)) if starts else slice(n, n)

    def whole(self, n: int) -> slice:
        """Return all of `n` images in the main process and none in the others, for what cannot be divided."""
        return slice(0, n if self.is_main else 0)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """If another process raises within the block, raise the same in all at their next exchange. For all.

        The main process leaves first, so that it saves the record before the launcher ends all processes. If it is the
        one that fails, the others hear only that it has ended.
        """
        try:
            yield
            self.gather(None)
        except _HeardError as heard:
            self._tell_until_main_left(heard.args[0])
            raise heard.args[0] from None
        except BaseException as error:
            self._tell_until_main_left(error)
            raise

    def _tell_until_main_left(self, error: BaseException) -> None:
        if self.is_main:
            return
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:  # it cannot be sent, for example because its constructor takes two arguments
            error = RuntimeError(f"{type(error).__name__}: {error}")
        with contextlib.suppress(RobenchError):
            while True:
                with contextlib.suppress(_HeardError):
                    self.gather(_HeardError(error))

    def gather(self, value: T) -> list[T]:
        """Return the values of all processes, in their order. For all.

        Raises:
            RobenchError: Another process has ended.
        """
        if self.size == 1:
            return [value]
        from accelerate.utils import gather_object

        try:
            found: list[T] = gather_object([value])
        except RuntimeError as failure:
            raise RobenchError("another process of this run has ended; its launcher says which") from failure
        for heard in found:
            if isinstance(heard, _HeardError):
                raise heard
        return found

    def from_main(self, value: T) -> T:
        """Return the value of the main process. For all."""
        if self.size == 1:
            return value
        from accelerate.utils import broadcast_object_list

        self.gather(None)
        received: list[T] = broadcast_object_list([value])
        return received[0]

    def same(self, value: str, what: str) -> None:
        """Check that all processes have the same `value`. For all.

        Raises:
            PluginError: The values differ. The message shows them after `what`.
        """
        found = self.gather(value)
        if len(set(found)) > 1:
            differ = f"{what} differ between the {self.size} processes of this run ({', '.join(found)})"
            raise PluginError(f"{differ}; do all see the same files?")

    def concatenate(self, part: NDArray[Number]) -> NDArray[Number]:
        """Return the parts of all processes, in their order, as one array; empty parts may have any shape. For all."""
        if self.size == 1:
            return part
        from torch import distributed, from_numpy

        shapes = self.gather(part.shape)
        lengths = [shape[0] for shape in shapes]
        whole = np.empty((sum(lengths), *max(shapes)[1:]), part.dtype)
        for source, piece in enumerate(np.split(whole, np.cumsum(lengths)[:-1])):
            if source == self.rank:
                piece[:] = part.reshape(piece.shape)
            distributed.broadcast(from_numpy(piece), src=source)
        return whole

    def copy_main(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite `tensors` by those of the main process. For all."""
        if self.size == 1:
            return
        from accelerate.utils import broadcast

        self.gather(None)
        for tensor in tensors:
            tensor.detach().copy_(broadcast(tensor.detach().contiguous()))

    def add_up(self, weights: Sequence[nn.Parameter], total: Tensor) -> None:
        """Replace the gradients of `weights`, and `total`, by their sums over all processes. For all.

        The sums are the same bits in every process. A weight without a gradient in any process keeps none.
        """
        if self.size == 1:
            return
        from torch import cat, distributed, zeros_like

        summed = [total]
        for weight in compress(weights, np.any(self.gather([each.grad is not None for each in weights]), axis=0)):
            weight.grad = zeros_like(weight) if weight.grad is None else weight.grad
            summed.append(weight.grad)
        flat = cat([tensor.reshape(-1) for tensor in summed])
        distributed.all_reduce(flat)
        for tensor, values in zip(summed, flat.split([tensor.numel() for tensor in summed]), strict=True):
            tensor.copy_(values.view_as(tensor))


ALONE = World()
"""A process that shares its run with no other."""
