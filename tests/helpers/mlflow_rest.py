"""A stand-in for MLflow's tracking server, in this process, that takes only what its REST interface documents.

It knows the requests that robench makes, refuses fields, sizes and names that a real server refuses, and fields that
are not documented: https://mlflow.org/docs/latest/api_reference/rest-api.html
"""

from __future__ import annotations

import json
import posixpath
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

ROOT = "/api/2.0/mlflow/"


def _legal(key: str) -> str:
    if not re.fullmatch(r"[/\w.\- :]+", key) or posixpath.normpath(key) != key or key.startswith(("/", "..")):
        raise ValueError(f"invalid name {key!r}")
    return key


Key = Annotated[str, Field(max_length=250), AfterValidator(_legal)]
Milliseconds = Annotated[int, Field(ge=10**12, lt=10**13)]


class Body(BaseModel):
    """The fields of a request, or of a part of it."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Param(Body):
    key: Key
    value: str = Field(max_length=6000)


class Tag(Body):
    key: Key
    value: str = Field(max_length=5000)


class Metric(Body):
    key: Key
    value: float
    timestamp: Milliseconds
    step: int = 0


class CreateExperiment(Body):
    name: str = Field(min_length=1)
    artifact_location: str = ""
    tags: list[Tag] = []


class GetByName(Body):
    experiment_name: str


class CreateRun(Body):
    experiment_id: str
    run_name: str = ""
    start_time: Milliseconds
    tags: list[Tag] = []


class LogBatch(Body):
    run_id: str
    metrics: list[Metric] = Field(default=[], max_length=1000)
    params: list[Param] = Field(default=[], max_length=100)
    tags: list[Tag] = Field(default=[], max_length=100)

    @model_validator(mode="after")
    def _no_more_than_1000(self) -> LogBatch:
        if len(self.metrics) + len(self.params) + len(self.tags) > 1000:
            raise ValueError("a batch holds at most 1000 metrics, params and tags")
        return self


class SetTag(Tag):
    run_id: str


class UpdateRun(Body):
    run_id: str
    status: Literal["RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"]
    end_time: Milliseconds
    run_name: str = ""


class SearchRuns(Body):
    experiment_ids: list[str]
    filter: str = ""
    max_results: int = Field(default=1000, le=50_000)


class RefusedError(Exception):
    """What the server answers instead: a status and MLflow's code for the error."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class StandIn:
    """The server's address, the requests it got in order, and what it keeps."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.requests: list[tuple[str, Body]] = []
        self.experiments: dict[str, str] = {}
        self.runs: dict[str, dict[str, Any]] = {}

    def answer(self, method: str, path: str, content: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to one request.

        Raises:
            RefusedError: A real server would refuse it too.
        """
        if (method, path) not in ENDPOINTS:
            raise RefusedError(404, "ENDPOINT_NOT_FOUND", f"{method} {path}")
        kind, act = ENDPOINTS[method, path]
        try:
            body = kind.model_validate(content)
        except ValidationError as error:
            raise RefusedError(400, "INVALID_PARAMETER_VALUE", str(error)) from None
        self.requests.append((path, body))
        return act(self, body)

    def create_experiment(self, body: CreateExperiment) -> dict[str, Any]:
        if body.name in self.experiments:
            raise RefusedError(400, "RESOURCE_ALREADY_EXISTS", f"Experiment(name={body.name}) already exists.")
        self.experiments[body.name] = str(len(self.experiments) + 1)
        return {"experiment_id": self.experiments[body.name]}

    def get_by_name(self, body: GetByName) -> dict[str, Any]:
        if body.experiment_name not in self.experiments:
            raise RefusedError(404, "RESOURCE_DOES_NOT_EXIST", f"no experiment {body.experiment_name!r}")
        return {"experiment": {"experiment_id": self.experiments[body.experiment_name], "name": body.experiment_name}}

    def create_run(self, body: CreateRun) -> dict[str, Any]:
        if body.experiment_id not in self.experiments.values():
            raise RefusedError(404, "RESOURCE_DOES_NOT_EXIST", f"no experiment with the id {body.experiment_id}")
        run_id = f"{len(self.runs) + 1:032x}"
        info = {"run_id": run_id, "status": "RUNNING", **body.model_dump(exclude={"tags"})}
        self.runs[run_id] = {"info": info, "data": {"metrics": [], "params": [], "tags": []}}
        return {"run": self.runs[run_id]}

    def log_batch(self, body: LogBatch) -> dict[str, Any]:
        data = self._run(body.run_id)["data"]
        known = {param["key"]: param["value"] for param in data["params"]}
        for param in body.params:
            if known.setdefault(param.key, param.value) != param.value:
                raise RefusedError(400, "INVALID_PARAMETER_VALUE", f"{param.key} was logged with another value")
        data["params"] = [{"key": key, "value": value} for key, value in known.items()]
        data["metrics"] += [metric.model_dump() for metric in body.metrics]
        return {}

    def set_tag(self, body: SetTag) -> dict[str, Any]:
        self._run(body.run_id)["data"]["tags"].append({"key": body.key, "value": body.value})
        return {}

    def update_run(self, body: UpdateRun) -> dict[str, Any]:
        info = self._run(body.run_id)["info"]
        info |= body.model_dump(exclude_unset=True)
        return {"run_info": info}

    def search_runs(self, body: SearchRuns) -> dict[str, Any]:
        found = [run for run in self.runs.values() if run["info"]["experiment_id"] in body.experiment_ids]
        return {"runs": found[::-1]}  # the latest first

    def _run(self, run_id: str) -> dict[str, Any]:
        if run_id not in self.runs:
            raise RefusedError(404, "RESOURCE_DOES_NOT_EXIST", f"Run with id={run_id} not found")
        return self.runs[run_id]


ENDPOINTS: dict[tuple[str, str], tuple[type[Body], Callable[[StandIn, Any], dict[str, Any]]]] = {
    ("POST", "experiments/create"): (CreateExperiment, StandIn.create_experiment),
    ("GET", "experiments/get-by-name"): (GetByName, StandIn.get_by_name),
    ("POST", "runs/create"): (CreateRun, StandIn.create_run),
    ("POST", "runs/log-batch"): (LogBatch, StandIn.log_batch),
    ("POST", "runs/set-tag"): (SetTag, StandIn.set_tag),
    ("POST", "runs/update"): (UpdateRun, StandIn.update_run),
    ("POST", "runs/search"): (SearchRuns, StandIn.search_runs),
}


@contextmanager
def stand_in() -> Iterator[StandIn]:
    """Serve on a free port of this machine meanwhile."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.reply(dict(parse_qsl(urlsplit(self.path).query)))

        def do_POST(self) -> None:
            self.reply(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def reply(self, content: dict[str, Any]) -> None:
            path = urlsplit(self.path).path
            try:
                if not path.startswith(ROOT):
                    raise RefusedError(404, "ENDPOINT_NOT_FOUND", path)
                if self.command == "POST" and self.headers["Content-Type"] != "application/json":
                    raise RefusedError(415, "INVALID_PARAMETER_VALUE", "Content-Type is not application/json")
                status, answer = 200, made.answer(self.command, path.removeprefix(ROOT), content)
            except RefusedError as error:
                status, answer = error.status, {"error_code": error.code, "message": str(error)}
            encoded = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(encoded)))
            self.end_headers()
            self.wfile.write(encoded)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = StandIn(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
