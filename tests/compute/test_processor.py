"""The processor's name, as Linux tells them and where nothing does."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest
import torch
from robench.compute import processor
from robench.compute.software import device_name

TOLD = "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC 9354\nprocessor\t: 1\nmodel name\t: other\n"


def test_linux_names_the_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpuinfo").write_text(TOLD)
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "cpuinfo")
    assert processor.model_name() == "AMD EPYC 9354"
    assert device_name(torch.device("cpu")) == "cpu: AMD EPYC 9354"


@pytest.mark.parametrize("told", [None, "Hardware\t: BCM2711\n"])
def test_elsewhere_the_platform_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str | None) -> None:
    if told is not None:
        (tmp_path / "cpuinfo").write_text(told)
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(platform, "processor", lambda: "AMD64 Family 25, AuthenticAMD")
    assert processor.model_name() == "AMD64 Family 25, AuthenticAMD"
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert processor.model_name() == "aarch64"
