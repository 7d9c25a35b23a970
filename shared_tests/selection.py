"""Selection: what a word given to make stands for."""

import difflib


def close(word, known):
    """Near matches as a question, or nothing."""
    lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), lower)
    names = " or ".join(lower[name] for name in near)
    return f"; did you mean {names}?" if names else ""
