"""What all corruptions of the benchmark share: which of them are made, and how strong."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator
from robench import Corruption

from robench_plugins.corruptions.named import chosen_names, chosen_severities
from robench_plugins.corruptions.strengths import EXTRA, MAIN, SEVERITIES


def _known(only: str) -> str:
    chosen_names(only, MAIN, EXTRA)
    return only


def _of_five(severities: str) -> str:
    chosen_severities(severities, SEVERITIES)
    return severities


Only = Annotated[str, AfterValidator(_known)]
"""Names as :func:`robench_plugins.corruptions.named.chosen_names` reads them."""
Severities = Annotated[str, AfterValidator(_of_five)]
"""Severities as :func:`robench_plugins.corruptions.named.chosen_severities` reads them."""


class Chosen(Corruption):
    """Some of the 15 + 4 corruptions of Hendrycks and Dietterich; its parameters have ``only`` and ``severities``."""

    params: Any

    def names(self) -> tuple[str, ...]:
        """Return the corruptions asked for, in the order of the paper."""
        return chosen_names(self.params.only, MAIN, EXTRA)

    def severities(self) -> tuple[int, ...]:
        """Return the severities asked for."""
        return chosen_severities(self.params.severities, SEVERITIES)
