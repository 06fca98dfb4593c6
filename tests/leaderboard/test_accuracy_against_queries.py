"""Accuracy against queries wherever records are read: in the terminal, figures, tables for programs and the page."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from pydantic import ValidationError
from robench.leaderboard.export import csv_fields, to_csv, to_json
from robench.leaderboard.flatten import measurement_table
from robench.leaderboard.ranking import rank
from robench.leaderboard.site.detail import MOST_POINTS, detail
from robench.leaderboard.tables import leaderboard, make_table
from robench.present.figures.catalogue import catalogue
from robench.present.report.chapter import chapter
from robench.present.show import describe_run
from robench.records.query_counts import QueryCounts
from robench.records.record import RunResult

from tests.helpers.results import asked


def test_a_terminal_has_figures_and_a_curve() -> None:
    text = describe_run(asked())
    assert "at most 500 queries an image, 82 on average; of the 80 that fell half fell by query 40" in text
    assert "right after 0, 1, 10, 100, 500 queries: 90.0, 90.0, 90.0, 10.0, 10.0 %" in text
    curve = next(line for line in text.splitlines() if line.endswith(" 500 queries"))
    assert curve.count("▇") > 20 and curve.count("▁") > 15
    assert "no limit of queries" in describe_run(asked(budget=None))
    assert "queries" not in describe_run(asked(counted=False))


def test_a_figure_begins_clean_and_falls() -> None:
    draw = catalogue(asked(), None)["queries"]
    assert not isinstance(draw, str)
    (axes,) = draw().axes
    x, y = axes.lines[0].get_data()
    assert list(x) == [0, 40, 500] and list(y) == [90, 10, 10]
    assert [section.title for section in chapter(asked(), None).sections].count("Accuracy against queries") == 1
    old = catalogue(asked(counted=False), None)["queries"]
    assert old == "no attack asked queries, or the record is older than their counts"


def test_tables_for_programs_have_the_mean_over_seeds_at_the_numbers_that_all_share() -> None:
    records = [asked(0, at=40), asked(1, at=5)]
    rankings = rank(measurement_table(records))
    (row,) = csv.DictReader(io.StringIO("".join(to_csv(map(make_table, rankings), csv_fields(rankings)))))
    figures = {at: float(row[f"square_after_{at}_percent"]) for at in (1, 10, 100, 500)}
    assert figures == {1: 90, 10: 50, 100: 10, 500: 10}
    (table,) = json.loads("".join(to_json(map(make_table, rankings))))
    places = [column["label"] for column in table["columns"]]
    curves = dict(zip(places, table["rows"][0]["queries"], strict=True))
    assert curves["pgd"] == [] and [(at, rate["percent"]) for at, rate in curves["square"]] == list(figures.items())

    (table,) = leaderboard([records[0], asked(1, counted=False)])
    assert table.rows[0].queries == ((), ())
    old = rank(measurement_table([asked(counted=False)]))
    assert not [field for field in csv_fields(old) if "_after_" in field]
    assert make_table(old[0]).rows[0].queries == ()


def test_the_page_has_the_curve_thinned() -> None:
    (measured,) = detail(asked(), "")["measured"]
    (curve,) = measured["queries"]
    assert curve["label"] == "square" and curve["points"] == [[0, 90.0], [40, 10.0], [500, 10.0]]
    assert "at most 500 queries an image, 82 on average" in curve["about"]
    assert detail(asked(counted=False), "")["measured"][0]["queries"] == []

    many = asked(n=1000)
    fell = np.arange(1000)
    fell[:10], fell[990:] = -1, 0
    counts = QueryCounts.of(np.full(1000, 5000), fell, 5000)
    square = many.attacks[0].model_copy(update={"queries": counts})
    points = detail(many.model_copy(update={"attacks": (square, many.attacks[1])}), "")["measured"][0]["queries"][0]
    assert len(points["points"]) == MOST_POINTS and points["points"][-1] == [5000, 1.0]


def test_counts_that_do_not_fit_which_images_are_right_are_refused() -> None:
    text = asked().model_dump_json()
    assert RunResult.model_validate_json(text).attacks[0].queries is not None
    fell = np.full(100, 7)  # as if every image had fallen
    wrong = QueryCounts.of(np.full(100, 7), fell, 500)
    content = json.loads(text)
    content["attacks"][0]["queries"] = wrong.model_dump()
    with pytest.raises(ValidationError, match="fell to the queries of square are not those that are wrong"):
        RunResult.model_validate(content)
