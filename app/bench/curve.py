"""Accuracy over thought length as a picture: a line for each arm, intervals upright, as SVG written by hand."""

from __future__ import annotations

from html import escape

from .budget import ARMS, Curves, Point

_LEFT, _TOP, _WIDTH, _HEIGHT, _FOOT = 60, 56, 560, 320, 52
_COLOURS = dict(zip(ARMS, ("#4c78a8", "#e45756"), strict=True))
_TICKS = 5


def curve(curves: Curves, title: str) -> str:
    """Mean tokens of thought to the right, share of problems solved upwards; without a budget, and without a
    thought, as dashed lines across.
    """
    bounded = [point for point in curves.points if point.bounds]
    across = {point.budget: point for point in curves.points if not point.bounds}
    longest = max((point.accuracy.mean_reasoning_tokens for point in curves.points), default=1.0)
    right = _round_up(longest)
    lines = "".join(_line([p for p in bounded if p.arm == arm], arm, right) for arm in ARMS)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDTH + 30}" '
        f'height="{_TOP + _HEIGHT + _FOOT}" font-family="sans-serif" font-size="12">'
        f'<rect width="100%" height="100%" fill="white"/>'
        f'<text x="12" y="20" font-size="14">{escape(title)}</text>'
        f"{_legend()}{_axes(right)}{''.join(map(_level, across.values()))}{lines}</svg>\n"
    )


def _line(points: list[Point], arm: str, right: float) -> str:
    if not points:
        return ""
    points = sorted(points, key=lambda point: point.budget or 0)
    places = [(_x(p.accuracy.mean_reasoning_tokens, right), p) for p in points]
    path = " ".join(f"{x:.1f},{_y(p.accuracy.pass_at_1):.1f}" for x, p in places)
    colour = _COLOURS[arm]
    bars = "".join(
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_y(p.accuracy.low):.1f}" y2="{_y(p.accuracy.high):.1f}" '
        f'stroke="{colour}"/><circle cx="{x:.1f}" cy="{_y(p.accuracy.pass_at_1):.1f}" r="3.5" fill="{colour}">'
        f"<title>{escape(arm)}, budget {p.budget}: {p.accuracy.pass_at_1:.1%}</title></circle>"
        for x, p in places
    )
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>{bars}'


def _level(point: Point) -> str:
    y, found = _y(point.accuracy.pass_at_1), point.accuracy
    thought, answer = found.mean_reasoning_tokens, found.mean_tokens - found.mean_reasoning_tokens
    name = "no thought" if point.budget == 0 else "no budget"
    # the two lines may lie close together: one is named below, one above
    text_y = y + 13 if point.budget == 0 else y - 4
    return (
        f'<line x1="{_LEFT}" x2="{_LEFT + _WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#666" stroke-dasharray="5 4"/>'
        f'<text x="{_LEFT + 6}" y="{text_y:.1f}" fill="#666">{name}: {found.pass_at_1:.1%}, '
        f"{thought:.0f} tokens of thought and {answer:.0f} of answer</text>"
    )


def _legend() -> str:
    return "".join(
        f'<rect x="{_LEFT + i * 130}" y="32" width="12" height="12" fill="{_COLOURS[arm]}"/>'
        f'<text x="{_LEFT + i * 130 + 18}" y="42">{escape(arm)}</text>'
        for i, arm in enumerate(ARMS)
    )


def _axes(right: float) -> str:
    bottom = _TOP + _HEIGHT
    upright = "".join(
        f'<line x1="{_LEFT}" x2="{_LEFT + _WIDTH}" y1="{_y(i / _TICKS):.1f}" y2="{_y(i / _TICKS):.1f}" stroke="#ddd"/>'
        f'<text x="{_LEFT - 8}" y="{_y(i / _TICKS) + 4:.1f}" text-anchor="end" fill="#666">{i / _TICKS:.0%}</text>'
        for i in range(_TICKS + 1)
    )
    flat = "".join(
        f'<text x="{_x(right * i / _TICKS, right):.1f}" y="{bottom + 18}" text-anchor="middle" '
        f'fill="#666">{right * i / _TICKS:.0f}</text>'
        for i in range(_TICKS + 1)
    )
    name = f'<text x="{_LEFT + _WIDTH / 2}" y="{bottom + 40}" text-anchor="middle">mean tokens of thought</text>'
    return upright + flat + name


def _round_up(tokens: float) -> float:
    """An axis that ends on a multiple of fifty."""
    return max(1.0, -(-tokens // 50)) * 50


def _x(tokens: float, right: float) -> float:
    return _LEFT + _WIDTH * tokens / right


def _y(share: float) -> float:
    return _TOP + _HEIGHT * (1 - share)
