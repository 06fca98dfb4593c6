"""The shipped defences against their formulas, and what is certain of each."""

from __future__ import annotations

import io
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from robench import PluginError, TuningSetting
from robench.errors import SpecError
from robench.networks.defended import Defended
from robench.registry.registry import discover
from scipy.stats import binomtest
from torch import Tensor, nn

from robench_plugins.defences.augmix import changed_by, views_of, warped
from robench_plugins.defences.rtpt import entropies, reliability
from robench_plugins.defences.smoothing import lower_bound
from robench_plugins.models.clip import CLIP
from tests.helpers.plugin_fixtures import make_context, save_tiny_clip

REGISTRY = discover()
IMAGES = torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def defence(text: str) -> Any:
    return REGISTRY.resolve("defence", text).build()


class Embedding(nn.Module):
    """An image-text network in small: a linear embedding that bends, and a linear head."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.head = nn.Linear(192, 6), nn.Linear(6, 3)

    def image_features(self, images: Tensor) -> Tensor:
        found: Tensor = torch.tanh(self.first(images.flatten(1)))
        return found

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.image_features(images))
        return logits


class Threshold(nn.Module):
    """Class 1 if the first pixel is above a half: what noise does to it is known exactly."""

    def forward(self, images: Tensor) -> Tensor:
        above = 1000 * (images[:, 0, 0, 0] - 0.5)
        return torch.stack([-above, above], dim=1)


def counterattack(network: Embedding, images: Tensor, tau: float, steps: int = 2, beta: float = 2.0) -> Tensor:
    """The authors' code, one image after another: weights exp(sign * step * beta), and step 0 alone at or above tau."""
    eps, alpha = 4 / 255, 1 / 255
    delta = torch.zeros_like(images).uniform_(-eps, eps)
    delta = torch.max(torch.min(delta, 1 - images), 0 - images)
    before = network.image_features(images).detach()
    after = network.image_features(images + delta).detach()
    ratio = (after - before).norm(dim=-1) / before.norm(dim=-1)
    kept = [delta]
    for _ in range(steps):
        d = kept[-1].clone().requires_grad_()
        ((network.image_features(images + d) - before) ** 2).sum(1).sum().backward()
        assert d.grad is not None
        moved = torch.clamp(kept[-1] + alpha * torch.sign(d.grad), min=-eps, max=eps)
        kept.append(torch.max(torch.min(moved, 1 - images), 0 - images))
    found = []
    for number in range(len(images)):
        sign = float(np.sign(tau - float(ratio[number])))
        weights = np.exp(sign * np.arange(steps + 1) * beta)
        weights = weights / weights.sum() if sign > 0 else np.eye(steps + 1)[0]
        found.append(sum(float(weight) * each[number] for weight, each in zip(weights, kept, strict=True)))
    return images + torch.stack(found)  # type: ignore[arg-type]


@pytest.mark.parametrize("tau", [0.0, 0.02, 1e9])
def test_the_counterattack_is_that_of_its_authors(tau: float) -> None:
    network = Embedding().eval()
    torch.manual_seed(1)
    expected = counterattack(network, IMAGES, tau)
    torch.manual_seed(1)
    found = defence(f"ttc:threshold={tau}").purify(network, IMAGES)
    assert torch.allclose(found, expected.detach(), atol=1e-6)
    assert (found - IMAGES).abs().max() <= 4 / 255 + 1e-6 and found.min() >= 0 and found.max() <= 1


def test_the_counterattack_moves_the_embedding_more_than_its_noise() -> None:
    network = Embedding().eval()

    def moved(text: str) -> Tensor:
        torch.manual_seed(1)
        countered = defence(text).purify(network, IMAGES)
        return (network.image_features(countered) - network.image_features(IMAGES)).norm(dim=1)

    assert (moved("ttc:threshold=1000000,steps=8") > 2 * moved("ttc:threshold=0")).all()


def test_the_counterattack_wants_embeddings() -> None:
    with pytest.raises(PluginError, match=r"image-text model; expected one such as --model clip-tiny"):
        defence("ttc").prepare(Threshold(), None)


def test_bits_are_levels() -> None:
    found = defence("bit-depth:bits=2").purify(Threshold(), IMAGES)
    assert set((found.unique() * 3).tolist()) == {0.0, 1.0, 2.0, 3.0}
    assert (found - IMAGES).abs().max() <= 0.5 / 3 + 1e-6
    eight = (IMAGES * 255).round() / 255
    assert torch.allclose(defence("bit-depth:bits=8").purify(Threshold(), eight), eight)


def test_jpeg_is_what_pillow_writes_and_reads() -> None:
    found = defence("jpeg:quality=30").purify(Threshold(), IMAGES)
    for image, read in zip(IMAGES, found, strict=True):
        file = io.BytesIO()
        Image.fromarray((image * 255).round().byte().permute(1, 2, 0).numpy()).save(file, "JPEG", quality=30)
        assert np.array_equal((read * 255).round().byte().permute(1, 2, 0).numpy(), np.asarray(Image.open(file)))


