"""docs/scale-out: its files are what they say, and the r1chat commands in them are commands."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from r1chat.app.cli import _parser
from r1chat.serve.upstream.addresses import upstream_urls

DOCS = Path(__file__).resolve().parents[2] / "docs"
FILES = sorted((DOCS / "scale-out").iterdir())


def commands() -> Iterator[list[str]]:
    """The arguments of each `r1chat serve` that a reader may copy."""
    text = (DOCS / "scale-out.md").read_text() + (DOCS / "scale-out" / "r1chat-front.service").read_text()
    for block in re.findall(r"r1chat (serve .*?)(?:`|$)", text, re.MULTILINE):
        yield shlex.split(block)
    compose = yaml.safe_load((DOCS / "scale-out" / "compose.yaml").read_text())
    yield shlex.split(compose["services"]["r1chat"]["command"])
    *_, deployment, _service = yaml.safe_load_all((DOCS / "scale-out" / "rayservice.yaml").read_text())
    yield deployment["spec"]["template"]["spec"]["containers"][0]["args"]


@pytest.mark.parametrize("arguments", list(commands()), ids=" ".join)
def test_commands_in_the_docs_are_understood(arguments: list[str]) -> None:
    args = _parser().parse_args(arguments)
    assert args.upstream is None or upstream_urls(args.upstream)


def test_the_page_names_every_file() -> None:
    page = (DOCS / "scale-out.md").read_text()
    assert all(f"scale-out/{file.name}" in page for file in FILES) and len(FILES) == 4


def test_ray_serve_gets_a_config_that_is_yaml_itself() -> None:
    service, *_ = yaml.safe_load_all((DOCS / "scale-out" / "rayservice.yaml").read_text())
    [app] = yaml.safe_load(service["spec"]["serveConfigV2"])["applications"]
    assert app["args"]["llm_configs"][0]["engine_kwargs"]["reasoning_parser"] == "deepseek_r1"


def test_the_script_is_one_that_bash_reads() -> None:
    script = DOCS / "scale-out" / "vllm-on-ray.sh"
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    shown = subprocess.run(["bash", script], check=False, capture_output=True, text=True)
    assert shown.returncode == 2 and "HEAD_IP" in shown.stdout
