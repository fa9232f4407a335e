"""What a student was taught comes back through its GGUF: thought and answer apart, and then it stops."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from chat_folders import KINDS, chat_folder, forget_tokens
from engine_tools import finish_of, run, text_of
from recording_runner import UntimedRunner

from r1chat.distill.errors import DistillError
from r1chat.distill.hf.gguf import export_gguf
from r1chat.distill.sft.formats import format_for, write_format
from r1chat.distill.sft.rows import RowEncoder
from r1chat.serve.api.prompt.chat_template import Turn, render
from r1chat.serve.engine.config import EngineConfig
from r1chat.serve.engine.engine import Engine
from r1chat.serve.engine.request import Channel, Event, GenerateRequest, SamplingParams
from r1chat.serve.models.gguf.info import read_info

QUESTION = "What is 12 + 30?"
THOUGHT = "12 + 30 = 42.\n\nWait, is it?\nYes."
ANSWER = "It is \\boxed{42}."


def teach(base: Path, student: Path) -> None:
    """One row by heart, saved as a trainer saves it."""
    torch = pytest.importorskip("torch", reason="needs the extra `distill`")
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    row = RowEncoder(base).encode(QUESTION, THOUGHT, ANSWER)
    ids, labels = torch.tensor([row.input_ids]), torch.tensor([row.labels])
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.0)
    for _ in range(150):
        loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if loss.item() < 0.01:
            break
    assert loss.item() < 0.05
    model.save_pretrained(student)


def ask(gguf: Path, **params: Any) -> list[Event]:
    runner = UntimedRunner(EngineConfig(model_path=gguf, n_threads=1, n_cells=512))
    try:
        prompt = render([Turn("user", QUESTION)], runner.info)
        sampling = SamplingParams(temperature=0.0, max_tokens=200, **params)
        request = GenerateRequest(
            request_id="r", prompt=prompt.segments, params=sampling, reasoning_open=prompt.reasoning_open
        )
        return run(Engine(runner), [request])["r"]
    finally:
        runner.close()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_what_was_taught_comes_back_thought_and_answer_apart_and_ends(kind: str, tmp_path: Path) -> None:
    base, student = chat_folder(tmp_path / "base", kind), tmp_path / "student"
    teach(base, student)
    write_format(base, student)
    gguf = export_gguf(student, tmp_path / "student.gguf", "F32")

    events = ask(gguf)
    finished = finish_of(events)
    assert text_of(events, Channel.REASONING) == THOUGHT
    assert text_of(events, Channel.CONTENT) == ANSWER
    assert (finished.reason, finished.reasoning_end) == ("stop", "natural")

    # and a thought that is cut short is closed with the same tag, however many tokens that takes
    cut = ask(gguf, reasoning_budget=4, reasoning_grace=0)
    assert THOUGHT.startswith(text_of(cut, Channel.REASONING))
    assert finish_of(cut).reasoning_end == "budget"
    assert text_of(cut, Channel.CONTENT)
    assert "</think>" not in text_of(cut, Channel.REASONING) + text_of(cut, Channel.CONTENT)
    assert finish_of(cut).usage.reasoning_tokens == 4


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_ends_and_pads_as_its_format_does_and_keeps_the_ends_of_the_base(kind: str, tmp_path: Path) -> None:
    folder = chat_folder(tmp_path / "base", kind)
    before = json.loads((folder / "config.json").read_text())
    tokens = (folder / "tokenizer.json").read_bytes()
    chosen = write_format(folder, folder)
    encoder = RowEncoder(folder)
    config, generation = (json.loads((folder / f"{name}.json").read_text()) for name in ("config", "generation_config"))
    assert config["eos_token_id"] == generation["eos_token_id"][0] == encoder.eos_id
    assert before["eos_token_id"] in generation["eos_token_id"]
    assert config["pad_token_id"] == encoder.pad_id != encoder.eos_id
    assert (generation["temperature"], generation["top_p"]) == (0.6, 0.95)
    assert {key: config[key] for key in before if "token_id" not in key} == {
        key: value for key, value in before.items() if "token_id" not in key
    }
    assert (folder / "tokenizer.json").read_bytes() == tokens
    info = read_info(export_gguf(folder, tmp_path / "model.gguf", "Q8_0"))
    assert (info.eos_token, info.chat_template) == (chosen.eos, chosen.template)


@pytest.mark.parametrize(("kind", "end"), [("llama3", "<|end_of_text|>"), ("chatml", "<|endoftext|>")])
def test_a_base_that_never_learned_to_end_a_turn_ends_it_as_it_ended_texts(kind: str, end: str, tmp_path: Path) -> None:
    folder = chat_folder(tmp_path / "base", kind)
    forget_tokens(folder, ["<|eot_id|>", "<|im_end|>"])
    chosen = write_format(folder, folder)
    encoder = RowEncoder(folder)
    assert chosen.eos == encoder.format.eos == end != chosen.pad
    info = read_info(export_gguf(folder, tmp_path / "model.gguf", "Q8_0"))
    assert info.eos_token == end
    prompt = render([Turn("user", QUESTION)], info)  # type: ignore[arg-type]
    assert prompt.text == encoder.decode(encoder.encode_prompt(QUESTION))
    assert f"{QUESTION}{end}" in prompt.text


@pytest.mark.parametrize("kind", KINDS)
def test_transformers_renders_and_reads_the_folder_alike(kind: str, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="needs the extra `distill`")
    folder = chat_folder(tmp_path / "base", kind)
    write_format(folder, folder)
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(folder)
    encoder = RowEncoder(folder)
    messages = [{"role": "user", "content": QUESTION}]
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    assert ids == encoder.encode_prompt(QUESTION)
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id) == (encoder.eos_id, encoder.pad_id)


@pytest.mark.parametrize("kind", ["chatml", "llama3"])
def test_earlier_thoughts_are_left_out_and_earlier_texts_are_as_they_were(kind: str, tmp_path: Path) -> None:
    folder = chat_folder(tmp_path / "base", kind)
    write_format(folder, folder)
    info = read_info(export_gguf(folder, tmp_path / "model.gguf", "Q8_0"))
    turns = [
        Turn("system", "Be brief."),
        Turn("user", "  1 + 1? "),
        Turn("assistant", "<think>\nHm.\n</think>\n\n2"),
        Turn("user", "2 + 2?"),
    ]
    text = render(turns, info).text  # type: ignore[arg-type]
    assert "Hm." not in text
    for content in ("Be brief.", "  1 + 1? ", "2", "2 + 2?"):
        assert content + format_for(json_tokens(folder)).after.partition("<|")[0] in text
    assert text.endswith("<think>\n")
    assert text.count("<think>") == 1


def json_tokens(folder: Path) -> list[str]:
    return [token["content"] for token in json.loads((folder / "tokenizer.json").read_text())["added_tokens"]]


@pytest.mark.parametrize(
    ("tokens", "reason"),
    [([], "none of R1, Qwen2 and Llama 3"), (["<|im_start|>", "<|im_end|>"], "no token to pad with")],
)
def test_a_vocabulary_that_cannot_be_taught_is_refused_with_what_to_use(tokens: list[str], reason: str) -> None:
    with pytest.raises(DistillError, match=rf"{reason}.* Use: r1chat distill --student "):
        format_for(tokens)
