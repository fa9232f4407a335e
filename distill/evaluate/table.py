"""evaluation.json as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def evaluation_table(evaluation: dict[str, Any]) -> str:
    """Each set with a line for every model, then what the comparisons say, then how it was measured."""
    names = list(dict.fromkeys(name for model in evaluation["models"] for name in model["sets"]))
    lines = [line for name in names for line in _set(evaluation, name)]
    return "\n".join([*lines, _protocol(evaluation["protocol"])])


def _set(evaluation: dict[str, Any], name: str) -> Iterator[str]:
    k = evaluation["protocol"]["k"]
    first = next(model["sets"][name]["overall"] for model in evaluation["models"])
    yield f"{name}, {first['n']} problems x {first['k']}"
    yield (
        f"  {'':<18} {'pass@1':>6}  {'95 % interval':<16} {f'cons@{k}':>8} {f'pass@{k}':>8} {'cut off':>8} "
        f"{'in form':>8} {'tokens':>7} {'a right one':>11}"
    )
    for model in evaluation["models"]:
        yield f"  {model['key']}/{model['quant']:<{17 - len(model['key'])}} {_scores(model['sets'][name], k)}"
    if trained_on := evaluation["protocol"].get("trained_on", {}).get(name):
        yield f"  {trained_on} traces that were trained on ask what {name} asks"
    for model in evaluation["models"]:
        if unjudged := model["sets"][name]["unjudged"]:
            who = f"{model['key']}/{model['quant']}"
            yield f"  {who}: {unjudged:.1%} of the answers could not be judged, and count as wrong"
    scores = evaluation["models"][0]["sets"][name]
    if 0 < scores.get("cons_n", 0) < scores["overall"]["n"]:
        yield f"  cons@{k} is of the {scores['cons_n']} problems whose answers can be compared"
    for compared in evaluation["comparisons"]:
        if compared["set"] == name:
            yield f"  {_comparison(compared)}"
    yield ""


def _scores(scores: dict[str, Any], k: int) -> str:
    overall, vote, cost = scores["overall"], scores["cons_at_k"], scores["tokens_per_right"]
    span = f"{overall['low']:.1%} to {overall['high']:.1%}"
    return (
        f"{overall['pass_at_1']:6.1%}  {span:<16} {'-' if vote is None else f'{vote:.1%}':>8} "
        f"{scores['pass_at_k'][str(k)]:8.1%} {overall['truncated']:8.1%} {scores['format_rate']:8.1%} "
        f"{overall['mean_tokens']:7.0f} {'-' if cost is None else f'{cost:.0f}':>11}"
    )


def _comparison(compared: dict[str, Any]) -> str:
    low, high = compared["low"] * 100, compared["high"] * 100
    return (
        f"{compared['of']} less {compared['to']}: {compared['mean'] * 100:+.1f} points "
        f"({low:+.1f} to {high:+.1f}, p = {compared['p']:.2g}): {compared['verdict']}"
    )


def _protocol(protocol: dict[str, Any]) -> str:
    drawn = "greedy" if not protocol["temperature"] else f"T {protocol['temperature']}, top-p {protocol['top_p']}"
    return (
        f"{drawn}, at most {protocol['max_tokens']} tokens, seeds {protocol['seeds'].partition(',')[0]}; "
        f"intervals {protocol['intervals']}; p: {protocol['test']}; tokens: mean of an answer, all for a right one"
    )
