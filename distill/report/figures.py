"""The pictures of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

from .canvas import MARKERS, Picture, Theme, picture
from .curves import smoothed
from .material import Curve
from .verdicts import label
from .wording import count, number, percent, visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BINS = 40


def funnel_picture(funnel: dict[str, Any]) -> Picture:
    """Rows that are left after each stage, and in paler colour those it dropped."""
    stages = funnel["stages"]

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.subplots()
        names = [_short(stage["name"]) for stage in stages]
        places = range(len(stages))
        axes.barh(places, [stage["out"] for stage in stages], color=theme.student, height=0.62)
        axes.barh(places, [stage["dropped"] for stage in stages], left=[stage["out"] for stage in stages],
                  color=theme.wash, height=0.62)  # fmt: skip
        for place, stage in enumerate(stages):
            lost = f"  −{count(stage['dropped'])}" if stage["dropped"] else ""
            axes.annotate(f"{count(stage['out'])}{lost}", (stage["in"], place), (6, 0),
                          textcoords="offset points", va="center", color=theme.soft)  # fmt: skip
        axes.set_yticks(places, names)
        axes.invert_yaxis()
        axes.grid(False)
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
        axes.set_xlim(0, max(1, *(stage["in"] for stage in stages)) * 1.2)
        axes.tick_params(axis="y", colors=theme.ink)

    alt = "Bars of the traces left after each stage: " + ", ".join(
        f"{visible(stage['name'])} {count(stage['out'])} of {count(stage['in'])}" for stage in stages
    )
    caption = "Traces left after each stage; pale: dropped there."
    return picture("funnel", caption, alt, 0.5 + 0.34 * len(stages), draw)


def training_picture(loss: Curve, rate: Curve) -> Picture:
    """Loss over steps, and below it the learning rate where that was logged."""

    def draw(figure: Figure, theme: Theme) -> None:
        grid = figure.subplots(2, 1, sharex=True, squeeze=False, height_ratios=(3, 1)) if rate.steps else None
        axes = grid[0, 0] if grid is not None else figure.subplots()
        smooth = smoothed(loss.values)
        axes.plot(loss.steps, loss.values, color=theme.student, alpha=1 if smooth is None else 0.3,
                  linewidth=1.8 if smooth is None else 1, marker="o" if len(loss.steps) == 1 else "")  # fmt: skip
        if smooth is not None:
            axes.plot(loss.steps, smooth, color=theme.student)
        axes.set_title("loss")
        axes.set_ylim(0, 1.05 * max(filter(isfinite, loss.values), default=1.0))
        axes.locator_params(axis="x", integer=True)
        lowest = axes
        if grid is not None:
            lowest = grid[1, 0]
            lowest.plot(rate.steps, rate.values, color=theme.soft, linewidth=1.4)
            lowest.set_title("learning rate")
            lowest.set_ylim(bottom=0)
            lowest.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
        lowest.set_xlabel("step")

    first, last = number(loss.values[0]), number(loss.values[-1])
    alt = f"Loss over {count(loss.steps[-1])} steps: {first} at the first logged step, {last} at the last."
    note = " Pale: as logged; dark: the mean of its neighbourhood." if smoothed(loss.values) is not None else ""
    return picture("training", f"Loss and learning rate by step.{note}", alt, 4.2 if rate.steps else 3.2, draw)


def accuracy_picture(models: Sequence[dict[str, Any]], sets: Sequence[str]) -> Picture:
    """pass@1 with its interval, a panel for each set; how many replies were cut off stands beside it."""
    measured = {name: [model for model in models if name in model["sets"]] for name in sets}
    rows = sum(len(found) for found in measured.values())

    def draw(figure: Figure, theme: Theme) -> None:
        panels = figure.subplots(
            len(sets), 1, sharex=True, squeeze=False, height_ratios=[len(measured[name]) + 0.6 for name in sets]
        )
        for name, axes in zip(sets, panels[:, 0], strict=True):
            _accuracy_panel(axes, name, measured[name], theme)
        panels[-1, 0].set_xlabel("pass@1, with its 95 % interval")

    alt = "pass@1 with 95 % intervals. " + " ".join(
        f"{visible(name)}: "
        + ", ".join(f"{_name(m)} {percent(m['sets'][name]['overall']['pass_at_1'])}" for m in found) + "."
        for name, found in measured.items()
    )  # fmt: skip
    caption = "pass@1: the mean over problems of the share of right samples. Cut off: replies that met the limit."
    return picture("accuracy", caption, alt, 0.7 + 0.5 * len(sets) + 0.34 * rows, draw)


def _accuracy_panel(axes: Axes, name: str, found: Sequence[dict[str, Any]], theme: Theme) -> None:
    for place, model in enumerate(found):
        overall = model["sets"][name]["overall"]
        mean, colour = overall["pass_at_1"] * 100, theme.colour(model["key"])
        errors = [[max(0.0, mean - overall["low"] * 100)], [max(0.0, overall["high"] * 100 - mean)]]
        axes.errorbar(mean, place, xerr=errors, fmt=MARKERS.get(model["key"], "o"), color=colour, markersize=6,
                      elinewidth=1.8, capsize=3)  # fmt: skip
        for x, share in ((1.11, overall["pass_at_1"]), (1.22, overall["truncated"])):
            axes.annotate(percent(share), (x, place), xycoords=("axes fraction", "data"), va="center", ha="right",
                          color=theme.soft, annotation_clip=False)  # fmt: skip
    for x, head in ((1.11, "pass@1"), (1.22, "cut off")):
        axes.annotate(head, (x, 1), (0, 9), "axes fraction", textcoords="offset points", ha="right",
                      color=theme.soft, annotation_clip=False)  # fmt: skip
    axes.set_title(_short(name, 70))
    axes.set_yticks(range(len(found)), [_short(_name(model)) for model in found])
    axes.tick_params(axis="y", colors=theme.ink)
    axes.grid(False, axis="y")
    axes.set_ylim(len(found) - 0.5, -0.5)
    axes.set_xlim(-1, 101)


def passing_picture(models: Sequence[dict[str, Any]], sets: Sequence[str]) -> Picture | None:
    """pass@k over k, with cons@k as a hollow mark at the right end; None where only one sample was drawn."""
    shown = [name for name in sets if any(len(_pass_at(model, name)) > 1 for model in models)]
    if not shown:
        return None
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)

    def draw(figure: Figure, theme: Theme) -> None:
        panels = figure.subplots(rows, columns, sharey=True, squeeze=False).flat
        for axes in panels[len(shown) :]:
            axes.set_visible(False)
        for name, axes in zip(shown, panels, strict=False):
            _passing_panel(axes, name, models, theme)
        if len(figure.axes[0].lines):
            figure.legend(*_legend(figure), loc="outside lower center", ncols=5)

    alt = "pass@k by number of samples. " + " ".join(
        f"{visible(name)}: "
        + ", ".join(
            f"{_name(model)} {percent(_pass_at(model, name)[-1][1])} at {_pass_at(model, name)[-1][0]}"
            for model in models
            if _pass_at(model, name)
        ) + "."
        for name in shown
    )  # fmt: skip
    caption = "pass@k: how likely one of k samples is right. Hollow: cons@k, the answer most samples agree on."
    return picture("pass-at-k", caption, alt, 0.6 + 2.7 * rows, draw)


def _passing_panel(axes: Axes, name: str, models: Sequence[dict[str, Any]], theme: Theme) -> None:
    dashes = {"student": ("-", "--", ":", "-.")}
    drawn: dict[str, int] = {}
    for model in models:
        found = _pass_at(model, name)
        if not found:
            continue
        key, nth = model["key"], drawn.get(model["key"], 0)
        drawn[key] = nth + 1
        style = dashes.get(key, ("-",) * 9)[nth % 4]
        colour, marker = theme.colour(key), MARKERS.get(key, "o")
        axes.plot(*zip(*[(k, share * 100) for k, share in found], strict=True), color=colour, linestyle=style,
                  marker=marker, markersize=4, label=_short(_name(model)))  # fmt: skip
        scores = model["sets"][name]
        cons, n = scores.get("cons_at_k"), scores["overall"]["n"]
        if cons is not None and scores.get("cons_n", n) == n:  # of the same problems
            axes.plot([found[-1][0]], [cons * 100], marker=marker, markersize=8, fillstyle="none", color=colour)
    axes.set_title(_short(name, 26))
    axes.set_xscale("log", base=2)
    ticks = sorted({k for model in models for k, _ in _pass_at(model, name)})
    axes.set_xticks(ticks, [str(k) for k in ticks])
    axes.set_xlabel("k")
    axes.yaxis.set_major_formatter("{x:.0f} %")


def lengths_picture(groups: Mapping[str, Sequence[int]], keys: Mapping[str, str]) -> Picture:
    """Tokens of thought: a histogram for each group, one below the other on the same scale. `keys` says whose
    colour a group has.
    """
    import numpy as np

    everything = np.concatenate([np.asarray(values, dtype=float) for values in groups.values()])
    wide = bool(np.quantile(everything, 0.99) > 30 * max(1.0, float(np.quantile(everything, 0.1))))
    top = max(1.0, float(everything.max()))
    edges = np.geomspace(1, top + 1, _BINS + 1) if wide else np.linspace(0, top + 1, _BINS + 1)

    def draw(figure: Figure, theme: Theme) -> None:
        panels = figure.subplots(len(groups), 1, sharex=True, squeeze=False)[:, 0]
        for (name, values), axes in zip(groups.items(), panels, strict=True):
            colour = theme.colour(keys.get(name, ""))
            counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
            axes.stairs(counts * (100 / len(values)), edges, fill=True, color=colour, alpha=0.85)
            middle = float(np.median(values))
            axes.axvline(max(middle, edges[0]), color=theme.ink, linewidth=1)
            axes.set_title(f"{_short(name)}   median {count(middle)}, n = {count(len(values))}")
            axes.yaxis.set_major_formatter("{x:.0f} %")
            axes.locator_params(axis="y", nbins=3)
            axes.grid(False, axis="x")
            if wide:
                axes.set_xscale("log")
                axes.xaxis.set_major_formatter("{x:,.0f}")
        panels[-1].set_xlabel("tokens of thought" + (", logarithmic" if wide else ""))

    alt = "Histograms of tokens of thought. " + ", ".join(
        f"{visible(name)}: median {count(float(np.median(values)))}" for name, values in groups.items()
    )
    caption = "How long the thoughts are; the upright line is the median."
    return picture("lengths", caption, alt, 0.6 + 1.3 * len(groups), draw)


def _pass_at(model: dict[str, Any], name: str) -> list[tuple[int, float]]:
    shares = model["sets"].get(name, {}).get("pass_at_k") or {}
    return sorted((int(k), float(share)) for k, share in shares.items() if share is not None)


def _legend(figure: Figure) -> tuple[list[Any], list[str]]:
    """Each name once, whichever panels it stands in."""
    found = {name: line for axes in figure.axes for line, name in zip(*axes.get_legend_handles_labels(), strict=True)}
    return list(found.values()), list(found)


def _name(model: dict[str, Any]) -> str:
    return visible(label(model).replace("/", " ", 1))


def _short(name: str, most: int = 36) -> str:
    text = visible(" ".join(name.split()))
    return text if len(text) <= most else text[: most - 1] + "…"
