"""A whole table of methods as one script: CLIP as it comes, LoRA and prompts, each clean and under PGD on a ResNet-20.

    python -m robench.bench.rivals.study plan.json

torchattacks is called for every batch of every epoch of every method, and for each evaluation: on images that were
resized to 224 pixels, as in the study (``size`` 224), or at their own resolution, as robench does. Nothing is kept or
shared. robench only draws the images and loads the weights.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from robench.bench.clips import Clip, as_rivals_have_it
from robench.bench.rivals import adapters, torchattacks_pgd
from robench.bench.rivals.clip_logits import logits_of, pixels_of
from robench.bench.rivals.plain import PlainResNet, plain_network
from robench.bench.setting import Setting
from robench.compute.device import resolve_device
from robench.registry.registry import discover

ATTACK_BATCH, EVALUATION_BATCH = 125, 64
EPS, ALPHA, STEPS = 8 / 255, 2 / 255, 7


@dataclass(kw_only=True)
class Script:
    """The surrogate and device of the script, and the seconds and images of its attacks."""

    surrogate: PlainResNet
    device: torch.device
    attack_seconds: float = 0
    attacked: int = 0

    def attack(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return adversarial versions of ``float32`` images in ``[0, 1]``."""
        start = time.perf_counter()
        found = [
            torchattacks_pgd.attack(
                self.surrogate, part.to(self.device), truth.to(self.device), eps=EPS, alpha=ALPHA, steps=STEPS
            ).cpu()
            for part, truth in zip(images.split(ATTACK_BATCH), labels.split(ATTACK_BATCH), strict=True)
        ]
        self.attack_seconds += time.perf_counter() - start
        self.attacked += len(images)
        return torch.cat(found)

    def train(self, model: Any, clip: Clip, method: dict[str, Any], images: Tensor, labels: Tensor) -> None:
        """Train the model by the method."""
        trained = adapters.lora(model) if method["adapt"] == "lora" else adapters.vpt(model, tokens=method["tokens"])
        optimizer = torch.optim.AdamW(trained, lr=method["lr"])
        model.train()
        share = method["clean_weight"]
        for _ in range(method["epochs"]):
            for part in torch.randperm(len(labels)).split(method["batch_size"]):
                truth = labels[part].to(self.device)
                adversarial = self.attack(images[part], labels[part])
                loss = torch.zeros((), device=self.device)
                for pixels, weight in ((images[part], share), (adversarial, 1 - share)):
                    if weight:
                        logits = logits_of(model, clip, pixels_of(pixels, clip))
                        loss = loss + weight * F.cross_entropy(logits, truth)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

    @torch.inference_mode()
    def accuracy(self, model: Any, clip: Clip, images: Tensor, labels: Tensor) -> float:
        """Return the share of images that are classified correctly."""
        model.eval()
        right = 0
        for part, truth in zip(images.split(EVALUATION_BATCH), labels.split(EVALUATION_BATCH), strict=True):
            logits = logits_of(model, clip, pixels_of(part, clip))
            right += int((logits.argmax(dim=1) == truth.to(self.device)).sum())
        return right / len(labels)


def main(plan: dict[str, Any]) -> dict[str, Any]:
    """Carry out every method; return the accuracies, and the seconds and images of attacks."""
    torch.manual_seed(plan["seed"])
    setting = Setting(registry=discover(), device=resolve_device(plan["device"]), folder=Path(plan["folder"]))
    surrogate = plain_network(setting.network("resnet20"))
    dataset = setting.context.dataset
    train, test = (dataset.split(name, plan[f"{name}_size"]) for name in ("train", "test"))
    sets = [(_resized(data.images, plan["size"]), torch.from_numpy(data.labels)) for data in (train, test)]
    script = Script(surrogate=surrogate, device=setting.device)
    rows: dict[str, dict[str, float]] = {}
    for method in plan["methods"]:
        clip = as_rivals_have_it(setting.network(plan["model"]))
        if method["adapt"]:
            script.train(clip.model, clip, method, *sets[0])
        images, labels = sets[1]
        adversarial = script.attack(images, labels)
        rows[method["name"]] = {
            "clean": script.accuracy(clip.model, clip, images, labels),
            "adversarial": script.accuracy(clip.model, clip, adversarial, labels),
        }
    return {"rows": rows, "attack_seconds": script.attack_seconds, "attacked": script.attacked}


def _resized(images: Any, size: int) -> Tensor:
    pixels = torch.from_numpy(images).float() / 255
    if pixels.shape[-1] == size:
        return pixels
    return F.interpolate(pixels, (size, size), mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)


if __name__ == "__main__":
    print(json.dumps(main(json.loads(Path(sys.argv[1]).read_text()))))
