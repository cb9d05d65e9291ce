"""The figures of the evidence page, drawn from the JSON of the studies as SVG."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.evidence import OURS
from benchmarks.evidence.sections_labels import by_noise
from benchmarks.evidence.sections_models import datasets_with
from lsi.export.charts import PALETTE

_TOLERANCE = 0.05


def detectors(r: dict[str, Any]) -> tuple[Figure, str]:
    """Return AUROC by detector: a dot a kind of noise, a line at their mean."""
    kinds = by_noise(r)
    by_name = {
        name: np.array([np.mean([row["detectors"][name]["auroc"] for row in rows]) for rows in kinds.values()])
        for name in r["rows"][0]["detectors"]
    }
    names = sorted(by_name, key=lambda name: by_name[name].mean())
    figure = Figure((8, 0.32 * len(names) + 0.8))
    axes = figure.subplots()
    for y, name in enumerate(names):
        colour = PALETTE[0] if name in OURS else PALETTE[1]
        axes.plot(by_name[name], np.full(len(kinds), y), "o", color=colour, alpha=0.45, markersize=5)
        axes.plot([by_name[name].mean()] * 2, [y - 0.35, y + 0.35], color=colour, linewidth=2.5)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("AUROC for finding wrong labels")
    return figure, f"AUROC by detector, a dot a kind of noise, a line at the mean: ours blue; best is {names[-1]}"


def growth(r: dict[str, Any]) -> tuple[Figure, str]:
    """Return seconds over n, d and k, both axes logarithmic."""
    figure = Figure((9, 3))
    panels = figure.subplots(1, 3, sharey=True)
    for axes, what in zip(panels, ("n", "d", "k"), strict=True):
        for colour, structure in zip(PALETTE, ("full", "kron"), strict=False):
            one = r["growth"].get(f"{structure} over {what}")
            if one is not None:
                axes.loglog(one["values"], one["seconds"], "o-", color=colour, label=structure)
                axes.set_xticks(one["values"], [f"{v:,}" for v in one["values"]], minor=False)
        axes.minorticks_off()
        axes.set_xlabel(what)
    panels[0].set_ylabel("seconds")
    panels[0].legend(frameon=False)
    return figure, "Seconds of leave-one-out over n, d and k, for the structures full and kron"


def selection(r: dict[str, Any]) -> tuple[Figure, str]:
    """Return the network's accuracy over the share that it was trained on, by what LSI selected."""
    datasets = datasets_with(r, "selection")
    figure = Figure((9, 3.2))
    for axes, (dataset, one) in zip(np.atleast_1d(figure.subplots(1, len(datasets))), datasets, strict=True):
        for colour, name in zip(PALETTE, ("top", "middle", "bottom", "random"), strict=False):
            shares = list(one["selection"][0][name])
            values = 100 * np.array([[seed[name][share] for share in shares] for seed in one["selection"]])
            x = [int(share) for share in shares]
            axes.plot(x, values.mean(axis=0), "o-", color=colour, label=name, markersize=4)
            axes.fill_between(x, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.15, linewidth=0)
        axes.set_title(dataset, fontsize=10)
        axes.set_xlabel("% of the images, by LSI")
    figure.axes[0].set_ylabel("accuracy in %")
    figure.axes[-1].legend(frameon=False, fontsize=8)
    return figure, "Accuracy of a small network by the share and the part of the images that it was trained on"


def gains(r: dict[str, Any]) -> tuple[Figure, str]:
    """Return what each way to clean gains, with its interval."""
    datasets = datasets_with(r, "network")
    figure = Figure((9, 0.75 * len(datasets) + 1.2))
    panels = figure.subplots(1, 2, sharey=True)
    for axes, model in zip(panels, ("probe", "network"), strict=True):
        for i, (_, one) in enumerate(datasets):
            for j, (what, v) in enumerate(one[model].items()):
                y = -i + 0.3 - 0.2 * j
                axes.plot([100 * v["low"], 100 * v["high"]], [y, y], color=PALETTE[j], linewidth=1.5)
                axes.plot([100 * v["gain"]], [y], "o", color=PALETTE[j], markersize=5, label=None if i else what)
        axes.axvline(0, color="#888888", linewidth=1)
        axes.set_title({"probe": "linear probe", "network": "small network from scratch"}[model], fontsize=10)
        axes.set_xlabel("points of accuracy gained")
    panels[0].set_yticks([-i for i in range(len(datasets))], [name.replace(", ", "\n") for name, _ in datasets])
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=8
    )
    return figure, "Points of accuracy that each way to clean gains, with 95 % intervals"


def precision(r: dict[str, Any]) -> tuple[Figure, str]:
    """Return predicted against true precision of cuts."""
    human = [row for row in r["rows"] if row["noise"].startswith("human")]
    whole = max((row["n"] for row in human), default=0)
    groups = {
        "flips on purpose": [row for row in r["rows"] if row not in human],
        "CIFAR-10N, parts of it": [row for row in human if row["n"] < whole],
        f"CIFAR-10N, {whole:,} images": [row for row in human if row["n"] == whole],
    }
    figure = Figure((5.2, 4.6))
    axes = figure.subplots()
    axes.fill_between([0, 1], [-_TOLERANCE, 1 - _TOLERANCE], [_TOLERANCE, 1 + _TOLERANCE], color="#dddddd", linewidth=0)
    for (name, rows), colour, size in zip(groups.items(), ("#aaaaaa", PALETTE[0], PALETTE[1]), (3, 4, 7), strict=True):
        for i, row in enumerate(rows):
            axes.plot(row["true_precision"], row["precision"], "o", color=colour, markersize=size,
                      label=None if i else name)  # fmt: skip
    axes.set(xlabel="true precision of a cut", ylabel="predicted", xlim=(0, 1), ylim=(0, 1))
    axes.legend(frameon=False, fontsize=8)
    return figure, "Predicted against true precision of cuts; the band is 0.05 wide on either side"


FIGURES: dict[str, Callable[[dict[str, Any]], tuple[Figure, str]]] = {
    "label_errors": detectors,
    "cost": growth,
    "transfer": selection,
    "curation": gains,
    "threshold": precision,
}


def draw(study: str, result: dict[str, Any], folder: Path) -> str:
    """Write the figure of a study and return the Markdown that shows it; nothing where a study has none."""
    if study not in FIGURES:
        return ""
    with mpl.rc_context({"svg.hashsalt": study, "svg.fonttype": "none", "font.size": 9, "font.family": "sans-serif"}):
        figure, told = FIGURES[study](result)
        for axes in figure.axes:
            _plain(axes)
        figure.set_layout_engine("constrained")
        path = folder / f"evidence_{study}.svg"
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None})
    return f"![{told}](images/{path.name})\n\n"


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)
