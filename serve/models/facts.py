"""What a model's files say of it before it is loaded, read once for as long as they stay the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from ..engine.config import KvType
from ..errors import ModelLoadError
from .catalog import read_json
from .fit.memory import cache_bytes
from .gguf.info import read_info

# So many models are remembered.
MAX_FACTS = 1000


@dataclass(frozen=True)
class ModelFacts:
    """`context_length` in tokens is what the model was trained for; `n_params` None: not told."""

    context_length: int
    kv_bytes_per_token: int
    chat_template: str | None
    n_params: int | None = None


class FactsReader:
    """Reading a header takes a quarter of a second, for its vocabulary. May be called on any thread."""

    def __init__(self) -> None:
        self._known: dict[tuple[Path, int, int, KvType], ModelFacts | None] = {}
        self._lock = Lock()

    def of(self, path: Path, kv_type: KvType = "f16") -> ModelFacts | None:
        """None for files that cannot be loaded, or that say nothing."""
        try:
            told = (path / "config.json" if path.is_dir() else path).stat()
        except OSError:
            return None
        key = (path, told.st_mtime_ns, told.st_size, kv_type)
        with self._lock:
            if key not in self._known:
                if len(self._known) >= MAX_FACTS:
                    self._known.clear()
                self._known[key] = _of_folder(path) if path.is_dir() else _of_gguf(path, kv_type)
            return self._known[key]


def _of_gguf(path: Path, kv_type: KvType) -> ModelFacts | None:
    try:
        info = read_info(path)
        return ModelFacts(info.context_length, cache_bytes(info, 1, kv_type), info.chat_template, info.n_params)
    except (ModelLoadError, ValueError):
        return None


def _of_folder(path: Path) -> ModelFacts | None:
    """A transformers model; its cache is in 16 bits."""
    config = read_json(path / "config.json")
    # what is no number there is none here, and the listing of all other models goes on
    numbers = {name: value for name, value in config.items() if type(value) is int and value > 0}
    try:
        heads = numbers["num_attention_heads"]
        head_size = numbers.get("head_dim") or numbers["hidden_size"] // heads
        values = 2 * numbers["num_hidden_layers"] * numbers.get("num_key_value_heads", heads) * head_size
        return ModelFacts(numbers["max_position_embeddings"], 2 * values, _template(path))
    except KeyError:
        return None


def _template(path: Path) -> str | None:
    try:
        return (path / "chat_template.jinja").read_text(encoding="utf-8")
    except (OSError, ValueError):
        template = read_json(path / "tokenizer_config.json").get("chat_template")
        return template if isinstance(template, str) else None
