"""A base that is made here: a small Qwen2 in the student's shape, early in the bundled model's recipe."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path

from ...serve.files import put_in_place
from ..run_folder import RunFolder
from ..students import Student
from .config import BaseConfig


def make_tiny(config: BaseConfig, student: Student, folder: RunFolder) -> Path:
    """The folder of the base, made first where it is not there. Ctrl-C loses nothing, kill -9 two minutes at most."""
    from ..stream.config import StreamConfig
    from ..stream.making import make_model

    assert student.shape is not None
    mark, made_as = folder.base / "made-as", json.dumps([config.minutes, asdict(student.shape)])
    if (folder.base / "config.json").is_file():
        if not mark.is_file() or mark.read_text(encoding="utf-8") == made_as:
            return folder.base
        shutil.rmtree(folder.base)
    work = folder.root / "base.part"
    settings = StreamConfig("conversations", config.minutes)
    made, _ = make_model(
        settings, student.shape, 0, work, lambda step, numbers: folder.log("base", step, sample=None, **numbers)
    )
    (made / mark.name).write_text(made_as, encoding="utf-8")
    put_in_place(made, folder.base)
    shutil.rmtree(work)
    return folder.base
