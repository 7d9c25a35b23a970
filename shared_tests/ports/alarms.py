"""Part "alarms": many more comparisons on pairs that agree.

Families that have all three frameworks, with a batch of hundreds of rows
and another seed: each array has up to half a million elements, and each
element is compared with its own budget. Not one may be outside.
"""

from shared_tests.ports import inputs, pairs
from shared_tests.ports.deviations import OFF
from shared_tests.ports.families import FAMILIES

BATCH = 768
SEED = 100
FACTOR = 3.0  # neither of those of the first part
SHORT = (
    inputs.text,
    inputs.translation,
)  # an image has more to compute
NAMES = tuple(
    name
    for name, family in FAMILIES.items()
    if family.frameworks == "ft"
    and family.inputs in SHORT
    and not {(name, "flax"), (name, "tf")} & OFF
)


def run(name):
    return list(
        pairs.rows_of(name, SEED, FACTOR, batch=BATCH, compiled=False)
    )
