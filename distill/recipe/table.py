"""recipe.json as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def recipe_table(result: dict[str, Any]) -> str:
    """Each set with a line for every step that was measured on it, then which steps differ."""
    sets = list(dict.fromkeys(name for step in result["steps"] for name in step["sets"]))
    return "\n".join(line for name in sets for line in _set(result, name)).rstrip()


def _set(result: dict[str, Any], name: str) -> Iterator[str]:
    measured = [(step, step["sets"][name]) for step in result["steps"] if name in step["sets"]]
    most = max(scores["n"] for _, scores in measured)
    width = max(4, *(len(step["name"]) for step, _ in measured))
    yield f"{name}, {most} problems x {measured[0][1]['k']}"
    yield (
        f"  {'step':<{width}} {'pass@1':>7}  {'95 % interval':<16} {'cut off':>8} {'readable':>9} {'mixing':>7} "
        f"{'refused':>8} {'tokens':>7} {'checks':>7} {'minutes':>8}"
    )
    for step, scores in measured:
        yield f"  {step['name']:<{width}} {_scores(scores)} {_number(step['minutes']):>8}"
    for compared in result["comparisons"]:
        if compared["set"] == name:
            yield f"  {_comparison(compared)}"
    yield ""


def _scores(scores: dict[str, Any]) -> str:
    span = f"{scores['low']:.1%} to {scores['high']:.1%}"
    return (
        f"{scores['pass_at_1']:7.1%}  {span:<16} {scores['truncated']:8.1%} {scores['readable']:9.1%} "
        f"{scores['mixing']:7.1%} {scores['refused']:8.1%} {scores['mean_tokens']:7.0f} {scores['checks']:7.1%}"
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _comparison(compared: dict[str, Any]) -> str:
    low, high = compared["low"] * 100, compared["high"] * 100
    return (
        f"{compared['of']} less {compared['to']}: {compared['mean'] * 100:+.1f} points "
        f"({low:+.1f} to {high:+.1f}, p = {compared['p']:.2g}): {compared['verdict']}"
    )
