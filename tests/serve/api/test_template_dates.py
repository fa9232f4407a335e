"""Templates that want today's date get it, under each name that models' authors chose, and nothing larger."""

from __future__ import annotations

from datetime import date

import jinja2
import pytest

from r1chat.serve.api.prompt.sandbox import compile_template, fill


def filled(source: str) -> str:
    return fill(compile_template(source), [{"role": "user", "content": "hi"}], bos_token="", eos_token="")


@pytest.mark.parametrize(
    ("source", "layout"),
    [
        ("{{ strftime_now('%d %b %Y') }}", "%d %b %Y"),
        ("{{ strftime_now('%Y-%m-%d') }}", "%Y-%m-%d"),
        ("{% if not date_string is defined %}26 Jul 2024{% else %}{{ date_string }}{% endif %}", "%d %b %Y"),
    ],
)
def test_a_template_can_say_which_day_it_is(source: str, layout: str) -> None:
    before = date.today().strftime(layout)
    assert filled(source) in (before, date.today().strftime(layout))


@pytest.mark.parametrize("layout", ["%999999999d", "%_99999999d", "%-9999999Y", "%^+100000d", "x" * 101])
def test_a_layout_cannot_ask_for_gigabytes(layout: str) -> None:
    with pytest.raises(jinja2.TemplateError):
        filled(f"{{{{ strftime_now('{layout}') }}}}")
