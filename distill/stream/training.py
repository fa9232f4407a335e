"""Trains a small model on a corpus, from nothing or further: one process, CPU, resumable at any moment.

The budget is time, or tokens; the learning rate follows the share of it that is spent. By time, a busy machine
trains less but still ends its schedule; by tokens, it ends later with the same.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import cos, isfinite, pi
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...serve.files import replace_file
from ...serve.models.gguf.spec import ModelSpec
from ...serve.models.templates import BOS, EOS, PAD
from ..errors import DistillError
from ..interrupt import heard_interrupt
from .batches import LENGTHS, Batch, ExampleAt, Place, batches

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer
    from transformers import Qwen2ForCausalLM

SAVE_EVERY_S = 120.0
POOL = 8192  # examples that are made at a time


@dataclass(frozen=True)
class TrainConfig:
    """Shape and schedule. `minutes` is wall time spent training, over all resumed parts of a run; `tokens`, where
    given, count instead. `start` is the folder of a model of that shape to continue; None: random weights, which `seed`
    decides.
    """

    minutes: float
    shape: ModelSpec
    tokens: int | None = None
    start: Path | None = None
    seed: int = 0
    tokens_per_step: int = 6144
    learning_rate: float = 2e-3
    matrix_learning_rate: float = 5e-3
    final_share: float = 0.02  # of the peak learning rate, at the end
    warmup_steps: int = 60
    prompt_until: float = 0.15  # share of the time in which the prompt's tokens are learnt too
    weight_decay: float = 0.05
    compile: bool = False


@dataclass
class Progress:
    """Where a run stands; saved with every checkpoint."""

    step: int = 0
    example: int = 0
    batch: int = 0  # of the pool that begins with that example
    seconds: float = 0.0
    tokens: int = 0
    loss: float = float("nan")


Report = Callable[[Progress, float], None]


def bound_openmp() -> None:
    """Idle OpenMP threads must not spin: beside a busy process they cost a factor of ten and more.

    libgomp reads this when torch is first imported, so it comes before that.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def build_model(config: TrainConfig) -> Qwen2ForCausalLM:
    """The model to begin with, float32."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    # Of rows that short, plain matrices are a quarter faster on a CPU than its flash attention, whose backward is slow.
    eager = {"attn_implementation": "eager"}
    if config.start is not None:
        started: Qwen2ForCausalLM = Qwen2ForCausalLM.from_pretrained(config.start, dtype=torch.float32, **eager)
        return started
    torch.manual_seed(config.seed)
    shape = config.shape
    return Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=shape.n_vocab,
            hidden_size=shape.n_embd,
            intermediate_size=shape.n_ff,
            num_hidden_layers=shape.n_layer,
            num_attention_heads=shape.n_head,
            num_key_value_heads=shape.n_head_kv,
            max_position_embeddings=shape.n_ctx,
            tie_word_embeddings=shape.tied,
            initializer_range=0.02,
            **eager,
        )
    )


def train(
    config: TrainConfig, example_at: ExampleAt, tokenizer: Tokenizer, run_dir: Path, report: Report
) -> tuple[Qwen2ForCausalLM, Progress]:
    """Trains until the budget is spent, going on from run_dir/checkpoint.pt if it is there.

    Ctrl-C ends the step under way, saves a checkpoint and raises KeyboardInterrupt; a second one ends it at once, with
    the checkpoint before. Raises DistillError where the loss is no number any more.
    """
    model = build_model(config)
    optimizers = _optimizers(model, config)
    checkpoint = run_dir / "checkpoint.pt"
    progress = _load(checkpoint, model, optimizers) if checkpoint.exists() else Progress()
    forward = _compiled(model) if config.compile else model
    started, saved = time.monotonic() - progress.seconds, time.monotonic()
    stream = batches(example_at, tokenizer, Place(progress.example, progress.batch), config.tokens_per_step, POOL)
    is_between = True  # steps: amid one, some weights have moved and others have not
    try:
        with heard_interrupt(lambda _: None) as interrupted:
            while (share := _share(config, progress)) < 1:
                if interrupted.is_set():
                    raise KeyboardInterrupt
                place, batch = next(stream)
                _set_rates(optimizers, config, progress.step, share)
                loss = _step(model, forward, _tensors(batch, share < config.prompt_until))
                is_between = False
                _move(optimizers, isfinite(loss))
                progress.loss = loss
                progress.example, progress.batch = place
                progress.step += 1
                is_between = True
                _refuse_no_number(progress, config)
                progress.tokens += int(batch.ends.sum())
                progress.seconds = time.monotonic() - started
                report(progress, share)
                if time.monotonic() - saved > SAVE_EVERY_S:
                    _save(checkpoint, model, optimizers, progress)
                    saved = time.monotonic()
    finally:
        if is_between:
            _save(checkpoint, model, optimizers, progress)
    return model, progress


def _refuse_no_number(progress: Progress, config: TrainConfig) -> None:
    if not isfinite(progress.loss):
        raise DistillError(
            f"The loss of step {progress.step} is no number any more. Train more gently: in the recipe, set "
            f"learning_rate: {config.learning_rate / 4:g}, matrix_learning_rate: {config.matrix_learning_rate / 4:g}"
        )


def _share(config: TrainConfig, progress: Progress) -> float:
    """Of the budget, what is spent."""
    if config.tokens is not None:
        return progress.tokens / config.tokens
    return progress.seconds / (config.minutes * 60)


def save_hf_folder(model: Qwen2ForCausalLM, tokenizer: Tokenizer, folder: Path) -> None:
    """What transformers, trl and our export read: weights, config, tokeniser and chat template."""
    from transformers import PreTrainedTokenizerFast

    from ...serve.models.templates import R1_DISTILL

    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=BOS, eos_token=EOS, pad_token=PAD)
    wrapped.chat_template = R1_DISTILL
    model.config.bos_token_id = wrapped.bos_token_id
    model.config.eos_token_id = wrapped.eos_token_id
    model.config.pad_token_id = wrapped.pad_token_id
    model.save_pretrained(folder)
    wrapped.save_pretrained(folder)


def _tensors(batch: Batch, with_prompt: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """(input_ids, labels), both (rows, length); labels are shifted, -100 where nothing is learnt."""
    import torch

    ids = torch.from_numpy(batch.input_ids)
    position = torch.arange(1, ids.shape[1] + 1)[None]
    begin = torch.ones(len(ids), 1) if with_prompt else torch.from_numpy(batch.loss_from)[:, None]
    learnt = (position >= begin) & (position < torch.from_numpy(batch.ends)[:, None])
    following = torch.cat([ids[:, 1:], ids[:, :1]], dim=1)
    return ids, following.masked_fill(~learnt, -100)


def _step(model: Any, forward: Any, tensors: tuple[torch.Tensor, torch.Tensor]) -> float:
    """The loss of the batch, or its gradient's norm where that is no number. The weights stay as they are."""
    import torch

    ids, labels = tensors
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=_fast_bfloat16()):
        logits = forward(input_ids=ids, use_cache=False).logits
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), labels.flatten())
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0).item()
    return loss.item() if isfinite(norm) else norm


