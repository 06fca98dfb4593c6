"""Methods in words: as much as tells the rows of a table apart, from what records and components say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from robench.leaderboard.naming import method_names, references, trained_against


def asked(tuner: str = "tecoa", given: str = "", trains: bool = True, **more: Any) -> str:
    params = dict(item.split("=") for item in given.split(",") if item)
    adversary = {"name": "pgd", "surrogate": "resnet20", "eps": "8/255"} if trains else None
    plain = {"zero_shot": False, "images": "", "adapter": "", "elsewhere": "", "adversary": adversary}
    return json.dumps({"tuner": tuner, "given": given, "params": params, "trains": trains, **plain, **more})


WHITE_BOX = {"name": "pgd", "surrogate": "", "eps": "2/255"}


@pytest.mark.parametrize(
    ("methods", "names"),
    [
        ([asked()], ["LoRA + TeCoA"]),
        ([asked(given="lr=0.1"), asked("vpt", "tokens=5")], ["LoRA + TeCoA", "VPT + TeCoA"]),
        (
            [asked(), asked("lora+tecoa", "adversary=white-box,eps=2/255", adversary=WHITE_BOX)],
            ["LoRA + TeCoA", "LoRA + TeCoA, trained white-box at 2/255"],
        ),
        (  # what they were trained against tells them apart, so no other setting is said
            [asked(given="lr=1"), asked("lora+tecoa", "adversary=white-box,eps=2/255,lr=2", adversary=WHITE_BOX)],
            ["LoRA + TeCoA", "LoRA + TeCoA, trained white-box at 2/255"],
        ),
        (
            [
                asked(given="lr=1"),
                *(asked("tecoa", f"adversary=white-box,lr={lr}", adversary=WHITE_BOX) for lr in (2, 3)),
            ],
            [
                "LoRA + TeCoA, lr 1",
                "LoRA + TeCoA, trained white-box at 2/255, lr 2",
                "LoRA + TeCoA, trained white-box at 2/255, lr 3",
            ],
        ),
        (
            [asked("vpt", "epochs=2"), asked("vpt", "epochs=2,tokens=5"), asked("vpt", "epochs=1,init=uniform")],
            ["VPT + TeCoA, 2 epochs", "VPT + TeCoA, 2 epochs, 5 tokens", "VPT + TeCoA, 1 epoch, init uniform"],
        ),
        (
            [asked(images="16 shots"), asked(images="2,000 images")],
            ["LoRA + TeCoA, 16 shots", "LoRA + TeCoA, 2,000 images"],
        ),
        (
            [asked(params={"clean_weight": 0.0}), asked(params={"clean_weight": 0.5})],
            ["LoRA + TeCoA, clean weight 0.0", "LoRA + TeCoA, clean weight 0.5"],
        ),
        ([asked("none", trains=False, zero_shot=True), asked("none", trains=False)], ["zero-shot", "untuned"]),
        ([asked("supervised-at")], ["adversarial training"]),
        (
            [asked("not-installed", "lr=1"), asked("not-installed", "lr=2")],
            ["not-installed, lr 1", "not-installed, lr 2"],
        ),
        ([asked(adapter="/a/b/one.pt"), asked(adapter="")], ["LoRA + TeCoA, adapter one.pt", "LoRA + TeCoA"]),
        ([asked(), asked()], ["LoRA + TeCoA", "LoRA + TeCoA"]),
        ([asked("fare"), asked("fap", "epochs=10")], ["FARE recipe", "FAP recipe"]),
        ([asked("fare", "eps=2/255,epochs=1"), asked("lora-ce", "lr=1")], ["FARE recipe, changed", "LoRA + CE"]),
    ],
)
def test_names_say_what_tells_methods_apart(methods: list[str], names: list[str]) -> None:
    assert method_names(methods) == names


@pytest.mark.parametrize(
    ("method", "against"),
    [
        (asked(), "pgd-resnet20 at 8/255, transfer"),
        (asked(adversary=WHITE_BOX), "white-box pgd at 2/255"),
        (asked(adversary={"name": "mine", "surrogate": "", "eps": ""}), "white-box mine"),
        (asked(adversary=None), "clean images"),
        (asked("none", trains=False), "-"),
    ],
)
def test_what_a_method_was_trained_against_stands_beside_it(method: str, against: str) -> None:
    assert trained_against(method) == against


def test_papers_are_those_of_both_halves_of_a_tuner() -> None:
    adaptation, objective = references(asked("vpt"))
    assert "Visual prompt tuning" in adaptation and "arXiv:2212.07016" in objective
    assert references(asked("not-installed")) == ()
