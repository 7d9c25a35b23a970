"""Worker: spoiled files of one reader, one after the other.

python -m shared_tests.hostile.worker FRAMEWORK READER FIRST LAST

Says each number before it loads that file, so that a crash has a name,
and then the outcome, both as a line of JSON.
"""

import json
import os
import sys
import tempfile

from shared_tests.hostile.readers import Trial
from shared_tests.processes import answers


def say(out, words):
    out.write(json.dumps(words).encode() + b"\n")
    out.flush()


def main():
    framework, reader, first, last = sys.argv[1:]
    with answers() as out, tempfile.TemporaryDirectory() as folder:
        # nothing here has to survive the machine
        os.fsync = lambda file: None
        trial = Trial(framework, reader, folder)
        for number in range(int(first), int(last)):
            say(out, number)
            say(out, trial.examine(number)._asdict())


if __name__ == "__main__":
    main()
