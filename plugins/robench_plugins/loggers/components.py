"""The loggers, declared as data."""

from __future__ import annotations

from robench import Component

_HERE = "robench_plugins.loggers"

LOGGERS = [
    Component(
        kind="logger",
        name="tensorboard",
        target=f"{_HERE}.tensorboard:TensorBoard",
        summary="event files for TensorBoard: pip install 'robench[tensorboard]'",
        reference="https://www.tensorflow.org/tensorboard",
    ),
    Component(
        kind="logger",
        name="wandb",
        target=f"{_HERE}.wandb:WeightsAndBiases",
        summary="a run in Weights & Biases, offline by default: pip install 'robench[wandb]'",
        reference="https://docs.wandb.ai",
    ),
    Component(
        kind="logger",
        name="mlflow",
        target=f"{_HERE}.mlflow:MLflow",
        summary="a run on an MLflow server, through its REST interface; nothing to install",
        reference="https://mlflow.org/docs/latest/api_reference/rest-api.html",
    ),
]
