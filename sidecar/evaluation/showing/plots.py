"""The report's plots as SVG text that stands in an HTML page by itself: no fonts, styles or schemas from elsewhere."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from sidecar.evaluation.asking.systems import System, spelled
from sidecar.evaluation.evaluate import Evaluation
from sidecar.evaluation.measuring.results import SystemResult, gains

_SETTINGS: dict[str, Any] = {"svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9}


def gain_per_query(evaluation: Evaluation) -> str:
    """Plot each query's gain of the best system over the baseline, largest first."""
    measure, best = evaluation.measures[0], evaluation.best
    values = [gain for _, gain in gains(evaluation.baseline, best, measure)]
    colours = ["#2a7f3f" if value > 0 else "#b3372f" for value in values]

    def draw(axes: Axes) -> None:
        axes.bar(range(len(values)), values, width=1.0, color=colours)
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set_xlabel(f"{len(values)} queries, largest gain first")
        axes.set_ylabel(f"gain in {measure}")

    return _svg("gain", f"{best.name} against {evaluation.baseline.name}", draw)


def quality_by_latency(evaluation: Evaluation) -> str | None:
    """Plot the first measure against the median latency, a line for each other setting; None without latencies."""
    waits = {system.name: system.latency.p50 for system in evaluation.systems if system.latency is not None}
    if not waits:
        return None

    def draw(axes: Axes) -> None:
        _draw_lines(axes, _lines(evaluation, lambda system: waits[system.name]))
        baseline = evaluation.baseline
        axes.plot(waits[baseline.name], _mean(baseline, evaluation), "ko", markersize=4, label=baseline.name)
        axes.set_xscale("log")
        for set_formatter in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
            set_formatter(LogFormatter(minor_thresholds=(2, 0.5)))
        axes.set_xlabel("median latency, ms; a point for each window")
        axes.set_ylabel(evaluation.measures[0])
        axes.legend(fontsize=7)

    return _svg("latency", "quality against latency", draw)


def quality_by_window(evaluation: Evaluation) -> str | None:
    """Plot the first measure against the window, a line for each other setting; None for a single window."""
    lines = _lines(evaluation, lambda system: system.window_size)
    if all(len(points) < 2 for points in lines.values()):
        return None

    def draw(axes: Axes) -> None:
        _draw_lines(axes, lines)
        baseline = evaluation.baseline
        axes.axhline(_mean(baseline, evaluation), color="black", linestyle="--", linewidth=0.8, label=baseline.name)
        axes.set_xlabel("window_size")
        axes.set_ylabel(evaluation.measures[0])
        axes.legend(fontsize=7)

    return _svg("window", "quality against window", draw)


def _lines(evaluation: Evaluation, place: Callable[[System], float]) -> dict[str, list[tuple[float, float]]]:
    """Return each line's points, by what its systems have in common: all but the window."""
    means = {system.name: _mean(system, evaluation) for system in evaluation.systems}
    lines: dict[str, list[tuple[float, float]]] = {}
    for system in evaluation.experiment.systems:
        lines.setdefault(_other_settings(system, evaluation), []).append((place(system), means[system.name]))
    return lines


def _draw_lines(axes: Axes, lines: dict[str, list[tuple[float, float]]]) -> None:
    for name, points in lines.items():
        axes.plot(*zip(*sorted(points), strict=True), marker="o", markersize=3, label=name)


def _mean(system: SystemResult, evaluation: Evaluation) -> float:
    return system.means[evaluation.measures[0]].mean


def overlaps(values: Sequence[float]) -> str:
    """Plot how many replayed searches have which overlap of their top tens."""

    def draw(axes: Axes) -> None:
        axes.hist(values, bins=[i / 10 - 0.05 for i in range(12)], color="#3465a4", rwidth=0.9)
        axes.set_xlabel("overlap@10")
        axes.set_ylabel("searches")

    return _svg("overlap", "how much of the top 10 stays", draw)


def _other_settings(system: System, evaluation: Evaluation) -> str:
    others = evaluation.experiment.systems
    parts = [spelled(system.fusion)]
    if len({each.model for each in others}) > 1:
        parts.insert(0, system.model)
    if len({each.fields for each in others}) > 1:
        parts.append("+".join(system.fields))
    return " ".join(parts)


def _svg(name: str, title: str, draw: Callable[[Axes], None]) -> str:
    settings: Any = {**_SETTINGS, "svg.hashsalt": name}
    with mpl.rc_context(settings):
        figure = Figure(figsize=(7.5, 3.4), layout="constrained")
        axes = figure.add_subplot()
        axes.set_title(title)
        draw(axes)
        written = io.StringIO()
        figure.savefig(written, format="svg", metadata={"Date": None})
    return _bare(written.getvalue(), name)


def _bare(svg: str, name: str) -> str:
    """Return the element alone, its ids unlike those of the page's other plots."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg)
    return re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", svg)
