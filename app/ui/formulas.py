"""LaTeX formula -> MathML, which every current browser draws by itself.

latex2mathml does not escape what it passes through, so its output is read as XML and rebuilt from
allowed elements and attributes only. What it cannot read comes back as None and is shown as source.
"""

from __future__ import annotations

import re
from html import escape
from typing import Literal
from xml.etree import ElementTree

from latex2mathml.converter import convert

MAX_LENGTH = 4000
MAX_DEPTH = 60
ELEMENTS = frozenset(
    "math mrow mi mn mo mtext mspace mfrac msqrt mroot msup msub msubsup mover munder munderover"
    " mtable mtr mtd mstyle menclose mpadded mphantom mmultiscripts mprescripts none".split()
)
KEYWORDS = re.compile(r"[a-z -]{1,40}\Z")
# Anything longer could push the page apart.
LENGTH = re.compile(r"[+-]?\d{0,2}(\.\d{1,4})?(em|ex|px|%)?\Z")
ATTRIBUTES = {
    **dict.fromkeys(
        "display stretchy fence form separator accent accentunder displaystyle largeop movablelimits"
        " symmetric columnalign notation mathvariant".split(),
        KEYWORDS,
    ),
    **dict.fromkeys(
        "scriptlevel linethickness minsize maxsize width height depth lspace rspace voffset"
        " rowspacing columnspacing".split(),
        LENGTH,
    ),
}
# Stand-ins keep XML's own characters away from the converter until the tree is built.
STAND_INS = str.maketrans("<>", "\ue000\ue001")
ORIGINALS = str.maketrans("\ue000\ue001", "<>")
# The starred environments are the ones the converter knows as tables.
ENVIRONMENTS = re.compile(r"\{(?:aligned|align|gathered|gather|split)\}")


def mathml(latex: str, display: Literal["inline", "block"]) -> str | None:
    """Returns a <math> element that holds no script, link, style or remote address; None if unreadable."""
    if len(latex) > MAX_LENGTH:
        return None
    try:
        tree = ElementTree.fromstring(convert(_prepared(latex), display=display))
        return _rebuilt(tree, 0)
    # The converter raises whatever its parser stumbles over; all of it means "not a formula".
    except Exception:
        return None


def _prepared(latex: str) -> str:
    return ENVIRONMENTS.sub("{align*}", latex).translate(STAND_INS)


def _rebuilt(node: ElementTree.Element, depth: int) -> str:
    tag = node.tag.rpartition("}")[2]
    if tag not in ELEMENTS or depth > MAX_DEPTH:
        raise ValueError(f"<{tag}> at depth {depth}")
    text = (node.text or "").translate(ORIGINALS)
    if tag == "mi" and text in ("<", ">"):
        tag = "mo"
    attributes = "".join(
        f' {name}="{escape(value)}"'
        for name, value in node.attrib.items()
        if name in ATTRIBUTES and ATTRIBUTES[name].match(value)
    )
    children = "".join(_rebuilt(child, depth + 1) for child in node)
    return f"<{tag}{attributes}>{escape(text)}{children}</{tag}>"
