"""Expect: what was expected and what was found, in one short sentence.

expect(holds, what, want, got)  an error, unless it holds. What is found
    in a file may be of any length and depth: it is shown in short

Raises: ValueError "what expected want, got got"
"""

# region imports
import reprlib

BRIEF = reprlib.Repr()
BRIEF.maxstring = BRIEF.maxother = BRIEF.maxlong = 80
BRIEF.maxdict = BRIEF.maxlist = BRIEF.maxtuple = 8
# endregion


# region function
def expect(holds, what: str, want, got):
    if not holds:
        text = f"{what} expected {want}, got {BRIEF.repr(got)}"
        raise ValueError(text)


# endregion


# region try
if __name__ == "__main__":
    try:
        expect(False, "size", 7, [1] * 1000)
    except ValueError as error:
        print(error)
# endregion
