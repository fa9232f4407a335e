"""llama-server's own tests, as they come with llama-cpp-python, against r1chat servers set up as they ask for.

The suite is told that its server runs already (DEBUG_EXTERNAL), so what it would give as options, context,
template, key and the model's name, each group here gives to r1chat. What r1chat is not, is skipped by name.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from r1chat.serve.models.catalog import BUNDLED

from .environments import cache_folder, environment, llama_cpp_source
from .llama_server_skips import (
    ANTHROPIC_SKIPS,
    BASIC_SKIPS,
    CHAT_SKIPS,
    SECURITY_SKIPS,
    THINKING_MESSAGES_SKIPS,
    WORDLESS_SKIPS,
    template_skips,
)
from .plain_model import CHATML, write_plain_model
from .running import Outcome, run_pytest, served

KEY = "sk-this-is-the-secret-key"
LOCAL_PAGES = (
    "http://localhost",
    "http://localhost:8080",
    "http://127.0.0.1",
    "http://127.0.0.1:3000",
    "http://[::1]",
    "http://[::1]:3000",
)
# The turns of Command R, whose built-in template the suite names.
COMMAND_R = (
    "{% for message in messages %}<|START_OF_TURN_TOKEN|>"
    "<|{{ {'user': 'USER', 'system': 'SYSTEM', 'assistant': 'CHATBOT'}[message.role] }}_TOKEN|>"
    "{{ message.content }}<|END_OF_TURN_TOKEN|>{% endfor %}"
    "{% if add_generation_prompt %}<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>{% endif %}"
)


@dataclass(frozen=True)
class Group:
    """Tests that one server can answer. `model` is the name that they ask for; `template` a text, or a file of
    llama.cpp's; `keyword` chooses among the tests (pytest -k), `words` says that texts are compared.
    """

    title: str
    files: tuple[str, ...]
    model: str
    template: str = CHATML
    options: tuple[str, ...] = ("--ctx", "8192")
    skips: Mapping[str, str] = field(default_factory=dict)
    keyword: str = ""
    words: bool = True
    thinks: bool = False


def _of_template(name: str, keyword: str, file: str = "unit/test_template.py") -> Group:
    """What the suite asks of one of llama.cpp's template files."""
    skips = template_skips(name, keyword)
    return Group("templates", (file,), "plain", f"{name}.jinja", keyword=f"{keyword} and {name}", skips=skips)


R1, QWEN3, QWQ = "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B", "Qwen-Qwen3-0.6B", "Qwen-QwQ-32B"
LLAMA, FIREFUNCTION = "meta-llama-Llama-3.3-70B-Instruct", "fireworks-ai-llama-3-firefunction-v2"
COMMAND_R7B = "CohereForAI-c4ai-command-r7b-12-2024-tool_use"
GROUPS = (
    Group(
        "chat completions",
        ("unit/test_chat_completion.py",),
        "gpt-3.5-turbo-instruct",
        options=("--ctx", "256", "--parallel", "2"),
        skips=CHAT_SKIPS,
        keyword="not test_apply_chat_template",
    ),
    Group(
        "chat completions",
        ("unit/test_chat_completion.py::test_apply_chat_template",),
        "plain",
        template=COMMAND_R,
    ),
    Group(
        "responses, texts not compared",
        ("unit/test_compat_oai_responses.py",),
        "gpt-4.1",
        skips=WORDLESS_SKIPS,
        words=False,
    ),
    Group(
        "messages (Anthropic)",
        ("unit/test_compat_anthropic.py",),
        "test",
        template=f"{QWEN3}.jinja",
        skips=ANTHROPIC_SKIPS,
        keyword="not with_reasoning_model",
    ),
    Group(
        "messages (Anthropic)",
        ("unit/test_compat_anthropic.py::test_anthropic_thinking_with_reasoning_model",),
        "test",
        thinks=True,
        options=(),
        skips=THINKING_MESSAGES_SKIPS,
    ),
    Group("tokens, basics", ("unit/test_tokenize.py", "unit/test_basic.py"), "tinyllama-2", skips=BASIC_SKIPS),
    Group(
        "keys and origins",
        ("unit/test_security.py",),
        "gpt-3.5-turbo",
        options=("--ctx", "256", "--api-key", KEY, *(word for page in LOCAL_PAGES for word in ("--cors-origin", page))),
        skips=SECURITY_SKIPS,
    ),
    *(_of_template(template, "test_reasoning") for template in (R1, QWEN3, QWQ, COMMAND_R7B)),
    _of_template(FIREFUNCTION, "test_date_inside_prompt"),
    _of_template(LLAMA, "(test_date_inside_prompt or test_add_generation_prompt)"),
    _of_template(LLAMA, "test_completion_without_tool_call_fast", "unit/test_tool_call.py"),
)


def llama_server() -> dict[str, Outcome]:
    """Every group on a server of its own, counted by title."""
    source = llama_cpp_source()
    tests = source / "tools" / "server" / "tests"
    python = environment("llama-server", (tests / "requirements.txt").read_text().split())
    outcomes: dict[str, Outcome] = {}
    for group in GROUPS:
        with served(_model(group, source), *group.options) as url:
            outcome = run_pytest(
                python,
                [*group.files, *(["-k", group.keyword] if group.keyword else [])],
                folder=tests,
                skips=group.skips,
                environ={
                    "DEBUG_EXTERNAL": "1",
                    "PORT": str(urlsplit(url).port),
                    **({} if group.words else {"ANY_TEXT": "1"}),
                },
            )
        outcomes.setdefault(f"llama-server, {group.title}", Outcome()).add(outcome)
    return outcomes


def _model(group: Group, source: Path) -> Path:
    """A file under the name that the tests ask for: that is what r1chat calls a model."""
    folder = cache_folder() / "models"
    if group.thinks:
        path = folder / "bundled" / f"{group.model}.gguf"
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(BUNDLED, path)
        return path
    if group.template.endswith(".jinja"):
        text = (source / "models" / "templates" / group.template).read_text()
        return write_plain_model(folder / group.template / f"{group.model}.gguf", text)
    return write_plain_model(folder / f"{group.model}-of-{len(group.template)}" / f"{group.model}.gguf", group.template)
