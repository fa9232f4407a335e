"""Tokenising what would end the process: long runs of one kind of characters, where std::regex splits."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1chat.serve.engine.llama import vocab
from r1chat.serve.models.gguf.shapes import SHAPES, RandomTensors, synthetic_tokenizer
from r1chat.serve.models.gguf.writer import write_gguf

TOKENISE = """
import sys
from pathlib import Path
from threading import Thread
from r1chat.serve.engine.config import EngineConfig
from r1chat.serve.engine.llama.runner import LlamaModelRunner

def all_kinds():
    for sign in "A .7":
        assert len(runner.tokenize(sign * 100_000, special=False)) > 10_000
    print("done", flush=True)

runner = LlamaModelRunner(EngineConfig(model_path=Path(sys.argv[1]), n_threads=1))
thread = Thread(target=all_kinds)
thread.start()
thread.join()
"""


@pytest.mark.slow
@pytest.mark.parametrize("pre", ["tekken", "deepseek-v3"])
def test_a_run_of_one_kind_of_characters_does_not_end_the_process(tmp_path: Path, pre: str) -> None:
    spec = SHAPES["tiny-qwen2"]
    tokenizer = replace(synthetic_tokenizer(spec.n_vocab), pre=pre)  # type: ignore[arg-type]
    path = write_gguf(tmp_path / "model.gguf", spec=spec, tensors=RandomTensors(spec, 0), tokenizer=tokenizer)
    done = subprocess.run([sys.executable, "-c", TOKENISE, str(path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr[-2000:]


@given(st.text(st.sampled_from("a b\n"), max_size=60))
def test_seams_are_in_long_runs_alone_and_lose_nothing(text: str) -> None:
    longest = vocab.LONGEST
    vocab.LONGEST = 8
    try:
        pieces = list(vocab._seamed(text))
    finally:
        vocab.LONGEST = longest
    assert "".join(pieces) == text
    assert all(len(run) <= 8 for piece in pieces for run in vocab._RUN.findall(piece))
    if all(len(run) <= 8 for run in vocab._RUN.findall(text)):
        assert pieces == [text]
