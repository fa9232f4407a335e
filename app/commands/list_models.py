"""r1chat list: the models on this machine."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..terminal import print_table, printable

if TYPE_CHECKING:
    from ...serve.models.catalog import LocalModel


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "list",
        aliases=["ls"],
        help="list the models on this machine",
        description="Lists the models that could be served now: the bundled one, your students, and the hub's.",
        epilog="examples:\n  r1chat list\n  r1chat list --json | jq -r '.[].id'\n\n"
        "To fetch more: r1chat pull r1:1.5b. To make room: r1chat rm MODEL\n"
        "The hub's lie in HF_HOME, students in R1CHAT_MODELS (default: models in your data folder).",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(command="list")
    parser.add_argument("--json", action="store_true", help="print an array: id, aliases, files, bytes, quant ...")


def run(args: argparse.Namespace) -> int:
    from ...serve.models.catalog import local_models
    from ...serve.models.hub.cache import unfinished
    from ...serve.models.sizes import human

    models = local_models()
    if args.json:
        print(json.dumps([as_json(model) for model in models]))
    else:
        print_table([("MODEL", "SIZE", "QUANT", "SOURCE", "MODIFIED"), *(_row(model) for model in models)])
        if len(models) == 1:
            print("To fetch a larger one, of 1.1 GB: r1chat pull r1:1.5b", file=sys.stderr)
        for repo, size in unfinished():
            line = f"{human(size)} of {repo} wait for their pull to go on. To free them: r1chat rm {repo}"
            print(printable(line), file=sys.stderr)
    return 0


def as_json(model: LocalModel) -> dict[str, Any]:
    adapter = {"adapter": str(model.entry.adapter)} if model.entry.adapter else {}
    return {
        "id": model.id,
        "aliases": list(model.entry.aliases),
        "path": str(model.entry.path),
        **adapter,
        "files": [str(path) for path in model.paths],
        "bytes": model.size_bytes,
        "quant": model.quant,
        "engine": model.entry.engine,
        "source": model.source,
        "modified": int(model.modified),
    }


def _row(model: LocalModel) -> tuple[str, ...]:
    from ...serve.models.sizes import human

    day = datetime.fromtimestamp(model.modified).strftime("%Y-%m-%d %H:%M")
    source = "adapter" if model.entry.adapter else model.source
    return (model.id, human(model.size_bytes), model.quant or "-", source, day)
