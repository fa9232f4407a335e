"""The stages in their order: each one function, one artifact; what is done with the same settings is not done again."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import importlib.util
import json
import os
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Any

from ..serve.files import sha256_of
from .config import DistillConfig
from .errors import DistillError, of_run, quoted
from .failures import told_in_words
from .grpo import config as grpo_config
from .host import Host
from .run_folder import RunFolder
from .sft import config as sft_config
from .sources.gym import is_endless
from .students import find_student


@dataclass(frozen=True)
class Stage:
    """`settings` are the fields of DistillConfig, or fields of theirs, that decide its outcome; `inputs` and `outputs`
    artifacts of RunFolder. One that costs nothing is done `always`. The function is
    `distill.<name>.stage.run_stage(config, folder, host) -> summary`.
    """

    name: str
    settings: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    always: bool = False


# The GGUFs come before the measurement, because what is measured is what will be served. A run trains once: by sft,
# by grpo, or on the stream.
STAGES = (
    Stage("stream", ("stream", "student", "seed"), (), ("trained",)),
    Stage("base", ("base", "student", "seed"), (), ("base_record",)),
    Stage("generate", ("generate", "seed", "problems_seed"), (), ("traces",)),
    Stage("verify", ("verify",), ("traces",), ("verified",)),
    Stage(
        "filter",
        ("filter", "kept_out", "seed"),
        ("base_record", "verified"),
        ("kept", "dropped", "funnel"),
    ),
    Stage("sft", ("sft", "student", "seed"), ("base_record", "kept"), ("trained",)),
    Stage(
        "grpo",
        ("grpo", "kept_out", "student", "seed", "problems_seed", "verify.timeout_s", "verify.sandbox"),
        ("base_record",),
        ("trained",),
    ),
    Stage("export", ("export", "name"), ("base_record", "trained"), ("parity",)),
    Stage("evaluate", ("evaluate", "generate", "verify", "seed"), ("parity",), ("evaluation",)),
    Stage("report", (), (), ("report",), always=True),  # of whatever there is
)
PACKAGES = ("r1chat", "torch", "transformers", "trl", "peft", "bitsandbytes", "math-verify", "llama-cpp-python")
NAMES = tuple(stage.name for stage in STAGES if stage.name not in ("stream", "grpo"))


def run(config: DistillConfig, folder: RunFolder, host: Host, stages: Sequence[str] = NAMES) -> dict[str, Any]:
    """Does the stages asked for that are not done; run.json's records of them. Raises DistillError."""
    again = f"r1chat distill --run-dir {quoted(folder.root)}"
    wanted = [stage for stage in STAGES if stage.name in stages]
    plain = host.say
    host = replace(host, say=lambda text: plain(of_run(text, folder.root)))
    with _named(folder), told_in_words("run", again):
        _require_packages(wanted)
        _note(config, folder)
    for stage in wanted:
        _require(stage, folder)
        with _named(folder), told_in_words(stage.name, again):
            if is_done(stage, config, folder):
                host.say(f"{stage.name}: already done")
            else:
                _do(stage, config, folder, host)
            _tidy(stage, folder)  # also behind who was killed between its record and this
            if stage.name == "base":
                config = _known(config)
                _note(config, folder)  # the files may be gone when the run is told of
    return dict(folder.read_json(folder.record).get("stages", {}))


@contextmanager
def _named(folder: RunFolder) -> Iterator[None]:
    """Who raises an error need not know of which run: its command is told with the folder."""
    try:
        yield
    except DistillError as error:
        text = of_run(str(error), folder.root)
        if text == str(error):
            raise
        raise DistillError(text) from error


def is_done(stage: Stage, config: DistillConfig, folder: RunFolder) -> bool:
    """Whether run.json has this stage with these settings and inputs, and its artifacts are still there. A file that
    the settings name may be gone by now, but not be another.
    """
    record = folder.read_json(folder.record).get("stages", {}).get(stage.name, {})
    if stage.always:
        return False
    present = all(_artifact(folder, name).exists() for name in stage.outputs)
    same = all(sha256_of(Path(path)) in (known, "") for path, known in record.get("files", {}).items())
    return present and same and record.get("fingerprint") == fingerprint(stage, config, folder)


def stale(config: DistillConfig, folder: RunFolder) -> list[str]:
    """The stages that were done, but with other settings or inputs than there are now: a stage was done alone."""
    done = folder.read_json(folder.record).get("stages", {})
    return [
        stage.name
        for stage in STAGES
        if "fingerprint" in done.get(stage.name, {}) and not stage.always and not is_done(stage, config, folder)
    ]


