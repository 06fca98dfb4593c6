"""Adaptations of the text side: class embeddings follow what is trained, and stay where training left them."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from robench import Adaptation, PluginError, TuningSetting
from robench.attack.perturbation import frozen_for_attack
from robench.networks.evaluate import fingerprint
from robench.registry.registry import discover
from robench.train.adapters import adapter_state, load_adapter
from torch import Tensor
from torch.nn import functional as F

from robench_plugins.models.clip import CLIP
from robench_plugins.models.clip_network import CLIPNetwork
from tests.helpers.plugin_fixtures import ToyDataset, make_context, save_tiny_clip, trainable


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_clip(tmp_path_factory.mktemp("tiny-clip"))


@pytest.fixture(scope="module")
def built(folder: Path) -> CLIPNetwork:
    network = CLIP(CLIP.Params(path=str(folder))).build(make_context(Path("unused")))
    assert isinstance(network, CLIPNetwork)
    return network.eval()


def adapted(name: str, built: CLIPNetwork, folder: Path) -> tuple[CLIPNetwork, Adaptation]:
    network, model = copy.deepcopy(built), CLIP(CLIP.Params(path=str(folder)))
    parts = model.adaptable(network)
    adaptation: Adaptation = discover().resolve("adaptation", name).build()
    context = make_context(Path("unused"))
    adaptation.set_up(TuningSetting(network=network, parts=parts, model=model, context=context))
    torch.manual_seed(0)
    adaptation.adapt(network, parts)
    return network, adaptation


def images() -> tuple[Tensor, Tensor]:
    data = ToyDataset().split("test", 6)
    return torch.from_numpy(data.images).float() / 255, torch.from_numpy(data.labels)


def move(network: CLIPNetwork) -> None:
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for weight in trainable(network).values():
            weight.add_(0.1 * torch.randn(weight.shape, generator=generator))


def test_lora_of_the_text_tower_starts_where_the_prompts_are(built: CLIPNetwork, folder: Path) -> None:
    network, _ = adapted("lora-text:dropout=0", built, folder)
    torch.testing.assert_close(network(images()[0]), built(images()[0]), rtol=1e-4, atol=1e-4)
    assert all("text_model" in name for name in trainable(network)) and len(trainable(network)) == 12


@pytest.mark.parametrize(("name", "shape"), [("coop:context=3", (3, 32)), ("coop:context=3,unified=false", (3, 3, 32))])
def test_context_words_are_shared_or_of_each_class(
    name: str, shape: tuple[int, ...], built: CLIPNetwork, folder: Path
) -> None:
    network, _ = adapted(name, built, folder)
    (vectors,) = trainable(network).values()
    assert vectors.shape == shape
    before = network.class_embeddings().detach()
    torch.testing.assert_close(before.norm(dim=1), torch.ones(3))
    with torch.no_grad():
        vectors[0] += torch.linspace(-1, 1, 32)
    changed = (network.class_embeddings().detach() - before).abs().amax(dim=1) > 1e-4
    assert changed.tolist() == ([True] * 3 if len(shape) == 2 else [True, False, False])


def test_a_context_of_the_words_own_vectors_is_the_prompt_with_these_words(built: CLIPNetwork, folder: Path) -> None:
    """CoOp's own start "a photo of": learned vectors are read exactly where words stand."""
    network, adaptation = adapted("coop:context=3", built, folder)
    setting = adaptation.setting
    words = setting.tokenize(["a photo of"])[0, 1:4]
    with torch.no_grad():
        (vectors,) = trainable(network).values()
        vectors.copy_(setting.part("token_embedding").weight[words])  # type: ignore[index]
        prompts = [f"a photo of {name.replace('_', ' ')}." for name in ToyDataset().class_names]
        expected = F.normalize(setting.part("text")(setting.tokenize(prompts)), dim=-1)
        torch.testing.assert_close(network.class_embeddings(), expected)


@pytest.mark.parametrize("name", ["coop:context=2", "lora-text", "prompts", "prompts:coupled=true"])
def test_it_trains_saves_loads_and_settles_to_the_same_logits(name: str, built: CLIPNetwork, folder: Path) -> None:
    network, adaptation = adapted(name, built, folder)
    pixels, labels = images()
    F.cross_entropy(network.train()(pixels), labels).backward()
    assert any(weight.grad is not None and weight.grad.any() for weight in trainable(network).values())
    network.eval()
    move(network)
    with torch.no_grad():
        found = network(pixels)
    again, _ = adapted(name, built, folder)
    load_adapter(again, adapter_state(network))
    with torch.no_grad():
        torch.testing.assert_close(again(pixels), found)
    adaptation.merge(network)
    with torch.no_grad():
        torch.testing.assert_close(network(pixels), found, rtol=1e-4, atol=1e-4)
    assert not hasattr(network.head, "parametrizations")


