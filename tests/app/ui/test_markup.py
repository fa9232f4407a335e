"""Markdown and LaTeX of a model become markup that holds nothing but what we put there."""

from __future__ import annotations

import time
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from r1chat.app.ui.formulas import MAX_LENGTH, mathml
from r1chat.app.ui.markup import GrowingMarkup, render

ALLOWED = frozenset(
    "p br hr em strong s code pre ul ol li blockquote h3 h4 h5 h6 a table thead tbody tr th td span"
    " math mrow mi mn mo mtext mspace mfrac msqrt mroot msup msub msubsup mover munder munderover"
    " mtable mtr mtd mstyle menclose mpadded mphantom".split()
)
ATTRIBUTES = frozenset(
    "href rel target tabindex class start style display stretchy fence form separator accent accentunder"
    " displaystyle largeop movablelimits symmetric columnalign notation mathvariant scriptlevel linethickness"
    " minsize maxsize width height depth lspace rspace voffset rowspacing columnspacing".split()
)
PIECES = (
    "<img src=x onerror=a()>", "<script>", "</code>", "${x}", "\\(", "\\)", "\\[", "\\]", "$$", "\\boxed{", "}", "{",
    "![a](http://e.example/x)", "[a](javascript:a())", "[a](data:text/html,x)", "\\href{javascript:a()}{x}",
    "\\style{background:url(//e)}{x}", "\\text{<b onclick=a()>}", "\\frac{1}{2}", "```", "`", "|", "\n", "\n\n", "- ",
    "# ", "> ", "&amp;", "&lt;script&gt;", "&", "\ue000script\ue001", "<", ">", '"', "'", "\\", "x", " ", "[x]: //e\n",
)  # fmt: skip


class Inventory(HTMLParser):
    """Every tag and attribute in a piece of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str]] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {(name, value or "") for name, value in attrs}


def assert_tame(html: str) -> None:
    inventory = Inventory(html)
    assert inventory.tags <= ALLOWED
    for name, value in inventory.attributes:
        assert name in ATTRIBUTES
        assert name != "style" or value in ("text-align:left", "text-align:right", "text-align:center")
        assert name != "href" or not value.lower().strip().startswith(("javascript:", "data:", "vbscript:", "file:"))


@pytest.mark.parametrize("text", ["2*60*40/100 = 48", "(a)*b*(c)", "2**3 and 2**4", "n*(n-1)*(n-2)", "x*y, then y*x"])
def test_a_product_keeps_its_signs(text: str) -> None:
    assert render(text) == f"<p>{text}</p>\n"


@pytest.mark.parametrize("text", ["*so* and **so**", "**Step 1**: **答案**是", "*a*, *(b)*."])
def test_emphasis_stays_emphasis(text: str) -> None:
    assert "*" not in render(text)


@settings(max_examples=400)
@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join))
def test_no_mixture_of_hostile_pieces_yields_a_foreign_tag_or_attribute(text: str) -> None:
    assert_tame(render(text))


@pytest.mark.parametrize(
    ("latex", "expected"),
    [
        (r"\( x < 3 \)", "<mo>&lt;</mo>"),
        (r"\[ \frac{1}{2} \]", "<mfrac><mrow><mn>1</mn></mrow><mrow><mn>2</mn></mrow></mfrac>"),
        (r"$$ \sqrt{2} $$", "<msqrt>"),
        (r"The answer is \boxed{\frac{3}{4}}.", '<menclose notation="box">'),
        ("\\[\n- x\n= 1\n\\]", "<mo>−</mo><mi>x</mi>"),
        (r"\begin{aligned} a &= b \\ c &= d \end{aligned}".join((r"\[", r"\]")), "<mtable"),
        (r"\( \text{a < b} \)", "<mtext>a"),
    ],
)
def test_formulas_become_mathml(latex: str, expected: str) -> None:
    html = render(latex)
    assert "<math" in html and expected in html
    assert_tame(html)


@pytest.mark.parametrize(
    "latex", ["{" * 500, r"\frac{1}{" * 200, "x" * (MAX_LENGTH + 1), "x^y^z", "a & b", "", "\\begin{array}"]
)
def test_what_is_no_formula_is_shown_as_its_source(latex: str) -> None:
    drawn = mathml(latex, "inline")
    assert drawn is None or drawn.startswith("<math")
    assert_tame(render(f"\\( {latex} \\)"))


def test_prices_and_paths_are_not_formulas() -> None:
    assert "<math" not in render(r"It costs $5 or $6, see C:\(x86) and a\b.")


def test_code_keeps_tabs_angle_brackets_and_delimiters() -> None:
    assert 'if x &lt; 2:\n\treturn "\\( y \\)"'.replace('"', "&quot;") in render(
        '```python\nif x < 2:\n\treturn "\\( y \\)"\n```'
    )


def test_an_image_becomes_a_link() -> None:
    html = render("![a cat](https://e.example/cat.png)")
    assert "<img" not in html and 'href="https://e.example/cat.png"' in html and ">a cat</a>" in html


TEXT = "First *one*.\n\n```\na\n\nb\n```\n\n\\[\nx\n\n\\]\n\n- p\n- q\n\nlast **word"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_growing_markup_does_not_depend_on_how_the_text_was_cut(size: int) -> None:
    markup = GrowingMarkup()
    before = ""
    for start in range(0, len(TEXT), size):
        markup.feed(TEXT[start : start + size])
        assert markup.html.startswith(before), "what was drawn stays"
        before = markup.html
    assert markup.tail == "last **word"
    assert markup.html == render("First *one*.\n\n") + render(TEXT[14 : TEXT.index("last")])


def test_a_paragraph_being_written_is_plain_text() -> None:
    markup = GrowingMarkup()
    markup.feed("<b>half")
    assert (markup.html, markup.tail) == ("", "<b>half")


@pytest.mark.parametrize("piece", ["\\(", "\\[ "])
def test_a_loop_of_openings_takes_no_longer_for_each_of_them(piece: str) -> None:
    """Looked for to the end of the text each time, these would take minutes."""
    began = time.process_time()
    render(piece * 100_000)
    assert time.process_time() - began < 15


def test_a_formula_behind_one_that_never_ends_is_drawn() -> None:
    assert "<math" in render("[a $$ b](c) and \\(x\\) but \\[ y and \\(z\\)")


def test_what_comes_into_a_long_block_of_code_costs_the_same_as_at_its_beginning() -> None:
    """Looked through from its beginning each time, this would take minutes."""
    text = "```\n" + "a line\n\n" * 20_000
    markup, began = GrowingMarkup(), time.process_time()
    for start in range(0, len(text), 40):
        markup.feed(text[start : start + 40])
    assert time.process_time() - began < 10 and markup.tail == text
