"""Judge: one verdict for one answer, by the problem's verifier. Owns the children that compare mathematics.

Every method may be called from any thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import LifoQueue
from types import TracebackType
from typing import Self

from ...serve.answers.math_process import MathProcess, MathQuestion
from ..errors import DistillError
from ..rows import ProblemRow
from .code import rule_code
from .config import VerifyConfig
from .expression import rule_expression
from .instructions import rule_instructions
from .mathematics import rule_math
from .ruling import Ruling, after_thought, right, unknown, wrong
from .text import rule_exact, rule_json

_AHEAD = 8


class Judge:
    """A context manager; its children end with it. A question that kills its child fails alone."""

    def __init__(self, config: VerifyConfig) -> None:
        self._config = config
        self._processes = [MathProcess() for _ in range(max(1, config.workers))]
        self._idle: LifoQueue[MathProcess] = LifoQueue()  # no more are started than are needed at once
        for process in self._processes:
            self._idle.put(process)
        self._closed = False
        self._installed = MathProcess.is_installed()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._closed = True
        for process in self._processes:
            process.close()

    def verdict(self, problem: ProblemRow, answer: str) -> Ruling:
        """The verdict on `answer`, the text after the thought; nothing in a thought ever counts.

        It takes no longer than the configured time, for code that for each of its tests; what takes longer is
        "wrong". Raises DistillError where math-verify is needed and not installed.
        """
        text = after_thought(answer)
        match problem.verifier:
            case "math":
                return rule_math(problem.gold, text, self.ask)
            case "exact":
                return rule_exact(problem.gold, text)
            case "json":
                return rule_json(problem.gold, problem.check, text)
            case "outside":
                return _rule_outside(problem.gold, text)
            case "instructions":
                return rule_instructions(problem.check, problem.prompt, text)
            case "expression":
                return rule_expression(problem.check, text)
            case "code":
                return rule_code(problem.check, text, self._config)
            case "none":
                return unknown("this problem has no verifier")

    def verdicts(self, answers: Iterable[tuple[ProblemRow, str]]) -> Generator[Ruling]:
        """The verdicts in the order of the answers, which are read a little ahead of them."""
        with ThreadPoolExecutor(len(self._processes), "judge") as pool:
            begun: deque[Future[Ruling]] = deque()
            try:
                for problem, answer in answers:
                    begun.append(pool.submit(self.verdict, problem, answer))
                    if len(begun) > _AHEAD * len(self._processes):
                        yield begun.popleft().result()
                while begun:
                    yield begun.popleft().result()
            finally:
                for left in begun:
                    left.cancel()

    def ask(self, question: MathQuestion) -> bool:
        """math-verify's word on a question. Raises as MathProcess.ask does, and DistillError without the library."""
        if not self._installed:
            raise DistillError(
                "Comparing mathematics needs math-verify, which is not installed. Run: pip install 'r1chat[distill]'"
            )
        if self._closed:
            raise RuntimeError("The judge is closed.")
        process = self._idle.get()
        try:
            return process.ask(question, self._config.timeout_s)
        finally:
            self._idle.put(process)


def _rule_outside(gold: str | None, text: str) -> Ruling:
    if gold is None:
        return unknown("no gold")
    if "\\boxed{" in text:
        return wrong("claims an answer to what is outside the field")
    return right("owns up to it") if gold in text else wrong("does not own up to it")
