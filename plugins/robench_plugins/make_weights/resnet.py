"""Train the ResNet on which transfer attacks on leaf-synth are made.

python -m robench_plugins.make_weights.resnet --output DIR
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from robench_plugins.datasets.leaf_synth.classes import CLASS_NAMES, labels
from robench_plugins.datasets.leaf_synth.render import render
from robench_plugins.models.resnet_network import DEPTHS, ResNet
from robench_plugins.models.resnet_training import MEAN, STD, normalise, train

IMAGE_SIZE = 32


def main(arguments: list[str] | None = None) -> None:
    """Train on the train split, score on other splits, and save weights and configuration."""
    options = _parse(arguments)
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    images = render(options.data_seed, "train", np.arange(options.n_train), IMAGE_SIZE)
    network = ResNet(DEPTHS[options.arch], len(CLASS_NAMES))
    train(
        network,
        images,
        labels(options.n_train),
        epochs=options.epochs,
        seed=options.seed,
        batch_size=options.batch_size,
        lr=options.lr,
        on_step=_report,
    )
    network.eval()
    for split, n in (("validation", options.n_validation), ("test", options.n_test)):
        if n:
            print(f"{split}: {_n_correct(network, options.data_seed, split, n)}/{n} correct")
    print(f"sha256 {_save(network, options)}")


def _n_correct(network: ResNet, data_seed: int, split: str, n: int) -> int:
    correct = 0
    for index in np.array_split(np.arange(n), max(1, n // 250)):
        images = torch.from_numpy(render(data_seed, split, index, IMAGE_SIZE))
        with torch.inference_mode():
            predictions = network(normalise(images)).argmax(1).numpy()
        correct += int((predictions == index % len(CLASS_NAMES)).sum())
    return correct


def _save(network: ResNet, options: argparse.Namespace) -> str:
    """Write ``model.safetensors`` and ``config.json``; return the SHA-256 of the weights."""
    output: Path = options.output
    output.mkdir(parents=True, exist_ok=True)
    path = output / "model.safetensors"
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, path)
    path.chmod(0o644)  # as readable as the rest of the package
    config = {
        "arch": options.arch,
        "num_classes": len(CLASS_NAMES),
        "shortcut": network.shortcut,
        "image_size": IMAGE_SIZE,
        "mean": MEAN,
        "std": STD,
        "class_names": CLASS_NAMES,
    }
    (output / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _report(loss: float, done: int, total: int) -> None:
    if done % 50 == 0 or done == total:
        print(f"step {done}/{total} loss {loss:.3f}", flush=True)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--arch", choices=sorted(DEPTHS), default="resnet20")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--lr", type=float, default=0.2)
    parser.add_argument("--n-train", type=int, default=20_000)
    parser.add_argument("--n-validation", type=int, default=2_000)
    parser.add_argument("--n-test", type=int, default=0, help="test images to score; only when all is decided")
    parser.add_argument("--data-seed", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
