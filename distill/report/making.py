"""The sections on how the student was made: data, forecasts, training, export, protocol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ..config import DistillConfig
from .figures import funnel_picture, training_picture
from .material import Material, curve
from .parts import Section, Table
from .wording import count, duration, number, percent, setting, size, visible

_PAIR = ("Name", "Value")


def data_section(material: Material, command: str) -> Section:
    funnel = material.funnel
    if not funnel.get("stages"):
        return Section("data", "Data", missing=("The traces were not filtered yet.", command))
    kept, total = funnel.get("kept", 0), funnel.get("total_in", 0)
    rows = [
        (visible(s["name"]), count(s["in"]), count(s["dropped"]), count(s["out"]), _reasons(s.get("reasons") or {}))
        for s in funnel["stages"]
    ]
    head = ("Stage", "In", "Dropped", "Left", "Reasons")
    text = f"{count(kept)} of {count(total)} traces were kept. Every other is in dropped.jsonl, with its reason."
    return Section(
        "data", "Data", text=(text,), pictures=[funnel_picture(funnel)],
        tables=[Table("What each stage dropped, and why", head, rows, range(1, 4)), *_sources(material)],
    )  # fmt: skip


def forecast_section(material: Material, command: str) -> Section:
    if not material.preflight:
        return Section("forecast", "Before training", missing=("Nothing was foreseen yet.", command))
    rows = [(visible(found["level"]), visible(found["text"])) for found in material.preflight]
    return Section(
        "forecast", "Before training", text=("What was foreseen before the first step.",),
        tables=[Table("Findings", ("Level", "Finding"), rows)],
    )  # fmt: skip


def training_section(material: Material, command: str) -> Section:
    loss = curve(material.events, material.trained_by, "loss")
    if not loss.steps and not material.trained:
        return Section("training", "Training", missing=("The student was not trained yet.", command))
    rate = curve(material.events, material.trained_by, "learning_rate")
    rows = [(_words(name), _value(name, value)) for name, value in flat(material.trained)]
    return Section(
        "training", "Training", pictures=[training_picture(loss, rate)] if loss.steps else [],
        tables=[Table("The training", _PAIR, rows)] if rows else [],
    )  # fmt: skip


def export_section(material: Material, command: str) -> Section:
    parity = material.parity
    if not parity:
        return Section("export", "Export", missing=("There is no GGUF yet.", command))
    text = (
        "llama.cpp on each GGUF beside transformers on the trained folder. An exact copy has logits that differ by "
        "less than 0.01; rounding adds what is in the columns after it."
    )
    rows = [_file(name, record) for name, record in (parity.get("files") or {}).items()]
    head = ("File", "Size", "Exact copy: logits differ by", "Rounded: error of logits", "Same likeliest token",
            "Strings cut otherwise", "Conversations otherwise")  # fmt: skip
    rest = [(_words(n), _value(n, v)) for n, v in flat({k: v for k, v in parity.items() if k != "files"})]
    tables = [Table("Parity", head, rows, range(1, 7))] if rows else []
    return Section(
        "export", "Export", text=(text,), tables=[*tables, Table("More of the export", _PAIR, rest, folded=True)]
    )


def protocol_section(config: DistillConfig, material: Material, hashes: Mapping[str, str]) -> Section:
    record, evaluation = material.record, material.evaluation
    settings = {k: v for k, v in (record.get("config") or asdict(config)).items() if k != "run_dir"}
    tables = {
        "Settings": settings,
        "How answers were drawn": evaluation.get("protocol") or evaluation.get("settings") or {},
        "Versions": record.get("versions") or {},
        "Hashes (SHA-256)": hashes,
    }
    return Section(
        "protocol", "Protocol", text=("All that is needed to do this again.",),
        tables=[Table(name, _PAIR, [(visible(n), setting(v)) for n, v in flat(content)], folded=True)
                for name, content in tables.items() if content],
    )  # fmt: skip


def facts(config: DistillConfig, material: Material) -> Iterator[tuple[str, str]]:
    """What was distilled from what, in pairs of name and words."""
    base = material.base
    licence = base.get("licence") or config.student.licence
    if config.student.base is None:
        yield "Student", f"{visible(config.student.name)}, from {_licensed('a base made in this run', licence)}"
    else:
        name = visible(base.get("name") or config.student.base)
        yield "Student", f"{visible(config.student.name)}, continued from {_licensed(name, licence)}"
    if material.kept.rows:
        teachers = ", ".join(_named(material.kept.teachers))
        yield "Taught by", teachers
        yield "Problems", ", ".join(_named(material.kept.sources))
        yield "Traces", f"{count(material.kept.rows)} kept of {count(material.funnel.get('total_in'))}"
    if material.trained:
        trained = material.trained
        how = [str(trained.get("method") or trained.get("kind") or ""), f"{count(trained.get('steps'))} steps"]
        if trained.get("tokens") is not None:
            how.append(f"{count(trained['tokens'])} tokens")
        yield "Training", visible(", ".join(filter(None, how)))


def flat(content: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Nested names joined by dots."""
    for name, value in content.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _file(name: str, record: Mapping[str, Any]) -> Sequence[str]:
    own, exact = record.get("parity") or {}, record.get("lossless") or {}
    strings, texts = len(own.get("tokenizer_mismatches") or ()), len(own.get("template_mismatches") or ())
    return (
        visible(name), size(record.get("bytes")), number(exact.get("max_logit_diff")),
        percent(own.get("relative_error")), percent(own.get("top1_agreement")),
        f"{strings} of {count(own.get('strings'))}", f"{texts} of {count(own.get('templates'))}",
    )  # fmt: skip


def _sources(material: Material) -> list[Table]:
    sources = material.funnel.get("by_source") or {}
    if not sources:
        return []
    counts = {name: dict(flat(found)) if isinstance(found, Mapping) else {"kept": found}
              for name, found in sources.items()}  # fmt: skip
    columns = list(dict.fromkeys(column for found in counts.values() for column in found))
    rows = [(visible(name), *(count(found.get(c)) for c in columns)) for name, found in counts.items()]
    return [Table("By source", ("Source", *(_words(column) for column in columns)), rows,
                  range(1, len(columns) + 1))]  # fmt: skip


def _reasons(reasons: Mapping[str, int]) -> str:
    ordered = sorted(reasons.items(), key=lambda reason: -reason[1])
    return ", ".join(f"{count(n)} {_words(name)}" for name, n in ordered) or "–"


def _named(names: Mapping[tuple[str, str], int], most: int = 5) -> Sequence[str]:
    ordered = sorted(names, key=lambda name: -names[name])
    more = [f"{len(ordered) - most} more"] if len(ordered) > most else []
    return [*(_licensed(visible(name), licence) for name, licence in ordered[:most]), *more]


def _licensed(name: str, licence: str | None) -> str:
    return f"{name} ({visible(licence)})" if licence else f"{name} (licence not stated)"


def _words(name: str) -> str:
    return visible(name.replace("_", " "))


def _value(name: str, value: Any) -> str:
    """A number with its unit where the name tells it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return setting(value)
    if name.endswith("seconds"):
        return duration(value)
    if name.endswith(("bytes", "memory")):
        return size(value)
    return count(value) if isinstance(value, int) else number(value)
