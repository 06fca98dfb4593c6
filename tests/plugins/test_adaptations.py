"""What each adaptation may change, that it starts where it should, and that it saves, loads and merges."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from robench import Adaptation, DataError, PluginError, SpecError, TuningSetting
from robench.attack.perturbation import frozen_for_attack, seeded
from robench.train.adapters import adapter_state, load_adapter, read_adapter, save_adapter
from robench.train.params import TrainingParams
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPConfig, CLIPModel

from robench_plugins.adaptations.components import ADAPTATIONS
from robench_plugins.adaptations.vpt import VPT, DeepVPT
from robench_plugins.models.clip import CLIP
from robench_plugins.models.clip_network import CLIPNetwork
from robench_plugins.models.resnet import IMAGENET, CIFARResNet, Normalised
from robench_plugins.models.resnet_network import ResNet, Shortcut
from tests.helpers.plugin_fixtures import ToyDataset, make_context, n_parameters, save_tiny_clip, trainable

COMPONENTS = {component.name: component for component in ADAPTATIONS}
TEXT = ["coop", "prompts", "lora-text"]
"""Adaptations of the text side, which test_text_adaptations.py tries."""
NAMES = [name for name in COMPONENTS if name not in TEXT]
PROMPTS = ["vpt", "vpt-deep", "vpt-pad"]
MERGED = ["lora", "dora", "adalora", "ia3", "loha", "oft", "vera"]
EVERYWHERE = ["full", "head", "last-n"]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> CLIPNetwork:
    path = save_tiny_clip(tmp_path_factory.mktemp("tiny-clip"))
    network = CLIP(CLIP.Params(path=str(path))).build(make_context(Path("unused")))
    assert isinstance(network, CLIPNetwork)
    return network.eval()


@pytest.fixture
def network(tiny_clip: CLIPNetwork) -> CLIPNetwork:
    return copy.deepcopy(tiny_clip)


def kind_of(name: str) -> type[Adaptation]:
    module, _, member = COMPONENTS[name].target.partition(":")
    kind = getattr(import_module(module), member)
    assert issubclass(kind, Adaptation)
    return kind


def make(name: str, **params: Any) -> Adaptation:
    kind = kind_of(name)
    return kind(kind.Params.read({**COMPONENTS[name].defaults, **params}, name))


def parts(network: nn.Module) -> Mapping[str, nn.Module]:
    if isinstance(network, CLIPNetwork):
        return CLIP(CLIP.Params(path="unused")).adaptable(network)
    return CIFARResNet().adaptable(network)


def adapt(name: str, network: nn.Module, seed: int = 0, **params: Any) -> Adaptation:
    adaptation = make(name, **params)
    with seeded(seed, CPU):
        adaptation.adapt(network, parts(network))
    return adaptation


def resnet(shortcut: Shortcut = "pad") -> Normalised:
    with seeded(0, CPU):
        return Normalised(ResNet(8, 3, shortcut), *IMAGENET).eval()


def toy() -> tuple[Tensor, Tensor]:
    data = ToyDataset().split("test", 12)
    return torch.from_numpy(data.images).float() / 255, torch.from_numpy(data.labels)


def logits(network: nn.Module) -> Tensor:
    """Return the logits of the toy's images in the precision of the network's weights."""
    dtype = next(network.parameters()).dtype
    with torch.no_grad():
        found: Tensor = network(toy()[0].to(dtype))
    return found


def loss(network: nn.Module) -> Tensor:
    images, labels = toy()
    return F.cross_entropy(network(images), labels)


def move(network: nn.Module, size: float = 0.05) -> None:
    """Give every trainable parameter another value, as training would."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for weight in trainable(network).values():
            weight.add_(size * torch.randn(weight.shape, generator=generator))


def weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def changed(network: nn.Module, before: dict[str, Tensor]) -> set[str]:
    return {name for name, value in weights(network).items() if not torch.equal(value, before[name])}


# Declarations


@pytest.mark.parametrize("name", COMPONENTS)
def test_every_adaptation_loads_and_names_its_source(name: str) -> None:
    component = COMPONENTS[name]
    assert component.kind == "adaptation"
    assert component.reference and component.summary
    assert "Source: " in (inspect.getdoc(kind_of(name)) or "")
    assert kind_of(name).__doc__ is not None
    assert component.recommends.keys() <= {"lr"}
    assert TrainingParams.read(dict(component.recommends), name).lr > 0


