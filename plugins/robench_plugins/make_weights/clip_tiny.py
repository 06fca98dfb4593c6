"""Pretrain ``clip-tiny``, a CLIP of 1.7 million parameters, on one CPU thread.

python -m robench_plugins.make_weights.clip_tiny --source cifar10 --data DIR --output DIR
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional
from transformers import CLIPModel

from robench_plugins.make_weights.augmentation import augment
from robench_plugins.make_weights.captions import CaptionBank, train_tokenizer
from robench_plugins.make_weights.checkpoint import save_checkpoint
from robench_plugins.make_weights.clip_tiny_architecture import (
    build_clip_tiny,
    image_embeddings,
    random_patches,
    structure_vision_tower,
)
from robench_plugins.make_weights.muon import Muon
from robench_plugins.make_weights.objective import contrastive_loss, distillation_loss
from robench_plugins.make_weights.source import Source
from robench_plugins.make_weights.teachers import load_teacher, mean_logits
from robench_plugins.make_weights.zero_shot import Normalization, n_correct

MAX_LOGIT_SCALE = math.log(100.0)
PROGRESS_SIZE = 1_000
"""Validation images scored after an epoch; all are scored after the last."""


def pretrain(source: Source, teachers: Sequence[nn.Module], options: argparse.Namespace) -> CLIPModel:
    """Train a model on `source`, and save it to ``options.output`` after every epoch.

    Teachers map pixels in ``[0, 1]`` to class logits. They see every training image once, unchanged; their logits serve
    for all its flips and shifts.
    """
    torch.manual_seed(options.seed)
    generator = torch.Generator().manual_seed(options.seed)
    normalization = Normalization.of(source.images)
    texts = {text for group in (*source.class_prompts, *source.captions) for text in group}
    tokenizer = train_tokenizer(texts)
    bank = CaptionBank(source, tokenizer)
    model = build_clip_tiny(tokenizer, image_size=source.images.shape[-1])
    sample = torch.randperm(len(source.images), generator=generator)[:2_000]
    structure_vision_tower(model, normalization(source.images[sample].float() / 255))
    model.set_attn_implementation("eager")  # compiled for a CPU it is faster than SDPA
    targets = mean_logits(teachers, source.images) if teachers else None

    embed = torch.compile(image_embeddings, dynamic=False)
    optimizers = build_optimizers(model, options.lr)
    n_steps = options.epochs * (len(source.images) // options.batch_size)
    started, step, progress = time.monotonic(), 0, 0.0
    for epoch in range(options.epochs):
        model.train()
        for batch in batches(len(source.images), options.batch_size, generator):
            progress = max(step / n_steps, (time.monotonic() - started) / (60 * options.minutes))
            if progress >= 1:
                break
            slot = int(torch.randint(1_000_000, (1,), generator=generator))
            pixels = augment(source.images[batch], generator)
            sees_all = progress >= 1 - options.full_epochs / options.epochs
            kept = None if sees_all else random_patches(len(batch), options.kept, generator)
            logits, caption_of_image, prompt_of_class = similarities(
                model, embed(model, normalization(pixels), kept), bank, batch, slot
            )
            loss = contrastive_loss(logits, caption_of_image)
            if targets is not None:
                loss = loss + options.distillation_weight * distillation_loss(
                    logits[:, prompt_of_class], targets[batch], options.temperature
                )
            torch.autograd.backward(loss)
            for optimizer in optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = options.lr * schedule(progress)
                optimizer.step()
                optimizer.zero_grad()
            with torch.no_grad():
                model.logit_scale.clamp_(max=MAX_LOGIT_SCALE)
            step += 1
            if step % 50 == 0:
                seconds = time.monotonic() - started
                print(f"step {step}, {progress:.0%}: loss {loss.item():.3f}, {seconds:.0f} s", flush=True)
        finished = progress >= 1 or epoch + 1 == options.epochs
        n_validation = len(source.validation_labels) if finished else PROGRESS_SIZE
        images, labels = source.validation_images[:n_validation], source.validation_labels[:n_validation]
        correct = n_correct(model, tokenizer, normalization, source.class_prompts, images, labels)
        share, seconds = correct / len(labels), time.monotonic() - started
        print(f"epoch {epoch + 1}: validation {correct}/{len(labels)} = {share:.1%}, {seconds:.0f} s", flush=True)
        save_checkpoint(options.output, model, tokenizer, normalization)
        if finished:
            break
    return model


def similarities(
    model: CLIPModel, image_features: torch.Tensor, bank: CaptionBank, batch: torch.Tensor, slot: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Compare a batch with the distinct texts of one slot; each text is encoded once.

    Args:
        model: The model.
        image_features: ``(N, D)``.
        bank: The texts.
        batch: int64 ``(N,)``, the positions of the images.
        slot: The number, modulo how many there are, of the caption of each image and the prompt of each class.

    Returns:
        Logits ``(N, U)``, the column of each image's caption ``(N,)`` and of each class's prompt ``(C,)``.
    """
    captions = bank.caption_rows[batch, slot % bank.caption_rows.shape[1]]
    prompts = bank.prompt_rows[:, slot % bank.prompt_rows.shape[1]]
    texts, column = torch.unique(torch.cat([captions, prompts]), return_inverse=True)
    text_features = model.get_text_features(bank.token_ids[texts]).pooler_output
    cosines = functional.normalize(image_features, dim=1) @ functional.normalize(text_features, dim=1).T
    return model.logit_scale.exp() * cosines, column[: len(batch)], column[len(batch) :]


