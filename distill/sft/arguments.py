"""What trl's trainers are told in every training here, whatever is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from . import checkpoints
from .model import Device, wants_checkpointing


def common_arguments(folder: Path, seed: int, device: Device, model: Any) -> dict[str, Any]:
    """Fields of transformers.TrainingArguments; checkpoints are what our callbacks ask for, and nobody else speaks."""
    import torch

    return {
        "output_dir": str(checkpoints.aside(folder)),
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "seed": seed,
        "gradient_checkpointing": wants_checkpointing(model.num_parameters()),
        "bf16": device.half == torch.bfloat16,
        "fp16": device.half == torch.float16,
        "use_cpu": device.kind == "cpu",
        "logging_nan_inf_filter": False,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "log_level": "error",
        "log_level_replica": "error",
    }