@pytest.mark.parametrize("name", COMPONENTS)
def test_no_parameter_has_a_name_of_the_training_loop_and_each_is_described(name: str) -> None:
    fields = kind_of(name).Params.model_fields
    assert not fields.keys() & TrainingParams.model_fields.keys()
    assert all(field.description for field in fields.values())


# What may change


def expected_count(name: str, clip: Any) -> int:
    """Count what `name` trains with its default parameters, in closed form."""
    vision = clip.config.vision_config
    width, layers, inner = vision.hidden_size, vision.num_hidden_layers, vision.intermediate_size
    side, patch, projection = vision.image_size, vision.patch_size, clip.config.projection_dim
    attention = 3 * layers
    block = 4 * (width**2 + width) + (width * inner + inner) + (inner * width + width) + 4 * width
    embeddings = width + 3 * patch**2 * width + ((side // patch) ** 2 + 1) * width
    pad = round(side * 30 / 224)
    return {
        "lora": attention * 2 * 8 * width,
        "dora": attention * (2 * 8 * width + width),
        "adalora": attention * (2 * 12 * width + 12),
        "ia3": layers * (2 * width + inner),
        "loha": attention * 4 * 8 * width,
        "oft": attention * (width // 32) * (32 * 31 // 2),
        "vera": attention * (width + 256),
        "ln": (2 * layers + 2) * 2 * width,
        "vpt": 10 * width,
        "vpt-deep": layers * 10 * width,
        "vpt-pad": 3 * (side**2 - (side - 2 * pad) ** 2),
        "full": embeddings + layers * block + 4 * width + width * projection,
        "head": 3 * projection,
        "last-n": block + 2 * width + width * projection,
    }[name]


@pytest.mark.parametrize("name", NAMES)
def test_the_number_of_trained_parameters_is_the_closed_form(name: str, network: CLIPNetwork) -> None:
    adapt(name, network)
    assert sum(weight.numel() for weight in trainable(network).values()) == expected_count(name, network.clip)


@pytest.fixture(scope="module")
def vit_b32() -> CLIPNetwork:
    """ViT-B/32's vision tower, with shapes and no values, and a small text tower."""
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    with torch.device("meta"):
        clip = CLIPModel(CLIPConfig(text_config=small))
        return CLIPNetwork(clip, [0.5] * 3, [0.5] * 3, torch.zeros(3, clip.config.projection_dim))


@pytest.mark.parametrize("name", NAMES)
def test_the_closed_forms_hold_for_vit_b32(name: str, vit_b32: CLIPNetwork) -> None:
    network = copy.deepcopy(vit_b32)
    adapt(name, network)
    assert sum(weight.numel() for weight in trainable(network).values()) == expected_count(name, network.clip)


def test_published_counts_of_vit_b32(vit_b32: CLIPNetwork) -> None:
    clip = vit_b32.clip
    assert expected_count("lora", clip) == 442_368
    assert n_parameters(clip.vision_model) + expected_count("lora", clip) == 87_898_368
    assert expected_count("vpt", clip) == 7_680
    assert expected_count("vpt-deep", clip) == 92_160
    assert expected_count("vpt-pad", clip) == 69_840  # Bahng et al., section 4
    assert expected_count("full", clip) == 87_456_000 + 768 * 512


@pytest.mark.parametrize("name", NAMES)
def test_nothing_outside_the_part_is_trained(name: str, network: CLIPNetwork) -> None:
    adapt(name, network)
    homes = {
        "full": ("clip.vision_model.", "clip.visual_projection."),
        "head": ("head.",),
        "last-n": ("clip.vision_model.encoder.layers.1.", "clip.vision_model.post_layernorm.", "clip.visual_proj"),
    }
    assert all(key.startswith(homes.get(name, ("clip.vision_model.",))) for key in trainable(network))


@pytest.mark.parametrize("name", NAMES)
def test_a_step_changes_what_is_trainable_and_not_one_bit_more(name: str, network: CLIPNetwork) -> None:
    adapt(name, network)
    move(network)
    learned, before = trainable(network), weights(network)
    network.train()
    loss(network).backward()
    torch.optim.SGD(learned.values(), lr=1.0).step()
    # The gradient of a key's bias is zero: it shifts all scores of a query alike.
    idle = {key for key in learned if key.endswith("k_proj.bias")}
    assert learned.keys() - idle <= changed(network, before) <= learned.keys()
    assert all(weight.grad is None for key, weight in network.named_parameters() if key not in learned)


@pytest.mark.parametrize("name", NAMES)
def test_at_the_start_gradients_reach_all_but_what_a_zero_factor_hides(name: str, network: CLIPNetwork) -> None:
    hidden = {
        "lora": (".lora_A.",),
        "dora": (".lora_A.",),
        "adalora": (".lora_A.", ".lora_B."),
        "loha": (".hada_w1_a.", ".hada_w1_b.", ".hada_w2_a."),
        "vera": (".vera_lambda_d.",),
    }
    adapt(name, network)
    loss(network).backward()
    still = {key for key, weight in trainable(network).items() if weight.grad is None or not weight.grad.any()}
    expected = {key for key in trainable(network) if any(part in key for part in hidden.get(name, ()))}
    assert {key for key in still if not key.endswith("k_proj.bias")} == expected


@pytest.mark.parametrize("name", [name for name in NAMES if name not in PROMPTS])
def test_the_network_starts_as_it_was(name: str, network: CLIPNetwork) -> None:
    before = logits(network)
    adapt(name, network)
    torch.testing.assert_close(logits(network), before, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "head"])
def test_an_attack_goes_through_the_adaptation_to_the_pixels(name: str, network: CLIPNetwork) -> None:
    def gradient() -> Tensor:
        images, labels = toy()
        images.requires_grad_()
        with frozen_for_attack(network):
            (found,) = torch.autograd.grad(F.cross_entropy(network(images), labels), images)
        return found

    adapt(name, network)
    before = gradient()
    move(network)
    after = gradient()
    assert (after != 0).float().mean() > 0.99
    assert not torch.allclose(after, before, rtol=0.01)


@pytest.mark.parametrize("name", NAMES)
def test_adapting_keeps_the_mode_and_evaluation_repeats_itself(name: str, network: CLIPNetwork) -> None:
    adapt(name, network)
    assert not any(module.training for module in network.modules())
    move(network)
    assert torch.equal(logits(network), logits(network))


@pytest.mark.parametrize("name", ["lora", "dora", "adalora", "vera"])
def test_dropout_acts_in_training_mode_alone(name: str, network: CLIPNetwork) -> None:
    adapt(name, network, dropout=0.5)
    move(network)
    network.train()
    assert not torch.equal(logits(network), logits(network))
    with frozen_for_attack(network):
        assert torch.equal(logits(network), logits(network))


# The methods' own mathematics


def query(network: CLIPNetwork) -> Any:
    return network.clip.vision_model.encoder.layers[0].self_attn.q_proj


def update(network: CLIPNetwork) -> Tensor:
    """Return what merging adds to the first query projection."""
    layer = query(network)
    before = layer.base_layer.weight.detach().clone()
    with torch.no_grad():
        layer.merge()
    found: Tensor = layer.base_layer.weight.detach() - before
    return found


def test_lora_adds_alpha_over_rank_times_b_times_a(network: CLIPNetwork) -> None:
    adapt("lora", network, rank=2, alpha=6, dropout=0)
    move(network)
    a, b = query(network).lora_A["default"].weight, query(network).lora_B["default"].weight
    assert a.shape == (2, 32) and b.shape == (32, 2)
    torch.testing.assert_close(update(network), 3 * b @ a)


def test_lora_is_on_queries_keys_and_values(network: CLIPNetwork) -> None:
    adapt("lora", network)
    assert {name.split(".")[-4] for name in trainable(network)} == {"q_proj", "k_proj", "v_proj"}


def test_dora_learns_the_length_of_each_row(network: CLIPNetwork) -> None:
    adapt("dora", network)
    move(network)
    layer = query(network)
    length = layer.lora_magnitude_vector["default"].weight.detach()
    base, a, b = layer.base_layer.weight, layer.lora_A["default"].weight, layer.lora_B["default"].weight
    direction = F.normalize(base + 4 * b @ a, dim=1).detach()
    update(network)
    torch.testing.assert_close(layer.base_layer.weight, length[:, None] * direction)


def test_loha_adds_the_hadamard_product_of_two_low_rank_matrices(network: CLIPNetwork) -> None:
    adapt("loha", network, rank=2, alpha=6)
    move(network, 1.0)
    layer = query(network)
    first, second = (
        getattr(layer, f"hada_w{i}_a")["default"] @ getattr(layer, f"hada_w{i}_b")["default"] for i in (1, 2)
    )
    torch.testing.assert_close(update(network), 3 * first * second)


def test_oft_keeps_the_angles_between_the_weights_of_all_outputs(network: CLIPNetwork) -> None:
    adapt("oft", network, block_size=8)
    move(network, 0.5)
    before = query(network).base_layer.weight.detach().clone()
    added = update(network)
    assert added.norm() > 0.1 * before.norm()
    torch.testing.assert_close((before + added) @ (before + added).T, before @ before.T, atol=1e-4, rtol=1e-4)


def test_ia3_scales_keys_values_and_hidden_activations(network: CLIPNetwork) -> None:
    adapt("ia3", network)
    move(network, 0.3)
    block = network.clip.vision_model.encoder.layers[0]
    x = torch.rand(3, 32)
    for layer in (block.self_attn.k_proj, block.self_attn.v_proj):
        torch.testing.assert_close(layer(x), layer.base_layer(x) * layer.ia3_l["default"].flatten())
    hidden = torch.rand(3, 64)
    factors = block.mlp.fc2.ia3_l["default"]
    torch.testing.assert_close(block.mlp.fc2(hidden), block.mlp.fc2.base_layer(hidden * factors))


def test_vera_shares_its_random_matrices_over_layers_and_seeds(network: CLIPNetwork, tiny_clip: CLIPNetwork) -> None:
    adapt("vera", network, rank=4)
    move(network)
    layer, other = query(network), network.clip.vision_model.encoder.layers[1].self_attn.v_proj
    a, b = layer.vera_A["default"], layer.vera_B["default"]
    assert a is other.vera_A["default"] and b is other.vera_B["default"]
    d, e = layer.vera_lambda_d["default"], layer.vera_lambda_b["default"]
    torch.testing.assert_close(update(network), torch.diag(e) @ b @ torch.diag(d) @ a)
    twin = copy.deepcopy(tiny_clip)
    adapt("vera", twin, seed=9, rank=4)
    assert torch.equal(query(twin).vera_A["default"], a)


def singular_values(network: nn.Module) -> list[nn.Parameter]:
    return [weight for name, weight in trainable(network).items() if ".lora_E." in name]


@pytest.mark.parametrize("n_steps", [2, 3, 8, 20])
def test_adalora_prunes_to_its_budget_and_leaves_the_pruned_at_zero(n_steps: int, network: CLIPNetwork) -> None:
    adaptation = adapt("adalora", network, rank=2, initial_rank=4)
    adaptation.begin(network, n_steps)
    optimizer = torch.optim.AdamW(trainable(network).values(), lr=1e-2)
    network.train()
    left = []
    for step in range(n_steps):
        (loss(network) + adaptation.penalty(network)).backward()
        optimizer.step()
        adaptation.after_step(network, step)
        optimizer.zero_grad()
        left.append(sum(int(values.count_nonzero()) for values in singular_values(network)))
    assert left[0] == 2 * 3 * 4
    assert set(left[-max(1, n_steps // 2) :]) == {2 * 3 * 2}
    assert left == sorted(left, reverse=True)


def test_adalora_with_a_single_step_prunes_nothing(network: CLIPNetwork) -> None:
    adaptation = adapt("adalora", network)
    adaptation.begin(network, 1)
    move(network)
    loss(network).backward()
    adaptation.after_step(network, 0)
    assert all(values.all() for values in singular_values(network))


def test_adaloras_penalty_vanishes_for_orthonormal_factors_and_is_known_for_scaled_ones(network: CLIPNetwork) -> None:
    adaptation = adapt("adalora", network, rank=2, initial_rank=4, orthogonality=0.3)
    factors = [weight for name, weight in trainable(network).items() if ".lora_E." not in name]

    def penalty() -> float:
        with torch.no_grad():
            return float(adaptation.penalty(network))

    for weight in factors:
        nn.init.orthogonal_(weight)
    assert penalty() == pytest.approx(0, abs=1e-5)
    with torch.no_grad():
        for weight in factors:
            weight.mul_(2)
    # Each Gram matrix is 4 I of size 4, at the Frobenius distance 3 sqrt(4) from I.
    assert penalty() == pytest.approx(0.3 * 6, rel=1e-5)


def test_adaloras_initial_rank_is_half_as_much_again_and_must_exceed_the_final_one(network: CLIPNetwork) -> None:
    adapt("adalora", network, rank=3)
    assert {len(values) for values in singular_values(network)} == {5}
    with pytest.raises(SpecError, match="initial_rank=4 leaves nothing to prune"):
        make("adalora", rank=4, initial_rank=4)


def test_only_adalora_adds_to_the_loss(network: CLIPNetwork) -> None:
    for name in NAMES:
        adapted = copy.deepcopy(network)
        with torch.no_grad():
            assert (float(adapt(name, adapted).penalty(adapted)) > 0) == (name == "adalora")


@pytest.mark.parametrize("tokens", [5, 10, 20, 100])
def test_prompt_tokens_stand_between_the_class_token_and_the_patches(tokens: int, network: CLIPNetwork) -> None:
    pixels = torch.rand(2, 3, 16, 16)
    plain = network.clip.vision_model.embeddings(pixels)
    adapt("vpt", network, tokens=tokens)
    (prompt,) = trainable(network).values()
    prompted = network.clip.vision_model.embeddings(pixels)
    assert prompted.shape[1] == plain.shape[1] + tokens
    assert torch.equal(prompted[:, 0], plain[:, 0])
    assert torch.equal(prompted[0, 1 : 1 + tokens], prompt[0])
    assert torch.equal(prompted[:, 1 + tokens :], plain[:, 1:])


def test_prompts_start_as_in_the_study_and_in_the_code_of_tecoa(network: CLIPNetwork) -> None:
    torch.manual_seed(0)
    adapt("vpt", network, tokens=100)
    (prompt,) = trainable(network).values()
    torch.manual_seed(0)
    assert torch.equal(prompt, torch.randn([1, 100, 32]))  # TokenPrompter of Mao et al.


@pytest.mark.parametrize(("name", "given"), [("vpt", {"init": "uniform"}), ("vpt-deep", {})])
def test_prompts_start_within_the_bound_of_the_code_of_vpt(
    name: str, given: dict[str, str], network: CLIPNetwork
) -> None:
    adapt(name, network, tokens=100, **given)
    bound = (6 / (3 * 4**2 + 32)) ** 0.5
    for prompt in trainable(network).values():
        assert prompt.abs().max() <= bound
        assert prompt.std().item() == pytest.approx(bound / 3**0.5, rel=0.1)


def test_records_of_deep_prompts_keep_their_identity_and_those_of_shallow_ones_name_the_start() -> None:
    assert DeepVPT().params.as_dict() == {"tokens": 10}
    assert VPT().params.as_dict() == {"tokens": 10, "init": "normal"}


@pytest.mark.parametrize("tokens", [5, 10, 20, 100])
def test_every_block_sees_prompt_tokens_of_its_own(tokens: int, network: CLIPNetwork) -> None:
    adapt("vpt-deep", network, tokens=tokens)
    seen: list[Tensor] = []
    outputs: list[Tensor] = []

    def watch(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen.append(inputs[0])
        outputs.append(output)

    blocks = network.clip.vision_model.encoder.layers
    for block in (blocks[0], blocks[1].block):
        block.register_forward_hook(watch)
    logits(network)
    first, second = trainable(network).values()
    assert not torch.equal(first, second)
    expected = network.clip.vision_model.pre_layrnorm(first)[0]
    torch.testing.assert_close(seen[0][0, 1 : 1 + tokens], expected)
    assert torch.equal(seen[1][0, 1 : 1 + tokens], second[0])
    kept = [0, *range(1 + tokens, seen[1].shape[1])]
    assert torch.equal(seen[1][:, kept], outputs[0][:, kept])


def test_the_border_frames_the_normalised_picture_and_leaves_its_middle_alone(network: CLIPNetwork) -> None:
    adapt("vpt-pad", network, pad=3)
    (border,) = trainable(network).values()
    assert border.std().item() == pytest.approx(1, rel=0.1)
    inner: list[Tensor] = []
    module = network.clip.vision_model.embeddings
    module.embeddings.register_forward_pre_hook(lambda module, inputs: inner.append(inputs[0]))
    pixels = torch.rand(2, 3, 16, 16)
    module(pixels)
    added = inner[0] - pixels
    assert not added[:, :, 3:13, 3:13].any()
    assert torch.equal(added[0] != 0, added[1] != 0) and (added != 0).sum() == 2 * border.numel()
    torch.testing.assert_close(added[0][added[0] != 0].sort().values, border.flatten().sort().values)


@pytest.mark.parametrize("name", PROMPTS)
def test_the_seed_decides_where_a_prompt_starts(name: str, tiny_clip: CLIPNetwork) -> None:
    def start(seed: int) -> list[Tensor]:
        network = copy.deepcopy(tiny_clip)
        adapt(name, network, seed)
        return list(adapter_state(network).values())

    assert all(torch.equal(one, other) for one, other in zip(start(1), start(1), strict=True))
    assert not any(torch.equal(one, other) for one, other in zip(start(1), start(2), strict=True))


# Merging


@pytest.mark.parametrize("name", NAMES)
def test_merging_changes_no_logit_and_no_trained_value(name: str, network: CLIPNetwork) -> None:
    adaptation = adapt(name, network)
    move(network)
    single = logits(network)
    learned = adapter_state(network)
    merged = copy.deepcopy(network)
    adaptation.merge(merged)
    torch.testing.assert_close(logits(merged), single, atol=1e-5, rtol=1e-6)
    assert all(torch.equal(value, learned[key]) for key, value in adapter_state(merged).items())
    network.double()
    exact = logits(network)
    adaptation.merge(network)
    torch.testing.assert_close(logits(network), exact, atol=1e-7, rtol=0)


@pytest.mark.parametrize("name", MERGED)
def test_merged_adapters_are_passed_by(name: str, network: CLIPNetwork) -> None:
    adaptation = adapt(name, network)
    move(network)
    adaptation.merge(network)
    merged = logits(network)
    with torch.no_grad():
        for weight in trainable(network).values():
            weight.fill_(torch.nan)
    assert torch.equal(logits(network), merged)


# Saving and loading


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", NAMES)
def test_what_was_trained_can_be_saved_and_loaded(
    name: str, seed: int, network: CLIPNetwork, tiny_clip: CLIPNetwork, tmp_path: Path
) -> None:
    adapt(name, network)
    move(network)
    path = tmp_path / "adapter.safetensors"
    save_adapter(path, network, {"tuner": name})
    assert list(tmp_path.iterdir()) == [path]
    state, metadata = read_adapter(path)
    assert metadata == {"tuner": name}
    assert state.keys() == trainable(network).keys()
    fresh = copy.deepcopy(tiny_clip)
    adaptation = adapt(name, fresh, seed)
    load_adapter(fresh, state)
    assert torch.equal(logits(fresh), logits(network))
    adaptation.merge(fresh)
    torch.testing.assert_close(logits(fresh), logits(network), atol=1e-5, rtol=1e-6)


def test_an_adapter_file_is_never_overwritten(network: CLIPNetwork, tmp_path: Path) -> None:
    adapt("lora", network)
    path = tmp_path / "adapter.safetensors"
    save_adapter(path, network, {})
    before = path.read_bytes()
    move(network)
    with pytest.raises(DataError, match="never overwritten"):
        save_adapter(path, network, {})
    assert path.read_bytes() == before


@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "folder"])
def test_a_file_that_holds_no_adapter_is_refused(damage: str, network: CLIPNetwork, tmp_path: Path) -> None:
    adapt("lora", network)
    path = tmp_path / "adapter.safetensors"
    save_adapter(path, network, {})
    whole = path.read_bytes()
    path.unlink()
    if damage == "folder":
        path.mkdir()
    elif damage != "missing":
        path.write_bytes(b"" if damage == "empty" else whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"adapter\.safetensors") as caught:
        read_adapter(path)
    assert "\n" not in str(caught.value)


def test_an_adapter_that_cannot_be_saved_leaves_nothing_behind(network: CLIPNetwork, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot save the adapter"):
        save_adapter(tmp_path / "nowhere" / "adapter.safetensors", network, {})
    assert not list(tmp_path.iterdir())


def test_an_adapter_that_does_not_fit_is_refused_by_name_and_changes_nothing(network: CLIPNetwork) -> None:
    adapt("lora", network)
    state = adapter_state(network)
    first = next(iter(state))
    before = weights(network)
    move(network)
    moved = adapter_state(network)
    unfit = {
        "no '.*lora_A": {name: value for name, value in moved.items() if name != first},
        "has 'head.weight', which this tuner does not train": {**moved, "head.weight": torch.zeros(3, 24)},
        r"\(4, 32\) in the adapter; the network expects .*\(8, 32\)": {**moved, first: torch.zeros(4, 32)},
        "float16": {**moved, first: moved[first].half()},
    }
    load_adapter(network, state)
    for message, wrong in unfit.items():
        with pytest.raises(DataError, match=message):
            load_adapter(network, wrong)
        assert not changed(network, before)
    load_adapter(network, moved)
    assert changed(network, before) == moved.keys()


def test_a_state_is_a_copy(network: CLIPNetwork) -> None:
    adapt("head", network)
    state = adapter_state(network)
    before = state["head.weight"].clone()
    move(network)
    assert torch.equal(state["head.weight"], before)
    load_adapter(network, state)
    assert torch.equal(network.head.weight, before)


# ResNets, and networks that do not fit


@pytest.mark.parametrize("shortcut", ["pad", "conv"])
def test_a_resnet_names_its_blocks_and_its_last_layer(shortcut: Shortcut) -> None:
    network = resnet(shortcut)
    found = parts(network)
    assert found.keys() == {"encoder", "blocks", "head"}
    assert [type(block).__name__ for block in found["blocks"].children()] == ["BasicBlock"] * 3
    assert n_parameters(found["encoder"]) + n_parameters(found["head"]) == n_parameters(network)
    assert found["head"] is network.network.get_submodule("linear" if shortcut == "pad" else "fc")


@pytest.mark.parametrize(
    ("name", "params", "expected"),
    [
        ("full", {}, ("",)),
        ("head", {}, ("linear.",)),
        ("last-n", {}, ("layer3.", "linear.")),
        ("last-n", {"n": 2}, ("layer2.", "layer3.", "linear.")),
        ("last-n", {"n": 3}, ("layer1.", "layer2.", "layer3.", "linear.")),
    ],
)
def test_of_a_resnet_the_named_layers_are_trained(name: str, params: dict[str, int], expected: tuple[str, ...]) -> None:
    network = resnet()
    adapt(name, network, **params)
    wanted = {key for key, _ in network.named_parameters() if key.removeprefix("network.").startswith(expected)}
    assert trainable(network).keys() == wanted


@pytest.mark.parametrize("name", EVERYWHERE)
def test_running_statistics_change_where_weights_do_and_are_saved_with_them(name: str, tmp_path: Path) -> None:
    network = resnet()
    adapt(name, network)
    before = weights(network)
    network.train()
    loss(network).backward()
    torch.optim.SGD(trainable(network).values(), lr=0.1).step()
    state = adapter_state(network)
    assert changed(network, before) == state.keys()
    statistics = {key for key in state if "running_" in key or "num_batches" in key}
    assert statistics == {
        key
        for key in before
        if "running_" in key or "num_batches" in key
        if key.rpartition(".")[0] + ".weight" in state
    }
    assert bool(statistics) == (name != "head")
    save_adapter(tmp_path / "resnet.safetensors", network, {})
    fresh = resnet()
    adapt(name, fresh)
    load_adapter(fresh, read_adapter(tmp_path / "resnet.safetensors")[0])
    assert torch.equal(logits(fresh.eval()), logits(network.eval()))


def test_a_frozen_batch_norm_answers_alike_in_both_modes() -> None:
    network = resnet()
    adapt("head", network)
    evaluated = logits(network)
    assert torch.equal(logits(network.train()), evaluated)


def test_full_trains_the_whole_of_a_network_without_a_named_encoder() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    make("full").adapt(network, {})
    assert len(trainable(network)) == 2


def test_full_trains_a_head_that_stands_beside_the_encoder() -> None:
    """As in the tutorial's model, whose encoder gives embeddings."""
    encoder, head = nn.Linear(4, 3), nn.Linear(3, 2)
    network = nn.Sequential(nn.Flatten(), encoder, head)
    make("full").adapt(network, {"encoder": encoder, "head": head})
    assert trainable(network).keys() == {"1.weight", "1.bias", "2.weight", "2.bias"}


@pytest.mark.parametrize("name", [name for name in NAMES if name != "full"])
def test_a_network_without_the_part_is_refused_with_a_model_to_use_instead(name: str) -> None:
    for network, offered in ((nn.Linear(2, 2), {}), (resnet(), None)):
        if offered is None and name in EVERYWHERE:
            continue
        if offered is None and name == "vpt-pad":
            continue  # it takes any encoder
        before = set(trainable(network))
        with pytest.raises(PluginError, match="use a model that has it, such as --model clip-tiny") as caught:
            make(name).adapt(network, parts(network) if offered is None else offered)
        assert "\n" not in str(caught.value)
        assert set(trainable(network)) == before


def test_a_border_needs_no_tower() -> None:
    network, model = resnet(), CIFARResNet()
    context = make_context(Path("unused"))
    plain = logits(network)
    adaptation = make("vpt-pad")
    adaptation.set_up(TuningSetting(network=network, parts=parts(network), model=model, context=context))
    with seeded(0, CPU):
        adaptation.adapt(network, parts(network))
    assert {name: tuple(weight.shape) for name, weight in trainable(network).items()} == {
        "border.border": (3, 16**2 - 12**2)
    }
    found = logits(network)
    assert not torch.allclose(found, plain, rtol=0.01)
    torch.testing.assert_close(logits(copy.deepcopy(network)), found)
    larger = F.interpolate(toy()[0], 32)
    assert network(larger).isfinite().all()
    loss(network).backward()
    assert trainable(network)["border.border"].grad.abs().min() > 0  # type: ignore[union-attr]


@pytest.mark.parametrize("name", [name for name in NAMES if name not in EVERYWHERE])
def test_a_tower_without_the_layers_is_refused(name: str) -> None:
    tower = nn.Sequential(nn.Linear(2, 2))
    missing = {"ln": "LayerNorm", "ia3": "k_proj, v_proj, fc2"} | dict.fromkeys(PROMPTS, "embeddings")
    missing["vpt-pad"] = "'encoder'"
    with pytest.raises(PluginError, match=missing.get(name, "q_proj, k_proj, v_proj") + ".* --model clip-tiny"):
        make(name).adapt(tower, {"vision": tower, "blocks": nn.ModuleList()})


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("last-n", {"n": 3}, "n=3 is more than the model's 2 blocks"),
        ("vpt-pad", {"pad": 8}, "pad=8 covers all of 16 x 16 pixels; expected at most 7"),
        ("oft", {"block_size": 5}, "block_size=5 does not divide the width 32; try block_size=4"),
    ],
)
def test_values_that_do_not_fit_the_network_are_refused(
    name: str, params: dict[str, int], message: str, network: CLIPNetwork
) -> None:
    with pytest.raises(PluginError, match=message):
        adapt(name, network, **params)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("lora", "rank"),
        ("dora", "alpha"),
        ("vpt", "tokens"),
        ("vpt-pad", "pad"),
        ("last-n", "n"),
        ("oft", "block_size"),
    ],
)
def test_parameters_out_of_range_are_refused(name: str, key: str) -> None:
    with pytest.raises(SpecError, match=f"{key}=0"):
        make(name, **{key: 0})
