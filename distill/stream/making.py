"""A model made on the stream, with its vocabulary: a Hugging Face folder. Its work folder keeps what a stop leaves."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ...serve.files import replace_file, sha256_of
from ...serve.models.gguf.spec import ModelSpec
from ..hf.quiet import quiet
from .config import StreamConfig
from .corpora import find_corpus
from .training import Progress, bound_openmp

if TYPE_CHECKING:
    from tokenizers import Tokenizer

VOCABULARY_EXAMPLES = 30_000
LOG_EVERY = 10  # steps
# step, and the numbers to be logged for it
Log = Callable[[int, dict[str, float]], None]


def make_model(settings: StreamConfig, shape: ModelSpec, seed: int, work: Path, log: Log) -> tuple[Path, Progress]:
    """Trains in `work`; the finished folder in it, and how far it came. What `work` has of the same settings is gone
    on with: Ctrl-C loses nothing, kill -9 two minutes at most.
    """
    bound_openmp()
    from .training import TrainConfig, save_hf_folder, train

    _begin(work, _fingerprint(settings, shape, seed))

    def report(progress: Progress, share: float) -> None:
        if progress.step % LOG_EVERY == 0:
            rate = progress.tokens / max(progress.seconds, 1e-9)
            log(progress.step, {"share": share, "loss": progress.loss, "tokens_per_second": rate})

    tokenizer = _tokenizer(settings, work / "tokenizer.json")
    schedule = TrainConfig(
        settings.minutes,
        shape,
        settings.tokens,
        settings.start,
        seed,
        tokens_per_step=settings.tokens_per_step,
        learning_rate=settings.learning_rate,
        matrix_learning_rate=settings.matrix_learning_rate,
        compile=settings.compile,
    )
    with quiet():
        model, progress = train(schedule, find_corpus(settings.corpus).example_at, tokenizer, work, report)
        save_hf_folder(model, tokenizer, work / "hf")
    return work / "hf", progress


def _fingerprint(settings: StreamConfig, shape: ModelSpec, seed: int) -> str:
    start = sha256_of(settings.start / "model.safetensors") if settings.start else ""
    # that model is meant, wherever it lies
    return hashlib.sha256(repr((replace(settings, start=None), shape, seed, start)).encode()).hexdigest()


def _begin(work: Path, fingerprint: str) -> None:
    """What was begun with other settings is not gone on with."""
    mark = work / "settings"
    if work.exists() and not (mark.is_file() and mark.read_text(encoding="utf-8") == fingerprint):
        shutil.rmtree(work)
    work.mkdir(parents=True, exist_ok=True)
    with replace_file(mark) as aside:
        aside.write_text(fingerprint, encoding="utf-8")


def _tokenizer(settings: StreamConfig, path: Path) -> Tokenizer:
    """Learnt from the corpus; of a model that is continued, its own: another would be another alphabet."""
    from tokenizers import Tokenizer

    from .vocabulary import train_tokenizer

    if settings.start is not None:
        return Tokenizer.from_file(str(settings.start / "tokenizer.json"))
    if not path.exists():
        # Made here, where Ctrl-C is heard: what learns it would draw them on a thread of its own.
        texts = [*map(find_corpus(settings.corpus).text_at, range(VOCABULARY_EXAMPLES))]
        tokenizer = train_tokenizer(texts)
        with replace_file(path) as aside:
            tokenizer.save(str(aside))
    return Tokenizer.from_file(str(path))
