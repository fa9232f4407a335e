"""What the scripted model says in the acceptance tests. Nothing in it repeats itself: that would be ended as a loop."""

from __future__ import annotations

import random

from ..conftest import HOSTILE

N_LONG = 20_000
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def lines(n_words: int, name: str = "word", n_per_line: int = 12) -> str:
    """So many numbered words, one token each, in lines."""
    return "".join(f"{name}{n}" + ("\n" if n % n_per_line == n_per_line - 1 else " ") for n in range(n_words))


def paragraphs(n_tokens: int, formula_every: int) -> str:
    """Prose of so many tokens of about five letters each, with a formula at every so many."""
    chance = random.Random(7)
    lexicon = ["".join(chance.choices(_LETTERS, k=chance.randint(2, 7))) for _ in range(4000)]
    words = []
    for n in range(n_tokens):
        if n % formula_every == formula_every - 1:
            word = rf"\(\frac{{{n}}}{{x_{{{n % 97}}}}}\)"
        else:
            word = chance.choice(lexicon)
        words.append(word + ("\n\n" if n % 80 == 79 else ".\n" if n % 16 == 15 else " "))
    return "".join(words)


CODE = (
    "Tabs and fences:\r\n\r\n```python\nif x < 2:\n\treturn '<div>' + \"`\"\n\n\n\tdone()  \n```\n\n"
    "A family 👨‍👩‍👧‍👦, a flag 🏴󠁧󠁢󠁥󠁮󠁧󠁿, 👩🏽‍🚀 and e\u0301, and <div class=x>no markup</div> & &amp; ${x} \\(x<1\\)."
)
SCRIPTS = {
    "STEPS": f"{lines(900)}\n</think>\n\n{lines(120, 'said')}",
    "HOURS": f"{lines(3000)}\n</think>\n\nThat was it.",
    "SHORT": "First I look at it.\nThen I add seven and five.\n</think>\n\nIt is twelve.",
    "SPEECH": f"{lines(150)}\n</think>\n\n{lines(150, 'said')}",
    "MISSING": "I add them.\n</think>\n\nIt is 12.",
    "REPEATED": "<think>\nI add them.\n</think>\n\nIt is 12.",
    "SPLIT": "I add¦ them.\n¦</¦thi¦nk¦>\n¦\nIt is¦ 12.",
    "QUOTED": "The tag `</think>` ends it, I know.\nI add them.\n</think>\n\nIt is 12.",
    "EMPTY": "\n</think>\n\nIt is 12.",
    "ENDING": "I add them and",
    "EXACT": f"{CODE}\n\nA line\tof thought.\n</think>\n\n{CODE}\n\nThe end.",
    "HOSTILE": f"{HOSTILE}\n</think>\n\n{HOSTILE}",
    "EDIT": "I look at it first. Seven and five make thirteen. That is all there is.\n</think>\n\nIt is 13.",
}
