"""A thought's steps: paragraphs, or parts of them where the thought takes a turn, each with what it does."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from .cues import Kind, cue
from .sentences import Sentence, sentences

# So many paragraphs at the beginning may still set up, and so many at the end conclude, if their words say so.
_EARLY = 3
_LATE = 4


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
    cut = sentences(text)
    n_paragraphs = sum(sentence.opens for sentence in cut)
    found: list[Step] = []
    gathered: list[Sentence] = []
    kind: Kind = "setup"
    paragraph = -1
    for sentence in cut:
        paragraph += sentence.opens
        early = paragraph < _EARLY or (bool(found) and found[-1].kind == kind == "setup")
        late = paragraph >= n_paragraphs - min(_LATE, n_paragraphs // 3)
        said = cue(text[sentence.start : sentence.end], opens=sentence.opens, early=early, late=late)
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
