"""Before hours are spent: what can be foreseen of a training from its rows, its base, this machine and the licences."""

from __future__ import annotations

import heapq
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..config import DistillConfig
from ..errors import DistillError, quoted
from ..findings import Finding
from ..hf.gguf import read_model
from ..licences import licence_findings
from ..rows import TraceRow, read_rows
from ..run_folder import RunFolder
from ..students import parameters_of
from .checks import check_rows
from .forecast import Forecast, device_memory
from .known_tokens import is_learned
from .memory import GIB
from .parity import template_fault
from .rows import RowEncoder

# Few hundred rows teach how an answer looks, not how to find it (s1 on 1.5B gained nothing, arXiv:2502.12143).
_STYLE_ONLY, _NO_PROMISE = 1_000, 10_000
_FEW_STEPS = 50
_LARGE = 500_000_000
_SAMPLE = 2_000


def preflight(config: DistillConfig, folder: RunFolder) -> list[Finding]:
    """What should be known before the first step; an error keeps it from being made. Reads the kept rows and the base.

    Raises DistillError where the base cannot be read.
    """
    base = folder.read_json(folder.base_record)
    base_dir = Path(base["path"])
    method = config.sft.method or config.student.method
    if config.export.adapter and method == "full":
        without = f"r1chat distill --no-adapter --run-dir {quoted(folder.root)}"
        return [Finding("error", f"All weights are trained, so there would be no adapter to keep. Without: {without}")]
    encoder = RowEncoder(base_dir)
    survey = _survey(folder)
    if not survey.count:
        return [Finding("error", "No trace was kept. Let more through: r1chat distill filter --keep-unverified")]
    sample = list({row.id: row for row in (*survey.sample, *(row for _, _, row in survey.longest))}.values())
    lengths = [_length(encoder, row) for row in sample]
    try:
        shape = read_model(base_dir).spec  # all that export would refuse after the training
    except ValueError as error:
        raise DistillError(f"{base_dir} cannot be a student: {error}. Use: r1chat distill --student tiny") from error
    mean = sum(lengths[: len(survey.sample)]) / len(survey.sample)
    forecast = Forecast(shape, method, config.sft, survey.count, mean, max(lengths))
    return [
        *_of_format(base_dir, encoder, sample, config, whole=method == "full"),
        *row_findings(forecast),
        *_of_length(folder, config, encoder),
        *memory_findings(forecast),
        *disk_findings(forecast, folder),
        *time_findings(forecast),
        *licence_findings(config.name, base.get("licence"), survey.teachers),
    ]


@dataclass
class _Survey:
    """Rows evenly from all of the file, and the few with most text."""

    count: int = 0
    sample: list[TraceRow] = field(default_factory=list)
    longest: list[tuple[int, int, TraceRow]] = field(default_factory=list)
    teachers: set[tuple[str, str | None]] = field(default_factory=set)


def _survey(folder: RunFolder) -> _Survey:
    survey, every = _Survey(), 1
    for row in read_rows(folder.kept, TraceRow):
        if survey.count % every == 0:
            survey.sample.append(row)
            if len(survey.sample) > _SAMPLE:
                survey.sample, every = survey.sample[::2], every * 2
        entry = (len(row.reasoning or "") + len(row.answer) + len(row.problem.prompt), survey.count, row)
        (heapq.heappush if len(survey.longest) < 8 else heapq.heappushpop)(survey.longest, entry)
        survey.teachers.add((row.teacher.name, row.teacher.licence))
        survey.count += 1
    return survey


def _length(encoder: RowEncoder, row: TraceRow) -> int:
    return encoder.length(row.problem.prompt, row.reasoning or "", row.answer)


def _of_format(
    base_dir: Path, encoder: RowEncoder, sample: list[TraceRow], config: DistillConfig, *, whole: bool
) -> Iterator[Finding]:
    form = encoder.format
    pairs = ((row, encoder.encode(row.problem.prompt, row.reasoning or "", row.answer)) for row in sample)
    try:
        count = check_rows(pairs, encoder, config.filter.max_tokens)
    except DistillError as error:
        yield Finding("error", str(error))
    else:
        yield Finding(
            "info", f"Thought, closing tag, answer and {form.eos} are learned, prompts are not: {count} rows read."
        )
    if fault := template_fault(encoder):
        yield Finding("error", f"The student would be asked otherwise than it is trained: {fault}. "
                      "Use: r1chat distill --student qwen-1.5b")  # fmt: skip
    if form.name != "r1":
        yield Finding("info", f"The base has no tokens for thoughts: its tags are text, in {form.name}'s turns.")
    if not whole and not is_learned(base_dir, encoder.eos_id):
        yield Finding("warning", f"The base never learned {form.eos}, and an adapter cannot teach it: the student may "
                      "not stop. Use --method full")  # fmt: skip


