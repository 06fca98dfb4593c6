"""What a tuner has trained, without the network around it: copied, saved, read and loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from robench.errors import DataError
from robench.storage.whole_file import whole_file


def adapter_state(network: nn.Module) -> dict[str, Tensor]:
    """Return copies of all tensors that training changes, by their names in `network`.

    These are the trainable parameters, and the buffers of the same modules, such as the running statistics of a batch
    norm. A module whose own parameters are all frozen must not change its buffers.
    """
    return {name: tensor.detach().clone() for name, tensor in changing(network)}


def save_adapter(path: Path, network: nn.Module, metadata: Mapping[str, str]) -> None:
    """Write :func:`adapter_state` to a new safetensors file, completely or not at all.

    Raises:
        DataError: `path` is taken or cannot be written to.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    if path.exists():
        raise DataError(f"{path} exists and is never overwritten; expected the name of a new file")
    state = {name: tensor.cpu().contiguous() for name, tensor in adapter_state(network).items()}
    try:
        with whole_file(path) as temporary:
            save_file(state, temporary, dict(metadata))
    except (OSError, SafetensorError) as error:
        raise DataError(f"cannot save the adapter to {path}: {error}") from error


def read_adapter(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors and the metadata of a file of :func:`save_adapter`.

    Raises:
        DataError: The file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise DataError(f"no adapter at {path}; expected a file written by --save-adapter")
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path} cannot be read as an adapter: {error}") from error


def load_adapter(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load `state` into `network`, which must be adapted in the same way as the one it came from.

    Raises:
        DataError: A tensor is missing, unexpected or of another shape or type. The message names it, and `network` is
            unchanged.
    """
    own = dict(changing(network))
    for name, tensor in own.items():
        if name not in state:
            raise DataError(f"the adapter has no {name!r}; was it trained by another tuner, or with other parameters?")
        value = state[name]
        if (value.shape, value.dtype) != (tensor.shape, tensor.dtype):
            raise DataError(
                f"{name!r} is {value.dtype} {tuple(value.shape)} in the adapter; the network expects {tensor.dtype} "
                f"{tuple(tensor.shape)}"
            )
    for name in state:
        if name not in own:
            raise DataError(f"the adapter has {name!r}, which this tuner does not train on this network")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(state[name])


def interpolate(network: nn.Module, start: Mapping[str, Tensor], alpha: float) -> None:
    """Make each tensor of `network` that training changes ``(1 - alpha) * start + alpha * tensor``; counts stay.

    Source: Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022 (WiSE-FT), equation 1.
    """
    with torch.no_grad():
        for name, tensor in changing(network):
            if tensor.is_floating_point():
                tensor.lerp_(start[name].to(tensor), 1 - alpha)


def changing(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of `network` that training changes, not copies, with their names."""
    kept = network.state_dict().keys()
    for prefix, module in network.named_modules():
        trained = [
            (name, weight) for name, weight in module.named_parameters(prefix, recurse=False) if weight.requires_grad
        ]
        yield from trained
        if trained:
            # Buffers outside the state dict are constants, such as position indices.
            yield from ((name, buffer) for name, buffer in module.named_buffers(prefix, recurse=False) if name in kept)