def test_a_resized_image_stands_in_grey() -> None:
    white, places = torch.ones(1, 3, 40, 40), set()
    for seed in range(12):
        torch.manual_seed(seed)
        found = defence("resize-pad:frame=1.5").purify(Threshold(), white)
        assert found.shape == white.shape and found.min() >= 0.5
        inside = found[0, 0] > 0.99
        places.add((int(inside.sum()), int(inside.nonzero()[0, 0]), int(inside.nonzero()[0, 1])))
    sizes = [size for size, _, _ in places]
    assert len(places) > 6 and 0.4 * 1600 < min(sizes) < max(sizes)


def test_votes_are_counted() -> None:
    images = torch.full((1, 3, 4, 4), 0.5)
    images[0, 0, 0, 0] = 0.5 + 0.1 * NormalDist().inv_cdf(0.8)
    torch.manual_seed(0)
    shares = defence("smoothing:sigma=0.1,votes=2000").answer(Threshold(), images).exp()
    assert shares[0, 1] == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (7, 10), (990, 1000), (1000, 1000)])
def test_the_bound_is_that_of_clopper_and_pearson(successes: int, n: int) -> None:
    exact = binomtest(successes, n, alternative="greater").proportion_ci(0.999, method="exact").low
    assert lower_bound(successes, n, 0.001) == pytest.approx(float(exact), abs=1e-9)


def test_no_certified_radius_reaches_beyond_the_boundary() -> None:
    """The boundary is 0.1 away, one sigma: theorem 1 is tight here, and the bound stays a little below it."""
    images = torch.full((3, 3, 4, 4), 0.5)
    images[:, 0, 0, 0] = torch.tensor([0.6, 0.4, 0.5])
    torch.manual_seed(0)
    proof = defence("smoothing:sigma=0.1,n=4000").certify(Threshold(), images, 2)
    assert proof.classes.tolist() == [1, 0, -1]
    assert (proof.radii[:2] < 0.1).all() and (proof.radii[:2] > 0.085).all() and proof.radii[2] == 0


def test_an_attack_on_smoothing_follows_single_versions() -> None:
    network, smoothing = Embedding().eval(), defence("smoothing:sigma=0.1,votes=7")
    pixels = IMAGES.clone().requires_grad_()
    torch.manual_seed(0)
    found = Defended(network, smoothing)(pixels)
    torch.manual_seed(0)
    assert torch.equal(found, network(IMAGES + 0.1 * torch.randn_like(IMAGES)))
    assert torch.autograd.grad(found.sum(), pixels)[0].abs().sum() > 0


def test_wrong_parameters_are_refused() -> None:
    for text in ("jpeg:quality=0", "bit-depth:bits=9", "smoothing:sigma=0", "resize-pad:frame=1", "ttc:eps=4"):
        with pytest.raises(SpecError):
            REGISTRY.resolve("defence", text)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A tiny CLIP with the prompts of the paper, and what a defence is told of it."""
    folder = save_tiny_clip(tmp_path_factory.mktemp("clip"))
    model, context = CLIP(CLIP.Params(path=str(folder), template="a photo of a {}.")), make_context(folder)
    network = model.build(context).eval().requires_grad_(False)
    return TuningSetting(network=network, parts=model.adaptable(network), model=model, context=context)


def tuned_and_voted(setting: TuningSetting, views: Tensor, decay: float) -> Tensor:
    """The authors' code with the views of one image: the words `a photo of a` are replaced, and tuned by AdamW."""
    network: Any = setting.network
    tokens = torch.cat([*network.class_tokens])
    table = setting.part("token_embedding")
    ctx = nn.Parameter(table(tokens[:1])[0, 1:5].detach().clone())

    def text_features() -> Tensor:
        def put(module: nn.Module, given: object, output: Tensor) -> Tensor:
            return torch.cat([output[:, :1], ctx.expand(len(output), -1, -1), output[:, 5:]], dim=1)

        hook = table.register_forward_hook(put)
        found = network.clip.get_text_features(input_ids=tokens).pooler_output
        hook.remove()
        return found / found.norm(dim=-1, keepdim=True)

    features = network.embed_images(views).detach()
    optimizer = torch.optim.AdamW([ctx], 0.005, weight_decay=decay)
    output = network.temperature() * features @ text_features().t()
    batch_entropy = -(output.softmax(1) * output.log_softmax(1)).sum(1)
    chosen = torch.argsort(batch_entropy, descending=False)[: int(batch_entropy.size()[0] * 0.1)]
    selected = output[chosen]
    loss = (-(selected.softmax(1) * selected.log_softmax(1)).sum(1)).mean()
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        tuned_outputs = network.temperature() * features @ text_features().t()
    similar = features @ features.T
    similar.fill_diagonal_(float("-inf"))
    weight = torch.softmax(similar.topk(20, dim=-1)[0].mean(dim=-1) / 0.01, dim=-1)
    return (weight[:, None] * tuned_outputs).sum(0)


