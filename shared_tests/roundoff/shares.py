"""Shares of a rounding error, as a table and as a bar plot."""

from typing import NamedTuple

BAR = 24  # characters of a share of 1


class Share(NamedTuple):
    module: str  # path, "" for the outermost
    operation: str  # ATen's name
    share: float  # of the variance, 0 to 1


class Explanation(NamedTuple):
    shares: list  # of Share, largest first
    together: float  # sum of the parts' variances over the whole one


def summed(explanation, field):
    """{name: share} by "module" or by "operation", largest first."""
    total = {}
    for share in explanation.shares:
        name = getattr(share, field)
        total[name] = total.get(name, 0.0) + share.share
    return dict(sorted(total.items(), key=lambda item: -item[1]))


def labelled(explanation):
    """{"layer1: mm": share}, largest first."""
    return {
        f"{s.module or '(outermost)'}: {s.operation}": s.share
        for s in explanation.shares
    }


def shortened(shares, limit):
    """The largest ones; what is left is one row."""
    if len(shares) <= limit:
        return shares
    kept = dict(list(shares.items())[: limit - 1])
    left = len(shares) - len(kept)
    return kept | {
        f"{left} others": sum(shares.values()) - sum(kept.values())
    }


def table(name, explanation, limit=12):
    """Text: the parts of one array's error, by module and operation."""
    if not explanation.shares:
        why = "exact, no operation rounds"
        if explanation.together != 1:
            why = "no part alone makes an error, only several together"
        return f"{name}: {why}\n"
    shares = shortened(labelled(explanation), limit)
    width = max(len(label) for label in shares)
    lines = [f"{name}: where the variance of its rounding comes from"]
    for label, share in shares.items():
        bar = "#" * round(BAR * share)
        lines.append(f"  {label:{width}}  {share:6.1%}  {bar}".rstrip())
    lines.append(
        f"  the parts alone: {explanation.together:.2f} of the variance"
        " with noise on everything"
    )
    return "\n".join(lines) + "\n"


def plot(name, explanation, path, limit=12):
    """The same as a bar plot, an SVG file.

    Raises: ImportError, which says so, where matplotlib is missing
    """
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError(
            "the bar plot needs matplotlib, which is not installed here;"
            " the table needs nothing"
        ) from error
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "shares"
    from matplotlib import pyplot

    shares = shortened(labelled(explanation), limit)
    figure, axes = pyplot.subplots(
        figsize=(8, 0.8 + 0.3 * len(shares)), layout="constrained"
    )
    axes.barh(list(shares), list(shares.values()), color="#4477aa")
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel(f"share of the variance of {name}")
    figure.savefig(path, format="svg", metadata={"Date": None})
    pyplot.close(figure)
