"""What attacks have in common that look for the shortest perturbation instead of filling a ball."""

from __future__ import annotations

from fractions import Fraction

from robench import AttackParams, Field, Radius


class L2Params(AttackParams):
    """The radius within which the shortest perturbation must lie for its image to count as broken."""

    eps: Radius = Field(default=Fraction(128, 255), description="radius of the L2 ball, in [0, 1] pixel units")
