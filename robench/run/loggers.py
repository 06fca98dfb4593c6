"""Attach the loggers of ``--log`` to the runs of this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from robench.contracts.logger import Logger
from robench.registry.registry import Registry


@contextmanager
def listening(registry: Registry, texts: Sequence[str]) -> Iterator[None]:
    """Attach the loggers in `texts`, such as ``tensorboard:dir=runs``, to every run within the block.

    Raises:
        SpecError: No such logger, or a wrong parameter.
        PluginError: A logger cannot be opened.
    """
    loggers: list[Logger] = [registry.resolve("logger", text).build() for text in texts]
    for logger in loggers:
        logger.open()
    for logger in loggers:
        registry.manager.register(logger)
    try:
        yield
    finally:
        for logger in loggers:
            registry.manager.unregister(logger)
