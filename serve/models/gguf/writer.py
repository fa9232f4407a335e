"""Writes qwen2 and llama models as GGUF files from named arrays; needs numpy and gguf, no torch.

Arrays come under their Hugging Face names and are taken a run of rows at a time, so what reads lazily keeps
memory at a fraction of one tensor. The file is written aside, flushed to disk and renamed: a path holds a
whole model or none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Literal, Protocol

import gguf
import numpy as np

from ...files import replace_file
from .spec import TOKEN_UNUSED, ModelSpec, TokenizerSpec

FileType = Literal["F32", "F16", "BF16", "Q8_0"]
Array = np.ndarray
MetadataValue = str | int | float | bool
# told after every run of rows: bytes of weights written, and of all of them
OnProgress = Callable[[int, int], None]

_F32 = gguf.GGMLQuantizationType.F32
_F16 = gguf.GGMLQuantizationType.F16
_BF16 = gguf.GGMLQuantizationType.BF16
_Q8_0 = gguf.GGMLQuantizationType.Q8_0
# 4 MiB in float32: what is worked on stays in the processor's cache, several times as fast as whole tensors.
_RUN = 1 << 20


class Rows(Protocol):
    """What the writer asks of a tensor; a numpy array is one, and a tensor in a file can be."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, rows: slice) -> Any: ...


def write_gguf(
    path: Path,
    *,
    spec: ModelSpec,
    tensors: Mapping[str, Rows],
    tokenizer: TokenizerSpec,
    file_type: FileType = "F16",
    metadata: Mapping[str, MetadataValue] | None = None,
    on_progress: OnProgress | None = None,
) -> Path:
    """Writes the model to `path`; `metadata` holds further GGUF keys in full ("general.license").

    Raises ValueError where tensors or tokenizer do not fit the spec, or a weight is no finite number of the
    file's type. Nothing is left at `path` on failure that was not there before.
    """
    _check_names(spec, tensors)
    tokenizer.check(spec.n_vocab)
    with replace_file(path) as aside, closing(gguf.GGUFWriter(None, spec.architecture)) as writer:
        _add_header(writer, spec, file_type, metadata or {})
        _add_tokenizer(writer, spec, tokenizer)
        _add_tensor_infos(writer, spec, file_type)
        writer.write_header_to_file(aside)
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        _write_weights(writer, spec, tensors, file_type, on_progress or (lambda _done, _all: None))
    return path


def _check_names(spec: ModelSpec, tensors: Mapping[str, Rows]) -> None:
    # Older checkpoints carry the rotation's frequencies, which follow from the shape.
    wanted, given = set(spec.tensor_shapes()), {name for name in tensors if not name.endswith(".rotary_emb.inv_freq")}
    if spec.tied:
        given.discard("lm_head.weight")  # savers write the tied head now and then; it is the same array
    if missing := sorted(wanted - given):
        raise ValueError(f"{len(missing)} tensors are missing, the first is {missing[0]}")
    if unknown := sorted(given - wanted):
        raise ValueError(f"{len(unknown)} tensors have no place in {spec.architecture}, the first is {unknown[0]}")


def _add_header(
    writer: gguf.GGUFWriter, spec: ModelSpec, file_type: FileType, metadata: Mapping[str, MetadataValue]
) -> None:
    file_types = {
        "F32": gguf.LlamaFileType.ALL_F32,
        "F16": gguf.LlamaFileType.MOSTLY_F16,
        "BF16": gguf.LlamaFileType.MOSTLY_BF16,
        "Q8_0": gguf.LlamaFileType.MOSTLY_Q8_0,
    }
    writer.add_name(spec.name)
    writer.add_file_type(int(file_types[file_type]))
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_vocab_size(spec.n_vocab)
    writer.add_context_length(spec.n_ctx)
    writer.add_embedding_length(spec.n_embd)
    writer.add_block_count(spec.n_layer)
    writer.add_feed_forward_length(spec.n_ff)
    writer.add_head_count(spec.n_head)
    writer.add_head_count_kv(spec.n_head_kv)
    writer.add_layer_norm_rms_eps(spec.rms_eps)
    writer.add_rope_freq_base(spec.rope_theta)
    writer.add_rope_dimension_count(spec.head_dim)
    if spec.rope_scaling is not None:
        writer.add_rope_scaling_type(gguf.RopeScalingType(spec.rope_scaling.kind))
        writer.add_rope_scaling_factor(spec.rope_scaling.factor)
        writer.add_rope_scaling_orig_ctx_len(spec.rope_scaling.trained)
    for key, value in metadata.items():
        add_value(writer, key, value)


