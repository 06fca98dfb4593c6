"""CIFAR ResNets: their sizes, every way to their weights, and every way these can be wrong."""

from __future__ import annotations

import hashlib
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any, NoReturn
from urllib.error import URLError

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from robench import DataError, Dataset, Progress, SpecError
from robench.networks.evaluate import fingerprint, predict
from safetensors.torch import save_file
from torch import Tensor

from robench_plugins.datasets.cifar10 import CIFAR10
from robench_plugins.models import resnet as resnet_module
from robench_plugins.models.resnet import PUBLISHED, CIFARResNet, Normalised
from robench_plugins.models.resnet_network import ResNet, Shortcut
from robench_plugins.models.saved_weights import read_state
from tests.helpers.plugin_fixtures import TenClasses, ToyDataset, make_context, n_parameters, real


def build(path: Path | str, dataset: Dataset | None = None, cache: Path = Path("unused"), **params: Any) -> Normalised:
    model = CIFARResNet(CIFARResNet.Params.read({"weights": str(path), **params}, "resnet"))
    network = model.build(make_context(cache, dataset or TenClasses()))
    assert isinstance(network, Normalised)
    return network


def make_state(depth: int = 20, n_classes: int = 10, shortcut: Shortcut = "pad") -> dict[str, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(depth)
        return ResNet(depth, n_classes, shortcut).state_dict()


def images(n: int = 4, side: int = 32) -> Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(0))


# Sizes


def count(depth: int, n_classes: int) -> int:
    """Weights of a ResNet of depth 6n + 2 with option A shortcuts, from table 6 of the paper."""
    total = 3 * 16 * 9 + 2 * 16
    width = 16
    for channels in (16, 32, 64):
        for _ in range((depth - 2) // 6):
            total += 9 * width * channels + 9 * channels * channels + 4 * channels
            width = channels
    return total + 64 * n_classes + n_classes


@pytest.mark.parametrize(("depth", "published"), [(20, 269_722), (32, 464_154), (44, 658_586), (56, 853_018)])
def test_parameter_counts(depth: int, published: int) -> None:
    with torch.device("meta"):
        assert n_parameters(ResNet(depth, 10)) == published == count(depth, 10)
        assert n_parameters(ResNet(depth, 7)) == count(depth, 7)


def test_projections_add_two_convolutions_with_batch_norms() -> None:
    assert n_parameters(ResNet(20, 10, "conv")) == 272_474
    assert n_parameters(ResNet(20, 10, "conv")) - n_parameters(ResNet(20, 10)) == 16 * 32 + 64 + 32 * 64 + 128


@pytest.mark.parametrize("depth", [20, 32, 44, 56])
def test_the_number_of_weighted_layers_is_the_depth(depth: int) -> None:
    with torch.device("meta"):
        weighted = [m for m in ResNet(depth, 10).modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    assert len(weighted) == depth


# Files


@pytest.mark.parametrize("shortcut", ["pad", "conv"])
@pytest.mark.parametrize("suffix", [".th", ".pt", ".safetensors"])
def test_both_layouts_load_from_every_kind_of_file(tmp_path: Path, shortcut: Shortcut, suffix: str) -> None:
    state, path = make_state(shortcut=shortcut), tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    network = build(path)
    assert network.network.shortcut == shortcut
    loaded = network.network.state_dict()
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[name], value) for name, value in state.items())


def test_a_prefix_and_a_wrapper_around_the_state_are_seen_through(tmp_path: Path) -> None:
    state = make_state()
    torch.save(state, tmp_path / "plain.th")
    wrapped = {"state_dict": {f"module.{name}": value for name, value in state.items()}, "best": 91.7}
    torch.save(wrapped, tmp_path / "wrapped.th")
    assert fingerprint(build(tmp_path / "wrapped.th")) == fingerprint(build(tmp_path / "plain.th"))


def test_a_loaded_network_is_in_evaluation_mode(tmp_path: Path) -> None:
    torch.save(make_state(), tmp_path / "w.th")
    assert not any(module.training for module in build(tmp_path / "w.th").network.modules())


