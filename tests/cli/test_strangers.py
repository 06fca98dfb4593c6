"""No record of a stranger ends a command, reaches the terminal as more than text, or hides the records beside it."""

from __future__ import annotations

import base64
import json
import os
import random
import zlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from robench.contracts.types import parse_radius
from robench.errors import DataError
from robench.present.harmless import cell, markdown, script, terminal
from robench.records.samples import Samples, samples_path
from robench.records.store import read_record
from safetensors.numpy import save_file

from robench_plugins.datasets.leaf_synth import LeafSynth
from tests.helpers.results import result, samples
from tests.helpers.strangers import ESCAPES, HOSTILE, READERS, SLOW, changed, fault, places, run

GOOD: dict[str, Any] = json.loads(result(seed=1, history=True).model_dump_json())
BASE: dict[str, Any] = json.loads(result(tuner="lora", history=True).model_dump_json())
QUICK = [reader for reader in READERS if reader not in SLOW]


def tried(folder: Path, readers: list[str], number: int) -> list[str]:
    """Return what went wrong in a fixed sample of (place, value, reader)."""
    every = [(place, name, reader) for place in places(BASE) for name in HOSTILE for reader in readers]
    chosen = random.Random(0).sample(every, number)
    found = {each: fault(folder, GOOD, changed(BASE, each[0], HOSTILE[each[1]]), each[2]) for each in chosen}
    return [f"{each}: {wrong}" for each, wrong in found.items() if wrong]


def test_any_value_anywhere_costs_nobody_else_anything(tmp_path: Path) -> None:
    assert not tried(tmp_path, QUICK, 60)


@pytest.mark.slow
def test_many_values_anywhere_cost_nobody_else_anything(tmp_path: Path) -> None:
    assert not tried(tmp_path, QUICK, 1500)
    assert not tried(tmp_path, list(SLOW), 40)


@pytest.mark.parametrize("reader", QUICK)
@pytest.mark.parametrize("value", ["markup", "escapes", "direction", "formula", "another formula", "table"])
def test_a_label_is_only_text(tmp_path: Path, value: str, reader: str) -> None:
    for place in (("spec", "model", "label"), ("spec", "attacks", 1, "label"), ("warnings",)):
        hostile = HOSTILE[value]
        bad = changed(BASE, place, [hostile] if place == ("warnings",) else hostile)
        assert fault(tmp_path, GOOD, bad, reader) is None


def bomb(record: dict[str, Any], n: int) -> dict[str, Any]:
    packed = base64.b64encode(zlib.compress(bytes(2 * n), 9)).decode()
    data = {**record["data"], "labels": packed, "test_counts": [n, 0, 0, 0]}
    return {**record, "data": data}


