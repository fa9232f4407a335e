"""Trains a job, from its newest checkpoint on, to weights in its folder: in one process, or in each of several."""

from __future__ import annotations

import ctypes
import gc
import logging
import shutil
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...serve.files import put_in_place
from ..errors import DistillError
from ..stream.training import bound_openmp
from .job import Job, RowArrays, read_rows
from .order import draw_steps

if TYPE_CHECKING:
    from .curve import HeldOutCurve
    from .model import Device
    from .student_trainer import Steps, StudentTrainer
    from .watch import Watch

Report = Callable[[int, dict[str, float]], None]


@dataclass(frozen=True)
class Outcome:
    """What a training did. `loss` is the mean over the last tenth of the steps; `seconds` leave out what a crash
    undid; `peak_memory` is in bytes, of the GPU or of the process, in the first of `processes`.
    """

    steps: int
    loss: float
    rows: int
    tokens: int
    seconds: float
    peak_memory: int
    device: str
    dtype: str
    trained_parameters: int
    processes: int


def never() -> bool:
    return False


def train(
    job: Job, report: Report, interrupted: Callable[[], bool] = never, curve: HeldOutCurve | None = None
) -> Outcome:
    """Writes `job.result` and gives what was done. `report` is told the numbers of each step, in the first process;
    the `curve` is asked in between.

    When `interrupted` says so, it saves the step it is at and raises KeyboardInterrupt. Raises DistillError.
    """
    bound_openmp()
    quieten()
    from .model import find_device, keep_in_float32, load_model, micro_batch_tokens
    from .student_trainer import Steps, StudentTrainer
    from .watch import Watch

    device = find_device()
    model = load_model(job, device)
    rows = read_rows(job.rows)
    plan = draw_steps(len(rows), job.batch_size, job.epochs, job.max_steps, job.seed)
    arguments = _arguments(job, len(plan), device, model)
    budget = micro_batch_tokens(job.micro_batch_tokens, device, model.num_parameters())
    steps = Steps(
        rows, plan, budget=budget, packing=job.packing, rank=arguments.process_index, world=arguments.world_size,
    )  # fmt: skip
    watch = Watch(job, steps, report, interrupted, curve)
    trainer = StudentTrainer(
        steps, watch.seal, model=model, args=arguments, callbacks=[watch], **_required(job, rows)
    )  # fmt: skip
    keep_in_float32(trainer.model)
    _train(trainer, watch, steps)
    _save(trainer, job)
    return _outcome(trainer, watch, steps, device)


def _train(trainer: StudentTrainer, watch: Watch, steps: Steps) -> None:
    import torch
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    try:
        trainer.train(resume_from_checkpoint=str(watch.checkpoint) if watch.checkpoint else None)
    except torch.OutOfMemoryError as error:
        raise DistillError(_too_many(steps.budget, int(steps.rows.lengths.max()))) from error
    if watch.stopped:
        raise KeyboardInterrupt


def _too_many(budget: int, longest: int) -> str:
    """Of tokens at once. A row is never cut, so that fewer than the longest has cannot be asked for."""
    fewer = f"--micro-batch-tokens {budget // 2}" if longest <= budget // 2 else f"--max-row-tokens {longest // 2}"
    stage = "sft " if longest <= budget // 2 else ""  # shorter rows are a matter of the filter
    return (
        f"{max(budget, longest)} tokens at once do not fit the GPU's memory. Take fewer: r1chat distill {stage}{fewer}"
    )


def _arguments(job: Job, n_steps: int, device: Device, model: Any) -> Any:
    from trl import SFTConfig

    from .arguments import common_arguments

    return SFTConfig(
        **common_arguments(job.folder, job.seed, device, model),
        max_steps=n_steps,
        learning_rate=job.learning_rate,
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        ddp_find_unused_parameters=False,
        logging_steps=1,
    )


def _required(job: Job, rows: RowArrays) -> dict[str, Any]:
    """What SFTTrainer insists on; our steps take its place."""
    from datasets import Dataset
    from transformers import AutoTokenizer, default_data_collator

    ids, labels = rows[0]
    return {
        "train_dataset": Dataset.from_dict({"input_ids": [ids], "labels": [labels]}),
        "processing_class": AutoTokenizer.from_pretrained(job.base, local_files_only=True),
        "data_collator": default_data_collator,
    }


def _save(trainer: StudentTrainer, job: Job) -> None:
    """The trained weights, gathered from all processes and written by the first."""
    part = job.folder / "result.part"
    if trainer.is_world_process_zero():
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(job.result, ignore_errors=True)
    trainer.accelerator.wait_for_everyone()
    if trainer.is_fsdp_enabled:
        trainer.accelerator.state.fsdp_plugin.set_state_dict_type("FULL_STATE_DICT")
    trainer.save_model(str(part))
    if trainer.is_world_process_zero():
        (part / "training_args.bin").unlink(missing_ok=True)
        put_in_place(part, job.result)


def _outcome(trainer: StudentTrainer, watch: Watch, steps: Steps, device: Device) -> Outcome:
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    last = losses[-max(1, len(losses) // 10) :]
    return Outcome(
        steps=len(steps),
        loss=sum(last) / len(last),
        rows=len(steps.rows),
        tokens=sum(steps.tokens(step) for step in range(len(steps))),
        seconds=watch.seconds,
        processes=trainer.args.world_size,
        **trained_with(trainer.model, device),
    )


def trained_with(model: Any, device: Device) -> dict[str, Any]:
    """The fields of an outcome that tell what it took."""
    import torch

    on_gpu = device.kind == "cuda"
    return {
        "peak_memory": torch.cuda.max_memory_allocated() if on_gpu else peak_resident(),
        "device": torch.cuda.get_device_name() if on_gpu else "CPU",
        "dtype": "float32" if device.half is None else str(device.half).removeprefix("torch."),
        "trained_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
    }


def peak_resident() -> int:
    """The most memory this process had, in bytes; 0 where the system does not count it."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def release_memory() -> None:
    """Gives back what a training took: the models that are compared and measured next need it."""
    import torch

    gc.collect()  # trainer, model and optimizer know one another
    torch.cuda.empty_cache()
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)


def quieten() -> None:
    """What a run has to say goes through its events."""
    import datasets
    import transformers

    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"transformers|trl")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    datasets.disable_progress_bars()
