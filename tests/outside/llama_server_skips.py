"""Which of llama-server's tests are skipped, by name, and why. A name with parameters skips those alone."""

from __future__ import annotations

WORDS = "quotes the text and the token counts of the test's own model"
FINGERPRINT = "wants llama.cpp's build number as system_fingerprint"
VERBOSE = "reads __verbose, which shows the rendered prompt"
NATIVE = "speaks llama-server's native /completion"
PROGRESS = "wants progress events counted in batches of --batch-size"
GRAMMAR = "sends GBNF in the field grammar; r1chat takes JSON schemas, regular expressions and choices"
ON_PURPOSE = "wants what r1chat refuses on purpose"
ORIGINS = f"{ON_PURPOSE}: pages of foreign origins get no answer, not one without headers"
IMAGES = "wants HTTP 500 for images that the model cannot see; r1chat says 400"
VISION = "needs a model that sees"
FLAGS = "tests an option of llama-server's own"
CASE = "compares the case of header names, which HTTP does not"
NO_REPLY = "shows a prompt in which no reply begins"
ROUTES = "reads a route of llama-server's own"

CHAT_SKIPS = {
    "test_chat_completion": WORDS,
    "test_chat_completion_cached_tokens": WORDS,
    "test_chat_completion_stream": WORDS,
    "test_chat_completion_with_openai_library": FINGERPRINT,
    "test_chat_template": VERBOSE,
    "test_chat_template_assistant_prefill": VERBOSE,
    "test_chat_template_continue_final_message_vllm_compat": VERBOSE,
    "test_verbose_debug": VERBOSE,
    "test_return_progress": PROGRESS,
    "test_completion_with_grammar": GRAMMAR,
    "test_completion_with_response_format[response_format1": WORDS,
    "test_invalid_chat_completion_req[messages7]": "wants two assistant turns in a row refused; they are history here",
}
WORDLESS_SKIPS = {"test_responses_stream_with_llama_telemetry": PROGRESS}
ANTHROPIC_SKIPS = {
    "test_anthropic_tool_result_with_image": IMAGES,
    "test_anthropic_vision_format_accepted": IMAGES,
    "test_anthropic_vision_base64_with_multimodal_model": VISION,
    "test_anthropic_empty_messages": f"{ON_PURPOSE}: no messages are no question",
}
THINKING_MESSAGES_SKIPS: dict[str, str] = {}
BASIC_SKIPS = {
    "test_server_multiple_addresses": FLAGS,
    "test_server_models": "wants one model in the list; r1chat lists all that are on the machine",
    "test_server_props": ROUTES,
    "test_server_slots": ROUTES,
    "test_load_split_model": NATIVE,
    "test_no_ui": FLAGS,
    "test_server_model_aliases_and_tags": FLAGS,
}
SECURITY_SKIPS = {
    "test_access_static_assets_without_api_key": f"{ON_PURPOSE}: with a key the page asks for it",
    "test_correct_api_key": NATIVE,
    "test_correct_api_key_anthropic_header": NATIVE,
    "test_cors_options": f"{ON_PURPOSE}: every origin is let in without being asked for",
    "test_cors_origins_localhost_reflects": CASE,
    "test_cors_origins_localhost_rejects": ORIGINS,
    "test_cors_origins_defaults_to_localhost_with_tools_enabled": ORIGINS,
    "test_cors_proxy_only_forwards_explicit_proxy_headers": ROUTES,
    "test_local_media_file": VISION,
}


def template_skips(template: str, test: str) -> dict[str, str]:
    """For the group that asks for `test` on one of llama.cpp's template files."""
    if test == "test_reasoning":
        return {f"test_reasoning[{template}-off": "turns thinking off for a whole server; r1chat takes it by request"}
    if "firefunction" in template:
        return {
            "test_date_inside_prompt[fireworks": "its template wants variables that only its own makers' server sets"
        }
    if "add_generation_prompt" in test:
        return {f"test_add_generation_prompt[{template}-<|start_header_id|>assistant<|end_header_id|>-False": NO_REPLY}
    return {}
