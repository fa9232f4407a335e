"""The size told before a file is written holds what comes out, and not much more."""

from __future__ import annotations

from pathlib import Path

import pytest

from r1chat.serve.models.gguf.quant_size import file_bytes
from r1chat.serve.models.gguf.quantize import quantize
from r1chat.serve.models.gguf.reader import read_header
from r1chat.serve.models.gguf.shapes import SHAPES, make_random_gguf


def weight_bytes(path: Path) -> int:
    size = path.stat().st_size
    with path.open("rb") as file:
        return size - read_header(file, size).data_start


# K-quants hold rows of multiples of 256 numbers, and fall back on wider types for others.
@pytest.mark.parametrize("shape", ["tiny-qwen2-256", "tiny-qwen2"])
def test_bound_is_above_the_file_and_near_it(shape: str, tmp_path: Path) -> None:
    shapes = SHAPES[shape].tensor_shapes()
    header = file_bytes({}, "F16")
    source = make_random_gguf(shape, tmp_path / "F16.gguf", "F16")
    for quant in ("F16", "Q8_0", "Q6_K", "Q4_K_M"):
        made = source if quant == "F16" else quantize(source, tmp_path / f"{quant}.gguf", quant)
        bound = file_bytes(shapes, quant)
        assert made.stat().st_size <= bound, quant
        # alignment aside
        assert bound - header <= 1.25 * weight_bytes(made), quant
