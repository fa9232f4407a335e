"""The student: kept traces as tokens and labels, checked, foreseen, and trained on. Goes on where it was stopped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...serve.files import sha256_of
from ..config import DistillConfig
from ..errors import DistillError, quoted
from ..host import Host
from ..rows import TraceRow, read_rows, teachers_of
from ..run_folder import RunFolder
from ..stream.training import bound_openmp
from . import checkpoints
from .checks import check_rows
from .curve import held_out_curve
from .job import Job, RowGatherer, write_rows
from .launch import train_here, train_launched
from .order import epochs_read
from .preflight import preflight
from .publishing import publish
from .rows import EncodedRow, RowEncoder
from .trainer import Outcome, release_memory


def run_stage(config: DistillConfig, folder: RunFolder, host: Host) -> dict[str, Any]:
    """Leaves the student (full) or the adapter, and sft.json. Ctrl-C and kill -9 lose `save_every_s` at most.

    Raises DistillError, where pre-flight finds that the training would be in vain.
    """
    bound_openmp()
    job = prepare(config, folder)
    _foresee(config, folder, host)
    outcome = _train(config, folder, job, host)
    release_memory()
    publish(job.method, job.base, job.result, folder)
    folder.write_json(folder.trained, _record(folder, job, outcome))
    return {"method": job.method, "steps": outcome.steps, "loss": outcome.loss, "seconds": outcome.seconds}


def tidy(folder: RunFolder) -> None:
    """Takes away what a training that was stopped would have gone on from."""
    checkpoints.remove_checkpoints(folder.sft)


def prepare(config: DistillConfig, folder: RunFolder) -> Job:
    """The training of a run: its rows, checked and in a file of their own, and its settings."""
    base = folder.read_json(folder.base_record)
    encoder = RowEncoder(Path(base["path"]))
    gatherer = RowGatherer()
    if not check_rows(_encoded(folder, encoder, gatherer), encoder, config.filter.max_tokens):
        raise DistillError(
            "No trace was kept, so there is nothing to train on. See why in funnel.json, and let more through: "
            f"r1chat distill filter --keep-unverified --run-dir {quoted(folder.root)}"
        )
    folder.sft.mkdir(exist_ok=True)
    rows_sha256 = write_rows(folder.sft / "rows.npz", gatherer.arrays())
    settings, student = config.sft, config.student
    method = settings.method or student.method
    return Job(
        folder=folder.sft.resolve(),  # workers may be started elsewhere
        base=Path(base["path"]).resolve(),
        base_sha256=base["sha256"],
        rows_sha256=rows_sha256,
        method=method,
        learning_rate=settings.learning_rate or student.rate(method),
        batch_size=settings.batch_size,
        epochs=settings.epochs,
        max_steps=settings.max_steps,
        lora_rank=settings.lora_rank,
        packing=settings.packing,
        seed=config.seed,
        save_every_s=settings.save_every_s,
        micro_batch_tokens=settings.micro_batch_tokens,
    )


def _encoded(folder: RunFolder, encoder: RowEncoder, gatherer: RowGatherer) -> Iterator[tuple[TraceRow, EncodedRow]]:
    for trace in read_rows(folder.kept, TraceRow):
        row = encoder.encode(trace.problem.prompt, trace.reasoning or "", trace.answer)
        gatherer.add(row)
        yield trace, row


def _foresee(config: DistillConfig, folder: RunFolder, host: Host) -> None:
    findings = preflight(config, folder)
    folder.write_json(folder.preflight, {"findings": [asdict(finding) for finding in findings]})
    errors = [finding.text for finding in findings if finding.level == "error"]
    if errors:
        raise DistillError(errors[0])
    for finding in findings:
        host.say(finding.text)


def _train(config: DistillConfig, folder: RunFolder, job: Job, host: Host) -> Outcome:
    def report(step: int, numbers: dict[str, float]) -> None:
        folder.log("sft", step, sample=None, **numbers)

    with held_out_curve(config, folder, job) as curve:
        if config.sft.accelerate_config is None:
            return train_here(job, report, host.say, curve)
        return train_launched(job, config.sft.accelerate_config, report, host.say)


def _record(folder: RunFolder, job: Job, outcome: Outcome) -> dict[str, Any]:
    return {
        "kind": "full" if job.method == "full" else "adapter",
        "method": job.method,
        **asdict(outcome),
        "epochs": epochs_read(outcome.rows, job.batch_size, job.epochs, job.max_steps),
        "batch_size": job.batch_size,
        "learning_rate": job.learning_rate,
        "lora_rank": None if job.method == "full" else job.lora_rank,
        "packing": job.packing,
        "base_sha256": job.base_sha256,
        "rows_sha256": job.rows_sha256,
        "kept_sha256": sha256_of(folder.kept),
        "teachers": teachers_of(folder.kept),
    }
