"""The pictures of a recipe: what each step's student can do, in what form, and two ways beside each other over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..report.canvas import Picture, Theme, picture
from ..report.curves import spread
from ..report.wording import number, percent, visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Steps = Sequence[dict[str, Any]]  # of recipe.json
# field of a step's set -> title, and whether it is a share
_FORM = {
    "readable": ("Readable", True),
    "mixing": ("Words of other scripts", True),
    "mean_tokens": ("Tokens an answer", False),
    "checks": ("Check or turn back", True),
}
_COLUMNS = 3


def accuracy_picture(steps: Steps, sets: Sequence[str]) -> Picture:
    """pass@1 of each step's student with its interval, a panel for each set."""
    columns = min(_COLUMNS, len(sets))
    rows = -(-len(sets) // columns)

    def draw(figure: Figure, theme: Theme) -> None:
        spread(figure)
        panels = list(figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat)
        for axes in panels[len(sets) :]:
            axes.set_visible(False)
        for at, (name, axes) in enumerate(zip(sets, panels, strict=False)):
            _accuracy_panel(axes, steps, name, theme)
            axes.tick_params(labelbottom=at + columns >= len(sets))
        panels[0].invert_yaxis()

    alt = "pass@1 by step. " + " ".join(f"{visible(name)}: {_told(steps, name, 'pass_at_1', True)}." for name in sets)
    caption = "pass@1 of each step's student with its 95 % interval."
    return picture("steps", caption, alt, 0.6 + (0.55 + 0.3 * len(steps)) * rows, draw)


def _accuracy_panel(axes: Axes, steps: Steps, name: str, theme: Theme) -> None:
    for place, step in enumerate(steps):
        if name not in step["sets"]:
            continue
        found = step["sets"][name]
        mean, last = found["pass_at_1"] * 100, place == len(steps) - 1
        errors = [[max(0.0, mean - found["low"] * 100)], [max(0.0, found["high"] * 100 - mean)]]
        colour = theme.student if last else theme.base
        axes.errorbar(mean, place, xerr=errors, fmt="o" if last else "s", color=colour, markersize=5.5, elinewidth=1.8)
        _annotate(axes, found, place, theme)
    axes.set_title(_short(name))
    axes.set_yticks(range(len(steps)), [_short(step["name"], 24) for step in steps])
    axes.tick_params(axis="y", colors=theme.ink)
    axes.set_ylim(-0.6, len(steps) - 0.4)
    axes.set_xlim(-2, 102)
    axes.xaxis.set_major_formatter("{x:.0f} %")
    axes.grid(False, axis="y")


def _annotate(axes: Axes, found: dict[str, Any], place: int, theme: Theme) -> None:
    """The share, on the side where there is room."""
    left = found["pass_at_1"] > 0.6
    end, apart, side = (found["low"], -6, "right") if left else (found["high"], 6, "left")
    axes.annotate(percent(found["pass_at_1"]), (end * 100, place), (apart, 0), textcoords="offset points",
                  va="center", ha=side, fontsize=8.5, color=theme.soft)  # fmt: skip


def form_picture(steps: Steps, name: str) -> Picture:
    """How readable the answers to one set are, how mixed, how long, and how many check themselves, by step."""
    measured = _on(steps, name)
    places = range(len(measured))

    def draw(figure: Figure, theme: Theme) -> None:
        spread(figure)
        for axes, (field, (title, share)) in zip(
            figure.subplots(1, len(_FORM), sharey=True), _FORM.items(), strict=True
        ):
            values = [step["sets"][name][field] * (100 if share else 1) for step in measured]
            axes.barh(places, values, color=theme.student, height=0.5)
            for place, value in zip(places, values, strict=True):
                said = percent(value / 100) if share else number(value)
                axes.annotate(said, (value, place), (5, 0), textcoords="offset points", va="center", fontsize=8.5,
                              color=theme.soft)  # fmt: skip
            axes.set_title(title)
            axes.set_yticks(places, [_short(step["name"], 24) for step in measured])
            axes.tick_params(axis="y", colors=theme.ink)
            axes.set_xticks([])
            axes.spines["bottom"].set_visible(False)
            axes.grid(False)
            axes.set_xlim(0, 1.45 * max(1e-9, *values) if not share else 145)
        figure.axes[0].invert_yaxis()

    alt = " ".join(f"{title}: {_told(steps, name, field, share)}." for field, (title, share) in _FORM.items())
    caption = f"Form of the answers to {visible(name)}, right or wrong."
    return picture("form", caption, alt, 0.8 + 0.36 * len(measured), draw)


def _told(steps: Steps, name: str, field: str, share: bool) -> str:
    say = percent if share else number
    return ", ".join(f"{visible(step['name'])} {say(step['sets'][name][field])}" for step in _on(steps, name))


def _on(steps: Steps, name: str) -> list[dict[str, Any]]:
    return [step for step in steps if name in step["sets"]]


def _short(name: str, most: int = 30) -> str:
    text = visible(name.removeprefix("generated-").replace("_", " "))
    return text if len(text) <= most else text[: most - 1] + "…"
