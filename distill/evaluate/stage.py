"""samples.jsonl and evaluation.json: teacher, base and student on the same problems, one after the other."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from msgspec.structs import replace

from ...serve.client import Client
from ..config import DistillConfig
from ..errors import DistillError, quoted
from ..filter.measured import evaluation_problems
from ..host import Host, Served
from ..rows import ProblemRow, RowAppender, SampleRow, TraceRow, read_rows, write_rows
from ..run_folder import RunFolder
from ..sources.problems import load_problems
from ..verify.consensus import classes_of
from ..verify.judge import Judge
from .accuracy import LETS_BE
from .arms import Arm, find_arms, serve_arm
from .asking import CUT_OFF, LONGEST_SILENCE_S, Asker
from .comparing import comparisons
from .progress import Progress
from .protocol import protocol
from .samples import Draw, Samples, wanted_draws
from .scores import score_set

Sets = dict[str, list[ProblemRow]]


@dataclass(frozen=True)
class Measured:
    """An arm with all its answers."""

    arm: Arm
    name: str
    quant: str
    sha256: str | None
    rows: list[SampleRow]

    @property
    def label(self) -> str:
        return f"{self.arm.key}/{self.quant}"


def run_stage(config: DistillConfig, folder: RunFolder, host: Host) -> dict[str, Any]:
    """What was drawn before and still fits is kept, also after a crash. Raises DistillError."""
    sets = load_sets(config)
    write_rows(folder.asked, (row for rows in sets.values() for row in rows))
    arms = find_arms(config, folder)
    trained_on = _trained_on(config, folder, sets)
    for name, count in trained_on.items():
        host.say(
            f"{count} traces that were trained on ask what {name} asks: it was not measured on when they were sifted. "
            f"To train without them: r1chat distill --run-dir {quoted(folder.root)}"
        )
    with Judge(config.verify) as judge:
        stage = Measurement(config, folder, host, judge, sets)
        measured = asyncio.run(stage.measure(arms))
        evaluation = stage.evaluation(measured)
    if trained_on:
        evaluation["protocol"]["trained_on"] = trained_on
    folder.write_json(folder.evaluation, evaluation)
    return summary(evaluation)


def load_sets(config: DistillConfig) -> Sets:
    """The problems of each set that can be judged, by the set's name. Raises DistillError where there are none."""
    settings = config.evaluate
    sets: Sets = {}
    for spec in settings.sets:
        found = load_problems(spec, limit=settings.n, seed=config.evaluation_seed)
        if not config.verify.sandbox and any(problem.verifier == "code" for problem in found):
            raise DistillError(
                f"{spec} is judged by running code that a model wrote. Allow it: r1chat distill --sandbox"
            )
        judged = {p.id: p for p in found if p.verifier != "none" and (p.gold is not None or p.check)}
        if not judged:
            raise DistillError(
                f"{spec} has no problem with a right answer to measure by. Name another: r1chat distill --eval SPEC"
            )
        sets[_set_name(spec, sets)] = list(judged.values())
    if not sets:
        raise DistillError("There is nothing to measure on. Name a set of problems: r1chat distill --eval gsm8k")
    return sets


def _trained_on(config: DistillConfig, folder: RunFolder, sets: Sets) -> dict[str, int]:
    """The kept traces that ask what a set asks, by the rule of the filter: of a set that was added since."""
    if not folder.kept.exists():
        return {}
    measured = evaluation_problems(config)
    caught = [row.problem.prompt for row in read_rows(folder.kept, TraceRow) if measured.hit(row.problem.prompt)]
    if not caught:
        return {}
    asked = {name: evaluation_problems(config, [spec]) for name, spec in zip(sets, config.evaluate.sets, strict=True)}
    counts = {name: sum(map(bool, map(problems.hit, caught))) for name, problems in asked.items()}
    return {name: count for name, count in counts.items() if count}


def _set_name(spec: str, taken: Sets) -> str:
    """A file goes by its name, not its path; two of one name are numbered."""
    name = spec.partition("=")[0] if "=" in spec else spec
    name = name.replace("\\", "/").rpartition("/")[2].removesuffix(".jsonl").removesuffix(".json")
    return name if name not in taken else f"{name}-{len(taken) + 1}"


