"""r1chat: the page and the API on one port, and the browser on the page."""

from __future__ import annotations

import argparse

from . import serve


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "ui",
        help="open the chat page (what `r1chat` alone does)",
        description="Loads a model, serves the chat page and the API, and opens the browser.",
        epilog="example:\n  r1chat ui --model user/repo:Q4_K_M --ctx 16384",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    serve.add_server_options(parser)
    parser.add_argument("--no-browser", action="store_true", help="print the address instead of opening it")


def run(args: argparse.Namespace) -> int:
    """Serves until Ctrl-C."""
    return serve.run_server(args, open_browser=not args.no_browser)
