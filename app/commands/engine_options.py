"""Options that say which engine runs a model and how much of the machine it takes, and what they come to."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..values import context, count, duration, size, whole

if TYPE_CHECKING:
    from ...serve.models.catalog import ModelEntry
    from ...serve.models.residents.manager import Limits
    from ...serve.models.specs import LoadOptions

MOST_PARALLEL = 128
KV_TYPES = ("f16", "q8_0", "q4_0")


def add_load_options(parser: argparse.ArgumentParser) -> None:
    """Those that `run` has, too."""
    load = parser.add_argument_group("how a model is loaded")
    load.add_argument("--ctx", type=context, metavar="TOKENS", help="context (default: up to 32768, what fits)")
    load.add_argument(
        "--kv-type",
        choices=KV_TYPES,
        help="how the prompt cache is stored: 8 bits take half the memory (default: f16; q8_0 where only that "
        "lets a context of 8192 fit, or any at all)",
    )
    load.add_argument(
        "--gpu-layers",
        type=whole(-1),
        metavar="N",
        help="layers on the graphics card, 0 for none, -1 for all (default: what fits)",
    )
    load.add_argument(
        "--engine",
        choices=["auto", "transformers"],
        default="auto",
        help="auto runs a GGUF on llama.cpp and a folder of safetensors on transformers; transformers takes the folder "
        "where a name has both; it needs: pip install 'r1chat[distill]'",
    )
    load.add_argument(
        "--quantize",
        choices=["nf4", "int8"],
        help="for the transformers engine: quantise weights with bitsandbytes while they are loaded",
    )


def add_model_limits(parser: argparse.ArgumentParser) -> None:
    """What all models of one server may take together."""
    limits = parser.add_argument_group("several models, loaded when a request names them")
    limits.add_argument(
        "--memory",
        type=room,
        metavar="SIZE",
        help="memory for all models together; the least recently used ones leave to make room (default: nine tenths "
        "of what is free at the start)",
    )
    limits.add_argument("--max-models", type=count, metavar="N", help="models loaded at once (default: by memory)")
    limits.add_argument(
        "--keep-alive",
        type=duration,
        metavar="TIME",
        help="how long an idle model stays: 90s, 30m, 2h, or forever (default: 5m for models that requests loaded, "
        "forever for --model)",
    )


def model_limits(args: argparse.Namespace) -> Limits:
    from ...serve.models.residents.manager import Limits

    return Limits(memory_bytes=args.memory, max_models=args.max_models, keep_alive_s=args.keep_alive)


def entry_of(args: argparse.Namespace, *, progress: bool = True) -> ModelEntry:
    """The model that was named, for the engine that was named. Raises ModelNotFoundError, UsageError."""
    from ...serve.models.catalog import folder_name, resolve

    entry = resolve(folder_name(args.model) if args.engine == "transformers" else args.model, progress=progress)
    if args.engine == "transformers" and entry.engine != "transformers":
        raise UsageError(
            f"{args.model} is a GGUF, and the transformers engine runs folders of safetensors. "
            f"Leave --engine out: r1chat run {args.model}"
        )
    return entry


def load_options(args: argparse.Namespace, **engine: Any) -> LoadOptions:
    """`engine`: further fields of EngineConfig."""
    from ...serve.engine.config import EngineConfig
    from ...serve.models.specs import LoadOptions

    return LoadOptions(
        engine=EngineConfig(n_ctx=args.ctx, n_gpu_layers=args.gpu_layers, **engine),
        kv_type=args.kv_type,
        quantization=args.quantize or "none",
    )


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    engine = parser.add_argument_group("how much of the machine the engine takes")
    engine.add_argument(
        "--threads",
        type=count,
        metavar="N",
        help="threads that compute (default: one per physical core, fewer for models below 32 million weights a core)",
    )
    engine.add_argument(
        "--parallel",
        type=whole(1, MOST_PARALLEL),
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
        help="keep the conversations with --model on disk when the server stops, so that they are at hand when it "
        "starts again",
    )
    engine.add_argument(
        "--no-speculate",
        action="store_true",
        help="do not guess tokens from a request's own text; replies are the same, copied text comes slower",
    )


def server_load_options(args: argparse.Namespace) -> LoadOptions:
    """With the options of add_engine_options. Raises UsageError where two of them contradict each other."""
    if args.keep_cache and args.host_cache == 0:
        raise UsageError(
            "--keep-cache keeps what is in the host cache, and --host-cache 0 turns that off. "
            "Use: r1chat serve --keep-cache"
        )
    return load_options(
        args,
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


def room(text: str) -> int:
    """Bytes for models."""
    n_bytes = size(text)
    if not n_bytes:
        raise argparse.ArgumentTypeError(f"{text} holds no model; leave it out for what is free")
    return n_bytes