class Measurement:
    """One run of the stage: the settings, and what the models answered so far."""

    def __init__(self, config: DistillConfig, folder: RunFolder, host: Host, judge: Judge, sets: Sets) -> None:
        self._config = config
        self._settings = config.evaluate
        self._folder = folder
        self._host = host
        self._judge = judge
        self._sets = sets
        self._samples = Samples(folder.samples)

    async def measure(self, arms: list[Arm]) -> list[Measured]:
        """One model at a time, so that one at a time is in memory."""
        self._samples.settle(self._judged_again(self._samples.rows()))
        n_problems = sum(map(len, self._sets.values()))
        progress = Progress(self._folder, len(arms) * n_problems * self._settings.samples)
        measured = [await self._measure(arm, progress) for arm in arms]
        left_out = [row for row in self._samples.rows() if row.model not in {arm.key for arm in arms}]
        self._samples.settle([*(row for found in measured for row in found.rows), *left_out])
        return measured

    def _judged_again(self, rows: list[SampleRow]) -> list[SampleRow]:
        """By the rules of this run: those that drew the answers may have had no sandbox, or less time."""
        problems = {(name, problem.id): problem for name, asked in self._sets.items() for problem in asked}
        ended = {row.id: row for row in rows if row.finish_reason != CUT_OFF and (row.set, row.problem_id) in problems}
        asked = ((problems[row.set, row.problem_id], row.answer) for row in ended.values())
        if ended:
            self._host.say(f"Judging the {len(ended)} answers that are there again")
        found = dict(zip(ended, self._judge.verdicts(asked), strict=True))
        return [
            replace(row, verdict=found[row.id].verdict, extracted=found[row.id].extracted) if row.id in found else row
            for row in rows
        ]

    async def _measure(self, arm: Arm, progress: Progress) -> Measured:
        if arm.sha256 is not None and arm.quant is not None:
            draws = self._wanted(arm.sha256)
            if not self._samples.missing(draws):
                progress.skip(f"{arm.key}/{arm.quant}", self._samples.of(draws))
                return Measured(arm, arm.model_name(self._config), arm.quant, arm.sha256, self._samples.of(draws))
        async with serve_arm(arm, self._host) as served:
            # an adapter's identity is known here only, a teacher's to the host only
            sha256 = arm.sha256 or served.teacher.sha256
            quant = arm.quant or served.teacher.quant or "unknown"
            # a folder's server has another port each time
            draws = self._wanted(sha256 or f"{served.url if arm.is_url else ''} {served.model}")
            await self._draw(arm, quant, served, draws, progress)
        name = arm.model_name(self._config) or served.teacher.name
        return Measured(arm, name, quant, sha256, self._samples.of(draws))

    def _wanted(self, identity: str) -> list[Draw]:
        return wanted_draws(self._sets, self._settings.samples, identity, self._settings.sampling | LETS_BE)

    async def _draw(self, arm: Arm, quant: str, served: Served, draws: list[Draw], progress: Progress) -> None:
        self._samples.discard(arm.key, quant, {draw.id for draw in draws})
        missing = self._samples.missing(draws)
        wanted = {draw.id for draw in missing}
        progress.skip(f"{arm.key}/{quant}", self._samples.of([draw for draw in draws if draw.id not in wanted]))
        self._host.say(f"Measuring {arm.key}/{quant}: {len(missing)} answers")
        extra: dict[str, Any] = dict(self._settings.sampling)
        key = self._host.teacher_key
        if not arm.is_url:
            extra |= {"priority": "batch", **LETS_BE}  # our own fields; others refuse what they do not know
            key = None
        client = Client(served.url, api_key=key, model=served.model, timeout=LONGEST_SILENCE_S)
        async with client:
            asker = Asker(client, self._judge.verdict, arm.key, quant, extra)
            with self._samples.appender() as file:

                def keep(row: SampleRow, file: RowAppender = file) -> None:
                    file.append(row)
                    self._samples.note(row)
                    progress.count(f"{arm.key}/{quant}", row)

                await asker.draw(missing, self._settings.concurrency, keep)

    def evaluation(self, measured: list[Measured]) -> dict[str, Any]:
        """The content of evaluation.json."""
        rows = {found.label: found.rows for found in measured}
        return {
            "settings": asdict(self._settings),
            "protocol": protocol(self._config, {found.label: found.arm for found in measured}),
            "models": [self._model(found) for found in measured],
            "comparisons": comparisons(list(rows), self._sets, rows, by_family=self._settings.by_family),
        }

    def _model(self, found: Measured) -> dict[str, Any]:
        scores = {
            name: score_set(
                problems,
                [row for row in found.rows if row.set == name],
                partial(classes_of, self._judge),
                concurrency=self._settings.concurrency,
                by_family=self._settings.by_family,
            )
            for name, problems in self._sets.items()
        }
        return {
            "key": found.arm.key, "quant": found.quant, "name": found.name, "sha256": found.sha256, "sets": scores
        }  # fmt: skip


def summary(evaluation: dict[str, Any]) -> dict[str, Any]:
    """For run.json: by set, pass@1 of each model and the verdict on the student beside its base."""
    found: dict[str, Any] = {}
    for model in evaluation["models"]:
        for name, scores in model["sets"].items():
            shares = found.setdefault(name, {"pass_at_1": {}})["pass_at_1"]
            shares[f"{model['key']}/{model['quant']}"] = round(scores["overall"]["pass_at_1"], 4)
    for compared in evaluation["comparisons"]:
        if compared["to"].startswith("base/"):
            found[compared["set"]]["gain"] = {key: compared[key] for key in ("mean", "low", "high", "p", "verdict")}
    return found
