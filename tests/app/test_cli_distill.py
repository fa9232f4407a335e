"""r1chat distill as a person types it, up to where the first stage would begin."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_a_name_that_is_taken_is_refused_before_hours_are_spent(r1chat: Run, tmp_path: Path) -> None:
    done = r1chat("distill", "--student", "tiny", "--name", "demo", "--run-dir", str(tmp_path / "run"), "--yes")
    assert done.returncode == 2
    named = f"r1chat distill --name NAME --student tiny --run-dir {tmp_path / 'run'}\n"
    assert done.stderr.endswith(f"or choose another name: {named}")
    assert not (tmp_path / "run").exists()
