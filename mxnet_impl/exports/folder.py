"""Folder: a folder gets its name only when it is whole.

write_folder(path, write)  write(part) has to make the folder part, which
    then takes the name path; a folder that was there is gone afterwards

Between the two there is a moment without either: no folder can replace
one that has files in one step, as a file can (whole_file.py).
Raises: what write raises; path stays as it was
"""

# region imports
import os
import pathlib
import tempfile

# endregion


# region function
def write_folder(path, write):
    path = pathlib.Path(path).resolve()
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        part = pathlib.Path(folder) / path.name
        write(part)
        if path.exists():
            os.replace(path, pathlib.Path(folder) / "before")
        os.replace(part, path)


# endregion
