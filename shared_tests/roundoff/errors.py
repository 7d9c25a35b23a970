"""What a check can raise, beside TypeError for a wrong call."""


class CheckError(Exception):
    """There is nothing to judge; the text says why, in one sentence."""


class RoundingError(AssertionError):
    """An error that is not rounding; the text is the first bad array."""
