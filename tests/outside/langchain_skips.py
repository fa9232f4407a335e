"""Which of langchain-tests' tests are skipped, by name, and why."""

from __future__ import annotations

UNDERSTANDS = "compares the call with what a model that understands the question would make of it"
ENDLESS = "wants strings of free length; a model that knows sums alone does not end them, the plain model does"
SNAPSHOT = "compares with a snapshot file that a langchain package ships for itself"

THINKING_SKIPS = {
    "test_tool_calling": UNDERSTANDS,
    "test_tool_calling_async": UNDERSTANDS,
    "test_tool_calling_with_no_arguments": UNDERSTANDS,
    "test_agent_loop": UNDERSTANDS,
    "test_unicode_tool_call_integration": UNDERSTANDS,
    "test_json_mode": UNDERSTANDS,
    "test_bind_runnables_as_tools": ENDLESS,
    "test_tool_choice": ENDLESS,
    "test_structured_output": ENDLESS,
    "test_structured_output_async": ENDLESS,
    "test_structured_output_pydantic_2_v1": ENDLESS,
    "test_structured_output_optional_param": ENDLESS,
}
PLAIN_SKIPS = {
    "test_tool_calling": UNDERSTANDS,
    "test_tool_calling_async": UNDERSTANDS,
    "test_agent_loop": UNDERSTANDS,
    "test_unicode_tool_call_integration": UNDERSTANDS,
    "test_json_mode": UNDERSTANDS,
}
UNIT_SKIPS = {"test_serdes": SNAPSHOT}
