"""An Ask as the body of a request to another server, in the words of its kind.

What one kind has no word for raises NotSupportedError with its name, so that another may be asked. Servers of an
unknown kind are told what OpenAI's API has words for, and of the rest what was asked for.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ...engine.request import SamplingParams
from ...errors import NotSupportedError
from ...upstream.discovery import RemoteModel
from ...upstream.kinds import Kind
from ..ask import Ask, cache_scope
from ..dialects import EFFORTS
from ..forms.structure import Form
from ..forms.tools import AllowedToolsChoice, Tool
from ..prompt.chat_template import Turn

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
CLOSED = {"role": "assistant", "reasoning_content": "\n", "content": "\n\n"}
_CONTENT = {"continue_final_message": "content", "add_generation_prompt": False}
_DEFAULTS = SamplingParams()


def path_of(ask: Ask) -> str:
    return CHAT if ask.text is None else COMPLETIONS


def body_of(ask: Ask, params: SamplingParams, model: RemoteModel, kind: Kind, *, scope_by_key: bool) -> dict[str, Any]:
    """One reply, streamed. `params` are the ask's, with this reply's seed. Raises NotSupportedError."""
    if ask.deterministic and kind is not Kind.R1CHAT:
        raise _lacks(kind, "deterministic replies", "deterministic")
    if ask.tells_tokens:
        raise NotSupportedError("Token ids are told of models that run here, not of an upstream's.", "return_token_ids")
    body: dict[str, Any] = {"model": model.id, "stream": True, **_stream_words(kind), **_sampling(params, kind)}
    if ask.text is None:
        told = [message_of(turn, keeps_thought=ask.keeps_thoughts) for turn in ask.turns]
        body |= {"messages": told, **_continuing(ask, kind)}
        if closes_thought(ask, params, model, kind):
            body |= {"messages": [*body["messages"], CLOSED], **_CONTENT}
        body |= {"logprobs": True, "top_logprobs": params.top_logprobs} if params.top_logprobs is not None else {}
    else:
        body |= {"prompt": ask.text}
        body |= {"logprobs": params.top_logprobs} if params.top_logprobs is not None else {}
    body |= _thinking(ask, params, model, kind)
    if ask.keeps_thoughts:
        body |= _keeping_thoughts(body, kind)
    if ask.form is not None:
        body |= _form(ask.form, kind)
    if ask.tools and ask.form is not None:
        if not model.knows_tools:
            raise _lacks(kind, "tools in this model's template", "tools")
        body |= _tools(ask.tools, ask.form, kind)
    if kind is Kind.R1CHAT:
        body |= {"priority": ask.priority.value} | ({"deterministic": True} if ask.deterministic else {})
        body |= {} if params.governed else {"thinking_control": False}
    salt = cache_scope(ask.owner if scope_by_key else "", ask.cache_salt)
    if salt and kind in (Kind.R1CHAT, Kind.VLLM):
        body["cache_salt"] = salt
    return body


def closes_thought(ask: Ask, params: SamplingParams, model: RemoteModel, kind: Kind) -> bool:
    """llama-server's budget of 0 lets a thought be that the template has opened: it is to go on behind its end."""
    is_chat = ask.text is None and ask.continues is None
    return kind is Kind.LLAMA_SERVER and is_chat and params.reasoning_budget == 0 and model.opens_thought


def message_of(turn: Turn, *, keeps_thought: bool = False) -> dict[str, Any]:
    """The turn on the wire. A thought goes with the calls that it led to, where it is to be continued, or where all
    are kept; servers drop it elsewhere, and some refuse it.
    """
    message: dict[str, Any] = {"role": turn.role, "content": turn.content}
    if turn.reasoning and (turn.tool_calls or keeps_thought):
        message["reasoning_content"] = turn.reasoning
    if turn.tool_calls:
        message["content"] = turn.content or None
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments or "{}"}}
            for call in turn.tool_calls
        ]
    if turn.tool_call_id is not None:
        message["tool_call_id"] = turn.tool_call_id
    return message


def _stream_words(kind: Kind) -> dict[str, Any]:
    """What makes the upstream count as it goes: so the tokens of a thought are known where usage lacks them."""
    options: dict[str, Any] = {"include_usage": True}
    if kind is Kind.VLLM:
        return {"stream_options": {**options, "continuous_usage_stats": True}}
    if kind is Kind.LLAMA_SERVER:
        return {"stream_options": options, "timings_per_token": True, "reasoning_control": True}
    return {"stream_options": options}


def _sampling(params: SamplingParams, kind: Kind) -> dict[str, Any]:
    """All that the server is known to understand, as servers differ in what they take for a default."""
    body: dict[str, Any] = {"temperature": params.temperature, "top_p": params.top_p}
    penalty = "repeat_penalty" if kind is Kind.LLAMA_SERVER else "repetition_penalty"
    cuts = {name: getattr(params, name) for name in ("top_k", "min_p", "presence_penalty", "frequency_penalty")}
    cuts[penalty] = params.repetition_penalty
    if kind in (Kind.LLAMA_SERVER, Kind.VLLM):
        # older vLLMs know no 0
        body |= cuts | ({"top_k": -1} if kind is Kind.VLLM and not params.top_k else {})
    else:
        if kind is Kind.OTHER:
            cuts["repeat_penalty"] = params.repetition_penalty  # whichever of the names it knows
        usual = dict.fromkeys(("repetition_penalty", "repeat_penalty"), _DEFAULTS.repetition_penalty)
        body |= {name: value for name, value in cuts.items() if value != usual.get(name, 0)}
    if params.logit_bias:
        body["logit_bias"] = {str(token): bias for token, bias in params.logit_bias.items()}
    if params.stop:
        body["stop"] = list(params.stop)
    for name in ("seed", "max_tokens"):
        if getattr(params, name) is not None:
            body[name] = getattr(params, name)
    return body


