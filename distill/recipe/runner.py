"""Does the steps of a recipe one after the other. What is done with the same settings is not done again.

The folder reads as that of a run whose stages are the steps: their numbers are repeated in its events.jsonl.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import DistillError, quoted
from ..failures import told_in_words
from ..host import Host
from ..pipeline import STAGES, is_done, run
from ..run_folder import Event, RunFolder
from ..verify.sandbox import why_no_jail
from .comparison import RESULT, compared
from .plan import wants_programs
from .recipe import Recipe, Step
from .report import write_report
from .steps import Choices, configured, lay_base, stages_of, step_folder

# About how much of a step's time goes into each stage. The time left is told by the pace of the stage under way, so
# what comes after a long training must not weigh more than it takes: minutes after hours.
_WEIGHTS = {"base": 6.0, "stream": 8.0, "grpo": 8.0, "sft": 4.0, "generate": 3.0, "evaluate": 0.5}
_WEIGHT = 0.1
# Options of a run of its own whose settings bear another name.
_SETTINGS = {"sandbox": "verify: {sandbox: true}", "eval": "evaluate: {sets: [SPEC]}"}


def run_recipe(recipe: Recipe, choices: Choices, folder: RunFolder, host: Host) -> dict[str, Any]:
    """Does all steps that are not done; the content of recipe.json. Ctrl-C and kill -9 lose what the stage under way
    loses. Raises DistillError.
    """
    with told_in_words("recipe", _again(folder)):
        _check_jail(recipe, folder)
        _begin(recipe, choices, folder)
        for step in recipe.steps:
            _Runner(recipe, choices, folder, host, step).do()
        return report(recipe, choices, folder)


def report(recipe: Recipe, choices: Choices, folder: RunFolder) -> dict[str, Any]:
    """Writes recipe.json, of the steps that are done by now, and its page; the content of recipe.json."""
    result = compared(recipe, choices, folder.root)
    folder.write_json(folder.root / RESULT, result)
    write_report(folder, result)
    return result


def _again(folder: RunFolder) -> str:
    return f"r1chat distill --run-dir {quoted(folder.root)}"


def _check_jail(recipe: Recipe, folder: RunFolder) -> None:
    """Before hours of training, not behind them."""
    if any(map(wants_programs, recipe.steps)) and (why := why_no_jail()):
        raise DistillError(
            f"Programs are to be run in a sandbox, which does not work here: {why}. "
            f"On Linux where a plain user may open user namespaces, run: {_again(folder)}"
        )


def _begin(recipe: Recipe, choices: Choices, folder: RunFolder) -> None:
    record = folder.read_json(folder.record)
    record.setdefault("id", secrets.token_hex(8))
    record.setdefault("created", time.time())
    record["recipe"] = recipe.name
    record["config"] = {"name": choices.name, "seed": choices.seed, "student": {"name": choices.student}}
    record["plan"] = [step.name for step in recipe.steps]
    record["steps"] = json.loads(json.dumps([asdict(step) for step in recipe.steps], default=str))
    known = record.get("stages", {})
    record["stages"] = {name: known[name] for name in record["plan"] if name in known}
    folder.write_json(folder.record, record)


@dataclass(frozen=True)
class _Runner:
    """One step of one run."""

    recipe: Recipe
    choices: Choices
    whole: RunFolder
    host: Host
    step: Step

    def do(self) -> None:
        repeater = _Repeater(self.whole, self.step)
        folder = step_folder(self.whole.root, self.recipe, self.step, repeater.repeat)
        try:
            lay_base(self.recipe, self.step, folder, self.whole.root)
            config = configured(self.recipe, self.step, self.choices, self.whole.root)
            stages = [stage for stage in STAGES if stage.name in stages_of(self.step)]
            if self._recorded() and all(is_done(stage, config, folder) for stage in stages):
                self.host.say(f"{self.step.name}: already done")
                return
            self._record(None)
            repeater.begin()
            started = time.time()
            done = run(config, folder, self._own_host(), stages_of(self.step))
        except DistillError as error:
            raise DistillError(self._told(str(error))) from error
        summary = {name: record.get("summary", {}) for name, record in done.items()}
        seconds = sum(record.get("seconds", 0.0) for record in done.values())
        self._record({"finished": time.time(), "seconds": max(seconds, time.time() - started), "summary": summary})

    def _own_host(self) -> Host:
        """Of a step that is half done, the finished stages need not be told; and the student is the recipe's, whichever
        step is the last.
        """

        def say(text: str) -> None:
            if not text.endswith(": already done"):
                self.host.say(f"{self.step.name}: {_as_settings(text, _again(self.whole))}")

        def register(path: Path, name: str, card: dict[str, Any]) -> Path:
            return self.host.register(path, name, {**card, "source": str(self.whole.root.resolve())})

        return replace(self.host, say=say, register=register)

    def _recorded(self) -> bool:
        return self.step.name in self.whole.read_json(self.whole.record).get("stages", {})

    def _record(self, done: dict[str, Any] | None) -> None:
        """Notes that the step is done, or that from here on it is not. Then nothing is said of those behind it either,
        until they are looked at: they may build on what it was.
        """
        record = self.whole.read_json(self.whole.record)
        stages = record.setdefault("stages", {})
        if done is not None:
            stages[self.step.name] = done
        else:
            for step in self.recipe.steps[self.recipe.step(self.step.name) :]:
                stages.pop(step.name, None)
            record.pop("verdict", None)
        self.whole.write_json(self.whole.record, record)

    def _told(self, text: str) -> str:
        return f"Step {self.step.name}: {for_recipe(text, _again(self.whole))}"


def for_recipe(text: str, again: str) -> str:
    """An error with the command that mends it, which was for a run of its own: here it is the whole recipe that goes
    on, by `again`, and what were options are settings in its file.
    """
    before, command, options = text.partition("r1chat distill ")
    if not command:
        return text if "r1chat " in text else f"{text.rstrip('.')}. Then: {again}"
    if options.startswith("--recipe") or f"{command}{options} ".startswith(f"{again} "):
        return text
    given = re.findall(r"--([a-z-]+)((?: (?!--)\S+)?)", options.partition(";")[0])
    settings = ", ".join(_setting(name, value) for name, value in given if name != "run-dir")
    return f"{before}{settings} in the recipe, then: {again}" if settings else f"{before}{again}"


def _as_settings(text: str, again: str) -> str:
    """What a stage says, with options of the command by the names that they have in a recipe's file."""
    if "r1chat distill " in text:
        return for_recipe(text, again)
    return text if "r1chat " in text else re.sub(r"--([a-z]+(?:-[a-z]+)*)", lambda found: _setting(found[1]), text)


def _setting(option: str, value: str = "") -> str:
    """An option of the command, with the blank before its value, as a recipe's file has it."""
    return _SETTINGS.get(option, option.replace("-", "_") + (f":{value}" if value else ""))


class _Repeater:
    """Repeats the numbers of a step in the recipe's folder, under the step's name. The shares of its stages become
    one of the whole step.
    """

    def __init__(self, whole: RunFolder, step: Step) -> None:
        self._whole = whole
        self._step = step
        self._stages = stages_of(step)
        self._share = 0.0

    def begin(self) -> None:
        self._whole.log(self._step.name, 0, share=0.0)

    def repeat(self, event: Event) -> None:
        value = event.value
        if event.metric == "share":
            value = self._share = max(self._share, self._of_step(event.stage, event.value))
        self._whole.log(self._step.name, event.step, sample=event.sample, **{event.metric: value})

    def _of_step(self, stage: str, share: float) -> float:
        weights = {name: _WEIGHTS.get(name, _WEIGHT) for name in self._stages}
        before = 0.0
        for name, weight in weights.items():
            if name == stage:
                before += weight * min(1.0, max(0.0, share))
                break
            before += weight
        return before / sum(weights.values())
