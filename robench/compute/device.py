"""Choose where networks run."""

from __future__ import annotations

import torch

from robench.errors import SpecError


def resolve_device(name: str) -> torch.device:
    """Return the device called `name`. ``auto`` is the accelerator if one is usable, else the CPU.

    Raises:
        SpecError: This machine has no such device.
    """
    if name == "auto":
        # current_accelerator() names the build's backend even on a machine without one.
        usable = torch.accelerator.is_available()
        accelerator = torch.accelerator.current_accelerator() if usable else None
        return accelerator or torch.device("cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0].removesuffix(".")
        raise SpecError(f"--device {name} cannot be used: {reason}; expected auto, cpu, cuda or cuda:N") from None
    return device
