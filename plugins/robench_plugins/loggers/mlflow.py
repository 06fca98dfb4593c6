"""Log runs to an MLflow server, through its REST interface.

MLflow's own client is not used because it cannot be installed beside robench: `mlflow`, `mlflow-skinny` and
`mlflow-tracing` of version 3 all need requests 2.28.1 or newer, and torchattacks allows 2.25 only. The server can run
in another environment, and its interface is documented: https://mlflow.org/docs/latest/api_reference/rest-api.html.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from robench import Field, Logger, Params, PluginError, Progress, RunResult, RunSpec

TIMEOUT = 10.0
"""Seconds that a run waits for the server, each time."""
STATUS = {"completed": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}


class MLflowParams(Params):
    """Parameters of the MLflow logger."""

    uri: str = Field("http://127.0.0.1:5000", description="address of the tracking server")
    experiment: str = Field("robench", description="its experiment, made if it does not exist")


class MLflow(Logger):
    """Keeps the settings as parameters, the loss by step, epochs and accuracies as metrics."""

    Params = MLflowParams
    params: MLflowParams
    _experiment: str
    _run: str | None = None

    def open(self) -> None:
        """Find the experiment, or make it.

        Raises:
            PluginError: The server does not answer, or refuses.
        """
        self._experiment = self._find_experiment()

    def started(self, spec: RunSpec, run_id: str) -> None:
        """Create the run.

        Raises:
            PluginError: The server does not answer, or refuses.
        """
        self._run = None
        created = self._post("runs/create", experiment_id=self._experiment, run_name=run_id, start_time=_now())
        self._run = created["run"]["info"]["run_id"]
        # A parameter's value may have 6,000 characters at most.
        params = [{"key": name, "value": str(value)[:6000]} for name, value in self.settings(spec).items()]
        self._post("runs/log-batch", run_id=self._run, params=params)

    def progress(self, progress: Progress) -> None:
        """Log the values of a step, such as the loss, over the images done."""
        if progress.values and self._run is not None:
            values = {f"{progress.stage} by step/{name}": value for name, value in progress.values.items()}
            self._log([(values, progress.done)])

    def finished(self, result: RunResult) -> None:
        """Log epochs and accuracies, and end the run."""
        if self._run is None:
            return
        self._log([(values, number) for number, values in self.epochs(result)] + [(self.figures(result), 0)])
        tags = {"checks": result.verdict or "none", "command": result.provenance.command}
        for key, value in tags.items():
            self._post("runs/set-tag", run_id=self._run, key=key, value=value)
        self._post("runs/update", run_id=self._run, status=STATUS[result.status], end_time=_now())

    def _find_experiment(self) -> str:
        """Return the id of the experiment, made if need be."""
        name = self.params.experiment
        try:
            return str(self._post("experiments/create", name=name)["experiment_id"])
        except PluginError as error:
            if "RESOURCE_ALREADY_EXISTS" not in str(error):
                raise
        query = urllib.parse.urlencode({"experiment_name": name})
        return str(self._call(f"experiments/get-by-name?{query}")["experiment"]["experiment_id"])

    def _log(self, measured: list[tuple[dict[str, float], int]]) -> None:
        metrics = [
            {"key": _key(name), "value": value, "timestamp": _now(), "step": step}
            for values, step in measured
            for name, value in values.items()
        ]
        for start in range(0, len(metrics), 1000):  # the most that one request may hold
            self._post("runs/log-batch", run_id=self._run, metrics=metrics[start : start + 1000])

    def _post(self, path: str, **content: Any) -> dict[str, Any]:
        return self._call(path, json.dumps(content).encode())

    def _call(self, path: str, body: bytes | None = None) -> dict[str, Any]:
        url = f"{self.params.uri.rstrip('/')}/api/2.0/mlflow/{path}"
        if not url.startswith(("http://", "https://")):
            raise PluginError(f"MLflow server {self.params.uri!r} is no address; expected http://HOST:PORT")
        request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except urllib.error.HTTPError as error:
            answered = error.read().decode(errors="replace")[:300]
            raise PluginError(f"MLflow server {self.params.uri}: {answered}") from None
        except OSError as error:
            raise PluginError(f"MLflow server {self.params.uri} does not answer: {error}") from None


def _key(name: str) -> str:
    """Return `name` with what MLflow forbids in names of metrics replaced: it takes letters, digits and ``_-./ :``."""
    return "".join(letter if letter.isalnum() or letter in "_-./ :" else "_" for letter in name)


def _now() -> int:
    return int(1000 * time.time())
