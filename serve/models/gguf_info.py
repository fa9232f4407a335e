"""Reads a GGUF's header without trusting it, and refuses what would crash or fool the loader.

Every count and length is checked before anything of that size is read, by plain reads (a file cut short
while mapped into memory would kill the process). Knows no llama.cpp; safe in the parent process.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ModelLoadError
from .gguf_reader import Header, MalformedGGUFError, Tensor, read_header
from .gguf_types import BLOCKS, FILE_TYPES

MAX_BLOCKS = 1024


@dataclass(frozen=True)
class GgufInfo:
    """What a file says of its model. Sizes in bytes, lengths in tokens, widths in numbers."""

    path: Path
    architecture: str
    name: str
    n_params: int
    size_bytes: int
    file_type: str
    context_length: int
    block_count: int
    embedding_length: int
    head_count: int
    head_count_kv: tuple[int, ...]  # one per block
    key_length: int
    value_length: int
    n_vocab: int
    bos_token: str
    eos_token: str
    chat_template: str | None

    def kv_bytes_per_token(self, bytes_per_value: float = 2.0) -> int:
        """Cache that one token takes in all blocks; a value takes 2 bytes in llama.cpp's default F16."""
        return int(sum(self.head_count_kv) * (self.key_length + self.value_length) * bytes_per_value)


def read_info(path: Path) -> GgufInfo:
    """What the GGUF at `path` holds. Raises ModelLoadError, in one line, for a file not fit to load."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            header = read_header(file, path.stat().st_size)
        _check_tensors(header)
        return _info(path, header)
    except MalformedGGUFError as error:
        raise ModelLoadError(f"{path.name}: {error}") from error
    except OSError as error:
        raise ModelLoadError(f"{path}: {error.strerror or error}") from error


def _info(path: Path, header: Header) -> GgufInfo:
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
    n_vocab = _vocabulary_size(header)
    return GgufInfo(
        path=path,
        architecture=arch,
        name=_optional_text(header, "general.name") or path.stem,
        n_params=sum(tensor.n_elements for tensor in header.tensors),
        size_bytes=header.file_size,
        file_type=_file_type(header),
        context_length=_count(header, f"{arch}.context_length", 1 << 31),
        block_count=blocks,
        embedding_length=width,
        head_count=heads,
        head_count_kv=heads_kv,
        key_length=_count(header, f"{arch}.attention.key_length", 1 << 16, head_width),
        value_length=_count(header, f"{arch}.attention.value_length", 1 << 16, head_width),
        n_vocab=n_vocab,
        bos_token=_special_token(header, "bos", n_vocab),
        eos_token=_special_token(header, "eos", n_vocab),
        chat_template=_optional_text(header, "tokenizer.chat_template"),
    )


def _check_tensors(header: Header) -> None:
    if header.values.get("split.no", 0):
        raise MalformedGGUFError("this is a later part of a split model; name the first part")
    if not header.tensors:
        raise MalformedGGUFError("the file holds no weights")
    for tensor in header.tensors:
        _check_tensor(tensor, header)


def _check_tensor(tensor: Tensor, header: Header) -> None:
    if tensor.type not in BLOCKS:
        raise MalformedGGUFError(f"tensor {tensor.name} has the unknown type {tensor.type}")
    block, block_bytes = BLOCKS[tensor.type]
    if tensor.n_elements == 0 or tensor.dims[0] % block:
        raise MalformedGGUFError(f"tensor {tensor.name} has the impossible shape {list(tensor.dims)}")
    if tensor.offset % header.alignment:
        raise MalformedGGUFError(f"tensor {tensor.name} does not start at a multiple of {header.alignment}")
    if header.data_start + tensor.offset + tensor.n_elements // block * block_bytes > header.file_size:
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


def _per_block(header: Header, key: str, blocks: int) -> tuple[int, ...]:
    value = header.values.get(key)
    if not isinstance(value, array):
        return (_count(header, key, 1 << 16),) * blocks
    # Some architectures leave attention out of some blocks: 0 heads there.
    if len(value) != blocks or not all(_is_int(heads) and 0 <= heads <= 1 << 16 for heads in value):
        raise MalformedGGUFError(f"{key} does not give {blocks} numbers of heads")
    return tuple(value)


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
