"""A thought as the page gets it: steps with safe HTML, where the answer was reached, and for its owner only."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from r1chat.app.conversations.records import Message
from r1chat.app.ui.thoughts import MAX_CHARS, MAX_FORMULAS, thought_view

from .conftest import HOSTILE, PageServer
from .person import Person

THOUGHT = (
    "I need 12 \\cdot 13, which is \\(12 \\cdot 13\\).\n\n"
    "12 * 10 is 120. And 12 * 3 is 36.\nSo it is 120 + 36 = 156. Wait, **is it?\nYes.** 😀 It is.\n\n"
    "Let me check:\n\n- 156 / 12 = 13\n- so yes\n\n```python\nif x < 2:\n\treturn '<b>'\n```\n"
)


class Tags(HTMLParser):
    """What a browser would make of some HTML: elements with their attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def _view(thought: str, content: str = "\\boxed{156}") -> dict[str, Any]:
    return thought_view(thought, content, "What is 12 * 13?", 1000)


def _sentences(view: dict[str, Any]) -> list[str]:
    spans = re.findall(
        r'class="sentence" data-start="(\d+)" data-end="(\d+)"', "".join(s["html"] for s in view["steps"])
    )
    return [view["text"][int(start) : int(end)] for start, end in spans]


def test_steps_tile_the_thought_and_sentences_name_their_characters() -> None:
    view = _view(THOUGHT)
    assert "".join(THOUGHT[step["start"] : step["end"]] for step in view["steps"]) == view["text"] == THOUGHT
    assert [step["kind"] for step in view["steps"]] == ["setup", "try", "reflection", "check", "try", "try"]
    assert view["counts"] == {"setup": 1, "try": 3, "reflection": 1, "check": 1}
    assert _sentences(view) == [
        "I need 12 \\cdot 13, which is \\(12 \\cdot 13\\).",
        "12 * 10 is 120.",
        "And 12 * 3 is 36.",
        "So it is 120 + 36 = 156.",
        "Wait, **is it?\nYes.**",
        "😀 It is.",
        "Let me check:",
        "- 156 / 12 = 13\n- so yes",
        "```python\nif x < 2:\n\treturn '<b>'\n```",
    ]


def test_the_answer_first_reached_suggests_a_budget() -> None:
    view = _view(THOUGHT)
    share = (THOUGHT.index("156") + 3) / len(THOUGHT)
    assert view["first_answer"]["char"] == THOUGHT.index("156")
    assert view["first_answer"]["share"] == pytest.approx(share)
    assert 1000 * share < view["suggestion"]["budget"] < 1300 * share + 100
    assert _view(THOUGHT, "It has no number.")["first_answer"] is None
    assert _view(THOUGHT, "It has no number.")["suggestion"] is None


def test_markdown_code_and_formulas_are_drawn() -> None:
    html = "".join(step["html"] for step in _view(THOUGHT)["steps"])
    assert "<math" in html and "<li>156 / 12 = 13</li>" in html
    assert "<strong>is it?<br />\nYes.</strong>" in html
    assert "if x &lt; 2:\n\treturn '&lt;b&gt;'" in html


@pytest.mark.parametrize("prefix", ["", "Wait, ", "- ", "> ", "**", "\\("])
def test_hostile_text_stays_text(prefix: str) -> None:
    tags = Tags(
        "".join(step["html"] for step in _view("\n\n".join(f"{prefix}{line}" for line in HOSTILE.split("\n")))["steps"])
    )
    assert not {tag for tag, _ in tags.elements} & {
        *("img", "script", "svg", "iframe", "link", "style", "form", "input", "video", "details", "object", "base")
    }
    attributes = {name for _, given in tags.elements for name in given}
    assert not {name for name in attributes if name.startswith("on")} and "style" not in attributes
    assert all(not (given.get("href") or "").lower().startswith(("javascript", "data")) for _, given in tags.elements)
    assert "<script>window.pwned='script'</script>" in tags.text


def test_formulas_beyond_the_cap_are_shown_as_source() -> None:
    html = "".join(step["html"] for step in _view("\\(a_1\\) is it.\n\n" * (MAX_FORMULAS + 3))["steps"])
    assert html.count("<math") == MAX_FORMULAS
    assert html.count("<code>a_1</code>") == 3


@pytest.mark.slow
def test_a_thought_too_long_to_be_read_is_cut_and_says_so() -> None:
    view = _view("So it goes on. " * (MAX_CHARS // 10))
    assert view["cut"] == MAX_CHARS == len(view["text"]) == view["steps"][-1]["end"]
    assert _view(THOUGHT)["cut"] is None


def test_a_place_in_another_language_is_told() -> None:
    thought = "I need to find the capital, and I think it's 堪培拉, so that is the answer."
    languages = _view(thought)["languages"]
    start = thought.index("堪")
    assert languages["places"] == [{"start": start, "end": start + 3, "language": "Chinese"}]
    assert languages["main"] == "English" and 0 < languages["share"] < 0.1
    assert _view(THOUGHT)["languages"] is None


def test_no_thought_is_no_steps() -> None:
    view = _view("")
    assert view["steps"] == [] and view["counts"] == {} and view["first_answer"] is None


def test_a_thought_is_read_over_http_by_its_owner_alone(server: PageServer) -> None:
    replies = []
    for owner in ("", "somebody else"):
        conversation = server.services.store.create(owner).id
        question = server.services.store.add(
            Message(id=f"q{owner}", conversation=conversation, parent=None, role="user", content="What is 12 * 13?")
        )
        replies.append(
            server.services.store.add(
                Message(
                    id=f"r{owner}",
                    conversation=conversation,
                    parent=question.id,
                    role="assistant",
                    content="\\boxed{156}",
                    reasoning=THOUGHT,
                    reasoning_tokens=1000,
                )
            ).id
        )
    person = Person(server.url)
    assert person.get(f"/messages/{replies[0]}/thought") == _view(THOUGHT)
    assert person.get(f"/messages/{replies[1]}/thought", status=404)["error"]["code"] == "not_found"
    assert person.get("/messages/nobody/thought", status=404)["error"]["message"]
