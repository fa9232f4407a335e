"""Writes a Hugging Face folder as GGUF. Needs no torch; parity.py measures what came out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ...serve.models.gguf.spec import ModelSpec, TokenizerSpec
from ...serve.models.gguf.writer import FileType, MetadataValue, OnProgress, write_gguf
from .folder import read_spec
from .tensors import SafetensorsFolder, read_json
from .tokenizer import read_tokenizer

# What the writer makes by itself; every other type goes through llama.cpp.
DIRECT: dict[str, FileType] = {"F32": "F32", "F16": "F16", "Q8_0": "Q8_0"}


@dataclass(frozen=True)
class HfModel:
    """A folder's model, read as far as its headers."""

    folder: Path
    spec: ModelSpec
    tokenizer: TokenizerSpec
    tensors: SafetensorsFolder

    @property
    def lossless_type(self) -> FileType:
        """The smallest file type that holds every weight as it is (float64 aside)."""
        kinds: dict[str, FileType] = {"BF16": "BF16", "F16": "F16"}
        return kinds.get(self.tensors.widest, "F32")


def read_model(hf_dir: Path, name: str | None = None) -> HfModel:
    """What is to be written. Raises ValueError, naming what cannot be carried over."""
    config = read_json(hf_dir / "config.json")
    spec = read_spec(config, name or hf_dir.name)
    tensors = SafetensorsFolder(hf_dir)
    if spec.n_layer > len(tensors):
        # Before anything is made for each layer of a number that anybody may write.
        raise ValueError(f"config.json says {spec.n_layer} layers, and there are {len(tensors)} tensors in all")
    model = HfModel(hf_dir, spec, read_tokenizer(hf_dir, config), tensors)
    for tensor, shape in spec.tensor_shapes().items():
        if tensor in model.tensors and model.tensors[tensor].shape != shape:
            raise ValueError(f"{tensor} has the shape {model.tensors[tensor].shape}, and config.json says {shape}")
    return model


def export_gguf(
    hf_dir: Path,
    out: Path,
    file_type: FileType = "Q8_0",
    *,
    name: str | None = None,
    metadata: Mapping[str, MetadataValue] | None = None,
) -> Path:
    """Writes the model in `hf_dir` to `out`. Raises ValueError, naming what cannot be carried over."""
    return write_model(read_model(hf_dir, name), out, file_type, metadata=metadata)


def write_model(
    model: HfModel,
    out: Path,
    file_type: FileType,
    *,
    metadata: Mapping[str, MetadataValue] | None = None,
    on_progress: OnProgress | None = None,
) -> Path:
    """Writes a model that was read; raises ValueError for weights that `file_type` cannot hold."""
    return write_gguf(
        out,
        spec=model.spec,
        tensors=model.tensors,
        tokenizer=model.tokenizer,
        file_type=file_type,
        metadata=metadata,
        on_progress=on_progress,
    )