def test_an_attack_pays_for_the_texts_once_and_sees_what_training_changes(built: CLIPNetwork, folder: Path) -> None:
    network, adaptation = adapted("coop:context=2", built, folder)
    calls: list[int] = []
    adaptation.setting.part("token_embedding").register_forward_hook(lambda *_: calls.append(1))
    with frozen_for_attack(network):
        for _ in range(4):
            network(images()[0].requires_grad_())
    assert len(calls) == 1
    move(network)
    with frozen_for_attack(network):
        moved = network(images()[0])
    assert len(calls) == 2 and not torch.allclose(moved, built(images()[0]))


def test_a_tuned_text_tower_reads_the_classes_of_another_dataset(built: CLIPNetwork, folder: Path) -> None:
    network, adaptation = adapted("lora-text", built, folder)
    move(network)
    adaptation.merge(network)
    model, context = adaptation.setting.model, adaptation.setting.context
    rebound = model.rebind(network, context)
    torch.testing.assert_close(rebound(images()[0]), network(images()[0]), rtol=1e-4, atol=1e-4)
    assert fingerprint(network) != fingerprint(built)


class Turned(ToyDataset):
    """The same classes in another order, with a new one."""

    @property
    def class_names(self) -> tuple[str, ...]:
        return ("blue_leaf", "red_leaf", "green_leaf", "yellow_leaf")

    def prompts(self) -> tuple[tuple[str, ...], ...]:
        return tuple((f"a {name}",) for name in self.class_names)


@pytest.mark.parametrize("unified", [True, False])
def test_unified_words_stand_before_other_classes_too(unified: bool, built: CLIPNetwork, folder: Path) -> None:
    network, adaptation = adapted(f"coop:context=2,unified={unified}", built, folder)
    move(network)
    adaptation.merge(network)
    model = adaptation.setting.model
    rebound = model.rebind(network, make_context(Path("unused"), Turned()))
    assert isinstance(rebound, CLIPNetwork)
    order = [1, 2, 0]  # red, green, blue
    kept = torch.allclose(rebound.class_embeddings()[order], network.class_embeddings(), atol=1e-5)
    assert kept == unified and len(rebound.class_embeddings()) == 4
    plain = model.rebind(built, make_context(Path("unused"), Turned()))
    assert torch.equal(plain.class_embeddings(), rebound.class_embeddings()) != unified  # type: ignore[operator]


def test_coupled_prompts_are_those_of_the_code_of_fap(built: CLIPNetwork, folder: Path) -> None:
    """Image tokens at the input are projected words; words before a deeper text block are projected image tokens."""
    network, adaptation = adapted("prompts:coupled=true,tokens=3,context=3", built, folder)
    tower, texts, words = network.clip.vision_model, network.parts["text_blocks"], adaptation._words.vectors  # type: ignore[attr-defined]
    project = tower.embeddings.parametrizations.prompt[0].project
    torch.testing.assert_close(tower.embeddings.prompt[0], project(words))
    seen: list[Tensor] = []
    hook = texts[1].layer_norm1.register_forward_pre_hook(lambda module, given: seen.append(given[0]))  # type: ignore[index]
    network.class_embeddings()
    hook.remove()
    expected = texts[1].words.project(tower.encoder.layers[1].prompt[0])  # type: ignore[index]
    torch.testing.assert_close(seen[0][:, 1:4], expected.expand(len(seen[0]), -1, -1))
    pixels, labels = images()
    F.cross_entropy(network(pixels), labels).backward()
    names = trainable(network)
    assert len(names) == 6 and all(each.grad is not None and each.grad.abs().max() > 0 for each in names.values())
    plain, _ = adapted("prompts:tokens=3,context=3", built, folder)
    assert len(trainable(plain)) == 3


@pytest.mark.parametrize("params", ["tokens=3", "unified=false"])
def test_what_cannot_be_coupled_is_refused(params: str, built: CLIPNetwork, folder: Path) -> None:
    with pytest.raises(PluginError, match="coupled=true projects the same words for all classes to as many tokens"):
        adapted(f"prompts:coupled=true,{params}", built, folder)
