"""An attack that may only ask gets answers alone, and robench counts them and holds it to its budget."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from robench import Attacker, AttackParams, Field, ImageSet, PluginError, ask
from robench.attack.perturbation import perturb_set
from robench.attack.queries import NEVER, Asked
from robench.attack.seen import seen_by
from robench.contracts.types import Norm
from robench.records.query_counts import QueryCounts, told
from torch import Tensor, nn
from torch.nn import functional as F

CPU = torch.device("cpu")
NETWORK = nn.Sequential(nn.Flatten(), nn.Linear(48, 3))
DATA = ImageSet(images=np.full((4, 3, 4, 4), 128, np.uint8), labels=np.zeros(4, np.int64))


class Brightness(nn.Module):
    """Class 1 for images brighter than level 130.4, and for those of a first pixel of exactly 7."""

    def forward(self, images: Tensor) -> Tensor:
        light = images.flatten(1).mean(dim=1) * 255 - 130.4
        light = torch.where((images[:, 0, 0, 0] * 255).round() == 7, torch.ones_like(light), light)
        return torch.stack([-light, light, light - 50], dim=1)


class QueryParams(AttackParams):
    queries: int | None = Field(default=None)


class Script(Attacker):
    """Does what a test says, and notes what it is answered."""

    Params = QueryParams
    knowledge = "query"

    def __init__(self, do: Callable[[nn.Module, Tensor], Tensor], knowledge: str = "query", **params: object) -> None:
        super().__init__(QueryParams.read(params, "script"))
        self.do = do
        self.knowledge = knowledge  # type: ignore[misc, assignment]

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        return self.do(network, images)


def attacked(
    attack: Attacker, network: nn.Module = NETWORK, data: ImageSet = DATA, norm: Norm = "Linf"
) -> tuple[np.ndarray, Asked | None]:
    threat, counts = replace(attack.threat(surrogate=False), norm=norm), []
    assert threat.eps == Fraction(8, 255)
    made, _ = perturb_set(attack, network, data, threat=threat, device=CPU, seed=0, counted=counts.append)
    return made, counts[0] if counts else None


def brighter(images: Tensor, levels: float) -> Tensor:
    return images + levels / 255


@pytest.mark.parametrize(("knowledge", "sees"), [("query", "logits"), ("labels", "labels")])
def test_gradients_under_the_name_of_queries_are_refused(knowledge: str, sees: str) -> None:
    def peek(network: nn.Module, images: Tensor) -> Tensor:
        pixels = images.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(network(pixels), torch.zeros(4, dtype=torch.long)), pixels)
        return images + gradient.sign()

    with pytest.raises(PluginError, match=rf"sees {sees} alone.*asks for gradients; expected knowledge='white-box'"):
        attacked(Script(peek, knowledge))


def test_logits_are_given_without_a_graph_and_labels_without_logits() -> None:
    answers: dict[str, Tensor] = {}
    for knowledge in ("query", "labels"):

        def asks(network: nn.Module, images: Tensor, knowledge: str = knowledge) -> Tensor:
            answers[knowledge] = network(images)
            assert not answers[knowledge].requires_grad
            return images

        attacked(Script(asks, knowledge))
    assert len(answers["query"].unique()) > 2
    assert torch.equal(answers["labels"], F.one_hot(answers["query"].argmax(dim=1), 3).float())


def test_averaged_answers_are_votes_for_an_attack_of_labels_and_cost_as_many_queries() -> None:
    class Coin(Brightness):
        """Answers three times out of four with class 1, but far more surely with class 0."""

        times = 0

        def forward(self, images: Tensor) -> Tensor:
            self.times += 1
            sure = torch.tensor([9.0, 0, 0] if self.times % 4 == 0 else [0, 1.0, 0])
            return sure.expand(len(images), 3)

    seen: list[Tensor] = []

    def asks(network: nn.Module, images: Tensor) -> Tensor:
        seen.append(network(images).argmax(dim=1))
        return images

    for knowledge, winner in (("labels", 1), ("query", 0)):
        script = Script(asks, knowledge)

        class Typed:
            answers, aware = 4, "yes"

            def threat(self, script: Script = script) -> object:
                return script.threat(surrogate=False)

        _, counts = attacked(script, seen_by(Typed(), Coin()))  # type: ignore[arg-type]
        assert seen[-1].tolist() == [winner] * 4
        assert counts is not None and counts.asked.tolist() == [4] * 4


def test_queries_are_counted_for_each_image_and_the_first_that_fools_is_noted() -> None:
    def asks(network: nn.Module, images: Tensor) -> Tensor:
        network(brighter(images, 1))  # one for each
        ask(network, torch.cat([brighter(images[:2], 2), brighter(images[1:2], 5)]), torch.tensor([0, 1, 1]))
        network(brighter(images[2:3], 3))  # of image 0, as all are alike and it is the first of the nearest
        return images

    found, counts = attacked(Script(asks), Brightness())
    assert counts is not None
    assert counts.asked.tolist() == [3, 3, 1, 1]
    assert counts.fell.tolist() == [3, 3, NEVER, NEVER]
    # The attack gave back clean images; what fooled within the budget is not lost.
    assert found[:, 0, 0, 0].tolist() == [131, 133, 128, 128]


def test_an_image_falls_only_as_an_8_bit_image_within_the_ball() -> None:
    def asks(network: nn.Module, images: Tensor) -> Tensor:
        network(brighter(images, 2.45))  # fools, but not when it is rounded
        network(brighter(images, 30))  # fools far outside
        return images

    found, counts = attacked(Script(asks), Brightness())
    assert counts is not None and counts.fell.tolist() == [NEVER] * 4
    assert np.array_equal(found, DATA.images)


def test_a_query_on_the_sphere_is_within_although_rounding_lengthens_it() -> None:
    def asks(network: nn.Module, images: Tensor) -> Tensor:
        change = torch.full_like(images, 0.6)  # rounds to a level each
        change[:, 0, 0, 0] = 5.7
        network(images + change / 255)
        return images

    class Red(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            light = (images[:, 0, 0, 0] - images[:, 1, 0, 0]) * 255 - 4
            return torch.stack([-light, light], dim=1)

    _, counts = attacked(Script(asks), Red(), norm="L2")
    assert counts is not None and counts.fell.tolist() == [1] * 4


def test_beyond_the_budget_the_last_answer_stands_and_the_image_is_cut() -> None:
    answers: list[list[float]] = []

    def asks(network: nn.Module, images: Tensor) -> Tensor:
        for levels in (1, 2, 4, 8):
            answers.append(network(brighter(images, levels))[:, 1].tolist())
        return brighter(images, 8)

    found, counts = attacked(Script(asks, queries=2), Brightness())
    assert counts is not None and counts.asked.tolist() == [2] * 4 and counts.fell.tolist() == [NEVER] * 4
    assert len(answers) == 2  # all images are spent, so the attack is over
    assert found[:, 0, 0, 0].tolist() == [130] * 4  # as of the last query within the budget

    def greedy(network: nn.Module, images: Tensor) -> Tensor:
        for levels in (4, 2, 1, 8):
            answers.append(ask(network, brighter(images[:1], levels), torch.tensor([0]))[:, 1].tolist())
        return brighter(images, 8)

    answers.clear()
    found, counts = attacked(Script(greedy, queries=2), Brightness())
    assert counts is not None and counts.asked.tolist() == [2, 0, 0, 0] and counts.fell.tolist() == [1] + [NEVER] * 3
    assert answers[1] == answers[2] == answers[3]
    # The first image that fooled stands for the one that was asked too often; the others stay as the attack left them.
    assert found[:, 0, 0, 0].tolist() == [132, 136, 136, 136]


def test_an_attack_that_asks_on_in_vain_for_ever_is_stopped() -> None:
    def asks(network: nn.Module, images: Tensor) -> Tensor:
        while True:
            ask(network, images[:1], torch.tensor([0]))

    _, counts = attacked(Script(asks, queries=3))
    assert counts is not None and counts.asked.tolist() == [3, 0, 0, 0]


def test_the_attacks_own_success_is_preferred_to_the_first() -> None:
    def asks(network: nn.Module, images: Tensor) -> Tensor:
        network(brighter(images, 3))
        return brighter(images, 6)

    found, counts = attacked(Script(asks), Brightness())
    assert counts is not None and counts.fell.tolist() == [1] * 4
    assert found[:, 0, 0, 0].tolist() == [134] * 4


def test_nothing_is_counted_where_nothing_is_asked() -> None:
    assert attacked(Script(lambda network, images: images))[1] is None
    white = Script(lambda network, images: images, "white-box", queries=5)
    assert white.threat(surrogate=False).queries is None and attacked(white)[1] is None


def test_the_budget_is_part_of_the_threat() -> None:
    threat = Script(lambda network, images: images, "labels", queries=1000).threat(surrogate=False)
    assert str(threat) == "Linf 8/255 labels, at most 1,000 queries"
    assert str(replace(threat, queries=None)) == "Linf 8/255 labels"


def test_the_curve_begins_clean_and_ends_at_the_budget() -> None:
    counts = QueryCounts.of(np.array([1, 9, 50, 50, 3]), np.array([0, 9, -1, 9, 3]), 50)
    assert counts.numbers(5).tolist() == [0, 9, -1, 9, 3]
    assert counts.curve(5) == [(0, 4), (3, 3), (9, 1), (50, 1)]
    assert counts.asked == 113 and counts.most == 50
    assert counts.right_at(told(50), 5) == [4, 1, 1] and told(50) == [1, 10, 50]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fell": "AAAA"}, "cannot be unpacked"),
        ({"budget": 40}, "more than the budget"),
        ({"fell": base64.b64encode(b"x\x9c\x03\x00\x00\x00\x00\x01").decode()}, "0 bytes of queries for 2 images"),
    ],
)
def test_counts_that_contradict_themselves_are_refused(change: dict[str, object], message: str) -> None:
    counts = QueryCounts.of(np.array([3, 50]), np.array([3, -1]), 50)
    with pytest.raises(ValueError, match=message):
        QueryCounts.model_validate({**counts.model_dump(), **change}).numbers(2)
