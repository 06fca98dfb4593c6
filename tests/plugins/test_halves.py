"""Half of the classes of a published set, and other prompt templates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from robench import SpecError
from robench.registry.registry import discover

from robench_plugins.datasets.catalogue import facts
from tests.plugins.test_published_sets import Part, write_tar


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven classes; the brightness of an image is its label."""
    root = tmp_path_factory.mktemp("shards")

    def part(n: int) -> Part:
        labels = np.arange(n) % 7
        return np.repeat(labels, 16 * 16 * 3).reshape(n, 16, 16, 3).astype(np.uint8), labels

    write_tar(root, {"train": part(70), "test": part(21)})
    (root / "classnames.txt").write_text("\n".join("abcdefg"))
    return root


def dataset(text: str) -> Any:
    return discover().resolve("dataset", text).build()


def test_the_halves_are_those_of_coop_and_share_no_class(shards: Path) -> None:
    whole, base, new = (dataset(f"webdataset:path={shards}{half}") for half in ("", ",half=base", ",half=new"))
    assert (base.class_names, new.class_names) == (tuple("abcd"), tuple("efg"))
    assert base.prompts()[3][0] == "a photo of a d." and new.prompts()[0][0] == "a photo of a e."
    for split in ("train", "validation", "test"):
        seen = [{int(pixel) for pixel in each.split(split).images[:, 0, 0, 0]} for each in (base, new)]
        assert seen[0] <= {0, 1, 2, 3} and seen[1] <= {4, 5, 6}
        assert base.size(split) + new.size(split) == whole.size(split)
        for each, first in ((base, 0), (new, 4)):
            data = each.split(split)
            assert (data.images[:, 0, 0, 0] == data.labels + first).all()
            assert np.array_equal(each.labels(split), data.labels)
    some = new.take("test", np.array([2, 0]))
    assert np.array_equal(some.images, new.split("test").images[[2, 0]])


def test_a_named_set_is_halved_under_the_names_of_the_field() -> None:
    names = facts()["ucf101"]["classes"]
    assert dataset("ucf101:half=base").class_names == tuple(names[:51])
    assert dataset("ucf101:half=new").class_names == tuple(names[51:])


def test_a_template_takes_the_place_of_those_of_the_set(shards: Path) -> None:
    first, own = (dataset(f"webdataset:path={shards},template={each}").prompts() for each in ("first", "my {}"))
    assert first[0] == ("a photo of a a.",) and own[6] == ("my g",)
    with pytest.raises(SpecError, match=r"template 'my a' has no \{\} for the class name; expected one such as"):
        dataset(f"webdataset:path={shards},template=my a")


def test_what_nobody_asked_for_is_no_part_of_a_records_parameters(shards: Path) -> None:
    values = discover().resolve("dataset", f"webdataset:path={shards}").values()
    assert not {"half", "template"} & values.keys()
