"""The page: Gradio Blocks around one view of the conversation, mounted beside the API it talks to.

It reaches models through /v1 only. Handlers run on the server's event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from html import escape
from importlib.resources import files
from typing import Any

import gradio as gr
from fastapi import FastAPI

from ...serve.client import Client
from .conversation import Conversation
from .policy import PagePolicy
from .turn import Event

EXAMPLES = (
    "A farmer has 17 sheep. All but 9 run away. How many are left?",
    "What is 15% of 240?",
    "Emily buys 3 apples and 2 oranges. Each orange costs $2. The total is $13. What is the cost of each apple?",
    "A train travels the first half of a trip at 60 mph and the second half at 40 mph. What is its average speed?",
    "How many times does the letter r appear in strawberry?",
    "Which is larger, 9.9 or 9.11?",
    "What is 347 + 589?",
    "What is 23 * 17?",
)
# A long prompt may be read for minutes before the first token; Stop is there for the impatient.
SILENCE_S = 1800.0
HEALTH_S = 0.5
SANS = ("ui-sans-serif", "system-ui", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Consolas", "monospace")
NOTHING = {"id": "", "live": False}
QUIET = {"api_visibility": "private", "show_progress": "hidden"}


def build_page(base_url: str | Callable[[], str], model_label: str, api_key: str | None = None) -> gr.Blocks:
    """The page's Blocks. `base_url` is where /v1 answers, asked again for every question if callable."""
    with gr.Blocks(title="r1chat", fill_width=True, analytics_enabled=False) as page:
        conversation = gr.State(Conversation())
        with gr.Row(elem_id="masthead"):
            gr.HTML(f"<h1>r1chat</h1><p>{escape(model_label)}</p>", apply_default_css=False, js_on_load=None)
            fresh = gr.Button("New chat", visible=False, scale=0, min_width=0, elem_id="new-chat")
        view = _view()
        with gr.Row(elem_id="composer"):
            question = _question_box()
            ask = gr.Button("Ask", variant="primary", scale=0, min_width=0, elem_id="ask")
            stop = gr.Button("Stop", visible=False, scale=0, min_width=0, elem_id="stop")
        _wire(Asker(base_url, api_key), conversation, view, question, ask, stop, fresh)
    return page


def mount_page(app: FastAPI, page: gr.Blocks, path: str = "/") -> FastAPI:
    """Mounts the page below `path`; routes that `app` has already keep precedence. To be called before it serves."""
    app.add_middleware(PagePolicy)
    return gr.mount_gradio_app(
        app,
        page,
        path=path,
        theme=gr.themes.Monochrome(font=SANS, font_mono=MONO),
        css=_asset("page.css"),
        footer_links=[],
        run_history=False,
        show_error=False,
        ssr_mode=False,
        # The page has nothing to upload, so nobody else has either.
        max_file_size=1,
    )


class Asker:
    """Gradio's handlers; those that draw give values in the order of `_shown`."""

    def __init__(self, base_url: str | Callable[[], str], api_key: str | None) -> None:
        self._base_url = base_url
        self._api_key = api_key

    async def ask(self, question: str, conversation: Conversation) -> AsyncGenerator[tuple[Any, ...], None]:
        """Streams one turn into the view."""
        if not question.strip() or conversation.busy:
            return
        turn, messages = conversation.ask(question.strip())
        yield _shown(turn.snapshot(), question="")
        async with aclosing(turn.play(self._reply(messages))) as snapshots:
            async for snapshot in snapshots:
                # A turn that New chat has swept away must not come back.
                yield _shown(snapshot if turn in conversation.turns else NOTHING)

    async def ask_example(
        self, event: gr.EventData, conversation: Conversation
    ) -> AsyncGenerator[tuple[Any, ...], None]:
        """Asks the example that was clicked."""
        async with aclosing(self.ask(str(event.question), conversation)) as updates:
            async for update in updates:
                yield update

    async def new_chat(self, conversation: Conversation) -> tuple[Any, ...]:
        """Stops what runs and clears the view."""
        conversation.clear()
        return _shown(NOTHING)

    async def _reply(self, messages: list[dict[str, str]]) -> AsyncGenerator[Event, None]:
        url = self._base_url if isinstance(self._base_url, str) else self._base_url()
        async with Client(url, api_key=self._api_key, timeout=SILENCE_S) as client:
            # Whoever asks while the model loads means to wait for it.
            while (await client.health())["status"] == "starting":
                await asyncio.sleep(HEALTH_S)
            async with aclosing(client.stream(messages)) as events:
                async for event in events:
                    yield event

    async def stop(self, conversation: Conversation) -> None:
        """Ends the turn; the handler that streams it shows the end."""
        conversation.stop()


def _shown(snapshot: dict[str, Any], **typed: str) -> tuple[Any, ...]:
    """Values for (view, question, ask, stop, new chat). Only what has changed since the last ones travels."""
    live = snapshot["live"]
    return (
        snapshot,
        gr.update(value=typed["question"]) if typed else gr.skip(),
        gr.update(visible=not live),
        gr.update(visible=live),
        gr.update(visible=snapshot is not NOTHING),
    )


def _question_box() -> gr.Textbox:
    return gr.Textbox(
        label="Your question",
        show_label=False,
        container=False,
        placeholder="Ask a question",
        max_lines=8,
        autofocus=True,
        elem_id="question",
    )


def _view() -> gr.HTML:
    # The template has no placeholders, ever: Gradio would run what model text puts there.
    return gr.HTML(
        value=NOTHING,
        html_template=_asset("conversation.html"),
        js_on_load=_asset("conversation.js"),
        apply_default_css=False,
        examples=list(EXAMPLES),
        elem_id="conversation",
    )


def _wire(
    asker: Asker,
    conversation: gr.State,
    view: gr.HTML,
    question: gr.Textbox,
    ask: gr.Button,
    stop: gr.Button,
    fresh: gr.Button,
) -> None:
    outputs = [view, question, ask, stop, fresh]
    # The engine does the queueing, so the page lets everyone through.
    running: dict[str, Any] = {**QUIET, "concurrency_limit": None, "trigger_mode": "once"}
    gr.on([question.submit, ask.click], asker.ask, [question, conversation], outputs, **running)
    view.example(asker.ask_example, [conversation], outputs, **running)
    # Not queued: they must not wait behind the turn they end.
    stop.click(asker.stop, [conversation], queue=False, **QUIET)
    fresh.click(asker.new_chat, [conversation], outputs, queue=False, **QUIET)


def _asset(name: str) -> str:
    return files(__package__).joinpath("assets", name).read_text(encoding="utf-8")
