"""The student, trained on an endless stream of generated examples by the clock: from nothing, or from a model that is
continued. There is no base apart from it, so base.json speaks of what it began with.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...serve.files import put_in_place
from ..base.stage import folder_hash
from ..config import DistillConfig
from ..errors import DistillError, quoted
from ..host import Host
from ..run_folder import RunFolder
from ..students import parameters_of
from .batches import LENGTHS
from .making import make_model
from .training import Progress

MOST_TOKENS = 65_536  # of a step


def run_stage(config: DistillConfig, folder: RunFolder, host: Host) -> dict[str, Any]:
    """Leaves the student, sft.json and base.json. Ctrl-C loses nothing, kill -9 two minutes at most.

    Raises DistillError for a student that cannot be made here, or a start that is no model of its shape.
    """
    _check(config, folder)
    shape = config.student.shape
    assert shape is not None
    made, progress = make_model(
        config.stream,
        shape,
        config.seed,
        _work(folder),
        lambda step, numbers: folder.log("stream", step, sample=None, **numbers),
    )
    _publish(made, folder)
    folder.write_json(folder.base_record, _base_record(config, folder))
    folder.write_json(folder.trained, _record(config, progress))
    return {"steps": progress.step, "loss": progress.loss, "seconds": progress.seconds, "tokens": progress.tokens}


def tidy(folder: RunFolder) -> None:
    """Takes away what a training that was stopped would have gone on from."""
    shutil.rmtree(_work(folder), ignore_errors=True)


def _work(folder: RunFolder) -> Path:
    return folder.root / "stream"


def _check(config: DistillConfig, folder: RunFolder) -> None:
    student, start = config.student, config.stream.start
    if student.base is not None or student.shape is None:
        raise DistillError(
            f"{student.name} is no model that is made here; tiny, small and demo are. "
            f"Use: r1chat distill --student small --run-dir {quoted(folder.root)}"
        )
    if config.stream.tokens is None and config.stream.minutes <= 0:
        raise DistillError(
            f"A training of {config.stream.minutes:g} minutes does nothing. Give `minutes` more than 0, then: "
            f"r1chat distill --run-dir {quoted(folder.root)}"
        )
    tokens = config.stream.tokens_per_step
    if not LENGTHS[-1] <= tokens <= MOST_TOKENS:
        raise DistillError(
            f"A step of {tokens} tokens holds no row of the longest, or more than is made at a time; {LENGTHS[-1]} to "
            f"{MOST_TOKENS} are possible. Give another `tokens_per_step`, then: "
            f"r1chat distill --run-dir {quoted(folder.root)}"
        )
    if start is not None:
        _check_start(start, config, folder)


def _check_start(start: Path, config: DistillConfig, folder: RunFolder) -> None:
    from ..hf.folder import read_spec
    from ..hf.tensors import read_json

    if not all((start / name).is_file() for name in ("config.json", "model.safetensors", "tokenizer.json")):
        raise DistillError(
            f"{start} is no model to continue: it has no config.json, model.safetensors or tokenizer.json. "
            f"Make it first: r1chat distill --run-dir {quoted(folder.root)}"
        )
    shape = config.student.shape
    assert shape is not None
    found = read_spec(read_json(start / "config.json"), str(start)).tensor_shapes()
    if found != shape.tensor_shapes():
        raise DistillError(
            f"The model in {start} is not of the shape of {config.student.name}, so it cannot be continued as one. "
            f"Name the student it was made as: r1chat distill --student NAME --run-dir {quoted(folder.root)}"
        )


def _publish(made: Path, folder: RunFolder) -> None:
    folder.trained.unlink(missing_ok=True)  # from here on it would speak of another student
    shutil.rmtree(folder.student, ignore_errors=True)
    put_in_place(made, folder.student)


def _base_record(config: DistillConfig, folder: RunFolder) -> dict[str, Any]:
    start = config.stream.start
    path = folder.student if start is None else start
    return {
        "path": str(path.resolve()),
        "name": "made in this run" if start is None else start.name,
        "licence": config.student.licence,
        "sha256": folder_hash(path),
    }


def _record(config: DistillConfig, progress: Progress) -> dict[str, Any]:
    settings, shape = config.stream, config.student.shape
    assert shape is not None
    return {
        "kind": "full",
        "method": "stream",
        "steps": progress.step,
        "loss": progress.loss,
        "seconds": progress.seconds,
        "tokens": progress.tokens,
        "parameters": parameters_of(shape),
        "seed": config.seed,
        **{name: str(value) if isinstance(value, Path) else value for name, value in asdict(settings).items()},
    }
