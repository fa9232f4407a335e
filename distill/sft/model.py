"""The model of a training, as its method wants it: whole, with an adapter, or with an adapter on NF4 weights."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import DistillError
from ..stream.training import _fast_bfloat16
from ..students import Method

if TYPE_CHECKING:
    import torch

# Above this, what layers would keep for the backward pass is computed again, which takes a third longer.
_CHECKPOINT_FROM = 100_000_000


class Training(Protocol):
    """What decides which weights of which base are trained."""

    @property
    def base(self) -> Path: ...
    @property
    def method(self) -> Method: ...
    @property
    def lora_rank(self) -> int: ...
    @property
    def seed(self) -> int: ...


@dataclass(frozen=True)
class Device:
    """Where a training computes, and in which type: `half` is what matrices are multiplied in, None for float32."""

    kind: str
    half: torch.dtype | None


def find_device() -> Device:
    """A CUDA GPU where there is one, else this CPU; bfloat16 where it is the faster type."""
    import torch

    if torch.cuda.is_available():
        return Device(
            "cuda", torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
        )
    return Device("cpu", torch.bfloat16 if _fast_bfloat16() else None)


def load_model(job: Training, device: Device) -> Any:
    """The base with what is trained in float32: all of it, or the adapter on frozen weights in half or NF4."""
    import torch
    from transformers import AutoModelForCausalLM

    frozen = device.half or torch.float32
    options: dict[str, Any] = {"dtype": torch.float32 if job.method == "full" else frozen}
    if job.method == "qlora":
        options["quantization_config"] = _nf4(frozen)
        if device.kind == "cuda" and not _is_sharded():  # quantised where it will be; nothing moves it afterwards
            options["device_map"] = {"": int(os.environ.get("LOCAL_RANK", "0"))}
    model = AutoModelForCausalLM.from_pretrained(
        job.base, local_files_only=True, trust_remote_code=False, attn_implementation="sdpa", **options
    )
    model.config.use_cache = False
    return model if job.method == "full" else _with_adapter(model, job)


def wants_checkpointing(parameters: int) -> bool:
    """Whether activations are computed again in the backward pass instead of kept."""
    return parameters >= _CHECKPOINT_FROM


def micro_batch_tokens(asked: int | None, device: Device, parameters: int) -> int:
    """Tokens that go through the model at once: enough to fill the device, few enough for its memory."""
    if asked is not None:
        return asked
    if device.kind == "cuda":
        return 16384
    return 2048 if wants_checkpointing(parameters) else 8192


def keep_in_float32(model: Any) -> None:
    """Brings what is trained back to float32: trl lays adapters on NF4 down in bfloat16, in which small steps of the
    optimizer are lost.
    """
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()


def _nf4(compute: torch.dtype) -> Any:
    """QLoRA's quantisation (Dettmers et al., 2023): 4-bit NormalFloat, its constants quantised too."""
    try:
        import bitsandbytes  # noqa: F401
        from transformers import BitsAndBytesConfig
    except ImportError as error:
        raise DistillError(
            f"QLoRA needs bitsandbytes ({error}). Install it, or train without: r1chat distill sft --method lora"
        ) from error
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=compute
    )


def _is_sharded() -> bool:
    """Whether accelerate was told to spread the model over processes, and so brings it to its devices itself."""
    return any(os.environ.get(f"ACCELERATE_USE_{kind}", "").lower() == "true" for kind in ("FSDP", "DEEPSPEED"))


def _with_adapter(model: Any, job: Training) -> Any:
    """LoRA on every matrix inside the layers; alpha twice the rank, no dropout."""
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(job.seed)
    config = LoraConfig(
        r=job.lora_rank, lora_alpha=2 * job.lora_rank, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    return get_peft_model(model, config)
