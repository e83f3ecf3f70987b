"""Downloading: resumed, checked by hash, and nothing half-written under a final name.

While a file comes in it is called ``NAME.part`` and a note beside it, ``NAME.part.etag``, keeps the
server's mark of that version of the file. A download that is cut keeps both, and the next call goes
on from there; a server that cannot resume, or whose file has changed since, starts again from the
first byte. Only a complete file with the right size and hash gets its final name.
"""

import errno
import hashlib
import http.client
import os
import re
import shutil
import urllib.error
import urllib.request
from pathlib import Path

from tqdm.auto import tqdm

BLOCK = 1 << 18  # bytes read at a time
TIMEOUT = 30  # seconds without an answer
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


class DownloadError(OSError):
    """A download or an archive that went wrong; its text is one sentence for the reader."""


class NoNetwork(DownloadError):
    """The server could not be reached."""


class IncompleteDownload(DownloadError):
    """The connection was cut; what came in is kept for the next try."""


class WrongHash(DownloadError):
    """The file came in whole, but it is not the file that was asked for."""


class NoSpace(DownloadError):
    """The disk has not enough room."""


def download(url, path, *, size=None, md5=None, sha256=None):
    """Downloads one file, with a progress bar, unless it is already there.

    A file that is there with another size or hash is replaced once the right one has come in.

    Args:
        url: address, ``http://`` or ``https://``.
        path: where the file goes, its name included; missing folders are made.
        size: bytes of the file; ``None`` if unknown.
        md5: hexadecimal MD5 of the whole file; ``None`` leaves it unchecked.
        sha256: hexadecimal SHA-256 of the whole file, or at least its first 8 digits where no more
            is published; ``None`` leaves it unchecked.

    Returns:
        The ``Path`` of the file.

    Raises:
        NoNetwork: if the server cannot be reached.
        IncompleteDownload: if the connection is cut; what came in is kept for the next call.
        WrongHash: if the file has another size or hash; it is removed.
        NoSpace: if the disk has not enough room; nothing is left.
        DownloadError: if the server refuses, or the folder cannot be written to.
        ValueError: if the address is of another kind, or a hash is no hash.

    Chapter: 02_fcn, the pets.
    """
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"Cannot download {url!r}: an address starts with http:// or https://.")
    _check_hash("MD5", md5, 32, 32)
    _check_hash("SHA-256", sha256, 8, 64)
    path = Path(path)
    part = path.with_name(path.name + ".part")
    if path.is_file() and _difference(path, size, md5, sha256) is None:
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not (md5 or sha256 or _read_note(part)):
            _forget(part)  # nothing would tell whether its bytes are of the same file
        resumed = _fetch(url, part, size)
        difference = _difference(part, size, md5, sha256)
        if difference and resumed:  # two versions of the file may have met in the middle
            _forget(part)
            _fetch(url, part, size)
            difference = _difference(part, size, md5, sha256)
        if difference:
            _forget(part)
            raise WrongHash(
                f"{url} was downloaded but {difference}, so it was removed: run again, and if the "
                "same happens the file at that address has changed."
            )
        os.replace(part, path)
        _forget(part)
    except DownloadError:
        raise
    except OSError as error:
        if error.errno in NO_SPACE:
            _forget(part)
            raise NoSpace(
                f"The disk of {path.parent} became full while {path.name} was downloaded, so the "
                "partial file was removed: make room, or choose another disk, and run again."
            ) from error
        raise DownloadError(
            f"Cannot write {path} ({error.strerror or error}): choose a folder you may write to."
        ) from error
    return path


def _check_hash(name, expected, shortest, longest):
    """Refuses what would let every file pass, as an empty string, or none."""
    if expected is None:
        return
    if not re.fullmatch(f"[0-9a-fA-F]{{{shortest},{longest}}}", expected):
        digits = longest if shortest == longest else f"{shortest} to {longest}"
        raise ValueError(
            f"{expected!r} cannot be the {name} of a file: give {digits} hexadecimal digits."
        )


