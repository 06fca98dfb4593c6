"""ResNets for 32 x 32 images, in the two layouts in which weights are published.

Source: He, Zhang, Ren and Sun, "Deep residual learning for image recognition", CVPR 2016 (arXiv:1512.03385), section
4.2. The input is normalised images ``float32 (N, 3, H, W)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from robench import RobenchError
from torch import Tensor, nn
from torch.nn import functional as F

from robench_plugins.models.saved_weights import with_batch_counts

Shortcut = Literal["pad", "conv"]

DEPTHS: dict[str, int] = {"resnet20": 20, "resnet32": 32, "resnet44": 44, "resnet56": 56}


class PadShortcut(nn.Module):
    """Option A: every second pixel, with new channels of zeros; no parameters."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        """Halve height and width and pad the channels evenly on both sides."""
        missing = self.channels - x.shape[1]
        # Not x[:, :, ::2, ::2], whose gradient loses the channels-last layout of x.
        return F.pad(F.avg_pool2d(x, 1, 2), (0, 0, 0, 0, missing // 2, missing - missing // 2))


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions around a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int, shortcut: Shortcut) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 and shortcut == "pad":
            self.downsample = PadShortcut(outputs)
        elif stride != 1:
            projection = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(projection, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        # In place, because memory traffic costs as much here as computing.
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        out = self.bn2(self.conv2(out))
        out += self.downsample(x)
        return F.relu(out, inplace=True)


class ResNet(nn.Module):
    """A CIFAR-style ResNet of depth 6n + 2.

    ``shortcut="pad"`` is the paper's option A, whose last layer is `linear`. ``"conv"`` has 1 x 1 projections
    `downsample`, and its last layer is `fc`.
    """

    def __init__(self, depth: int, num_classes: int, shortcut: Shortcut = "pad") -> None:
        super().__init__()
        if depth < 8 or (depth - 2) % 6:
            raise RobenchError(f"ResNet depth must be 6n + 2, such as 20 (got {depth})")
        self.shortcut: Shortcut = shortcut
        blocks = (depth - 2) // 6
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = _stage(16, 16, blocks, 1, shortcut)
        self.layer2 = _stage(16, 32, blocks, 2, shortcut)
        self.layer3 = _stage(32, 64, blocks, 2, shortcut)
        self.head_name = "linear" if shortcut == "pad" else "fc"
        self.add_module(self.head_name, nn.Linear(64, num_classes))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def blocks(self) -> nn.ModuleList:
        """Return the residual blocks in order."""
        return nn.ModuleList([*self.layer1, *self.layer2, *self.layer3])

    def head(self) -> nn.Module:
        """Return the layer that makes the logits."""
        return self.get_submodule(self.head_name)

    def features(self, x: Tensor) -> Tensor:
        """Return pooled features ``(N, 64)`` of normalised images ``(N, 3, H, W)``."""
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = self.layer3(self.layer2(self.layer1(x)))
        # Not x.mean((2, 3)), whose gradient loses the channels-last layout of x.
        return F.avg_pool2d(x, x.shape[-2:]).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``(N, num_classes)`` of normalised images ``(N, 3, H, W)``."""
        logits: Tensor = self.head()(self.features(x))
        return logits


def _stage(inputs: int, outputs: int, blocks: int, stride: int, shortcut: Shortcut) -> nn.Sequential:
    first = BasicBlock(inputs, outputs, stride, shortcut)
    rest = [BasicBlock(outputs, outputs, 1, shortcut) for _ in range(blocks - 1)]
    return nn.Sequential(first, *rest)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The architecture that a state dict belongs to."""

    depth: int
    num_classes: int
    shortcut: Shortcut


def detect_layout(state: Mapping[str, Tensor]) -> Layout:
    """Return the depth, classes and shortcut that the keys of a state dict show.

    Raises:
        RobenchError: The keys are not those of a CIFAR-style ResNet.
    """
    heads = [name for name in ("linear", "fc") if f"{name}.weight" in state]
    blocks = sum(key.startswith("layer1.") and key.endswith(".conv1.weight") for key in state)
    if len(heads) != 1 or not blocks:
        raise RobenchError(
            "these are not the weights of a CIFAR-style ResNet: expected keys such as "
            f"'layer1.0.conv1.weight' and 'linear.weight' or 'fc.weight', got {sorted(state)[:4]}"
        )
    return Layout(
        depth=6 * blocks + 2,
        num_classes=state[f"{heads[0]}.weight"].shape[0],
        shortcut="pad" if heads[0] == "linear" else "conv",
    )


def from_state_dict(state: Mapping[str, Tensor]) -> ResNet:
    """Return the network of a state dict with its weights, in evaluation mode.

    Raises:
        RobenchError: Keys or shapes do not fit.
    """
    layout = detect_layout(state)
    network = ResNet(layout.depth, layout.num_classes, layout.shortcut)
    try:
        network.load_state_dict(with_batch_counts(state, network), strict=True)
    except RuntimeError as error:
        raise RobenchError(f"ResNet-{layout.depth} weights do not fit: {error}") from error
    return network.eval()
