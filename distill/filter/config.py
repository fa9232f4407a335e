"""Settings of the stage that keeps or drops traces."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FilterConfig:
    """`max_tokens` is the longest row of prompt, thought and answer, in the student's tokens: longer is dropped, as
    is what the student has no positions for. Samples of a problem that are as alike as `near_duplicate` (Jaccard
    of their runs of five words) count as one. Problems of another pass rate than asked for are dropped: 0.99 as
    `max_pass_rate` drops those that the teacher always solves.

    `mix` keeps the shortest and the longest right thought of a problem, and of the longest as many as leave
    `short_share` of the rows within `short_tokens`; None: for students of 0.1 to 3.5 billion parameters, as
    students that small learn less from long thoughts alone. `per_problem` rows are kept of a problem at most,
    shortest first; None: 2 where mixed, else 4.
    """

    language: str = "en"
    min_language_share: float = 0.95
    max_tokens: int = 8192
    keep_unverified: bool = False
    near_duplicate: float = 0.8
    min_pass_rate: float = 0.0
    max_pass_rate: float = 1.0
    per_problem: int | None = None
    mix: bool | None = None
    short_share: float = 0.3
    short_tokens: int = 1024
