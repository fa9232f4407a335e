"""Ten problems with everyone's answer, drawn without a look at the answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from ..rows import ProblemRow, SampleRow, content_id
from .material import Samples
from .wording import count, visible

HOW_MANY = 10
# the page stays a page where thoughts are books
_LONGEST = 12_000
MARKS = {"right": "✓ right", "wrong": "✗ wrong", "unknown": "not judged"}
METHOD = (
    f"{HOW_MANY} problems, drawn by the hash of their ids, the sets in turn, among those that all here were asked; "
    "of each answer the first sample. Whether an answer is right plays no part in the choice."
)


@dataclass(frozen=True)
class Answer:
    """One model's first sample, as text that is safe to show."""

    who: str
    key: str
    verdict: str
    mark: str
    thought: str | None
    thought_size: str
    answer: str
    cut: bool


@dataclass(frozen=True)
class Trial:
    """A problem and what each model said."""

    set: str
    prompt: str | None
    problem_id: str
    gold: str | None
    answers: list[Answer]


def choose(samples: Samples, who: Sequence[str], sets: Sequence[str]) -> list[tuple[str, str]]:
    """(set, problem id) of at most HOW_MANY problems that all of `who` were asked."""
    rows = [sorted(_shared(samples, name, who), key=lambda found: content_id(*found)) for name in sets]
    in_turn = [found for turn in zip_longest(*rows) for found in turn if found]
    return in_turn[:HOW_MANY]


def trials(
    chosen: Sequence[tuple[str, str]],
    who: Sequence[str],
    answers: dict[tuple[str, str, str], SampleRow],
    problems: dict[str, ProblemRow],
) -> list[Trial]:
    return [
        Trial(
            set=visible(name),
            prompt=clipped(problems[problem_id].prompt) if problem_id in problems else None,
            problem_id=visible(problem_id),
            gold=_gold(problems.get(problem_id)),
            answers=[_answer(answers[name, problem_id, key]) for key in who],
        )
        for name, problem_id in chosen
    ]


def _shared(samples: Samples, name: str, who: Sequence[str]) -> Iterator[tuple[str, str]]:
    for problem_id, asked in samples.asked.get(name, {}).items():
        if asked.issuperset(who):
            yield name, problem_id


def _gold(problem: ProblemRow | None) -> str | None:
    return visible(problem.gold) if problem and problem.gold is not None else None


def _answer(row: SampleRow) -> Answer:
    size = f"{count(row.n_reasoning_tokens)} tokens" if row.n_reasoning_tokens else ""
    return Answer(
        who=row.model, key=f"{row.model}/{row.quant}", verdict=row.verdict, mark=MARKS[row.verdict],
        thought=None if row.reasoning is None else clipped(row.reasoning), thought_size=size,
        answer=clipped(row.answer), cut=row.finish_reason == "length",
    )  # fmt: skip


def clipped(text: str) -> str:
    """The text, and where it is very long its beginning and end; which part is missing is said in between."""
    if len(text) <= _LONGEST:
        return visible(text)
    half = _LONGEST // 2
    left_out = f"\n\n[ … {count(len(text) - 2 * half)} characters left out here … ]\n\n"
    return visible(text[:half]) + left_out + visible(text[-half:])
