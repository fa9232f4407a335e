"""T13, T14, T15 and T19: a model's text is split where it says so, shown and copied as it is, and never acts."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from r1chat.app.conversations.records import Message

from ..conftest import HOSTILE, PageServer, Visit
from ..test_page import copied
from ..test_page_safety import ACTIVE
from .scripts import CODE, SCRIPTS

LINES = "[...document.querySelectorAll('.turn:last-child .trace .text p')].map((line) => line.textContent).join('\\n')"
# Where a person's and a model's words stand.
SAID = ".turns :is(.question, .step, .text, .answer)"
MORE_HOSTILE = [
    *(line for line in HOSTILE.splitlines() if line.strip()),
    "<meta http-equiv=refresh content='0;url=http://evil.example/'> <base href='http://evil.example/'>",
    "<input autofocus onfocus=window.pwned='focus'> <x contenteditable onblur=window.pwned='blur'>",
    "</p></article></div></section><h1 onclick=window.pwned=1>bigger</h1>",
    "$\\url{javascript:window.pwned='url'}$ $$\\includegraphics{http://evil.example/a.png}$$",
    "[a](vbscript:x) [b](&#106;avascript:window.pwned='entity') [c](\tjavascript:window.pwned='tab')",
    "<style>* { display: none !important }</style> <form action=javascript:window.pwned=1><button autofocus>",
    "\u202e txet sdrawkcab \u202c <｜User｜> <｜end▁of▁sentence｜> <|im_end|>",
]


@pytest.mark.parametrize(
    ("script", "thought", "answer"),
    [
        ("MISSING", "I add them.", "It is 12."),
        ("REPEATED", "I add them.", "It is 12."),
        ("SPLIT", "I add them.", "It is 12."),
        ("EMPTY", "", "It is 12."),
        ("ENDING", "I add them and", "well"),  # its thought is closed for it, and it answers
        pytest.param(
            "QUOTED",
            "The tag `</think>` ends it, I know.\nI add them.",
            "It is 12.",
            marks=pytest.mark.xfail(strict=True, reason="the first closing tag ends the thought, quoted or not"),
        ),
    ],
)
def test_t13_a_reply_is_split_into_thought_and_answer(chat: Visit, script: str, thought: str, answer: str) -> None:
    chat.ask(f"{script} please")
    chat.wait("done")
    reply = chat.json(f"/page/conversations/{chat.conversation}")["path"][-1]
    assert chat.json(f"/page/messages/{reply['id']}")["reasoning"].strip() == thought
    assert reply["content"].strip() == answer
    shown = chat.text(".reply")
    assert thought.replace("`", "") in shown.replace("`", "") and answer in shown
    assert "think>" not in shown.replace("`</think>`", "")


def test_t14_what_the_model_wrote_is_shown_and_copied_exactly(chat: Visit) -> None:
    """Emoji come in halves, the fence in pieces, and lines end as the model ends them."""
    chat.ask("EXACT please")
    chat.wait("done")
    thought, _, answer = SCRIPTS["EXACT"].partition("\n</think>\n\n")
    assert chat.tab.evaluate(LINES) == thought
    code = chat.tab.locator(".answer pre code")
    assert code.inner_text() == "if x < 2:\n\treturn '<div>' + \"`\"\n\n\n\tdone()  \n"
    family = chat.tab.inner_text(".answer p:has-text('A family')")
    assert "A family 👨‍👩‍👧‍👦, a flag 🏴󠁧󠁢󠁥󠁮󠁧󠁿, 👩🏽‍🚀 and e\u0301, and <div class=x>no markup</div> &" in family
    assert copied(chat, ".copy") == answer
    assert copied(chat, ".copy-thought") == thought


def test_t15_answer_and_thought_are_copied_each_without_the_other(chat: Visit) -> None:
    chat.ask("SHORT please")
    chat.wait("done")
    assert copied(chat, ".copy") == "It is twelve."
    assert copied(chat, ".copy-thought") == "First I look at it.\nThen I add seven and five."


def hostile_texts() -> list[str]:
    """Ours, and those of the file that R1CHAT_HOSTILE names: {"sets": {name: [text]}}."""
    path = os.environ.get("R1CHAT_HOSTILE")
    sets = json.loads(Path(path).read_text(encoding="utf-8"))["sets"] if path else {}
    texts = [text for name, texts in sets.items() if name != "raw_json_bodies" for text in texts]
    return [*MORE_HOSTILE, *(text for text in texts if isinstance(text, str) and text.strip())]


@pytest.fixture
def hostile_conversation(server: PageServer) -> Iterator[str]:
    """Each text is asked, thought and answered, in a conversation that is named by one."""
    store = server.services.store
    conversation = store.create("")
    parent = None
    for n, text in enumerate(hostile_texts()):
        about = {"conversation": conversation.id, "created": time.time()}
        asked = Message(id=f"hostile-{n}", parent=parent, role="user", content=text, **about)  # type: ignore[arg-type]
        store.add(asked)
        parent = store.add(
            Message(id=f"said-{n}", parent=asked.id, role="assistant", content=text, reasoning=text, **about)  # type: ignore[arg-type]
        ).id
    store.update("", conversation.id, title=MORE_HOSTILE[0])
    yield conversation.id
    store.delete("", conversation.id)


@pytest.mark.slow
def test_t19_hostile_text_runs_nothing_fetches_nothing_and_breaks_nothing(
    visit: Visit, hostile_conversation: str
) -> None:
    """As it streams: test_page_safety. Here each text stands by itself, in every place that shows what was said."""
    dialogs: list[str] = []

    def dismiss(dialog: Any) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    visit.tab.on("dialog", dismiss)
    visit.tab.evaluate("localStorage.setItem('r1chat.trace', 'open')")
    visit.tab.goto(f"{visit.url}/?c={hostile_conversation}")
    n_texts = len(hostile_texts())
    visit.tab.wait_for_selector(f".turn >> nth={n_texts - 1}")
    folds = visit.tab.locator(".turn .fold[aria-expanded=false]")
    while folds.count():
        folds.first.click()
    visit.tab.wait_for_function(f"document.querySelectorAll('.finished .steps').length === {n_texts}")
    visit.tab.keyboard.press("Control+K")
    visit.tab.keyboard.type("evil")
    visit.tab.wait_for_selector("nav.list .found li")
    assert visit.tab.inner_text("nav.list .found").count("evil") >= 1
    visit.tab.evaluate("document.querySelectorAll('.turns a').forEach((link) => link.focus())")
    visit.tab.wait_for_timeout(500)
    assert visit.tab.evaluate("window.pwned ?? null") is None and dialogs == []
    assert visit.tab.url.startswith(visit.url)
    assert visit.tab.locator(SAID).locator(ACTIVE).count() == 0
    schemes = set(visit.tab.evaluate("[...document.querySelectorAll('.turns a')].map((link) => link.protocol)"))
    assert schemes <= {"http:", "https:"}
    assert visit.tab.locator("h1").count() == 1
    assert visit.tab.is_visible("#question") and visit.tab.is_visible("#ask")
    assert visit.tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_t19_it_is_as_harmless_while_it_streams(chat: Visit) -> None:
    chat.ask("HOSTILE please")
    chat.wait("done")
    assert chat.tab.evaluate("window.pwned ?? null") is None
    assert chat.tab.locator(".turns").locator(ACTIVE).count() == 0
    assert CODE not in chat.text(".answer") and "<script>" in chat.text(".answer")
