"""Reads a LoRA adapter's GGUF without trusting it, and refuses what does not fit its model, before any is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...errors import ModelLoadError
from .info import checked_header, read_parts
from .reader import Header, MalformedGGUFError, Tensor

_A, _B = ".lora_a", ".lora_b"


@dataclass(frozen=True)
class AdapterInfo:
    """What a file says of the adapter in it. `rank` is the widest; sizes in bytes."""

    path: Path
    architecture: str
    name: str
    rank: int
    n_params: int
    size_bytes: int


def read_adapter(path: Path, base: Path) -> AdapterInfo:
    """What the adapter at `path` holds, for the model at `base`. Raises ModelLoadError, in one line, for a file that
    is no sound LoRA, or one of another model.
    """
    try:
        header = checked_header(path)
        _check_kind(header)
        pairs = _pairs(header)
        _check_fits(header, pairs, read_parts(base), base.name)
    except MalformedGGUFError as error:
        raise ModelLoadError(f"{path.name}: {error}") from error
    except OSError as error:
        raise ModelLoadError(f"{error.filename}: {error.strerror or error}") from error
    return AdapterInfo(
        path=path,
        architecture=str(header.values["general.architecture"]),
        name=str(header.values.get("general.name") or path.stem),
        rank=max(a.dims[1] for a, _ in pairs.values()),
        n_params=sum(tensor.n_elements for tensor in header.tensors),
        size_bytes=header.file_size,
    )


def _check_kind(header: Header) -> None:
    kind, way = header.values.get("general.type"), header.values.get("adapter.type")
    if kind != "adapter" or way != "lora":
        raise MalformedGGUFError(f"this is no LoRA adapter (general.type {kind!r:.40}, adapter.type {way!r:.40})")
    alpha = header.values.get("adapter.lora.alpha")
    if type(alpha) is not float or not 0 <= alpha < 1e6:
        raise MalformedGGUFError(f"adapter.lora.alpha is {alpha!r:.40}, not a number of 0 and up")


def _pairs(header: Header) -> dict[str, tuple[Tensor, Tensor]]:
    """Name of a weight -> what is added to it."""
    tensors = {tensor.name: tensor for tensor in header.tensors}
    pairs = {}
    for name, a in tensors.items():
        if name.endswith(_A) and (b := tensors.get(name.removesuffix(_A) + _B)):
            pairs[name.removesuffix(_A)] = (a, b)
    if not pairs or 2 * len(pairs) != len(tensors):
        raise MalformedGGUFError(f"{len(tensors)} tensors do not make pairs of {_A} and {_B}")
    return pairs


def _check_fits(header: Header, pairs: dict[str, tuple[Tensor, Tensor]], model: list[Header], base: str) -> None:
    ours, theirs = (header.values.get("general.architecture"), model[0].values.get("general.architecture"))
    if ours != theirs:
        raise MalformedGGUFError(f"the adapter is for {ours!r:.40} models, and {base} is {theirs!r:.40}")
    weights = {tensor.name: tensor.dims for part in model for tensor in part.tensors}
    for name, (a, b) in pairs.items():
        if name not in weights:
            raise MalformedGGUFError(f"the adapter changes {name}, which {base} has not")
        width, height = weights[name][0], weights[name][-1]
        if len(a.dims) != 2 or len(b.dims) != 2 or a.dims[1] != b.dims[0] or (a.dims[0], b.dims[1]) != (width, height):
            raise MalformedGGUFError(f"the adapter's {name} does not fit that of {base}: it is of another model")
