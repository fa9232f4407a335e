"""The rows on their way through the filter: which are dropped and why, and what is known of the others."""

from __future__ import annotations

from collections.abc import Iterator

from ..rows import ProblemRow, TraceRow
from ..sft.rows import RowEncoder
from .candidate import Candidate
from .checks import check_finished, check_thought, check_verdict
from .config import FilterConfig
from .decontamination import EvaluationProblems, is_held_out_row
from .duplicates import ProblemGroups, text_key
from .funnel import Drop
from .language import check_language
from .repetition import check_repetition


class Sift:
    """Takes rows in their file's order; a row's place there names it, as ids may come twice.

    `rows` are the id and source of each, `drops` why some go, `left` the others. The rows themselves are not kept:
    a set of long traces is larger than memory.
    """

    def __init__(self, config: FilterConfig, encoder: RowEncoder, evaluation: EvaluationProblems) -> None:
        self._config, self._encoder, self._evaluation = config, encoder, evaluation
        self._groups = ProblemGroups()
        self._asked: dict[str, Drop | None] = {}
        # Positions that the student does not have cannot be trained on.
        self._max_tokens = min(config.max_tokens, encoder.context or config.max_tokens)
        self.rows: list[tuple[str, str]] = []
        self.drops: dict[int, Drop] = {}
        self.left: list[Candidate] = []

    def take(self, row: TraceRow) -> None:
        """Checks a row by itself; the first failure is its reason."""
        at = len(self.rows)
        self.rows.append((row.id, row.problem.source))
        failure = next(filter(None, self._failures(row)), None)
        if failure:
            self.drops[at] = failure
            return
        length = self._encoder.length(row.problem.prompt, row.reasoning or "", row.answer)
        if length > self._max_tokens:
            self.drops[at] = Drop("too_long", f"{length} tokens")
            return
        problem = self._groups.key(row.problem)
        text = text_key(problem, row.reasoning or "", row.answer)
        self.left.append(Candidate(at, row.id, problem, text, length, row.pass_rate, self._test(row.problem)))

    def drop(self, drops: dict[int, Drop]) -> None:
        """Takes rows out that were left, by their place."""
        self.drops |= drops
        self.left = [each for each in self.left if each.at not in drops]

    def _failures(self, row: TraceRow) -> Iterator[Drop | None]:
        config, thought = self._config, row.reasoning or ""
        yield check_finished(row)
        yield check_thought(row)
        yield check_verdict(row, keep_unverified=config.keep_unverified)
        yield check_language(thought, row.answer, config.language, config.min_language_share)
        yield check_repetition(f"{thought}\n{row.answer}")

    def _test(self, problem: ProblemRow) -> Drop | None:
        prompt = problem.prompt
        if prompt not in self._asked:
            held_out = Drop("same_as_test", "held out") if is_held_out_row(problem) else None
            self._asked[prompt] = self._evaluation.hit(prompt) or held_out
        return self._asked[prompt]
