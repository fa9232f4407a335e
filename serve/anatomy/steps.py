"""A thought's steps: paragraphs, or parts of them where the thought takes a turn, each with what it does."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from .cues import Kind, cue
from .sentences import Sentence, sentences


@dataclass(frozen=True, slots=True)
class Step:
    """`sentences` tile the step as steps tile the thought; offsets are characters of the thought."""

    kind: Kind
    sentences: tuple[Sentence, ...]

    @property
    def start(self) -> int:
        return self.sentences[0].start

    @property
    def end(self) -> int:
        return self.sentences[-1].end


def steps(text: str) -> list[Step]:
    """The steps of a thought, in order. Linear in its length."""
    found: list[Step] = []
    gathered: list[Sentence] = []
    kind: Kind = "setup"
    for sentence in sentences(text):
        said = cue(text[sentence.start : sentence.end], opens=sentence.opens, in_setup=kind == "setup")
        turns = sentence.opens or (said is not None and said != kind)
        if turns and gathered:
            found.append(Step(kind, tuple(gathered)))
            gathered = []
        if turns:
            kind = said or ("try" if found else "setup")
        gathered.append(sentence)
    if gathered:
        found.append(Step(kind, tuple(gathered)))
    return found


def shares(found: list[Step]) -> dict[Kind, float]:
    """How much of the thought each kind of step takes, by characters; they add up to 1 (nothing for no steps)."""
    lengths: Counter[Kind] = Counter()
    for step in found:
        lengths[step.kind] += step.end - step.start
    total = sum(lengths.values())
    return {kind: length / total for kind, length in lengths.items()}
