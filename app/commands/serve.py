"""r1chat serve: the API and the page on one port, without a browser."""

from __future__ import annotations

import argparse
import signal

from ..errors import Status, UsageError
from ..folders import data_folder
from ..values import port
from .engine_options import (
    add_engine_options,
    add_load_options,
    add_model_limits,
    entry_of,
    model_limits,
    server_load_options,
)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "serve",
        help="serve the OpenAI-compatible API, and the page at /",
        description="Serves /v1/chat/completions, /v1/models, /metrics and /health, and the chat page at /.",
        epilog="examples:\n"
        "  r1chat serve --model demo --port 9000\n"
        "  R1CHAT_API_KEY=secret r1chat serve --host 0.0.0.0     for other machines; they need the key\n"
        "  r1chat serve --host-cache 4G --keep-cache             long conversations stay warm, over restarts too\n"
        "  r1chat serve --upstream http://gpu1:8000,http://gpu2:8000",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_server_options(parser)


def add_server_options(parser: argparse.ArgumentParser) -> None:
    """Options that `ui` and `serve` share."""
    parser.add_argument(
        "--model", default="demo", help="demo, r1:7b, user/repo:QUANT, a student's name, or a path (default: demo)"
    )
    parser.add_argument(
        "--upstream",
        metavar="URL[,URL]",
        help="serve the models of these OpenAI-compatible servers (r1chat, vLLM, llama-server ...) instead of one of "
        "this machine's, in turn where several have a model",
    )
    parser.add_argument(
        "--upstream-key", metavar="KEY", help="key that all of these servers want (default: $R1CHAT_UPSTREAM_KEY)"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=port, default=8000, help="port to listen on, 0 for any (default: 8000)")
    parser.add_argument(
        "--api-key",
        type=key,
        action="append",
        metavar="KEY",
        help="key that clients must send (default: $R1CHAT_API_KEY); may be repeated: the first is yours, each "
        "further one another person's",
    )
    parser.add_argument(
        "--cache-scope",
        choices=["shared", "key"],
        default="shared",
        help="who shares prompts computed before: all requests, or only those that came with the same key, so that "
        "nobody learns from a fast reply what another has asked (default: shared)",
    )
    parser.add_argument(
        "--allowed-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a host name under which clients may call this server, besides its address; may be repeated",
    )
    parser.add_argument(
        "--cors-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="an origin, such as http://localhost:3000 or app://obsidian.md, from which pages may call this server "
        "(default: none but its own page); may be repeated",
    )
    parser.add_argument(
        "--data",
        metavar="FOLDER",
        help="where the page keeps conversations and finds runs (default: $R1CHAT_DATA, or your data folder)",
    )
    add_load_options(parser)
    add_engine_options(parser)
    add_model_limits(parser)


def key(text: str) -> str:
    """An API key without the blanks round it, which no client sends. An empty one, of a variable that is not set, would
    let in whoever sends none.
    """
    if not text.strip():
        raise argparse.ArgumentTypeError("the key is empty, as where its variable is not set")
    return text.strip()


def run(args: argparse.Namespace) -> int:
    """Serves until Ctrl-C."""
    return run_server(args, open_browser=False)


def _upstreams(args: argparse.Namespace) -> list[str]:
    """Raises UsageError where a model of this machine is named besides, or how one is to be loaded."""
    from ...serve.models.residents.manager import Limits
    from ...serve.models.specs import LoadOptions
    from ...serve.upstream.addresses import upstream_urls

    urls = upstream_urls(args.upstream)
    if (server_load_options(args), model_limits(args), args.engine) != (LoadOptions(), Limits(), "auto"):
        raise UsageError(
            "--upstream loads no model here, so options that say how models are loaded have no place beside it. "
            f"Use: r1chat serve --upstream {','.join(urls)}"
        )
    if args.model != "demo":
        raise UsageError(
            "--upstream serves what other servers have, and clients name the model, so --model has no place there. "
            f"Use: r1chat serve --upstream {','.join(urls)}"
        )
    return urls


def run_server(args: argparse.Namespace, *, open_browser: bool) -> int:
    """Binds, finds the model, serves. The port comes first: it is the cheapest thing that may be wrong."""
    from ...serve.api.server import ServerConfig
    from ...serve.upstream.pool import Pool
    from ..server import bind, serve_forever, serve_upstreams

    api_key, *more_keys = args.api_key or [None]
    with bind(args.host, args.port, api_key) as sock:
        entry = entry_of(args) if args.upstream is None else None
        config = ServerConfig(
            host=args.host,
            port=sock.getsockname()[1],
            api_key=api_key,
            more_keys=tuple(more_keys),
            allowed_hosts=tuple(args.allowed_host),
            cors_origins=tuple(args.cors_origin),
        )
        how = {"scope_by_key": args.cache_scope == "key", "open_browser": open_browser, "data": data_folder(args)}
        if entry is None:
            pool = Pool(_upstreams(args), args.upstream_key)
            stopped_by = serve_upstreams(pool, config, sock, **how)
        else:
            options, limits = server_load_options(args), model_limits(args)
            stopped_by = serve_forever(entry, config, sock, options=options, limits=limits, **how)
    # SIGTERM is how a service manager asks, so obeying it is success.
    return Status.STOPPED if stopped_by == signal.SIGINT else Status.DONE
