"""What a run will take, before it begins: traces, download, memory, hours and disk. Asks no network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..serve.models.gguf.quant_size import file_bytes
from ..serve.models.gguf.spec import ModelSpec
from .config import DistillConfig
from .errors import DistillError
from .findings import Finding
from .lengths import CHARACTERS_PER_TOKEN, n_tokens
from .licences import licence_findings
from .sft.forecast import Forecast
from .sft.memory import adapter_weights
from .sft.preflight import in_words, memory_findings, row_findings, time_findings
from .sources.records import is_file
from .sources.traces import is_written, keyed_paths, load_traces
from .students import Student, parameters_of

_LOOKED_AT = 20_000
_SIDE_BY_SIDE = 3  # so many times one stream's tokens are had of many at once, at best, where a processor computes


@dataclass(frozen=True)
class KnownTraces:
    """A set of traces, rows and tokens about so: none of it is measured before it is read. `shares`: positions -> part
    of the rows that fits.
    """

    title: str
    licence: str
    rows: int
    row_tokens: int
    shares: dict[int, float]


KNOWN_TRACES = {
    "openr1-math": KnownTraces(
        "DeepSeek-R1's answers to the problems of open-r1/OpenR1-Math-220k, verified there", "Apache-2.0",
        180_000, 5_500, {2048: 0.12, 4096: 0.40, 8192: 0.75, 16384: 1.0},
    )
}  # fmt: skip


@dataclass(frozen=True)
class Rows:
    """What will be trained on, as far as it can be told: `said` are lines for a person."""

    said: tuple[str, ...]
    count: int | None
    row_tokens: float
    teachers: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True)
class Plan:
    """A run foreseen. `download` and `disk` in bytes; `forecast` is None where the base's shape or the number of its
    rows is not known before the run.
    """

    config: DistillConfig
    rows: Rows
    limit: int
    download: int
    disk: int
    forecast: Forecast | None
    findings: tuple[Finding, ...]

    def lines(self) -> list[str]:
        """For the terminal: one thing a line."""
        return [
            *_student_lines(self),
            *self.rows.said,
            *_row_lines(self),
            *_cost_lines(self),
            *_marked(self.findings, "licence"),
        ]


def make_plan(config: DistillConfig, pace: tuple[float, float] | None = None) -> Plan:
    """The plan of a run that has not begun. Local traces are read; the base need not be here. `pace`: tokens a second
    that the teacher writes in one stream, from slow to fast, where that is known. Raises DistillError.
    """
    student, shape = config.student, config.student.shape
    limit = min(config.filter.max_tokens, shape.n_ctx if shape else config.filter.max_tokens)
    rows = _rows(config, limit, pace)
    method = config.sft.method or student.method
    forecast = None
    if shape is not None and rows.count:
        longest = limit if rows.row_tokens > limit / 8 else int(4 * rows.row_tokens)
        forecast = Forecast(shape, method, config.sft, rows.count, rows.row_tokens, longest)
    findings = list(licence_findings(config.name, student.licence, rows.teachers))
    if student.base is None:
        findings = [finding for finding in findings if finding.level != "info"]
    return Plan(config, rows, limit, _download(student), _disk(config), forecast, tuple(findings))


def _rows(config: DistillConfig, limit: int, pace: tuple[float, float] | None) -> Rows:
    parts = [_of_traces(spec, config, limit) for spec in config.generate.traces]
    if config.generate.teacher is not None:
        parts.append(_of_teacher(config, limit, pace))
    if not parts:
        raise DistillError(
            "There are neither traces nor a teacher. Use: r1chat distill --student qwen-1.5b --traces openr1-math"
        )
    counts = [part.count for part in parts]
    known = [count for count in counts if count is not None]
    total = sum(known) if len(known) == len(counts) else None
    tokens = sum(part.row_tokens * (part.count or 1) for part in parts) / max(1, sum(part.count or 1 for part in parts))
    return Rows(tuple(line for part in parts for line in part.said), total, tokens,
                tuple(teacher for part in parts for teacher in part.teachers))  # fmt: skip


def _of_traces(spec: str, config: DistillConfig, limit: int) -> Rows:
    known = KNOWN_TRACES.get(spec)
    if known is not None:
        return _of_known(spec, known, config, limit)
    if not is_file(keyed_paths(spec)[0]) and not is_written(spec):
        return Rows(
            (f"traces    {spec}, from the hub: how many and how long is told once they are read",), None, 0.0, ()
        )
    return _of_local(spec, config, limit)


def _of_known(spec: str, known: KnownTraces, config: DistillConfig, limit: int) -> Rows:
    cap = config.generate.max_trace_tokens
    taken = known.rows if cap is None else min(known.rows, cap // known.row_tokens)
    share = next((share for bound, share in known.shares.items() if limit <= bound), 1.0)
    # what fits is shorter than what does not
    tokens = min(known.row_tokens, 0.65 * limit) if share < 1 else known.row_tokens
    told = "all" if cap is None else f"up to {cap / 1e6:,.0f} million tokens"
    lines = (
        f"traces    {spec}: {known.title}",
        f"          {known.licence}; {told}, about {taken:,} traces, of which about {share:.0%} fit",
    )
    return Rows(lines, max(1, int(taken * share)), tokens, (("deepseek-r1", known.licence),))


def _of_local(spec: str, config: DistillConfig, limit: int) -> Rows:
    cap, room = config.generate.max_trace_tokens, config.generate.max_problems
    count, taken, fitting, tokens, cut = 0, 0, 0, 0.0, False
    teachers: set[tuple[str, str | None]] = set()
    for row in load_traces(spec, limit=room if is_written(spec) else _LOOKED_AT + 1):
        taken += n_tokens(row)
        length = n_tokens(row) + len(row.problem.prompt) / CHARACTERS_PER_TOKEN
        if count == _LOOKED_AT or (cap is not None and taken > cap):
            cut = count == _LOOKED_AT
            break
        count += 1
        if length <= limit:
            fitting, tokens = fitting + 1, tokens + length
        teachers.add((row.teacher.name, row.teacher.licence))
    tokens, least = tokens / max(1, fitting), "at least " if cut else ""
    path = Path(keyed_paths(spec)[0])
    if cut and path.suffix == ".jsonl":
        with path.open("rb") as lines:
            total = sum(1 for _ in lines)
        allowed = total if cap is None else int(cap / taken * (count + 1))
        whole = max(count, min(total, allowed))
        count, fitting, least = whole, round(fitting * whole / count), "about "
    line = f"traces    {spec}: {least}{count:,} traces, of which about {fitting:,} fit"
    return Rows((line,), fitting, tokens, tuple(sorted(teachers, key=str)))


def _of_teacher(config: DistillConfig, limit: int, pace: tuple[float, float] | None) -> Rows:
    settings = config.generate
    most = None if settings.max_problems is None else settings.max_problems * settings.k
    asked = "all problems" if most is None else f"at most {settings.max_problems:,} problems"
    line = (
        f"teacher   {settings.teacher} answers {asked} of {', '.join(settings.problems)}, {settings.k} times each: "
        "its right answers are kept"
    )
    guess = min(limit, settings.max_tokens) / 4
    return Rows((line, *_teacher_hours(most, guess, pace)), most, guess, ())


def _teacher_hours(answers: int | None, tokens: float, pace: tuple[float, float] | None) -> Iterator[str]:
    """From `tokens` each, one after the other at the lower pace, to side by side at the higher."""
    if pace is None:
        return
    count = answers or 1_000
    slow, fast = (count * tokens / rate / 3600 for rate in (pace[0], pace[1] * _SIDE_BY_SIDE))
    what = f"its {count:,} answers" if answers else f"each {count:,} answers"
    yield f"          {what}, of {tokens:,.0f} tokens say, would take it from {in_words(fast)} to {in_words(slow)} here"


def _download(student: Student) -> int:
    """Bytes that the hub would send; 0 for what is here."""
    if student.base is None or Path(student.base).expanduser().is_dir():
        return 0
    from huggingface_hub import try_to_load_from_cache

    names = ("model.safetensors", "model.safetensors.index.json")
    if any(isinstance(try_to_load_from_cache(student.base, name), str) for name in names):
        return 0
    return 2 * (student.parameters or 0)


def _disk(config: DistillConfig) -> int:
    """The base, checkpoints, the student, and its GGUFs beside one of the base, at their most."""
    student, shape = config.student, config.student.shape
    parameters = student.parameters or 0
    if shape is None:
        return _download(student) + 6 * parameters
    whole = (config.sft.method or student.method) == "full"
    trained = parameters_of(shape) if whole else adapter_weights(shape, config.sft.lora_rank)
    files = [_file_bytes(shape, quant) for quant in config.export.quants]
    return _download(student) + 2 * 12 * trained + 2 * parameters + sum(files) + max(files, default=0)


def _file_bytes(shape: ModelSpec, quant: str) -> int:
    try:
        return file_bytes(shape.tensor_shapes(), quant)
    except KeyError:
        return file_bytes(shape.tensor_shapes(), "F16")


def _student_lines(plan: Plan) -> Iterator[str]:
    student = plan.config.student
    weights = "" if student.parameters is None else f", {_count(student.parameters)} weights"
    base = student.base or (student.note if student.note.startswith("a ") else f"a model made here, {student.note}")
    yield f"student   {plan.config.name}, which continues {base}{weights}, {student.licence or 'licence not stated'}"
    if plan.download:
        yield f"          {plan.download / 1e9:.1f} GB to download"


def _row_lines(plan: Plan) -> Iterator[str]:
    rows = plan.rows
    about = "" if rows.count is None else f"about {rows.count:,}, of {rows.row_tokens:,.0f} tokens on average, "
    yield f"rows      {about}{plan.limit:,} tokens at most"
    shape = plan.config.student.shape
    if shape is not None and shape.n_ctx < plan.config.filter.max_tokens:
        yield f"          the base has {shape.n_ctx:,} positions; longer traces are dropped, never cut"


def _cost_lines(plan: Plan) -> Iterator[str]:
    settings, student = plan.config.sft, plan.config.student
    method = settings.method or student.method
    rate = settings.learning_rate or student.rate(method)
    steps = "" if settings.max_steps is None else f"{settings.max_steps:,} steps"
    epochs = f"{round(plan.forecast.epochs if plan.forecast else settings.epochs, 2):g} epochs"
    told = f"{steps}, about {epochs}" if steps and plan.forecast else steps or epochs
    yield f"training  {method}, learning rate {rate:g}, {settings.batch_size} rows a step, {told}"
    if plan.forecast is None:
        yield "          memory and hours are told before the first step, once rows and base are here"
    else:
        yield from _marked(_foreseen(plan.forecast), "")
    sets = plan.config.evaluate
    answers = sets.n * (1 if sets.greedy else sets.k)
    yield f"measured  on {', '.join(sets.sets)}: up to {answers:,} answers of each model to each,"
    yield "          which takes time of its own"
    yield f"disk      about {max(0.1, plan.disk / 1e9):.1f} GB in {plan.config.run_dir}"


def _foreseen(forecast: Forecast) -> list[Finding]:
    try:
        rows = row_findings(forecast)
        return [*memory_findings(forecast), *time_findings(forecast), *rows]
    except ImportError:
        return [Finding("info", 'memory and hours are unknown without torch: pip install "r1chat[distill]"')]


def _marked(findings: Iterable[Finding], usual: str) -> Iterator[str]:
    return (f"{usual if finding.level == 'info' else finding.level:<9} {finding.text}" for finding in findings)


def _count(number: int) -> str:
    return f"{number / 1e9:.2f} billion" if number >= 1e9 else f"{number / 1e6:.0f} million"