def row_findings(forecast: Forecast) -> Iterator[Finding]:
    """Whether there are rows enough to learn from, for a base of this size, and steps enough to do so."""
    count, parameters = forecast.rows, parameters_of(forecast.shape)
    if count < _STYLE_ONLY:
        text = f"{count:,} rows teach the format and the style of thoughts, hardly more: expect no better answers."
        yield Finding("warning", text)
    elif count < _NO_PROMISE and parameters >= _LARGE:
        size = f"{parameters / 1e9:.1f} billion weights"
        text = f"{count:,} rows are few for {size}: gains are seen from {_NO_PROMISE:,} on."
        yield Finding("warning", text)
    if forecast.steps < _FEW_STEPS:
        text = f"{forecast.steps} steps are few to learn in. Use a smaller --batch-size, or more --epochs"
        yield Finding("warning", text)


def _of_length(folder: RunFolder, config: DistillConfig, encoder: RowEncoder) -> Iterator[Finding]:
    if encoder.context is not None and encoder.context < config.filter.max_tokens:
        yield Finding("info", f"The base has {encoder.context:,} positions, so longer rows are dropped, though "
                      f"{config.filter.max_tokens:,} were allowed.")  # fmt: skip
    stages = {stage["name"]: stage for stage in folder.read_json(folder.funnel).get("stages", [])}
    length = stages.get("length", {"in": 0, "dropped": 0})
    if length["in"] and (share := length["dropped"] / length["in"]) >= 0.1:
        yield Finding("warning", f"{share:.0%} of the traces were dropped as too long: those of the hardest problems.")


def memory_findings(forecast: Forecast) -> list[Finding]:
    """Whether the training fits into this machine."""
    memory, (free, total) = forecast.memory, device_memory(forecast.load.device)
    where = "GPU memory" if forecast.load.device == "cuda" else "memory"
    needs = f"{forecast.method} training takes about {memory.total / GIB:.1f} GiB of {where}"
    if forecast.settings.accelerate_config is not None:
        return [Finding("info", f"{needs} in each process, and less where the model is divided among them.")]
    if not total:
        return [Finding("info", f"{needs}.")]
    here = f"{free / GIB:.1f} of {total / GIB:.1f} GiB are free"
    if memory.total > total:
        return [Finding("error", f"{needs}, and this machine has {total / GIB:.1f} GiB. {_smaller(forecast)}")]
    if memory.total > 0.95 * free:
        return [Finding("warning", f"{needs}, and {here}. {_smaller(forecast)}")]
    return [Finding("info", f"{needs}; {here}.")]


def _smaller(forecast: Forecast) -> str:
    lighter = {"full": "--method lora", "lora": "--method qlora"}.get(forecast.method)
    return f"Use: r1chat distill sft {lighter}" if lighter else "Use: r1chat distill --student qwen-1.5b --method qlora"


def disk_findings(forecast: Forecast, folder: RunFolder) -> Iterator[Finding]:
    """Whether there is room for the checkpoints, of which there are two while one is written, and the result."""
    trained = forecast.memory.gradients // 4
    there = sum(path.stat().st_size for path in folder.sft.rglob("*") if path.is_file())
    free, checkpoint = shutil.disk_usage(folder.root).free + there, 12 * trained  # with AdamW's two moments
    result = 4 * trained
    if free >= 2 * checkpoint + result:
        return
    yield Finding(
        "error" if free < checkpoint + result else "warning",
        f"Checkpoints and the student take up to {(2 * checkpoint + result) / 1e9:.1f} GB of disk, and {folder.root} "
        f"has {free / 1e9:.1f} GB free. Make room, then: r1chat distill sft --run-dir {quoted(folder.root)}",
    )


def time_findings(forecast: Forecast) -> list[Finding]:
    """How long the training takes here."""
    hours = forecast.seconds / 3600
    millions = forecast.tokens / 1e6
    text = f"{forecast.steps:,} steps read {millions:,.1f} million tokens, which takes about {in_words(hours)} here."
    if hours > 48:
        return [Finding("warning", f"{text} Use --max-trace-tokens for fewer rows, or a machine with a GPU")]
    return [Finding("info", text)]


def in_words(hours: float) -> str:
    """A duration as people say it."""
    if hours >= 48:
        return f"{hours / 24:,.0f} days"
    minutes = max(1, round(60 * hours))
    return f"{hours:.1f} hours" if minutes >= 90 else f"{minutes} minute{'s' * (minutes > 1)}"
