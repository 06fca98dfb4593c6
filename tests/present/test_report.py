"""Reports are read as their readers read them: the tables as text, the page as HTML, the pictures opened."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from PIL import Image
from robench import cli
from robench.present.figures.canvas import COLOURS, FILLS
from robench.present.report.chapter import chapter
from robench.present.report.classification import classification, macro_f1
from robench.present.report.comparison import comparison
from robench.present.report.write import to_html, to_markdown, write_report
from robench.records.record import RunError, RunResult, Status
from robench.records.samples import samples_path
from robench.records.store import Store

from tests.helpers.results import result, samples


class Page(HTMLParser):
    """The text, the pictures and the references of a page."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.text: list[str] = []
        self.tags: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.feed(content)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "img":
            self.images.append(dict(attributes))

    def handle_data(self, data: str) -> None:
        self.text.append(data.strip())


# Figures


def test_precision_recall_and_f1_are_their_definitions() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1, 2, 2])
    predictions = np.array([0, 0, 0, 1, 1, 0, 0, 1])
    table = classification(labels, predictions, ["a", "b", "c"])
    assert table.rows == (
        ("a", "60.0", "75.0", "66.7", "4"),
        ("b", "33.3", "50.0", "40.0", "2"),
        ("c", "0.0", "0.0", "0.0", "2"),
        ("macro mean", "31.1", "41.7", "35.6", "8"),
        ("mean weighted by support", "38.3", "50.0", "43.3", "8"),
    )


@settings(deadline=None)  # scikit-learn imports more at its first call
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60))
def test_macro_f1_is_the_mean_of_harmonic_means(pairs: list[tuple[int, int]]) -> None:
    labels, predictions = (np.array(column) for column in zip(*pairs, strict=True))
    wanted = []
    for label in range(4):
        right = int(((labels == label) & (predictions == label)).sum())
        either = int((labels == label).sum() + (predictions == label).sum())
        wanted.append(2 * right / either if either else 0.0)
    assert macro_f1(labels, predictions, 4) == pytest.approx(100 * float(np.mean(wanted)))


# Pages


def page_of(*runs: tuple[RunResult, object]) -> tuple[Page, str]:
    chapters = [chapter(record, shown) for record, shown in runs]  # type: ignore[arg-type]
    pictures = {picture.name: b"" for part in chapters for section in part.sections for picture in section.pictures}
    content = to_html(chapters, pictures)
    return Page(content), content


def test_the_page_says_what_the_record_says() -> None:
    page, _ = page_of((result(history=True), samples()))
    text = " ".join(page.text)
    for expected in ("clip-tiny, none on leaf-synth", "90.0", "82.6 to 94.5", "Linf 8/255 transfer", "40.0"):
        assert expected in text
    assert "Lowest accuracy of a class: 80.0 %, class 0 and 1 more." in page.text
    assert "Lowest accuracy of a class in the worst case at Linf 8/255: 0.0 %, class 0 and 3 more." in page.text
    losses = "2 of at most 2 epochs, loss 0.5000 at last; lowest validation loss 1.0000 in epoch 2"
    assert f"{losses}; learning rate 0.001 at first, 0.001 at last." in page.text
    assert page.text.count("macro mean") == 3 and "1,000 parameters, 0 of them trained." in page.text


def test_names_are_text_and_never_markup() -> None:
    record = result()
    assert record.data is not None
    names = ("<script>alert(1)</script>", "a|b", "c`d`", "[x](http://evil)")
    hostile = record.model_copy(
        update={"data": record.data.model_copy(update={"class_names": names}), "warnings": ("<img src=x>",)}
    )
    page, content = page_of((hostile, samples()))
    assert "script" not in page.tags and names[0] in page.text and "<img src=x>" not in content
    markdown = to_markdown([chapter(hostile, samples())])
    assert re.search(r"\\<script", markdown) and not re.search(r"(?<!\\)(<script|\]\(http)", markdown)
    rows = [line for line in markdown.splitlines() if "a\\|b" in line]
    cells = [len(re.findall(r"(?<!\\)\|", line)) - 1 for line in rows]
    assert cells == [5, 5, 5, 2]  # three tables of classes and one of counts


