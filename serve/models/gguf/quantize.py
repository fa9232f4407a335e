"""Quantises GGUF files, and asks a file's own tokeniser and weights for answers, always in a child process.

llama.cpp ends the process on some damaged or odd files, and prints to stderr; a child keeps both away.
Only the child (run as a module) imports llama_cpp; jobs and answers cross as one .npz file. The child's
stdin stays open while the parent lives: its end ends the child, so that none works on for nobody.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import ModelLoadError
from ...files import replace_file

# llama.h's llama_ftype; K-quants fall back tensor by tensor where a row is no multiple of 256.
FILE_TYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q8_0": 7, "Q4_K_M": 15, "Q5_K_M": 17, "Q6_K": 18}
# told as llama.cpp comes to a tensor: those done, and all
OnTensor = Callable[[int, int], None]


@dataclass(frozen=True)
class Probe:
    """Per prompt, logits [tokens, n_vocab] in float32; per text, its token ids, and which did not come back."""

    logits: list[np.ndarray]
    tokens: list[list[int]]
    changed: list[int]


def quantize(
    source: Path,
    target: Path,
    file_type: str,
    *,
    n_threads: int = 2,
    on_tensor: OnTensor | None = None,
    timeout_s: float = 24 * 3600,
) -> Path:
    """Writes `source` to `target` as `file_type`, aside first and then renamed.

    Raises ValueError for an unknown type, ModelLoadError with llama.cpp's reason for a file it refuses, and
    OSError where the disk does not take the new one.
    """
    if file_type not in FILE_TYPES:
        raise ValueError(f"unknown quantisation {file_type!r}, choose one of {', '.join(FILE_TYPES)}")
    job = {"do": "quantize", "source": str(source), "file_type": file_type, "threads": n_threads}
    try:
        with replace_file(target) as aside:
            _run_child(source, job | {"target": str(aside)}, timeout_s, on_tensor)
    except ModelLoadError as error:
        # All that C++ says of a full disk.
        if "iostream error" in str(error):
            raise OSError(errno.EIO, "The file could not be written whole", str(target)) from error
        raise
    return target


def probe(
    path: Path,
    *,
    prompts: Sequence[Sequence[int]] = (),
    texts: Sequence[str] = (),
    adapter: Path | None = None,
    timeout_s: float = 600,
) -> Probe:
    """Logits after each token of `prompts`, with a LoRA's GGUF where one is given, and `texts` as llama.cpp cuts
    them, special tokens recognised.

    The caches are kept in float32 and flash attention is off, so that only the weights' own precision
    shows. Raises ModelLoadError for a file llama.cpp refuses or dies of.
    """
    job = {
        "do": "probe",
        "path": str(path),
        "adapter": None if adapter is None else str(adapter),
        "prompts": [list(map(int, p)) for p in prompts],
        "texts": list(texts),
    }
    answer = _run_child(path, job, timeout_s)
    ids, ends = answer["ids"].tolist(), answer["ends"].tolist()
    tokens = [ids[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]
    logits = [answer[f"logits_{i}"] for i in range(len(prompts))]
    return Probe(logits=logits, tokens=tokens, changed=answer["changed"].tolist())


def _run_child(
    path: Path, job: dict[str, Any], timeout_s: float, on_tensor: OnTensor | None = None
) -> dict[str, np.ndarray]:
    with tempfile.TemporaryDirectory(prefix="r1chat-") as folder:
        answer = Path(folder) / "answer.npz"
        with subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, str(answer)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            # Spinning barriers starve each other beside a busy process; the backtrace forks a debugger.
            env={"GOMP_SPINCOUNT": "1000", **os.environ, "GGML_NO_BACKTRACE": "1"},
        ) as child:
            lines, in_time = _watch(child, json.dumps(job), timeout_s, on_tensor)
        if not in_time:
            raise ModelLoadError(f"{path.name}: no answer from llama.cpp within {timeout_s:.0f} s")
        if child.returncode != 0:
            raise ModelLoadError(f"{path.name}: {_reason(lines, child.returncode)}")
        with np.load(answer) as data:
            return dict(data)


def _watch(
    child: subprocess.Popen[str], job: str, timeout_s: float, on_tensor: OnTensor | None
) -> tuple[Sequence[str], bool]:
    """The child's last lines, when it has ended; False where it had to be ended. It never outlives this."""
    assert child.stdin is not None and child.stderr is not None
    last: deque[str] = deque(maxlen=200)
    late = threading.Event()

    def give_up() -> None:
        late.set()
        child.kill()

    watchdog = threading.Timer(timeout_s, give_up)
    watchdog.start()
    try:
        # The job's end is a newline: a closed pipe means that nobody waits any more.
        child.stdin.write(job + "\n")
        child.stdin.flush()
        for line in child.stderr:
            last.append(line)
            if on_tensor and (found := re.match(r"\[ *(\d+)/ *(\d+)\] ", line)):
                on_tensor(int(found[1]), int(found[2]))
    except BrokenPipeError:
        with contextlib.suppress(BrokenPipeError):
            child.stdin.close()  # or Popen would write once more what is left, and fail again
        last.extend(child.stderr)
    except BaseException:
        child.kill()
        raise
    finally:
        child.wait()
        watchdog.cancel()
    return last, not late.is_set()


