"""The common corruptions do what their names say, and published files are read in their own layout."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.random import RandomState
from PIL import Image
from robench import DataError, ImageSet, SpecError
from robench.conformance.corruptions import check_corruption
from robench.conformance.examine import examine
from robench.registry.registry import discover
from scipy import ndimage

from robench_plugins.corruptions import blur, digital, noise, weather
from robench_plugins.corruptions.plasma import plasma
from robench_plugins.corruptions.resampling import sampled, zoomed
from robench_plugins.corruptions.spatter import edges_of
from robench_plugins.corruptions.strengths import CIFAR, EXTRA, IMAGENET, MAIN
from robench_plugins.datasets.published import SPLIT_SEED

CONTEXT: Any = SimpleNamespace(dataset_name="cifar10")


def component(text: str) -> Any:
    return discover().resolve("corruption", text).build()


def pictures(n: int = 6, side: int = 32) -> ImageSet:
    """Smooth pictures with edges."""
    random = np.random.default_rng(0)
    images = ndimage.gaussian_filter(random.random((n, 3, side, side)), (0, 0, 3, 3))
    images = 255 * (images - images.min()) / (images.max() - images.min())
    images[:, :, side // 4 : side // 2, side // 4 : side // 2] = 230
    return ImageSet(images=images.astype(np.uint8), labels=np.arange(n) % 10)


def randoms(n: int) -> list[RandomState]:
    return [RandomState(each) for each in range(n)]


GREY = np.full((4, 3, 64, 64), 0.5, np.float32)


def test_every_corruption_has_published_strengths() -> None:
    assert len(MAIN) == 15 and len(EXTRA) == 4
    assert CIFAR.keys() == IMAGENET.keys() == {*MAIN, *EXTRA}
    assert all(len(each) == 5 for each in (*CIFAR.values(), *IMAGENET.values()))


@pytest.mark.parametrize("strengths", ["cifar", "imagenet"])
def test_every_corruption_changes_images_more_at_its_worst(strengths: str) -> None:
    made, data = component(f"common:only=all,strengths={strengths}"), pictures(4, 32 if strengths == "cifar" else 64)
    positions = np.arange(len(data))
    for name in made.names():
        mild, severe = (made.corrupted(name, each, data, positions, CONTEXT) for each in (1, 5))
        changes = [np.abs(each.astype(float) - data.images).mean() for each in (mild, severe)]
        # The published strengths of these do not grow from step to step.
        if name not in ("elastic_transform", "spatter", "saturate", "frost"):
            assert changes[0] < changes[1], name
        assert min(changes) > 0.05, name


def test_the_rules_of_a_corruption_are_kept() -> None:
    findings = list(examine(discover(), "corruption", "common:only=all", dataset="shapes"))
    assert len(findings) == 6
    assert all(each.kept for each in findings), findings


def test_noise_is_as_strong_as_it_says() -> None:
    assert noise.gaussian_noise(GREY, randoms(4), 0.1).std() == pytest.approx(0.1, rel=0.02)
    assert noise.speckle_noise(GREY, randoms(4), 0.1).std() == pytest.approx(0.05, rel=0.02)
    assert noise.shot_noise(GREY, randoms(4), 50).var() == pytest.approx(0.5 / 50, rel=0.05)
    made = noise.impulse_noise(GREY, randoms(4), 0.2)
    assert (made != 0.5).mean() == pytest.approx(0.2, abs=0.01)
    assert (made == 1).mean() == pytest.approx(0.1, abs=0.01)


def test_blurs_are_their_kernels() -> None:
    spot = np.zeros((1, 3, 41, 41), np.float32)
    spot[:, :, 20, 20] = 1
    disc = blur.defocus_blur(spot, (), (4, 0.5))[0, 0]
    assert disc.sum() == pytest.approx(1, abs=1e-5)
    assert [disc[20, 20 + right] > 0 for right in (3, 4, 6)] == [True, True, False]
    line = blur.smeared(spot[0], 6, 2, 0)[0]
    weights = np.exp(-(np.arange(13) ** 2) / 8)
    assert line[20, 20:7:-1] == pytest.approx(weights / weights.sum(), abs=1e-6)
    falling = blur.smeared(spot[0], 6, 2, -90)[0]
    assert falling[20:33, 20] == pytest.approx(weights / weights.sum(), abs=1e-6)
    assert blur.gaussian_blur(spot, (), 2)[0] == pytest.approx(
        ndimage.gaussian_filter(spot[0], (0, 2, 2), mode="nearest"), abs=1e-6
    )


def test_glass_takes_pixels_from_nearby() -> None:
    ramp = np.tile(np.arange(32, dtype=np.float32) / 31, (2, 3, 32, 1))
    made = blur.glass_blur(ramp, randoms(2), (0, 1, 1))
    moved = np.abs(made - np.floor(ramp * 255 + 1e-3) / 255)
    assert 0 < moved.max() < 0.3 and moved.mean() < 2 / 31


def test_a_zoom_is_that_of_scipy() -> None:
    image = pictures(1).images[0].astype(np.float32)
    kept = int(np.ceil(32 / 1.3))
    first = (32 - kept) // 2
    middle = image[:, first : first + kept, first : first + kept]
    whole = ndimage.zoom(middle, (1, 1.3, 1.3), order=1)
    cut = (whole.shape[1] - 32) // 2
    assert zoomed(image, 1.3) == pytest.approx(whole[:, cut : cut + 32, cut : cut + 32], abs=1e-3)
    assert zoomed(image, 1.0) == pytest.approx(image)


def test_reading_between_pixels_mirrors_at_the_edge() -> None:
    image = np.arange(5, dtype=np.float32).reshape(1, 1, 1, 5) * np.ones((1, 1, 5, 1), np.float32)
    row, column = (each[None].astype(float) for each in np.mgrid[:5, :5])
    assert np.array_equal(sampled(image, row, column, edge_twice=True), image)
    assert sampled(image, row, column + 0.5, edge_twice=False)[0, 0, 0].tolist() == [0.5, 1.5, 2.5, 3.5, 3.5]
    assert sampled(image, row, column - 2, edge_twice=False)[0, 0, 0].tolist() == [2, 1, 0, 1, 2]
    assert sampled(image, row, column - 2, edge_twice=True)[0, 0, 0].tolist() == [1, 0, 0, 1, 2]


def test_colours_change_as_in_hsv() -> None:
    pixel = np.array([0.2, 0.4, 0.1], np.float32).reshape(1, 3, 1, 1)
    assert digital.brightness(pixel, (), 0.4).ravel() == pytest.approx([0.4, 0.8, 0.2])
    assert digital.saturate(pixel, (), (0, 0)).ravel() == pytest.approx([0.4] * 3)
    assert digital.saturate(pixel, (), (1, 0)).ravel() == pytest.approx([0.2, 0.4, 0.1])
    assert digital.saturate(GREY[:1, :, :1, :1], (), (2, 0.1)).ravel() == pytest.approx([0.5, 0.45, 0.45])
    assert digital.contrast(pictures().images / np.float32(255), (), 0).std(axis=(2, 3)).max() < 1e-6


def test_digital_corruptions_are_those_of_pillow() -> None:
    data = pictures(1)
    image = Image.fromarray(data.images[0].transpose(1, 2, 0))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=40)
    compressed = np.asarray(Image.open(file)).transpose(2, 0, 1)
    boxes = image.resize((20, 20), Image.Resampling.BOX).resize((32, 32), Image.Resampling.BOX)
    made = component("common:only=jpeg_compression+pixelate")
    assert np.array_equal(made.corrupted("jpeg_compression", 5, data, np.arange(1), CONTEXT)[0], compressed)
    assert np.array_equal(made.corrupted("pixelate", 5, data, np.arange(1), CONTEXT)[0].transpose(1, 2, 0), boxes)


def test_clouds_differ_and_are_rougher_with_less_decay() -> None:
    rough, smooth = (plasma(randoms(3), 20, 24, decay) for decay in (1.5, 3.0))
    assert rough.shape == (3, 20, 24) and rough.min() >= 0 and rough.max() <= 1
    assert not np.allclose(rough[0], rough[1])
    assert np.abs(np.diff(rough)).mean() > 2 * np.abs(np.diff(smooth)).mean()


def test_snow_only_brightens_and_edges_lie_where_levels_change() -> None:
    assert (weather.snow(GREY, randoms(4), CIFAR["snow"][4]) >= 0.5 - 1e-6).all()
    step = np.zeros((12, 12))
    step[:, 6:] = 255
    assert set(np.flatnonzero(edges_of(step)[5])) <= {5, 6} and edges_of(step).any()
    assert not edges_of(np.full((12, 12), 80.0)).any()


def test_pictures_of_frost_can_be_given(tmp_path: Path) -> None:
    Image.new("RGB", (200, 200), (10, 250, 20)).save(tmp_path / "frost1.png")
    data = ImageSet(images=np.zeros((2, 3, 32, 32), np.uint8), labels=np.zeros(2, np.int64))
    made = component(f"common:only=frost,frost={tmp_path}")
    found = made.corrupted("frost", 5, data, np.arange(2), CONTEXT)
    assert found[:, :, 0, 0].tolist() == [[4, 112, 9]] * 2
    empty = tmp_path / "empty"
    empty.mkdir()
    for path, message in ((empty, "holds no .png or .jpg"), (tmp_path / "none", "no folder")):
        with pytest.raises(DataError, match=message):
            component(f"common:frost={path}").check_files()


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("only=frog", "no corruption is called 'frog'; did you mean fog"),
        ("only=fog+fog", "fog stands twice"),
        ("severities=1+6", "severity '6' is unknown; expected some of 1"),
        ("severities=3+1", "do not ascend; expected 1[+]3"),
    ],
)
def test_unknown_names_and_severities_are_refused(typed: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        component(f"common:{typed}")


def write_cifar_c(folder: Path, data: ImageSet) -> None:
    """Write files whose images say their position and severity, in the published layout."""
    folder.mkdir()
    for name in ("fog", "snow"):
        made = np.concatenate([data.images + np.uint8(severity + (name == "snow")) for severity in range(1, 6)])
        np.save(folder / f"{name}.npy", made.transpose(0, 2, 3, 1))
    np.save(folder / "labels.npy", np.tile(data.labels, 5).astype(np.uint8))


def shuffled(data: ImageSet) -> ImageSet:
    """Return the set as robench's data sets shuffle what is published."""
    order = np.random.RandomState(SPLIT_SEED).permutation(len(data))
    return ImageSet(images=data.images[order], labels=data.labels[order])


