"""Whatever /openapi.json promises, the server keeps: every operation is called with what its schema allows."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from live_server import LiveServer, unstarted
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from r1chat.serve.api.server import ServerConfig, create_app

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
METHODS = ("get", "post", "put", "patch", "delete")
LENGTHS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
EXAMPLES = 15


def operations() -> list[str]:
    """All that the published schema names."""
    paths = create_app(ServerConfig(), unstarted()).openapi()["paths"]
    return sorted(f"{method.upper()} {path}" for path, item in paths.items() for method in item if method in METHODS)


@pytest.fixture(scope="module")
def published(live: LiveServer) -> BaseSchema:
    return schemathesis.openapi.from_url(f"{live.url}/openapi.json")


@pytest.mark.slow
@pytest.mark.parametrize("operation", operations())
def test_an_operation_keeps_its_published_schema(operation: str, published: BaseSchema, live: LiveServer) -> None:
    method, path = operation.split()
    child, restarts = live.pid, live.stats()["restarts"]

    @given(case=published[path][method].as_strategy())
    @settings(max_examples=EXAMPLES if method == "POST" else 5, deadline=None, suppress_health_check=list(HealthCheck))
    def keeps_it(case: Case) -> None:
        _shorten(case)
        case.call_and_validate(checks=CHECKS, timeout=60)

    keeps_it()
    assert live.pid == child
    assert live.stats()["restarts"] == restarts


def _shorten(case: Case) -> None:
    """Replies are kept short: it is their shape that counts here."""
    if isinstance(case.body, dict):
        for name in LENGTHS:
            if isinstance(case.body.get(name), int) and case.body[name] > 3:
                case.body[name] = 3
        case.body.setdefault("max_output_tokens" if case.path == "/v1/responses" else "max_tokens", 3)


def test_every_route_for_programs_is_in_the_schema() -> None:
    """A route that is not cannot be checked here."""
    named = {operation.split()[1] for operation in operations()}
    assert named >= {"/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages", "/tokenize", "/health"}