@pytest.mark.parametrize("status", ["failed", "interrupted"])
@pytest.mark.parametrize("lost", [("data", "tuning", "clean"), ("clean",), ()])
def test_runs_that_stopped_early_are_reported_with_what_they_have(status: Status, lost: tuple[str, ...]) -> None:
    error = RunError(type="DataError", message="no such file")
    whole = result(status=status, history=True).model_copy(update={"error": error})
    stopped = whole.model_copy(update={"attacks": whole.attacks[:1] if not lost else (), **dict.fromkeys(lost)})
    page, _ = page_of((stopped, None))
    assert ("It stopped before images were scored." in page.text) == bool(lost)
    assert ("82.6 to 94.5" in page.text) == (not lost)
    assert ("Of 2 attacks asked for, 1 were carried out." in page.text) == (not lost)
    assert f"The run is {status}, so its figures are incomplete." in page.text
    assert "Error: DataError: no such file" in page.text
    assert any(line.endswith("the run did not complete.") for line in page.text)
    compared = comparison([(stopped, None), (result(), samples())])
    assert compared.sections[0].tables[0].rows[0][-2] == status
    assert "The rows differ in status: do not rank them" in compared.sections[0].text[0]
    assert "rank" not in compared.sections[0].tables[0].headings


def test_a_record_without_samples_says_how_to_get_them() -> None:
    page, _ = page_of((result(), None))
    assert any("run it again with --force" in line for line in page.text)


def test_a_report_begins_with_its_result_and_has_no_empty_heading() -> None:
    record = result(clean=90, attacks=(("pgd-resnet20", 50, 100), ("pgd:eps=2/255", 60, 100)))
    small = record.attacks[1].model_copy(update={"eps": "2/255"})
    record = record.model_copy(update={"attacks": (record.attacks[0], small)})
    made = chapter(record, None)
    assert made.sections[0].title == "Result"
    (text,) = made.sections[0].text
    assert text.startswith("90.0 % of 100 clean test images are classified correctly (82.6 to 94.5).")
    assert "Under every attack within Linf 2/255, 60.0 % (50.2 to 69.1, n=100) stay so." in text
    assert "At Linf 8/255 it is at most 50.0 %" in text and text.endswith("Nothing was checked.")
    for section in made.sections:
        assert section.text or section.tables or section.pictures, section.title
    titles = [section.title for section in made.sections]
    assert "Augmentation" not in titles and titles[-1] == "Not in this report"
    assert any(line.startswith("Classes, Augmentation") for line in made.sections[-1].text)


def test_colours_of_figures_differ_in_grey() -> None:
    for colours in (FILLS, COLOURS):
        greys = sorted(float(np.dot(to_rgb(colour), [0.299, 0.587, 0.114])) for colour in colours[:4])
        assert min(np.diff(greys)) > 0.03, greys


def test_several_runs_are_compared_first() -> None:
    runs = [(result(tuner=tuner, clean=clean), samples()) for tuner, clean in (("none", 90), ("tecoa", 80))]
    head = comparison([*runs, (result(tuner="vpt"), None)])
    rows = head.sections[0].tables[0].rows
    assert [row[0] for row in rows] == ["clip-tiny, none", "clip-tiny, tecoa", "clip-tiny, vpt"]
    assert [row[1:8] for row in rows][1] == (
        "1 to 3",
        "none",
        "80.0 (71.1 to 86.7)",
        "0.0 (0.0 to 3.7)",
        "50.0 (40.4 to 59.6)",
        "0.0 (0.0 to 3.7)",
        f"{macro_f1(samples().labels, samples().predictions, 4):.1f}",
    )
    assert rows[1][8] == "leaf-synth, 100 test (abcdabcd)" and rows[2][7] == "-"
    best, may = head.sections[0].text
    assert best.startswith("Best in the worst case at Linf 8/255: clip-tiny, none, 0.0 % of 100 images (0.0 to 3.7)")
    assert best.endswith("do not tell it apart from clip-tiny, tecoa; clip-tiny, vpt.") and "may be compared" in may
    assert [section.title for section in head.sections] == ["Models", "Transfer"]


