"""r1chat rm: deletes a model from this machine."""

from __future__ import annotations

import argparse
import json

from ..errors import UsageError


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "rm",
        help="delete a model from this machine",
        description="Deletes a pulled model from the cache, or a student from the models' folder. It does not ask.\n"
        "The bare name of a repository means, first of all, what stopped pulls have left of it.",
        epilog="examples:\n  r1chat rm r1:7b:q8_0\n  r1chat rm user/repo:Q4_K_M\n"
        "  r1chat rm user/repo           what `r1chat list` says waits to go on\n\nWhat there is: r1chat list",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("model", metavar="MODEL", help="a name that `r1chat list` shows")
    parser.add_argument("--json", action="store_true", help="print one object: id, bytes freed")


def run(args: argparse.Namespace) -> int:
    from ...serve.models.catalog import DEMO
    from ...serve.models.removal import remove
    from ...serve.models.sizes import human

    if args.model == DEMO:
        raise UsageError("The bundled model is part of r1chat and stays. What else there is: r1chat list")
    removed, freed = remove(args.model)
    if args.json:
        print(json.dumps({"id": removed, "bytes": freed}))
    else:
        print(f"Deleted {removed}; {human(freed)} are free again.")
    return 0
