"""How fast our training is beside plain trl on the same rows: random weights, random words, nothing downloaded."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ...serve.models.gguf.shapes import SHAPES
from ...serve.models.gguf.spec import ModelSpec
from ...serve.models.random_folder import make_random_folder
from ..errors import DistillError
from ..stream.training import bound_openmp
from ..students import Method
from .job import Job, RowArrays, RowGatherer, read_rows, write_rows
from .order import draw_steps
from .rows import EncodedRow

Who = Literal["r1chat", "trl"]
TINY = replace(SHAPES["tiny-qwen2"], n_vocab=1024, n_embd=128, n_layer=5, n_ff=384, tied=True)
WARM_UP = 2  # steps that are not counted


@dataclass(frozen=True)
class Speed:
    """`tokens_per_second` are the rows' own, without what fills them up; `peak_memory` in bytes, of the GPU where
    there is one, else of the process; `loss` is the last step's.
    """

    who: Who
    tokens_per_second: float
    peak_memory: int
    loss: float


def shape_of(name: str) -> ModelSpec:
    """`tiny`, or one of the shapes there are random models of. Raises DistillError."""
    if name != "tiny" and name not in SHAPES:
        known = ", ".join(["tiny", *SHAPES])
        raise DistillError(f"There is no shape {name}; there are {known}. Use: r1chat bench sft --shape tiny")
    return TINY if name == "tiny" else SHAPES[name]


def make_job(folder: Path, shape: ModelSpec, method: Method, *, steps: int, batch_size: int, longest: int) -> Job:
    """A training of rows from an eighth of `longest` tokens up to it, each read once; a quarter of each is prompt."""
    random, gatherer = np.random.default_rng(0), RowGatherer()
    for _ in range(steps * batch_size):
        length = int(random.integers(longest // 8, longest, endpoint=True))
        ids = random.integers(0, min(shape.n_vocab, 50_000), length).tolist()
        gatherer.add(EncodedRow(ids, [-100] * (length // 4) + ids[length // 4 :]))
    return Job(
        folder=folder, base=make_random_folder(shape, folder / "base"), base_sha256="",
        rows_sha256=write_rows(folder / "rows.npz", gatherer.arrays()), method=method, learning_rate=1e-4,
        batch_size=batch_size, epochs=1.0, max_steps=None, lora_rank=32, packing=False, seed=0,
        save_every_s=1e9, micro_batch_tokens=None,
    )  # fmt: skip


def measure(who: Who, job: Job) -> Speed:
    """Trains in a process of its own, so that what one leaves in memory is not counted for the next."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(who, job, theirs), daemon=True)
    child.start()
    theirs.close()
    try:
        found: Speed = ours.recv()
    except EOFError:
        raise DistillError(
            f"The training with {who} ended before it was measured; its messages stand above. "
            "Try a smaller one: r1chat bench sft --shape tiny"
        ) from None
    finally:
        child.terminate()
        child.join()
    return found


def has_gpu() -> bool:
    import torch

    return bool(torch.cuda.is_available())


def _child(who: Who, job: Job, result: Connection) -> None:
    bound_openmp()
    plan = draw_steps(len(read_rows(job.rows)), job.batch_size, job.epochs, job.max_steps, job.seed)
    ends: list[tuple[float, float]] = []  # when each step was done, and its loss
    peak = (_train_ours if who == "r1chat" else _train_plain)(
        job, lambda _, numbers: ends.append((time.perf_counter(), numbers["loss"]))
    )
    lengths = read_rows(job.rows).lengths
    tokens = sum(int(lengths[step].sum()) for step in plan[WARM_UP:])
    seconds = ends[-1][0] - ends[WARM_UP - 1][0]
    result.send(Speed(who, tokens / seconds, peak, ends[-1][1]))


Report = Callable[[int, dict[str, float]], None]


def _train_ours(job: Job, report: Report) -> int:
    from .checkpoints import remove_checkpoints
    from .trainer import train

    remove_checkpoints(job.folder)  # of the turn before
    return train(job, report).peak_memory


def _train_plain(job: Job, report: Report) -> int:
    """trl as its documentation has it, with our rows in our order, types and recomputation. What goes through the
    model at once is as many rows as fit our micro-batch when all are of the longest.
    """
    from .trainer import peak_resident, quieten

    quieten()
    import torch
    from transformers import AutoTokenizer, PrinterCallback, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    from .model import find_device, load_model, micro_batch_tokens, wants_checkpointing

    class Told(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
            if "loss" in logs:
                report(state.global_step, logs)

    device = find_device()
    model = load_model(job, device)
    rows, size = read_rows(job.rows), model.num_parameters()
    budget = micro_batch_tokens(job.micro_batch_tokens, device, size)
    at_once = max(1, min(job.batch_size, budget // int(rows.lengths.max())))
    tokenizer = AutoTokenizer.from_pretrained(job.base)
    tokenizer.pad_token = tokenizer.eos_token
    arguments = SFTConfig(
        output_dir=str(job.folder / "trl"), per_device_train_batch_size=at_once,
        gradient_accumulation_steps=max(1, job.batch_size // at_once), num_train_epochs=1, max_length=None,
        learning_rate=job.learning_rate, train_sampling_strategy="sequential", bf16=device.half == torch.bfloat16,
        fp16=device.half == torch.float16, use_cpu=device.kind == "cpu", report_to="none", disable_tqdm=True,
        gradient_checkpointing=wants_checkpointing(size), logging_steps=1, save_strategy="no", seed=job.seed,
    )  # fmt: skip
    trainer = SFTTrainer(
        model, arguments, train_dataset=_dataset(rows, job), processing_class=tokenizer, callbacks=[Told()]
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return int(torch.cuda.max_memory_allocated()) if device.kind == "cuda" else peak_resident()


def _dataset(rows: RowArrays, job: Job) -> Any:
    from datasets import Dataset

    order = np.concatenate(draw_steps(len(rows), job.batch_size, job.epochs, job.max_steps, job.seed))
    ids, labels = zip(*(rows[row] for row in order), strict=True)
    return Dataset.from_dict({"input_ids": ids, "labels": labels})
