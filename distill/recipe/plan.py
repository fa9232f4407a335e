"""What a recipe will do, before it begins: a line for each step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import shorten
from typing import Any

from ..errors import DistillError
from ..grpo.job import contradiction
from ..sources.generated import held_out_like, is_taught_here
from ..sources.problems import asks_for_programs, check_problems
from ..sources.traces import check_traces
from ..students import Student, find_student
from ..verify.sandbox import why_no_jail
from .recipe import Recipe, RecipeError, Step
from .schema import settings_of
from .steps import Choices, stages_of

# The settings that name sources, by section.
_PROBLEMS = (
    ("generate", "problems"), ("generate", "traces"), ("sft", "watch_set"), ("grpo", "problems"), ("grpo", "watch_set"),
    ("evaluate", "sets"),
)  # fmt: skip


def check_plan(recipe: Recipe, choices: Choices) -> None:
    """Before hours are spent. Raises RecipeError where its steps cannot be done with this student, or name problems or
    traces that are not there, as far as this machine knows.
    """
    use = f"Use: r1chat distill --recipe {recipe.source} --student {recipe.student}"
    try:
        student = find_student(choices.student)
    except DistillError as error:
        raise RecipeError(f"{str(error).partition(' Use: ')[0]} {use}") from error
    streams = [step.name for step in recipe.steps if step.kind == "stream"]
    if streams and student.base is not None:
        raise RecipeError(
            f"{recipe.name} makes its student from nothing in the step {streams[0]}, and {student.name} is there "
            f"already. {use}"
        )
    for step in recipe.steps:
        _check_sources(recipe, step)
        _check_programs(recipe, step)
        _check_practice(recipe, step)
        if student.base is None:
            _check_held_out(recipe, step)


def _check_practice(recipe: Recipe, step: Step) -> None:
    if step.kind == "grpo" and (found := contradiction(settings_of("grpo", dict(step.settings["grpo"])))):
        fault, mend = found
        again = f"r1chat distill --recipe {recipe.source}"
        raise RecipeError(f"{recipe.source}: {step.name}.grpo: {fault}. Set {mend}, then: {again}")


def _check_sources(recipe: Recipe, step: Step) -> None:
    """Of the sources that a step names by itself."""
    for section, field in _PROBLEMS:
        for spec in _specs(step, section, field):
            try:
                check_traces(spec) if field == "traces" else check_problems(spec)
            except DistillError as error:
                told = str(error).rpartition(". ")[0]
                raise RecipeError(
                    f"{recipe.source}: {step.name}.{section}.{field}: {told}. "
                    f"Mend it, then: r1chat distill --recipe {recipe.source}"
                ) from error


def _check_held_out(recipe: Recipe, step: Step) -> None:
    """Of a student that is made here, which learns from all problems but those that are held out."""
    for section, field in _PROBLEMS:
        for spec in _specs(step, section, field) if field in ("watch_set", "sets") else ():
            if is_taught_here(spec):
                raise RecipeError(
                    f"{recipe.source}: {step.name}.{section}.{field}: {spec} is what bases are made of here, so it "
                    f"measures nothing. Measure on {held_out_like(spec)}, then: r1chat distill --recipe {recipe.source}"
                )


def wants_programs(step: Step) -> bool:
    """Whether its student, or its teacher, is to write programs, which are run to be judged."""
    return any(
        asks_for_programs(spec)
        for section, field in _PROBLEMS
        if field != "traces" and (step.measured or section != "evaluate")
        for spec in _specs(step, section, field)
    )


def _specs(step: Step, section: str, field: str) -> Sequence[str]:
    given: Any = step.settings.get(section, {}).get(field) or ()
    return (given,) if isinstance(given, str) else given


def _check_programs(recipe: Recipe, step: Step) -> None:
    if wants_programs(step) and not step.settings.get("verify", {}).get("sandbox"):
        raise RecipeError(
            f"{recipe.source}: {step.name} asks for programs, which are run to be judged. Allow it, verify: "
            f"{{sandbox: true}}, then: r1chat distill --recipe {recipe.source}"
        )


def plan_lines(recipe: Recipe, choices: Choices, run_dir: str) -> list[str]:
    """For the terminal."""
    student = find_student(choices.student)
    width = max(len(step.name) for step in recipe.steps)
    lines = [f"recipe    {recipe.name}{f': {recipe.about}' if recipe.about else ''}", *_student(choices, student)]
    for number, step in enumerate(recipe.steps, 1):
        lines.append(f"{f'step {number}':<9} {step.name:<{width}}  {_says(step, student)}")
    lines += [f"warning   {text}" for step in recipe.steps for text in _slow(step, student)]
    if any(map(wants_programs, recipe.steps)) and (why := why_no_jail()):
        lines.append(f"warning   the sandbox for programs does not work here ({why}), so this cannot be done")
    lines += _measured(recipe)
    if recipe.takes:
        lines.append(f"takes     {recipe.takes}")
    if any(step.settings.get("verify", {}).get("sandbox") for step in recipe.steps):
        lines.append("code      that the student writes is run here, in a sandbox")
    return [*lines, f"folder    {run_dir}"]


def _student(choices: Choices, student: Student) -> Iterator[str]:
    weights = "" if student.parameters is None else f", {student.parameters / 1e6:,.1f} million weights"
    yield f"student   {choices.name}, of {student.base or student.name}{weights}, seed {choices.seed}"


def _says(step: Step, student: Student) -> str:
    start = step.begins or ("random weights" if step.kind == "stream" else student.base or "a base made first")
    return f"{_WORDS[step.kind](step)}; from {start}"


def _slow(step: Step, student: Student) -> Iterator[str]:
    """The usual rate is for all weights of a large base."""
    given = step.settings.get("grpo", {})
    if step.kind != "grpo" or "learning_rate" in given:
        return
    settings = settings_of("grpo", dict(given))
    if student.base is None:
        who, rate = "a student made here", "1e-4"
    elif (settings.method or student.method) != "full":
        who, rate = "an adapter", "1e-5"
    else:
        return
    told = f"{step.name}: a rate of {settings.learning_rate:g} hardly moves {who}"
    yield f"{told}. In the recipe, set: learning_rate: {rate}"


def _stream(step: Step) -> str:
    settings = settings_of("stream", dict(step.settings["stream"]))
    budget = _budget(step, settings.minutes, None) if settings.tokens is None else f"{settings.tokens / 1e6:g} M tokens"
    return f"training on {settings.corpus}, {budget}"


def _sft(step: Step) -> str:
    generate = settings_of("generate", dict(step.settings.get("generate", {})))
    sft = settings_of("sft", dict(step.settings["sft"]))
    told = [f"traces {_sources(generate.traces)}"] if generate.traces else []
    if generate.teacher is not None:
        most = "" if generate.max_problems is None else f"up to {generate.max_problems:,} problems of "
        told.append(f"right answers of {generate.teacher} to {most}{_sources(generate.problems)}, {generate.k} each")
    length = f"{sft.epochs:g} epochs" if sft.max_steps is None else f"{sft.max_steps:,} steps"
    return f"fine-tuning, {length} on {' and '.join(told)}"


def _grpo(step: Step) -> str:
    settings = settings_of("grpo", dict(step.settings["grpo"]))
    batch = f"{settings.prompts_per_step} problems x {settings.num_generations} answers a step"
    return f"GRPO on {_sources(settings.problems)}, {batch}, {_budget(step, settings.minutes, settings.steps)}"


_WORDS = {"stream": _stream, "sft": _sft, "grpo": _grpo}


def _sources(specs: Sequence[str]) -> str:
    """Of many families the first few."""
    return ", ".join(shorten(spec.replace(",", ", "), 60, placeholder=" ...").replace(", ", ",") for spec in specs)


def _budget(step: Step, minutes: float | None, steps: int | None) -> str:
    if step.budget is not None:
        return f"as long as {step.budget}"
    told = "" if minutes is None else "1 minute" if minutes == 1 else f"{minutes:g} minutes"
    parts = [f"{steps:,} steps" if steps is not None else "", told]
    return " or ".join(part for part in parts if part) or "without end"


def _measured(recipe: Recipe) -> Iterator[str]:
    told: dict[str, list[str]] = {}
    for step in recipe.steps:
        if "evaluate" in stages_of(step):
            settings: Any = settings_of("evaluate", dict(step.settings.get("evaluate", {})))
            text = f"{', '.join(settings.sets)}: up to {settings.n} problems each, {settings.samples} answers to each"
            told.setdefault(text, []).append(step.name)
    for text, names in told.items():
        every = "" if len(told) == 1 and len(names) == len(recipe.steps) else f" (after {', '.join(names)})"
        yield f"measured  {text}{every}"