def _thinking(ask: Ask, params: SamplingParams, model: RemoteModel, kind: Kind) -> dict[str, Any]:
    """The budget in the upstream's words; 0 goes to the template as well, which alone can leave a thought out."""
    budget = params.reasoning_budget
    switch = {} if ask.thinking is None else {"enable_thinking": ask.thinking}
    if kind is Kind.R1CHAT:
        grace = {"reasoning_grace_tokens": params.reasoning_grace}
        return {"reasoning_budget_tokens": budget, **grace} if budget is not None else switch
    if kind is Kind.OTHER:
        return _effort(budget)
    if budget == 0:
        switch = {"enable_thinking": False}
    template = {"chat_template_kwargs": {**switch, "thinking": switch["enable_thinking"]}} if switch else {}
    word = "thinking_token_budget" if kind is Kind.VLLM else "reasoning_budget_tokens"
    if budget is None or (budget == 0 and not model.knows_budget and not model.opens_thought):
        return template
    if not model.knows_budget:
        raise _lacks(kind, "thinking budgets in this version", "reasoning_budget_tokens")
    return {**template, word: budget}


def _keeping_thoughts(body: dict[str, Any], kind: Kind) -> dict[str, Any]:
    """Elsewhere it is the model's template that may know the word."""
    if kind is Kind.OTHER:
        raise _lacks(kind, "word for keeping the thoughts of earlier turns", "preserve_thinking")
    if kind is Kind.R1CHAT:
        return {"preserve_thinking": True}
    return {"chat_template_kwargs": {**body.get("chat_template_kwargs", {}), "preserve_thinking": True}}


def _effort(budget: int | None) -> dict[str, Any]:
    """OpenAI has words for some amounts, and no numbers."""
    if budget is None:
        return {}
    for effort, tokens in EFFORTS.items():
        if tokens == budget:
            return {"reasoning_effort": effort}
    raise _lacks(Kind.OTHER, "thinking budgets in tokens", "reasoning_budget_tokens")


def _form(form: Form, kind: Kind) -> dict[str, Any]:
    if form.schema is not None:
        schema = {"name": "answer", "schema": form.schema, "strict": True}
        return {"response_format": {"type": "json_schema", "json_schema": schema}}
    for name, value in (("regex", form.regex), ("choice", form.choice and list(form.choice))):
        if value and kind is Kind.R1CHAT:
            return {name: value}
        if value and kind is Kind.VLLM:
            return {"structured_outputs": {name: value}}
        if value:
            raise _lacks(kind, f"{name} as the form of an answer", name)
    return {}


def _tools(tools: tuple[Tool, ...], form: Form, kind: Kind) -> dict[str, Any]:
    choice = form.tool_choice
    offered = list(tools)
    word: Any = choice if choice is None or isinstance(choice, str) else choice.model_dump()
    if isinstance(choice, AllowedToolsChoice) and kind is not Kind.R1CHAT:
        names = {one.function.name for one in choice.allowed_tools.tools}
        offered = [tool for tool in offered if tool.function.name in names]
        word = choice.allowed_tools.mode
    body: dict[str, Any] = {"tools": [tool.model_dump(exclude_none=True) for tool in offered]}
    body["tool_choice"] = word or "auto"
    if form.parallel is not None:
        body["parallel_tool_calls"] = form.parallel
    return body


def _continuing(ask: Ask, kind: Kind) -> dict[str, Any]:
    """The last message is the beginning of the reply."""
    if ask.continues is None:
        return {}
    *before, last = ask.turns
    earlier = (message_of(turn, keeps_thought=ask.keeps_thoughts) for turn in before)
    messages = [*earlier, {**message_of(last), "content": last.content}]
    if last.reasoning:
        messages[-1]["reasoning_content"] = last.reasoning
    if kind in (Kind.R1CHAT, Kind.LLAMA_SERVER):
        into: Any = True if ask.continues == "anywhere" else ask.continues
        return {"messages": messages, "continue_final_message": into, "add_generation_prompt": False}
    if kind is Kind.VLLM and not last.reasoning and ask.continues != "reasoning_content":
        return {"messages": messages, "continue_final_message": True, "add_generation_prompt": False}
    raise _lacks(kind, "going on with a reply that has begun", "continue_final_message")


def _lacks(kind: Kind, what: str, param: str) -> NotSupportedError:
    return NotSupportedError(f"The upstream is {kind.value}, which has no {what}.", param)


def numbered(params: SamplingParams, index: int) -> SamplingParams:
    """Of several replies to one prompt, each draws its own tokens."""
    if params.seed is None or index == 0:
        return params
    return msgspec.structs.replace(params, seed=params.seed + index)
