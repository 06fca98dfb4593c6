"""Toy components: dots on a plane, a linear model, a sign attack, a tuner of the bias."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from robench import (
    Adaptation,
    Attacker,
    Component,
    DataError,
    Dataset,
    Field,
    ImageSet,
    Model,
    Objective,
    Params,
    Progress,
    RunContext,
    Tuner,
    TuningTask,
    hookimpl,
)
from torch import Tensor, nn

SIZES = {"train": 60, "validation": 20, "test": 40}


class Dots(Dataset):
    """Two classes that differ in brightness, by little enough that 8/255 matters."""

    @property
    def class_names(self) -> tuple[str, ...]:
        return ("dark", "light")

    def split(self, name: str, limit: int | None = None) -> ImageSet:
        n = SIZES[name] if limit is None else limit
        if n > SIZES[name]:
            raise DataError(f"dots has {SIZES[name]} {name} images; {n} were asked for")
        random = np.random.RandomState(len(name))
        labels = np.arange(SIZES[name]) % 2
        images = random.randint(108, 128, (SIZES[name], 3, 8, 8)) + 20 * labels[:, None, None, None]
        return ImageSet(images=images.astype(np.uint8)[:n], labels=labels.astype(np.int64)[:n])


class Stripes(Dots):
    """The same difference between other classes, with other images."""

    @property
    def class_names(self) -> tuple[str, ...]:
        return ("dim", "bright")

    def split(self, name: str, limit: int | None = None) -> ImageSet:
        dots = super().split(name, limit)
        return ImageSet(images=dots.images[:, :, ::-1].copy(), labels=dots.labels)


class LinearParams(Params):
    gain: float = Field(default=50.0, description="slope of the logits")
    broken: bool = Field(default=False, description="return NaN")


class LinearNetwork(nn.Module):
    def __init__(self, gain: float, broken: bool) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(gain))
        self.bias = nn.Parameter(torch.zeros(()))
        self.dropout = nn.Dropout(0.5)
        self.broken = broken

    def forward(self, images: Tensor) -> Tensor:
        light = self.gain * (images.mean(dim=(1, 2, 3)) - 127.5 / 255) + self.bias
        logits = torch.stack([-light, light], dim=1)
        return logits * float("nan") if self.broken else logits


class Linear(Model):
    Params = LinearParams
    params: LinearParams

    def build(self, context: RunContext) -> nn.Module:
        return LinearNetwork(self.params.gain, self.params.broken)

    def rebind(self, network: nn.Module, context: RunContext) -> nn.Module:
        """Brightness tells the classes of any two-class dataset apart."""
        return network


class Sign(Attacker):
    """FGSM by hand."""

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        images = images.clone().requires_grad_()
        loss = nn.functional.cross_entropy(network(images), labels)
        (gradient,) = torch.autograd.grad(loss, images)
        return images.detach() + float(self.params.eps) * gradient.sign()


class Still(Attacker):
    """The control: nothing happens."""

    knowledge = "nothing"

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        return images


class Liar(Attacker):
    """Ignores its budget."""

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        return torch.rand_like(images)


class Keep(Tuner):
    trains = False

    def adapt(self, network: nn.Module, parts: Mapping[str, nn.Module]) -> None:
        for parameter in network.parameters():
            parameter.requires_grad_(False)


class BiasParams(Params):
    lr: float = Field(default=0.1, gt=0, description="learning rate")
    epochs: int = Field(default=1, ge=1, description="passes")
    adversary: str = Field(default="sign-linear", description="attack for training")


class Bias(Tuner):
    Params = BiasParams
    params: BiasParams

    def adversary(self) -> str:
        return self.params.adversary

    def adapt(self, network: nn.Module, parts: Mapping[str, nn.Module]) -> None:
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(name == "bias")

    def fit(self, task: TuningTask) -> list[dict[str, float]]:
        assert task.adversary is not None
        labels = torch.from_numpy(task.train.labels)
        indices = np.arange(len(task.train))
        clean = torch.from_numpy(task.train.images).float() / 255
        history = []
        for epoch in range(self.params.epochs):
            adversarial = task.adversary(indices, clean, labels)
            loss = nn.functional.cross_entropy(task.network(adversarial), labels)
            loss.backward()
            with torch.no_grad():
                for parameter in task.network.parameters():
                    if parameter.requires_grad and parameter.grad is not None:
                        parameter -= self.params.lr * parameter.grad
                        parameter.grad = None
            history.append({"epoch": epoch + 1, "loss": loss.item()})
            task.context.report(Progress(stage="tuning", done=len(indices), total=len(indices)))
        return history


class ShiftParams(Params):
    pull: float = Field(default=0.0, description="weight of the penalty on the bias")


class Shift(Adaptation):
    """Trains the bias alone, and notes what it is told."""

    Params = ShiftParams
    params: ShiftParams

    def __init__(self, params: ShiftParams | None = None) -> None:
        super().__init__(params)
        self.heard: list[tuple[str, int]] = []

    def adapt(self, network: nn.Module, parts: Mapping[str, nn.Module]) -> None:
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(name == "bias")

    def begin(self, network: nn.Module, n_steps: int) -> None:
        self.heard.append(("begin", n_steps))

    def penalty(self, network: nn.Module) -> Tensor:
        bias: Tensor = network.bias
        return self.params.pull * bias**2

    def after_step(self, network: nn.Module, step: int) -> None:
        assert network.bias.grad is not None
        self.heard.append(("step", step))

    def merge(self, network: nn.Module) -> None:
        self.heard.append(("merge", 0))


class Likely(Objective):
    """Cross-entropy of the adversarial images."""

    def loss(self, network: nn.Module, clean: Tensor, adversarial: Tensor, labels: Tensor) -> Tensor:
        return nn.functional.cross_entropy(network(adversarial), labels)


def component(kind: str, name: str, target: str, **more: object) -> Component:
    return Component(kind=kind, name=name, target=f"tests.helpers.toy:{target}", summary=f"toy {kind}", **more)  # type: ignore[arg-type]


@hookimpl
def robench_components() -> list[Component]:
    return [
        component("dataset", "dots", "Dots", recommends={"model": "linear"}),
        component("dataset", "stripes", "Stripes", recommends={"model": "linear"}),
        component("model", "linear", "Linear", recommends={"bias": {"lr": 0.5}, "shift": {"epochs": 2}}),
        component("model", "steep", "Linear", defaults={"gain": 500.0}),
        component("tuner", "none", "Keep"),
        component("tuner", "bias", "Bias"),
        component("adaptation", "shift", "Shift", reference="by hand", recommends={"lr": 0.01}),
        component("objective", "likely", "Likely", reference="by heart"),
        Component(
            kind="tuner",
            name="preset",
            target="shift+likely",
            summary="a product by name",
            defaults={"adversary": "sign-linear", "pull": 0.5},
        ),
        component("attacker", "sign", "Sign", reference="by hand"),
        component("attacker", "sign-twice", "Sign"),
        component("attacker", "liar", "Liar"),
        component("attacker", "still", "Still"),
    ]
