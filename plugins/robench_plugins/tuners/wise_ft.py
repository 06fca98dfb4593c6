"""Interpolation of tuned weights with those before, and soups of several tuned weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from robench import DataError, Field, Params, PluginError, Tuner
from torch import Tensor, nn


class WiSEFTParams(Params):
    """Parameters of weight interpolation."""

    adapters: str = Field(description="files of --save-adapter, joined by +, whose weights are averaged")
    alpha: float = Field(
        default=0.5, ge=0, le=1, description="share of the averaged tuned weights; the rest are the model's own"
    )


class WiSEFT(Tuner):
    """``(1 - alpha) w0 + alpha mean_i w_i``: trains nothing, and merges what was trained before.

    With one file it is WiSE-FT, with several a soup of models. The files must be of trainings of the network's own
    weights, as ``full``, ``last-n``, ``ln`` and ``head`` train them, on this very model. ``wise=0.5`` with such a tuner
    interpolates at the end of one training.

    Source: Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022, equation 1; "Model soups", ICML 2022,
    section 2 (uniform soup); Croce et al., "Seasoning model soups for robustness to adversarial and natural
    distribution shifts", CVPR 2023.
    """

    trains = False
    Params = WiSEFTParams
    params: WiSEFTParams

    @classmethod
    def files(cls, params: Any) -> Mapping[str, Path]:
        """Return the files of adapters."""
        return {f"adapter {n}": path for n, path in enumerate(_paths(params), 1) if path.exists()}

    def check_files(self) -> None:
        """Check that the files are there.

        Raises:
            DataError: One is not.
        """
        for path in _paths(self.params):
            if not path.is_file():
                raise DataError(f"no adapter at {path}; expected a file written by --save-adapter")

    def adapt(self, network: nn.Module, parts: Mapping[str, nn.Module]) -> None:
        """Merge the weights into `network`, and freeze it.

        Raises:
            DataError: A file is missing, damaged, or was trained on another model or on other classes.
            PluginError: A file holds weights that the network did not have before, such as LoRA's.
        """
        self.check_files()
        states = [self._read(path) for path in _paths(self.params)]
        own = network.state_dict()
        for path, state in zip(_paths(self.params), states, strict=True):
            if strange := [
                name for name, tensor in state.items() if name not in own or own[name].shape != tensor.shape
            ]:
                raise PluginError(
                    f"{path} holds {strange[0]}, which this network does not have in that shape; expected adapters of "
                    "full, last-n, ln or head"
                )
        network.requires_grad_(False)
        names = {name for state in states for name in state}
        with torch.no_grad():
            for name in names:
                tensor = own[name]
                if tensor.is_floating_point():  # a file that lacks it left it as it was
                    tuned = torch.stack([state.get(name, tensor.cpu()).to(tensor) for state in states]).mean(dim=0)
                    tensor.lerp_(tuned, self.params.alpha)

    def _read(self, path: Path) -> dict[str, Tensor]:
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="pt") as file:
                told = dict(file.metadata() or {})
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise DataError(f"{path} cannot be read as an adapter: {error}") from error
        here = self.setting.fingerprint
        if here and told.get("model_fingerprint") != here:
            raise DataError(
                f"adapter {path} was trained on other weights of {told.get('model', 'a model')}; load those"
            )
        if json.loads(told.get("class_names", "null")) not in (None, list(self.setting.class_names)):
            raise DataError(f"adapter {path} was trained on other classes than this dataset has")
        return state


def _paths(params: WiSEFTParams) -> list[Path]:
    return [Path(each).expanduser() for each in params.adapters.split("+")]
