"""Trainings of seconds: a random base, rows of random words, and a child that can be killed at a named point."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from chat_folders import chat_folder

from r1chat.distill.sft.job import Job, RowGatherer, read_job, write_rows
from r1chat.distill.sft.rows import EncodedRow

STEPS = 6


def make_job(folder: Path, **changes: Any) -> Job:
    """Six steps of eight rows; the first ten tokens of a row are its prompt."""
    folder.mkdir(parents=True, exist_ok=True)
    base = folder / "base"
    if not base.exists():
        chat_folder(base, "r1", num_hidden_layers=2, tie_word_embeddings=True)
    gatherer, random = RowGatherer(), np.random.default_rng(0)
    for _ in range(24):
        ids = random.integers(0, 1000, int(random.integers(15, 60))).tolist()
        gatherer.add(EncodedRow(ids, [-100] * 10 + ids[10:]))
    job = Job(
        folder=folder, base=base, base_sha256="base", rows_sha256=write_rows(folder / "rows.npz", gatherer.arrays()),
        method="full", learning_rate=1e-3, batch_size=8, epochs=2.0, max_steps=None, lora_rank=4, packing=False,
        seed=1, save_every_s=1000.0, micro_batch_tokens=None,
    )  # fmt: skip
    return replace(job, **changes)


def rounding() -> float:
    """How far apart losses may be that are computed in another order: further where matrices are bfloat16."""
    from r1chat.distill.sft.model import find_device

    return 2e-3 if find_device().half is None else 2e-2


def train_recorded(path: Path, kill_at: tuple[str, int] | None = None) -> None:
    """Trains the job in `path`, writing each step's rows and loss to steps.jsonl beside it.

    `kill_at` is where SIGKILL hits: ("step", n) after a step, before it is saved; ("write", n), ("seal", n) and
    ("rename", n) in the n-th checkpoint: before its manifest, before its renaming, after it.
    """
    import torch

    from r1chat.distill.sft import checkpoints, student_trainer, trainer

    torch.set_num_threads(1)
    job = read_job(path)
    point, number = kill_at or ("", 0)
    seals = 0
    real_seal, real_read = checkpoints.seal, student_trainer.Steps.__getitem__

    def seal(written: Path, *rest: Any) -> Path:
        nonlocal seals
        seals += 1
        if point == "write" and seals == number:
            (written / "model.safetensors").write_bytes(b"half of it")
            die()
        if point == "seal" and seals == number:
            setattr(Path, "rename", lambda *_: die())  # noqa: B010
        place = real_seal(written, *rest)
        if point == "rename" and seals == number:
            die()
        return place

    def read(steps: Any, step: int) -> Any:
        note({"read": step + 1, "rows": [int(row) for row in steps.steps[step]]})
        return real_read(steps, step)

    def report(step: int, numbers: dict[str, float]) -> None:
        note({"step": step, "loss": numbers["loss"], "rate": numbers["learning_rate"]})
        if point == "step" and step == number:
            die()

    def note(line: dict[str, Any]) -> None:
        with (job.folder / "steps.jsonl").open("a") as lines:
            lines.write(json.dumps(line) + "\n")

    setattr(checkpoints, "seal", seal)  # noqa: B010
    setattr(student_trainer.Steps, "__getitem__", read)  # noqa: B010
    trainer.train(job, report)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def recorded(folder: Path) -> tuple[dict[int, list[int]], dict[int, tuple[float, float]]]:
    """Of each step, as it was last done: the rows that were read, and its loss and rate."""
    lines = [json.loads(line) for line in (folder / "steps.jsonl").read_text().splitlines()]
    rows = {line["read"]: line["rows"] for line in lines if "read" in line}
    return rows, {line["step"]: (line["loss"], line["rate"]) for line in lines if "step" in line}
