"""Watch: a load may take 200 MB more, 20 seconds, and touch no file.

with watched(folder) as seen: ...   afterwards seen.peak, in bytes, and
    seen.did, what it did besides: a process started, a file written

Memory is asked of Linux: the most that was resident in that time
(VmHWM, which writing 5 to clear_refs starts anew), above what was there
before. Address space is limited to 200 MB more as well, so that a claim
that is never touched fails too. The time is that of the processor: a
busy machine changes nothing; at its end the process gets SIGXCPU.
Standard library only.
"""

import contextlib
import os
import pathlib
import resource
import sys
from types import SimpleNamespace

MORE = 200 * 2**20
SECONDS = 20
# audit events of what no reader has to do
EVENTS = (
    "os.system os.exec os.posix_spawn os.spawn os.fork os.remove"
    " os.rename os.mkdir os.rmdir os.symlink os.link os.chmod"
    " os.truncate shutil.rmtree subprocess.Popen socket.connect"
    " urllib.Request pickle.find_class ctypes.dlopen"
).split()
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
SEEN = []  # the watch that is on
HOOKED = []  # a hook stays for good: one is enough


def hook(event, arguments):
    if not SEEN:
        return
    if event == "open":
        path, _, flags = arguments
        if isinstance(flags, int) and flags & WRITES:
            SEEN[-1].did.append(f"opened {path!r} to write")
    elif event in EVENTS:
        SEEN[-1].did.append(f"{event} {arguments!r}"[:200])


def status(word):
    """VmRSS, VmHWM or VmSize of this process, in bytes."""
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith(f"{word}:"):
                return int(line.split()[1]) * 1024
    raise ValueError(f"/proc/self/status has no {word}")


def listed(folder):
    """What is in a folder, with the time of its last change."""
    return {
        entry.name: entry.stat(follow_symlinks=False).st_mtime_ns
        for entry in os.scandir(folder)
    }


@contextlib.contextmanager
def limit(kind, value):
    soft, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, hard))
    try:
        yield
    finally:
        resource.setrlimit(kind, (soft, hard))


@contextlib.contextmanager
def watched(folder):
    if not HOOKED:
        HOOKED.append(sys.addaudithook(hook))
    seen = SimpleNamespace(peak=0, did=[])
    before = [(p, listed(p)) for p in (folder, folder.parent)]
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    start = status("VmRSS")
    used = resource.getrusage(resource.RUSAGE_SELF)
    used = used.ru_utime + used.ru_stime
    space = limit(resource.RLIMIT_AS, status("VmSize") + MORE)
    clock = limit(resource.RLIMIT_CPU, int(used) + SECONDS)
    with space, clock:
        SEEN.append(seen)
        try:
            yield seen
        finally:
            SEEN.clear()
    seen.peak = max(0, status("VmHWM") - start)
    for place, was in before:
        new = {n for n, t in listed(place).items() if was.get(n) != t}
        new |= was.keys() - listed(place).keys()
        seen.did += [f"{name!r} changed" for name in sorted(new)]