def test_normalisation_follows_the_layout_unless_given(tmp_path: Path) -> None:
    torch.save(make_state(), tmp_path / "pad.th")
    torch.save(make_state(shortcut="conv"), tmp_path / "conv.th")

    def mean(name: str, **params: Any) -> list[float]:
        return build(tmp_path / name, **params).mean.flatten().tolist()

    imagenet, cifar10 = pytest.approx([0.485, 0.456, 0.406]), pytest.approx([0.4914, 0.4822, 0.4465])
    assert mean("pad.th") == imagenet
    assert mean("conv.th") == cifar10
    assert mean("pad.th", normalisation="cifar10") == cifar10
    assert mean("conv.th", normalisation="imagenet") == imagenet


def test_images_are_normalised_before_the_network_sees_them(tmp_path: Path) -> None:
    torch.save(make_state(), tmp_path / "w.th")
    network = build(tmp_path / "w.th")
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    plain = ResNet(20, 10).eval()
    plain.load_state_dict(make_state())
    torch.testing.assert_close(network(images()), plain((images() - mean) / std), rtol=1e-3, atol=1e-3)


def test_an_answer_does_not_depend_on_the_rest_of_the_batch(tmp_path: Path) -> None:
    torch.save(make_state(), tmp_path / "w.th")
    network = build(tmp_path / "w.th")
    torch.testing.assert_close(network(images(4))[:1], network(images(4)[:1]), rtol=1e-3, atol=1e-3)


# Files that do not fit


def refused(path: Path, match: str, dataset: Dataset | None = None, **params: Any) -> None:
    with pytest.raises(DataError, match=match) as caught:
        build(path, dataset, **params)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_depth_is_refused(tmp_path: Path) -> None:
    torch.save(make_state(32), tmp_path / "w.th")
    refused(tmp_path / "w.th", "holds a ResNet-32, not a ResNet-20")


def test_another_number_of_classes_is_refused(tmp_path: Path) -> None:
    torch.save(make_state(), tmp_path / "w.th")
    refused(tmp_path / "w.th", "trained for 10 classes; the dataset has 3", ToyDataset())


@pytest.mark.parametrize("name", ["layer2.1.bn1.running_mean", "linear.bias", "conv1.weight"])
def test_a_missing_tensor_is_refused_and_named(tmp_path: Path, name: str) -> None:
    state = make_state()
    del state[name]
    torch.save(state, tmp_path / "w.th")
    refused(tmp_path / "w.th", name)


def test_a_tensor_too_many_is_refused_and_named(tmp_path: Path) -> None:
    torch.save({**make_state(), "surprise": torch.zeros(1)}, tmp_path / "w.th")
    refused(tmp_path / "w.th", "surprise")


def test_a_tensor_of_another_shape_is_refused_and_named(tmp_path: Path) -> None:
    torch.save({**make_state(), "conv1.weight": torch.zeros(16, 1, 3, 3)}, tmp_path / "w.th")
    refused(tmp_path / "w.th", "conv1.weight")


@pytest.mark.parametrize("content", [{"a": torch.zeros(1)}, {}])
def test_weights_of_something_else_are_refused(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "w.th")
    refused(tmp_path / "w.th", "not the weights of a CIFAR-style ResNet")


@pytest.mark.parametrize("content", [[1, 2], torch.zeros(3), {"epoch": 3}, {3: torch.zeros(1)}, {"state_dict": "none"}])
def test_a_file_without_a_state_dict_is_refused(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "w.th")
    refused(tmp_path / "w.th", "no state dict")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "none.th", "no weights at")
    refused(tmp_path, "no weights at")


