"""r1chat quantize: a smaller file of a model that is here."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from ...serve.errors import ModelLoadError
from ..errors import UsageError
from ..terminal import printable
from .import_model import QUANTS


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "quantize",
        help="make a smaller file of a model",
        description="Stores a GGUF's weights with fewer bits. Best from f16, bf16 or q8_0: what a file has lost\n"
        "already does not come back.",
        epilog="examples:\n"
        "  r1chat quantize mine                           a model called mine-q4_k_m\n"
        "  r1chat quantize ./big.gguf --to q5_k_m --out ./small.gguf\n"
        "  r1chat quantize r1:1.5b:q8_0 --to q6_k --as r1-small",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("source", metavar="SOURCE", help="demo, a name that `r1chat list` shows, or a .gguf file")
    parser.add_argument(
        "--to", type=str.lower, choices=QUANTS, default="q4_k_m", help="how to store the weights (default: q4_k_m)"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--out", metavar="FILE", help="write this file")
    where.add_argument("--as", dest="name", metavar="NAME", help="what to call the new model (default: SOURCE-QUANT)")
    parser.add_argument("--force", action="store_true", help="replace what is there already")
    parser.add_argument("--json", action="store_true", help="print one object: path, bytes before and after, seconds")


def run(args: argparse.Namespace) -> int:
    """Quantises; sizes go to stdout, progress to stderr."""
    from ...serve.models.catalog import resolve
    from ...serve.models.gguf.info import read_info
    from ...serve.models.gguf.quantize import quantize
    from ..new_model import check_disk, whole_or_nothing
    from ..stages import stages

    entry, to = resolve(args.source), args.to.upper()
    if entry.engine != "llama":
        again = f"r1chat import {shlex.quote(str(entry.path))} --as NAME --quant {args.to}"
        raise UsageError(f"{entry.id} is a Hugging Face folder, not a GGUF. Try: {again}")
    if entry.adapter:
        again = f"r1chat quantize {shlex.quote(str(entry.path))} --to {args.to} --as NAME"
        raise UsageError(f"{entry.id} is an adapter, which stays as it is. What it is added to: {again}")
    info = read_info(entry.path)
    if info.file_type == to:
        raise UsageError(f"{entry.id} is stored as {args.to} already. Run it: r1chat run {shlex.quote(args.source)}")
    target = _target(args, entry.path)
    elsewhere = f"r1chat quantize {shlex.quote(args.source)} --to {args.to} --out /some/folder/model.gguf"
    check_disk(target.parent, _needed(entry.path, to), elsewhere)
    started = time.monotonic()
    with whole_or_nothing(target.parent), stages({"quantize": "quantising"}) as show:
        target.parent.mkdir(parents=True, exist_ok=True)
        threads = os.cpu_count() or 1
        quantize(entry.path, target, to, n_threads=threads, on_tensor=lambda i, n: show("quantize", i, n))
    told = {
        "path": str(target),
        "source": str(entry.path.resolve()),
        "from": info.file_type,
        "quant": to,
        "bytes_before": info.size_bytes,
        "bytes": target.stat().st_size,
        "seconds": round(time.monotonic() - started, 1),
    }
    _tell(args, target, told)
    return 0


def _target(args: argparse.Namespace, source: Path) -> Path:
    from ...serve.engine.model_file import SPLIT
    from ...serve.models.catalog import DEMO
    from ...serve.models.hub.ids import QUANT
    from ..new_model import new_path

    if args.out is None:
        whole = SPLIT.sub("", source.stem)
        stem = DEMO if args.source == DEMO else re.sub(rf"[-._]({QUANT.pattern})$", "", whole, flags=re.I)
        return new_path(args.name or f"{stem}-{args.to}", force=args.force)
    out = Path(os.path.expanduser(args.out))
    if os.path.isdir(out):
        raise UsageError(f"{args.out} is a folder. Name the file: --out {shlex.quote(str(out / 'model.gguf'))}")
    exists = os.path.exists(out)
    if exists and out.samefile(source):
        raise UsageError("The source cannot be written over while it is read. Choose another file: --out small.gguf")
    if exists and not args.force:
        raise UsageError(f"There is a file {args.out} already. To replace it, add: --force")
    return out


def _needed(source: Path, to: str) -> int:
    from ...serve.engine.model_file import parts_of
    from ...serve.models.gguf.quant_size import file_bytes
    from ...serve.models.gguf.reader import MalformedGGUFError, read_header

    shapes: dict[str, tuple[int, ...]] = {}
    for part in parts_of(source):
        try:
            with part.open("rb") as file:
                tensors = read_header(file, part.stat().st_size).tensors
        except MalformedGGUFError as error:
            raise ModelLoadError(f"{part.name}: {error}") from error
        shapes |= {tensor.name: tuple(reversed(tensor.dims)) for tensor in tensors}
    return file_bytes(shapes, to)


def _tell(args: argparse.Namespace, target: Path, told: dict[str, Any]) -> None:
    from ...serve.files import replace_file
    from ...serve.models.sizes import human

    if args.out is None:
        created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        card = {"name": target.stem, "created": created} | told
        with replace_file(target.with_suffix(".json")) as aside:
            aside.write_text(json.dumps(card, indent=1), encoding="utf-8")
    if args.json:
        print(json.dumps(told))
        return
    before, after = told["bytes_before"], told["bytes"]
    if after > before:
        print(f"note: {told['from']} had lost already what {told['quant']} has room for", file=sys.stderr)
    print(printable(str(target)))
    print(f"{human(before)} ({told['from']}) -> {human(after)} ({told['quant']}) in {told['seconds']:.0f} s")
    model = target.stem if args.out is None else str(target)
    print(printable(f"Try it: r1chat run {shlex.quote(model)} 'Hello'"))
