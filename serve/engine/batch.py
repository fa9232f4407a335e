"""What one forward pass computes: for each sequence a run of its tokens, laid out as consecutive rows."""

from __future__ import annotations

from dataclasses import dataclass, field

from .sequence import Sequence


@dataclass(slots=True)
class Chunk:
    """`n_rows` tokens of `sequence`, from its first uncomputed one; they begin at row `row` of the batch.

    `draft` are guesses at what comes next; they are the last of these rows.
    """

    sequence: Sequence
    n_rows: int
    row: int
    draft: list[int] = field(default_factory=list)

    @property
    def start(self) -> int:
        return self.sequence.n_computed

    @property
    def tokens(self) -> list[int]:
        known = self.n_rows - len(self.draft)
        return self.sequence.tokens[self.start : self.start + known] + self.draft

    @property
    def logit_rows(self) -> range:
        """Rows that are sampled from: that of the sequence's newest token, and those of its draft."""
        end = self.row + self.n_rows
        if self.sequence.only_prepares or self.start + self.n_rows - len(self.draft) < len(self.sequence.tokens):
            return range(end, end)
        return range(end - 1 - len(self.draft), end)


@dataclass(slots=True)
class Batch:
    """Rows of any number of sequences, each in one chunk, and `n_idle` rows that only fill up a group."""

    chunks: list[Chunk] = field(default_factory=list)
    n_rows: int = 0
    n_idle: int = 0

    @property
    def n_outputs(self) -> int:
        """Rows whose logits are computed."""
        return sum(len(chunk.logit_rows) for chunk in self.chunks)

    def add(self, sequence: Sequence, n_rows: int, draft: list[int] | None = None) -> None:
        """`n_rows` known tokens of `sequence`, and `draft` behind them."""
        draft = draft or []
        self.chunks.append(Chunk(sequence, n_rows + len(draft), self.n_rows, draft))
        self.n_rows += n_rows + len(draft)

    def without(self, sequence: Sequence) -> Batch:
        return _batch_of([chunk for chunk in self.chunks if chunk.sequence is not sequence])

    def without_drafts(self) -> Batch:
        batch = Batch()
        for chunk in self.chunks:
            batch.add(chunk.sequence, chunk.n_rows - len(chunk.draft))
        return batch

    def still_placed(self) -> Batch:
        """Without sequences that lost their place since the batch was made."""
        return _batch_of([chunk for chunk in self.chunks if chunk.sequence.seq_id >= 0])

    def halves(self) -> tuple[Batch, Batch]:
        middle = len(self.chunks) // 2
        return _batch_of(self.chunks[:middle]), _batch_of(self.chunks[middle:])


def _batch_of(chunks: list[Chunk]) -> Batch:
    batch = Batch()
    for chunk in chunks:
        batch.add(chunk.sequence, chunk.n_rows - len(chunk.draft), chunk.draft)
    return batch
