"""The ratios as a picture: a bar for each value that can be compared, as SVG written by hand."""

from __future__ import annotations

import math
from html import escape

from .report import Ratio, Row

_BAR, _GAP, _LEFT, _WIDTH, _TOP = 16, 8, 260, 420, 46
_SPAN = 10.0  # bars end at a tenth and at ten times


def chart(found: list[Row], own: str, peer: str) -> str:
    """Ours against one peer's on a logarithmic scale: equal in the middle, more to the right."""
    compared = [(row, ratio) for row in found if (ratio := row.ratios.get(peer))]
    height = _TOP + len(compared) * (_BAR + _GAP) + 10
    bars = "".join(_bar(index, row, ratio) for index, (row, ratio) in enumerate(compared))
    title = escape(f"{own} / {peer}: medians of the rounds' ratios, thin lines from least to most")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDTH + 90}" height="{height}" '
        f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
        f'<text x="12" y="20" font-size="14">{title}</text>{_scale(height)}{bars}</svg>\n'
    )


def _bar(index: int, row: Row, ratio: Ratio) -> str:
    y = _TOP + index * (_BAR + _GAP)
    middle, end = _x(1), _x(ratio.median)
    low, high = _x(ratio.low), _x(ratio.high)
    name = escape(f"{row.scenario}: {row.value} ({row.unit})")
    return (
        f'<text x="{_LEFT - 8}" y="{y + 12}" text-anchor="end">{name}</text>'
        f'<rect x="{min(middle, end):.1f}" y="{y}" width="{abs(end - middle):.1f}" height="{_BAR}" fill="#4c78a8"/>'
        f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y + _BAR / 2}" y2="{y + _BAR / 2}" stroke="black"/>'
        f'<text x="{_LEFT + _WIDTH + 8}" y="{y + 12}">{ratio.median:.3g}</text>'
    )


def _scale(height: int) -> str:
    marks = ((0.1, "0.1"), (0.5, "0.5"), (1, "1"), (2, "2"), (10, "10"))
    return "".join(
        f'<line x1="{_x(value):.1f}" x2="{_x(value):.1f}" y1="{_TOP - 4}" y2="{height - 8}" stroke="#ddd"/>'
        f'<text x="{_x(value):.1f}" y="{_TOP - 8}" text-anchor="middle" fill="#666">{text}</text>'
        for value, text in marks
    )


def _x(ratio: float) -> float:
    reach = math.log(max(1 / _SPAN, min(_SPAN, ratio or 1 / _SPAN)), _SPAN)
    return _LEFT + _WIDTH * (1 + reach) / 2
