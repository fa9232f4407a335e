"""r1chat chat: a conversation in the terminal, kept where the page keeps its own."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import CommandError, UsageError
from ..folders import CONVERSATIONS, data_folder
from ..parser import Parser
from .engine_options import add_load_options, entry_of, load_options
from .serve import key

if TYPE_CHECKING:
    from ...serve.client import Client
    from ..conversations.records import Conversation
    from ..conversations.store import ConversationStore

HISTORY = "typed"
# The person of this machine, whichever key a server wants: serve/api/security.py, owners().
OWNER = ""


def add_parser(subparsers: argparse._SubParsersAction[Parser]) -> None:
    parser = subparsers.add_parser(
        "chat",
        help="talk here in the terminal: answers to stdout, traces to stderr",
        description="A conversation in the terminal, kept where the page keeps its own. The answer goes to stdout and\n"
        "the trace to stderr. While the model thinks, Ctrl-C has it answer now, twice stops the reply, three times\n"
        "leaves. What is piped in is asked line by line; lines that begin with / are commands there, too.",
        epilog="examples:\n"
        "  r1chat chat r1:7b\n"
        "  r1chat chat demo --continue\n"
        "  r1chat chat --url http://gpu-box:8000 --think 2000\n"
        "  r1chat chat demo --no-save --json < questions.txt\n\n"
        "exit status: 0 left, 2 wrong usage, 3 model missing, 4 too little memory, 130 Ctrl-C;\n"
        "of a pipe that of the first question that failed: 5 no answer, 1 anything else",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.mixed = True
    parser.add_argument(
        "model", metavar="MODEL", nargs="?", help="as for run, or one of --url's (default: yours or demo)"
    )
    parser.add_argument("--url", metavar="URL", help="talk to a server that runs, instead of loading a model here")
    parser.add_argument(
        "--api-key", type=key, action="append", metavar="KEY", help="for --url (default: $R1CHAT_API_KEY)"
    )
    parser.add_argument("--think", type=thinking, metavar="HOW", help="off, auto, or the longest trace in tokens")
    parser.add_argument("--hide-thinking", action="store_true", help="do not show the trace")
    parser.add_argument("--json", action="store_true", help="print one object for each reply, and no trace")
    parser.add_argument("--continue", dest="go_on", action="store_true", help="go on with the newest conversation")
    parser.add_argument("--no-save", action="store_true", help="keep nothing of this conversation")
    parser.add_argument(
        "--data", metavar="FOLDER", help="where to keep it (default: $R1CHAT_DATA, or your data folder)"
    )
    add_load_options(parser)


def thinking(text: str) -> dict[str, Any]:
    """The settings that it stands for."""
    if text in ("off", "auto"):
        return {"thinking": text}
    if text.isdecimal() and int(text) < 2**31:
        return {"thinking": "budget", "budget": int(text)}
    raise argparse.ArgumentTypeError(f"{text!r} is neither off nor auto nor a number of tokens")


def run(args: argparse.Namespace) -> int:
    """Until the person leaves or the pipe ends."""
    if args.go_on and args.no_save:
        raise UsageError("What is not kept cannot be gone on with. Leave one out: r1chat chat --continue")
    from ..repl.background import Background
    from ..repl.loop import Loop
    from ..repl.screen import Terminal
    from ..repl.session import Session
    from ..repl.typing_in import Lines

    terminal = Terminal(color=args.color, trace=not args.hide_thinking, as_json=args.json)
    folder = data_folder(args)
    changes = _changes(args)
    _end_on(signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM))  # Windows has none
    with _store(None if args.no_save else folder) as store:
        newest = _newest(store) if args.go_on else None
        if args.url is None:
            args.model = args.model or _usual_model(store, newest)
            if sys.stdin.isatty():
                terminal.say(f"Loading {args.model} ...")
        server = _server(args)
        background = Background(store, server, lambda url, model: _client(args, url, model))
        lines = Lines(None if args.no_save else folder / HISTORY)
        try:
            session = Session(background, OWNER, changes)
            if newest is not None:
                session.open(newest.id)
                session.change(**changes)
            return Loop(background, session, terminal, lines, OWNER).run()
        finally:
            lines.close()
            background.close()


def _end_on(*numbers: signal.Signals) -> None:
    """A terminal that is closed and a service manager's stop end it as leaving does: nothing lies about afterwards."""

    def end(number: int, _frame: Any) -> None:
        for other in numbers:  # a session that ends sends both
            signal.signal(other, signal.SIG_IGN)
        raise SystemExit(128 + number)

    for number in numbers:
        if signal.getsignal(number) is signal.SIG_DFL:  # nohup has it ignored
            signal.signal(number, end)


@contextmanager
def _store(folder: Path | None) -> Iterator[ConversationStore]:
    """One that is gone afterwards where there is no folder."""
    from ..conversations.store import ConversationStore

    with nullcontext(folder) if folder else tempfile.TemporaryDirectory(prefix="r1chat-") as place:
        store = ConversationStore(Path(place) / CONVERSATIONS)
        try:
            yield store
        finally:
            store.close()


def _newest(store: ConversationStore) -> Conversation | None:
    """The one changed last; the list has those that are pinned first, however old."""
    return max(store.list(OWNER, 1), key=lambda conversation: conversation.updated, default=None)


def _usual_model(store: ConversationStore, newest: Conversation | None) -> str:
    """The one that will be asked, where it is here: another would be loaded for nothing."""
    from ...serve.models.catalog import find_local
    from ..conversations.defaults import default_settings

    settings = newest.settings if newest else default_settings(store.database, OWNER)
    return settings.model if settings.model and find_local(settings.model) else "demo"


def _server(args: argparse.Namespace) -> AbstractAsyncContextManager[str]:
    if args.url is not None:
        return _running(args.url, _key(args))
    from ..local_server import local_server

    return local_server(entry_of(args), load_options(args))


@asynccontextmanager
async def _running(url: str, key: str | None) -> AsyncIterator[str]:
    """Asked for its models at first: what is wrong with the address is said before anything is typed."""
    from ...serve.client import ApiError, Client, ServerUnreachableError
    from ...serve.errors import InvalidRequestError

    if not url.startswith(("http://", "https://")):
        raise UsageError(f"{url} is no address of a server. Use: r1chat chat --url http://127.0.0.1:8000")
    try:
        async with Client(url, api_key=key, timeout=30) as client:
            await client.models()
    except InvalidRequestError as error:
        raise UsageError(f"{error} Use: r1chat chat --url http://127.0.0.1:8000") from error
    except ServerUnreachableError as error:
        raise CommandError(f"{error}. Start one: r1chat serve") from error
    except ApiError as error:
        if error.status in (401, 403):
            wants = "wants another key" if key else "wants its key"
            raise CommandError(f"{url} {wants}. Give it: R1CHAT_API_KEY=... r1chat chat --url {url}") from error
        # Some servers do not list theirs.
    yield url


def _client(args: argparse.Namespace, url: str, model: str) -> Client:
    from ...serve.client import Client
    from ..jobs.reply import SILENCE_S

    return Client(url, api_key=_key(args), model=model or None, timeout=SILENCE_S)


def _key(args: argparse.Namespace) -> str | None:
    return args.api_key[0] if args.url and args.api_key else None


def _changes(args: argparse.Namespace) -> dict[str, Any]:
    """Here the model that was named is the server's own, whatever a conversation had before."""
    model = {"model": args.model if args.url else ""} if args.model else {}
    return {**(args.think or {}), **model}
