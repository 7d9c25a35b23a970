"""Faults of the mutation trial that change no number a caller can see.

EQUIVALENT: {(page, line as it stands there, change): reason}. A row that
fits no fault of any framework, or one that was killed, fails the run.
"""

EQUIVALENT = {}
