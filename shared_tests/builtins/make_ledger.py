"""`make ledger`: the table of built-in quantizers, measured again.

python -m shared_tests.builtins.make_ledger [framework]

Each environment writes build/ledger/<framework>.json; then the table in
docs/deviations.md is replaced, in one step. Without one of the
environments the document stays as it is.
"""

import json
import sys

from shared_tests.builtins.ledger import measure_all, replaced
from shared_tests.files import ROOT, write
from shared_tests.processes import finish, how_it_ended, module

ENVIRONMENTS = ("pytorch", "jax", "tf", "mxnet", "tools")
FOLDER = ROOT / "build" / "ledger"
DOCUMENT = ROOT / "docs" / "deviations.md"


def write_measured(framework, folder=FOLDER):
    """This environment's share, as JSON."""
    from shared_tests.builtins.ledger_calls import calls

    found = {
        library: [
            [*key, *cells] for key, cells in measure_all(some).items()
        ]
        for library, some in calls(framework).items()
    }
    text = json.dumps(found, indent=1)
    write(folder / f"{framework}.json", text)


def merged(folder=FOLDER):
    """{library: {key: cells}} of all environments."""
    found = {}
    for framework in ENVIRONMENTS:
        text = (folder / f"{framework}.json").read_text()
        for library, rows in json.loads(text).items():
            found[library] = {tuple(r[:3]): tuple(r[3:]) for r in rows}
    return found


def write_table(folder=FOLDER, document=DOCUMENT):
    measured = merged(folder)
    write(document, replaced(document.read_text(), measured))


def measure_all_environments():
    """What is missing, as a text; "" if nothing is."""
    from shared_tests.environments import environment_error

    errors = [e for e in map(environment_error, ENVIRONMENTS) if e]
    if errors:
        return "; ".join(errors)
    for framework in ENVIRONMENTS:
        (FOLDER / f"{framework}.json").unlink(missing_ok=True)
        print(f"{framework}: measuring", flush=True)
        door = "shared_tests.command", "ledger"
        code, _ = finish(module(framework, *door, framework))
        if code:
            return f"{framework}: {how_it_ended(code)}"
    return ""


def main():
    if sys.argv[1:]:
        write_measured(*sys.argv[1:])
        return 0
    error = measure_all_environments()
    if error:
        print(f"{error}; docs/deviations.md is as it was")
        return 1
    write_table()
    return 0


if __name__ == "__main__":
    sys.exit(main())