def test_r_tpt_is_the_code_of_its_authors(clip: TuningSetting) -> None:
    """Exactly without AdamW's decay, which the code applies to the words, and closely with it."""
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(4))
    rtpt = defence("rtpt")
    rtpt.set_up(clip)
    rtpt.prepare(clip.network, clip.context)
    torch.manual_seed(3)
    views = [torch.cat([image[None], views_of(image, 63, augmix=True)]) for image in images]
    torch.manual_seed(3)
    found = Defended(clip.network, rtpt)(images)
    expected = [torch.stack([tuned_and_voted(clip, each, decay) for each in views]) for decay in (0.0, 0.01)]
    torch.testing.assert_close(found, expected[0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found, expected[1], atol=1e-2, rtol=1e-2)
    plain = clip.network(images)
    assert (found - plain).abs().max() > 10 * (found - expected[1]).abs().max()


def test_r_tpt_lowers_the_entropy_of_the_surest_views_by_a_step_along_signs(clip: TuningSetting) -> None:
    rtpt = defence("rtpt:views=20,lr=0.01")
    rtpt.set_up(clip)
    rtpt.prepare(clip.network, clip.context)
    features = clip.network.embed_images(torch.rand(20, 3, 16, 16, generator=torch.Generator().manual_seed(5)))
    added = rtpt.tune(clip.network, features)
    torch.testing.assert_close(added.abs(), torch.full_like(added, 0.01), atol=1e-4, rtol=0)
    before, after = (
        entropies(clip.network.temperature() * features @ rtpt._texts(each).T)
        for each in (torch.zeros_like(added), added)
    )
    surest = before.argsort()[:2]
    assert after[surest].mean() < before[surest].mean()


def test_a_view_counts_as_much_as_its_neighbours_are_near() -> None:
    features = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.6, 0.8]])
    expected = torch.tensor([1.0, 1.0, 0.6]).div(0.5).softmax(dim=0)
    torch.testing.assert_close(reliability(features, 1, 0.5), expected)
    nearest_two = torch.tensor([0.8, 0.8, 0.6]).div(0.5).softmax(dim=0)
    torch.testing.assert_close(reliability(features, 20, 0.5), nearest_two)
    torch.testing.assert_close(entropies(torch.zeros(2, 4)), torch.full((2,), 4.0).log())


def test_an_adaptive_attack_goes_through_views_and_votes_of_r_tpt(clip: TuningSetting) -> None:
    rtpt = defence("rtpt:views=4")
    rtpt.set_up(clip)
    rtpt.prepare(clip.network, clip.context)
    pixels = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(6)).requires_grad_()
    torch.manual_seed(0)
    logits = Defended(clip.network, rtpt)(pixels)
    (gradient,) = torch.autograd.grad(logits.max(dim=1).values.sum(), pixels)
    assert gradient.abs().amax(dim=(1, 2, 3)).min() > 0
    with torch.inference_mode():
        torch.manual_seed(0)
        torch.testing.assert_close(Defended(clip.network, rtpt)(pixels.detach()), logits.detach())
    with pytest.raises(PluginError, match="rtpt tunes prompts of an image-text model"):
        rtpt.prepare(Embedding(), clip.context)


@pytest.mark.parametrize("operation", range(9))
def test_operations_of_severity_1_change_little_and_pass_gradients(operation: int) -> None:
    image = torch.rand(3, 24, 32, generator=torch.Generator().manual_seed(7)).requires_grad_()
    torch.manual_seed(operation)
    found = changed_by(operation, image)
    assert found.shape == image.shape and found.min() >= -1e-6 and found.max() <= 1 + 1e-6
    (gradient,) = torch.autograd.grad(found.sum(), image)
    assert gradient.abs().max() > 0


def test_images_are_warped_as_pil_does() -> None:
    levels = np.random.RandomState(0).randint(0, 256, (24, 32, 3)).astype(np.uint8)
    rows = ((1.0, 0.03, 1.5), (-0.02, 0.98, 0.25))
    theirs = Image.fromarray(levels).transform((32, 24), Image.Transform.AFFINE, (*rows[0], *rows[1]), Image.BILINEAR)
    found = warped(torch.from_numpy(levels).permute(2, 0, 1) / 255, rows)
    inner = (slice(None), slice(2, -2), slice(2, -4))
    expected = torch.from_numpy(np.asarray(theirs).copy()).permute(2, 0, 1) / 255
    torch.testing.assert_close(found[inner], expected[inner], atol=1.5 / 255, rtol=0)


def test_views_are_crops_of_the_image() -> None:
    torch.manual_seed(0)
    ramp = torch.linspace(0, 1, 32).expand(3, 32, 32)
    views = views_of(ramp, 20, augmix=False)
    assert views.shape == (20, 3, 32, 32) and (views[:, :, 0] - views[:, :, -1]).abs().max() < 1e-5
    steps = (views[:, 0, 0, 20] - views[:, 0, 0, 10]) / (
        10 / 31
    )  # how much of the width a view shows, and its direction
    assert steps.abs().min() > 0.2 and steps.abs().max() < 1.1 and (steps < 0).any() and (steps > 0).any()
