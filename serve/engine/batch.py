"""What one forward pass computes: for each sequence a run of its tokens, laid out as consecutive rows."""

from __future__ import annotations

from dataclasses import dataclass, field

from .sequence import Sequence


@dataclass(frozen=True, slots=True)
class Chunk:
    """`n_rows` tokens of `sequence` from position `start` on; they begin at row `row` of the batch.

    The last of them are `draft`, guesses at what comes next. `logit_rows` are sampled from: that of the
    sequence's newest token, and those of its draft.
    """

    sequence: Sequence
    start: int
    n_rows: int
    row: int
    draft: list[int]
    logit_rows: range

    @property
    def tokens(self) -> list[int]:
        return self.sequence.tokens[self.start : self.start + self.n_known] + self.draft

    @property
    def n_known(self) -> int:
        return self.n_rows - len(self.draft)


@dataclass(slots=True)
class Batch:
    """Rows of any number of sequences, each in one chunk, and `n_idle` rows that only fill up a group or a piece."""

    chunks: list[Chunk] = field(default_factory=list)
    n_rows: int = 0
    n_idle: int = 0

    @property
    def n_outputs(self) -> int:
        """Rows whose logits are computed."""
        return sum(len(chunk.logit_rows) for chunk in self.chunks)

    @property
    def only_decodes(self) -> bool:
        """Every row brings logits: there is no prompt in it."""
        return self.n_outputs == self.n_rows

    @property
    def prompt_depth(self) -> float:
        """Cells that lie before a row without logits, on average."""
        rows = cells = 0.0
        for chunk in self.chunks:
            n_rows = chunk.n_rows - len(chunk.logit_rows)
            rows += n_rows
            cells += n_rows * (chunk.start + n_rows / 2)
        return cells / rows if rows else 0.0

    def add(self, sequence: Sequence, n_known: int, draft: list[int] | None = None) -> None:
        """The next `n_known` tokens of `sequence` that are not computed, and `draft` behind them."""
        draft = draft or []
        start, row, end = sequence.n_computed, self.n_rows, self.n_rows + n_known + len(draft)
        is_newest = start + n_known == len(sequence.tokens) and not sequence.only_prepares
        logit_rows = range(row + n_known - 1 if is_newest else end, end)
        self.chunks.append(Chunk(sequence, start, end - row, row, draft, logit_rows))
        self.n_rows = end

    def without(self, sequence: Sequence) -> Batch:
        return _batch_of([chunk for chunk in self.chunks if chunk.sequence is not sequence])

    def without_drafts(self) -> Batch:
        batch = Batch()
        for chunk in self.chunks:
            batch.add(chunk.sequence, chunk.n_known)
        return batch

    def still_placed(self) -> Batch:
        """Without sequences that lost their place since the batch was made; mostly itself, idle rows and all."""
        placed = [chunk for chunk in self.chunks if chunk.sequence.seq_id >= 0]
        return self if len(placed) == len(self.chunks) else _batch_of(placed)

    def halves(self) -> tuple[Batch, Batch]:
        middle = len(self.chunks) // 2
        return _batch_of(self.chunks[:middle]), _batch_of(self.chunks[middle:])


def _batch_of(chunks: list[Chunk]) -> Batch:
    batch = Batch()
    for chunk in chunks:
        batch.add(chunk.sequence, chunk.n_known, chunk.draft)
    return batch
