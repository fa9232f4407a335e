"""Keys and values in 8 and 4 bits: less memory, nearly the same numbers, and all that a cache can do."""

from __future__ import annotations

import numpy as np
import pytest
from forward_tools import OpenModel, compute, last_logits, made_up, placed

from r1chat.serve.engine.host_memory import kv_bytes
from r1chat.serve.errors import ModelLoadError
from r1chat.serve.models.catalog import BUNDLED
from r1chat.serve.models.gguf.info import read_info

pytestmark = pytest.mark.model


def test_fewer_bits_take_less_room_and_give_nearly_the_same_logits(open_model: OpenModel) -> None:
    logits, sizes = {}, {}
    for kind in ("f16", "q8_0", "q4_0"):
        runner = open_model("bundled", kv_type=kind)
        sequence = placed(0, made_up(200))
        compute(runner, sequence)
        sequence.tokens.append(7)
        logits[kind] = last_logits(runner, sequence)[0]
        sizes[kind] = runner.save(0).nbytes
    n_values = read_info(BUNDLED).kv_bytes_per_token() // 2
    for kind in ("q8_0", "q4_0"):
        saved = sizes["f16"] - sizes[kind]
        assert saved == 201 * (kv_bytes(n_values, "f16") - kv_bytes(n_values, kind))  # type: ignore[arg-type]
    spread = logits["f16"].std()
    off = {kind: np.abs(logits[kind] - logits["f16"]).max() / spread for kind in ("q8_0", "q4_0")}
    assert 0 < off["q8_0"] < 0.1
    assert off["q8_0"] < off["q4_0"] < 2.0


def test_a_cache_of_8_bits_is_shared_cut_and_restored_like_any_other(open_model: OpenModel) -> None:
    runner = open_model("bundled", kv_type="q8_0")
    sequence = placed(0, made_up(100))
    compute(runner, sequence)
    state = runner.save(0)
    sequence.tokens.append(9)
    expected = last_logits(runner, sequence)[0]
    runner.copy(0, 1, 100)
    assert runner.restore(2, state)
    for seq_id in (1, 2):
        again = placed(seq_id, [*made_up(100), 9])
        again.n_computed = 100
        assert np.array_equal(last_logits(runner, again)[0], expected)
        runner.remove(seq_id, 50)
        assert runner.n_computed(seq_id) == 50


def test_a_deterministic_model_stays_so(open_model: OpenModel) -> None:
    assert open_model("bundled", kv_type="q8_0").info.deterministic


def test_heads_that_are_no_whole_blocks_are_refused_and_not_died_of(open_model: OpenModel) -> None:
    with pytest.raises(ModelLoadError, match="block size 32 does not divide"):
        open_model("tiny-qwen2", kv_type="q8_0")
