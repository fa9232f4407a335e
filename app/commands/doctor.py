"""r1chat doctor: whether everything works here, and what to type where it does not."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ...serve.errors import ModelNotFoundError
from ..errors import CommandError, Status
from ..folders import CONVERSATIONS, data_folder
from ..parser import Parser
from ..terminal import printable
from ..values import context, whole
from .engine_options import KV_TYPES

if TYPE_CHECKING:
    from ...serve.models.catalog import ModelEntry
    from ...serve.models.fit.measured import Measured
    from ..health import Check

MARKS = {"ok": "ok  ", "note": "note", "broken": "BAD "}


def add_parser(subparsers: argparse._SubParsersAction[Parser]) -> None:
    parser = subparsers.add_parser(
        "doctor",
        help="check llama.cpp, memory, disk, port and a model, and say what to install",
        description="Checks llama.cpp and its devices, memory, disk, folders, the port, the conversations kept here,\n"
        "and one model: its file, its template and tags, 16 tokens written by it. Downloads nothing.",
        epilog="examples:\n"
        "  r1chat doctor\n"
        "  r1chat doctor r1:1.5b\n"
        "  r1chat doctor --json | jq .ok\n"
        "  r1chat doctor r1:7b --measure          estimated memory against measured\n"
        "  r1chat doctor --mend                   a damaged conversation file: save what can be read of it\n\n"
        "exit status: 0 all is well, 1 something is broken; with --measure 3 where the model is not here",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "model", metavar="MODEL", nargs="?", default="demo", help="a model that is here (default: demo)"
    )
    parser.add_argument(
        "--port",
        type=whole(1, 65535),
        default=8000,
        metavar="PORT",
        help="port to look at (default: 8000)",
    )
    parser.add_argument("--json", action="store_true", help="print one object")
    parser.add_argument(
        "--data", metavar="FOLDER", help="whose conversations to look at (default: $R1CHAT_DATA, or yours)"
    )
    parser.add_argument(
        "--mend",
        action="store_true",
        help="save what can be read of a damaged conversation file into a new one; the old one is kept beside it",
    )
    parser.add_argument(
        "--measure", action="store_true", help="load the model twice and set its memory against what was estimated"
    )
    parser.add_argument(
        "--kv-type", choices=KV_TYPES, default=KV_TYPES[0], help="with --measure: how the cache is stored"
    )
    parser.add_argument(
        "--ctx",
        type=context,
        action="append",
        metavar="TOKENS",
        help="with --measure: a context to load it with; may be repeated (default: 4096 and 32768)",
    )


def run(args: argparse.Namespace) -> int:
    """0: nothing is broken; a note is no fault."""
    if args.measure:
        return _measure(_llama_entry(_entry(args.model), args.model), args)
    if args.mend:
        from ..conversation_health import mended

        text = mended(data_folder(args) / CONVERSATIONS)
        print(json.dumps({"ok": True, "text": text}) if args.json else printable(text))
        return 0
    checks = _checks(args)
    is_well = all(check.state != "broken" for check in checks)
    if args.json:
        print(json.dumps({"ok": is_well, "checks": [asdict(check) for check in checks]}))
    else:
        _print(checks)
        print("All is well." if is_well else "Something is broken: it is marked BAD above.")
    return 0 if is_well else 1


def _entry(name: str) -> ModelEntry | None:
    """A model that is here, by its name or its path; nothing is fetched."""
    from ...serve.models.catalog import find_local, resolve

    return resolve(name) if name and os.path.exists(os.path.expanduser(name)) else find_local(name)


def _checks(args: argparse.Namespace) -> list[Check]:
    from ..conversation_health import conversation_check
    from ..health import Check, machine_checks

    checks = [*machine_checks(args.port), conversation_check(data_folder(args) / CONVERSATIONS)]
    try:
        entry = _entry(args.model)
    except ModelNotFoundError as error:
        return [*checks, Check("model", "broken", str(error))]
    if entry is None:
        return [*checks, Check("model", "broken", f"{args.model} is not here", _how_to_get(args.model))]
    from ..model_health import model_checks

    return [*checks, *model_checks(entry)]


def _llama_entry(entry: ModelEntry | None, name: str) -> ModelEntry:
    if entry is None:
        raise CommandError(f"{name} is not here. Try: {_how_to_get(name)}", Status.NO_MODEL)
    if entry.engine != "llama" or entry.adapter:
        what = "an adapter" if entry.adapter else "no GGUF"
        raise CommandError(
            f"{entry.id} is {what}, and memory is estimated of whole GGUFs. Try: r1chat list", Status.NO_MODEL
        )
    return entry


def _how_to_get(name: str) -> str:
    from ...serve.models.catalog import hub_id

    return f"r1chat pull {shlex.quote(name)}" if hub_id(name) else "r1chat list"


def _print(checks: list[Check]) -> None:
    width = max(len(check.name) for check in checks)
    for check in checks:
        print(printable(f"{MARKS[check.state]}  {check.name.ljust(width)}  {check.text}"))
        if check.help:
            print(printable(f"{''.ljust(width + 8)}{check.help}"))
        for card, command in check.data.get("commands", {}).items():
            print(f"{''.ljust(width + 8)}{card.ljust(6)}  {command}")


def _measure(entry: ModelEntry, args: argparse.Namespace) -> int:
    """1: an estimate is further off than it may be, or nothing could be measured."""
    from ...serve.models.fit.measured import TOLERANCE, measure
    from ...serve.models.gguf.info import read_info

    info = read_info(entry.path)
    contexts = (
        args.ctx or [length for length in (4096, 32_768) if length <= info.context_length] or [info.context_length]
    )
    results = [asyncio.run(measure(entry.path, n_ctx=n_ctx, kv_type=args.kv_type)) for n_ctx in contexts]
    is_near = all(result.error is not None and abs(result.error) <= TOLERANCE for result in results)
    if args.json:
        print(
            json.dumps({"model": entry.id, "within": TOLERANCE, "ok": is_near, "results": list(map(_as_json, results))})
        )
    else:
        print(printable(f"{info.name}: {info.n_params / 1e6:,.0f} million parameters, {info.file_type}"))
        print("context   cache   weights     cache   computing  process   estimated   resident   difference")
        for result in results:
            print(_row(result))
        print(f"at most {TOLERANCE:.0%} apart: {'yes' if is_near else 'no'}")
    return 0 if is_near else 1


def _as_json(result: Measured) -> dict[str, Any]:
    return {**asdict(result), "total": result.estimate.total, "error": result.error}


def _row(result: Measured) -> str:
    needs, mb = result.estimate, 1e6
    resident = f"{result.resident / mb:,.0f} MB" if result.resident else "unknown"
    error = f"{result.error:+.1%}" if result.error is not None else "-"
    return (
        f"{result.n_ctx:>7}   {result.kv_type:<5}   {needs.weights / mb:>7,.0f}   {needs.kv / mb:>7,.0f}"
        f"   {needs.compute / mb:>9,.0f}  {needs.overhead / mb:>7,.0f}   {needs.total / mb:>6,.0f} MB"
        f"   {resident:>8}   {error:>10}"
    )
