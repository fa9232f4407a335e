"""The suites by name: each is a function that prepares, runs and returns what came of it, by title."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from .environments import cache_folder, environment
from .langchain_skips import PLAIN_SKIPS, THINKING_SKIPS, UNIT_SKIPS
from .llama_server import llama_server
from .plain_model import write_plain_model
from .running import Outcome, run_pytest, served

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
# Nothing of the project's own settings and fixtures: they need its environment.
ALONE = ("-c", "/dev/null", "--rootdir", ".", "--noconftest")
OPENAI_MAJORS = ("3.52.0", "2.14.0")
LANGCHAIN = ("langchain-tests==1.1.9", "langchain-openai==1.7.3", "pytest==9.2.0")
ANTHROPIC = ("anthropic==2.11.0", "pytest==9.2.0")


def openai_sdk() -> dict[str, Outcome]:
    outcomes = {}
    with served("demo") as url:
        for release in OPENAI_MAJORS:
            python = environment("openai", (f"openai=={release}", "pytest==9.2.0", "pydantic==2.14.3"))
            outcomes[f"openai SDK {release}, strict"] = _own(python, "openai_sdk.py", url)
    return outcomes


def anthropic_sdk() -> dict[str, Outcome]:
    with served("demo") as url:
        python = environment("anthropic", ANTHROPIC)
        return {f"anthropic SDK {ANTHROPIC[0].rpartition('=')[2]}, strict": _own(python, "anthropic_sdk.py", url)}


def _own(python: str, name: str, url: str) -> Outcome:
    return run_pytest(python, [*ALONE, name], folder=HERE / "ours", skips={}, environ={"R1CHAT_URL": url})


def langchain() -> dict[str, Outcome]:
    """On the bundled model, which thinks, and on one that does not, where the answer's form is what is tested."""
    python, outcomes = environment("langchain", LANGCHAIN), {}
    plain = write_plain_model(cache_folder() / "models" / "plain.gguf")
    runs: list[tuple[str, str | Path, str, dict[str, str]]] = [
        ("a model that thinks", "demo", "demo", THINKING_SKIPS),
        ("a plain model", plain, "plain", PLAIN_SKIPS),
    ]
    for title, file, name, skips in runs:
        with served(file) as url:
            outcomes[f"langchain-tests, {title}"] = _langchain(python, "integration", url, name, skips)
    outcomes["langchain-tests, unit"] = _langchain(python, "unit", "", "", UNIT_SKIPS)
    return outcomes


def _langchain(python: str, name: str, url: str, model: str, skips: dict[str, str]) -> Outcome:
    # One loop for all tests, as the client keeps its connections from one to the next.
    loops = [f"asyncio_default_{what}_loop_scope=session" for what in ("test", "fixture")]
    return run_pytest(
        python,
        [*ALONE, "-o", "asyncio_mode=auto", "-o", loops[0], "-o", loops[1], f"langchain_{name}.py"],
        folder=HERE / "ours",
        skips=skips,
        environ={"R1CHAT_URL": url, "R1CHAT_MODEL": model},
    )


def schema() -> dict[str, Outcome]:
    """In the project's own environment: schemathesis is among the test tools."""
    path = "tests/serve/api/test_schema.py"
    return {"schemathesis": run_pytest(sys.executable, [path], folder=REPOSITORY, skips={}, environ={})}


SUITES: dict[str, Callable[[], dict[str, Outcome]]] = {
    "llama-server": llama_server,
    "langchain": langchain,
    "openai": openai_sdk,
    "anthropic": anthropic_sdk,
    "schema": schema,
}
