"""How people ask for the value of an expression, and what they write around any question."""

from __future__ import annotations

import random

from .phrases import expand

# {e}: the expression, in signs or in words
EXPRESSION_ASKED = (
    "[What is|What's|what is|whats|How much is|how much is] {e}[?|]",
    "[What is|What is|How much is] {e}?",
    "[Calculate|Compute|Work out|Evaluate|Find|Solve|Determine|calculate|compute|solve|Please calculate|Please compute] {e}[.|]",
    "[Tell me|Say|Show me|I want to know|I need to know|I would like to know|Please tell me] what {e} is[.|]",
    "[Tell me|Give me|Find|I need|I want|Say|Please give me] the [result|value|answer|number] [of|for] {e}[.|]",
    "What is the [result|value|answer|solution] [of|for|to] {e}?",
    "What does {e} [equal|make|give|come to]?",
    "What [number|result|value|answer] [is|does one get for|do I get for|do you get for|comes out for] {e}?",
    "{e} [equals|is|makes|gives] [what|how much|what number][?|]",
    "[Can|Could|Would|Will] you [please |][calculate|compute|work out|solve|find|tell me|give me|figure out] {e}[ for me| please|]?",
    "[Can|Could] you [tell me|say] [what|how much] {e} is?",
    "[Do you know|Any idea] [what|how much] {e} is?",
    "[Let's|Let us|I have to|I must|We need to|Help me] [calculate|compute|work out|solve|find] {e}[.|]",
    "If [I|you|we|someone] [calculate|calculates|compute|work out] {e}, what [is the result|comes out|do I get|do we get]?",
    "[My homework says|My teacher asks|The task is|The question is|Exercise]: {e}[.|]",
)
EXPRESSION_ALONE = ("{signs}", "{signs}[ = ?| =|=|=?|?| = what?]", "{e}[?|.|]")

AROUND = (
    "[Question|Q|Problem|Exercise|Task|A question|Math problem|Homework|Puzzle|Riddle]: {p}",
    "[Question|Problem|Task]:\n{p}",
    "[Please help me|Help me|Please answer|Answer this|Please solve this|Solve this|I need help|Can you solve this]: {p}",
    "[Here is|I have|This is] a [question|problem|task|little problem|question for you][:|.] {p}",
    "[Hi|Hello|Hey|Hi there|Good morning|Good day][!|,|.] {p}",
    "[Please|Ok|Okay|So|Next|Well|Now], {p}",
)
BEHIND = (
    "{p} [Thanks!|Thank you!|Thanks.|Please.|Please help.|Help me please.|Thanks in advance.]",
    "{p} [Show your work.|Explain.|Explain your answer.|Think step by step.|Please explain how.|Think carefully.]",
    "{p} [Just the number, please.|I need the number.|Give me the answer.|What is your answer?|I do not know.]",
    "[Hi|Hello|Hey][!|,|.] {p} [Thanks!|Thank you.]",
)


def asked(*expressions: str) -> tuple[str, ...]:
    """Patterns that ask for any of these expressions. The first is the one in signs, which may stand alone."""
    either = f"[{'|'.join(expressions)}]"
    alone = tuple(pattern.replace("{signs}", expressions[0]) for pattern in EXPRESSION_ALONE)
    return tuple(pattern.replace("{e}", either) for pattern in (*alone, *EXPRESSION_ASKED))


def around(rng: random.Random, prompt: str, closing: bool) -> str:
    """The prompt with what people write before it; where `closing`, perhaps behind it."""
    patterns = AROUND + BEHIND if closing else AROUND
    return expand(rng, rng.choice(patterns)).replace("{p}", prompt)
