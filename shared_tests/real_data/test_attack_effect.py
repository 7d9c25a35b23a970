"""What attacks and the defence do to the digits: docs/adversarial.md.

In PyTorch alone, since it is long. All four gave these counts on 27
November 2026; test_attacks.py holds what they are made of.
"""

import numpy as np
import pytest

from shared_tests.files import ROOT
from shared_tests.real_data import attack_page, attacks

ENVIRONMENTS = ("pytorch",)


@pytest.mark.parametrize("model", attack_page.NAMES)
def test_as_many_are_right(adapter, model):
    kept, params = attacks.read(), None
    if model in attacks.WAYS:
        head = "start."
        start = {
            key.removeprefix(head): value
            for key, value in kept.items()
            if key.startswith(head)
        }
        last = attacks.train_mlp(adapter, start, model, attacks.BATCHES)
        params = {n: last[n] for n in start}
    found = attacks.rights(adapter, model, params)
    assert found == kept[f"right.{model}"].tolist()


def test_the_defence_helps():
    kept = attacks.read()
    plain, defended = (kept[f"right.{way}"] for way in attacks.WAYS)
    assert (defended[2:4] > plain[2:4] + 36).all()
    assert defended[0] >= 0.9 * 360
    assert np.diff([plain, defended]).max() <= 0


def test_the_page_has_this_table():
    page = (ROOT / "docs" / "adversarial.md").read_text()
    assert attack_page.table(attacks.read()) in page
