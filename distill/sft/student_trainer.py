"""trl's SFTTrainer on rows and steps that are decided beforehand. Imported when a training begins, never before.

Here, a step of the Trainer is a step of the optimizer; its micro-batches, which differ in number and shape, are
walked inside it.
"""

from __future__ import annotations

from contextlib import nullcontext
from math import ceil, cos, pi
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader, Dataset
from trl import SFTTrainer

from .head import add_loss_head, round_up
from .job import RowArrays
from .order import micro_batches

WARMUP, FINAL_RATE = 0.03, 0.1  # of the steps; of the learning rate, at the end (DeepSeek-R1, 2025)


class StepBatch(NamedTuple):
    """One process's part of a step, and over how many tokens of all processes its loss is averaged."""

    micro_batches: list[dict[str, torch.Tensor]]
    learnt: int


class Steps(Dataset[StepBatch]):
    """The steps of a training, as the tensors that one process of `world` computes.

    `budget` is tokens a micro-batch. Rows are filled up on the right, where causal attention never looks, so no
    mask is needed; packed, they lie end to end and begin at position 0 each.
    """

    def __init__(
        self, rows: RowArrays, steps: list[np.ndarray], *, budget: int, packing: bool, rank: int, world: int
    ) -> None:
        self.rows, self.steps, self.packing = rows, steps, packing
        self.budget, self._rank, self._world = budget, rank, world
        self._lengths, self._learnt = rows.lengths, rows.learnt

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, step: int) -> StepBatch:
        groups = micro_batches(self.steps[step], self._lengths, self.budget, self._world)[self._rank]
        tensors = [_packed(self.rows, group) if self.packing else _padded(self.rows, group) for group in groups]
        return StepBatch(tensors, max(1, int(self._learnt[self.steps[step]].sum())))

    def tokens(self, step: int) -> int:
        """Tokens that all processes read in a step."""
        return int(self._lengths[self.steps[step]].sum())


class StudentTrainer(SFTTrainer):
    """Reads `steps` in their order. A checkpoint is `written` aside and handed to `sealed` by the first process."""

    def __init__(self, steps: Steps, sealed: Any, **options: Any) -> None:
        super().__init__(**options)
        self._steps, self._sealed = steps, sealed
        # without the entropies, which trl computes for every token
        base = self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model
        add_loss_head(base, self.args.device)
        self.processing_class = None  # the tokeniser's files come with the format, not with each checkpoint

    def get_train_dataloader(self) -> Any:
        return DataLoader(self._steps, batch_size=1, shuffle=False, collate_fn=_only)

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        self.lr_scheduler = LambdaLR(optimizer or self.optimizer, lambda step: _rate(step, num_training_steps))
        return self.lr_scheduler

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        """Adds up the gradients of a step's micro-batches; its loss, averaged over its learnt tokens."""
        losses = []
        for index, micro in enumerate(inputs.micro_batches):
            last = index == len(inputs.micro_batches) - 1
            self.accelerator.gradient_state._set_sync_gradients(last)
            apart = not last and not self.is_deepspeed_enabled
            with self.accelerator.no_sync(model) if apart else nullcontext():
                losses.append(super().training_step(model, micro, inputs.learnt))
        return torch.stack(losses).sum()

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The share of a micro-batch in its step's loss, times the processes, whose gradients are averaged."""
        outputs = model(**inputs, fused_lm_head=True)
        return -outputs.log_probs.sum() / num_items_in_batch * self.accelerator.num_processes

    def floating_point_ops(self, inputs: Any) -> int:
        return 0

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super(SFTTrainer, self)._save_checkpoint(model, trial)  # without trl's model card
        self.accelerator.wait_for_everyone()
        if self.is_world_process_zero():
            self._sealed(self.state.global_step)
        self.accelerator.wait_for_everyone()


def _rate(step: int, steps: int) -> float:
    """The share of the learning rate in a step, from 0. It rises to all of it, then falls along a cosine; transformers'
    own begins at 0, so that the first step would learn nothing.
    """
    rising = ceil(WARMUP * steps)
    fallen = max(0.0, (step + 1 - rising) / (steps + 1 - rising))
    return min(1.0, (step + 1) / rising) * (FINAL_RATE + (1 - FINAL_RATE) * 0.5 * (1 + cos(pi * fallen)))


def _only(batch: list[StepBatch]) -> StepBatch:
    return batch[0]


def _padded(rows: RowArrays, group: np.ndarray) -> dict[str, torch.Tensor]:
    """input_ids and labels, both (rows, longest), rounded up: for each shape a CPU makes kernels, and keeps them."""
    chosen = [rows[row] for row in group] or [_unlearnt(rows)]
    longest = max(len(ids) for ids, _ in chosen)
    shape = (round_up(len(chosen), 8 if len(chosen) >= 32 else 1), round_up(longest, 32 if longest >= 64 else 1))
    input_ids, labels = np.zeros(shape, dtype=np.int64), np.full(shape, -100, dtype=np.int64)
    for at, (ids, learnt) in enumerate(chosen):
        input_ids[at, : len(ids)] = ids
        labels[at, : len(ids)] = learnt
    return {"input_ids": torch.from_numpy(input_ids), "labels": torch.from_numpy(labels)}


def _packed(rows: RowArrays, group: np.ndarray) -> dict[str, torch.Tensor]:
    """input_ids, labels and position_ids, each (1, tokens); transformers keeps apart what begins at position 0."""
    chosen = [rows[row] for row in group] or [_unlearnt(rows)]
    ids = np.concatenate([ids for ids, _ in chosen]).astype(np.int64)
    # the first token of a row would be learnt from the end of the row before it
    labels = np.concatenate([np.concatenate([[-100], learnt[1:]]) for _, learnt in chosen]).astype(np.int64)
    positions = np.concatenate([np.arange(len(ids), dtype=np.int64) for ids, _ in chosen])
    arrays = {"input_ids": ids, "labels": labels, "position_ids": positions}
    return {name: torch.from_numpy(array)[None] for name, array in arrays.items()}


def _unlearnt(rows: RowArrays) -> tuple[np.ndarray, np.ndarray]:
    """What a process without rows computes, because the others wait for it: two tokens that count for nothing."""
    ids = rows[0][0][:2]
    return ids, np.full(len(ids), -100, dtype=np.int32)