REFUSED: dict[str, dict[str, Any]] = {
    "a loss that no axis can show": changed(BASE, ("tuning", "history", 0, "loss"), 1e300),
    "labels beyond the cap": bomb(BASE, 2**21),
    "labels of other images": bomb(BASE, 101),
    "labels of no image": bomb(BASE, 0),
    "a huge number of images": changed(BASE, ("spec", "test_size"), 10**30),
    "a radius that is none": changed(BASE, ("attacks", 0, "eps"), "junk"),
    "a radius that takes for ever": changed(BASE, ("attacks", 0, "eps"), "1e999999999"),
    "NaN in a parameter": changed(BASE, ("spec", "tuner", "params"), {"a": [float("nan")]}),
    "infinite seconds": changed(BASE, ("seconds", "total"), float("inf")),
    "seconds whose sum is infinite": changed(BASE, ("seconds",), {"a": 1e308, "b": 1e308}),
    "a date that is none": changed(BASE, ("provenance", "started"), "2026-13-01T00:00:00+00:00"),
    "bits beyond n": changed(BASE, ("clean", "bits"), base64.b64encode(np.packbits(np.arange(104) < 90) | 1).decode()),
    "deep parameters": changed(BASE, ("spec", "tuner", "params"), {"a": HOSTILE["deep"]}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_shown_is_refused_where_it_is_read(tmp_path: Path, name: str) -> None:
    bad = REFUSED[name]
    path = tmp_path / f"{bad['run_id']}.json"
    path.write_text(json.dumps(bad))
    with pytest.raises(DataError, match="not a valid record") as refused:
        read_record(path)
    assert len(str(refused.value)) < 1000 and "\n" not in str(refused.value)
    assert fault(tmp_path / "table", GOOD, bad, "table") is None


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")], ids=["a pipe", "no end"])
def test_only_regular_files_are_opened(tmp_path: Path, make: Any) -> None:
    path = tmp_path / "theirs" / f"{GOOD['run_id']}.json"
    path.parent.mkdir()
    (tmp_path / "results").mkdir()
    (path.parent / f"{BASE['run_id']}.json").write_text(json.dumps(BASE))
    make(path)
    for words in (["verify", "--since", str(tmp_path / "results")], ["verify"], ["leaderboard"]):
        code, _, err = run([*words, "--results", str(path.parent), "--cache-dir", str(tmp_path / "cache")])
        why = "not a regular file" in err or "a link out of its folder" in err
        assert code in (0, 1) and why and "unexpected" not in err


@pytest.mark.parametrize(
    "option", ["--dataset=folder:manifest=", "--model=resnet20:weights=", "--adapter=", "--attack=images:path="]
)
@pytest.mark.parametrize("kind", ["pipe", "no end", "name"])
def test_files_that_never_end_or_have_no_name_are_refused(tmp_path: Path, option: str, kind: str) -> None:
    path = tmp_path / (os.fsdecode(b"bad\xff.csv") if kind == "name" else "file.csv")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "no end":
        path.symlink_to("/dev/zero")
    else:
        path.write_text("file,label\n")
    code, _, err = run(["run", f"{option}{path}", "--dry-run", "--results", str(tmp_path / "results")])
    assert code == 2 and err.count("\n") == 1 and ("no UTF-8" in err or kind != "name")


@pytest.mark.parametrize(
    "words", [["leaderboard", "--runs"], ["show", BASE["run_id"]], ["verify"]], ids=lambda words: words[0]
)
def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "secret.json").write_text(json.dumps(BASE))
    results = tmp_path / "results"
    results.mkdir()
    (results / f"{GOOD['run_id']}.json").write_text(json.dumps(GOOD))
    (results / f"{BASE['run_id']}.json").symlink_to(tmp_path / "secret.json")
    cache = [] if words[0] == "show" else ["--cache-dir", str(tmp_path / "cache")]
    code, out, err = run([*words, "--results", str(results), *cache])
    assert "a link out of its folder" in err and BASE["run_id"] not in out
    assert (code == 0 and GOOD["run_id"] in out) or words[0] != "leaderboard"


@pytest.mark.parametrize("place", ["outside", "inside"])
def test_a_key_that_stands_twice_is_refused(tmp_path: Path, place: str) -> None:
    twice = '"seed": 5, "seed": 0' if place == "inside" else '"seed": 0'
    text = json.dumps(BASE).replace('"seed": 0', twice, 1)
    text = text if place == "inside" else text.replace("{", '{"status": "failed", ', 1)
    path = tmp_path / f"{BASE['run_id']}.json"
    path.write_text(text)
    with pytest.raises(DataError, match="stands twice") as refused:
        read_record(path)
    assert str(path) in str(refused.value)
    path.write_text(json.dumps(BASE))
    assert read_record(path)


def test_a_label_names_every_parameter_that_is_not_the_default(tmp_path: Path) -> None:
    bad = changed(BASE, ("spec", "attacks", 1, "params"), {"eps": "8/255", "steps": 2})
    for record, told in ((bad, True), (BASE, False)):
        (tmp_path / f"{record['run_id']}.json").write_text(json.dumps(record))
        code, _, err = run(["verify", "--results", str(tmp_path), "--cache-dir", str(tmp_path / "cache")])
        assert ("label 'pgd' leaves out steps=2" in err) is told and code == int(told)
        code, _, err = run(["merge", str(tmp_path), "--dry-run", "--results", str(tmp_path / "mine")])
        assert ("refused" in err) is told
        (tmp_path / f"{record['run_id']}.json").unlink()


def test_a_distance_that_takes_for_ever_is_refused() -> None:
    for text in ("1e999999999", "1e-999999999", "1" * 5000):
        with pytest.raises(ValueError, match="not a distance"):
            parse_radius(text)
    assert parse_radius("1e-3") == Fraction(1, 1000)


SAMPLES: dict[str, dict[str, Any]] = {
    "logits of no class": {"logits": np.zeros((4, 0), np.float32)},
    "logits that are infinite": {"logits": np.full((4, 4), np.inf, np.float32)},
    "pictures of no pixel": {"clean": np.zeros((4, 3, 0, 0), np.uint8)},
    "an attack of another size": {"0.images": np.zeros((4, 3, 5, 5), np.uint8)},
    "an index below 0": {"indices": np.array([0, 1, 2, -1])},
    "predictions below 0": {"predictions": np.full(100, -1, np.int32)},
    "patches of nothing": {"patches": np.zeros((0, 0), np.float32)},
    "augmented of one number": {"augmented": np.zeros(1, np.uint8)},
}


@pytest.mark.parametrize("name", [*SAMPLES, "a deep header"])
def test_samples_that_cannot_be_shown_are_refused(tmp_path: Path, name: str) -> None:
    path = samples_path(tmp_path, "0" * 12)
    made = samples()
    made.save(path)
    about = json.dumps({"attacks": ["pgd-resnet20", "pgd"], "temperature": 10.0})
    arrays = {key: value for key, value in vars(made).items() if isinstance(value, np.ndarray)}
    for number, attack in enumerate(made.attacks):
        arrays |= {f"{number}.{key}": value for key, value in vars(attack).items() if key != "label"}
    save_file(arrays, path, {"about": about})
    assert Samples.load(path)
    save_file({**arrays, **SAMPLES.get(name, {})}, path, {"about": about if name in SAMPLES else "[" * 100_000})
    with pytest.raises(DataError, match="cannot be read"):
        Samples.load(path)


MANY = f"title = 't'\nseeds = {list(range(2000))}\n" + "".join(
    f"[[rows]]\nname = '{n}'\ntuner = 'none'\n" for n in range(9)
)


@pytest.mark.parametrize(
    "text", ["a=" + "[" * 100_000, "seeds=[1" + "0" * 5000 + "]", MANY], ids=["deep", "long", "many"]
)
def test_a_sweep_file_that_cannot_be_read_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "sweep.toml"
    path.write_text(text)
    code, _, err = run(["sweep", str(path), "--dry-run", "--results", str(tmp_path / "results")])
    assert code == 2 and err.count("\n") == 1 and "unexpected" not in err


def test_each_output_shows_foreign_text_as_text() -> None:
    assert terminal(ESCAPES).isprintable() and terminal("tab\tand\nline, é 漢") == "tab\tand\nline, é 漢"
    assert not {"|", "<", "`", "\n"} & set(markdown(HOSTILE["table"])) and markdown("90.0 [88.1, 92.0]").count("[") == 1
    assert [cell(each) for each in ("=1", " +1", "@x", "a=1", -1)] == ["'=1", "' +1", "'@x", "a=1", -1]
    hidden = {"a": "\u202e\x1b</script> \\u202e 🌱"}
    assert json.loads(script(json.dumps(hidden))) == {"a": "\\u202e\\u001b</script> \\u202e 🌱"}
    assert "<" not in script(json.dumps(hidden))


def test_nothing_is_printed_past_the_one_place(root: Path) -> None:
    files = [path for path in (root / "robench" / "cli").glob("*.py") if path.name != "output.py"]
    assert files and not [path.name for path in files if "click.echo(" in path.read_text()]


@pytest.mark.parametrize("what", ["weights", "surrogate", "adapter", "adapter in another order", "adapter of none"])
def test_a_dry_run_refuses_files_that_were_trained_on_other_classes(tmp_path: Path, what: str) -> None:
    path, names = tmp_path / "file.safetensors", ["cat", "dog"]
    if "order" in what:
        names = sorted(LeafSynth().class_names, reverse=True)
    made_with = {"tuner": "full+ce", "model": "resnet20", "model_fingerprint": "0", "class_names": json.dumps(names)}
    made_with |= {"class_names": "5"} if "none" in what else {}
    save_file({"x": np.zeros(1, np.float32)}, path, made_with)
    option = {
        "weights": f"--model=resnet20:weights={path}",
        "surrogate": f"--attack=pgd-resnet20:surrogate.weights={path}",
    }
    code, out, err = run(["run", option.get(what, f"--adapter={path}"), "--dry-run", "--results", str(tmp_path)])
    assert code == 2 and not out and err.count("\n") == 1 and str(path) in err
    assert ("in another order" if "order" in what else "no list of names" if "none" in what else "'cat'") in err


@pytest.mark.parametrize("what", ["class", pytest.param("file", marks=pytest.mark.slow)])
def test_names_that_are_no_utf8_are_refused_or_shown_as_codes(tmp_path: Path, what: str) -> None:
    for name in ("ant", "bee"):
        (tmp_path / name).mkdir()
        for number in range(3):
            pixels = np.random.default_rng(number + ord(name[0])).integers(0, 255, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    odd = os.fsdecode(b"\xff\x1b]0;x")
    if what == "class":
        (tmp_path / "bee").rename(tmp_path / odd)
    else:
        (tmp_path / f"{odd}.txt").touch()
    words = ["run", f"--dataset=folder:path={tmp_path},protocol=test", "--model=timm-resnet10t", "--test-size=2"]
    words += ["--attack=fgsm", "--checks=off", f"--results={tmp_path / '.r'}", f"--cache-dir={tmp_path / '.c'}"]
    code, _, err = run([*words, "--dry-run"])
    assert code == (2 if what == "class" else 0) and ("\x1b" not in err)
    if what == "class":
        assert "no UTF-8" in err and err.count("\n") == 1
        return
    code, out, err = run(words)
    assert code == 0 and "\x1b" not in out + err
    (record,) = (tmp_path / ".r").glob("*.json")
    assert any("\\udcff" in note for note in read_record(record).data.notes)  # type: ignore[union-attr]
