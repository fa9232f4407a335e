"""The students people can name: which base each continues, under what licence, and how it is best trained."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ..serve.models.gguf.spec import ModelSpec
from .errors import DistillError
from .hf.folder import read_spec
from .hf.tensors import read_json
from .licences import licence_of_folder

Method = Literal["full", "lora", "qlora"]
# Of the adapter's weights, which begin at nothing.
ADAPTER_RATE = 2e-4


@dataclass(frozen=True)
class Student:
    """A base to be taught. `base` is a Hugging Face id or a folder; None: made here from nothing, in its `shape`.

    `learning_rate` is for `method`, `full_rate` for training all weights. `shape` is the base's, where known: its
    `n_ctx` is the longest row, for rope is never stretched here.
    """

    name: str
    base: str | None
    licence: str | None
    parameters: int | None
    method: Method
    learning_rate: float
    note: str = ""
    full_rate: float = 4e-5
    shape: ModelSpec | None = None

    def rate(self, method: Method) -> float:
        """The learning rate to begin with."""
        return self.learning_rate if method == self.method else self.full_rate if method == "full" else ADAPTER_RATE


def _qwen(n_embd: int, n_layer: int, n_ff: int, n_head: int, n_head_kv: int, *, n_ctx: int, big: bool) -> ModelSpec:
    return ModelSpec(
        "qwen2", 152_064 if big else 151_936, n_embd, n_layer, n_ff, n_head, n_head_kv, n_ctx, tied=not big
    )


def _llama(n_embd: int, n_layer: int, n_ff: int, n_head: int, *, tied: bool) -> ModelSpec:
    return ModelSpec("llama", 128_256, n_embd, n_layer, n_ff, n_head, 8, 131_072, rms_eps=1e-5, tied=tied)


# Rates for all weights: those DeepSeek published for the same bases (arXiv:2501.12948), where there are any.
STUDENTS = {
    student.name: student
    for student in (
        Student("tiny", None, "MIT", 1_116_800, "full", 1e-3, "a small model made here, with the bundled vocabulary",
                1e-3, ModelSpec("qwen2", 1024, 128, 5, 384, 4, 2, n_ctx=4096)),
        Student("small", None, "MIT", 2_560_320, "full", 1e-3, "twice as large",
                1e-3, ModelSpec("qwen2", 1024, 192, 6, 512, 6, 2, n_ctx=4096)),
        Student("demo", None, "MIT", 6_562_048, "full", 1e-3, "of the bundled model's shape, for `--recipe r1`",
                1e-3, ModelSpec("qwen2", 1024, 256, 8, 768, 4, 2, n_ctx=4096)),
        Student("qwen-0.5b", "Qwen/Qwen2.5-0.5B", "Apache-2.0", 494_032_768, "lora", 2e-4, full_rate=1e-4,
                shape=_qwen(896, 24, 4864, 14, 2, n_ctx=32_768, big=False)),
        Student("qwen-1.5b", "Qwen/Qwen2.5-Math-1.5B", "Apache-2.0", 1_543_714_304, "lora", 2e-4, full_rate=1e-4,
                shape=_qwen(1536, 28, 8960, 12, 2, n_ctx=4096, big=False)),
        Student("qwen-7b", "Qwen/Qwen2.5-Math-7B", "Apache-2.0", 7_615_616_512, "qlora", 2e-4, full_rate=8e-5,
                shape=_qwen(3584, 28, 18_944, 28, 4, n_ctx=4096, big=True)),
        Student("llama-1b", "meta-llama/Llama-3.2-1B", "Llama 3.2", 1_235_814_400, "lora", 2e-4, full_rate=5e-5,
                shape=_llama(2048, 16, 8192, 32, tied=True)),
        Student("llama-8b", "meta-llama/Llama-3.1-8B", "Llama 3.1", 8_030_261_248, "qlora", 2e-4, full_rate=5e-5,
                shape=_llama(4096, 32, 14_336, 32, tied=False)),
    )
}  # fmt: skip
# Coder and VL of that size stand under the same licence.
_RESEARCH_ONLY = re.compile(r"(?i)qwen-?2\.5(-[a-z]+)?-3b|^qwen-3b$")
_QLORA_FROM = 3_000_000_000


def find_student(name: str) -> Student:
    """A student by its name, a Hugging Face id, or a folder with a config.json. Raises DistillError."""
    if _RESEARCH_ONLY.search(name):
        raise _refused(name)
    if name in STUDENTS:
        return STUDENTS[name]
    folder = Path(os.path.expanduser(name))  # which leaves a user that is none as it is
    if (folder / "config.json").is_file():
        return _of_folder(str(folder), folder)
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name) or name.startswith(("/", ".", "~")):
        raise DistillError(
            f"There is no student {name!r:.80}: it is none of {', '.join(STUDENTS)}, no Hugging Face id, and no folder "
            "with a config.json. Use: r1chat distill --student qwen-1.5b"
        )
    known = next((student for student in STUDENTS.values() if student.base == name), None)
    return known or _of_hub(name)


def parameters_of(shape: ModelSpec) -> int:
    """Weights of a model of that shape; a tied table counts once."""
    return sum(_size(dims) for dims in shape.tensor_shapes().values())


def _size(dims: tuple[int, ...]) -> int:
    size = 1
    for dim in dims:
        size *= dim
    return size


def _of_hub(name: str) -> Student:
    """What its files say, where they have been downloaded; else what its name lets guess."""
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(name, "config.json")
    if isinstance(cached, str):
        return _of_folder(name, Path(cached).parent)
    billions = re.search(r"(?i)(?<![\d.])(\d+(?:\.\d+)?)b(?![a-z])", name)
    parameters = int(float(billions[1]) * 1e9) if billions else None
    return _adapted(Student(name, name, None, parameters, "lora", ADAPTER_RATE))


def _of_folder(name: str, folder: Path) -> Student:
    licence = licence_of_folder(folder)
    if licence == "Qwen Research":
        raise _refused(name)
    try:
        shape = read_spec(read_json(folder / "config.json"), name)
    except ValueError as error:
        raise DistillError(f"{name} cannot be a student: {error}. Use: r1chat distill --student qwen-1.5b") from error
    return _adapted(Student(name, name, licence, parameters_of(shape), "lora", ADAPTER_RATE, shape=shape))


def _adapted(student: Student) -> Student:
    """Small models are trained whole, large ones in four bits."""
    if student.parameters is not None and student.parameters < 50_000_000:
        return replace(student, method="full", learning_rate=1e-3, full_rate=1e-3)
    return replace(student, method="qlora") if (student.parameters or 0) >= _QLORA_FROM else student


def _refused(name: str) -> DistillError:
    return DistillError(
        f"{name} is no student here: Qwen2.5 of 3B is under the Qwen Research licence, which forbids commercial use, "
        "unlike its siblings' Apache-2.0. Use: r1chat distill --student qwen-1.5b"
    )