def test_what_forbids_a_comparison_is_named() -> None:
    """Rows may look alike, down to the tuner, and yet be scored on other images or under other attacks."""
    other = result(test_images="dcba" * 4, attacks=[("pgd-resnet20", 50, 100), ("pgd", 0, 50)])
    models = comparison([(result(), samples()), (other, None)]).sections[0]
    assert "The rows differ in test images, attacks: do not rank them" in models.text[0]
    (table,) = models.tables
    assert table.headings[1:7] == ("checks", "clean", "worst case at Linf 8/255", "pgd-resnet20", "pgd", "pgd:n=50")
    assert [row[8].rpartition(" ")[2] for row in table.rows] == ["(abcdabcd)", "(dcbadcba)"]
    assert [row[5:7] for row in table.rows] == [("0.0 (0.0 to 3.7)", "-"), ("-", "0.0 (0.0 to 7.1)")]


def test_names_are_no_formulas(tmp_path: Path) -> None:
    record = result()
    assert record.data is not None
    data = record.data.model_copy(update={"class_names": ("$\\bad$", "$5", "a_$x_b$", "^")})
    (page,) = write_report([chapter(record.model_copy(update={"data": data}), samples())], tmp_path, "html")
    assert "$\\bad$" in Page(page.read_text()).text


# The command


def report(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> tuple[str, str]:
    with pytest.raises(SystemExit) as exit_:
        cli.main(["report", *words])
    captured = capsys.readouterr()
    assert (exit_.value.code or 0) == code, captured.err
    return captured.out, captured.err


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    for tuner in ("none", "tecoa"):
        record = result(tuner=tuner, history=True)
        Store(folder).prepare()
        Store(folder).write(record)
        samples().save(samples_path(folder, record.run_id))
    return folder


@pytest.mark.slow
def test_the_page_needs_nothing_beside_itself(
    tmp_path: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = [file.stem for file in results.glob("*.json")]
    out, _ = report(capsys, *ids, "--results", str(results), "--output", str(tmp_path / "page"), "--format", "html")
    assert out.split() == [str(tmp_path / "page" / "report.html")]
    content = (tmp_path / "page" / "report.html").read_text()
    page = Page(content)
    assert "http" not in content.replace("data:image", "") and "script" not in page.tags and "link" not in page.tags
    assert page.tags.count("details") == 2 and len(page.images) > 8
    for image in page.images:
        kind, _, encoded = (image["src"] or "").partition(",")
        assert kind == "data:image/png;base64" and image["alt"]
        with Image.open(io.BytesIO(base64.b64decode(encoded))) as picture:
            assert min(picture.size) > 200


def test_markdown_names_the_pictures_beside_it(
    tmp_path: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = next(results.glob("*.json")).stem
    out, _ = report(
        capsys, run_id[:6], "--results", str(results), "--output", str(tmp_path / "md"), "--format", "markdown"
    )
    written = {Path(line).name for line in out.split()}
    named = set(re.findall(r"!\[[^]]+\]\(([^)]+)\)", (tmp_path / "md" / "report.md").read_text()))
    assert named and written == named | {"report.md"}
    for name in named:
        with Image.open(tmp_path / "md" / name) as picture:
            assert np.asarray(picture.convert("L")).std() > 5


@pytest.mark.slow
def test_bad_input_is_one_line(tmp_path: Path, results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_id = next(results.glob("*.json")).stem
    where = ("--results", str(results))
    assert "no run 'zzz'" in report(capsys, "zzz", *where, code=2)[1]
    assert "did you mean 'html'" in report(capsys, run_id, *where, "--format", "htm", code=2)[1]
    blocked = tmp_path / "file"
    blocked.write_text("")
    errors = report(capsys, run_id, *where, "--output", str(blocked / "x"), code=2)[1]
    assert f"cannot write a report to {blocked / 'x'}" in errors and errors.count("\n") == 1


@pytest.mark.slow
def test_a_report_is_the_same_whenever_it_is_written(tmp_path: Path) -> None:
    shown = replace(samples(), patches=np.eye(4, dtype=np.float32))
    first, again = (write_report([chapter(result(), shown)], tmp_path / name, "html")[0] for name in ("a", "b"))
    assert first.read_bytes() == again.read_bytes()
