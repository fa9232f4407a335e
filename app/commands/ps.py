"""r1chat ps: which models a running server has loaded, and what they take."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from typing import Any

from ..errors import CommandError, UsageError
from ..terminal import print_table, printable

URL = "http://127.0.0.1:8000"
HEAD = ("MODEL", "STATE", "ENGINE", "SIZE", "MEMORY", "CONTEXT", "REQUESTS", "IDLE", "UNTIL")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "ps",
        help="list the models that a running server has loaded",
        description="Asks a running server which models it has loaded, what each of them takes, and when it leaves.",
        epilog="examples:\n"
        "  r1chat ps\n"
        "  r1chat ps --url http://192.168.1.20:9000      with the key in R1CHAT_API_KEY\n"
        "  r1chat ps --json | jq '.[] | select(.state == \"failed\") | .error'",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--url", default=URL, help=f"where the server answers (default: {URL})")
    parser.add_argument("--json", action="store_true", help="print an array: id, state, engine, bytes, requests ...")
    parser.set_defaults(api_key=None)  # from the environment alone: an argument shows in every list of processes


def run(args: argparse.Namespace) -> int:
    if not args.url.startswith(("http://", "https://")):
        raise UsageError(f"{args.url} is no address of a server. Use: r1chat ps --url {URL}")
    models, memory = asyncio.run(_asked(args.url, next(iter(args.api_key), None)))
    if args.json:
        print(json.dumps(models))
        return 0
    print_table([HEAD, *(_row(model) for model in models)])
    for model in models:
        if model["error"]:
            print(printable(f"{model['id']} failed: {model['error']}"), file=sys.stderr)
    if memory:
        print(_summary(memory), file=sys.stderr)
    return 0


async def _asked(url: str, api_key: str | None) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """The models that are there or failed to come, and the server's memory, unless its models are elsewhere."""
    from ...serve.client import ApiError, Client, ServerUnreachableError
    from ...serve.errors import InvalidRequestError

    try:
        async with Client(url, api_key=api_key, timeout=30) as client:
            cards = await client.models()
            try:
                memory = await client.memory()
            except ApiError as error:
                if error.code != "not_supported":
                    raise
                memory = None
        held = {model["id"]: model for model in memory["models"]} if memory else {}
        return [_joined(card, held.get(card["id"])) for card in cards if card.get("state") != "unloaded"], memory
    except InvalidRequestError as error:
        raise UsageError(f"{error} Use: r1chat ps --url {URL}") from error
    except ServerUnreachableError as error:
        raise CommandError(f"No server answers at {url}. Start one: r1chat serve") from error
    except (ApiError, AttributeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, ApiError) and error.status in (401, 403):
            raise CommandError(f"{url} wants its key. Give it: R1CHAT_API_KEY=... r1chat ps --url {url}") from error
        raise CommandError(f"What answers at {url} is no r1chat server. Start one: r1chat serve") from error


def _joined(card: dict[str, Any], held: dict[str, Any] | None) -> dict[str, Any]:
    measured = (held or {}).get("measured") or {}
    held = held or dict.fromkeys(("n_ctx", "requests", "idle_s", "expires_in_s", "reserved"))
    return {
        "id": card["id"],
        "state": card.get("state"),
        "error": card.get("error"),
        "engine": (card.get("capabilities") or {}).get("engine"),
        "size_bytes": card.get("size_bytes"),
        "memory_bytes": measured.get("pss") or measured.get("rss"),
        "reserved_bytes": held["reserved"],
        "n_ctx": held["n_ctx"] or (card.get("meta") or {}).get("n_ctx"),
        "requests": held["requests"],
        "idle_s": held["idle_s"],
        "expires_in_s": held["expires_in_s"],
    }


def _row(model: dict[str, Any]) -> tuple[str, ...]:
    is_here = model["idle_s"] is not None
    until = "-" if not is_here or model["requests"] else _span(model["expires_in_s"], none="forever")
    return (
        model["id"],
        model["state"] or "-",
        model["engine"] or "-",
        _size(model["size_bytes"]),
        _size(model["memory_bytes"]),
        str(model["n_ctx"] or "-"),
        str(model["requests"]) if is_here else "-",
        "-" if not is_here or model["requests"] else _span(model["idle_s"]),
        until,
    )


def _size(n_bytes: int | None) -> str:
    from ...serve.models.sizes import human

    return human(n_bytes) if n_bytes else "-"


def _span(seconds: float | None, none: str = "-") -> str:
    """A time for a person: 12 s, 4 min, 2.5 h."""
    if seconds is None:
        return none
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _summary(memory: dict[str, Any]) -> str:
    budget, machine = memory["budget"], memory["machine"]
    return (
        f"{_size(budget['used'])} of {_size(budget['bytes'])} for models are set aside; "
        f"{_size(machine['ram_available'])} of {_size(machine['ram_total'])} memory are free"
    )