def broken_rules(text: str, data: ImageSet) -> list[str]:
    return [each.rule for each in check_corruption(lambda: component(text), CONTEXT, data) if not each.kept]


def test_cifar_c_is_read_as_it_is_published(tmp_path: Path) -> None:
    published = pictures(20)
    write_cifar_c(tmp_path / "c", published)
    data = shuffled(published)
    assert broken_rules(f"cifar-c:path={tmp_path / 'c'},only=fog+snow", data.first(7)) == []
    made = component(f"cifar-c:path={tmp_path / 'c'},only=fog+snow,severities=2+5")
    made.check_files()
    few = ImageSet(images=data.images[5:9], labels=data.labels[5:9])
    assert np.array_equal(made.corrupted("snow", 5, few, np.arange(5, 9), CONTEXT), few.images + np.uint8(6))
    with pytest.raises(DataError, match="does not belong to the images of cifar10: image 0 has label"):
        made.corrupted("snow", 5, published, np.arange(20), CONTEXT)
    small = ImageSet(images=data.images[:, :, :16, :16], labels=data.labels)
    with pytest.raises(DataError, match="32 x 32 pixels, the run of 16 x 16"):
        made.corrupted("snow", 5, small, np.arange(20), CONTEXT)
    with pytest.raises(DataError, match=r"has no frost\.npy"):
        component(f"cifar-c:path={tmp_path / 'c'},only=frost").check_files()
    (tmp_path / "c" / "fog.npy").write_bytes(b"no array")
    with pytest.raises(DataError, match=r"fog\.npy cannot be read as an array"):
        made.check_files()
    with pytest.raises(DataError, match="no folder"):
        component(f"cifar-c:path={tmp_path / 'd'}").check_files()


