"""Which file a benchmark runs on: a model of the user's, or random weights of an exact shape."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..errors import CommandError, UsageError

SHAPES = ("qwen2-0.5b", "qwen2-1.5b", "qwen2-7b", "llama-8b")
QUANTS = ("Q4_K_M", "Q4_0", "Q8_0", "F16")


def add_model_options(parser: argparse.ArgumentParser) -> None:
    model = parser.add_mutually_exclusive_group()
    model.add_argument("--model", metavar="MODEL", help="demo, a .gguf file, or user/repo:QUANT")
    model.add_argument(
        "--shape",
        choices=SHAPES,
        default=SHAPES[0],
        help=f"without --model: random weights of this exact shape, made on first use (default: {SHAPES[0]})",
    )
    parser.add_argument("--quant", choices=QUANTS, default=QUANTS[0], help=f"with --shape (default: {QUANTS[0]})")


def resolve_model(args: argparse.Namespace) -> Path:
    """The file; random weights are made where they are not there yet.

    Raises ModelNotFoundError, ModelLoadError, and UsageError for a model that is no single file.
    """
    if args.model is not None:
        from ...serve.models.catalog import resolve
        from ...serve.models.gguf.info import read_info

        entry = resolve(args.model)
        if entry.engine != "llama" or entry.adapter:
            what = "an adapter" if entry.adapter else "a folder"
            raise UsageError(f"{entry.id} is {what}, and this measures GGUF files. See what there is: r1chat list")
        read_info(entry.path)  # a damaged file is told now
        return entry.path
    from huggingface_hub import cached_assets_path

    from ...serve.models.gguf.shapes import cached_random_gguf

    print(
        f"Random weights in the shape of {args.shape} {args.quant}; the first time they take minutes to make.",
        file=sys.stderr,
    )
    return cached_random_gguf(args.shape, cached_assets_path("r1chat", namespace="bench"), args.quant)


def write_chart(path: Path, svg: str) -> None:
    """Comes last, when the figures are printed. Raises CommandError."""
    try:
        path.write_text(svg, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}. Name another: --chart FILE") from error