@pytest.mark.parametrize("suffix", [".th", ".safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_truncated_files_are_refused(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"w{suffix}"
    torch.save(make_state(), path) if suffix == ".th" else save_file(make_state(), path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    refused(path, "cannot be read")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200), suffix=st.sampled_from([".th", ".safetensors"]))
def test_any_other_bytes_are_refused(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"w{suffix}"
    path.write_bytes(content)
    with pytest.raises(DataError):
        read_state(path)


class Malicious:
    """Unpickling this would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("with_torch", [True, False])
def test_a_malicious_file_is_refused_and_does_nothing(tmp_path: Path, with_torch: bool) -> None:
    path, marker = tmp_path / "w.th", tmp_path / "ran"
    content = {**make_state(), "extra": Malicious(marker)}
    if with_torch:
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(Malicious(marker), protocol=2))
    refused(path, "cannot be read")
    assert not marker.exists()


def test_a_packed_file_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    plain, path = tmp_path / "plain.th", tmp_path / "w.th"
    torch.save({"x": torch.zeros(100_000)}, plain)
    with zipfile.ZipFile(plain) as members, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in members.namelist():
            packed.writestr(name, members.read(name))
    refused(path, "it would unpack to 0 MB; expected a file as torch.save writes it")


def test_a_depth_that_is_not_published_is_not_a_parameter() -> None:
    with pytest.raises(SpecError, match="depth"):
        CIFARResNet.Params.read({"depth": 18}, "resnet")


# Published checkpoints


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty torch.hub folder and no network."""

    def download(url: str, *args: object, **kwargs: object) -> NoReturn:
        raise URLError(f"no route to {url}")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    return tmp_path / "hub" / "checkpoints"


def put(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a checkpoint under a name that holds its hash, as torch.hub's files do."""
    folder.mkdir(parents=True)
    torch.save({f"module.{name}": value for name, value in make_state().items()}, folder / "new.th")
    digest = hashlib.sha256((folder / "new.th").read_bytes()).hexdigest()
    monkeypatch.setitem(PUBLISHED, 20, f"resnet20-{digest[:8]}.th")
    return (folder / "new.th").rename(folder / PUBLISHED[20])


def test_published_weights_come_from_torch_hubs_folder(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(hub, monkeypatch)
    assert fingerprint(build("published")) == fingerprint(build(path))


def test_published_weights_are_fetched_once(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = put(hub, monkeypatch).read_bytes()
    (hub / PUBLISHED[20]).unlink()
    urls = []

    def download(url: str, destination: str, **kwargs: object) -> None:
        urls.append(url)
        Path(destination).write_bytes(content)

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    assert fingerprint(build("published")) == fingerprint(build("published"))
    assert len(urls) == 1
    assert urls[0].endswith("/" + PUBLISHED[20])


def test_a_published_file_that_does_not_match_its_hash_is_refused(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(hub, monkeypatch)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(DataError, match=r"is damaged: its SHA-256 .* delete it"):
        build("published")


def test_without_a_network_the_error_says_where_to_put_the_file(hub: Path) -> None:
    with pytest.raises(DataError, match="weights=FILE") as caught:
        build("published", depth=56)
    assert str(hub) in str(caught.value)
    assert PUBLISHED[56] in str(caught.value)


def test_published_weights_are_for_cifar10_alone(hub: Path) -> None:
    with pytest.raises(DataError, match="CIFAR-10's ten classes"):
        build("published", ToyDataset())


def test_published_names_end_in_the_start_of_their_hash() -> None:
    for depth, name in PUBLISHED.items():
        head, _, tail = name.partition("-")
        assert head == f"resnet{depth}"
        assert len(bytes.fromhex(tail.removesuffix(".th"))) == 4


# Shipped and trained


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Shipped weights for the toy dataset."""
    folder = tmp_path / "weights" / "resnet20-toy"
    folder.mkdir(parents=True)
    save_file(make_state(n_classes=3), folder / "model.safetensors")
    config = {"image_size": 16, "class_names": ToyDataset().class_names, "mean": [0.1, 0.2, 0.3], "std": [1, 2, 3]}
    (folder / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr(resnet_module, "shipped_path", lambda name: tmp_path / "weights" / name)
    return folder


@pytest.fixture
def untrainable(monkeypatch: pytest.MonkeyPatch) -> None:
    def train(*args: object, **kwargs: object) -> NoReturn:
        raise AssertionError("it trained")

    monkeypatch.setattr(resnet_module, "train", train)


@pytest.mark.usefixtures("untrainable")
def test_shipped_weights_are_taken_with_their_own_normalisation(shipped: Path) -> None:
    network = build("auto", ToyDataset())
    torch.testing.assert_close(network.network.state_dict()["conv1.weight"], make_state(n_classes=3)["conv1.weight"])
    assert network.mean.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert network.std.flatten().tolist() == [1, 2, 3]


class Larger(ToyDataset):
    side = 20


class Renamed(ToyDataset):
    @property
    def class_names(self) -> tuple[str, ...]:
        return ("green_leaf", "red_leaf", "blue_leaf")


@pytest.mark.usefixtures("shipped", "untrainable")
@pytest.mark.parametrize("dataset", [Larger(), Renamed()], ids=["other size", "other class order"])
def test_shipped_weights_for_other_images_or_classes_are_not_used(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="it trained"):
        build("auto", dataset, tmp_path)


class Small(ToyDataset):
    sizes = {"train": 30, "validation": 3, "test": 6}


def test_trained_weights_are_kept_and_reused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = fingerprint(build("auto", Small(), tmp_path, epochs=1))
    (kept,) = (tmp_path / "surrogates").glob("*.safetensors")
    assert kept.name.startswith("resnet20-")

    def train(*args: object, **kwargs: object) -> NoReturn:
        raise AssertionError("it trained")

    monkeypatch.setattr(resnet_module, "train", train)
    assert fingerprint(build("auto", Small(), tmp_path, epochs=1)) == first
    with pytest.raises(AssertionError, match="it trained"):
        build("auto", Small(), tmp_path, epochs=2)
    with pytest.raises(AssertionError, match="it trained"):
        build("auto", ToyDataset(), tmp_path, epochs=1)


def test_a_damaged_surrogate_is_named_and_trained_again(tmp_path: Path) -> None:
    first = fingerprint(build("auto", Small(), tmp_path, epochs=1))
    (kept,) = (tmp_path / "surrogates").glob("*.safetensors")
    kept.write_bytes(kept.read_bytes()[:1000])
    warnings: list[str] = []
    context = make_context(tmp_path, Small())
    object.__setattr__(context, "warn", warnings.append)
    again = CIFARResNet(CIFARResNet.Params(epochs=1)).build(context)
    assert fingerprint(again) == first
    assert len(warnings) == 1 and kept.name in warnings[0]


def test_training_is_decided_by_the_seed(tmp_path: Path) -> None:
    def trained(folder: str, seed: int) -> str:
        model = CIFARResNet(CIFARResNet.Params(epochs=1))
        return fingerprint(model.build(make_context(tmp_path / folder, Small(), seed=seed)))

    assert trained("a", 0) == trained("b", 0) != trained("a", 1)


class Tiny(ToyDataset):
    side = 8


@pytest.mark.slow
def test_training_learns_and_reports_every_image(tmp_path: Path) -> None:
    seen: list[Progress] = []
    context = make_context(tmp_path, Tiny())
    object.__setattr__(context, "report", seen.append)
    network = CIFARResNet(CIFARResNet.Params(epochs=20)).build(context)
    test = Tiny().split("test")
    predicted = predict(network, test.images, n_classes=3, device=context.device)
    assert (predicted == test.labels).mean() > 0.9
    assert seen[-1].done == seen[-1].total == 20 * 240
    assert {p.stage for p in seen} == {"pretraining resnet20 on 240 training images"}


# Real checkpoints on real photographs


@pytest.mark.parametrize("depth", [20, 32, 44, 56])
def test_real_checkpoints_are_the_published_ones(depth: int) -> None:
    path = real("weights/cifar10") / f"resnet{depth}.th"
    assert hashlib.sha256(path.read_bytes()).hexdigest().startswith(PUBLISHED[depth].split("-")[1].split(".")[0])
    assert n_parameters(build(path, depth=depth)) == count(depth, 10)


def test_the_real_resnet20_scores_its_known_accuracy_on_real_images() -> None:
    network = build(real("weights/cifar10") / "resnet20.th")
    data = CIFAR10(CIFAR10.Params.read({"path": str(real("data/cifar10"))}, "cifar10")).split("test", 1000)
    predicted = predict(network, data.images, n_classes=10, device=torch.device("cpu"))
    # On all 10,000 test images it is right on 8,103: 81.0 %.
    assert int((predicted == data.labels).sum()) == pytest.approx(823, abs=3)
