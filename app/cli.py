"""The r1chat command: reads argv and the environment, runs one command, turns errors into a line and a status.

The only reader of argv and environment. Commands import what they need when they run, so that --help
and every usage error come at once.
"""

from __future__ import annotations

import argparse
import errno
import logging
import os
import re
import shlex
import sys
from io import TextIOWrapper

from ..serve.errors import (
    InvalidRequestError,
    ModelLoadError,
    ModelNotFoundError,
    NotEnoughMemoryError,
    R1ChatError,
)
from .commands import (
    bench,
    chat,
    distill,
    doctor,
    import_model,
    list_models,
    ps,
    pull,
    quantize,
    rm,
    run,
    serve,
    show,
    ui,
)
from .errors import CommandError, Status
from .parser import Parser, ShowVersion
from .terminal import printable

COMMANDS = {
    "ui": ui,
    "chat": chat,
    "run": run,
    "serve": serve,
    "pull": pull,
    "list": list_models,
    "ps": ps,
    "show": show,
    "rm": rm,
    "import": import_model,
    "quantize": quantize,
    "doctor": doctor,
    "distill": distill,
    "bench": bench,
}

EPILOG = """\
examples:
  r1chat                                    open the page on the bundled model
  r1chat --model ./my-model.gguf            the same on a file of yours
  r1chat pull r1:1.5b                       fetch DeepSeek-R1-Distill-Qwen-1.5B
  r1chat run demo "What is 15% of 240?"     answer here; the trace goes to stderr
  r1chat chat demo                          talk here; the page shows it, too
  git diff | r1chat run r1:7b "Summarise:"  what is piped in comes before the prompt
  r1chat serve --port 9000                  the OpenAI-compatible API under /v1

A MODEL is `demo` (bundled, tiny), r1:1.5b to r1:70b, user/repo:QUANT from the Hugging Face hub, a student's
name, or a path to a .gguf file. `r1chat list` shows those that are here.
R1CHAT_API_KEY sets the key that --api-key would, R1CHAT_UPSTREAM_KEY that of --upstream-key, R1CHAT_DATA the
folder that --data would. R1CHAT_MODELS is the folder of your own models.
Exit status: 0 done, 1 failed, 2 wrong usage, 3 model missing or not loadable, 4 too little memory or context,
5 no answer, 130 Ctrl-C. `r1chat COMMAND --help` tells more of each command.
"""


def main(argv: list[str] | None = None) -> int:
    """Runs one command; the status for the shell."""
    _prepare_streams()
    try:
        try:
            return _run(argv)
        finally:
            # Here, where it can be told: at exit Python would complain.
            sys.stdout.flush()
    except BrokenPipeError:  # the reader left (`| head`)
        _forget_stdout()
        return Status.FAILED
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EIO):
            raise
        _forget_stdout()
        print(f"r1chat: Writing failed: {error.strerror}. See how much room there is: df -h", file=sys.stderr)
        return Status.FAILED


def _run(argv: list[str] | None) -> int:
    arguments = sys.argv[1:] if argv is None else argv
    args = _parser().parse_args(_with_command(arguments))
    if "api_key" in args and args.api_key is None:
        args.api_key = [key for key in [os.environ.get("R1CHAT_API_KEY", "").strip()] if key]
    if "upstream_key" in args and args.upstream_key is None:
        args.upstream_key = os.environ.get("R1CHAT_UPSTREAM_KEY") or None
    args.data = getattr(args, "data", None) or os.environ.get("R1CHAT_DATA") or None
    args.color = _color_wanted()
    try:
        return int(COMMANDS[args.command].run(args))
    except R1ChatError as error:
        print(printable(f"r1chat: {_line(error, args)}"), file=sys.stderr)
        return _status(error)
    except KeyboardInterrupt:
        return Status.STOPPED


def _forget_stdout() -> None:
    """What is still to be written would fail once more at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _line(error: R1ChatError, args: argparse.Namespace) -> str:
    """Ends with a command that helps: whoever reads a damaged file does not know by what name it was asked for."""
    text, model = str(error), getattr(args, "model", None)
    if type(error) is not ModelLoadError or not model or re.search(r": (?:r1chat|pip install) ", text):
        return text
    return f"{text.rstrip('.')}. Look closer: r1chat doctor {shlex.quote(str(model))}"


def _with_command(arguments: list[str]) -> list[str]:
    """`r1chat --port 9000` is `r1chat ui --port 9000`."""
    if arguments and (not arguments[0].startswith("-") or arguments[0] in ("-h", "--help", "--version")):
        return arguments
    return ["ui", *arguments]


def _parser() -> Parser:
    parser = Parser(
        prog="r1chat",
        description="Chat with reasoning models on your own machine, and distil small ones yourself.\n"
        "Without a command it opens the chat page, with the options of `r1chat ui`.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=ShowVersion)
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, title="commands")
    for command in COMMANDS.values():
        command.add_parser(subparsers)
    return parser


def _status(error: R1ChatError) -> int:
    if isinstance(error, CommandError):
        return error.status
    if isinstance(error, NotEnoughMemoryError):
        return Status.NO_ROOM
    if isinstance(error, (ModelNotFoundError, ModelLoadError)):
        return Status.NO_MODEL
    return Status.WRONG_USAGE if isinstance(error, InvalidRequestError) else Status.FAILED


def _color_wanted() -> bool:
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _prepare_streams() -> None:
    """No character, however odd, may break printing; log lines show control characters as escapes."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by whoever began this (`>&-`)
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode, encoding="utf-8"))
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    if isinstance(sys.stdin, TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    handler = logging.StreamHandler()
    handler.setFormatter(_PlainFormatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


class _PlainFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))
