"""Runs from Python: ``robench.run`` is the command of that name, ``robench.evaluate`` takes any network."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from robench.errors import SpecError
from robench.records.record import RunResult
from robench.registry.registry import Registry, discover
from robench.registry.resolved import Resolved
from robench.run.others import Size
from robench.run.plan import DEFAULT_TEST_SIZE, DEFAULT_TRAIN_SIZE, DEFAULT_TUNER, Request, check_files, plan
from robench.run.recorded_run import Setting, recorded_run, refuse_unused, remarks
from robench.storage.location import cache_location, parse_location
from robench.suite.parts import run_of
from robench.suite.places import read_places
from robench.suite.shelf import find_suite

if TYPE_CHECKING:
    from torch import nn

Names = str | Iterable[str]
Checks = Literal["fast", "full", "off"]
Precision = Literal["float32", "mixed", "bfloat16", "bfloat16-attacks"]


def run(
    *,
    dataset: str | None = None,
    model: str | None = None,
    tuner: str = DEFAULT_TUNER,
    defence: Names | None = None,
    attacks: Names | None = None,
    suite: str | Path | None = None,
    data: Names = (),
    protocol: str | None = None,
    train_size: Size = DEFAULT_TRAIN_SIZE,
    shots: int | None = None,
    test_size: Size = DEFAULT_TEST_SIZE,
    split: Literal["test", "validation"] = "test",
    epochs: int | None = None,
    lr: float | None = None,
    batch_size: int | None = None,
    seed: int = 0,
    eval_datasets: Names = (),
    corruptions: Names = (),
    save_adapter: str | Path | None = None,
    adapter: str | Path | None = None,
    save_images: str | Path | None = None,
    precision: Precision = "mixed",
    white_box: bool = True,
    plugins: Iterable[str | Path] = (),
    log: Names = (),
    checks: Checks = "fast",
    device: str = "auto",
    compile: bool = False,  # the option's name
    results: str | Path | None = "results",
    cache_dir: str | Path | None = None,
    force: bool = False,
    progress: bool = False,
) -> RunResult:
    """Do what ``robench run`` does, and return the record.

    A run that is recorded in `results` is not repeated; its record is returned. What the command prints on standard
    error, such as checks that do not pass, becomes a Python warning. ``robench run --help`` explains the options, whose
    names and defaults are these.

    Args:
        dataset: As typed after ``--dataset``; None for leaf-synth, or for the only run of a suite.
        suite: A suite such as ``offline@1``, or the path of a TOML file. It says images, attacks and training, and
            `dataset` names which of its data sets.
        data: Folders of the suite's data sets, as typed after ``--data``.
        attacks: One attack or several, as typed after ``--attack``; None for the default attacks, an empty list for
            none. `eval_datasets`, `corruptions` and `log` are typed as after their options.
        defence: One defence or several, the one that meets images first.
        plugins: Single-file plugins, as of ``--plugin``.
        results: Folder or URL of records; None to keep no record.
        cache_dir: Folder or URL of the cache; None for the user's cache folder, or ``ROBENCH_CACHE``.
        progress: Show progress bars on standard error.

    Raises:
        RobenchError: As the command says. A run that failed has a record, too.
    """
    asked: dict[str, Any] = {
        "dataset": dataset,
        "model": model,
        "tuner": tuner,
        "defence": None if defence is None else _texts(defence),
        "attacks": None if attacks is None else _texts(attacks),
        "protocol": protocol,
        "train_size": train_size,
        "shots": shots,
        "test_size": test_size,
        "split": split,
        "epochs": epochs,
        "lr": lr,
        "batch_size": batch_size,
        "seed": seed,
        "eval_datasets": _texts(eval_datasets),
        "corruptions": _texts(corruptions),
        "adapter": None if adapter is None else str(adapter),
        "precision": precision,
        "white_box": white_box,
    }
    setting = _setting(results, cache_dir, device, checks, log, compile, force, save_images, save_adapter)
    return _carried_out(_Asked(asked, suite, _texts(data)), setting, None, plugins, progress)


def evaluate(
    network: nn.Module,
    *,
    dataset: str | None = None,
    defence: Names | None = None,
    attacks: Names | None = None,
    suite: str | Path | None = None,
    data: Names = (),
    name: str | None = None,
    test_size: Size = DEFAULT_TEST_SIZE,
    split: Literal["test", "validation"] = "test",
    seed: int = 0,
    eval_datasets: Names = (),
    corruptions: Names = (),
    save_images: str | Path | None = None,
    precision: Precision = "mixed",
    white_box: bool = True,
    plugins: Iterable[str | Path] = (),
    log: Names = (),
    checks: Checks = "fast",
    device: str = "auto",
    compile: bool = False,
    results: str | Path | None = "results",
    cache_dir: str | Path | None = None,
    progress: bool = False,
) -> RunResult:
    """Score any network clean and under attack, and return the record, which is as that of a run.

    The record calls the model ``given-in-python``, identified by the hashes of its ``state_dict`` and its source.
    A record cannot hold a network, so ``robench reproduce`` refuses such a run. The network is measured at every call,
    because functions that it calls are in neither hash. It is given back as it was: modes, weights and device.

    Args:
        network: From images ``float32 (N, 3, H, W)`` in ``[0, 1]`` to logits ``(N, n_classes)``, with the classes of
            `dataset` in their order. It normalises its input itself.
        name: What to call it in tables; by default its class.

    All other arguments are those of :func:`robench.run`.

    Raises:
        PluginError: The network returns something else than logits of the dataset's classes.
        RobenchError: As ``robench run`` says.
    """
    from robench.networks.borrowed import borrowed
    from robench.run.given import given

    asked: dict[str, Any] = {
        "dataset": dataset,
        "defence": None if defence is None else _texts(defence),
        "attacks": None if attacks is None else _texts(attacks),
        "test_size": test_size,
        "split": split,
        "seed": seed,
        "eval_datasets": _texts(eval_datasets),
        "corruptions": _texts(corruptions),
        "precision": precision,
        "white_box": white_box,
    }
    setting = _setting(results, cache_dir, device, checks, log, compile, True, save_images)
    model = given(network, name)
    with borrowed(network):
        return _carried_out(_Asked(asked, suite, _texts(data)), setting, model, plugins, progress)


def _setting(
    results: str | Path | None,
    cache_dir: str | Path | None,
    device: str,
    checks: Checks,
    log: Names,
    compiled: bool,
    force: bool,
    save_images: str | Path | None,
    save_adapter: str | Path | None = None,
) -> Setting:
    """Return where and how a run is carried out, as both functions take it."""
    return Setting(
        results=None if results is None else parse_location(results),
        cache_dir=cache_location(cache_dir),
        device=device,
        checks=checks,
        loggers=_texts(log),
        compiled=compiled,
        force=force,
        save_adapter=None if save_adapter is None else Path(save_adapter),
        save_images=None if save_images is None else Path(save_images),
    )


@dataclass(frozen=True)
class _Asked:
    """What was asked for in Python: fields of a :class:`Request`, a suite, and where its data sets lie."""

    fields: dict[str, Any]
    suite: str | Path | None
    data: tuple[str, ...]

    def request(self, registry: Registry, given_network: bool) -> Request:
        """Return the request; of a suite, the run of it that was asked for.

        Raises:
            SpecError: There is no such suite, or it says what was asked for otherwise; or data without a suite.
        """
        usual = {field.name: field.default for field in fields(Request)}
        given = {name: value for name, value in self.fields.items() if value not in (None, usual[name])}
        if self.suite is None:
            if self.data:
                raise SpecError("data= says where data sets of a suite lie; pass suite= too, or path= of the dataset")
            return Request(**given)
        found = find_suite(registry, str(self.suite)).suite
        if given_network and found.model:
            _warn(
                f"suite {found.full_name} sets {', '.join(found.model)} of models, which a network that is given in "
                "Python keeps as its own"
            )
        given |= {"model": None} if given_network else {}
        dataset = given.pop("dataset", None)
        return Request(**run_of(registry, found, given, read_places(self.data), dataset))


def _carried_out(
    asked: _Asked, setting: Setting, model: Resolved | None, plugins: Iterable[str | Path], progress: bool
) -> RunResult:
    from robench.records.shared_store import store_at
    from robench.run.identity import Found, contents_of, recorded

    registry = discover(files=[str(path) for path in plugins])
    request = asked.request(registry, model is not None)
    planned = plan(registry, request, model)
    refuse_unused(request, planned)
    setting.check(planned)
    found = Found(record=None)
    if setting.results is not None and model is None:
        found = recorded(store_at(setting.results), planned, contents_of(planned, setting.cache_dir))
    if found.record is None or setting.anew:
        check_files(planned)
    bars: AbstractContextManager[None] = nullcontext()
    if progress:
        from rich.console import Console

        from robench.run.progress import progress_bars

        bars = progress_bars(registry.manager, Console(stderr=True))
    result, new = recorded_run(registry, planned, found, setting, say=_warn, bars=bars)
    assert result is not None  # Python starts no other processes
    for line in remarks(result) if new else found.notes:
        _warn(line)
    return result


def _warn(message: str) -> None:
    """Warn of a line of the user's code: the nearest that is not robench's own."""
    frame, level = inspect.currentframe(), 0
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "robench":
        frame, level = frame.f_back, level + 1
    warnings.warn(message.removeprefix("warning: "), stacklevel=level + 1)


def _texts(given: Names) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)
