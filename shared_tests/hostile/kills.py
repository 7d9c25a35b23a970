"""Kills: SIGKILL while a layer is saved; a whole file stays, always.

killed(save, path, number)  saves in a child until it is killed, so many
    times; counts, or AssertionError
python -m shared_tests.hostile.kills FRAMEWORK READER NUMBER   prints
    the counts as a line of JSON

A child of fork() saves two layers in turn to one path, again and again,
and says each time that it has begun; the parent waits for one to three
saves and a random part of one more, then kills it. What stays has to
be one of the two files, whole. `unfinished` counts the kills that came
while a file was being written, as the part of it that is left shows;
the next save has to leave nothing beside the file.
"""

import json
import os
import random
import select
import signal
import sys
import tempfile
import time
import warnings

from shared_tests.hostile.readers import saver
from shared_tests.processes import answers, finish, module

PATIENCE = 100  # seconds for a save to begin


def child(save, say):
    """For good: it ends by a kill, or with status 1."""
    try:
        while True:
            for which in (0, 1):
                os.write(say, b".")
                save(which)
    except BaseException:
        os._exit(1)


def killed(save, path, number, seed=0):
    rng = random.Random(seed)
    whole = []
    for which in (0, 1):
        began = time.monotonic()
        save(which)
        length = time.monotonic() - began
        whole.append(path.read_bytes())
    assert whole[0] != whole[1]
    found = dict(kills=0, first=0, second=0, unfinished=0)
    for _ in range(number):
        hear, say = os.pipe()
        with warnings.catch_warnings():
            # JAX warns of its threads; the child needs none of them
            warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)
            pid = os.fork()
        if not pid:
            child(save, say)
        os.close(say)
        for _ in range(rng.randint(1, 3)):
            says, _, _ = select.select([hear], [], [], PATIENCE)
            assert says, f"no save in {PATIENCE} s"
            os.read(hear, 1)
        time.sleep(rng.uniform(0, length))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        os.close(hear)
        assert os.WIFSIGNALED(status), f"a save failed: {status}"
        there = path.read_bytes()
        assert there in whole, (
            f"kill {found['kills']}: {len(there)} bytes are neither file"
        )
        found["kills"] += 1
        found["second" if there == whole[1] else "first"] += 1
        found["unfinished"] += len(os.listdir(path.parent)) > 1
        save(0)
        litter = sorted(os.listdir(path.parent))
        assert litter == [path.name], f"left: {litter}"
    return found


def asked(framework, reader, number):
    """(in words, whether it went wrong), from its environment."""
    command = module(
        framework,
        "shared_tests.hostile.kills",
        *(framework, reader, str(number)),
    )
    status, said = finish(command, stdout=-1, stderr=-2, text=True)
    if status:
        return f"kills: {said.strip()[-500:]}", True
    found = json.loads(said.strip().splitlines()[-1])
    return (
        f"{found['kills']} kills, {found['unfinished']} of them while a"
        f" file was being written; the older file was there"
        f" {found['first']} times, the other {found['second']} times"
    ), False


def main():
    framework, reader, number = sys.argv[1:]
    with answers() as out, tempfile.TemporaryDirectory() as folder:
        save, path = saver(framework, reader, folder)
        found = killed(save, path, int(number))
        out.write(json.dumps(found).encode() + b"\n")


if __name__ == "__main__":
    main()
