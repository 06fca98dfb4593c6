"""Any attack of torchattacks by name: the class ``SINIFGSM`` of this module is made when it is first asked for."""

from __future__ import annotations

import contextlib
import inspect
import math
import random
import re
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from typing import Any, ClassVar, Literal

import numpy as np
import torch
import torchattacks
from pydantic import create_model
from robench import Attacker, AttackParams, Field, Later, NormParams, Pixels, Radius, SpecError, ThreatModel
from torch import Tensor, nn

from robench_plugins.attackers.eight_bit import nearest_in_ball
from robench_plugins.attackers.n_classes import n_classes
from robench_plugins.attackers.params import L0Params, L2Params
from robench_plugins.attackers.torchattacks.call import run
from robench_plugins.attackers.torchattacks.catalogue import UPSTREAM

_BASES: dict[str, type[AttackParams]] = {"Linf": AttackParams, "L2": L2Params, "L0": L0Params, "either": NormParams}
_RADII = ("eps", "max_epsilon")
# robench sets norm, radius (of pixels, too), seed and number of classes itself; the rest is not for users.
_HIDDEN = ("self", "model", "norm", *_RADII, "pixels", "gamma", "seed", "n_classes", "verbose", "eps_for_division")
_REAL = ("c", "kappa", "lam", "scale")
_CHOICES: dict[tuple[str, str], Any] = {
    ("UPGD", "loss"): Literal["ce", "dlr", "margin"],
    ("APGD", "loss"): Literal["ce", "dlr"],
    ("Square", "loss"): Literal["margin", "ce"],
    ("TIFGSM", "kernel_name"): Literal["gaussian", "linear", "uniform"],
    ("PGDRS", "noise_type"): Literal["guassian", "uniform"],
    ("PGDRSL2", "noise_type"): Literal["guassian", "uniform"],
    ("Pixle", "pixel_mapping"): Literal["random", "similarity", "similarity_random", "distance", "distance_random"],
    ("AutoAttack", "version"): Literal["standard", "plus", "rand"],
}


class TorchAttack(Attacker):
    """An attack of torchattacks under its own parameters, with robench's radius."""

    upstream: ClassVar[str]

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return what torchattacks returns; the clean image where that has a pixel that is NaN.

        Raises:
            SpecError: The attack needs more classes than the network has.
        """
        kind = _NextClass if self.upstream == "JSMA" else getattr(torchattacks, self.upstream)
        accepted = inspect.signature(kind).parameters
        n = n_classes(network, images)
        least = self._least_classes()
        if n < least:
            raise SpecError(
                f"torchattacks-{self.upstream.lower()} needs at least {least} classes (the network has {n}); "
                "use autoattack or apgd-ce instead"
            )
        threat = self.threat(surrogate=False)
        given: dict[str, Any] = {
            "norm": threat.norm,
            "eps": float(threat.eps),
            "max_epsilon": float(threat.eps),
            "n_classes": n,
            "seed": int(torch.randint(2**31, ())),
            # Its default 1e-10 is larger than the gradient of an image that the network is sure of.
            "eps_for_division": 1e-20,
        }
        if threat.norm == "L0":
            given |= _for_pixels(int(threat.eps), images[0].numel(), getattr(self.params, "restarts", 1))
        own = {key: getattr(self.params, key) for key in type(self.params).model_fields if key in accepted}
        settings = {key: value for key, value in {**own, **given}.items() if key in accepted}
        settings = {key: float(value) if isinstance(value, Fraction) else value for key, value in settings.items()}
        with _seeded_numpy(int(torch.randint(2**31, ()))):
            found: Tensor = run(kind, network, images, labels, **settings)
        # Attacks that know no radius are cut to it, as robench would.
        return found if accepted.keys() & set(_RADII) else _cut(images, found, threat)

    def _least_classes(self) -> int:
        """Return the classes that the attack needs: the difference of logits ratio 3, its targeted form 4, others 2."""
        settings = self.params.model_dump()
        if self.upstream == "APGDT" or settings.get("version") in ("standard", "plus"):
            return 4
        return 3 if settings.get("loss") == "dlr" or settings.get("version") == "rand" else 2


def _for_pixels(many: int, values: int, restarts: int) -> dict[str, Any]:
    """Return what keeps an attack on few pixels within the radius: pixels of OnePixel, gamma of JSMA, moves of Pixle.

    Args:
        many: The radius, in pixels.
        values: The values of an image, of which JSMA changes a share.
        restarts: Moves of Pixle that follow each other.
    """
    side = max(1, math.isqrt(many // restarts))
    moves = {"x_dimensions": (1, side), "y_dimensions": (1, side), "restarts": min(restarts, max(many, 1))}
    return {"pixels": max(many, 1), "gamma": many / values, **moves}


def _cut(images: Tensor, found: Tensor, threat: ThreatModel) -> Tensor:
    """Return `found` brought into the ball around `images`: in L2 towards the image, before it is rounded to 8 bits."""
    if threat.norm != "L2":
        return nearest_in_ball(images, found, threat)
    change, radius = found - images, float(threat.eps)
    length = change.flatten(1).norm(dim=1).clamp_min(1e-12).view(-1, 1, 1, 1)
    cut: Tensor = images + change * (radius / length).clamp_max(1)
    return cut


class _NextClass(torchattacks.JSMA):  # type: ignore[misc]
    """JSMA towards the next class of all classes; torchattacks assumes ten."""

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the adversarial images ``(N, 3, H, W)``."""
        n = self.get_logits(images[:1]).shape[1]
        self.set_mode_targeted_by_function(lambda _, own: (own + 1) % n, quiet=True)
        adversarial: Tensor = super().forward(images, labels)
        return adversarial


