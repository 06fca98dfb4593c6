"""Event files for TensorBoard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from robench import Field, Logger, Params, PluginError, Progress, RunResult, RunSpec


class TensorBoardParams(Params):
    """Parameters of the TensorBoard logger."""

    dir: str = Field("tensorboard", description="folder of event files, with a folder for each run")


class TensorBoard(Logger):
    """Writes loss and learning rate, epochs, accuracies and the record to ``DIR/RUN_ID``."""

    Params = TensorBoardParams
    params: TensorBoardParams
    _writer: Any = None

    def open(self) -> None:
        """Check that the library is installed.

        Raises:
            PluginError: It is not installed.
        """
        try:
            from torch.utils.tensorboard import SummaryWriter  # noqa: F401
        except ImportError as error:
            raise PluginError("TensorBoard is not installed; pip install 'robench[tensorboard]'") from error

    def started(self, spec: RunSpec, run_id: str) -> None:
        """Open the event file of the run."""
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(Path(self.params.dir) / run_id))
        for name, value in self.settings(spec).items():
            self._writer.add_text(f"settings/{name}", str(value))

    def progress(self, progress: Progress) -> None:
        """Add the values of a step, such as the loss, by the images done."""
        for name, value in progress.values.items():
            self._writer.add_scalar(f"{progress.stage}/{name} by step", value, progress.done)

    def finished(self, result: RunResult) -> None:
        """Add epochs, accuracies and the record, and close the file."""
        for number, values in self.epochs(result):
            for name, value in values.items():
                self._writer.add_scalar(name, value, number)
        for name, value in self.figures(result).items():
            self._writer.add_scalar(name, value)
        self._writer.add_text("record", f"```json\n{json.dumps(result.model_dump(mode='json'), indent=1)}\n```")
        self._writer.close()
