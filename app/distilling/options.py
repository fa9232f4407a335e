"""The options of `r1chat distill`, and the run they ask for.

Every option is kept in run.json, so that a later command on the same folder need not repeat it.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from ..errors import UsageError
from ..values import count, or_none, positive, real
from .progress import STAGES

if TYPE_CHECKING:
    from ...distill.config import DistillConfig
    from ...distill.students import Student

REAL = {"traces": ("openr1-math",), "sets": ("gsm8k", "math-500")}
# What students made here take where nothing else is asked for: problems made here, and the bundled model as teacher.
TINY = {"problems": ("generated",), "teacher": "demo", "sets": ("generated-test", "generated-unseen_wording")}
# Measured on two cores: see README.
TINY_SETTINGS: dict[str, Any] = {
    "max_problems": 6000,
    "samples": 1,
    "max_tokens": 1024,
    "max_row_tokens": 1024,
    "epochs": 8.0,
    "eval_max_tokens": 1024,
    "eval_problems": 240,
}
ROW_FILES = (".jsonl", ".json", ".ndjson", ".csv", ".parquet")
# Of ready traces. The longer ones do not fit most bases and are dropped, so a fifth or so of it is trained on.
MAX_TRACE_TOKENS = 60_000_000
# What a folder keeps must also be taken back by a later command.
_ON_OFF = argparse.BooleanOptionalAction
WITHOUT_BASE = {"evaluate", "report"}
# option -> (stage, field of its settings)
FIELDS = {
    "problems": ("generate", "problems"),
    "traces": ("generate", "traces"),
    "teacher": ("generate", "teacher"),
    "teacher_model": ("generate", "teacher_model"),
    "samples": ("generate", "k"),
    "max_problems": ("generate", "max_problems"),
    "max_trace_tokens": ("generate", "max_trace_tokens"),
    "concurrency": ("generate", "concurrency"),
    "temperature": ("generate", "temperature"),
    "max_tokens": ("generate", "max_tokens"),
    "sandbox": ("verify", "sandbox"),
    "keep_unverified": ("filter", "keep_unverified"),
    "language": ("filter", "language"),
    "max_row_tokens": ("filter", "max_tokens"),
    "method": ("sft", "method"),
    "epochs": ("sft", "epochs"),
    "max_steps": ("sft", "max_steps"),
    "learning_rate": ("sft", "learning_rate"),
    "batch_size": ("sft", "batch_size"),
    "lora_rank": ("sft", "lora_rank"),
    "micro_batch_tokens": ("sft", "micro_batch_tokens"),
    "packing": ("sft", "packing"),
    "accelerate_config": ("sft", "accelerate_config"),
    "quants": ("export", "quants"),
    "adapter": ("export", "adapter"),
    "eval": ("evaluate", "sets"),
    "eval_problems": ("evaluate", "n"),
    "eval_samples": ("evaluate", "k"),
    "eval_max_tokens": ("evaluate", "max_tokens"),
    "greedy": ("evaluate", "greedy"),
    "by_family": ("evaluate", "by_family"),
    "eval_teacher": ("evaluate", "teacher"),
    "max_pass_rate": ("filter", "max_pass_rate"),
    "per_problem": ("filter", "per_problem"),
    "base_minutes": ("base", "minutes"),
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """All but what a command on any run takes. An option not given is absent from the namespace."""
    data = _group(parser, "traces")
    data("--teacher", metavar="URL|MODEL", help="who writes the traces: a /v1 server, or a model, which is fetched "
         "first where it is not here")  # fmt: skip
    data("--teacher-model", metavar="ID", help="the model to ask a URL for, where it has several")
    data("--problems", action="append", metavar="SPEC", help="what the teacher is asked: FILE.jsonl, "
         "generated[:FAMILIES], gym:NAME, USER/DATASET; may be repeated")  # fmt: skip
    data("--traces", action="append", metavar="SPEC", help="ready traces instead of a teacher: FILE.jsonl[@KEYS.json], "
         "openr1-math, written[:FAMILIES], USER/DATASET; may be repeated")  # fmt: skip
    data("--samples", type=count, metavar="K", help=f"traces asked for of each problem {_usual(4, 'samples')}")
    data("--max-problems", type=count, metavar="N", help="problems asked, or solutions of each `written`, at most "
         + _usual("all there are, 1000 of what is generated", "max_problems"))  # fmt: skip
    data("--max-trace-tokens", type=count, metavar="N", help="tokens of ready traces taken at most "
         f"(default: {MAX_TRACE_TOKENS // 10**6} million)")  # fmt: skip
    data("--concurrency", type=count, metavar="N", help="requests in flight (default: 16)")
    data("--temperature", type=real(0), metavar="T", help="of the teacher (default: 0.6)")
    data("--max-tokens", type=count, metavar="N", help=f"longest reply of the teacher {_usual(8192, 'max_tokens')}")
    judging = _group(parser, "verdicts and filters")
    judging("--sandbox", action=_ON_OFF, help="run code that a model wrote, against unit tests, in a sandbox")
    judging("--keep-unverified", action=_ON_OFF, help="keep traces that nothing can judge")
    judging("--language", metavar="CODE", help="language the thought must keep to (default: en)")
    judging("--max-row-tokens", type=count, metavar="N", help="longer traces are dropped, never cut "
            + _usual(8192, "max_row_tokens"))  # fmt: skip
    judging("--per-problem", type=count, metavar="N", help="traces kept of a problem at most (default: 2 for students "
            "of 0.1 to 3.5 billion weights, else 4)")  # fmt: skip
    judging("--max-pass-rate", type=real(0, 1), metavar="P", help="0.99 drops problems the teacher always solves")
    training = _group(parser, "training")
    training("--method", choices=["full", "lora", "qlora"], help="what is trained (default: the student's own)")
    training("--epochs", type=positive(), metavar="N", help=f"passes over the traces {_usual(2, 'epochs')}")
    training("--max-steps", type=count, metavar="N", help="exactly N optimizer steps, whatever --epochs")
    training("--learning-rate", type=positive(), metavar="R", help="peak rate (default: the student's own)")
    training("--batch-size", type=count, metavar="N", help="rows a step, over all processes (default: 64)")
    training("--lora-rank", type=count, metavar="R", help="rank of the adapter (default: 32)")
    training("--micro-batch-tokens", type=count, metavar="N", help="tokens computed at once: fewer take less memory")
    training("--packing", action=_ON_OFF, help="lay rows end to end instead of filling them up: only flash "
             "attention gains by it")  # fmt: skip
    training("--accelerate-config", type=Path, metavar="FILE", help="an accelerate configuration: FSDP, DeepSpeed, "
             "several processes or nodes")  # fmt: skip
    training("--base-minutes", type=positive(), metavar="M", help="how long a base made here is trained (default: 6)")
    result = _group(parser, "result")
    result("--name", metavar="NAME", help="what the student is called in `r1chat list`")
    result("--quants", metavar="LIST", type=_quants, help="GGUFs made; the first is kept in the model list "
           "(default: q8_0,f16,q4_k_m)")  # fmt: skip
    result("--adapter", action=_ON_OFF, help="keep the LoRA as a small GGUF beside the base's")
    measuring = _group(parser, "measurement")
    measuring("--eval", action="append", metavar="SPEC", help="problems to measure on, as --problems; generated-test, "
              "-unseen_words, -unseen_wording, -one_more or -larger[:FAMILIES]; or a benchmark: gsm8k, math-500, "
              "aime-2024, aime-2025, gpqa-diamond, ifeval, livecodebench; never trained on; repeatable")  # fmt: skip
    measuring("--eval-problems", type=count, metavar="N", help=f"problems of each set {_usual(200, 'eval_problems')}")
    measuring("--eval-samples", type=count, metavar="K", help="answers to each problem (default: 4)")
    measuring("--eval-max-tokens", type=count, metavar="N", help=f"longest answer {_usual(8192, 'eval_max_tokens')}")
    measuring("--eval-teacher", action=_ON_OFF, help="measure the teacher, too (default: yes)")
    measuring("--by-family", action=_ON_OFF, help="intervals over families of problems, not over problems")
    measuring("--greedy", action=_ON_OFF, help="most likely tokens instead of samples; R1 models loop then")


def _usual(value: object, option: str) -> str:
    """For the help: what holds where nothing is said."""
    return f"(default: {value}; {TINY_SETTINGS[option]:g} for students made here)"


def build_config(options: dict[str, Any], run_dir: Path, stages: Collection[str] = STAGES) -> DistillConfig:
    """The run that these options ask for. What none of these `stages` needs may be gone. Raises UsageError,
    DistillError.
    """
    from ...distill.config import DistillConfig
    from ...distill.filter.language import scripts_of
    from ...distill.sources.generated import held_out_like, is_taught_here
    from ...distill.sources.problems import asks_for_programs
    from ...distill.students import find_student

    if "student" not in options:
        folder = shlex.quote(str(run_dir))
        raise UsageError(f"{run_dir} holds no run yet. Begin one: r1chat distill --student tiny --run-dir {folder}")
    known = _recorded_student(run_dir) if set(stages) <= WITHOUT_BASE else None
    student = known if known and known.name == options["student"] else find_student(options["student"])
    config = DistillConfig(
        student, run_dir, options.get("name") or default_name(student), seed=int(options.get("seed", 0))
    )
    for option, value in _with_defaults(student, options).items():
        if option in FIELDS:
            stage, field = FIELDS[option]
            settings = replace(getattr(config, stage), **{field: _typed(getattr(config, stage), field, value, run_dir)})
            config = replace(config, **{stage: settings})
    scripts_of(config.filter.language)  # now, and not after hours of a teacher's
    if not config.verify.sandbox and (programs := [spec for spec in config.evaluate.sets if asks_for_programs(spec)]):
        raise UsageError(
            f"{programs[0]} is judged by running code that a model wrote. Allow it: r1chat distill --sandbox"
        )
    if both := [spec for spec in config.generate.problems if spec in config.evaluate.sets]:
        raise UsageError(
            f"{both[0]} is what the student is measured on, so none of its problems may be trained on. Ask others: "
            "r1chat distill --problems openai/gsm8k:main"
        )
    taught = [spec for spec in config.evaluate.sets if student.base is None and is_taught_here(spec)]
    if taught and "evaluate" in stages:
        raise UsageError(
            f"{taught[0]} is what bases are made of here, so it measures nothing. Measure on problems that are held "
            f"out: r1chat distill --eval {held_out_like(taught[0])}"
        )
    return config


def _recorded_student(run_dir: Path) -> Student | None:
    """As the base's files described it while they were here."""
    import msgspec

    from ...distill.students import Student

    try:
        return msgspec.convert(json.loads((run_dir / "run.json").read_bytes())["config"]["student"], Student)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def check_jail(config: DistillConfig, stages: Collection[str]) -> None:
    """Raises UsageError where these stages are to run programs, and this machine cannot: now, and not after hours."""
    from ...distill.sources.problems import asks_for_programs
    from ...distill.verify import sandbox

    specs = [("problems", spec) for spec in config.generate.problems if "verify" in stages]
    specs += [("eval", spec) for spec in config.evaluate.sets if "evaluate" in stages]
    programs = [(option, spec) for option, spec in specs if config.verify.sandbox and asks_for_programs(spec)]
    if programs and (why := sandbox.why_no_jail()):
        option, spec = programs[0]
        raise UsageError(
            f"{spec} is judged by running programs in a sandbox, which does not work here: {why}. It does on Linux "
            f"where a plain user may open user namespaces; here, ask for others: r1chat distill --{option} SPEC"
        )


