"""The parameters of training, shared by all tuners ``ADAPTATION+OBJECTIVE``."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from robench.contracts.params import Later, Params, Pixels
from robench.contracts.types import parse_name
from robench.images.augmentation import Recipe
from robench.train.early_stopping import Monitor


class TrainingParams(Params):
    """How an adaptation is trained on an objective; the defaults are the study's."""

    lr: float = Field(default=1e-4, gt=0, description="largest learning rate")
    epochs: int = Field(default=1, ge=1, description="passes over the training images")
    batch_size: int = Field(default=64, ge=1, description="images a batch")
    accumulate: int = Field(default=1, ge=1, description="batches whose gradients make one optimiser step")
    optimizer: Literal["adamw", "adam", "sgd"] = Field(default="adamw", description="optimiser: adamw, adam or sgd")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="momentum of sgd")
    weight_decay: float | None = Field(
        default=None, ge=0, description="weight decay; 0.01 with adamw and 0 with others if not given"
    )
    schedule: Literal["constant", "cosine", "plateau"] = Field(
        default="constant",
        description="learning rate over time: constant; cosine, down to 0; or plateau, halved after 5 epochs without a "
        "better one, down to 1e-5",
    )
    warmup: float = Field(
        default=0.0, ge=0, lt=1, description="share of the steps in which the learning rate rises from 0"
    )
    clip_norm: float | None = Field(
        default=None, gt=0, description="largest norm of a step's gradient; no limit if not given"
    )
    adversary: str = Field(
        default="pgd-resnet20",
        description="attack that makes the training images, such as pgd-resnet20; white-box: PGD on the network; none",
    )
    eps: Pixels = Field(default=Fraction(8, 255), description="radius of the adversary's ball, in [0, 1] pixel units")
    steps: int | None = Field(
        default=None, ge=1, description="the adversary's gradient steps; the attack's own default if not given"
    )
    validate_on: int = Field(default=0, ge=0, description="validation images that are scored after each epoch")
    keep: Literal["last", "best"] = Field(
        default="last",
        description="weights to keep: those of the last epoch, or of the best epoch on the validation images",
    )
    monitor: Monitor = Later(
        "accuracy",
        description="how the best epoch is chosen: by accuracy, adversarial if there is an adversary, or by loss",
    )
    patience: int = Later(0, ge=0, description="epochs without a better one after which training stops; 0: never")
    augment: Recipe = Later(
        "none", description="random changes of the training images: none, study-cnn or study-vit, see docs/tuning.md"
    )
    balance: int = Later(
        0, ge=0, description="images of each class in an epoch, repeated or left out as needed; 0: every image once"
    )
    eps_schedule: Literal["constant", "linear"] = Later(
        "constant",
        description="radius over time: constant; or linear, from eps/steps at the first step of the training to eps at "
        "the last, for an adversary that attacks the network itself",
    )
    wise: float = Later(
        1.0,
        ge=0,
        le=1,
        description="share of the tuned weights in those that are kept, WiSE-FT's alpha; the rest are those before",
    )

    @model_validator(mode="before")
    @classmethod
    def _ball_of_the_adversary(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Read ``adversary=pgd:eps=2/255`` as ``adversary=pgd,eps=2/255``; the same for ``steps``."""
        if ":" not in str(values.get("adversary")):
            return values
        name = parse_name(values["adversary"])
        ball = {key: value for key, value in name.params if key in ("eps", "steps")}
        for key, value in ball.items():
            if str(values.get(key, value)) != value:
                raise ValueError(f"{key}={values[key]} and adversary={values['adversary']} differ; expected it once")
        rest = ",".join(f"{key}={value}" for key, value in name.params if key not in ball)
        return {**values, **ball, "adversary": f"{name.text}:{rest}" if rest else name.text}

    @model_validator(mode="after")
    def _judging_needs_images(self) -> Self:
        asked = [("keep=best", self.keep == "best"), ("schedule=plateau", self.schedule == "plateau")]
        for setting, given in [*asked, (f"patience={self.patience}", self.patience > 0)]:
            if given and not self.validate_on:
                raise ValueError(f"{setting} needs validation images; expected validate_on=N, such as validate_on=500")
        if self.augment != "none" and self.adversary not in ("none", "white-box"):
            raise ValueError(
                f"augment={self.augment} changes every image anew, but {self.adversary} makes its images beforehand; "
                "expected adversary=none or white-box"
            )
        return self

    @model_validator(mode="after")
    def _radius_needs_an_adversary(self) -> Self:
        if self.eps_schedule != "constant" and self.adversary == "none":
            raise ValueError(
                f"eps_schedule={self.eps_schedule} does nothing with adversary=none; leave one of them out"
            )
        return self

    def attack(self, white_box: str = "pgd") -> str | None:
        """Return the adversary as an attack with its parameters, as typed; None without one.

        Args:
            white_box: The attack that ``adversary=white-box`` stands for.
        """
        if self.adversary == "none":
            return None
        name = parse_name(white_box if self.adversary == "white-box" else self.adversary)
        given = {**dict(name.params), "eps": str(self.eps)}
        if self.steps is not None:
            given["steps"] = str(self.steps)
        return f"{name.text}:{','.join(f'{key}={value}' for key, value in given.items())}"
