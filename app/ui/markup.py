"""Model text (Markdown, LaTeX) -> HTML that is safe by construction: raw HTML is text, images are links.

Knows nothing of turns or of Gradio.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from .formulas import mathml

DELIMITERS = {"$$": ("$$", "block"), "\\[": ("\\]", "block"), "\\(": ("\\)", "inline")}
BOXED = "\\boxed{"
BRACE = re.compile("[{}]")
# A paragraph may be drawn once the text has moved past it.
PARAGRAPH_END = re.compile(r"\n[ \t]*\n")
# Thoughts are full of 2*60*40, of which Markdown would make 26040.
PRODUCT = re.compile(r"(?<=[0-9A-Za-z)])\*(?=[0-9A-Za-z(])|(?<=[0-9])\*\*(?=[0-9])")


@dataclass
class FormulaCap:
    """How many formulas may still be drawn, by all calls that share it; further ones are shown as source."""

    left: int


def render(text: str, cap: FormulaCap | None = None) -> str:
    """HTML of a whole answer or of some of its paragraphs."""
    return _renderer().render(text, {"formulas": cap})


def render_inline(text: str, cap: FormulaCap | None = None) -> str:
    """HTML of a part of a paragraph, without what makes blocks."""
    return _renderer().renderInline(text, {"formulas": cap})


class GrowingMarkup:
    """Renders a text that arrives in pieces: each paragraph once, when it is complete.

    `html` only ever grows at its end; `tail` is the paragraph still being written, as plain text.
    """

    def __init__(self) -> None:
        self.html = ""
        self.tail = ""
        # Of the tail so much was looked at, and so many of these are open there: fences, dollars, brackets.
        self._n_seen = 0
        self._open = (0, 0, 0)

    def feed(self, piece: str) -> None:
        """Takes the next piece of the text."""
        self.tail += piece
        n_done = 0
        for end in PARAGRAPH_END.finditer(self.tail, self._n_seen):
            self._open = _open_after(self._open, self.tail[self._n_seen : end.end()])
            self._n_seen = end.end()
            if not any(self._open):
                n_done = end.end()
        if n_done:
            self.html += render(self.tail[:n_done])
            self.tail = self.tail[n_done:]
            self._n_seen -= n_done


def _open_after(before: tuple[int, int, int], text: str) -> tuple[int, int, int]:
    fences, dollars, brackets = before
    brackets = max(0, brackets + text.count("\\[") - text.count("\\]"))
    return (fences + text.count("```")) % 2, (dollars + text.count("$$")) % 2, brackets


@cache
def _renderer() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"])
    # Before "escape", which would turn \( into (.
    markdown.inline.ruler.before("escape", "formula", _inline_formula)
    markdown.inline.ruler.before("emphasis", "product", _product)
    markdown.block.ruler.before("fence", "formula", _block_formula, {"alt": ["paragraph", "blockquote"]})
    for rule in (_formula, _link_open, _image, _heading_open, _heading_close, _fence):
        markdown.add_render_rule(rule.__name__.removeprefix("_"), rule)
    markdown.add_render_rule("code_block", _fence)
    return markdown


def _inline_formula(state: StateInline, silent: bool) -> bool:
    # Where a closing sign is missing to the end, every later formula lacks it too: looked for once, not each time.
    opening = state.src[state.pos : state.pos + 2]
    text, unclosed_from = state.env.get(f"unclosed {opening}", ("", 0))
    if text is state.src and state.pos >= unclosed_from:
        return False
    found = _formula_at(state.src, state.pos, state.posMax)
    if found is None:
        if opening in DELIMITERS and state.src.find(DELIMITERS[opening][0], state.pos + 2) < 0:
            state.env[f"unclosed {opening}"] = state.src, state.pos
        return False
    latex, display, end = found
    if not silent:
        token = state.push("formula", "math", 0)
        token.content, token.info = latex, display
    state.pos = end
    return True


def _product(state: StateInline, silent: bool) -> bool:
    found = PRODUCT.match(state.src, state.pos, state.posMax)
    if found is None:
        return False
    if not silent:
        state.pending += found[0]
    state.pos = found.end()
    return True


def _formula_at(text: str, start: int, limit: int) -> tuple[str, str, int] | None:
    """(LaTeX, display, end) of the formula that starts at `start`; R1 also writes \\boxed{} without delimiters."""
    if text.startswith(BOXED, start, limit):
        end = _closing_brace(text, start + len(BOXED), limit)
        return None if end is None else (text[start:end], "inline", end)
    opening = text[start : start + 2]
    if opening not in DELIMITERS:
        return None
    closing, display = DELIMITERS[opening]
    end = text.find(closing, start + 2, limit)
    if end < 0 or not text[start + 2 : end].strip():
        return None
    return text[start + 2 : end], display, end + 2


def _closing_brace(text: str, start: int, limit: int) -> int | None:
    depth = 1
    for brace in BRACE.finditer(text, start, min(limit, start + 1000)):
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return brace.end()
    return None


def _block_formula(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """A display formula that starts its own line; its lines may look like lists or headings."""
    start = state.bMarks[start_line] + state.tShift[start_line]
    opening = state.src[start : start + 2]
    if opening not in ("$$", "\\[") or state.is_code_block(start_line):
        return False
    closing = DELIMITERS[opening][0]
    for line in range(start_line, end_line):
        text = state.src[start if line > start_line else start + 2 : state.eMarks[line]]
        if not text.rstrip().endswith(closing) or (line > start_line and state.sCount[line] < state.blkIndent):
            continue
        if silent:
            return True
        token = state.push("formula", "math", 0)
        source = state.src[start + 2 : state.eMarks[line]].rstrip()
        token.content, token.info, token.block = source.removesuffix(closing), "block", True
        state.line = line + 1
        return True
    return False


def _formula(_: Any, tokens: list[Token], index: int, __: Any, env: dict[str, FormulaCap | None]) -> str:
    latex, display = tokens[index].content.strip(), tokens[index].info
    drawn = mathml(latex, "block" if display == "block" else "inline") if _may_draw(env.get("formulas")) else None
    if drawn is None:
        return f"<code>{escapeHtml(latex)}</code>"
    # A formula wider than the column scrolls by itself.
    return f'<span class="formula" tabindex="0">{drawn}</span>' if display == "block" else drawn


def _may_draw(cap: FormulaCap | None) -> bool:
    if cap is None:
        return True
    cap.left -= 1
    return cap.left >= 0


def _link_open(_: Any, tokens: list[Token], index: int, *__: Any) -> str:
    address = escapeHtml(str(tokens[index].attrs.get("href", "")))
    return f'<a href="{address}" target="_blank" rel="noopener noreferrer nofollow">'


def _image(_: Any, tokens: list[Token], index: int, *__: Any) -> str:
    """An image would be fetched unasked, and its address could carry the conversation away: a link instead."""
    address, label = str(tokens[index].attrs.get("src", "")), tokens[index].content
    tokens[index].attrs["href"] = address
    return _link_open(_, tokens, index) + f"{escapeHtml(label or address)}</a>"


def _heading_open(_: Any, tokens: list[Token], index: int, *__: Any) -> str:
    return f"<h{_level(tokens[index])}>"


def _heading_close(_: Any, tokens: list[Token], index: int, *__: Any) -> str:
    return f"</h{_level(tokens[index])}>"


def _level(token: Token) -> int:
    # The page's title is h1 and each question is h2.
    return min(6, int(token.tag[1:]) + 2)


def _fence(_: Any, tokens: list[Token], index: int, *__: Any) -> str:
    return f'<pre tabindex="0"><code>{escapeHtml(tokens[index].content)}</code></pre>'
