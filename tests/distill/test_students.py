"""Who can be taught: by name, by id, by folder; what their licences ask; who is refused, and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from chat_folders import chat_folder

from r1chat.distill.errors import DistillError
from r1chat.distill.licences import licence_findings, licence_of_folder
from r1chat.distill.students import STUDENTS, find_student, parameters_of

CARD = "---\nlibrary_name: transformers\nlicense: {}\nlicense_name: {}\n---\n# A model\nlicense: none of it\n"


@pytest.mark.parametrize("name", [name for name, student in STUDENTS.items() if student.shape])
def test_the_shapes_that_plans_count_with_have_the_weights_their_makers_name(name: str) -> None:
    student = STUDENTS[name]
    assert student.shape is not None
    assert parameters_of(student.shape) == student.parameters


@pytest.mark.parametrize(
    "name",
    ["Qwen/Qwen2.5-3B", "Qwen/Qwen2.5-3B-Instruct", "unsloth/qwen2.5-3b-bnb-4bit", "Qwen/Qwen2.5-Coder-3B", "qwen-3b",
     "models/Qwen2.5-3B"],
)  # fmt: skip
def test_the_3b_that_may_not_be_used_commercially_is_refused_with_the_reason(name: str) -> None:
    with pytest.raises(DistillError, match=r"Qwen Research licence, which forbids .* Use: r1chat distill --student "):
        find_student(name)


def test_a_folder_under_that_licence_is_refused_whatever_it_is_called(tmp_path: Path) -> None:
    folder = chat_folder(tmp_path / "renamed", "chatml")
    (folder / "README.md").write_text(CARD.format("other", "qwen-research"))
    with pytest.raises(DistillError, match="Qwen Research"):
        find_student(str(folder))


@pytest.mark.parametrize("name", ["Qwen/Qwen2.5-32B", "Qwen/Qwen2.5-1.5B", "Qwen/Qwen2.5-Math-7B", "Qwen/Qwen3-30B"])
def test_its_siblings_are_not(name: str) -> None:
    assert find_student(name).base == name


def test_an_id_is_the_student_that_continues_it() -> None:
    assert find_student("Qwen/Qwen2.5-Math-1.5B") is STUDENTS["qwen-1.5b"]


def test_a_large_unknown_one_is_trained_in_four_bits_and_a_small_folder_whole(tmp_path: Path) -> None:
    assert (find_student("some/Model-7B").method, find_student("some/model-1.5b").method) == ("qlora", "lora")
    student = find_student(str(chat_folder(tmp_path / "base", "llama3")))
    assert (student.method, student.learning_rate) == ("full", 1e-3)
    assert student.shape is not None
    assert student.parameters == parameters_of(student.shape)


def test_an_id_that_was_downloaded_is_described_by_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    snapshot = tmp_path / "models--some--model" / "snapshots" / "1234"
    snapshot.parent.mkdir(parents=True)
    chat_folder(snapshot, "chatml")
    (snapshot / "LICENSE").write_text("\n   Apache License\n   Version 2.0, January 2004\n")
    (tmp_path / "models--some--model" / "refs").mkdir()
    (tmp_path / "models--some--model" / "refs" / "main").write_text("1234")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    student = find_student("some/model")
    assert (student.base, student.licence, student.method) == ("some/model", "Apache-2.0", "full")


@pytest.mark.parametrize("name", ["qwen", "", "a/b/c", "./nowhere", "/nowhere/at/all", "~/nowhere", "a b/c", "../x"])
def test_what_is_neither_name_nor_id_nor_folder_is_told_the_names(name: str) -> None:
    with pytest.raises(DistillError, match=r"tiny, small, demo, qwen-0.5b, .* Use: r1chat distill --student qwen-1.5b$"):
        find_student(name)


def test_a_folder_that_cannot_be_exported_is_refused_by_name(tmp_path: Path) -> None:
    folder = chat_folder(tmp_path / "base", "chatml")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "mamba"}))
    with pytest.raises(DistillError, match=r"mamba.*Use: r1chat distill"):
        find_student(str(folder))


def test_the_rate_is_that_of_the_method() -> None:
    student = STUDENTS["qwen-1.5b"]
    assert (student.rate("lora"), student.rate("qlora"), student.rate("full")) == (2e-4, 2e-4, 1e-4)
    assert STUDENTS["tiny"].rate("lora") == 2e-4


@pytest.mark.parametrize(
    ("card", "file", "licence"),
    [
        (CARD.format("apache-2.0", "x"), None, "Apache-2.0"),
        (CARD.format("other", "my-own"), "MIT License", "my-own"),
        (CARD.format("llama3.2", "x"), None, "Llama 3.2"),
        ("---\nlicense: 'cc-by-nc-4.0' # no money\n---\n", None, "cc-by-nc-4.0"),
        ("# no front matter\nlicense: mit\n", None, None),
        (None, "LLAMA 3.1 COMMUNITY LICENSE AGREEMENT", "Llama 3.1"),
        (None, "Qwen RESEARCH LICENSE AGREEMENT", "Qwen Research"),
        (None, "All rights reserved", None),
        (None, None, None),
    ],
)
def test_a_folders_licence_is_its_cards_or_its_files(
    card: str | None, file: str | None, licence: str | None, tmp_path: Path
) -> None:
    for name, text in (("README.md", card), ("LICENSE.txt", file)):
        if text is not None:
            (tmp_path / name).write_text(text)
    assert licence_of_folder(tmp_path) == licence


def warned(*args: Any) -> str:
    return " ".join(finding.text for finding in licence_findings(*args) if finding.level == "warning")


R1 = [("deepseek-r1", "MIT")]


def test_licences_that_ask_nothing_warn_of_nothing() -> None:
    assert warned("x-r1", "Apache-2.0", R1) == ""
    assert warned("Llama-x", "Llama 3.1", R1) == ""


def test_conflicts_of_licences_are_told() -> None:
    assert "--name llama-x" in warned("x", "Llama 3.2", R1)
    assert "forbids commercial use" in warned("x", "cc-by-nc-4.0", R1)
    assert "names no licence" in warned("x", None, R1)
    assert "gpt-4o: its maker's terms" in warned("x", "MIT", [("gpt-4o", None)])
    assert "no commercial use" in warned("x", "MIT", [("someone", "cc-by-nc-sa-4.0")])
    assert "find out" in warned("x", "MIT", [("someone", None)])
