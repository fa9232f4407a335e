"""What the answers of one model to one set come to: accuracy, the vote of k, costs and form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from statistics import fmean
from typing import Any

from ..rows import ProblemRow, SampleRow, Verifier
from .accuracy import Accuracy, accuracy_of
from .asking import CUT_OFF
from .estimators import cons_at_k, interval, pass_at_k

# Verifiers whose answers are short enough to be the same twice; a vote on programs or essays says nothing.
VOTABLE = ("math", "exact")
# (verifier, answer of each sample or None) -> the samples with equal answers, as verify.consensus gives them
Classes = Callable[[Verifier, Sequence[str | None]], list[list[int]]]
Answered = dict[str, list[SampleRow]]  # the samples of each problem, by its id
_RIGHT = object()


def score_set(
    problems: Sequence[ProblemRow],
    rows: Sequence[SampleRow],
    classes: Classes,
    *,
    concurrency: int,
    by_family: bool = False,
) -> dict[str, Any]:
    """One model's part of evaluation.json for one set. `classes` tells which answers are equal.

    What lies outside the field of a model is left out of all but its family: owning up to it is not solving.
    `seconds_per_right` is the time that passed, with `concurrency` requests side by side.
    """
    answered = group_rows(problems, rows)
    inside = solvable(problems)
    drawn = [row for problem in inside for row in answered[problem.id]]
    families = sorted({problem.family for problem in problems if problem.family})
    n_right = sum(row.verdict == "right" for row in drawn)
    seconds = sum(row.seconds for row in drawn) / min(concurrency, len(drawn))
    return {
        "overall": asdict(_accuracy(inside, answered, by_family)),
        "families": {f: asdict(_accuracy([p for p in problems if p.family == f], answered)) for f in families},
        **_votes(inside, answered, classes, by_family),
        "pass_at_k": {str(k): fmean(_passes(inside, answered, k)) for k in _ks(len(answered[inside[0].id]))},
        "tokens_per_right": sum(row.n_tokens for row in drawn) / n_right if n_right else None,
        "seconds_per_right": seconds / n_right if n_right else None,
        "format_rate": fmean(well_formed(row, p) for p in inside for row in answered[p.id]),
        "unjudged": fmean(row.verdict == "unknown" for row in drawn),
    }


def shares_right(problems: Sequence[ProblemRow], rows: Sequence[SampleRow]) -> dict[str, float]:
    """The share of right answers to each problem that lies in the field, by its id."""
    answered = group_rows(problems, rows)
    return {p.id: fmean(row.verdict == "right" for row in answered[p.id]) for p in solvable(problems)}


def group_rows(problems: Sequence[ProblemRow], rows: Sequence[SampleRow]) -> Answered:
    answered: Answered = {problem.id: [] for problem in problems}
    for row in rows:
        answered[row.problem_id].append(row)
    return answered


def solvable(problems: Sequence[ProblemRow]) -> list[ProblemRow]:
    """Without those outside the field, where there are others."""
    return [problem for problem in problems if problem.verifier != "outside"] or list(problems)


def well_formed(row: SampleRow, problem: ProblemRow) -> bool:
    """A thought that was closed, and an answer; to a question of mathematics, one in a box."""
    if row.finish_reason == CUT_OFF or not row.reasoning or not row.answer.strip():
        return False
    return problem.verifier != "math" or "\\boxed{" in row.answer


def answer_classes(problem: ProblemRow, rows: Sequence[SampleRow], classes: Classes) -> list[object | None]:
    """The class of equal answers that each sample fell into; None where it gave none. All right ones are equal."""
    others = [None if row.verdict == "right" or row.finish_reason == CUT_OFF else row.extracted for row in rows]
    found: list[object | None] = [_RIGHT if row.verdict == "right" else None for row in rows]
    for number, members in enumerate(classes(problem.verifier, others)):
        for sample in members:
            found[sample] = number
    return found


def _votes(problems: Sequence[ProblemRow], answered: Answered, classes: Classes, by_family: bool) -> dict[str, Any]:
    """Over the problems whose answers can be compared, `cons_n` of them."""
    votable = [problem for problem in problems if problem.verifier in VOTABLE]
    if not votable:
        return {"cons_at_k": None, "cons_interval": None, "cons_n": 0}
    shares = [_vote(p, answered[p.id], classes) for p in votable]
    found = interval(shares, _groups(votable, by_family))
    return {"cons_at_k": fmean(shares), "cons_interval": found, "cons_n": len(votable)}


def _vote(problem: ProblemRow, rows: Sequence[SampleRow], classes: Classes) -> float:
    n_right = sum(row.verdict == "right" for row in rows)
    if n_right == 0 or 2 * n_right > len(rows):  # whatever the others say: nothing need be compared
        return float(n_right > 0)
    return cons_at_k(answer_classes(problem, rows, classes), _RIGHT)


def _accuracy(problems: Sequence[ProblemRow], answered: Answered, by_family: bool = False) -> Accuracy:
    shares = [fmean(row.verdict == "right" for row in answered[p.id]) for p in problems]
    rows = [row for p in problems for row in answered[p.id]]
    counts = [(row.finish_reason == CUT_OFF, row.n_tokens, row.n_reasoning_tokens) for row in rows]
    return accuracy_of(shares, len(rows) // len(problems), counts, _groups(problems, by_family))


def _passes(problems: Sequence[ProblemRow], answered: Answered, k: int) -> list[float]:
    groups = [answered[problem.id] for problem in problems]
    return [pass_at_k(sum(row.verdict == "right" for row in rows), len(rows), k) for rows in groups]


def _ks(most: int) -> list[int]:
    """1, 2, 4 ... and the number of samples itself."""
    return sorted({2**i for i in range(most.bit_length())} | {most})


def _groups(problems: Sequence[ProblemRow], by_family: bool) -> list[str] | None:
    return [problem.family or problem.id for problem in problems] if by_family else None
