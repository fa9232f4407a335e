"""r1chat pull: a model from the hub into the cache, continued where an earlier pull ended."""

from __future__ import annotations

import argparse
import json

from ..errors import CommandError, Status, UsageError


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "pull",
        help="fetch a model from the Hugging Face hub, or what is missing of it",
        description="Fetches a model into the cache that all of the hub's tools share, and checks every byte of it.\n"
        "Stopped or cut off, it keeps what has arrived; the next pull continues there.",
        epilog="examples:\n"
        "  r1chat pull r1:1.5b                                 DeepSeek-R1-Distill-Qwen-1.5B, Q4_K_M, 1.1 GB\n"
        "  r1chat pull r1:7b:q8_0                              another quantisation\n"
        "  r1chat pull user/repo:Q5_K_M@main                   any GGUF of the hub, at any revision\n"
        "  r1chat pull https://huggingface.co/user/repo        an address works, too\n"
        "  r1chat pull user/repo:safetensors                   a folder for --engine transformers\n\n"
        "short names: r1:1.5b r1:7b r1:8b r1:14b r1:32b r1:70b r1-0528:8b; `r1chat show r1:7b` tells of one\n"
        "settings: HF_HOME (where the cache lies), HF_HUB_OFFLINE=1, HF_ENDPOINT (a mirror); "
        "private models: hf auth login",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("model", metavar="MODEL", help="r1:7b, user/repo:QUANT or an address on huggingface.co")
    parser.add_argument("--json", action="store_true", help="print one object when done: id, files, bytes")


def run(args: argparse.Namespace) -> int:
    """Fetches; 130 where Ctrl-C stopped it."""
    from ...serve.models.catalog import hub_entry, hub_id
    from ...serve.models.hub.downloads import Download
    from ...serve.models.hub.progress import shown
    from ...serve.models.sizes import human

    wanted = hub_id(args.model)
    if wanted is None:
        raise UsageError(f"{args.model!r} is no model of the hub. A pull looks like: r1chat pull r1:1.5b")
    download = Download(wanted, name=args.model)
    try:
        with shown(download):
            cached = download.run()
    except KeyboardInterrupt:
        here = human(download.snapshot().bytes_done)
        raise CommandError(f"Stopped; {here} are kept. Continue: r1chat pull {download.name}", Status.STOPPED) from None
    entry = hub_entry(cached, wanted.revision)
    if args.json:
        told = {"id": entry.id, "path": str(entry.path), "files": [str(path) for path in cached.paths]}
        print(json.dumps({**told, "bytes": cached.variant.size, "revision": cached.commit}))
    else:
        print(f"{entry.id} is here ({human(cached.variant.size)}). Ask it: r1chat run {entry.id} 'Hello'")
    return 0
