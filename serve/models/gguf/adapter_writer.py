"""Writes a LoRA adapter as GGUF, for llama.cpp to add to the model that it was trained on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import gguf
import numpy as np

from ...files import replace_file
from .spec import ModelSpec
from .writer import Array, MetadataValue, Rows, add_value, gguf_name, interleaved, is_rotated


@dataclass(frozen=True)
class LoraPair:
    """Of a weight [out, in]: `a` is [rank, in], `b` [out, rank], and what is added is scale * b @ a."""

    a: Rows
    b: Rows

    @property
    def rank(self) -> int:
        return self.a.shape[0]


def write_adapter(
    path: Path,
    *,
    spec: ModelSpec,
    pairs: Mapping[str, LoraPair],
    scale: float,
    file_type: Literal["F32", "F16"] = "F16",
    metadata: Mapping[str, MetadataValue] | None = None,
) -> Path:
    """Writes pairs under the Hugging Face names of the weights they are for ("model.layers.0.mlp.up_proj.weight").

    Raises ValueError where one does not fit the spec, its rank is not that of the others, or it holds what is no
    number. `path` has a whole file afterwards, or what it had.
    """
    rank = _rank(spec, pairs)
    with replace_file(path) as aside, closing(gguf.GGUFWriter(None, spec.architecture)) as writer:
        writer.add_type(gguf.GGUFType.ADAPTER)
        writer.add_string("adapter.type", "lora")
        # llama.cpp divides it by the rank.
        writer.add_float32("adapter.lora.alpha", scale * rank)
        writer.add_name(spec.name)
        for key, value in (metadata or {}).items():
            add_value(writer, key, value)
        for name, data in _arrays(spec, pairs, file_type):
            writer.add_tensor(name, data)
        writer.write_header_to_file(aside)
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    return path


def _rank(spec: ModelSpec, pairs: Mapping[str, LoraPair]) -> int:
    shapes = spec.tensor_shapes()
    for name, pair in pairs.items():
        shape = shapes.get(name, ())
        if len(shape) != 2 or "layers" not in name:
            raise ValueError(f"an adapter for {name} has no place in a GGUF of {spec.architecture}")
        if (pair.b.shape[0], pair.a.shape[1]) != shape or pair.b.shape[1] != pair.rank:
            raise ValueError(f"{name} is {shape}, and its adapter {tuple(pair.b.shape)} by {tuple(pair.a.shape)}")
    ranks = {pair.rank for pair in pairs.values()}
    if len(ranks) != 1:
        raise ValueError(f"an adapter in a GGUF has one rank for all weights, and here are {len(ranks)}")
    return ranks.pop()


def _arrays(spec: ModelSpec, pairs: Mapping[str, LoraPair], file_type: str) -> Iterator[tuple[str, Array]]:
    dtype = np.float32 if file_type == "F32" else np.float16
    for name, pair in pairs.items():
        b = _whole(pair.b)
        # What is added to rows that llama.cpp has in another order has to be in that order, too.
        b = interleaved(b, spec.head_dim) if is_rotated(name, spec) else b
        for end, wide in (("lora_a", _whole(pair.a)), ("lora_b", b)):
            with np.errstate(over="ignore"):
                data = np.ascontiguousarray(wide, dtype=dtype)
            if not np.isfinite(data).all():
                raise ValueError(f"the adapter for {name} holds values that are no numbers of {file_type}")
            yield f"{gguf_name(name)}.{end}", data


def _whole(rows: Rows) -> Array:
    return np.asarray(rows[0 : rows.shape[0]]).astype(np.float32, copy=False)
