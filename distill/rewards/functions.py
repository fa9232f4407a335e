"""The rewards of a training, put together from its settings, in the form in which trl calls them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..errors import DistillError
from ..filter.language import scripts_of
from ..rows import ProblemRow
from ..verify.config import VerifyConfig
from ..verify.judge import Judge
from .accuracy import Accuracy
from .config import RewardConfig
from .general import GeneralOnly, ServerJudge
from .guard import Values, guarded
from .manner import format_reward, language_reward, length_reward, repetition_reward
from .reward_model import RewardModel
from .said import Said, Score, take_apart, text_of


@dataclass(frozen=True)
class Limits:
    """Of a completion: the most tokens it may have, and the tokens that end one."""

    max_tokens: int
    end_ids: frozenset[int]

    def cuts(self, ids: Sequence[int]) -> bool:
        return len(ids) >= self.max_tokens and (not ids or int(ids[-1]) not in self.end_ids)


class Reward:
    """A function of trl's: `reward(prompts=, completions=, completion_ids=, problem_id=, ...) -> list[float | None]`.

    `problem_id` is a column of the data set, by which the problem is found. `last` is what it returned last.
    Raises DistillError as `guarded` does.
    """

    def __init__(
        self,
        name: str,
        weight: float,
        score: Score,
        problems: Mapping[str, ProblemRow],
        limits: Limits,
        timeout_s: float,
    ) -> None:
        self.name = self.__name__ = name
        self.weight = weight
        self.score = score
        self.last: Values = []
        self._problems = problems
        self._limits = limits
        self._timeout_s = timeout_s

    def __call__(
        self,
        *,
        prompts: list[Any],
        completions: list[Any],
        completion_ids: list[list[int]],
        problem_id: list[str],
        **columns: Any,
    ) -> Values:
        def work() -> list[float | None]:
            return self.score(self._said(prompts, completions, completion_ids, problem_id))

        self.last = guarded(self.name, work, len(completions), self._timeout_s)
        return self.last

    def _said(
        self, prompts: list[Any], completions: list[Any], completion_ids: list[list[int]], problem_ids: list[str]
    ) -> list[Said]:
        rows = zip(problem_ids, prompts, completions, completion_ids, strict=True)
        return [
            take_apart(
                self._problems[problem_id],
                prompt,
                text_of(completion),
                n_tokens=len(ids),
                cut=self._limits.cuts(ids),
            )
            for problem_id, prompt, completion, ids in rows
        ]


@contextmanager
def reward_functions(
    config: RewardConfig,
    verify: VerifyConfig,
    problems: Mapping[str, ProblemRow],
    limits: Limits,
    judge_key: str | None = None,
) -> Iterator[list[Reward]]:
    """The rewards of these problems (by their ids) while the block runs, accuracy first: it is always there, since
    the curves want it, if need be with the weight 0. `judge_key` is the API key for the judge of answers that no rule
    can judge. Raises DistillError for settings that cannot work.
    """
    _refuse(config, verify, problems, limits)
    with Judge(verify) as judge:
        scores: list[tuple[str, float, Score]] = [("accuracy", config.accuracy, Accuracy(judge))]
        scores += [scored for scored in _manners(config, limits.max_tokens) if scored[1]]
        if config.general and (general := _general(config, judge_key)):
            scores.append(("general", config.general, GeneralOnly(general)))
        yield [Reward(*scored, problems, limits, config.timeout_s) for scored in scores]


def _manners(config: RewardConfig, max_tokens: int) -> list[tuple[str, float, Score]]:
    language, soft = config.target_language, config.soft_tokens
    return [
        ("format", config.format, lambda all_said: [format_reward(said) for said in all_said]),
        ("language", config.language, lambda all_said: [language_reward(said, language) for said in all_said]),
        ("length", config.length, lambda all_said: [length_reward(said, max_tokens, soft) for said in all_said]),
        ("repetition", config.repetition, lambda all_said: [repetition_reward(said) for said in all_said]),
    ]


def _general(config: RewardConfig, key: str | None) -> Score | None:
    if config.judge is not None:
        return ServerJudge(config.judge, config.judge_model, key)
    return RewardModel(config.reward_model) if config.reward_model is not None else None


def _refuse(config: RewardConfig, verify: VerifyConfig, problems: Mapping[str, ProblemRow], limits: Limits) -> None:
    if config.language:
        scripts_of(config.target_language)
    if config.length and not 0 < config.soft_tokens < limits.max_tokens:
        raise DistillError(
            f"The length reward punishes the last {config.soft_tokens} of {limits.max_tokens} tokens, which leaves "
            "none free. Lower soft_tokens of its rewards, then run: r1chat distill --recipe FILE.yaml"
        )
    if config.judge is not None and config.reward_model is not None:
        raise DistillError(
            "The rewards name a judge and a reward_model; one of them scores what no rule can judge. Take the other "
            "out, then run: r1chat distill --recipe FILE.yaml"
        )
    if not verify.sandbox and any(problem.verifier == "code" for problem in problems.values()):
        raise DistillError(
            "Some of the problems ask for a program, which is run to be judged. Allow it: r1chat distill --sandbox"
        )
