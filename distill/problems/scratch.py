"""Arithmetic as it is written down: every digit appears after the digits it is computed from.

A small network cannot add 347 and 589 in its head, but it can add 7 and 9, carry, and go on. Scratch
writes those columns, and now and then plants a slip and corrects it, as R1's own traces do.
"""

from __future__ import annotations

import random

PLACES = ("Ones", "Tens", "Hundreds", "Thousands", "Ten thousands", "Hundred thousands", "Millions", "Ten millions")
CORRECTIONS = ("Wait, {0}.", "Wait, that is wrong. {0}.", "No, {0}.", "Hmm, let me redo that. {0}.")


class Scratch:
    """Collects paragraphs of reasoning; the arithmetic methods return the value they wrote down.

    At most one slip is planted, in the `slip_at`-th computed fact (None: no slip).
    """

    def __init__(self, rng: random.Random, slip_at: int | None = None) -> None:
        self.rng = rng
        self._slip_at = slip_at
        self._facts = 0
        self._paragraphs: list[str] = []
        self._sentences: list[str] = []

    def say(self, *sentences: str) -> None:
        self._sentences.extend(sentences)

    def paragraph(self) -> None:
        if self._sentences:
            self._paragraphs.append(" ".join(self._sentences))
            self._sentences = []

    def text(self) -> str:
        self.paragraph()
        return "\n".join(self._paragraphs)

    def fact(self, expression: str, value: int, label: str = "", tail: str = "", colon: str = ": ") -> None:
        """One computed fact, `expression=value`; here a slip may be planted and corrected."""
        head = f"{label}{colon}" if label else ""
        if self._facts == self._slip_at:
            wrong = self._near(value)
            right = f"{expression}={value}{tail}"
            self.say(f"{head}{expression}={wrong}.", self.rng.choice(CORRECTIONS).format(right))
        else:
            self.say(f"{head}{expression}={value}{tail}.")
        self._facts += 1

    def _near(self, value: int) -> int:
        return max(0, value + self.rng.choice((-2, -1, 1, 2, 10))) if value else 1

    def add(self, a: int, b: int) -> int:
        if a + b <= 20 or (a < 10 and b < 10):
            self.fact(f"{a}+{b}", a + b)
            return a + b
        self.say(f"{a}+{b}.")
        carry = 0
        for place, x, y in _columns(a, b):
            terms = f"{x}+{y}+1" if carry else f"{x}+{y}"
            self.fact(terms, x + y + carry, PLACES[place])
            carry = (x + y + carry) // 10
        self.say(f"So {a}+{b}={a + b}.")
        return a + b

    def subtract(self, a: int, b: int) -> int:
        """a >= b."""
        if a <= 20:
            self.fact(f"{a}-{b}", a - b)
            return a - b
        self.say(f"{a}-{b}.")
        borrow = 0
        for place, x, y in _columns(a, b):
            short = x - y - borrow < 0
            less = f"-{y}-1" if borrow else f"-{y}"
            # whether to borrow is decided with the digits in sight, before anything is taken away
            label, top = (f"{PLACES[place]}: {x}{less} is too small", x + 10) if short else (PLACES[place], x)
            self.fact(f"{top}{less}", top - y - borrow, label, ", borrow 1" if short else "", ", " if short else ": ")
            borrow = int(short)
        self.say(f"So {a}-{b}={a - b}.")
        return a - b

    def multiply(self, a: int, b: int) -> int:
        if b > 9 and a > 9 and b % 10 == 0 and a % 10 != 0 and str(b).strip("0") == "1":
            self.fact(f"{a}*{b}", a * b)
        elif a < 10 and b < 10:
            self.fact(f"{a}*{b}", a * b)
        elif b < 10:
            self._multiply_by_digit(a, b)
        elif a < 10:
            self.say(f"{a}*{b}={b}*{a}.")
            self._multiply_by_digit(b, a)
        else:
            self._multiply_by_parts(a, b)
        return a * b

    def _multiply_by_digit(self, a: int, digit: int) -> None:
        if a % 10 == 0 and a // 10 < 10:
            self.fact(f"{a}*{digit}", a * digit)
            return
        self.say(f"{a}*{digit}.")
        carry = 0
        for place, x in enumerate(_digits(a)):
            terms = f"{x}*{digit}+{carry}" if carry else f"{x}*{digit}"
            self.fact(terms, x * digit + carry, PLACES[place])
            carry = (x * digit + carry) // 10
        self.say(f"So {a}*{digit}={a * digit}.")

    def _multiply_by_parts(self, a: int, b: int) -> None:
        parts = [digit * 10**place for place, digit in enumerate(_digits(b)) if digit][::-1]
        if len(parts) > 1:
            self.say(f"{a}*{b}=" + "+".join(f"{a}*{part}" for part in parts) + ".")
            self.paragraph()
        total = None
        for part in parts:
            digit = int(str(part)[0])
            if part >= 10 and digit > 1:
                self.multiply(a, digit)
                self.say(f"So {a}*{part}={a * part}.")
            elif part >= 10:
                self.fact(f"{a}*{part}", a * part)
            else:
                self.multiply(a, digit)
            self.paragraph()
            total = a * part if total is None else self.add(total, a * part)
        if len(parts) > 1:
            self.say(f"So {a}*{b}={a * b}.")

    def divide(self, a: int, b: int) -> int:
        """a divisible by b; long division, one digit of a at a time."""
        if a // b < 10:
            self.fact(f"{a}/{b}", a // b)
            return a // b
        self.say(f"{a}/{b}.")
        rest = 0
        for digit in reversed(_digits(a)):
            current = rest * 10 + digit
            rest = current % b
            self.fact(f"{current}/{b}", current // b, tail=f" rest {rest}")
        self.say(f"So {a}/{b}={a // b}.")
        return a // b


def _digits(n: int) -> list[int]:
    """Digits of n, ones first."""
    return [int(c) for c in reversed(str(n))]


def _columns(a: int, b: int) -> list[tuple[int, int, int]]:
    """(place, digit of a, digit of b), ones first; the shorter number counts as padded with zeros."""
    width = max(len(str(a)), len(str(b)))
    xs, ys = (digits + [0] * (width - len(digits)) for digits in (_digits(a), _digits(b)))
    return [(place, x, y) for place, (x, y) in enumerate(zip(xs, ys, strict=True))]