def fingerprint(stage: Stage, config: DistillConfig, folder: RunFolder) -> str:
    """Hash of all that decides what a stage makes, but for the files that its settings name. The run may have been
    moved meanwhile, and other words may be said of a student.
    """
    settings = {name: _deciding(name, config) for name in stage.settings}
    inputs = {name: _content(_artifact(folder, name)) for name in stage.inputs}
    text = json.dumps([_placeless(settings, _tree(folder)), inputs], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _known(config: DistillConfig) -> DistillConfig:
    """With the student as its files describe it, once they are here: so the next run finds it."""
    student = config.student
    if student.base is None or student.shape is not None:
        return config
    return replace(config, student=find_student(student.base))


def _deciding(name: str, config: DistillConfig) -> Any:
    """A setting, without what changes nothing of the outcome."""
    value = attrgetter(name)(config)
    if name == "kept_out" and any(map(is_endless, value)):
        return [*value, config.most_asked]
    if not hasattr(value, "__dataclass_fields__"):
        return value
    free = {"student": ("note",), "sft": sft_config.FREE, "grpo": grpo_config.FREE}.get(name, ())
    deciding = {field: each for field, each in asdict(value).items() if field not in free}
    if name == "grpo":
        rewards = deciding["rewards"]
        deciding["rewards"] = {field: rewards[field] for field in rewards if field not in grpo_config.FREE_OF_REWARDS}
    return deciding


def _tree(folder: RunFolder) -> Path:
    """Of a recipe's step, all of the recipe's run."""
    above = folder.root.parent
    return (above.parent if above.name == "steps" else folder.root).resolve()


def _placeless(value: Any, tree: Path) -> Any:
    """The same, with paths below `tree` told from there."""
    if isinstance(value, dict):
        return {key: _placeless(each, tree) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_placeless(each, tree) for each in value]
    is_here = isinstance(value, str | Path) and os.path.isabs(value) and Path(value).is_relative_to(tree)
    return f"./{Path(value).relative_to(tree)}" if is_here else value


def _content(path: Path) -> str:
    """Of a file, whichever folder it speaks of."""
    if path.name != "base.json":
        return sha256_of(path)
    try:
        told = {key: value for key, value in json.loads(path.read_bytes()).items() if key != "path"}
    except (AttributeError, OSError, ValueError):  # whoever reads it says what is wrong with it
        return sha256_of(path)
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def named_files(stage: Stage, config: DistillConfig) -> dict[str, str]:
    """Path -> SHA-256 of the files that a stage's settings name, alone or in specs like `FILE@KEYS` and `NAME=FILE`.
    Without models, which would take minutes each time.
    """
    words = [word for name in stage.settings for word in _words(attrgetter(name)(config))]
    parts = [part for word in words for part in (word, *re.split("[@=]", word)) if part and not part.endswith(".gguf")]
    return {str(Path(part).resolve()): sha256_of(Path(part)) for part in parts if os.path.isfile(part)}


def _words(settings: Any) -> Iterator[str]:
    if hasattr(settings, "__dataclass_fields__"):
        settings = tuple(asdict(settings).values())
    if isinstance(settings, tuple):
        for value in settings:
            yield from _words(value)
    elif isinstance(settings, str | Path):
        yield str(settings)


def _require_packages(stages: Sequence[Stage]) -> None:
    """Before a teacher is asked for hours: of the later stages most train or read what was trained."""
    if {stage.name for stage in stages} & {"sft", "export"}:
        for package in ("torch", "transformers", "trl", "peft"):
            if importlib.util.find_spec(package) is None:
                raise ImportError(f"no {package}", name=package)


def _note(config: DistillConfig, folder: RunFolder) -> None:
    """What the run is and with what it is made, as far as that is known by now."""
    record = folder.read_json(folder.record)
    record.setdefault("id", secrets.token_hex(8))
    record.setdefault("created", time.time())
    record["config"] = json.loads(json.dumps(asdict(config), default=str))
    record["versions"] = {name: version for name in PACKAGES if (version := _version(name))}
    folder.write_json(folder.record, record)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _do(stage: Stage, config: DistillConfig, folder: RunFolder, host: Host) -> None:
    mark, files, started = fingerprint(stage, config, folder), named_files(stage, config), time.time()
    _forget(stage, folder)
    summary = _module(stage).run_stage(config, folder, host)
    if stage.name == "base":
        mark = fingerprint(stage, _known(config), folder)
    record = folder.read_json(folder.record)
    done = {"fingerprint": mark, "finished": time.time(), "seconds": time.time() - started, "summary": summary}
    if files:
        done["files"] = files
    record.setdefault("stages", {})[stage.name] = done
    folder.write_json(folder.record, record)


def _tidy(stage: Stage, folder: RunFolder) -> None:
    """Only when the record says that it is done: what a training could go on from is not needed any more."""
    if tidy := getattr(_module(stage), "tidy", None):
        tidy(folder)


def _module(stage: Stage) -> Any:
    return importlib.import_module(f"{__package__}.{stage.name}.stage")


def _forget(stage: Stage, folder: RunFolder) -> None:
    """From here on until it is done again, its artifacts may be of two settings, half of each."""
    record = folder.read_json(folder.record)
    if record.get("stages", {}).pop(stage.name, None):
        folder.write_json(folder.record, record)


def _require(stage: Stage, folder: RunFolder) -> None:
    missing = [name for name in stage.inputs if not _artifact(folder, name).exists()]
    if missing:
        before = next(other.name for other in STAGES if other.name in NAMES and missing[0] in other.outputs)
        raise DistillError(
            f"The stage {stage.name} needs {_artifact(folder, missing[0]).name}, and it is not there. "
            f"Run first: r1chat distill {before} --run-dir {quoted(folder.root)}"
        )


def _artifact(folder: RunFolder, name: str) -> Path:
    path = getattr(folder, name)
    assert isinstance(path, Path)
    return path
