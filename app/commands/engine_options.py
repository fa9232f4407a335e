"""Options of `chat` and `serve` that say how much of the machine the engine takes, and the config they make."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError

if TYPE_CHECKING:
    from ...serve.engine.config import EngineConfig

UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
MOST_PARALLEL = 128


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    engine = parser.add_argument_group("how much of the machine the engine takes")
    engine.add_argument("--ctx", type=context, metavar="TOKENS", help="context (default: the model's, up to 8192)")
    engine.add_argument("--threads", type=count, metavar="N", help="threads that compute (default: one per core)")
    engine.add_argument(
        "--parallel",
        type=parallel,
        default=16,
        metavar="N",
        help="requests computed at once; more than that wait their turn (default: 16)",
    )
    engine.add_argument(
        "--kv-tokens",
        type=context,
        metavar="N",
        help="tokens that the prompt cache holds, running and idle conversations together (default: by memory)",
    )
    engine.add_argument(
        "--host-cache",
        type=size,
        metavar="SIZE",
        help="memory for conversations that had to leave the prompt cache, such as 512M or 2G: coming back takes "
        "milliseconds instead of computing them again; 0 turns it off (default: an eighth of the free memory)",
    )
    engine.add_argument(
        "--keep-cache",
        action="store_true",
        help="keep conversations on disk when the server stops, so that they are at hand when it starts again",
    )
    engine.add_argument(
        "--no-speculate",
        action="store_true",
        help="do not guess tokens from a request's own text; replies are the same, copied text comes slower",
    )


def engine_config(args: argparse.Namespace, model_path: Path) -> EngineConfig:
    """Raises UsageError where two options contradict each other."""
    from ...serve.engine.config import EngineConfig

    if args.keep_cache and args.host_cache == 0:
        raise UsageError(
            "--keep-cache keeps what is in the host cache, and --host-cache 0 turns that off. "
            "Use: r1chat serve --keep-cache"
        )
    return EngineConfig(
        model_path=model_path,
        n_ctx=args.ctx,
        n_seq_max=args.parallel,
        n_cells=args.kv_tokens,
        host_cache_bytes=args.host_cache,
        cache_folder=_cache_folder() if args.keep_cache else None,
        speculate=not args.no_speculate,
        n_threads=args.threads,
    )


def _cache_folder() -> Path:
    import platformdirs

    return platformdirs.user_cache_path("r1chat") / "prompts"


def context(text: str) -> int:
    """A context length in tokens."""
    tokens = int(text)
    if tokens < 64:
        raise argparse.ArgumentTypeError(f"{tokens} tokens hold no conversation; 64 is the least")
    return tokens


def count(text: str) -> int:
    """A whole number from 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is too few; 1 is the least")
    return number


def parallel(text: str) -> int:
    """How many requests may compute at once."""
    number = count(text)
    if number > MOST_PARALLEL:
        raise argparse.ArgumentTypeError(f"{number} is too many; {MOST_PARALLEL} is the most")
    return number


def size(text: str) -> int:
    """Bytes: 0, 512M, 1.5G; the units are powers of 1024."""
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)([KMGT]?)(?:I?B)?", text.upper())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; sizes are 0, 512M or 1.5G")
    return int(float(match[1]) * UNITS[match[2]])
