"""The door of all tools: what becomes of one that cannot go on.

python -m shared_tests.command parity --layer Linear       as make does

A tool that Ctrl-C or SIGTERM interrupts ends its children (processes.py),
then says in one line what is kept; exit status 130 or 143. Where a file
cannot be written, a disk is full, a folder is not ours, the line names
the file, and the exit status is 1. Nothing slow is imported before the
tool: in those seconds, too, somebody may interrupt it.
"""

import errno
import importlib
import signal
import sys

from shared_tests import processes
from shared_tests.files import NotWritten, shown

FIXTURES = "shared_tests/fixtures/ is as it was"
NOTHING = "it keeps nothing"
# name in the Makefile: (module, what is kept of a run that is cut off)
TOOLS = {
    "parity": (
        "parity",
        "build/parity-cache/ has the rows of all runs that have ended",
    ),
    "test-all": (
        "run_tests",
        "what has ended is shown above, nothing else is kept",
    ),
    "fixtures": ("renew_fixtures", FIXTURES),
    "fixtures-check": ("renew_fixtures", FIXTURES),
    "ledger": (
        "builtins.make_ledger",
        "docs/deviations.md is as it was",
    ),
    "mutants": (
        "trials.mutants",
        "build/mutants/ has all faults that were tried, and the next run"
        " goes on",
    ),
    "false-alarms": (
        "trials.false_alarms",
        "build/false_alarms/ has all cases that were judged, and the next"
        " run goes on",
    ),
    "error-budgets": (
        "trials.error_budgets",
        "docs/error-budgets.md is as it was",
    ),
    "fuzz": ("live.fuzz", "build/fuzz/ has all findings"),
    "check": ("live.check", NOTHING),
    "broken-files": (
        "hostile.trial",
        "build/broken-files/ has all files that were tried, and the next"
        " run goes on",
    ),
    "digits": (
        "real_data.quantized_digits",
        "build/digits/ has all rows that were measured, and the next run"
        " goes on",
    ),
    "memory": ("performance.memory", "build/memory.json is as it was"),
    "ports": (
        "ports.make_ports",
        "build/ports/ has the rows of all models that have ended, and the"
        " next run goes on",
    ),
    "export": (
        "exports.make_exports",
        "build/exports/ has the files that were written, and the results"
        " of the run before",
    ),
    "power": ("power", "docs/power.md is as it was"),
}
# what is wrong with the place, not with the tool
PLACE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES}
PLACE |= {errno.EPERM, errno.EIO}


def interrupt(number, frame):
    """Once: while all is put away another signal would leave a half."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    processes.end_all(number)
    raise KeyboardInterrupt


def command(name, *arguments):
    """The exit status of a tool."""
    for each in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(each) is not signal.SIG_IGN:
            signal.signal(each, interrupt)
    module, kept = TOOLS[name]
    sys.argv = [f"make {name}", *arguments]
    status, why = 1, ""
    try:
        tool = importlib.import_module(f"shared_tests.{module}")
        status = tool.main()
    except BaseException as error:
        why = reason(error)
        if not processes.END and not why:
            raise
    if processes.END:
        (number,) = processes.END
        how = "interrupted"
        if number != signal.SIGINT:
            how = f"ended by {signal.Signals(number).name}"
        status, why = 128 + number, f"{how}; {kept}"
    if why:
        print(f"make {name}: {why}", file=sys.stderr)
    return status


def reason(error):
    """What is wrong with the place where files go, in words; or ""."""
    if isinstance(error, NotWritten):
        return str(error)
    if not isinstance(error, OSError) or error.errno not in PLACE:
        return ""
    path = shown(error.filename) if error.filename else "its output"
    return f"{path}: {error.strerror}"


if __name__ == "__main__":
    sys.exit(command(*sys.argv[1:]))
