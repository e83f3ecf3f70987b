"""The embedded files: what each one is, where it comes from, and whether it still is what it was.

``data/MANIFEST.json`` lists every data file and checkpoint of the repository with its SHA-256, its
size, its licence, its origin and the script or recipe that made it.
"""

import hashlib
import json
import os
from pathlib import Path, PurePosixPath

from pixelwise import paths
from pixelwise.results import nearest

MANIFEST = "MANIFEST.json"
_checked = set()  # files found right in this process: (path, size, time of the last change)


class DamagedFile(ValueError):
    """An embedded file that is missing or is not what the manifest says."""


def entries(folder=None):
    """Reads the manifest.

    Args:
        folder: the data folder; ``None`` is the repository's ``data/``.

    Returns:
        A dict from the file's name below the folder, as ``"fashion/train.npz"``, to a dict with
        ``sha256`` (hexadecimal), ``bytes``, ``licence``, ``origin`` and ``made_by``.

    Raises:
        DamagedFile: if the manifest is missing or is not JSON.
    """
    file = _folder(folder) / MANIFEST
    try:
        listed = json.loads(file.read_text(encoding="utf-8"))["files"]
        if not all({"sha256", "bytes"} <= entry.keys() for entry in listed.values()):
            raise ValueError("a file's hash or size is not there")
        return listed
    except FileNotFoundError as error:
        raise DamagedFile(f"{file} is missing: {_restore(MANIFEST)}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedFile(f"{file} cannot be read ({error}): {_restore(MANIFEST)}.") from error


def path(name, folder=None):
    """Returns the path of an embedded file after checking its hash, once per process.

    Args:
        name: the file's name below the data folder, as ``"fashion/train.npz"``.
        folder: the data folder; ``None`` is the repository's ``data/``.

    Returns:
        The ``Path`` of the file.

    Raises:
        ValueError: if the manifest does not list the file.
        DamagedFile: if the file is missing, or its size or SHA-256 is another.
    """
    listed = entries(folder)
    if name not in listed:
        raise ValueError(
            f"data/{MANIFEST} does not list {name!r}: {nearest(name, sorted(listed))}."
        )
    file = _folder(folder) / name
    if not file.is_file():
        raise DamagedFile(f"data/{name} is missing: {_restore(name)}.")
    state = file.stat()
    key = (file, state.st_size, state.st_mtime_ns)
    if key not in _checked:
        _compare(name, file, state.st_size, listed[name])
        _checked.add(key)
    return file


def add(name, *, licence, origin, made_by, folder=None):
    """Lists a file in the manifest, or renews its entry, with the hash it has now.

    The manifest is replaced in one step: a run killed at any moment leaves the old or the new one.

    Args:
        name: the file's name below the data folder, as ``"fashion/train.npz"``; the file exists.
        licence: SPDX name, as ``"MIT"``.
        origin: where the content comes from, in words or as an address.
        made_by: the script or the recipe that makes the file again.
        folder: the data folder; ``None`` is the repository's ``data/``.

    Returns:
        The entry, a dict.

    Raises:
        ValueError: if the file does not exist, lies outside the folder, or a text is empty.
    """
    texts = {"licence": licence, "origin": origin, "made_by": made_by}
    for key, text in texts.items():
        if not text:
            raise ValueError(f"The {key} of {name!r} is empty: say it, readers depend on it.")
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise ValueError(f"{name!r} lies outside data/: give the file's name below data/.")
    data = _folder(folder)
    file = data / name
    if not file.is_file():
        raise ValueError(f"There is no file {file}: write it before it is listed.")
    listed = entries(folder) if (data / MANIFEST).exists() else {}
    listed[name] = {"sha256": _sha256(file), "bytes": file.stat().st_size, **texts}
    _write(data / MANIFEST, {"files": dict(sorted(listed.items()))})
    return listed[name]


def unlisted(folder=None):
    """Returns the sorted names of data files that the manifest misses.

    Not data: the manifest itself, ``README.md``, and the scripts in ``build/``.
    """
    data = _folder(folder)
    names = (file.relative_to(data).as_posix() for file in data.rglob("*") if file.is_file())
    known = {MANIFEST, "README.md", *entries(folder)}
    return sorted(name for name in names if name not in known and not name.startswith("build/"))


def _folder(folder):
    return Path(folder) if folder is not None else paths.data_dir()


def _restore(name):
    return f"get it back with 'git checkout -- data/{name}', or clone the repository again"


def _compare(name, file, size, entry):
    if size != entry["bytes"]:
        found, expected = f"it has {size:,} bytes", f"{entry['bytes']:,}"
    else:
        digest = _sha256(file)
        found, expected = f"its SHA-256 starts with {digest[:8]}", entry["sha256"][:8]
        if digest == entry["sha256"]:
            return
    raise DamagedFile(
        f"data/{name} is damaged: {found} where {MANIFEST} says {expected}; {_restore(name)}."
    )


def _sha256(file):
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _write(file, content):
    fresh = file.with_name(f"{file.name}.{os.getpid()}.tmp")
    try:
        with open(fresh, "w", encoding="utf-8", newline="\n") as stream:
            json.dump(content, stream, indent=2, ensure_ascii=False)
            stream.write("\n")
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(fresh, file)
    finally:
        fresh.unlink(missing_ok=True)
