"""docs/adversarial.svg, and the table of docs/adversarial.md.

python -m shared_tests.real_data.attack_page       tools environment
"""

import io

import numpy as np

from shared_tests.files import ROOT, write
from shared_tests.real_data import attacks

NAMES = {
    "transformer": "`TransformerClassifier`, trained on the images",
    "plain": "`MLP`, trained on the images",
    "attacked": "`MLP`, trained on attacked images",
}


def fraction(bound):
    return f"1/{round(1 / bound)}" if bound else "0"


def table(kept):
    bounds = [fraction(bound) for bound in attacks.BOUNDS]
    lines = [f"| right, of 360, bound | {' | '.join(bounds)} |"]
    lines.append("|---" * (len(bounds) + 1) + "|")
    for model, name in NAMES.items():
        right = [str(n) for n in kept[f"right.{model}"]]
        lines.append(f"| {name} | {' | '.join(right)} |")
    return "\n".join(lines) + "\n"


def plot(kept):
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "attacks"
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(6, 4))
    at = np.arange(len(attacks.BOUNDS))
    for marker, (model, name) in zip("osd", NAMES.items()):
        share = kept[f"right.{model}"] / 3.6
        label = name.replace("`", "")
        axis.plot(at, share, marker=marker, label=label)
    axis.set_xticks(at, [fraction(b) for b in attacks.BOUNDS])
    axis.set_xlabel("each pixel, of 0 to 1, moves by at most")
    axis.set_ylabel("% of the test set right")
    axis.set_ylim(0, 100)
    axis.grid(alpha=0.3)
    axis.legend()
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    pyplot.close(figure)
    return text.getvalue()


def main():
    kept = attacks.read()
    write(ROOT / "docs" / "adversarial.svg", plot(kept))
    print(table(kept))


if __name__ == "__main__":
    main()
