"""Checks of the attacks of a run against each other."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np

from robench.checks.verdict import check, must_beat, significantly_more
from robench.contracts.types import ASKING
from robench.records.record import AttackScore, Check
from robench.statistics.intervals import Mask


def white_box(scores: Sequence[AttackScore], searched: Collection[str] = ()) -> Iterator[Check]:
    """Compare the white-box attacks together with each transfer, query and unaware attack of the same norm and radius.

    Attacks that see the network's gradients, and its defence, must break at least as many images. A failure means
    masked gradients, unless the norm is one of `searched`, where gradients do not lead: then it is a warning.
    """
    white = [score for score in scores if score.knowledge == "white-box"]
    blind = [score for score in scores if score.knowledge in ("transfer", "unaware", *ASKING)]
    if not white and any(score.knowledge == "unaware" for score in scores):
        reason = "no attack knows the defence, so the figures say nothing of an adaptive attacker; leave out aware=no"
        yield check("white-box", "warn", reason)
    elif not white and any(score.norm not in searched or score.knowledge == "transfer" for score in blind):
        yield check("white-box", "warn", "no white-box attack was made, so that nothing bounds what transfers")
    elif white:
        seen = {(score.norm, score.eps) for score in white}
        missing = dict.fromkeys(pair for score in blind if (pair := (score.norm, score.eps)) not in seen)
        if missing:
            radii = ", ".join(f"{norm} {eps}" for norm, eps in missing)
            yield check("white-box", "warn", f"no white-box attack was made at {radii}, where others were")
    for weak in blind:
        rivals = [score for score in white if (score.norm, score.eps) == (weak.norm, weak.eps)]
        if not rivals:
            continue
        n = min(score.n for score in (weak, *rivals))
        # All of them together: one weak white-box attack, such as a single step, says nothing about gradients.
        found = np.logical_and.reduce([score.mask()[:n] for score in rivals])
        names = ", ".join(score.label for score in rivals)
        why = "a search finds more here" if weak.norm in searched else "masked gradients?"
        compared = must_beat("white-box", names, found, weak.mask()[:n], weak.label, why)
        lenient = compared.verdict == "fail" and weak.norm in searched
        yield compared.model_copy(update={"verdict": "warn"}) if lenient else compared


def above_clean(scores: Sequence[AttackScore], clean: Mask) -> Iterator[Check]:
    """See that no attack leaves more images right than no attack does."""
    for score in scores:
        found = score.mask()
        if score.knowledge != "nothing" and significantly_more(found, than=clean[: score.n]):
            reason = (
                f"{100 * found.mean():.1f} % are right under the attack, {100 * clean[: score.n].mean():.1f} % clean"
            )
            yield check("above clean", "fail", f"{reason}; an attack must not help", score.label)
