"""Run CLIP ViT-B/32 in robench at its real size: shapes, parameters, memory, seconds.

    python benchmarks/vit_b32.py build/vit-b32

It builds a folder in the Hub's layout, with the configuration of openai/clip-vit-base-patch32, CLIP's vocabulary (from
the installed package open_clip_torch) and random weights. It then runs each tuner of the study on a few images. With
random weights accuracies mean nothing; all else is as with the published weights.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from robench.bench.vit_b32 import N_MERGES, build
from tabulate import tabulate

VOCABULARY = "bpe_simple_vocab_16e6.txt.gz"
TRAIN, TEST, BATCH = 64, 16, 16
ATTACKED, PGD_STEPS = 8, 2
TUNERS = ("none", "lora-ce", "tecoa", "vpt")


def real_merges() -> list[str]:
    """Return the merges of CLIP's vocabulary from the package open_clip_torch."""
    package = importlib.util.find_spec("open_clip")  # found, not imported
    if package is None or not package.submodule_search_locations:
        raise SystemExit("CLIP's vocabulary comes with open_clip_torch: pip install open_clip_torch")
    packed = Path(package.submodule_search_locations[0]) / VOCABULARY
    return merges_of(gzip.decompress(packed.read_bytes()).decode("utf-8").split("\n"))


def merges_of(lines: list[str]) -> list[str]:
    """Return the merges that CLIP uses, from the lines of its vocabulary file; the first line is a heading."""
    return lines[1 : N_MERGES + 1]


def measure(folder: Path, tuner: str) -> tuple[dict[str, Any], float]:
    """Run one tuner through the command line; return its record and the peak memory of the process in GiB."""
    with tempfile.TemporaryDirectory() as scratch:
        training = [] if tuner == "none" else ["--epochs", "1", "--batch-size", str(BATCH)]
        command = [
            sys.executable,
            "-c",
            "from robench.cli import main; main()",
            "run",
            "--model",
            f"clip:path={folder}",
        ]
        # Trained on clean images, so that the seconds of a step do not include a surrogate.
        tuned = tuner if tuner == "none" else f"{tuner}:adversary=none"
        command += ["--tuner", tuned, *training, "--train-size", str(TRAIN), "--test-size", str(TEST), "--json"]
        command += ["--attack", "pgd-resnet20", "--attack", f"pgd:steps={PGD_STEPS},n={ATTACKED}"]
        command += ["--results", scratch, "--cache-dir", scratch]
        output = Path(scratch) / "output.json"
        with output.open("w") as file:
            process = subprocess.Popen(command, stdout=file)
            _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"robench run --tuner {tuner} failed")
        return json.loads(output.read_text()), usage.ru_maxrss / 2**20


def row(folder: Path, tuner: str) -> list[str]:
    """Return the figures of one tuner."""
    record, memory = measure(folder, tuner)
    tuning, seconds = record["tuning"], record["seconds"]
    steps = TRAIN // BATCH
    image = seconds["clean evaluation"] / TEST
    white_box = next(score for score in record["attacks"] if score["knowledge"] == "white-box")
    return [
        tuner,
        f"{tuning['parameters']:,}",
        f"{tuning['trainable_parameters']:,}",
        f"{memory:.1f}",
        f"{tuning['seconds'] / steps:.2f}" if record["spec"]["train_size"] else "",
        f"{1000 * image:.0f}",
        # An attack's seconds include the evaluation of its images.
        f"{1000 * (white_box['seconds'] / ATTACKED - image) / PGD_STEPS:.0f}",
    ]


def main() -> None:
    """Build the folder if it does not exist, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the model goes (605 MB)")
    given = parser.parse_args()
    if not (given.folder / "model.safetensors").exists():
        build(given.folder, real_merges())
    headers = ["tuner", "parameters", "trained", "peak GiB", f"s a step of {BATCH}", "ms an image", "ms a gradient"]
    rows = [row(given.folder, tuner) for tuner in TUNERS]
    print(tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True, colalign=("left", *["right"] * 6)))


if __name__ == "__main__":
    main()
