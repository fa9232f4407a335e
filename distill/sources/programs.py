"""The unit tests of LiveCodeBench's rows: some in the open, most packed. Unpacking runs nothing."""

from __future__ import annotations

import base64
import io
import json
import pickle
import zlib
from typing import Any

from .records import Record

MAX_UNPACKED = 512 * 1024 * 1024


# Programs may count on these, with which the benchmark's own harness begins each.
_STARRED = (
    "string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random", "statistics", "itertools",
    "functools", "operator", "io", "sys", "json", "builtins", "typing",
)  # fmt: skip
_PLAIN = _STARRED[:-1]
_IMPORTS = "\n".join([*(f"from {name} import *" for name in _STARRED), *(f"import {name}" for name in _PLAIN)])
_IMPORTS += "\nsys.setrecursionlimit(50000)"


def tests_of(record: Record) -> dict[str, Any]:
    """For ProblemRow.check, in the form that verify.code reads: what a program reads and must print, or, where a
    function is asked for, its arguments and what it must return. Raises ValueError for another packing than the
    dataset's.
    """
    tests = json.loads(record["public_test_cases"]) + _private(record["private_test_cases"])
    function = json.loads(record.get("metadata") or "{}").get("func_name")
    if not function:
        told = [{"input": test["input"], "output": test["output"]} for test in tests]
        return {"setup": _IMPORTS, "tests": told}
    return {"setup": _IMPORTS, "function": function, "tests": [_call(test) for test in tests]}


def _call(test: dict[str, str]) -> dict[str, Any]:
    """One argument a line, each in JSON."""
    lines = test["input"].split("\n")
    return {"args": [json.loads(line) for line in lines if line.strip()], "output": json.loads(test["output"])}


def _private(packed: str) -> list[dict[str, Any]]:
    """JSON, or base64 of zlib of a pickled string of JSON."""
    try:
        return list(json.loads(packed))
    except ValueError:
        pass
    unpacker = zlib.decompressobj()
    pickled = unpacker.decompress(base64.b64decode(packed), MAX_UNPACKED)
    try:
        return list(json.loads(_OnlyText(io.BytesIO(pickled)).load()))
    except pickle.UnpicklingError as error:
        raise ValueError(str(error)) from error


class _OnlyText(pickle.Unpickler):
    """A pickle can name any function to be called; this one knows none."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"the tests ask for {module}.{name} instead of holding text")
