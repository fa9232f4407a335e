"""A thought as the page shows it: its steps with HTML, their counts, where the answer was first reached.

Knows no route and no store. All of it is made in one go: a thought of 100 KB is parts of a second of computing.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from typing import Any

from ...serve.anatomy.first_answer import first_answer, suggested_budget
from ...serve.anatomy.languages import Mixing, mixing
from ...serve.anatomy.sentences import Sentence
from ...serve.anatomy.steps import Step, steps
from .markup import FormulaCap, render, render_inline

# More would make the page slow to draw; the rest is shown as it was written.
MAX_FORMULAS = 800
# Nobody reads more than that in one piece; what is beyond is not sent, and the page says so.
MAX_CHARS = 400_000
MAX_PLACES = 50


def thought_view(thought: str, content: str, question: str, reasoning_tokens: int) -> dict[str, Any]:
    """What GET /page/messages/{id}/thought answers; offsets are characters of the thought.

    `text` is the thought as it was written, `cut` where it was cut off for its length, null as a rule.
    """
    shown = thought[:MAX_CHARS]
    found = steps(shown)
    cap = FormulaCap(MAX_FORMULAS)
    first = first_answer(thought, content, question, reasoning_tokens)
    budget = suggested_budget(first, reasoning_tokens)
    return {
        "text": shown,
        "steps": [
            {"start": step.start, "end": step.end, "kind": step.kind, "html": _html(shown, step, cap)} for step in found
        ],
        "counts": Counter(step.kind for step in found),
        "first_answer": first and {"char": first.char, "share": first.share, "tokens": first.tokens},
        "suggestion": budget and {"budget": budget},
        "languages": _languages(mixing(shown, [s for step in found for s in step.sentences], question)),
        "cut": MAX_CHARS if len(thought) > MAX_CHARS else None,
    }


def _languages(mixed: Mixing) -> dict[str, Any] | None:
    if not mixed.places:
        return None
    places = [{"start": place.start, "end": place.end, "language": place.language} for place in mixed.places]
    return {"main": mixed.main, "share": mixed.share, "n": len(places), "places": places[:MAX_PLACES]}


def _html(text: str, step: Step, cap: FormulaCap) -> str:
    """Paragraphs of sentences. Every piece is rendered by itself, so that none can reach into the next."""
    pieces: list[str] = []
    in_paragraph = False
    for sentence in step.sentences:
        if in_paragraph and (sentence.whole or sentence.opens):
            pieces.append("</p>")
            in_paragraph = False
        if not sentence.whole and not in_paragraph:
            pieces.append("<p>")
            in_paragraph = True
        pieces.append(_sentence(text, sentence, cap))
    return "".join(pieces) + ("</p>" if in_paragraph else "")


def _sentence(text: str, sentence: Sentence, cap: FormulaCap) -> str:
    written = text[sentence.start : sentence.end]
    shown = written.strip()
    if not shown:
        return ""
    start = sentence.start + written.index(shown)
    attributes = f'class="sentence" data-start="{start}" data-end="{start + len(shown)}"'
    if sentence.whole:
        return f"<div {attributes}>{render(textwrap.dedent(written.strip(chr(10))), cap)}</div>"
    # one line end inside a paragraph is shown; more of them end it
    after = "<br>" if written[len(written.rstrip()) :].count("\n") == 1 else " "
    return f"<span {attributes}>{render_inline(shown, cap)}</span>{after}"