def test_imagenet_c_is_read_as_it_is_published(tmp_path: Path) -> None:
    for severity in (1, 2):
        for number, synset in enumerate(("n01440764", "n01443537")):
            folder = tmp_path / "weather" / "fog" / str(severity) / synset
            folder.mkdir(parents=True)
            for at in range(3):
                colour = (100 * number + 10 * at, 0, severity)
                Image.new("RGB", (24, 24), colour).save(folder / f"ILSVRC2012_val_{at}.png")
    labels = np.array([0, 0, 0, 1, 1, 1])
    data = shuffled(ImageSet(images=np.zeros((6, 3, 24, 24), np.uint8), labels=labels))
    made = component(f"imagenet-c:path={tmp_path},only=fog,severities=1+2")
    made.check_files()
    assert broken_rules(f"imagenet-c:path={tmp_path},only=fog,severities=1+2", data) == []
    found = made.corrupted("fog", 2, data, np.arange(6), CONTEXT)
    assert sorted(found[:, 0, 0, 0].tolist()) == [0, 10, 20, 100, 110, 120]
    assert np.array_equal(found[:, 0, 0, 0] >= 100, data.labels == 1) and (found[:, 2] == 2).all()
    with pytest.raises(DataError, match=r"has no folder fog/3"):
        component(f"imagenet-c:path={tmp_path},only=fog,severities=3").check_files()
    next(tmp_path.rglob("fog/1/*/*_2.png")).unlink()
    with pytest.raises(DataError, match="has 5 images in fog/1; expected 6"):
        component(f"imagenet-c:path={tmp_path},only=fog,severities=1+2").check_files()
