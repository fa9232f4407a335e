"""Quantising and probing end in a file or an error, never in a dead parent or a half-written file."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from r1chat.serve.errors import ModelLoadError
from r1chat.serve.models.gguf.quantize import probe, quantize
from r1chat.serve.models.gguf.shapes import make_random_gguf


@pytest.mark.slow
def test_q8_of_llama_cpp_equals_ours(tmp_path: Path) -> None:
    # a name that is no UTF-8
    wide = make_random_gguf("tiny-qwen2", tmp_path / os.fsdecode(b"f32\xff.gguf"), "F32")
    ours = make_random_gguf("tiny-qwen2", tmp_path / "q8.gguf", "Q8_0")
    theirs = quantize(wide, tmp_path / "theirs.gguf", "Q8_0", n_threads=1)
    [a] = probe(ours, prompts=[[5, 300, 17]]).logits
    [b] = probe(theirs, prompts=[[5, 300, 17]]).logits
    assert np.array_equal(a, b)


def test_file_that_kills_llama_cpp_is_an_error_here(tmp_path: Path) -> None:
    # block_count 0 ends the process that loads it; read_info refuses it, probe must survive without that
    data = make_random_gguf("tiny-qwen2", tmp_path / "m.gguf", "Q8_0").read_bytes()
    name = b"qwen2.block_count" + struct.pack("<I", 4)
    assert data.count(name) == 1
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(data.replace(name + struct.pack("<I", 2), name + struct.pack("<I", 0)))
    with pytest.raises(ModelLoadError, match=r"^bad.gguf: .") as error:
        probe(bad, prompts=[[1]])
    assert "\n" not in str(error.value)


def test_refused_source_leaves_no_file_and_says_why(tmp_path: Path) -> None:
    source = tmp_path / "damaged.gguf"
    source.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(ModelLoadError, match=r"^damaged.gguf: ."):
        quantize(source, tmp_path / "out.gguf", "Q8_0")
    assert [p.name for p in tmp_path.iterdir()] == ["damaged.gguf"]


def test_unknown_quantisation_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Q3_X.*Q4_K_M"):
        quantize(tmp_path / "a", tmp_path / "b", "Q3_X")


@pytest.mark.parametrize("prompt", [[-1], [512], []])
def test_token_ids_outside_the_vocabulary_do_not_reach_llama_cpp(prompt: list[int], tmp_path: Path) -> None:
    path = make_random_gguf("tiny-qwen2", tmp_path / "m.gguf", "Q8_0")
    with pytest.raises(ModelLoadError, match="token ids of 0 to 511"):
        probe(path, prompts=[prompt])


def test_hung_child_is_given_up(tmp_path: Path) -> None:
    path = make_random_gguf("tiny-qwen2", tmp_path / "m.gguf", "Q8_0")
    with pytest.raises(ModelLoadError, match="no answer"):
        probe(path, prompts=[[1]], timeout_s=0.001)


def test_child_that_ended_before_it_heard_its_job_is_told_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class AtOnce(threading.Timer):
        def start(self) -> None:
            self.function()
            time.sleep(0.5)  # in which a killed process is gone

    path = make_random_gguf("tiny-qwen2", tmp_path / "m.gguf", "Q8_0")
    monkeypatch.setattr("r1chat.serve.models.gguf.quantize.threading.Timer", AtOnce)
    with pytest.raises(ModelLoadError, match="no answer"):
        probe(path, prompts=[[1]])


def test_parent_never_imports_llama_cpp() -> None:
    code = (
        "import sys; import r1chat.serve.models.gguf.quantize, r1chat.serve.models.gguf.shapes, r1chat.distill.hf.gguf;"
        "sys.exit(any(m in sys.modules for m in ('llama_cpp', 'torch', 'transformers')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
