"""Names to models: what each form means, what is here, and what a person reads where there is nothing."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from huggingface_hub.utils import WeakFileLock
from loopback_hub import LoopbackHub

from r1chat.serve.errors import ModelNotFoundError
from r1chat.serve.models import catalog
from r1chat.serve.models.catalog import ModelEntry
from r1chat.serve.models.gguf.info import read_info
from r1chat.serve.models.hub.cache import lock_path, part_path, unfinished
from r1chat.serve.models.removal import remove

REPO = "bartowski/DeepSeek-R1-Distill-Qwen-1.5B-GGUF"


def test_demo_is_the_bundled_file() -> None:
    entry = catalog.resolve("demo")
    assert (entry.id, entry.owned_by) == ("demo", "r1chat")
    assert entry.path.read_bytes()[:4] == b"GGUF"


@pytest.mark.parametrize("name", ["model.gguf", "some/folder/model.gguf", "no-suffix"])
def test_a_file_that_exists_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_bytes(b"GGUF")
    entry = catalog.resolve(name)
    assert entry == catalog.ModelEntry(Path(name).stem, Path(name), owned_by="user")


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    assert catalog.resolve("~/model.gguf").path == tmp_path / "model.gguf"


def message(name: str) -> str:
    with pytest.raises(ModelNotFoundError) as caught:
        catalog.resolve(name)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_missing_file_is_never_taken_for_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert message("models/mine.gguf") == "There is no file models/mine.gguf. See what lies there: ls models"
    assert message("./models/mine") == "There is no file models/mine. See what lies there: ls models"


@pytest.mark.parametrize("name", ["nope", "", "a/b/c", "u/r:", "u/r:Q4:Q5", "u/r r", "ü/r", "a//b"])
def test_a_name_of_no_form_says_which_forms_there_are(name: str) -> None:
    text = message(name)
    assert repr(name) in text
    assert text.endswith("Try: r1chat run demo")


def test_a_folder_is_no_model(tmp_path: Path) -> None:
    folder = tmp_path / "my models"
    folder.mkdir()
    assert message(str(folder)).endswith(f"Choose one: ls '{folder}'")


def test_a_pipe_is_not_waited_on(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    assert "is neither a file nor a folder" in message(str(tmp_path / "pipe.gguf"))


def test_a_folder_beside_us_is_what_its_name_means_to_every_command(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("mine", "user/mine"):
        Path(name).mkdir(parents=True)
        Path(name, "config.json").write_text("{}")
        Path(name, "model.safetensors").write_bytes(b"")
        told = catalog.local_model(name)
        assert told is not None and told.entry == catalog.resolve(name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_an_unreadable_file_names_the_command_that_opens_it(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF")
    path.chmod(0)
    assert message(str(path)).endswith(f"Try: chmod u+r {path}")


# --- the hub's models ---


@pytest.fixture
def pulled(hub: LoopbackHub) -> LoopbackHub:
    hub.repos[REPO] = {"m-Q4_K_M.gguf": b"GGUF four", "m-Q8_0.gguf": b"GGUF eight"}
    catalog.resolve("r1:1.5b", progress=False)
    return hub


def test_a_name_that_is_not_here_is_fetched_and_then_needs_no_hub(
    pulled: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = len(pulled.listings)
    entry = catalog.resolve("r1:1.5b")
    assert (entry.id, entry.owned_by, entry.path.read_bytes()) == ("r1:1.5b", "bartowski", b"GGUF four")
    assert entry.aliases == (f"{REPO}:Q4_K_M",)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for name in ("R1:1.5b", REPO, f"{REPO}:q4_k_m", f"hf.co/{REPO}@q4_k_m", f"https://huggingface.co/{REPO}"):
        assert catalog.resolve(name) == catalog.find_local(name) == entry
    assert len(pulled.listings) == asked


def test_another_quantisation_or_revision_is_another_model(pulled: LoopbackHub) -> None:
    assert catalog.find_local("r1:1.5b:q8_0") is None
    eight = catalog.resolve("r1:1.5b:q8_0", progress=False)
    assert (eight.id, eight.path.read_bytes()) == ("r1:1.5b:q8_0", b"GGUF eight")
    assert catalog.resolve(f"{REPO}@main").id == "r1:1.5b@main"
    assert catalog.resolve(f"{REPO}@{pulled.commit}").path == catalog.resolve("r1:1.5b").path
    assert catalog.find_local(f"{REPO}@v9") is None


def test_the_newest_pull_is_what_a_name_means(pulled: LoopbackHub) -> None:
    from r1chat.serve.models.hub.downloads import Download
    from r1chat.serve.models.hub.ids import HubId

    pulled.commit = "f" * 40
    pulled.repos[REPO]["m-Q4_K_M.gguf"] = b"GGUF new"
    assert catalog.resolve("r1:1.5b").path.read_bytes() == b"GGUF four"
    Download(HubId(REPO)).run()
    assert catalog.resolve("r1:1.5b").path.read_bytes() == b"GGUF new"


def test_a_folder_that_another_tool_filled_serves_too(cache: Path) -> None:
    snapshot = cache / "models--user--repo/snapshots" / ("e" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "m-Q8_0.gguf").write_bytes(b"GGUF")
    entry = catalog.find_local("user/repo")
    assert entry == ModelEntry("user/repo:Q8_0", snapshot / "m-Q8_0.gguf", owned_by="user")


def test_a_model_with_a_part_or_a_blob_missing_is_not_here(cache: Path) -> None:
    snapshot = cache / "models--user--repo/snapshots" / ("e" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "m-Q8_0-00001-of-00002.gguf").write_bytes(b"GGUF")
    (snapshot / "m-Q4_K_M.gguf").symlink_to("../../blobs/gone")
    assert catalog.find_local("user/repo") is None
    assert [model.id for model in catalog.local_models()] == ["demo"]


def test_a_folder_of_safetensors_is_for_transformers(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.repos["user/repo"] = {"config.json": b'{"architectures": ["Qwen2ForCausalLM"]}', "model.safetensors": b"abc"}
    assert "r1chat pull user/repo:safetensors" in message("user/repo")
    entry = catalog.resolve("user/repo:safetensors", progress=False)
    assert (entry.id, entry.engine, entry.path.is_dir()) == ("user/repo:safetensors", "transformers", True)
    assert catalog.resolve(str(entry.path)).engine == "transformers"
    assert [model.id for model in catalog.local_models()] == ["demo", "user/repo:safetensors"]
    (entry.path / "config.json").unlink()
    (entry.path / "config.json").write_text('{"architectures": ["BertModel"]}')
    assert [model.id for model in catalog.local_models()] == ["demo"]


# --- what is here ---


def student(name: str, card: dict[str, Any] | None = None) -> Path:
    path = catalog.student_path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"GGUF")
    if card is not None:
        path.with_suffix(".json").write_text(json.dumps(card))
    return path


def test_a_models_folder_of_nobody_is_an_empty_one(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("R1CHAT_MODELS", "~nobody-of-this-name/models")
    assert [model.id for model in catalog.local_models()] == ["demo"]


def test_a_student_is_known_by_its_name(cache: Path) -> None:
    path = student("my-student", {"quant": "Q8_0"})
    assert catalog.resolve("my-student") == catalog.find_local("my-student")
    assert catalog.resolve("my-student") == ModelEntry("my-student", path, owned_by="user")
    for name in ("../x", "", "a/b", "a" * 97, "a\0b", "ü"):
        with pytest.raises(ModelNotFoundError):
            catalog.student_path(name)


def test_the_list_names_every_model_once_with_where_it_came_from(pulled: LoopbackHub) -> None:
    student("my-student", {"quant": "Q6_K"})
    student("found-q5_k_m")
    student("odd").with_suffix(".json").write_text("[" * 100_000)
    catalog.resolve("r1:1.5b:q8_0", progress=False)
    told = [(model.id, model.quant, model.source, model.size_bytes) for model in catalog.local_models()]
    assert told[0] == ("demo", read_info(catalog.BUNDLED).file_type, "bundled", catalog.BUNDLED.stat().st_size)
    assert told[1:] == [
        ("found-q5_k_m", "Q5_K_M", "file", 4),
        ("my-student", "Q6_K", "student", 4),
        ("odd", None, "student", 4),
        ("r1:1.5b", "Q4_K_M", "hub", 9),
        ("r1:1.5b:q8_0", "Q8_0", "hub", 10),
    ]
    for model in catalog.local_models():
        assert catalog.find_local(model.id) == model.entry
        assert all(catalog.find_local(alias) == model.entry for alias in model.entry.aliases)


def test_rm_frees_what_only_the_model_needed(pulled: LoopbackHub, cache: Path) -> None:
    catalog.resolve("r1:1.5b:q8_0", progress=False)
    assert remove("r1:1.5b") == ("r1:1.5b", 9)
    assert catalog.find_local("r1:1.5b:q4_k_m") is None
    assert catalog.resolve("r1:1.5b:q8_0").path.read_bytes() == b"GGUF eight"
    assert remove(REPO) == ("r1:1.5b:q8_0", 10)
    assert not list(cache.glob("models--*"))
    with pytest.raises(ModelNotFoundError, match="See what there is: r1chat list"):
        remove("r1:1.5b")


def test_rm_of_a_revision_leaves_the_others(pulled: LoopbackHub, cache: Path) -> None:
    path = catalog.resolve("r1:1.5b").path
    older = path.parent.with_name("0" * 40) / path.name
    older.parent.mkdir()
    older.symlink_to(os.path.relpath(path.resolve(), older.parent))
    remove(f"{REPO}:q4_k_m@{'0' * 40}")
    assert not older.exists() and path.read_bytes()


def test_rm_leaves_what_another_tool_keeps_in_the_same_folder(pulled: LoopbackHub) -> None:
    other = catalog.resolve("r1:1.5b").path.with_name("tokenizer.json")
    other.write_text("{}")
    remove("r1:1.5b")
    assert other.read_text() == "{}"


def test_rm_deletes_a_student_with_its_card_and_nothing_by_path(cache: Path, tmp_path: Path) -> None:
    path = student("mine", {})
    assert remove("mine") == ("mine", 4)
    assert list(path.parent.iterdir()) == []
    (tmp_path / "own.gguf").write_bytes(b"GGUF")
    for name in (str(tmp_path / "own.gguf"), "demo", "../own", "nope"):
        with pytest.raises(ModelNotFoundError):
            remove(name)
    assert (tmp_path / "own.gguf").exists() and catalog.BUNDLED.exists()


def test_rm_clears_what_a_stopped_pull_has_left(cache: Path) -> None:
    part = cache / "models--user--repo/blobs" / ("a" * 64 + ".incomplete")
    part.parent.mkdir(parents=True)
    part.write_bytes(b"12345")
    assert remove("user/repo:Q8_0") == ("stopped pulls of user/repo", 5)
    assert not part.parent.parent.exists()


def test_rm_of_a_stopped_pull_leaves_the_whole_model_beside_it(pulled: LoopbackHub) -> None:
    catalog.resolve("r1:1.5b", progress=False)
    part = part_path(REPO, "a" * 64)
    part.write_bytes(b"12345")
    ((repo, size),) = unfinished()
    assert remove(repo) == (f"stopped pulls of {REPO}", size)
    assert not part.exists() and catalog.find_local("r1:1.5b") is not None
    part.write_bytes(b"12345")
    assert remove("r1:1.5b")[0] == "r1:1.5b"
    assert part.read_bytes() == b"12345", "another quantisation's download can still go on"


def test_rm_of_a_stopped_pull_takes_the_files_of_a_split_model_that_had_arrived(hub: LoopbackHub, cache: Path) -> None:
    hub.repos[REPO] = {f"m-Q8_0-{n:05d}-of-00002.gguf": b"GGUF %d" % n for n in (1, 2)}
    catalog.resolve("r1:1.5b:q8_0", progress=False)
    (second,) = cache.glob("models--*/snapshots/*/*-00002-of-00002.gguf")
    blob = second.resolve()
    second.unlink()
    blob.rename(part_path(REPO, blob.name))
    assert remove(REPO) == (f"stopped pulls of {REPO}", 12)
    assert not list(cache.glob("models--*"))


def test_rm_leaves_split_files_that_are_whole_for_another_tool(cache: Path) -> None:
    folder = cache / "models--user--flux/snapshots" / ("a" * 40) / "text_encoder_2"
    folder.mkdir(parents=True)
    for n in (1, 2):
        (folder / f"model-{n:05d}-of-00002.safetensors").write_bytes(b"1234")
    with pytest.raises(ModelNotFoundError):
        remove("user/flux")
    assert len(list(folder.iterdir())) == 2


def test_rm_leaves_a_download_of_another_tool_alone(cache: Path) -> None:
    part = part_path(REPO, "a" * 64).with_suffix(".1234abcd.incomplete")
    part.parent.mkdir(parents=True)
    part.write_bytes(b"12")
    lock = lock_path(REPO, "a" * 64)
    lock.parent.mkdir(parents=True)
    with WeakFileLock(lock):
        assert unfinished() == []
        with pytest.raises(ModelNotFoundError, match="is being fetched"):
            remove(REPO)
    assert part.exists() and unfinished() == [(REPO, 2)]


def test_a_file_of_any_name_has_an_id_that_can_be_typed(hub: LoopbackHub) -> None:
    hub.repos["odd/repo"] = {"My - Model (v2).gguf": b"GGUF one"}
    hub.repos["two/repo"] = {"a--Q4_K_M.gguf": b"GGUF a", "b..c-Q4_K_M.gguf": b"GGUF b"}
    catalog.resolve("odd/repo", progress=False)
    catalog.resolve("https://huggingface.co/two/repo/blob/main/a--Q4_K_M.gguf", progress=False)
    catalog.resolve("two/repo:b-c-Q4_K_M", progress=False)
    ids = [model.id for model in catalog.local_models()]
    assert ids == ["demo", "odd/repo:My-Model-v2", "two/repo:a-Q4_K_M", "two/repo:b-c-Q4_K_M"]
    for model in catalog.local_models():
        assert catalog.find_local(model.id) == model.entry


# --- names from strangers ---

HOSTILE = [
    "../../etc/passwd", "..\\..\\x", "a\0b", "a/b/c", "~root/x", "%2e%2e%2f", "\u202efugg.ledom", "a" * 100_000,
    "http://169.254.169.254/", "-rf", "`id`", "sha256:../../x", "/etc/passwd", "file:///etc/passwd", "./secret.gguf",
    "~/secret.gguf", "secret", "secret.gguf", "u/r@../../../../secret", "u/r:../../secret", "\r\nSet-Cookie: x=1", "..",
    ".", "", "con", "r1:7b@/etc/passwd", "hf.co/../../etc/passwd", "models--u--r",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_from_a_stranger_opens_nothing_outside(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "secret.gguf").write_bytes(b"GGUF")
    (tmp_path / "secret").write_bytes(b"GGUF")
    student("mine")
    opened = _paths_opened(lambda: catalog.find_local(name))
    assert opened.pop("result") is None
    assert [path for path in opened if not path.startswith(str(tmp_path / "students"))] == []


def _paths_opened(act: Any) -> dict[str, Any]:
    """What `act` opened or listed, by Python's audit events, and its result."""
    seen: dict[str, Any] = {}
    watching = [True]

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if watching[0] and event in ("open", "os.listdir", "os.scandir", "socket.connect"):
            seen[str(args[0])] = event

    sys.addaudithook(hook)
    seen["result"] = act()
    watching[0] = False
    return seen
