"""The forms a hub model's name may have, and what is no name."""

from __future__ import annotations

import pytest

from r1chat.serve.models import r1_models
from r1chat.serve.models.hub.ids import HubId, parse


@pytest.mark.parametrize(
    ("name", "means"),
    [
        ("user/repo", HubId("user/repo")),
        ("user/repo:Q4_K_M", HubId("user/repo", "Q4_K_M")),
        ("user/repo:Q4_K_M@main", HubId("user/repo", "Q4_K_M", "main")),
        ("user/repo@refs/pr/1", HubId("user/repo", None, "refs/pr/1")),
        ("user/repo@q4_k_m", HubId("user/repo", "q4_k_m")),
        ("user/repo:UD-IQ2_XXS", HubId("user/repo", "UD-IQ2_XXS")),
        ("user/repo:some-file-Q8_0", HubId("user/repo", "some-file-Q8_0")),
        ("hf.co/user/repo:Q8_0", HubId("user/repo", "Q8_0")),
        ("huggingface.co/user/repo", HubId("user/repo")),
        ("hf://user/repo@v1", HubId("user/repo", None, "v1")),
        ("https://huggingface.co/user/repo/", HubId("user/repo")),
        ("https://huggingface.co/user/repo/tree/main", HubId("user/repo")),
        ("https://huggingface.co/user/repo/tree/v1", HubId("user/repo", None, "v1")),
        ("https://huggingface.co/user/repo/blob/main/sub/m-Q4_0.gguf", HubId("user/repo", "m-Q4_0")),
        (
            "https://huggingface.co/user/repo/resolve/v1/m-Q8_0-00001-of-00002.gguf?download=true",
            HubId("user/repo", "m-Q8_0", "v1"),
        ),
    ],
)
def test_every_form_of_a_name_is_understood(name: str, means: HubId) -> None:
    assert parse(name) == means
    assert parse(str(means)) == means


NO_NAMES = [
    "", "demo", "repo", "u/r:", "u/r:Q4:Q5", "u/r r", "ü/r", "a//b", "a/b/c", "u/r\n", "a\0b", "../../etc/passwd",
    "..\\..\\x", "~root/x", "%2e%2e%2f", "u/..", "../r", "u/.r", "-rf", "-u/r", "`id`", "$(id)/x", "u/r--x",
    "\u202efugg.ledom", "http://169.254.169.254/", "http://169.254.169.254/u/r", "file:///etc/passwd",
    "sha256:../../x", "u/r@../../x", "u/r@a//b", "u/r:../x", "hf.co/../x", "hf.co/u", "hf.co/u/r/a/b",
    "https://huggingface.co/u/r/resolve/../x", "https://huggingface.co/u/r/resolve/%2e%2e/x.gguf",
    "https://huggingface.co/api/models/u/r", "https://hf.co.evil.example/u/r", "a" * 5000, "u/" + "r" * 97,
]  # fmt: skip


@pytest.mark.parametrize("name", NO_NAMES)
def test_what_is_no_name_is_none(name: str) -> None:
    assert parse(name) is None
    assert r1_models.hub_id(name) is None


def test_short_names_lead_to_the_distilled_models() -> None:
    repo = "bartowski/DeepSeek-R1-Distill-Qwen-7B-GGUF"
    assert r1_models.hub_id("r1:7b") == HubId(repo)
    assert r1_models.hub_id("R1:7B") == HubId(repo)
    assert r1_models.hub_id("r1:7b:q8_0") == r1_models.hub_id("r1:7b@q8_0") == HubId(repo, "q8_0")
    assert r1_models.hub_id("r1:7b@v1") == HubId(repo, None, "v1")
    assert r1_models.alias_of(repo) == "r1:7b"
    for other in ("r1", "r1:", "r1:7", "r1:7bx", "r1:9b", "r1:7b:"):
        assert r1_models.hub_id(other) is None


def test_the_catalogue_holds_together() -> None:
    """Sizes rise with the quantisation, and a cached token's bytes are whole heads of 128 in 16 bits, K and V."""
    assert list(r1_models.R1_MODELS) == ["r1:1.5b", "r1:7b", "r1:8b", "r1:14b", "r1:32b", "r1:70b", "r1-0528:8b"]
    for alias, model in r1_models.R1_MODELS.items():
        assert r1_models.hub_id(alias) == HubId(model.repo)
        assert list(model.sizes.values()) == sorted(model.sizes.values())
        assert model.kv_bytes_per_token % (2 * 2 * 128) == 0
        assert model.licence.startswith("MIT")
