"""r1chat run: one question, one answer, in the terminal.

The answer goes to stdout and all else to stderr, so that pipes stay clean. The question takes the same
way as everyone's: over HTTP to /v1, on a server that lives for this one command.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

from ..errors import CommandError, Status, UsageError
from ..parser import Parser
from ..terminal import DIM, PLAIN, printable
from .engine_options import add_load_options, entry_of, load_options

if TYPE_CHECKING:
    from ...serve.client import Client
    from ...serve.models.catalog import ModelEntry
    from ...serve.models.specs import LoadOptions


def add_parser(subparsers: argparse._SubParsersAction[Parser]) -> None:
    parser = subparsers.add_parser(
        "run",
        help="ask one question here: answer to stdout, trace to stderr",
        description="Asks a model one question. The answer goes to stdout, the trace and timings to stderr.",
        epilog="examples:\n"
        '  r1chat run demo "A farmer has 17 sheep. All but 9 run away. How many are left?"\n'
        '  r1chat run demo --json "What is 15% of 240?"\n'
        '  cat notes.txt | r1chat run user/repo:Q4_K_M "Summarise this:"\n\n'
        "exit status: 0 answered, 1 failed, 2 wrong usage, 3 model missing or not loadable,\n"
        "4 prompt too long or too little memory, 5 no answer, 130 Ctrl-C",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.mixed = True
    parser.add_argument("model", metavar="MODEL", help="demo, r1:7b, user/repo:QUANT, a student's name, or a path")
    parser.add_argument("prompt", metavar="PROMPT", nargs="?", help="the question; what is piped in comes before it")
    parser.add_argument("--json", action="store_true", help="print one object: answer, reasoning, usage, timings ...")
    parser.add_argument("--hide-thinking", action="store_true", help="do not show the trace")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="longest trace and answer together, in tokens")
    thought = parser.add_mutually_exclusive_group()
    thought.add_argument("--budget", type=int, metavar="N", help="longest trace, in tokens; the answer comes then")
    thought.add_argument("--no-think", action="store_true", help="answer at once, without a trace")
    parser.add_argument("--temperature", type=float, metavar="T", help="0 for the likeliest tokens (default: 0.6)")
    parser.add_argument("--seed", type=int, metavar="N", help="repeat the same draw")
    add_load_options(parser)


@dataclass
class Reply:
    """What came back so far; `finish_reason` is empty until the end."""

    reasoning: list[str] = field(default_factory=list)
    answer: list[str] = field(default_factory=list)
    finish_reason: str = ""
    reasoning_end: str | None = None
    usage: dict[str, Any] = field(default_factory=dict)
    timings: dict[str, Any] = field(default_factory=dict)


def run(args: argparse.Namespace) -> int:
    """Asks and prints; Status.NO_ANSWER where the model thought until its tokens ran out."""
    prompt = _prompt(args.prompt, sys.stdin)
    params = {name: getattr(args, name) for name in ("max_tokens", "temperature", "seed")}
    params["reasoning_budget_tokens"] = 0 if args.no_think else args.budget
    params = {name: value for name, value in params.items() if value is not None}
    show = Printer(color=args.color, trace=not args.hide_thinking and not args.json, answer=not args.json)
    reply = asyncio.run(_ask(entry_of(args), load_options(args), prompt, params, show))
    if args.json:
        print(_as_json(reply, args.model))
    else:
        show.end(reply)
    if "".join(reply.answer).strip():
        return 0
    print("r1chat: The model stopped before it answered. Give it more room: --max-tokens, --ctx", file=sys.stderr)
    return Status.NO_ANSWER


def _prompt(argument: str | None, stdin: TextIO | None) -> str:
    """The question: what is piped in, then what was typed. `-` is only a sign that something is piped."""
    piped = "" if stdin is None or stdin.isatty() else stdin.read()
    # Bytes that are no UTF-8 come from the shell as halves of characters.
    typed = "" if argument in (None, "-") else str(argument).encode("utf-8", "replace").decode()
    prompt = "\n\n".join(part for part in (piped.strip(), typed.strip()) if part)
    if not prompt:
        raise UsageError('There is no question. Ask one: r1chat run demo "What is 15% of 240?"')
    return prompt


async def _ask(entry: ModelEntry, options: LoadOptions, prompt: str, params: dict[str, Any], show: Printer) -> Reply:
    from ...serve.client import ApiError, Client
    from ...serve.errors import InvalidRequestError
    from ..local_server import local_server

    try:
        async with local_server(entry, options) as url, Client(url, model=entry.id) as client:
            return await _receive(client, prompt, params, show)
    except ApiError as error:
        if error.code == "context_length_exceeded":
            raise CommandError(str(error), Status.NO_ROOM) from error
        if error.status in (400, 422):
            raise UsageError(f"{str(error).rstrip('.')}. See: r1chat run --help") from error
        raise
    except InvalidRequestError as error:
        raise UsageError(f"{error} See: r1chat run --help") from error


async def _receive(client: Client, prompt: str, params: dict[str, Any], show: Printer) -> Reply:
    from ...serve.client import ContentDelta, ReasoningDelta

    reply = Reply()
    async with aclosing(client.stream([{"role": "user", "content": prompt}], **params)) as events:
        async for event in events:
            if isinstance(event, ReasoningDelta):
                reply.reasoning.append(event.text)
                show.reasoning(event.text)
            elif isinstance(event, ContentDelta):
                reply.answer.append(event.text)
                show.answer(event.text)
            else:
                reply.finish_reason, reply.reasoning_end = event.finish_reason, event.reasoning_end
                reply.usage, reply.timings = event.usage, event.timings
    return reply


class Printer:
    """Shows a reply as it comes: the trace dim on stderr, the answer on stdout."""

    def __init__(self, *, color: bool, trace: bool, answer: bool) -> None:
        self._dim, self._plain = (DIM, PLAIN) if color else ("", "")
        self._trace = trace
        self._answer = answer
        self._thinking = False

    def reasoning(self, text: str) -> None:
        if self._trace:
            self._thinking = True
            self._to_stderr(text)

    def answer(self, text: str) -> None:
        if self._thinking:
            self._to_stderr("\n\n")
            self._thinking = False
        if self._answer:
            print(printable(text), end="", flush=True)

    def end(self, reply: Reply) -> None:
        """Ends the answer's line and sums up."""
        print(flush=True)
        if self._trace:
            self._to_stderr(f"\n{summary(reply.usage, reply.timings)}\n")

    def _to_stderr(self, text: str) -> None:
        print(f"{self._dim}{printable(text)}{self._plain}", end="", file=sys.stderr, flush=True)


def summary(usage: dict[str, Any], timings: dict[str, Any]) -> str:
    """One line: how long and how many tokens each part took."""
    thought = usage.get("completion_tokens_details", {}).get("reasoning_tokens", 0)
    answered = usage.get("completion_tokens", 0) - thought
    seconds = {name: timings.get(f"{name}_ms", 0) / 1000 for name in ("prompt", "reasoning", "answer")}
    return (
        f"prompt {usage.get('prompt_tokens', 0)} tokens {seconds['prompt']:.2f} s · "
        f"thought {thought} tokens {seconds['reasoning']:.2f} s · "
        f"answered {answered} tokens {seconds['answer']:.2f} s · "
        f"{timings.get('predicted_per_second', 0):.0f} tokens/s"
    )


def _as_json(reply: Reply, model: str) -> str:
    return json.dumps(
        {
            "model": model,
            "answer": "".join(reply.answer),
            "reasoning": "".join(reply.reasoning),
            "finish_reason": reply.finish_reason,
            "reasoning_end": reply.reasoning_end,
            "usage": reply.usage,
            "timings": reply.timings,
        }
    )
