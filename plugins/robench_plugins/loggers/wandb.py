"""Runs in Weights & Biases."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from robench import Field, Logger, Params, PluginError, Progress, RunResult, RunSpec


class WeightsAndBiasesParams(Params):
    """Parameters of the Weights & Biases logger."""

    project: str = Field("robench", description="project in Weights & Biases")
    mode: Literal["offline", "online"] = Field(
        "offline", description="online, or offline, which writes files for `wandb sync`"
    )
    dir: str = Field("wandb-runs", description="folder for the files of Weights & Biases")


class WeightsAndBiases(Logger):
    """Logs loss and learning rate, epochs, accuracies and the verdict of the certificate."""

    Params = WeightsAndBiasesParams
    params: WeightsAndBiasesParams
    _run: Any = None

    def open(self) -> None:
        """Check that the library is installed.

        Raises:
            PluginError: It is not installed.
        """
        try:
            import wandb  # noqa: F401
        except ImportError as error:
            raise PluginError("wandb is not installed; pip install 'robench[wandb]'") from error

    def started(self, spec: RunSpec, run_id: str) -> None:
        """Start a run, with the settings as its config."""
        import wandb

        folder = Path(self.params.dir)
        folder.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            project=self.params.project,
            mode=self.params.mode,
            dir=folder,
            name=run_id,
            config=self.settings(spec),
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off"),
        )
        self._run.define_metric("tuning/images")
        self._run.define_metric("tuning by step/*", step_metric="tuning/images")
        self._run.define_metric("tuning/epoch")
        self._run.define_metric("tuning/*", step_metric="tuning/epoch")

    def progress(self, progress: Progress) -> None:
        """Log the values of a step, such as the loss, by the images done."""
        if progress.values:
            values = {f"{progress.stage} by step/{name}": value for name, value in progress.values.items()}
            self._run.log({f"{progress.stage}/images": progress.done, **values})

    def finished(self, result: RunResult) -> None:
        """Log the epochs, put accuracies into the summary, and end the run."""
        for number, values in self.epochs(result):
            self._run.log({"tuning/epoch": number, **values})
        self._run.summary.update({**self.figures(result), "status": result.status, "checks": result.verdict or "none"})
        self._run.finish(exit_code=0 if result.status == "completed" else 1)
