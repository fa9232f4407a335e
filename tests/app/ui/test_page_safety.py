"""What a model or a person writes is shown and never acts: no script, no request, no markup of theirs."""

from __future__ import annotations

import pytest

from .conftest import HOSTILE, Visit

ACTIVE = "img, script, iframe, svg, object, embed, video, audio, form, input, link, style, base, meta"


@pytest.fixture(scope="module")
def visit(chat_tab: Visit) -> Visit:
    """A turn that is hostile wherever it can be; what comes after asks nothing of the model."""
    chat_tab.ask("HOSTILE")
    chat_tab.wait("done")
    return chat_tab


def test_hostile_model_text_runs_nothing_and_reaches_nobody(visit: Visit) -> None:
    visit.tab.wait_for_timeout(500)
    assert visit.tab.evaluate("window.pwned") is None
    assert visit.foreign == visit.complaints == []
    assert visit.tab.locator(".turns").locator(ACTIVE).count() == 0
    assert "<script>" in visit.thought(), "the text itself stays readable"
    assert "<script>" in visit.text(".answer")


def test_links_of_the_model_go_to_web_pages_only_and_tell_them_nothing(visit: Visit) -> None:
    links = visit.tab.locator(".answer a").evaluate_all("links => links.map(a => [a.href, a.rel, a.target])")
    assert len(links) >= 3
    for address, rel, target in links:
        assert address.startswith("http://evil.example/")
        assert (rel, target) == ("noopener noreferrer nofollow", "_blank")


def test_no_attribute_of_the_models_choice_survives(visit: Visit) -> None:
    names = visit.tab.locator(".answer *").evaluate_all("all => all.flatMap(n => n.getAttributeNames())")
    assert set(names) <= {"href", "rel", "target", "tabindex", "display", "class", "start"}
    classes = visit.tab.locator(".answer [class]").evaluate_all("all => all.map(n => n.className)")
    assert set(classes) <= {"done", "tail", "formula"}


def test_a_hostile_question_is_only_text(chat: Visit) -> None:
    chat.ask(HOSTILE.strip())
    chat.wait("done")
    assert chat.tab.evaluate("window.pwned") is None
    assert chat.text(".question") == HOSTILE.strip()


@pytest.mark.parametrize(
    ("html", "directive"),
    [
        ("<img src=http://evil.example/a.png>", "img-src"),
        ("<iframe src=http://evil.example/></iframe>", "frame-src"),
        ("<style>@import url(http://evil.example/a.css)</style>", "style-src-elem"),
        ("<object data=http://evil.example/a></object>", "object-src"),
    ],
)
def test_even_markup_that_got_through_could_reach_nobody(chat_tab: Visit, html: str, directive: str) -> None:
    refused = chat_tab.tab.evaluate(
        """html => new Promise(resolve => {
            const told = (event) => resolve(event.effectiveDirective);
            document.addEventListener('securitypolicyviolation', told, { once: true });
            document.querySelector('.turns').insertAdjacentHTML('beforeend', html);
            setTimeout(() => resolve('nothing'), 5000);
        })""",
        html,
    )
    assert refused == directive
