"""Which files of a repository are one model, and which of its models a name means."""

from __future__ import annotations

import pytest

from r1chat.serve.errors import ModelNotFoundError
from r1chat.serve.models.hub.variants import SAFETENSORS, Variant, choose, variants


def labels(*names: str) -> dict[str, tuple[str, ...]]:
    return {variant.label: variant.files for variant in variants((name, 10) for name in names)}


def test_quantisations_are_read_from_every_common_naming() -> None:
    found = labels(
        "DeepSeek-R1-Distill-Qwen-1.5B-Q4_K_M.gguf",
        "model.IQ2_XXS.gguf",
        "model-q8_0.gguf",
        "model-UD-Q3_K_XL.gguf",
        "model-bf16.gguf",
        "model-MXFP4_MOE.gguf",
        "README.md",
    )
    assert set(found) == {"Q4_K_M", "IQ2_XXS", "MXFP4_MOE", "UD-Q3_K_XL", "BF16", "Q8_0"}


def test_split_files_are_one_model_in_loading_order() -> None:
    parts = [f"Q4_K_M/big-Q4_K_M-{number:05d}-of-00003.gguf" for number in (3, 1, 2)]
    assert variants((part, 100) for part in parts) == [Variant("Q4_K_M", tuple(sorted(parts)), 300)]


def test_a_split_model_with_a_part_missing_is_none() -> None:
    """An interrupted download leaves such a model in the cache, and offline the cache is all there is."""
    assert list(labels("m-Q4_K_M-00001-of-00002.gguf", "m-Q8_0-00001-of-00001.gguf")) == ["Q8_0"]


def test_image_projectors_and_importance_matrices_are_no_models() -> None:
    others = ("mmproj-model-f16.gguf", "sub/mmproj-F16.gguf", "imatrix_unsloth.gguf", "model-imatrix.gguf")
    assert list(labels(*others, "model-Q8_0.gguf")) == ["Q8_0"]


def test_two_models_of_one_quantisation_are_told_apart_by_name() -> None:
    assert list(labels("small-Q8_0.gguf", "large-Q8_0.gguf")) == ["large-Q8_0", "small-Q8_0"]


def test_without_a_wish_it_is_q4_k_m_or_the_only_one() -> None:
    two = variants([("m-Q4_K_M.gguf", 10), ("m-Q8_0.gguf", 20)])
    assert choose("u/r", two, None).label == "Q4_K_M"
    assert choose("u/r", two[1:], None).label == "Q8_0"
    assert choose("u/r", two, "q8_0").label == "Q8_0"


def test_a_missing_quantisation_lists_the_others_with_sizes() -> None:
    found = variants([("m-Q2_K.gguf", 5_000_000), ("m-Q8_0.gguf", 2_000_000_000)])
    expected = "u/r has no {}; it has Q2_K (5.0 MB), Q8_0 (2.0 GB). Name one: r1chat run u/r:Q2_K"
    for quant, named in ((None, "Q4_K_M"), ("Q5_K_S", "Q5_K_S")):
        with pytest.raises(ModelNotFoundError) as caught:
            choose("u/r", found, quant)
        assert str(caught.value) == expected.format(named)


def test_of_a_folder_the_weights_come_last_so_that_with_them_all_is_there() -> None:
    weights = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
    assert labels("tokenizer.json", *weights, "config.json")[SAFETENSORS] == ("config.json", "tokenizer.json", *weights)
