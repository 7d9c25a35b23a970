"""Whole file: what is written gets its name only when it is whole.

write_whole(path, write)  write(part) has to fill the file part, which
    then takes the name path in one step: whoever reads sees the old
    file or the new one, also when the process is killed meanwhile

A symbolic link stays; the file it leads to is replaced. A killed
process leaves .part.<name>, which the next one overwrites.
Raises: what write raises, as OSError on a full disk; path stays as it
        was, and nothing is left beside it
"""

# region imports
import os
import pathlib
import tempfile

# endregion


# region function
def write_whole(path, write):
    path = pathlib.Path(path).resolve()
    part = path.with_name(f".part.{path.name}")
    try:
        write(part)
        with part.open("rb") as file:
            os.fsync(file)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


# endregion


# region try
if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "numbers.txt")
        write_whole(path, lambda part: part.write_text("1 2 3"))
        print(path.read_text())
# endregion
