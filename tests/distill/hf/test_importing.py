"""A folder becomes a file that computes the same, or nothing; what is beside it tells what was found."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hf_folders import split_into_shards

from r1chat.distill.hf.gguf import HfModel, read_model
from r1chat.distill.hf.importing import ImportRefusedError, import_model, needed_bytes
from r1chat.distill.hf.reference import reference_logits
from r1chat.serve.models.gguf.info import read_info
from r1chat.serve.models.gguf.quantize import probe
from r1chat.serve.models.gguf.shapes import SHAPES
from r1chat.serve.models.random_folder import make_random_folder

LLAMA = replace(SHAPES["tiny-llama"], n_embd=256, n_ff=256)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> HfModel:
    folder = make_random_folder(LLAMA, tmp_path_factory.mktemp("hf"))
    return read_model(split_into_shards(folder, 2), "tiny")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.slow
def test_quantised_model_was_proven_before_it_was_rounded(model: HfModel, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    stages: list[tuple[str, int, int]] = []
    target = tmp_path / "deeper" / "tiny.gguf"
    made = import_model(model, target, "Q4_K_M", lambda *told: stages.append(told), note={"source": "here"})
    assert names(target.parent) == ["tiny.gguf", "tiny.json"]
    assert read_info(target).file_type == "Q4_K_M"
    assert made.lossless is not None and made.lossless.relative_error < 0.05 and made.lossless.text_ok()
    assert made.parity is not None and made.parity.relative_error > 2 * made.lossless.relative_error
    assert made.warnings() == []
    assert list(dict.fromkeys(stage for stage, _, _ in stages)) == ["write", "compare", "quantize", "compare again"]
    for stage in ("write", "quantize"):
        shares = [done / total for name, done, total in stages if name == stage]
        assert shares == sorted(shares) and shares[-1] == 1
    card = json.loads((target.parent / "tiny.json").read_text())
    assert (card["source"], card["quant"], card["bytes"]) == ("here", "Q4_K_M", target.stat().st_size)
    assert card["parity"]["strings"] >= 1000 and card["lossless"]["positions"] > 50


@pytest.mark.parametrize("quant", ["Q8_0", "F32"])
def test_file_of_another_folder_is_refused_and_nothing_stays(model: HfModel, quant: str, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    other = make_random_folder(LLAMA, tmp_path / "other", seed=1)
    (tmp_path / "models").mkdir()
    with pytest.raises(ImportRefusedError, match="relative error 1"):
        import_model(replace(model, folder=other), tmp_path / "models" / "m.gguf", quant, lambda *_: None, note={})
    assert names(tmp_path / "models") == []


def test_what_transformers_stumbles_over_is_a_reason_and_no_traceback(model: HfModel, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ValueError, match="transformers does not take the folder") as error:
        import_model(replace(model, folder=empty), tmp_path / "m.gguf", "Q8_0", lambda *_: None, note={})
    assert "\n" not in str(error.value)
    assert names(tmp_path) == ["empty"]


@pytest.mark.slow
def test_without_transformers_texts_alone_are_looked_at(model: HfModel, tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = sys.modules['transformers'] = None\n"
        "from pathlib import Path\n"
        "from r1chat.distill.hf.gguf import read_model\n"
        "from r1chat.distill.hf.importing import import_model\n"
        "made = import_model(read_model(Path(sys.argv[1])), Path(sys.argv[2]), 'Q5_K_M', lambda *_: None, note={})\n"
        "assert (made.parity, made.lossless, made.strings, made.round_trip_failures) == (None, None, 1200, []), made"
    )
    target = tmp_path / "m.gguf"
    subprocess.run([sys.executable, "-c", code, str(model.folder), str(target)], check=True)
    assert json.loads(target.with_suffix(".json").read_text())["parity"] is None
    assert len(probe(target, prompts=[[1, 2]]).logits[0]) == 2


def test_what_a_killed_import_left_goes_with_the_next(model: HfModel, tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for name in (
        f".m.gguf.{dead.pid}.wide",
        f"..m.gguf.{dead.pid}.made.{dead.pid}.part",
        ".m.gguf.1.wide",
        ".n.gguf.9",
    ):
        (tmp_path / name).write_bytes(b"half")
    with pytest.raises(RuntimeError, match="enough"):
        import_model(model, tmp_path / "m.gguf", "Q8_0", fail, note={})
    # of a process that lives, and of another model
    assert names(tmp_path) == [".m.gguf.1.wide", ".n.gguf.9"]


def fail(*_: object) -> None:
    raise RuntimeError("enough")


def test_disk_is_reckoned_for_the_file_and_what_it_is_made_from(model: HfModel, tmp_path: Path) -> None:
    bf16 = sum(tensor.n_bytes for tensor in model.tensors.values())
    final, most = needed_bytes(model, "Q4_K_M")
    assert most - final >= bf16
    assert needed_bytes(model, "Q8_0")[0] == needed_bytes(model, "Q8_0")[1]


def test_reference_with_a_layer_in_memory_is_transformers_own_model(model: HfModel) -> None:
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    whole = transformers.AutoModelForCausalLM.from_pretrained(
        model.folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    prompts = [[5, 300, 17, 17, 80], [9]]
    with torch.inference_mode():
        expected = [whole(torch.tensor([ids])).logits[0].numpy() for ids in prompts]
    for ours, theirs in zip(reference_logits(model.folder, prompts), expected, strict=True):
        assert ours.shape == theirs.shape
        assert np.abs(ours - theirs).max() < 1e-4 < theirs.std()