def batches(n_images: int, batch_size: int, generator: torch.Generator) -> Iterator[torch.Tensor]:
    """Yield the positions of one epoch in random order, without the last batch if it is incomplete."""
    order = torch.randperm(n_images, generator=generator)
    yield from order[: n_images // batch_size * batch_size].view(-1, batch_size)


def build_optimizers(model: CLIPModel, lr: float) -> list[torch.optim.Optimizer]:
    """Return Muon for the weight matrices of both encoders, and AdamW for everything else."""
    hidden: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        (hidden if "encoder.layers" in name and parameter.ndim == 2 else rest).append(parameter)
    return [
        Muon(hidden, lr=lr, weight_decay=0.05),
        torch.optim.AdamW(rest, lr=lr, betas=(0.9, 0.98), weight_decay=0.0, foreach=True),
    ]


def schedule(progress: float, warm_up: float = 0.05) -> float:
    """Return the factor on the learning rate: it rises linearly, then falls linearly to zero."""
    return min((progress + 1e-3) / warm_up, (1 - progress) / (1 - warm_up))


def load_source(name: str, data: Path | None, seed: int) -> Source:
    """Return the dataset called `name` as a source.

    Raises:
        SystemExit: The dataset is read from disk, and `data` is None.
    """
    if name == "leaf-synth":
        from robench_plugins.make_weights.leaf_source import leaf_source

        return leaf_source(seed=seed)
    if name == "offline":
        from robench_plugins.make_weights.offline_source import offline_source

        return offline_source(seed=seed)
    from robench_plugins.make_weights.cifar10_source import cifar10_source

    if data is None:
        raise SystemExit("--source cifar10 needs --data DIR, the folder of the dataset")
    return cifar10_source(data)


def parse_options(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--source", choices=["cifar10", "leaf-synth", "offline"], required=True)
    parser.add_argument("--data", type=Path, help="folder of the dataset, if it is read from disk")
    parser.add_argument("--output", type=Path, required=True, help="folder for the model, written after every epoch")
    parser.add_argument("--epochs", type=int, default=11)
    parser.add_argument("--full-epochs", type=int, default=2, help="last epochs, which see all patches")
    parser.add_argument(
        "--minutes",
        type=float,
        default=math.inf,
        help="time budget; if it ends before the epochs do, schedules follow the clock instead of the steps",
    )
    parser.add_argument("--kept", type=int, default=32, help="patches of every image, of 64, that earlier epochs see")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--teachers", type=Path, nargs="*", default=[], help="CIFAR-style ResNet weights")
    parser.add_argument("--distillation-weight", type=float, default=1.0)
    parser.add_argument("--temperature", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args(arguments)


def main() -> None:
    """Train from the command line."""
    options = parse_options()
    torch.set_num_threads(options.threads)
    source = load_source(options.source, options.data, options.seed)
    pretrain(source, [load_teacher(path) for path in options.teachers], options)


if __name__ == "__main__":
    main()
