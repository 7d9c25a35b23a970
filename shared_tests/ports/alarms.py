"""Part "alarms": many more comparisons on pairs that agree.

The same families with a batch of many rows and other seeds: an array of
a model then has up to 100,000 elements, and each is compared with its
own budget. Not one may be outside.
"""

from shared_tests.ports import pairs
from shared_tests.ports.deviations import OFF
from shared_tests.ports.families import FAMILIES

NAMES = tuple(FAMILIES)
BATCH = 192
SEED = 100
FACTOR = 3.0  # neither of those of the first part


def run(name):
    """Ports that are known to be off are left out."""
    return [
        row
        for row in pairs.rows_of(
            name, SEED, FACTOR, batch=BATCH, compiled=False
        )
        if (name, row["port"]) not in OFF
    ]
