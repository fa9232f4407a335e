"""An adapter's GGUF on the base computes what peft does in transformers, and what the merged model does."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trained_runs import make_adapter

from r1chat.distill.export.merge import merge
from r1chat.distill.hf.adapter import read_lora
from r1chat.distill.hf.gguf import export_gguf, read_model
from r1chat.distill.hf.quiet import quiet
from r1chat.distill.hf.reference import reference_logits
from r1chat.distill.run_folder import RunFolder
from r1chat.serve.models.gguf.adapter_writer import LoraPair, write_adapter
from r1chat.serve.models.gguf.quantize import probe

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

PROMPT = [[5, 300, 17, 44, 260, 9, 9, 401]]


@pytest.fixture(scope="module", params=["tiny-qwen2", "tiny-llama"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return make_adapter(tmp_path_factory.mktemp("run"), request.param)


@pytest.fixture(scope="module")
def base(run: RunFolder) -> Path:
    return export_gguf(run.base, run.root / "base.gguf", "F32")


@pytest.fixture(scope="module")
def in_peft(run: RunFolder) -> np.ndarray:
    """Of the whole model in memory, as people use peft: nothing of ours is in between."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(run.base, dtype=torch.float32, local_files_only=True)
    with torch.inference_mode(), quiet():
        logits: Any = PeftModel.from_pretrained(model, str(run.adapter)).eval()(torch.tensor(PROMPT)).logits
    return np.asarray(logits[0].numpy())


def written(run: RunFolder, file_type: Any = "F32", **changes: LoraPair) -> Path:
    pairs, scale = read_lora(run.adapter)
    path = run.root / f"adapter-{file_type}.gguf"
    spec = read_model(run.base).spec
    return write_adapter(path, spec=spec, pairs=pairs | changes, scale=scale, file_type=file_type)


def computed(gguf: Path, adapter: Path | None = None) -> np.ndarray:
    return probe(gguf, prompts=PROMPT, adapter=adapter).logits[0]


@pytest.mark.slow
def test_adapter_on_its_base_computes_what_peft_does(run: RunFolder, base: Path, in_peft: np.ndarray) -> None:
    ours = computed(base, written(run))
    assert np.abs(ours - in_peft).max() < 1e-2
    assert (ours.argmax(1) == in_peft.argmax(1)).all()
    # ... which is far from what the base computes alone
    assert np.abs(computed(base) - in_peft).max() > 1
    rounded = computed(base, written(run, "F16"))
    assert 0 < np.abs(rounded - ours).max() < 0.05


def test_reference_that_reads_layer_by_layer_is_peft_s_own(run: RunFolder, in_peft: np.ndarray) -> None:
    [ours] = reference_logits(run.base, PROMPT, run.adapter)
    assert np.abs(ours - in_peft).max() < 1e-4


def test_merged_model_computes_the_same_but_for_its_sixteen_bits(run: RunFolder, in_peft: np.ndarray) -> None:
    merged = computed(export_gguf(merge(run), run.root / "merged.gguf", "F32"))
    spread = in_peft.std()
    assert np.sqrt(np.square(merged - in_peft).mean()) / spread < 0.05
    [folder] = reference_logits(run.student, PROMPT)
    assert np.abs(merged - folder).max() < 1e-2 and (merged.argmax(1) == folder.argmax(1)).all()


def test_order_of_a_llama_s_query_rows_is_that_of_the_base(run: RunFolder, base: Path, in_peft: np.ndarray) -> None:
    """Without it an adapter would load, and answer, only worse."""
    if read_model(run.base).spec.architecture != "llama":
        pytest.skip("of Llama alone")
    pairs, scale = read_lora(run.adapter)
    spec = replace(read_model(run.base).spec, architecture="qwen2")  # whose rows stay as they are
    straight = write_adapter(run.root / "straight.gguf", spec=spec, pairs=pairs, scale=scale, file_type="F32")
    data = straight.read_bytes().replace(b"qwen2", b"llama", 1)
    straight.write_bytes(data)
    assert np.abs(computed(base, straight) - in_peft).max() > 0.1


@pytest.mark.parametrize(
    "settings", [{"use_dora": True}, {"rank_pattern": {"q_proj": 2}}, {"modules_to_save": ["lm_head"]}]
)
def test_adapters_that_a_gguf_cannot_hold_are_refused_by_name(settings: dict[str, Any], tmp_path: Path) -> None:
    folder = make_adapter(tmp_path / "run", **settings)
    with pytest.raises(ValueError, match=f"{next(iter(settings))}.*merge it"):
        read_lora(folder.adapter)


def test_scale_of_rank_stabilised_adapters_is_kept(tmp_path: Path) -> None:
    _, scale = read_lora(make_adapter(tmp_path / "run", use_rslora=True).adapter)
    assert scale == 8 / 2  # alpha over the root of the rank


def test_half_a_pair_and_another_kind_are_refused(run: RunFolder, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "adapter"
    folder.mkdir()
    config = json.loads((run.adapter / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config))
    tensors = load_file(run.adapter / "adapter_model.safetensors")
    tensors.pop(next(iter(tensors)))
    save_file(tensors, folder / "adapter_model.safetensors")
    with pytest.raises(ValueError, match="one half only"):
        read_lora(folder)
    (folder / "adapter_config.json").write_text(json.dumps({**config, "peft_type": "IA3"}))
    with pytest.raises(ValueError, match="IA3"):
        read_lora(folder)


def test_pair_that_does_not_fit_its_weight_is_refused(run: RunFolder) -> None:
    name = "model.layers.0.self_attn.k_proj.weight"
    wide = LoraPair(np.zeros((4, 256), np.float32), np.zeros((256, 4), np.float32))
    with pytest.raises(ValueError, match="k_proj"):
        written(run, **{name: wide})
