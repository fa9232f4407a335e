"""Looks at one model on this machine: its file, whether it fits, its template and tags, a few tokens of it."""

from __future__ import annotations

import asyncio

from ..serve.api.prompt.chat_template import Turn, render
from ..serve.engine.request import ModelInfo, Segment
from ..serve.errors import R1ChatError
from ..serve.models.catalog import ModelEntry
from ..serve.models.fit.smoke import Smoke, smoke
from ..serve.models.gguf.info import GgufInfo, read_info
from ..serve.models.residents.resident import ModelSpec
from ..serve.models.sizes import human
from ..serve.models.specs import LoadOptions, spec_of
from .health import Check

SMOKE_TOKENS = 16


def model_checks(entry: ModelEntry) -> list[Check]:
    """Of a model that lies here. Loads it, which takes as long as it does."""
    data = {"id": entry.id, "path": str(entry.path), "engine": entry.engine}
    try:
        spec, sentence = spec_of(entry, LoadOptions())
    except R1ChatError as error:
        return [Check("model", "broken", str(error), data=data)]
    if entry.engine != "llama":
        return [Check("model", "ok", f"{entry.id}, run by the {entry.engine} engine", data=data), *_smoke(spec)]
    info = read_info(entry.path)
    text = f"{entry.id}, {info.n_params / 1e6:,.0f} million parameters in {info.file_type}; {sentence}"
    data |= {"bytes": info.size_bytes, "estimate": spec.n_bytes} | {
        name: getattr(spec.config, name) for name in ("n_ctx", "n_cells", "kv_type", "n_gpu_layers")
    }
    return [Check("model", "ok", text, data=data), _tags(info), *_smoke(spec)]


def _tags(info: GgufInfo) -> Check:
    """R1 models have both tags as tokens; with others the thought is found by its text alone."""
    data = {"tokens": list(info.thought_tags)}
    if len(info.thought_tags) == 2:
        return Check("tags", "ok", "<think> and </think> are one token each", data=data)
    return Check(
        "tags", "note", "<think> and </think> are no tokens of it: not a model that was taught to think", data=data
    )


def _smoke(spec: ModelSpec) -> list[Check]:
    try:
        seen = asyncio.run(smoke(spec.config, _question, n_tokens=SMOKE_TOKENS))
    except R1ChatError as error:
        return [Check("smoke run", "broken", str(error))]
    return [_template(seen.info), _written(seen, spec)]


def _question(info: ModelInfo, _: int) -> tuple[Segment, ...]:
    return render([Turn("user", "What is 17 + 25?")], info).segments


def _template(info: ModelInfo) -> Check:
    opens = render([Turn("user", "hi")], info).reasoning_open
    data = {"own": info.chat_template is not None, "opens_thought": opens}
    if info.chat_template is None:
        return Check("template", "note", "the file has none; R1's is used", data=data)
    text = "its own; opens the thought itself" if opens else "its own; leaves it to the model to open a thought"
    return Check("template", "ok", text, data=data)


def _written(seen: Smoke, spec: ModelSpec) -> Check:
    per_s = seen.n_tokens / seen.seconds if seen.seconds else 0.0
    text = f"{seen.n_tokens} tokens in {seen.seconds:.2f} s after {seen.info.load_s:.1f} s of loading"
    if seen.resident_bytes:
        text += f"; {human(seen.resident_bytes)} resident, {human(spec.n_bytes)} estimated"
    if seen.host_cache_bytes:
        text += f", and up to {human(seen.host_cache_bytes)} more for idle conversations"
    data = {
        "tokens": seen.n_tokens,
        "seconds": seen.seconds,
        "tokens_per_second": per_s,
        "load_seconds": seen.info.load_s,
        "resident": seen.resident_bytes,
        "host_cache": seen.host_cache_bytes,
        "deterministic": seen.info.deterministic,
    }
    return Check("smoke run", "ok" if seen.n_tokens else "broken", text, data=data)
