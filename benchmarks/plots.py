"""The plots of the results page, as SVG that comes out the same for the same figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt
from cases import GROUPS, SDK_TAP, SDK_TARGET, TAP, TARGET

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

mpl.rcParams.update(
    {"svg.hashsalt": "appcrm", "font.size": 8, "axes.spines.top": False, "axes.spines.right": False}
)
OWN, PEER, LIMIT = "#1f6f54", "#9aa7b4", "#d9b44a"
PERCENTS = (0, 0.1, 1, 10, 100)


def colour(name: str) -> str:
    """Return the colour of a tool: ours, a peer, or a limit."""
    if name in (TAP, TARGET):
        return OWN
    return LIMIT if name.startswith("limit") else PEER


def save(figure: Any, folder: Path, name: str) -> None:  # noqa: ANN401  matplotlib's figure
    """Write a figure."""
    figure.tight_layout()
    figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
    plt.close(figure)


def bars(axes: Axes, values: dict[str, float], title: str, *, logarithmic: bool = True) -> None:
    """Draw one bar for each tool, the first on top."""
    names = list(values)[::-1]
    drawn = axes.barh(names, [values[name] for name in names], color=[colour(name) for name in names])
    axes.bar_label(drawn, fmt="{:,.0f}", padding=2)
    axes.set_title(title, loc="left", fontweight="bold")
    axes.margins(x=0.25)
    if logarithmic:
        axes.set_xscale("log")


def draw_groups(groups: dict[str, dict[str, dict[str, Any]]], folder: Path) -> None:
    """Draw records a second for each group, and CPU and memory where nothing waits."""
    timed = {name: found for name, found in groups.items() if not name.startswith("start") and found}
    if timed:
        figure, axes = plt.subplots(
            (len(timed) + 1) // 2, 2, figsize=(11, 2.3 * ((len(timed) + 1) // 2)), squeeze=False
        )
        for place in axes.flat[len(timed) :]:
            place.axis("off")
        for place, (name, found) in zip(axes.flat, timed.items(), strict=False):
            values = {
                case.name: found[case.name]["records"] / found[case.name]["seconds"]
                for case in GROUPS[name].cases
                if case.name in found
            }
            bars(place, values, f"{GROUPS[name].title}: records/s")
        save(figure, folder, "rates")
    still = {name: found for name, found in timed.items() if name in ("read-100k", "write-0")}
    if still:
        figure, axes = plt.subplots(len(still), 2, figsize=(11, 2.3 * len(still)), squeeze=False)
        for row, (name, found) in zip(axes, still.items(), strict=True):
            cases = [case.name for case in GROUPS[name].cases if case.name in found]
            costs = {case: found[case]["cpu_seconds"] / found[case]["records"] * 1e6 for case in cases}
            bars(row[0], costs, f"{GROUPS[name].title}: CPU µs a record", logarithmic=False)
            memory = {case: found[case]["memory_mb"] for case in cases}
            bars(row[1], memory, "memory, MB", logarithmic=False)
        save(figure, folder, "costs")


def draw_requests(writes: dict[Any, int], reads: dict[Any, int], folder: Path) -> None:
    """Draw the requests of a night by the share of contacts that changed, of 10,000."""
    size = 10_000
    figure, axes = plt.subplots(1, 2, figsize=(11, 3))
    tools = list(dict.fromkeys(tool for tool, *_ in reads))
    for place, found, run, names in (
        (axes[0], reads, "nightly", tools),
        (axes[1], writes, "all records", [TARGET, SDK_TARGET]),
    ):
        for name in names:
            values = [found.get((name, size, run, round(size * percent / 100))) for percent in PERCENTS]
            if None not in values:
                style = {TAP: OWN, TARGET: OWN, SDK_TAP: PEER, SDK_TARGET: PEER}.get(name, LIMIT)
                place.plot([str(p) for p in PERCENTS], values, marker="o", color=style, label=name)
        place.set_yscale("log")
        place.set_xlabel("% of 10,000 contacts changed")
        place.legend(frameon=False)
    axes[0].set_title("requests to read a night's changes", loc="left", fontweight="bold")
    axes[1].set_title("requests to write a night's records", loc="left", fontweight="bold")
    save(figure, folder, "requests")


def draw_growth(part: dict[str, Any], folder: Path) -> None:
    """Draw seconds, memory and requests against the number of contacts, reading and writing on one plot each."""
    figure, axes = plt.subplots(1, 3, figsize=(11, 3))
    series: dict[str, list[dict[str, Any]]] = {}
    for run in (*part["reads"], *part["writes"]):
        if not run["error"]:
            series.setdefault(run["case"], []).append(run)
    for name, runs in series.items():
        counts = [run["records"] for run in runs]
        style = {
            "color": colour(name),
            "marker": "o",
            "label": name,
            "linestyle": "--" if name == TARGET else "-",
        }
        for place, key in zip(axes, ("cpu_seconds", "memory_mb", "requests"), strict=True):
            place.plot(counts, [run[key] for run in runs], **style)
    for place, title in zip(axes, ("CPU seconds", "memory, MB", "requests"), strict=True):
        place.set_xscale("log")
        place.set_title(title, loc="left", fontweight="bold")
        place.set_xlabel("contacts")
    axes[0].set_yscale("log")
    axes[2].set_yscale("log")
    axes[1].set_ylim(bottom=0)
    axes[0].legend(frameon=False)
    save(figure, folder, "growth")
