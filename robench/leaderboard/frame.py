"""The leaderboard as a pandas DataFrame: ``robench.leaderboard``."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from robench.records.record import RunResult
from robench.storage.location import cache_location, local_folder, parse_location

if TYPE_CHECKING:
    import pandas as pd


def leaderboard(
    results: str | Path | RunResult | Iterable[RunResult] = "results",
    *,
    sort: str = "worst",
    filters: str | Sequence[str] = (),
    runs: bool = False,
    cache_dir: str | Path | None = None,
) -> pd.DataFrame:
    """Return what ``robench leaderboard`` shows, a row for each method. A notebook shows it as a table.

    Ranks hold among rows of the same ``dataset``, ``split``, ``images`` and attacks, as in the command's tables.
    Accuracies are in percent with the ends of their 95 % intervals, by attack: ``clean_percent``, ``pgd_low``. A method
    may have any rank from ``rank_low`` to ``rank_high``; ``rank`` is the lowest.

    Args:
        results: Folder or URL of records; or records, such as those that :func:`robench.run` returns.
        sort: What to rank by: worst, clean, adversarial, drop, trainable or seconds.
        filters: Show only matching rows, as in ``tuner=lora*``.
        runs: Make each run a row of its own, and not the seeds of a method together.
        cache_dir: Where an index of 1,000 records or more is kept; None for the user's cache folder.

    Raises:
        SpecError: An unknown sort or filter.
        DataError: The folder does not exist, or a record contradicts itself.
    """
    import pandas as pd

    from robench.leaderboard.export import csv_fields, to_csv
    from robench.leaderboard.flatten import measurement_table
    from robench.leaderboard.index import read_measurements
    from robench.leaderboard.ranking import rank
    from robench.leaderboard.tables import make_table

    if isinstance(results, str | Path):
        cache = local_folder(cache_location(cache_dir))
        measured = read_measurements(_folder(results), cache, _warn, lambda done, total: None)
    else:
        measured = measurement_table([results] if isinstance(results, RunResult) else results)
    rankings = rank(measured, sort=sort, filters=[filters] if isinstance(filters, str) else filters, runs=runs)
    text = "".join(to_csv(map(make_table, rankings), csv_fields(rankings)))
    names = ("dataset", "split", "images", "model", "tuner", "checks", "plugins", "run_id", "worst_eps")
    if not text:
        return pd.DataFrame(columns=list(names))
    return pd.read_csv(io.StringIO(text), dtype=dict.fromkeys(names, "str"), keep_default_na=False, na_values=[""])


def _folder(results: str | Path) -> Path:
    from robench.records.shared_store import store_at

    store = store_at(parse_location(results))
    store.refresh()
    return store.folder


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=4)
