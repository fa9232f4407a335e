"""How large a Hugging Face folder's weights are, and what they take once loaded: from file headers, without torch."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ...errors import ModelLoadError
from ..cores import multiplies_bfloat16
from ..host_memory import available_memory

Quantization = Literal["none", "nf4", "int8"]
_MAX_HEADER = 1 << 27
_LAYER = re.compile(r"\.layers\.(\d+)\.")
# Bytes of a number of the layers' matrices, scales included.
_QUANTIZED_BYTES = {"nf4": 0.56, "int8": 1.03}
# Loading holds a tensor or two beside the whole.
_HEADROOM = 1.05


@dataclass(frozen=True, slots=True)
class FolderWeights:
    """Numbers in all, and those that are never quantised: embeddings, head, norms and biases. How many layers.

    `is_bfloat16`: every one of them is stored so.
    """

    n_params: int
    n_plain: int
    n_layers: int
    is_bfloat16: bool

    def memory_bytes(self, quantization: Quantization, number_bytes: int) -> int:
        """What they take in memory, plain numbers in `number_bytes` each."""
        quantized = _QUANTIZED_BYTES.get(quantization, number_bytes) * (self.n_params - self.n_plain)
        return int(_HEADROOM * (quantized + number_bytes * self.n_plain))


def read_weights(folder: Path) -> FolderWeights:
    """Raises ModelLoadError where there is no *.safetensors, or one is damaged or cut off."""
    files = _files(folder)
    if not files:
        raise ModelLoadError(f"There is no *.safetensors in {folder}; weights in other formats are not read.")
    n_params = n_plain = 0
    layers, types = set(), set()
    for path in files:
        for name, entry in _header(path).items():
            layer = _LAYER.search(name)
            layers |= {layer[1]} if layer else set()
            count = math.prod(entry["shape"])
            types.add(entry["dtype"])
            n_params += count
            n_plain += 0 if layer and len(entry["shape"]) > 1 else count
    return FolderWeights(n_params, n_plain, len(layers), types == {"BF16"})


def cpu_number_bytes(weights: FolderWeights, quantization: Quantization) -> int:
    """Of a plain number on a CPU: bfloat16 stays where that is fast, else it is float32 where there is room for it."""
    if weights.is_bfloat16 and multiplies_bfloat16():
        return 2
    return 4 if weights.memory_bytes(quantization, 4) < available_memory() else 2


def planned_bytes(folder: Path, quantization: Quantization) -> int:
    """What its weights will take on a CPU. Raises as read_weights() does."""
    weights = read_weights(folder)
    return weights.memory_bytes(quantization, cpu_number_bytes(weights, quantization))


def one_line(error: Exception) -> str:
    """What a library says of a failure, bounded."""
    return " ".join(str(error).split())[:300] or type(error).__name__


def _files(folder: Path) -> list[Path]:
    """Those that the index names, where there is one: a folder may hold the same weights in another form, too."""
    index = folder / "model.safetensors.index.json"
    if not index.exists():
        return sorted(folder.glob("*.safetensors"))
    try:
        names = {str(name) for name in json.loads(index.read_text())["weight_map"].values()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelLoadError(f"{index} cannot be read ({one_line(error)}).") from error
    if foreign := sorted(name for name in names if Path(name).name != name):
        raise ModelLoadError(f"{index} names files outside its folder: {foreign[0][:80]!r}.")
    return [folder / name for name in sorted(names)]


def _header(path: Path) -> dict[str, Any]:
    """The tensors' entries."""
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            room = path.stat().st_size - 8
            if size > min(room, _MAX_HEADER):
                raise ValueError("its header is longer than the file")
            entries: dict[str, Any] = json.loads(file.read(size))
        entries.pop("__metadata__", None)
        if max(entry["data_offsets"][1] for entry in entries.values()) > room - size:
            raise ValueError("it ends before its last tensor")
        for name, entry in entries.items():
            shape = entry["shape"]
            if not all(type(n) is int and n >= 0 for n in shape) or math.prod(shape) > 8 * room:
                raise ValueError(f"{name[:80]!r} has an impossible shape")
            if not isinstance(entry["dtype"], str):
                raise TypeError(f"{name[:80]!r} has no type")
        return entries
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise ModelLoadError(f"{path} is damaged or incomplete ({one_line(error)}).") from error
