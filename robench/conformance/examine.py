"""Build one component and check the rules of its kind."""

from __future__ import annotations

import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from robench.compute.precision import ieee
from robench.conformance.attacks import check_attacker
from robench.conformance.constraints import check_constraint
from robench.conformance.corruptions import check_corruption
from robench.conformance.datasets import check_dataset
from robench.conformance.defences import check_defence
from robench.conformance.finding import Finding
from robench.conformance.loggers import check_logger
from robench.conformance.models import check_model
from robench.conformance.tuners import check_tuner
from robench.contracts.context import RunContext
from robench.contracts.setting import TuningSetting
from robench.contracts.types import Kind
from robench.errors import RobenchError
from robench.registry.registry import Registry
from robench.run.plan import DEFAULT_DATASET, DEFAULT_MODEL, Request

SAMPLE = 7
"""Images for models and attacks; an odd number, so that the last batch is incomplete."""
TRAINED_ON = 24
"""Training images for tuners and loggers."""


def examine(
    registry: Registry,
    kind: Kind,
    text: str,
    *,
    dataset: str = DEFAULT_DATASET,
    model: str | None = None,
    device: torch.device | None = None,
) -> Iterator[Finding]:
    """Check a component and yield the result of each rule; an error of the component breaks the rule ``works``.

    Args:
        text: The component as typed on the command line, such as ``pgd:steps=3``.
        dataset: The images for models, attacks, defences and tuners.
        model: The network for attacks, defences and tuners; by default what the dataset recommends.

    Raises:
        SpecError: No such component, or a parameter is wrong.
    """
    resolved = None if kind in ("adaptation", "objective") else registry.resolve(kind, text)
    with _context(registry, text if kind == "dataset" else dataset, device) as context:
        chosen = model or registry.resolve("dataset", dataset).component.recommends.get("model", DEFAULT_MODEL)
        try:
            if kind == "dataset":
                assert resolved is not None
                yield from check_dataset(resolved.build)
            elif kind == "model":
                assert resolved is not None
                yield from check_model(resolved.build(), context, context.dataset.split("test", SAMPLE))
            elif kind == "attacker":
                network = registry.resolve("model", chosen).build().build(context).to(context.device)
                attack = registry.resolve_attack(text)
                yield from check_attacker(attack, network, context, context.dataset.split("test", SAMPLE))
            elif kind == "defence":
                assert resolved is not None
                built = registry.resolve("model", chosen).build()
                network = built.build(context).to(context.device)
                setting = TuningSetting(network=network, parts=built.adaptable(network), model=built, context=context)
                yield from check_defence(resolved.build, setting, context.dataset.split("test", SAMPLE))
            elif kind == "constraint":
                assert resolved is not None
                yield from check_constraint(resolved.build(), context, context.dataset.split("test", SAMPLE))
            elif kind == "corruption":
                assert resolved is not None
                yield from check_corruption(resolved.build, context, context.dataset.split("test", SAMPLE))
            elif kind == "logger":
                trains = _request(registry, "adaptation", registry.names("adaptation")[0], dataset, chosen)
                yield from check_logger(registry, text, trains, context)
            else:
                yield from check_tuner(registry, _request(registry, kind, text, dataset, chosen), context)
        except Exception as error:  # an error of the component is a result
            said = " ".join(str(error).split()) or "no message; --debug shows where"
            seen = said if isinstance(error, RobenchError) else f"{type(error).__name__}: {said}"
            yield Finding(rule="works", kept=False, seen=seen, traceback=traceback.format_exc())


@contextmanager
def _context(registry: Registry, dataset: str, device: torch.device | None) -> Iterator[RunContext]:
    resolved = registry.resolve("dataset", dataset)
    with tempfile.TemporaryDirectory() as folder, ieee():
        yield RunContext(
            dataset=resolved.build(),
            dataset_name=resolved.name,
            device=device or torch.device("cpu"),
            seed=0,
            cache_dir=Path(folder),
            component=registry.build,
        )


def _request(registry: Registry, kind: Kind, text: str, dataset: str, model: str) -> Request:
    """Return a run of one epoch; an adaptation is combined with the first objective, and the reverse."""
    name, colon, params = text.partition(":")
    if kind == "adaptation":
        name = f"{name}+{registry.names('objective')[0]}"
    elif kind == "objective":
        name = f"{registry.names('adaptation')[0]}+{name}"
    attacks = registry.names("attacker")[:1]
    asked = Request(
        dataset=dataset,
        model=model,
        tuner=name + colon + params,
        attacks=tuple(attacks),
        train_size=TRAINED_ON,
        test_size=SAMPLE,
    )
    fields = registry.implementation(registry.find("tuner", name)[1]).Params.model_fields
    return replace(asked, epochs=1) if "epochs" in fields and "epochs=" not in params else asked
