"""Which problems the evaluation asks too: training on them would measure memory."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable

from ..problems.held_out import SPLITS, is_held_out
from ..problems.problem import Problem
from ..rows import ProblemRow
from ..sources.generated import SOURCE
from ..sources.gym import GYM
from ..sources.instructions import BOXED, FUNCTION, LETTER, PROGRAM
from .funnel import Drop
from .wording import numbers, runs, signs, without_numbers, words

RUN = 8
# as distill.sources names them; files may be called generated_exam.jsonl
_TEMPLATES = re.compile(rf"{SOURCE}(-({'|'.join(SPLITS)}))?|{GYM}:.*")
# what problems of all kinds are asked with, here and in R1's README
_INSTRUCTIONS = {without_numbers(run) for text in (BOXED, LETTER, PROGRAM, FUNCTION) for run in runs(words(text), RUN)}
_COMMON = 5  # evaluation problems that share eight words, whatever their numbers: that is phrasing
_TELLING = 3  # signs that a problem needs so that finding it in another one means something


class EvaluationProblems:
    """The problems of the evaluation sets, to be looked up by wording.

    A problem is hit in either of two ways. `same_as_test`: the same signs, or the one's signs within the other's (an
    instruction before or behind), and the same numbers in the same order. `shared_8_gram`: eight words in a row,
    as s1 and open-r1 decontaminate, except those that five evaluation problems share, or that are of an instruction.
    Of a problem drawn from a template only the first counts, because its siblings share its words by design: there the
    same wording with the same numbers is the same problem, and with others another.
    """

    def __init__(self) -> None:
        self._same: dict[tuple[str, ...], dict[str, str]] = defaultdict(dict)  # numbers -> signs -> id
        self._runs: dict[str, str] = {}
        self._phrases: Counter[str] = Counter()

    def add(self, problems: Iterable[ProblemRow]) -> None:
        """Adds a set."""
        for problem in problems:
            said, same = signs(problem.prompt), self._same[numbers(problem.prompt)]
            if said in same:
                continue
            same[said] = problem.id
            if not _is_from_template(problem):
                found = runs(words(problem.prompt), RUN)
                self._runs |= {run: problem.id for run in found}
                self._phrases.update({without_numbers(run) for run in found})

    def hit(self, prompt: str) -> Drop | None:
        """How the evaluation asks this too; None: it does not."""
        said = signs(prompt)
        for other, problem_id in self._same.get(numbers(prompt), {}).items():
            if said == other or _within(said, other) or _within(other, said):
                return Drop("same_as_test", problem_id)
        for run in runs(words(prompt), RUN):
            phrase = without_numbers(run)
            if run in self._runs and phrase not in _INSTRUCTIONS and self._phrases[phrase] < _COMMON:
                return Drop("shared_8_gram", f"{self._runs[run]}: {run}")
        return None


def is_held_out_row(row: ProblemRow) -> bool:
    """Whether our own problems for measuring ask this too: also of a file's puzzles, in whatever words, where they have
    what makes one.
    """
    check = row.check if row.check and {"numbers", "target"} <= row.check.keys() else None
    return is_held_out(Problem(row.family, row.prompt, row.gold or "", "", "", row.verifier, check))


def _is_from_template(problem: ProblemRow) -> bool:
    return _TEMPLATES.fullmatch(problem.source) is not None


def _within(inner: str, outer: str) -> bool:
    return inner.count(" ") + 1 >= _TELLING and f" {inner} " in f" {outer} "