def combined(stored: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The options of a run: those of earlier commands, and over them those of this one, which may take some back. Who
    asks for epochs no longer wants a number of steps. Raises UsageError, DistillError.
    """
    back = {name for name, value in given.items() if value is None}
    if "epochs" in given and "max_steps" not in given:
        back.add("max_steps")
    options = stored | placed({name: value for name, value in given.items() if name not in back})
    return {name: value for name, value in options.items() if name not in back}


def placed(options: dict[str, Any]) -> dict[str, Any]:
    """The options with whole paths, so that they mean the same from another folder. Raises UsageError or DistillError
    for problems or traces that are not there: now, and not after hours of a base's or a teacher's. Those of an earlier
    command are not looked at, since what was made of them may be all that is needed.
    """
    whole = dict(options)
    for name in ("problems", "traces", "eval"):
        if name in options:
            whole[name] = [_placed(spec, name) for spec in options[name]]
    for name in ("student", "teacher", "accelerate_config"):
        path = os.path.expanduser(options.get(name, ""))
        # without a separator, it may be a name that a folder here bears, too
        if (os.sep in path or name == "accelerate_config") and os.path.exists(path):
            whole[name] = os.path.abspath(path)
    return whole


def _placed(spec: str, option: str) -> str:
    """Of `FILE`, `NAME=FILE` and `FILE@KEYS`, each file."""
    from ...distill.sources.benchmarks import BENCHMARKS
    from ...distill.sources.problems import check_problems
    from ...distill.sources.traces import check_traces, keyed_paths

    name, equals, path = spec.partition("=")
    if name not in BENCHMARKS:
        name, equals, path = "", "", spec
    parts = [os.path.expanduser(part) for part in keyed_paths(os.path.expanduser(path))]
    for at, part in enumerate(parts):
        if os.path.isfile(part):
            parts[at] = os.path.abspath(part)
        elif part.endswith(ROW_FILES):
            raise UsageError(f"There is no file {part}. Name one that is: r1chat distill --{option} FILE.jsonl")
    whole = name + equals + "@".join(parts)
    check_traces(whole) if option == "traces" else check_problems(whole)
    return whole


def default_name(student: Student) -> str:
    """Fit for a file's name; a hub id or a folder gives its last part."""
    return f"{student.name.rstrip('/').rpartition('/')[2]}-r1"


def _with_defaults(student: Student, options: dict[str, Any]) -> dict[str, Any]:
    made_here = student.base is None
    usual: dict[str, Any] = {"eval": (TINY if made_here else REAL)["sets"], "max_trace_tokens": MAX_TRACE_TOKENS}
    if made_here:
        usual |= TINY_SETTINGS
    if not {"traces", "problems", "teacher"} & set(options):
        usual |= {"problems": TINY["problems"], "teacher": TINY["teacher"]} if made_here else {"traces": REAL["traces"]}
    elif "teacher" in options and not {"traces", "problems"} & set(options):
        usual["problems"] = TINY["problems"] if made_here else ("openai/gsm8k:main",)  # the training split
    return usual | options


def _typed(settings: Any, field: str, value: Any, run_dir: Path) -> Any:
    """What JSON made a list of is a tuple again, and a path a path."""
    import msgspec

    kind = get_type_hints(type(settings))[field]
    try:
        return msgspec.convert(value, kind, dec_hook=lambda made, text: made(text))
    except (msgspec.ValidationError, TypeError) as error:
        raise UsageError(
            f"{run_dir / 'run.json'} has {value!r:.40} for {field} ({error}). Begin anew: r1chat distill --student NAME"
        ) from error


def _group(parser: argparse.ArgumentParser, title: str) -> Any:
    group = parser.add_argument_group(title)

    def add(*names: str, **how: Any) -> None:
        if "type" in how:
            how["type"] = or_none(how["type"])
        group.add_argument(*names, default=argparse.SUPPRESS, **how)

    return add


def _quants(text: str) -> list[str]:
    from ...serve.models.gguf.quantize import FILE_TYPES

    quants = [part.strip().upper() for part in text.split(",") if part.strip()]
    if not quants or set(quants) - set(FILE_TYPES):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of {', '.join(FILE_TYPES).lower()}")
    return quants
