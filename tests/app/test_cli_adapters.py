"""A student that is an adapter, as a person meets it: in the list, looked at, and answering."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from adapters import make_base, make_lora

from r1chat.serve.models.students import register_student

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.slow
def test_adapter_is_listed_shown_and_run_by_its_name(
    r1chat: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = tmp_path / "students"
    monkeypatch.setenv("R1CHAT_MODELS", str(models))
    card = {"source": str(tmp_path), "quant": "F32", "base": "some/base", "teacher": "sage", "licence": "MIT"}
    register_student(make_base(tmp_path / "base.gguf"), "pupil-base", card)
    register_student(make_lora(tmp_path / "lora.gguf"), "pupil", {**card, "adapter_of": "pupil-base"})
    home = {"R1CHAT_MODELS": str(models), "HF_HUB_OFFLINE": "1"}
    listed = [line.split() for line in r1chat("list", **home).stdout.splitlines()]
    assert ["pupil", "0.0", "MB", "F32", "adapter"] in [line[:5] for line in listed]
    shown = dict(line.split(maxsplit=1) for line in r1chat("show", "pupil", **home).stdout.splitlines() if " " in line)
    assert (shown["path"], shown["adapter"]) == (str(models / "pupil-base.gguf"), str(models / "pupil.gguf"))
    assert (shown["teacher"], shown["licence"]) == ("sage", "MIT")
    answer = r1chat("run", "pupil", "hi", "--max-tokens", "8", **home)
    assert answer.returncode == 0, answer.stderr
    refused = r1chat("quantize", "pupil", **home)
    assert refused.returncode == 2 and "pupil is an adapter" in refused.stderr
    refused = r1chat("bench", "engine", "--model", "pupil", "--rounds", "1", **home)
    assert refused.returncode == 2 and "pupil is an adapter" in refused.stderr
