"""What one forward pass computes: for each sequence a run of its tokens, laid out as consecutive rows."""

from __future__ import annotations

from dataclasses import dataclass, field

from .sequence import Sequence


@dataclass(slots=True)
class Chunk:
    """`n_rows` tokens of `sequence`, from its first uncomputed one; they begin at row `row` of the batch."""

    sequence: Sequence
    n_rows: int
    row: int

    @property
    def start(self) -> int:
        return self.sequence.n_computed

    @property
    def tokens(self) -> list[int]:
        return self.sequence.tokens[self.start : self.start + self.n_rows]

    @property
    def last_row(self) -> int:
        return self.row + self.n_rows - 1

    @property
    def needs_logits(self) -> bool:
        """Only the row of a sequence's newest token is sampled from."""
        return self.start + self.n_rows == len(self.sequence.tokens)


@dataclass(slots=True)
class Batch:
    """Rows of any number of sequences, each in one chunk."""

    chunks: list[Chunk] = field(default_factory=list)
    n_rows: int = 0

    def add(self, sequence: Sequence, n_rows: int) -> None:
        self.chunks.append(Chunk(sequence, n_rows, self.n_rows))
        self.n_rows += n_rows

    def without(self, sequence: Sequence) -> Batch:
        return _batch_of([chunk for chunk in self.chunks if chunk.sequence is not sequence])

    def halves(self) -> tuple[Batch, Batch]:
        middle = len(self.chunks) // 2
        return _batch_of(self.chunks[:middle]), _batch_of(self.chunks[middle:])


def _batch_of(chunks: list[Chunk]) -> Batch:
    batch = Batch()
    for chunk in chunks:
        batch.add(chunk.sequence, chunk.n_rows)
    return batch
