"""What tuners are told: parts by name, copies that stay as they are, and nothing outside of a run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from robench import Objective, Part, PluginError, TuningSetting
from torch import Tensor, nn

from tests.helpers.plugin_fixtures import make_context
from tests.helpers.toy import Dots, Likely, Linear


class Half(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(4, 3)
        self.head = nn.Linear(3, 2)
        self.parts = {"encoder": Part.without(self.features, self, self.head), "head": self.head}

    def features(self, images: Tensor) -> Tensor:
        found: Tensor = self.body(images)
        return found

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.parts["encoder"](images))
        return logits


def setting(network: Half) -> TuningSetting:
    context = make_context(Path("unused"), Dots())
    return TuningSetting(network=network, parts=network.parts, model=Linear(), context=context)


def test_a_part_is_no_child_and_a_hook_on_it_reaches_the_logits() -> None:
    network, images = Half(), torch.rand(2, 4)
    assert {name for name, _ in network.named_parameters()} == {
        f"{layer}.{kind}" for layer in ("body", "head") for kind in ("weight", "bias")
    }
    assert set(network.parts["encoder"].parameters()) == set(network.body.parameters())
    hook = network.parts["encoder"].register_forward_hook(lambda module, inputs, output: 0 * output)
    torch.testing.assert_close(network(images), network.head.bias.expand(2, 2))
    hook.remove()


def test_a_frozen_copy_has_parts_of_its_own_and_stays_as_it_was() -> None:
    network, images = Half().train(), torch.rand(2, 4)
    told = setting(network)
    before = network(images).detach()
    frozen = told.frozen()
    with torch.no_grad():
        network.body.weight.add_(1)
    assert not frozen.network.training and network.training
    torch.testing.assert_close(frozen.network(images), before)
    torch.testing.assert_close(frozen.part("head")(frozen.part("encoder")(images)), before)
    assert not any(weight.requires_grad for weight in frozen.network.parameters())
    assert (told.class_names, told.prompts) == (("dark", "light"), Dots().prompts())


def test_what_a_model_lacks_is_refused_by_name() -> None:
    told = setting(Half())
    with pytest.raises(PluginError, match=r"needs the part 'patches' .* offers only encoder, head; use a model"):
        told.part("patches")
    with pytest.raises(PluginError, match="this model reads no text"):
        told.tokenize(["a dog"])
    with pytest.raises(PluginError, match=r"Likely needs the parts of the network .* set_up\(setting\) first"):
        _ = Likely().setting


def test_an_objective_has_a_loss_or_terms() -> None:
    class Neither(Objective):
        """Nothing."""

    with pytest.raises(TypeError, match="Neither has neither loss nor terms"):
        Neither()
    network, images = nn.Linear(4, 2), torch.rand(3, 4)

    class Sum(Objective):
        def terms(self, network: nn.Module, clean: Tensor, adversarial: Tensor, labels: Tensor) -> dict[str, Tensor]:
            return {"one": network(clean).mean(), "two": 2 * network(adversarial).mean()}

    labels = torch.zeros(3, dtype=torch.long)
    torch.testing.assert_close(Sum().loss(network, images, images, labels), 3 * network(images).mean())
    assert set(Likely().terms(network, images, images, labels)) == {"loss"}