def _reason(stderr: Iterable[str], status: int) -> str:
    lines = [line.strip() for line in stderr if line.strip()]
    telling = [line for line in lines if "error" in line.lower() or "ASSERT" in line] or lines
    # An assertion is preceded by the place in llama.cpp's own sources.
    reason = re.sub(r"^.*(?=GGML_ASSERT)", "", telling[-1]) if telling else "no message"
    if status < 0:
        return f"llama.cpp died of signal {-status} ({reason})"
    return reason


def _child_main() -> None:
    job = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, args=(job.get("target"),), daemon=True).start()
    answer: dict[str, Any] = {"quantize": _child_quantize, "probe": _child_probe}[job["do"]](job)
    np.savez(sys.argv[1], **answer)


def _end_with_parent(target: str | None) -> None:
    # Not through sys.stdin: its lock, held here, would stop the interpreter from ending.
    while os.read(0, 1024):
        pass
    if target is not None:
        Path(target).unlink(missing_ok=True)
    os._exit(1)


def _child_quantize(job: dict[str, Any]) -> dict[str, np.ndarray]:
    import llama_cpp

    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = FILE_TYPES[job["file_type"]]
    params.nthread = job["threads"]
    params.allow_requantize = True
    code = llama_cpp.llama_model_quantize(os.fsencode(job["source"]), os.fsencode(job["target"]), ctypes.byref(params))
    if code != 0:
        raise SystemExit(code)
    return {}


def _child_probe(job: dict[str, Any]) -> dict[str, np.ndarray]:
    import llama_cpp

    model_params = llama_cpp.llama_model_default_params()
    model_params.n_gpu_layers = 0
    model = llama_cpp.llama_model_load_from_file(os.fsencode(job["path"]), model_params)
    if not model:
        raise SystemExit(1)
    # before any context, which makes room for the adapter's part of the graph
    adapter = _adapter(model, job["adapter"])
    vocab = llama_cpp.llama_model_get_vocab(model)
    pieces = [_tokenize(vocab, text) for text in job["texts"]]
    answer: dict[str, np.ndarray] = {
        "ids": np.array([i for piece in pieces for i in piece], dtype=np.int32),
        "ends": np.cumsum([len(piece) for piece in pieces], dtype=np.int64),
        "changed": np.array(
            [i for i, piece in enumerate(pieces) if _text(vocab, piece) != job["texts"][i].encode()], dtype=np.int64
        ),
    }
    for i, prompt in enumerate(job["prompts"]):
        answer[f"logits_{i}"] = _prompt_logits(model, adapter, prompt, llama_cpp.llama_vocab_n_tokens(vocab))
    return answer


def _adapter(model: Any, path: str | None) -> Any:
    import llama_cpp

    if path is None:
        return None
    adapter = llama_cpp.llama_adapter_lora_init(model, os.fsencode(path))
    if not adapter:
        raise SystemExit(1)
    return adapter


def _tokenize(vocab: Any, text: str) -> list[int]:
    import llama_cpp

    data = text.encode("utf-8")
    buffer = (llama_cpp.llama_token * (len(data) + 8))()
    count = llama_cpp.llama_tokenize(vocab, data, len(data), buffer, len(buffer), False, True)
    if count < 0:
        raise SystemExit(f"error: {len(data)} bytes gave {-count} tokens")
    return buffer[:count]


def _text(vocab: Any, tokens: list[int]) -> bytes:
    """Piece by piece, as it is streamed; llama_detokenize would tidy the spaces of some vocabularies."""
    import llama_cpp

    buffer = ctypes.create_string_buffer(4096)
    sizes = ((llama_cpp.llama_token_to_piece(vocab, token, buffer, len(buffer), 0, True)) for token in tokens)
    return b"".join(buffer.raw[:size] for size in sizes)


def _prompt_logits(model: Any, adapter: Any, prompt: list[int], n_vocab: int) -> np.ndarray:
    import llama_cpp

    if not prompt or min(prompt) < 0 or max(prompt) >= n_vocab:
        raise SystemExit(f"error: a prompt needs token ids of 0 to {n_vocab - 1}")
    params = llama_cpp.llama_context_default_params()
    params.n_ctx = params.n_batch = params.n_ubatch = len(prompt)
    params.n_threads = params.n_threads_batch = os.cpu_count() or 1
    params.type_k = params.type_v = llama_cpp.GGML_TYPE_F32
    params.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
    context = llama_cpp.llama_init_from_model(model, params)
    if not context:
        raise SystemExit("error: no context")
    if adapter:
        adapters, scales = (llama_cpp.llama_adapter_lora_p_ctypes * 1)(adapter), (ctypes.c_float * 1)(1.0)
        if code := llama_cpp.llama_set_adapters_lora(context, adapters, 1, scales):
            raise SystemExit(f"error: llama_set_adapters_lora returned {code}")
    batch = llama_cpp.llama_batch_init(len(prompt), 0, 1)
    batch.n_tokens = len(prompt)
    for i, token in enumerate(prompt):
        batch.token[i], batch.pos[i], batch.n_seq_id[i] = token, i, 1
        batch.seq_id[i][0] = 0
        batch.logits[i] = 1
    if code := llama_cpp.llama_decode(context, batch):
        raise SystemExit(f"error: llama_decode returned {code}")
    flat = np.ctypeslib.as_array(llama_cpp.llama_get_logits(context), shape=(len(prompt) * n_vocab,))
    logits = flat.reshape(len(prompt), n_vocab).copy()
    llama_cpp.llama_batch_free(batch)
    llama_cpp.llama_free(context)
    return logits


if __name__ == "__main__":
    _child_main()
