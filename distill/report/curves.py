"""Pictures of numbers over steps or minutes: several panels one below the other, or side by side, on one axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Literal

from .canvas import Picture, Theme, picture
from .material import Curve
from .wording import number, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SMOOTH_FROM = 60
# By colour, dash and mark, never by colour alone.
_STYLES: dict[str, tuple[str, str, str]] = {
    "main": ("student", "-", "o"),
    "second": ("teacher", "--", "s"),
    "third": ("base", "-.", "D"),
    "fourth": ("ink", ":", "^"),
    "pale": ("soft", "-", ""),
}
Style = Literal["main", "second", "third", "fourth", "pale"]
STYLES: tuple[Style, ...] = ("main", "second", "third", "fourth")
_MARKED_UP_TO = 40


@dataclass(frozen=True)
class Line:
    """One curve, and where it is the mean of several the lowest and the highest of them. A `pale` one lies behind
    the others.
    """

    label: str
    curve: Curve
    style: Style = "main"
    band: tuple[Curve, Curve] | None = None


@dataclass(frozen=True)
class Panel:
    """Curves that share an axis. `share`: its values are 0..1 and are written as percent."""

    title: str
    lines: Sequence[Line]
    share: bool = False
    from_zero: bool = True


def curves_picture(
    name: str, caption: str, panels: Sequence[Panel], along: str = "step", *, columns: int = 1
) -> Picture:
    """`along` is what the curves run over. All panels have the same stretch of it."""
    rows = -(-len(panels) // columns)

    def draw(figure: Figure, theme: Theme) -> None:
        spread(figure)
        places = list(figure.subplots(rows, columns, sharex=True, squeeze=False).flat)
        for place in places[len(panels) :]:
            place.set_visible(False)
        for axes, panel in zip(places, panels, strict=False):
            _draw_panel(axes, panel, theme)
        for axes in places[max(0, len(panels) - columns) : len(panels)]:
            axes.set_xlabel(along)
            axes.tick_params(labelbottom=True)

    smoothed = any(_is_smoothed(line) for panel in panels for line in panel.lines)
    note = " Pale: as logged; over it the mean of its neighbourhood." if smoothed else ""
    alt = " ".join(f"{panel.title}: {_told(panel)}." for panel in panels)
    return picture(name, caption + note, alt, 0.5 + (2.3 if columns == 1 else 2.1) * rows, draw)


def spread(figure: Figure) -> None:
    """Room between the panels."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    engine = figure.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine)  # canvas asks for it
    engine.set(hspace=0.06, wspace=0.06)


def smoothed(values: Sequence[float]) -> list[float] | None:
    """The mean over a window of a twentieth of all; None where there are too few to need it."""
    if len(values) < SMOOTH_FROM:
        return None
    half = len(values) // 40
    windows = (values[max(0, i - half) : i + half + 1] for i in range(len(values)))
    return [sum(window) / len(window) for window in windows]


def _draw_panel(axes: Axes, panel: Panel, theme: Theme) -> None:
    for line in panel.lines:
        _draw_line(axes, line, theme, 100 if panel.share else 1)
    axes.set_title(panel.title)
    if panel.share:
        axes.yaxis.set_major_formatter("{x:.0f} %")
    if panel.from_zero:
        # of nothing but noughts the axis would have no size
        axes.set_ylim(0, max(axes.get_ylim()[1], 5.0 if panel.share else 0.0))
    axes.locator_params(axis="y", nbins=5)
    axes.margins(x=0.02)
    if len(panel.lines) > 1:
        axes.legend(
            loc="best", fontsize=8.5, labelcolor=theme.ink, frameon=True, facecolor=theme.page, framealpha=0.8,
            edgecolor="none",
        )  # fmt: skip


def _draw_line(axes: Axes, line: Line, theme: Theme, scale: int) -> None:
    key, dash, mark = _STYLES[line.style]
    colour = str(getattr(theme, key))
    values = [value * scale for value in line.curve.values]
    if line.band is not None:
        low, high = ([value * scale for value in edge.values] for edge in line.band)
        axes.fill_between(line.curve.steps, low, high, color=colour, alpha=0.18, linewidth=0)
    mean = smoothed(values)
    if mean is not None:
        axes.plot(line.curve.steps, values, color=colour, alpha=0.28, linewidth=0.9)
        values = mean
    width = 1.3 if line.style == "pale" else 1.9
    shown = mark if len(values) <= _MARKED_UP_TO else "o" if len(values) == 1 else ""
    axes.plot(line.curve.steps, values, color=colour, linestyle=dash, marker=shown, markersize=4, linewidth=width,
              label=line.label, zorder=2 if line.style == "pale" else 3)  # fmt: skip


def _is_smoothed(line: Line) -> bool:
    return len(line.curve.values) >= SMOOTH_FROM


def _told(panel: Panel) -> str:
    say = percent if panel.share else number
    parts = []
    for line in panel.lines:
        values = [value for value in line.curve.values if isfinite(value)]
        if values:
            parts.append(f"{line.label} from {say(values[0])} to {say(values[-1])}")
    return ", ".join(parts) or "nothing"
