"""Reads a GGUF's header without trusting it, and refuses what would crash or fool the loader.

Every count and length is checked before anything of that size is read, by plain reads (a file cut short
while mapped into memory would kill the process). Knows no llama.cpp; safe in the parent process.
"""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import ModelLoadError
from ...reasoning import TAGS
from .reader import Header, MalformedGGUFError, Tensor, read_header
from .types import BLOCKS, FILE_TYPES

MAX_BLOCKS = 1024
MAX_PARTS = 1024
_PART = re.compile(r"(.+)-00001-of-(\d{5})\.gguf", re.DOTALL)
_BLOCK = re.compile(r"blk\.(\d{1,4})\.")


@dataclass(frozen=True)
class Weights:
    """Bytes of the tensors: of each block, the token embedding, and what is left (output matrix, norms).

    `tied`: the file holds no output matrix of its own, the embedding serves as one.
    """

    blocks: tuple[int, ...]
    embedding: int
    rest: int
    tied: bool

    @property
    def total(self) -> int:
        return sum(self.blocks) + self.embedding + self.rest


@dataclass(frozen=True)
class GgufInfo:
    """What a file says of its model. Sizes in bytes, lengths in tokens, widths in numbers.

    Of a model in several files `path` is the first; all of them are counted.
    """

    path: Path
    architecture: str
    name: str
    n_params: int
    size_bytes: int
    file_type: str
    context_length: int
    block_count: int
    embedding_length: int
    feed_forward_length: int  # of the widest block
    head_count: int
    head_count_kv: tuple[int, ...]  # one per block
    key_length: int
    value_length: int
    n_vocab: int
    bos_token: str
    eos_token: str
    chat_template: str | None
    thought_tags: tuple[str, ...]  # those of R1's that are one token each
    weights: Weights

    def kv_bytes_per_token(self, bytes_per_value: float = 2.0) -> int:
        """Cache that one token takes in all blocks; a value takes 2 bytes in llama.cpp's default F16."""
        return int(sum(self.head_count_kv) * (self.key_length + self.value_length) * bytes_per_value)


def read_info(path: Path) -> GgufInfo:
    """What the GGUF at `path` holds. Raises ModelLoadError, in one line, for a file not fit to load."""
    path = Path(path)
    try:
        header = checked_header(path)
        if header.values.get("split.no", 0):
            raise MalformedGGUFError("this is a later part of a split model; name the first part")
        if header.values.get("general.type") == "adapter":
            raise MalformedGGUFError("this is an adapter, which is added to a model and is none itself")
        if not header.tensors:
            raise MalformedGGUFError("the file holds no weights")
        return _info(path, header, [header, *_later_headers(path, header)])
    except MalformedGGUFError as error:
        raise ModelLoadError(f"{path.name}: {error}") from error
    except OSError as error:
        raise ModelLoadError(f"{path}: {error.strerror or error}") from error


def read_parts(path: Path) -> list[Header]:
    """The headers of all files that the model at `path` has. Raises MalformedGGUFError, OSError."""
    header = checked_header(path)
    return [header, *_later_headers(path, header)]


def checked_header(path: Path) -> Header:
    """Of one file, its tensors within it. Raises MalformedGGUFError, OSError."""
    with path.open("rb") as file:
        header = read_header(file, path.stat().st_size)
    for tensor in header.tensors:
        check_tensor(tensor, header)
    return header


def _later_headers(path: Path, header: Header) -> Iterator[Header]:
    return map(checked_header, _later_parts(path, header))


def _later_parts(path: Path, header: Header) -> Iterator[Path]:
    """The other files of a model in several, as llama.cpp names and counts them."""
    n_parts = header.values.get("split.count", 0)
    if not _is_int(n_parts) or not 0 <= n_parts <= MAX_PARTS:
        raise MalformedGGUFError(f"split.count is {n_parts!r:.40}, not a number of 0 to {MAX_PARTS}")
    if n_parts < 2:
        return
    named = _PART.fullmatch(path.name)
    if named is None or int(named[2]) != n_parts:
        raise MalformedGGUFError(f"the first of {n_parts} parts must be named like model-00001-of-{n_parts:05}.gguf")
    for number in range(2, n_parts + 1):
        part = path.with_name(f"{named[1]}-{number:05}-of-{n_parts:05}.gguf")
        if not part.exists():
            raise MalformedGGUFError(f"part {number} of {n_parts}, {part.name}, is missing")
        yield part


