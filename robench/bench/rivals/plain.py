"""A CIFAR ResNet as it was published, without the optimisations of robench."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F


class Block(nn.Module):
    """Two convolutions around a shortcut that has no weights."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, inputs, H, W)`` to ``(N, outputs, H / stride, W / stride)``."""
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if out.shape != x.shape:
            padding = (out.shape[1] - x.shape[1]) // 2
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, padding, padding))
        out += x
        return F.relu(out)


class PlainResNet(nn.Module):
    """A ResNet behind its normalisation: images in ``[0, 1]`` to logits.

    Source: He et al., "Deep residual learning for image recognition", CVPR 2016, section 4.2, shortcuts of option A.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, blocks: int, n_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1, self.layer2, self.layer3 = (
            nn.Sequential(Block(first, width, width // first), *(Block(width, width, 1) for _ in range(blocks - 1)))
            for first, width in ((16, 16), (16, 32), (32, 64))
        )
        self.linear = nn.Linear(64, n_classes)
        for name in ("mean", "std"):
            self.register_buffer(name, None, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(N, 3, H, W)`` in ``[0, 1]`` to logits ``(N, n_classes)``."""
        out = F.relu(self.bn1(self.conv1((images - self.mean) / self.std)))
        out = self.layer3(self.layer2(self.layer1(out)))
        out = F.avg_pool2d(out, out.shape[-1]).flatten(1)
        logits: Tensor = self.linear(out)
        return logits


def plain_network(built: Any) -> PlainResNet:
    """Return a plain network with the weights of a CIFAR ResNet that robench built, in contiguous memory."""
    weights = {name: tensor.detach().clone().contiguous() for name, tensor in built.network.state_dict().items()}
    blocks = len({name.split(".")[1] for name in weights if name.startswith("layer1.")})
    network = PlainResNet(blocks, len(weights["linear.bias"]))
    network.load_state_dict(weights)
    network.mean, network.std = built.mean.clone(), built.std.clone()
    return network.to(built.mean.device).eval()
