"""Runs of Weights & Biases."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from robench import Field, Logger, Params, PluginError, Progress, RunResult, RunSpec
from robench.logger import epochs, figures, settings


class WeightsAndBiasesParams(Params):
    """Parameters of the Weights & Biases logger."""

    project: str = Field("robench", description="its project")
    mode: Literal["offline", "online"] = Field("offline", description="offline writes files for `wandb sync`")
    dir: str = Field("wandb-runs", description="folder of its files")


class WeightsAndBiases(Logger):
    """Keeps loss and learning rate by training images, epochs, accuracies and the certificate's verdict."""

    Params = WeightsAndBiasesParams
    params: WeightsAndBiasesParams
    _run: Any = None

    def open(self) -> None:
        """Import the library.

        Raises:
            PluginError: It is not installed.
        """
        try:
            import wandb  # noqa: F401
        except ImportError as error:
            raise PluginError("wandb is not installed; pip install 'robench[wandb]'") from error

    def started(self, spec: RunSpec, run_id: str) -> None:
        """Begin a run with the settings as its config."""
        import wandb

        folder = Path(self.params.dir)
        folder.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            project=self.params.project,
            mode=self.params.mode,
            dir=folder,
            name=run_id,
            config=settings(spec),
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off"),
        )
        self._run.define_metric("tuning/images")
        self._run.define_metric("tuning by step/*", step_metric="tuning/images")
        self._run.define_metric("tuning/epoch")
        self._run.define_metric("tuning/*", step_metric="tuning/epoch")

    def progress(self, progress: Progress) -> None:
        """Log the values of a step, such as the loss, over the images done."""
        if progress.values:
            values = {f"{progress.stage} by step/{name}": value for name, value in progress.values.items()}
            self._run.log({f"{progress.stage}/images": progress.done, **values})

    def finished(self, result: RunResult) -> None:
        """Log the epochs, put accuracies into the summary, and end the run."""
        for number, values in epochs(result):
            self._run.log({"tuning/epoch": number, **values})
        self._run.summary.update({**figures(result), "status": result.status, "checks": result.verdict or "none"})
        self._run.finish(exit_code=0 if result.status == "completed" else 1)