def add_value(writer: gguf.GGUFWriter, key: str, value: MetadataValue) -> None:
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_int64(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    else:
        writer.add_string(key, value)


def _add_tokenizer(writer: gguf.GGUFWriter, spec: ModelSpec, tokenizer: TokenizerSpec) -> None:
    tokens, types = list(tokenizer.tokens), list(tokenizer.token_types)
    # The embedding table may have more rows than there are tokens; llama.cpp wants one token a row.
    for i in range(len(tokens), spec.n_vocab):
        tokens.append(f"[PAD{i}]")
        types.append(TOKEN_UNUSED)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(tokenizer.pre)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(list(tokenizer.merges))
    writer.add_eos_token_id(tokenizer.eos_id)
    if tokenizer.bos_id is not None:
        writer.add_bos_token_id(tokenizer.bos_id)
    if tokenizer.pad_id is not None:
        writer.add_pad_token_id(tokenizer.pad_id)
    if tokenizer.eot_id is not None:
        writer.add_eot_token_id(tokenizer.eot_id)
    writer.add_add_bos_token(tokenizer.add_bos)
    if tokenizer.chat_template is not None:
        writer.add_chat_template(tokenizer.chat_template)


def _add_tensor_infos(writer: gguf.GGUFWriter, spec: ModelSpec, file_type: FileType) -> None:
    dtypes = {_Q8_0: np.uint8, _BF16: np.uint16, _F16: np.float16, _F32: np.float32}
    for name, shape in _file_tensors(spec).items():
        qtype = _stored_type(shape, file_type)
        byte_shape = gguf.quant_shape_to_byte_shape(shape, qtype) if qtype is _Q8_0 else shape
        dtype = np.dtype(dtypes[qtype])
        n_bytes = int(np.prod(byte_shape)) * dtype.itemsize
        writer.add_tensor_info(gguf_name(name), byte_shape, dtype, n_bytes, raw_dtype=qtype)


def _stored_type(shape: tuple[int, ...], file_type: FileType) -> gguf.GGMLQuantizationType:
    # Norms and biases are read as F32 by llama.cpp's kernels, whatever the rest is.
    if len(shape) == 1 or file_type == "F32":
        return _F32
    if file_type == "BF16":
        return _BF16
    if file_type == "Q8_0" and shape[-1] % 32 == 0:
        return _Q8_0
    return _F16


def _file_tensors(spec: ModelSpec) -> dict[str, tuple[int, ...]]:
    shapes = spec.tensor_shapes()
    if spec.rope_factors:
        shapes["rope_freqs.weight"] = (len(spec.rope_factors),)
    return shapes


def _write_weights(
    writer: gguf.GGUFWriter, spec: ModelSpec, tensors: Mapping[str, Rows], file_type: FileType, on_progress: OnProgress
) -> None:
    # Not GGUFWriter.write_tensor_data, which wants a tensor whole.
    [file], [infos] = writer.fout or [], writer.tensors
    total, done = sum(info.nbytes for info in infos.values()), 0
    for name, shape in _file_tensors(spec).items():
        writer.write_padding(file, file.tell())
        factors = name == "rope_freqs.weight"
        rows: Rows = np.array(spec.rope_factors, dtype=np.float32) if factors else tensors[name]
        if tuple(rows.shape) != shape:
            raise ValueError(f"{name} has the shape {tuple(rows.shape)}, not {shape}")
        for run in _runs(name, rows, spec):
            data = _encode(name, run, _stored_type(shape, file_type))
            file.write(data.data)
            done += data.nbytes
            on_progress(done, total)
    writer.write_padding(file, file.tell())


def _runs(name: str, tensor: Rows, spec: ModelSpec) -> Iterator[Array]:
    """The tensor in float32, a run of rows at a time, in the order llama.cpp wants them."""
    rotated = is_rotated(name, spec)
    unit = spec.head_dim if rotated else 1
    count = max(1, _RUN // (math.prod(tensor.shape[1:]) * unit)) * unit
    for start in range(0, tensor.shape[0], count):
        run = np.asarray(tensor[start : start + count]).astype(np.float32, copy=False)
        yield interleaved(run, spec.head_dim) if rotated else run


def is_rotated(name: str, spec: ModelSpec) -> bool:
    """Whether llama.cpp wants the rows of this tensor in another order than Hugging Face has them."""
    return spec.architecture == "llama" and name.endswith(("q_proj.weight", "k_proj.weight"))


def interleaved(rows: Array, head_dim: int) -> Array:
    """llama.cpp rotates neighbouring pairs of a llama head, Hugging Face its two halves; qwen2 agree."""
    return rows.reshape(-1, 2, head_dim // 2, rows.shape[-1]).swapaxes(1, 2).reshape(rows.shape)


def _encode(name: str, rows: Array, qtype: gguf.GGMLQuantizationType) -> Array:
    if not np.isfinite(rows).all():
        raise ValueError(f"{name} holds values that are no numbers; the weights are damaged")
    if qtype is _BF16:
        # bfloat16 is the upper half of a float32, rounded to even here; numpy knows no such type.
        bits = np.ascontiguousarray(rows).view(np.uint32)
        return ((bits + (0x7FFF + ((bits >> 16) & 1))) >> 16).astype(np.uint16)
    with np.errstate(over="ignore"):
        data: Array = np.ascontiguousarray(gguf.quants.quantize(rows, qtype))
    if qtype is _F16 and not np.isfinite(data).all():
        raise ValueError(f"{name} holds values too large for F16; Q8_0 and F32 can hold them")
    return data


def gguf_name(name: str) -> str:
    outside = {
        "model.embed_tokens.weight": "token_embd.weight",
        "model.norm.weight": "output_norm.weight",
        "lm_head.weight": "output.weight",
        "rope_freqs.weight": "rope_freqs.weight",
    }
    if name in outside:
        return outside[name]
    _, _, layer, rest = name.split(".", 3)
    module, kind = rest.rsplit(".", 1)
    inside = {
        "input_layernorm": "attn_norm",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "post_attention_layernorm": "ffn_norm",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
    }
    return f"blk.{layer}.{inside[module]}.{kind}"