def _info(path: Path, header: Header, parts: list[Header]) -> GgufInfo:
    arch = _text(header, "general.architecture")
    blocks = _count(header, f"{arch}.block_count", MAX_BLOCKS)
    width = _count(header, f"{arch}.embedding_length", 1 << 20)
    heads_by_block = _per_block(header, f"{arch}.attention.head_count", blocks)
    heads = max(heads_by_block)
    if heads == 0:
        raise MalformedGGUFError("no block has attention heads")
    heads_kv = heads_by_block
    if f"{arch}.attention.head_count_kv" in header.values:
        heads_kv = _per_block(header, f"{arch}.attention.head_count_kv", blocks)
    head_width = width // heads
    _check_rotation(header, arch, _count(header, f"{arch}.attention.key_length", 1 << 16, head_width))
    n_vocab = _vocabulary_size(header)
    return GgufInfo(
        path=path,
        architecture=arch,
        name=_optional_text(header, "general.name") or path.stem,
        n_params=sum(tensor.n_elements for part in parts for tensor in part.tensors),
        size_bytes=sum(part.file_size for part in parts),
        file_type=_file_type(header),
        context_length=_count(header, f"{arch}.context_length", 1 << 31),
        block_count=blocks,
        embedding_length=width,
        feed_forward_length=max(_optional_per_block(header, f"{arch}.feed_forward_length", blocks)),
        head_count=heads,
        head_count_kv=heads_kv,
        key_length=_count(header, f"{arch}.attention.key_length", 1 << 16, head_width),
        value_length=_count(header, f"{arch}.attention.value_length", 1 << 16, head_width),
        n_vocab=n_vocab,
        bos_token=_special_token(header, "bos", n_vocab),
        eos_token=_special_token(header, "eos", n_vocab),
        chat_template=_optional_text(header, "tokenizer.chat_template"),
        thought_tags=tuple(tag for tag in TAGS if tag in header.values["tokenizer.ggml.tokens"]),
        weights=_weights((tensor for part in parts for tensor in part.tensors), blocks),
    )


def _check_rotation(header: Header, arch: str, head_width: int) -> None:
    """And the other numbers that every layer computes with: llama.cpp ends the process over some."""
    for key, value in header.values.items():
        if key.startswith(f"{arch}.") and isinstance(value, float) and not 0 <= value < math.inf:
            raise MalformedGGUFError(f"{key} is {value}, not a number of 0 and up")
    rotated = header.values.get(f"{arch}.rope.dimension_count", 0)
    if not _is_int(rotated) or not 0 <= rotated <= head_width or rotated % 2:
        raise MalformedGGUFError(f"{arch}.rope.dimension_count is {rotated!r:.40}, and a head has {head_width} numbers")


def _weights(tensors: Iterable[Tensor], n_blocks: int) -> Weights:
    blocks, embedding, rest, tied = [0] * n_blocks, 0, 0, True
    for tensor in tensors:
        block = _BLOCK.match(tensor.name)
        if block and int(block[1]) < n_blocks:
            blocks[int(block[1])] += _n_bytes(tensor)
        elif tensor.name == "token_embd.weight":
            embedding = _n_bytes(tensor)
        else:
            rest += _n_bytes(tensor)
            tied = tied and tensor.name != "output.weight"
    return Weights(tuple(blocks), embedding, rest, tied)


def _n_bytes(tensor: Tensor) -> int:
    block, block_bytes = BLOCKS[tensor.type]
    return tensor.n_elements // block * block_bytes


