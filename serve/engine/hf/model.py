"""Loads a Hugging Face folder's weights: which device, which type of number, quantised or not. Needs torch."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig

from ...errors import ModelLoadError, NotEnoughMemoryError
from ..host_memory import available_memory
from .packed_attention import NAME, attend
from .weights import FolderWeights, Quantization, cpu_number_bytes, one_line, read_weights

# Their attention is the one this engine replaces; others may well do something else there.
ARCHITECTURES = ("qwen2", "qwen3", "llama")
_STATIC_ROPE = ("default", "linear", "llama3", "yarn")
INSTALL = 'pip install "r1chat[distill]"'


@dataclass(frozen=True, slots=True)
class Loaded:
    """`n_params` as the files have them; `ends` are the tokens that end a generation."""

    model: Any
    config: Any
    device: torch.device
    dtype: torch.dtype
    n_params: int
    ends: tuple[int, ...]


def load(folder: Path, *, quantization: Quantization = "none", device: str = "auto") -> Loaded:
    """Raises ModelLoadError. Nothing but safetensors is read, and no code of the folder's is run."""
    weights = read_weights(folder)
    config = _config(folder, weights)
    _check_shape(folder, config)
    place = _device(device)
    dtype = _dtype(config, place, weights, quantization)
    _check_memory(folder, place, dtype, weights, quantization)
    model = _load_model(folder, config, place, dtype, quantization)
    return Loaded(model, config, place, dtype, weights.n_params, _ends(model))


def _config(folder: Path, weights: FolderWeights) -> Any:
    """Its layers are counted first: transformers makes lists of as many as it is told."""
    try:
        told = json.loads((folder / "config.json").read_bytes())["num_hidden_layers"]
    except FileNotFoundError:
        raise ModelLoadError(f"There is no model folder {folder}: it would have a config.json.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelLoadError(f"{folder}/config.json cannot be read ({one_line(error)}).") from error
    if told != weights.n_layers:
        raise ModelLoadError(f"{folder} has {weights.n_layers} layers, and its config.json says {told!r:.40}.")
    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:
        raise ModelLoadError(f"{folder}/config.json cannot be read ({one_line(error)}).") from error


def _load_model(folder: Path, config: Any, device: torch.device, dtype: torch.dtype, quantization: Quantization) -> Any:
    transformers.AttentionInterface.register(NAME, attend)
    transformers.utils.logging.disable_progress_bar()
    transformers.logging.set_verbosity_error()
    # it warns in every layer of every step of what int8 means
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    try:
        model, info = AutoModelForCausalLM.from_pretrained(
            folder,
            config=config,
            dtype=dtype,
            device_map={"": str(device)},
            quantization_config=_quantizer(quantization, dtype),
            attn_implementation=NAME,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except ImportError as error:
        raise ModelLoadError(f"{one_line(error)} Install it: {INSTALL}") from error
    except Exception as error:  # torch, safetensors, transformers and bitsandbytes each have their own
        raise ModelLoadError(f"{folder} cannot be loaded ({one_line(error)}).") from error
    # what is missing would be made up
    if missing := sorted(info["missing_keys"]):
        raise ModelLoadError(f"{folder} lacks {len(missing)} of its tensors, the first is {missing[0]}.")
    if wrong := sorted(str(key) for key in info.get("mismatched_keys") or ()):
        raise ModelLoadError(f"{folder}: {len(wrong)} tensors have a shape other than config.json says: {wrong[0]}.")
    return model.eval().requires_grad_(False)


def _quantizer(quantization: Quantization, dtype: torch.dtype) -> Any:
    """NF4 as in QLoRA (Dettmers et al., 2023), its scales quantised as well; int8 as in LLM.int8() (2022)."""
    if quantization == "nf4":
        return BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        )
    return BitsAndBytesConfig(load_in_8bit=True) if quantization == "int8" else None


def _device(wanted: str) -> torch.device:
    if wanted not in ("auto", "cpu", "cuda"):
        raise ModelLoadError(f"There is no device {wanted!r}; it is auto, cpu or cuda.")
    has_cuda = torch.cuda.is_available()
    if wanted == "cuda" and not has_cuda:
        raise ModelLoadError("torch sees no CUDA device here; without --device cuda the CPU is used.")
    return torch.device("cuda", torch.cuda.current_device()) if has_cuda and wanted != "cpu" else torch.device("cpu")


def _dtype(config: Any, device: torch.device, weights: FolderWeights, quantization: Quantization) -> torch.dtype:
    """On a GPU the folder's own; on a CPU what it multiplies well."""
    own = config.dtype if isinstance(config.dtype, torch.dtype) else torch.float32
    if device.type != "cpu":
        return torch.bfloat16 if quantization != "none" and own == torch.float32 else own
    return torch.float32 if cpu_number_bytes(weights, quantization) == 4 else own


def _check_memory(
    folder: Path, device: torch.device, dtype: torch.dtype, weights: FolderWeights, quantization: Quantization
) -> None:
    needed = weights.memory_bytes(quantization, dtype.itemsize)
    free = available_memory() if device.type == "cpu" else torch.cuda.mem_get_info(device)[0]
    if needed > free:
        mend = " Take less: r1chat serve --engine transformers --quantize nf4" if quantization == "none" else ""
        raise NotEnoughMemoryError(
            f"{folder} needs {needed / 1e9:.1f} GB of {'memory' if device.type == 'cpu' else 'the GPU'} and "
            f"{free / 1e9:.1f} GB are free.{mend}",
            needed=needed,
            available=free,
        )


def _check_shape(folder: Path, config: Any) -> None:
    """Refuses what `attend` would compute otherwise than the model means it."""
    if config.model_type not in ARCHITECTURES:
        raise ModelLoadError(f"{folder} is a {config.model_type} model; this engine runs {', '.join(ARCHITECTURES)}.")
    rope = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    if rope not in _STATIC_ROPE:
        raise ModelLoadError(f"{folder}: positions of type {rope!r} depend on the longest sequence of a batch.")
    if "sliding_attention" in (getattr(config, "layer_types", None) or ()):
        raise ModelLoadError(f"{folder}: models with a sliding window cannot share a cache the way this engine does.")


def _ends(model: Any) -> tuple[int, ...]:
    """As generation_config.json has them, else config.json."""
    said = model.generation_config.eos_token_id
    said = model.config.eos_token_id if said is None else said
    return tuple(cast("list[int]", said)) if isinstance(said, (list, tuple)) else () if said is None else (int(said),)
