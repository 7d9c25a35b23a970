"""Ask a port in a file, in its own interpreter.

That interpreter runs port.py as a script and needs NumPy and the port's
framework only. The port may print what it likes: its answer is a file.
"""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

from ..errors import CheckError
from . import crossing

SCRIPT = pathlib.Path(__file__).with_name("port.py")
SECONDS = 600
TAIL = 300  # characters of its last line that are kept


def ask(path, request, python=None, seconds=SECONDS):
    """The answer of port.run, as a dict.

    path: the port's file; python: the interpreter, this one if None
    Raises: CheckError for a port that fails, in any way
    """
    path = pathlib.Path(path).resolve()
    if not path.is_file():
        raise CheckError(f"{path} does not exist")
    with tempfile.TemporaryDirectory(prefix="roundoff-") as folder:
        message = {**request, "path": str(path)}
        crossing.write(folder, "request", message)
        command = [str(python or sys.executable), SCRIPT, folder]
        failed = run(command, folder, seconds)
        if failed:
            raise CheckError(f"{path.name}: {failed}")
        try:
            answer = crossing.read(folder, "answer")
        except (OSError, ValueError, KeyError) as error:
            raise CheckError(f"{path.name}: no answer") from error
    if "error" in answer:
        raise CheckError(f"{path.name}: {answer['error']}")
    return answer


def run(command, folder, seconds):
    """How the interpreter failed, in words; or ""."""
    with open(os.path.join(folder, "log"), "w+b") as log:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        except OSError as error:
            return f"python {command[0]}: {error.strerror}"
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            return f"no answer in {seconds} s"
        finally:  # and what it has started
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if code == 0:
            return ""
        log.seek(0)
        said = log.read().decode(errors="replace").strip()
    last = said.rpartition("\n")[2].strip()[-TAIL:]
    how = f"exit status {code}"
    if code < 0:
        how = f"signal {signal.Signals(-code).name}"
        if code == -signal.SIGKILL:  # the kernel says nothing
            how += " (as when memory runs out)"
    return f"{how}, {last}" if last else how