def _move(optimizers: list[torch.optim.Optimizer], is_number: bool) -> None:
    """Takes the step that the gradients say, where they are numbers."""
    for optimizer in optimizers:
        if is_number:
            optimizer.step()
        optimizer.zero_grad()


def _compiled(model: Qwen2ForCausalLM) -> Any:
    """Fused for this machine, half a minute for each length of rows; as it is where there is no compiler."""
    import torch

    if shutil.which(os.environ.get("CXX", "g++")) is None:
        return model
    torch._dynamo.config.suppress_errors = True  # a compiler that lacks, say, Python's headers is as good as none
    torch._dynamo.config.recompile_limit = 2 * len(LENGTHS)  # what goes beyond it is not compiled at all
    return torch.compile(model, dynamic=False)


def _fast_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 faster than float32 (five times, where it has the instructions)."""
    import torch

    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def _optimizers(model: Qwen2ForCausalLM, config: TrainConfig) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, AdamW for the rest."""
    import torch

    from .muon import Muon

    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    rest = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    dtype = torch.bfloat16 if _fast_bfloat16() else torch.float32
    muon = Muon(matrices, lr=config.matrix_learning_rate, weight_decay=config.weight_decay, dtype=dtype)
    adam = torch.optim.AdamW(rest, lr=config.learning_rate, betas=(0.9, 0.98), weight_decay=0.0)
    for optimizer in (muon, adam):
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return [muon, adam]


def _set_rates(optimizers: list[torch.optim.Optimizer], config: TrainConfig, step: int, share: float) -> None:
    cosine = config.final_share + (1 - config.final_share) * 0.5 * (1 + cos(pi * min(1.0, share)))
    factor = cosine * min(1.0, (step + 1) / config.warmup_steps)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * factor


def _save(path: Path, model: Any, optimizers: list[torch.optim.Optimizer], progress: Progress) -> None:
    import torch

    state = {
        "model": model.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "progress": vars(progress),
    }
    with replace_file(path) as aside:
        torch.save(state, aside)


def _load(path: Path, model: Any, optimizers: list[torch.optim.Optimizer]) -> Progress:
    import torch

    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    return Progress(**state["progress"])
