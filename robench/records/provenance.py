"""What a record says of the software and hardware of its run."""

from __future__ import annotations

from pydantic import Field

from robench.records.limits import Count, Line, Started, Text
from robench.records.spec import Record


class Provenance(Record):
    """The software and hardware that a run used."""

    started: Started = Field(description="UTC, ISO 8601")
    command: Text = Field(description="the equivalent command line")
    suite: Line | None = Field(
        default=None, description="the suite that the run was made for: name@version and the hash of its content"
    )
    versions: dict[Line, Line] = Field(description="distributions that influence the numbers, and Python")
    plugins: dict[Line, Line] = Field(description="the distribution and version that each component came from")
    code: dict[Line, Line] = Field(
        default={}, description="SHA-256 (16 digits) of the Python files of robench and of each component's package"
    )
    contents: dict[Line, Line] | None = Field(
        default=None,
        description="SHA-256 (16 digits) of each file and folder that decided the figures, by the component that reads "
        "it and the parameter that names it; null in older records, which lack it",
    )
    device: Line = Field(description="kind of the device, and its name or the processor's")
    threads: Count = Field(description="CPU threads of torch")
    processes: int = Field(default=1, gt=0, lt=2**31, description="processes that shared the run, all alike")
    compiled: bool = Field(default=False, description="whether torch compiled networks while they were attacked")
    precision: dict[Line, Line] = Field(default={}, description="the precision of each stage, and whether TF32 was on")
    linear_layers: Line = Field(
        default="",
        description="whether large linear layers were computed as matrix products or as convolutions, and how many "
        "times faster convolutions are by a measurement of the machine; empty in older records, on a GPU and without "
        "AVX-512",
    )
    platform: Line
    git: Line | None = Field(description="commit of a source checkout, with '+dirty'; null for an installed package")
