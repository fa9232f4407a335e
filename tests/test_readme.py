"""README says what is true: its commands parse, its make targets and files exist, its code runs."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from served import served

from r1chat.app.cli import COMMANDS, _parser, _with_command

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", README, flags=re.M | re.S)
    return [text for tag, text in found if tag == language]


def shell_commands() -> list[list[str]]:
    """Every line of the shell blocks as words, comments and what is piped in left out."""
    lines = "\n".join(blocks("sh")).replace("\\\n", " ").splitlines()
    commands = (shlex.split(line.rpartition(" | ")[2], comments=True) for line in lines)
    return [words for words in commands if words]


R1CHAT = [words[1:] for words in shell_commands() if words[0] == "r1chat"]


@pytest.mark.parametrize("arguments", R1CHAT, ids=" ".join)
def test_every_r1chat_command_is_one(arguments: list[str]) -> None:
    _parser().parse_args(_with_command(arguments))


def test_every_subcommand_is_shown() -> None:
    shown = {words[0] for words in R1CHAT if words and not words[0].startswith("-")}
    assert shown == set(COMMANDS)


def test_every_make_target_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    shown: set[str] = set()
    for words in shell_commands():
        if "make" in words:
            shown |= {word for word in words[words.index("make") + 1 :] if "=" not in word}
    assert shown >= {"run", "test", "lint", "clean"}
    assert [target for target in shown if not re.search(rf"^{target}:", makefile, flags=re.M)] == []


def tree() -> dict[str, str]:
    """Path -> what is said of it, from the indented tree."""
    (block,) = (block for block in blocks("") if block.startswith("app/"))
    entries: dict[str, str] = {}
    parents: list[str] = []
    for line in block.splitlines():
        name, _, text = line.strip().partition(" ")
        depth = (len(line) - len(line.lstrip())) // 2
        parents[depth:] = [name]
        entries["".join(parents)] = text.strip()
    return entries


def test_the_tree_shows_what_is_there_and_nothing_else() -> None:
    shown = tree()
    assert [path for path in shown if not (ROOT / path).exists()] == []
    # A folder whose files are not listed stands for them, by name where it names any.
    files = [path for path in shown if not path.endswith("/")]
    folded = {path for path in shown if path.endswith("/") and not any(file.startswith(path) for file in files)}
    missing = []
    for file in (path for top in ("app", "serve", "distill") for path in (ROOT / top).rglob("*.py")):
        path = file.relative_to(ROOT).as_posix()
        folder = path.removesuffix(file.name)
        named_in_folder = folder in folded and (".py" not in shown[folder] or file.name in shown[folder])
        if not (file.name.startswith("__") or path in shown or named_in_folder):
            missing.append(path)
    assert missing == []


def test_pictures_and_links_exist() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert "docs/screenshots/wide.png" in targets
    assert [target for target in targets if "://" not in target and not (ROOT / target).exists()] == []


@pytest.mark.slow
@pytest.mark.model
def test_the_python_example_streams_a_thought_and_an_answer() -> None:
    (example,) = blocks("python")
    assert "http://127.0.0.1:8000" in example
    with served("serve") as server:
        script = example.replace("http://127.0.0.1:8000", server.url())
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\\boxed{") == 1
