"""The page: Gradio's Blocks as a frame of tabs, each with one view that talks to the routes below /page.

The views are plain ES modules; what they show of a model's text is made safe by markup.py or enters as text nodes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import FastAPI, HTTPException, Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from .policy import PagePolicy
from .routes import ROUTERS
from .services import PageServices

# In the order of the tabs; the first is what a newcomer sees.
ROOMS = {"chat": "Chat", "stars": "Distil set", "runs": "Runs", "shelf": "Models"}
STYLES = ("base", "chat/style", "trace/style", "many/style", "list/style", "stars/style", "runs/style", "shelf/style")
SANS = ("ui-sans-serif", "system-ui", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Consolas", "monospace")
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
ASSETS = Path(str(files(__package__) / "assets"))


class _Assets(StaticFiles):
    """Modules that import each other: a browser asks whether they are still the same, so that an upgrade mixes none."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["cache-control"] = "no-cache"
        return response


def build_page(label: str) -> gr.Blocks:
    """The page's Blocks. `label` names what is served."""
    with gr.Blocks(title="r1chat", fill_width=True, analytics_enabled=False) as page:
        gr.HTML(f"<h1>r1chat</h1><p>{escape(label)}</p>", elem_id="masthead", apply_default_css=False, js_on_load=None)
        with gr.Tabs(elem_id="rooms"):
            for name, title in ROOMS.items():
                with gr.Tab(title, id=name, elem_id=f"room-{name}"):
                    _view(name)
    return page


def mount_page(app: FastAPI, services: PageServices) -> FastAPI:
    """Mounts the page at / and its routes at /page; routes that `app` has already keep precedence.

    To be called before it serves: the app's lifespan then spans what works for the page.
    """
    for make_router in ROUTERS:
        app.include_router(make_router(services), prefix="/page", include_in_schema=False)
    app.mount("/page/assets", _Assets(directory=ASSETS))
    app.add_api_route("/page/{rest:path}", _no_such_route, methods=METHODS, include_in_schema=False)
    # The frame has no functions, so there is nothing to send to Gradio's own routes: neither files nor calls.
    app.add_api_route("/gradio_api/{rest:path}", _no_such_route, methods=METHODS[1:], include_in_schema=False)
    app.add_middleware(PagePolicy)
    page = build_page(services.label)
    mounted = gr.mount_gradio_app(
        app,
        page,
        path="/",
        theme=gr.themes.Monochrome(font=SANS, font_mono=MONO),
        css="\n".join((ASSETS / f"{name}.css").read_text(encoding="utf-8") for name in STYLES),
        footer_links=[],
        run_history=False,
        show_error=False,
        ssr_mode=False,
    )
    # Gradio looks a thousand times a second for calls of the frame's functions, of which there are none: a tenth of a
    # core, for as long as the server runs.
    page._queue.sleep_when_free = page._queue.progress_update_sleep_when_free = 3600.0
    _span(mounted, services)
    return mounted


def _view(name: str) -> gr.HTML:
    # The template has no placeholders, ever: Gradio would run what model text puts there.
    return gr.HTML(
        html_template=f'<div class="view" id="{name}"></div>',
        js_on_load=f"import('/page/assets/{name}/start.js').then((room) => room.start(element.firstElementChild));",
        apply_default_css=False,
        elem_classes=["room"],
    )


def _span(app: FastAPI, services: PageServices) -> None:
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(running: FastAPI) -> AsyncIterator[Any]:
        async with services.running(), inner(running) as state:
            yield state

    app.router.lifespan_context = lifespan


async def _no_such_route(request: Request) -> None:
    raise HTTPException(404, f"The page has no route {request.method} {request.url.path[:200]}.")
