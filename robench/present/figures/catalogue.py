"""The figures that a run can have, and why it cannot have the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from robench.present.harmless import terminal
from robench.records.record import RunResult
from robench.records.samples import Samples
from robench.storage.whole_file import whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 130

NO_SAMPLES = "no sample images are kept with this record; run it again with --force"
NOT_COMPLETED = "the run did not complete"


def catalogue(result: RunResult, samples: Samples | None) -> dict[str, Callable[[], Figure] | str]:
    """Return for each figure a function that draws it, or the reason why it cannot be drawn."""
    from robench.present.figures.augmented import augmented
    from robench.present.figures.balance import balance, counts
    from robench.present.figures.classes import classes
    from robench.present.figures.confusion import confusion
    from robench.present.figures.corruptions import corruptions
    from robench.present.figures.curves import curves
    from robench.present.figures.examples import examples, random_samples
    from robench.present.figures.patches import patches
    from robench.present.figures.queries import asking, queries
    from robench.present.figures.reliability import answers, reliability
    from robench.present.figures.security import epsilon_curves, security, step_curves
    from robench.present.figures.similarity import similarity

    found: dict[str, Callable[[], Figure] | str] = {}
    lacking = NO_SAMPLES if result.status == "completed" else NOT_COMPLETED
    needs: dict[Callable[[RunResult, Samples], Figure], tuple[str, str]] = {
        examples: ("", ""),
        random_samples: ("", ""),
        classes: ("", ""),
        confusion: ("", ""),
        similarity: ("", ""),
        augmented: ("augmented", "the training images were not augmented"),
        patches: ("patches", "the network shows no encoded patches"),
    }
    for draw, (field, reason) in needs.items():
        name = draw.__name__.replace("_", "-")
        if samples is None or result.data is None:
            found[name] = lacking
        elif field and getattr(samples, field) is None:
            found[name] = reason
        else:
            found[name] = lambda d=draw, s=samples: d(result, s)  # type: ignore[misc]
    found["balance"] = (lambda: balance(result)) if counts(result) else "the record has no class counts"
    trained = result.tuning is not None and bool(result.tuning.history)
    found["curves"] = (lambda: curves(result)) if trained else "nothing was trained"
    curved = bool(epsilon_curves(result) or step_curves(result))
    found["security"] = (
        (lambda: security(result)) if curved else "needs attacks that differ in eps or in steps alone, such as two eps"
    )
    found["reliability"] = (lambda: reliability(result)) if answers(result) else "the record keeps no confidences"
    several = any(len({score.severity for score in each.scores}) > 1 for each in result.corruptions)
    found["corruptions"] = (
        (lambda: corruptions(result)) if several else "no corruption was scored at several severities"
    )
    found["queries"] = (
        (lambda: queries(result))
        if asking(result)
        else "no attack asked queries, or the record is older than their counts"
    )
    return found


def write_figures(
    records: list[tuple[RunResult, Samples | None]], folder: Path, style: str
) -> tuple[list[Path], dict[str, str]]:
    """Draw all figures that can be drawn as ``folder/RUN_ID/NAME`` and, for several runs, ``folder/transfer``.

    Returns:
        The files written; and for each figure that was not drawn, the reason.

    Raises:
        OSError: `folder` cannot be written to.
    """
    written: list[Path] = []
    skipped: dict[str, str] = {}

    def write(path: Path, draw: Callable[[], Figure]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        save(draw, path, DPI)
        written.append(path)

    for result, samples in records:
        for name, draw in catalogue(result, samples).items():
            if isinstance(draw, str):
                skipped[f"{result.run_id}/{name}"] = draw
            else:
                write(folder / result.run_id / f"{name}.{style}", draw)
    if len(records) > 1:
        from robench.present.figures.transfer import transfer, transfer_matrix

        results = [result for result, _ in records]
        if transfer_matrix(results) is None:
            skipped["transfer"] = "needs runs with white-box or transfer attacks"
        else:
            write(folder / f"transfer.{style}", lambda: transfer(results))
    return written, skipped


def save(draw: Callable[[], Figure], target: Path | BinaryIO, dpi: int) -> None:
    """Draw a figure and write it to a file, in the format of its suffix, or as PNG to a stream.

    Raises:
        OSError: `target` cannot be written to.
    """
    from matplotlib import rc_context

    # A dollar sign in the name of a class or a file does not begin a formula.
    with rc_context({"text.parse_math": False}):
        if not isinstance(target, Path):
            draw().savefig(target, dpi=dpi)
            return
        with whole_file(target) as draft:  # the suffix of the draft is no format
            draw().savefig(draft, dpi=dpi, format=target.suffix.removeprefix("."))
            if target.suffix == ".svg":  # matplotlib repeats every text in a comment
                draft.write_text(terminal(draft.read_text(encoding="utf-8")), encoding="utf-8")