def _difference(path, size, md5, sha256):
    """Says in words how a file differs from what was asked for; ``None`` if it does not."""
    found = path.stat().st_size
    if size is not None and found != size:
        return f"it has {found:,} bytes where {size:,} were expected"
    for name, expected in (("md5", md5), ("sha256", sha256)):
        if expected is not None:
            with open(path, "rb") as file:
                digest = hashlib.file_digest(file, name).hexdigest()
            if not digest.startswith(expected.lower()):
                return f"its {name.upper()} is {digest[:8]}... where {expected[:8]}... was expected"
    return None


def _forget(part):
    """Removes a partial file and the note beside it."""
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)


def _note(part):
    return part.with_name(part.name + ".etag")


def _read_note(part):
    return _note(part).read_text(encoding="utf-8") if _note(part).exists() else ""


def _fetch(url, part, size):
    """Brings the partial file to its end; returns whether its first bytes were there before."""
    start = part.stat().st_size if part.exists() else 0
    if start and start == size:
        return True
    with _open(url, part, start) as response:
        if response.status != 206:  # 206: the server sends the rest; 200: it sends the whole
            start = 0
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else size
        if size is not None and total != size:
            _forget(part)
            raise WrongHash(
                f"{url} has {total:,} bytes where {size:,} were expected, so it was not "
                "downloaded: the file at that address has changed."
            )
        if total is not None:
            _check_space(part, total - start)
        if not start:
            _forget(part)
            _note(part).write_text(_mark(response), encoding="utf-8")
        with open(part, "ab" if start else "wb") as file:
            _copy(url, response, file, start, total)
    return start > 0


def _open(url, part, start):
    """Asks the server for the file from byte ``start`` on, if it still is the same file."""
    request = urllib.request.Request(url, headers={"User-Agent": "pixelwise"})
    if start:
        request.add_header("Range", f"bytes={start}-")
        if mark := _read_note(part):
            request.add_header("If-Range", mark)
    by_hand = (
        f"download it by hand, put it into the folder {part.parent} under the name "
        f"{part.name.removesuffix('.part')}, and run again"
    )
    try:
        return urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and start:  # the partial file is not shorter than the server's
            _forget(part)
            return _open(url, part, 0)
        raise DownloadError(
            f"{url} answered {error.code} {error.reason}: try again later, or {by_hand}."
        ) from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise NoNetwork(
            f"Cannot reach {url} ({reason}): check the network, or {by_hand}."
        ) from error


def _mark(response):
    """Returns what tells this version of the file from another: a strong ETag, or its date."""
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') else response.headers.get("Last-Modified", "")


def _check_space(path, needed):
    free = shutil.disk_usage(path.parent).free
    if free < needed:
        raise NoSpace(
            f"{path.name.removesuffix('.part')} needs {needed / 2**20:,.1f} MiB but the disk of "
            f"{path.parent} has {free / 2**20:,.1f} MiB free: make room or choose another disk."
        )


def _copy(url, response, file, start, total):
    """Writes the answer of the server to a file; whatever came in stays there if it is cut."""
    done, cut = start, None
    with tqdm(initial=start, total=total, unit="B", unit_scale=True, desc=Path(url).name) as bar:
        while True:
            try:
                block = response.read(BLOCK)
            except (OSError, http.client.HTTPException) as error:
                cut = error
                break
            if not block:
                break
            file.write(block)
            done += len(block)
            bar.update(len(block))
    file.flush()
    os.fsync(file.fileno())
    if cut or (total is not None and done < total):
        of = "" if total is None else f" of {total:,}"
        raise IncompleteDownload(
            f"The download of {url} stopped after {done:,}{of} bytes "
            f"({cut or 'the connection was closed'}): run again, and it goes on from there."
        )
