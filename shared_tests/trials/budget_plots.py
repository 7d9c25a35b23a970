"""The plots of docs/error-budgets.md, as SVG texts.

Their arguments are those of the tables (budget_tables.py).
"""

import io
import math

import numpy as np

from shared_tests.environments import FRAMEWORKS
from shared_tests.trials import budget_tables
from shared_tests.trials.budget_tables import (
    EAGER,
    TITLES,
    answers,
    missed,
    of_mode,
    of_suite,
    short,
)
from shared_tests.trials.criteria import NAMES

OURS = {"budget": "k", "settled": "0.5"}  # their colours


def pyplot():
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "budgets"
    from matplotlib import pyplot

    return pyplot


def criteria_plot(found, suite, lines):
    """False alarms against missed faults; each line scales a tolerance."""
    trial = budget_tables.peaks(lines)
    figure, axis = pyplot().subplots(figsize=(8, 6))
    factors = np.append(np.logspace(-3, 5, 160), 1.0)
    for number, name in enumerate(NAMES):
        alarms = of_mode(trial, EAGER[0], name) + of_suite(suite, name)
        over = [np.mean(np.array(alarms) > f) for f in factors]
        every = [
            missed(arrays, name, factors) for arrays in found.values()
        ]
        under = np.mean(every, axis=0)
        points = 100 * np.array([over, under])
        ours = OURS.get(name)
        color = ours or pyplot().get_cmap("tab20")(number)
        axis.plot(
            *points[:, :-1],
            color=color,
            lw=2.5 if ours else 1,
            alpha=0.6,
        )
        axis.plot(
            *points[:, -1:],
            "*" if ours else "o",
            color=color,
            ms=16 if ours else 7,
            label=TITLES[name].strip("*").replace("`", ""),
        )
    axis.set_xscale("symlog", linthresh=0.1)
    axis.set_xlim(-0.01, 100)
    axis.set_ylim(-2, 100)
    axis.set_xlabel(
        "correct float32 arrays rejected, fresh and of the cases, %"
    )
    axis.set_ylabel("planted faults missed, %")
    axis.grid(alpha=0.3)
    axis.legend(fontsize="x-small", ncols=2, loc="upper center")
    return drawn(figure)


def ratios_plot(lines):
    """By layer: which share of the elements is off by more than x sigma."""
    layers = sorted({line["layer"] for line in lines})
    columns = 6
    rows = math.ceil(len(layers) / columns)
    figure, axes = pyplot().subplots(
        *(rows, columns),
        figsize=(14, 2.2 * rows),
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    styles = {"float32 eager": "-", "float32 compiled": ":"}
    styles |= {"float64 eager": "--", "16 bits eager": "-."}
    bins = {}
    for line, mode, framework, one in answers(lines):
        if one["bins"]:
            place = line["layer"], short(mode), framework
            bins[place] = bins.get(place, 0) + np.array(one["bins"])
    for axis, layer in zip(axes.flat, layers):
        for color, framework in enumerate(FRAMEWORKS):
            for mode, style in styles.items():
                kept = bins.get((layer, mode, framework))
                if kept is None or not kept.sum():
                    continue
                over = kept[::-1].cumsum()[::-1] / kept.sum()
                at = np.arange(len(over)) / 4
                shown = over > 0
                axis.semilogy(
                    *(at[shown], over[shown], style),
                    color=f"C{color}",
                    lw=1,
                )
        axis.axvline(16, color="k", lw=1)
        axis.set_title(layer, fontsize="small")
        axis.grid(alpha=0.3)
    for axis in axes.flat[len(layers) :]:
        axis.set_axis_off()
    figure.supxlabel("|error| / sigma; the limit is 16")
    figure.supylabel("share of the elements beyond")
    handles = [
        pyplot().Line2D([], [], color=f"C{n}", label=framework)
        for n, framework in enumerate(FRAMEWORKS)
    ]
    handles += [
        pyplot().Line2D([], [], color="0.3", ls=style, label=mode)
        for mode, style in styles.items()
    ]
    figure.legend(
        handles=handles, loc="lower right", ncols=2, fontsize="small"
    )
    return drawn(figure)


def drawn(figure):
    """The same figure gives the same text."""
    figure.tight_layout()
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()