def check_tensor(tensor: Tensor, header: Header) -> None:
    if tensor.type not in BLOCKS:
        raise MalformedGGUFError(f"tensor {tensor.name} has the unknown type {tensor.type}")
    if tensor.n_elements == 0 or tensor.dims[0] % BLOCKS[tensor.type][0]:
        raise MalformedGGUFError(f"tensor {tensor.name} has the impossible shape {list(tensor.dims)}")
    if tensor.offset % header.alignment:
        raise MalformedGGUFError(f"tensor {tensor.name} does not start at a multiple of {header.alignment}")
    if header.data_start + tensor.offset + _n_bytes(tensor) > header.file_size:
        raise MalformedGGUFError(f"tensor {tensor.name} reaches past the end; the file is damaged or incomplete")


def _text(header: Header, key: str) -> str:
    value = _optional_text(header, key)
    if not value:
        raise MalformedGGUFError(f"the header lacks {key}")
    return value


def _optional_text(header: Header, key: str) -> str | None:
    value = header.values.get(key)
    if value is not None and not isinstance(value, str):
        raise MalformedGGUFError(f"{key} should be text")
    return value


def _count(header: Header, key: str, most: int, default: int | None = None) -> int:
    value = header.values.get(key, default)
    if value is None:
        raise MalformedGGUFError(f"the header lacks {key}")
    if not _is_int(value) or not 1 <= value <= most:
        raise MalformedGGUFError(f"{key} is {value!r:.40}, not a number of 1 to {most}")
    return int(value)


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _per_block(header: Header, key: str, blocks: int, most: int = 1 << 16) -> tuple[int, ...]:
    value = header.values.get(key)
    if not isinstance(value, array):
        return (_count(header, key, most),) * blocks
    # Some architectures leave attention out of some blocks: 0 heads there.
    if len(value) != blocks or not all(_is_int(number) and 0 <= number <= most for number in value):
        raise MalformedGGUFError(f"{key} does not give {blocks} numbers of 0 to {most}")
    return tuple(value)


def _optional_per_block(header: Header, key: str, blocks: int) -> tuple[int, ...]:
    """Zeros where the header lacks the key."""
    return _per_block(header, key, blocks, 1 << 24) if key in header.values else (0,) * blocks


def _vocabulary_size(header: Header) -> int:
    tokens = header.values.get("tokenizer.ggml.tokens")
    if not isinstance(tokens, list) or not tokens:
        raise MalformedGGUFError("the file holds no vocabulary")
    # As llama.cpp takes them: up to a NUL, and the empty ones get names of its own.
    named = [name for token in tokens if (name := token.partition("\0")[0])]
    if len(set(named)) != len(named):
        # It ends the process over this one.
        raise MalformedGGUFError("the vocabulary names a token twice")
    for key, typecodes in (("token_type", "iI"), ("scores", "f")):
        values = header.values.get(f"tokenizer.ggml.{key}")
        if values is not None and (
            not isinstance(values, array) or values.typecode not in typecodes or len(values) != len(tokens)
        ):
            raise MalformedGGUFError(f"tokenizer.ggml.{key} does not fit the {len(tokens)} tokens")
    for kind in ("bos", "eos", "eot", "eom"):
        key = f"tokenizer.ggml.{kind}_token_id"
        token_id = header.values.get(key, 0)
        # llama.cpp only warns and takes another token; generation would then never end.
        if not _is_int(token_id) or not 0 <= token_id < len(tokens):
            raise MalformedGGUFError(f"{key} {token_id!r:.40} lies outside the vocabulary of {len(tokens)}")
    return len(tokens)


def _special_token(header: Header, kind: str, n_vocab: int) -> str:
    token_id = header.values.get(f"tokenizer.ggml.{kind}_token_id")
    return "" if token_id is None else str(header.values["tokenizer.ggml.tokens"][token_id])


def _file_type(header: Header) -> str:
    value = header.values.get("general.file_type")
    return FILE_TYPES.get(value, "unknown") if isinstance(value, int) else "unknown"
