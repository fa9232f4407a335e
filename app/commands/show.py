"""r1chat show: what is known of a model, here or not."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ...serve.errors import ModelNotFoundError, R1ChatError
from ..terminal import print_table, printable
from .list_models import as_json

if TYPE_CHECKING:
    from ...serve.models.catalog import LocalModel
    from ...serve.models.gguf.info import GgufInfo
    from ...serve.models.hub.ids import HubId
    from ...serve.models.r1_models import R1Model

# Tokens; room for R1's longest thoughts.
LONG = 32768


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "show",
        help="tell what is known of a model, or of all R1 models: sizes, licence, context, scores",
        description="Tells what is known of a model: of one that is here from its file, of r1:7b and its like\n"
        "from the catalogue, of any other from the hub. Without a name: the catalogue, beside this machine's memory.",
        epilog="examples:\n  r1chat show\n  r1chat show demo\n  r1chat show r1:7b          before you fetch it\n"
        "  r1chat show user/repo      which quantisations the hub has",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "model", metavar="MODEL", nargs="?", help="demo, r1:7b, user/repo:QUANT, a student, or a .gguf file"
    )
    parser.add_argument("--json", action="store_true", help="print one object")


def run(args: argparse.Namespace) -> int:
    if args.model is None:
        return _show_catalogue(in_json=args.json)
    told = _tell(args.model)
    if args.json:
        print(json.dumps(told))
        return 0
    width = max(len(key) for key in told) + 2
    for key, value in told.items():
        if key == "path" and value in told["files"]:
            continue
        head = key.replace("_", " ").ljust(width)
        # A second file stands under the first.
        print(printable(head + _text(key, value).replace("\n", "\n" + " " * width)))
    return 0


def _show_catalogue(*, in_json: bool) -> int:
    """Every R1 model in its usual quantisation; what it takes is for its longest thoughts."""
    from ...serve.engine.host_memory import available_memory
    from ...serve.models.hub.variants import DEFAULT_QUANT
    from ...serve.models.r1_models import R1_MODELS
    from ...serve.models.sizes import human

    if in_json:
        print(json.dumps([{"id": name, **_of_catalogue(model)} for name, model in R1_MODELS.items()]))
        return 0
    rows = [("MODEL", "PARAMETERS", f"{DEFAULT_QUANT} FILE", "MEMORY AT 32K", *next(iter(R1_MODELS.values())).scores)]
    for name, model in R1_MODELS.items():
        size = model.sizes[DEFAULT_QUANT]
        scores = (str(model.scores.get(test, "-")) for test in rows[0][4:])
        rows.append((name, model.parameters, human(size), human(size + LONG * model.kv_bytes_per_token), *scores))
    print_table(rows)
    print(f"{human(available_memory())} of memory are free here. Fetch one: r1chat pull r1:1.5b", file=sys.stderr)
    return 0


def _tell(name: str) -> dict[str, Any]:
    """All that is known, in the order to show it. Raises ModelNotFoundError."""
    from ...serve.models import catalog, r1_models

    wanted = catalog.hub_id(name)
    listed = r1_models.R1_MODELS.get(r1_models.alias_of(wanted.repo) or "") if wanted else None
    model = catalog.local_model(name)
    if model is not None:
        told = _of_files(model)
        # The file knows better than the catalogue.
        return told | {
            key: value for key, value in (_of_catalogue(listed) if listed else {}).items() if key not in told
        }
    if listed:
        return {"id": name, "here": False, **_of_catalogue(listed), "fetch": f"r1chat pull {name}"}
    if wanted is None:
        raise ModelNotFoundError(f"There is no model called {name!r} here. See what there is: r1chat list")
    return _of_hub(wanted)


def _of_files(model: LocalModel) -> dict[str, Any]:
    from ...serve.models.catalog import read_card
    from ...serve.models.specs import info_of

    card = read_card(model.entry.own_path) or {}
    origin = {"made_from": card.get("base"), "teacher": card.get("teacher"), "licence": card.get("licence")}
    told = {"id": model.id, "here": True, **as_json(model), **{key: value for key, value in origin.items() if value}}
    if model.entry.engine == "llama":
        info = info_of(model.entry)
        told |= {
            "architecture": info.architecture,
            "name": info.name,
            "parameters": info.n_params,
            "quant": model.quant or info.file_type,
            "context": info.context_length,
            "kv_bytes_per_token": info.kv_bytes_per_token(),
            "thinks": "think" in (info.chat_template or ""),
            "fits": _fit(info),
        }
    return told


def _fit(info: GgufInfo) -> str:
    """What it would take on this machine, and with which context, or why it does not fit."""
    from ...serve.models.fit.machine import look
    from ...serve.models.fit.plan import plan

    try:
        return plan(info, look()).sentence
    except R1ChatError as error:
        return str(error)


def _of_catalogue(model: R1Model) -> dict[str, Any]:
    return {
        "repo": model.repo,
        "made_from": model.original,
        "licence": model.licence,
        "context": model.n_ctx,
        "kv_bytes_per_token": model.kv_bytes_per_token,
        "sizes": dict(model.sizes),
        "memory_at_32k": {quant: size + LONG * model.kv_bytes_per_token for quant, size in model.sizes.items()},
        "scores": dict(model.scores),
        "scores_from": model.scores_from,
        "defaults": {"temperature": model.temperature, "top_p": model.top_p, "max_tokens": model.max_tokens},
    }


def _of_hub(wanted: HubId) -> dict[str, Any]:
    """What the hub has, for a model that is not here."""
    from ...serve.models.hub.downloads import available
    from ...serve.models.hub.variants import pick

    commit, found = available(wanted)
    told: dict[str, Any] = {"id": str(wanted), "here": False, "repo": wanted.repo, "revision": commit}
    told["sizes"] = {variant.label: variant.size for variant in found}
    chosen = pick(found, wanted.quant) or next(iter(found), None)
    return {**told, "fetch": f"r1chat pull {replace(wanted, quant=chosen.label)}" if chosen else None}


def _text(key: str, value: Any) -> str:
    """A value for a person."""
    from ...serve.models.sizes import human

    if key == "parameters" and isinstance(value, int):
        return f"{value / 1e6:,.1f} M" if value < 1e9 else f"{value / 1e9:.1f} B"
    if key in ("bytes", "kv_bytes_per_token"):
        return human(value) if key == "bytes" else f"{value / 1024:.0f} KiB"
    if key == "modified":
        return datetime.fromtimestamp(value).strftime("%Y-%m-%d %H:%M")
    if key in ("sizes", "memory_at_32k"):
        return ", ".join(f"{quant} {human(size)}" for quant, size in value.items())
    if isinstance(value, dict):
        return ", ".join(f"{name} {number}" for name, number in value.items())
    if isinstance(value, list):
        return "\n".join(map(str, value)) if value else "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else str(value)
