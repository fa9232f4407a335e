"""Which of langchain-tests' tests are skipped, by name, and why."""

from __future__ import annotations

UNDERSTANDS = "compares the arguments of the call with what a model that understands would give"
FORM = "the answer's form alone; it runs on the plain model"
ELSEWHERE = "runs on the model that thinks"

THINKING_SKIPS: dict[str, str] = {}
PLAIN_SKIPS: dict[str, str] = {
    "test_tool_calling": UNDERSTANDS,
    "test_tool_calling_async": UNDERSTANDS,
    "test_agent_loop": UNDERSTANDS,
    "test_unicode_tool_call_integration": UNDERSTANDS,
}
UNIT_SKIPS: dict[str, str] = {}