@contextlib.contextmanager
def _seeded_numpy(seed: int) -> Iterator[None]:
    """Seed numpy and Python within the block, because OnePixel and Pixle draw from their global states."""
    before = np.random.get_state(), random.getstate()
    np.random.seed(seed)
    random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(before[0])
        random.setstate(before[1])


def _field(attack: str, parameter: inspect.Parameter, about: str) -> tuple[Any, Any] | None:
    """Return the type and the field of one argument, described as in the docstring `about`; None if it is hidden."""
    name, default = parameter.name, parameter.default
    if name in _HIDDEN or isinstance(default, tuple):
        return None
    said = re.search(rf"^\s*{name} \(.*?\): *(.*?)\.?\s*(\(Default.*)?$", about, re.MULTILINE)
    description = said[1] if said else f"torchattacks' argument {name}"
    if name == "alpha":
        kind = Pixels if UPSTREAM[attack].norm == "Linf" else Radius
        return kind, Field(default=_exact(default), description="step size, in [0, 1] pixel units")
    if (attack, name) in _CHOICES:
        return _CHOICES[attack, name], Field(default=default, description=description)
    if isinstance(default, int) and not isinstance(default, bool) and name not in _REAL:
        return int, Field(default=default, ge=1, description=description)
    return (float if name in _REAL else type(default)), Field(default=default, description=description)


def _exact(value: float) -> Fraction:
    """Return a distance as a fraction, such as ``8/255`` if it is one of 255 levels."""
    levels = round(value * 255)
    return Fraction(levels, 255) if abs(levels - value * 255) < 1e-9 else Fraction(str(value))


@cache
def _make(name: str) -> type[TorchAttack]:
    entry, kind = UPSTREAM[name], getattr(torchattacks, name)
    parameters, about = inspect.signature(kind).parameters, inspect.cleandoc(kind.__doc__ or "")
    fields = {key: _field(name, parameter, about) for key, parameter in parameters.items()}
    given: dict[str, Any] = {key: field for key, field in fields.items() if field is not None}
    if entry.query:
        limit = Later(None, ge=1, description="most queries that robench answers for each image; no limit if not given")
        given["queries"] = (int | None, limit)
    params = create_model(f"{name}Params", __base__=_BASES[entry.norm], __module__=__name__, **given)
    # One class has no empty line after the first paragraph.
    summary = about.partition("\n\n")[0].partition("Distance Measure")[0]
    source = f", after arXiv:{entry.arxiv}" if entry.arxiv else ""
    return type(
        name,
        (TorchAttack,),
        {
            "__doc__": f"torchattacks.{name}: {entry.summary}.\n\n{' '.join(summary.split())}\n\n"
            f"Source: Kim, Torchattacks, 2020 (arXiv:2010.01950), version {torchattacks.__version__}{source}.",
            "__module__": __name__,
            "Params": params,
            "upstream": name,
            "norm": "Linf" if entry.norm == "either" else entry.norm,
            "knowledge": "query" if entry.query else "white-box",
        },
    )


def __getattr__(name: str) -> type[TorchAttack]:
    if name not in UPSTREAM:
        raise AttributeError(f"torchattacks has no attack {name!r}")
    return _make(name)
