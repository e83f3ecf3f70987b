"""Unpacking archives of strangers: nothing outside the folder, and the whole of it or nothing.

The members are written one by one here, and never by ``tarfile.extract`` or ``zipfile.extract``, so
that both formats have the same rules on every version of Python (tarfile's own filters came with
3.11.4 and have changed since).
"""

import gzip
import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NamedTuple

from tqdm.auto import tqdm

from pixelwise.data.download import BLOCK, NO_SPACE, DownloadError, NoSpace, download

UNREADABLE = (
    EOFError,
    RuntimeError,  # zipfile: a password, a method it does not know
    gzip.BadGzipFile,
    lzma.LZMAError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)


class UnsafeArchive(DownloadError):
    """An archive would write outside its folder."""


class DamagedArchive(DownloadError):
    """An archive that cannot be read to its end."""


class Archive(NamedTuple):
    """One file of an official set: address, bytes, MD5, the folder inside, and SHA-256.

    Bytes and hashes are ``None`` where nobody publishes them.
    """

    url: str
    size: int | None
    md5: str | None
    folder: str
    sha256: str | None = None


def fetch(root, archives):
    """Downloads and unpacks what is not there yet; interrupted, it resumes.

    Args:
        root: ``Path`` of the folder that gets the archives and their folders. Archives put there
            by hand are used, and stay.
        archives: ``Archive`` tuples.

    Returns:
        The ``Path`` of the folder.

    Raises:
        pixelwise.data.download.DownloadError: if the download or an archive goes wrong.
    """
    for archive in archives:
        if not (root / archive.folder).is_dir():
            file = root / archive.url.rsplit("/", 1)[-1]
            download(archive.url, file, size=archive.size, md5=archive.md5, sha256=archive.sha256)
            unpack(file, root / archive.folder, inside=archive.folder)
    return root


def unpack(archive, folder, *, inside=None):
    """Unpacks a zip or tar archive into a new folder, which appears complete or not at all.

    Args:
        archive: ``.zip``, ``.tar``, ``.tar.gz``, ``.tar.bz2`` or ``.tar.xz``, told by its content.
        folder: the folder to make; if it is there and not empty, nothing is done.
        inside: a folder of the archive that becomes ``folder``; ``None`` takes the whole archive.

    Returns:
        The ``Path`` of the folder.

    Raises:
        UnsafeArchive: if a member has an absolute name, a name with ``..``, is a link that leaves
            the folder, or is a device.
        DamagedArchive: if the archive cannot be read to its end, or has no folder ``inside``.
        NoSpace: if the disk becomes full.

    In all of these cases the folder is not made and nothing is left beside it.
    """
    archive, folder = Path(archive), Path(folder)
    if folder.is_dir() and any(folder.iterdir()):
        return folder
    fresh = folder.with_name(folder.name + ".unpacking")
    shutil.rmtree(fresh, ignore_errors=True)  # of a run that was killed
    try:
        fresh.mkdir(parents=True)
        if archive.is_file() and shutil.disk_usage(fresh).free < archive.stat().st_size:
            raise _no_space(archive, folder)
        for member in tqdm(_members(archive), desc=f"unpack {archive.name}", unit=" files"):
            _write(member, fresh, archive)
        source = fresh / inside if inside else fresh
        if _through_link(source, fresh):
            raise _unsafe(archive, f"has a link in the place of its folder {inside!r}")
        if not source.is_dir():
            raise DamagedArchive(f"{archive} has no folder {inside!r}: it is another archive.")
        _check_links(source, archive)
        if folder.is_dir():
            folder.rmdir()
        os.replace(source, folder)
    except DownloadError:
        raise
    except UNREADABLE as error:
        raise DamagedArchive(
            f"{archive} cannot be unpacked ({error}): delete it and download it again."
        ) from error
    except OSError as error:
        if error.errno in NO_SPACE:
            raise _no_space(archive, folder) from error
        raise DownloadError(
            f"Cannot unpack {archive} into {folder} ({error.strerror or error})."
        ) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return folder


def _no_space(archive, folder):
    return NoSpace(
        f"The disk of {folder.parent} has not enough room to unpack {archive.name}, and nothing of "
        "it was left there: make room, or choose another disk, and run again."
    )


class Member(NamedTuple):
    """One entry of an archive."""

    name: str
    kind: str  # "file", "folder", "symlink", "hard link" or "device"
    target: str = ""  # of a link
    stream: object = None  # of a file


def _members(archive):
    """Yields the members of a zip or tar archive, each with a safe name."""
    if not archive.is_file():
        raise DamagedArchive(f"There is no archive {archive}: download it first.")
    if zipfile.is_zipfile(archive):
        yield from _zip_members(archive)
    elif tarfile.is_tarfile(archive):
        yield from _tar_members(archive)
    else:
        raise DamagedArchive(
            f"{archive} was cut, or is neither a zip nor a tar archive: delete it and download it "
            "again."
        )


def _zip_members(archive):
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            _check_name(info.filename, archive)
            form = stat.S_IFMT(info.external_attr >> 16)
            if info.is_dir():
                yield Member(info.filename, "folder")
            elif form == stat.S_IFLNK:
                yield Member(info.filename, "symlink", os.fsdecode(file.read(info)))
            elif form in (0, stat.S_IFREG):
                with file.open(info) as stream:
                    yield Member(info.filename, "file", stream=stream)
            else:
                yield Member(info.filename, "device")


class _StrictHeader(tarfile.TarInfo):
    """A tar header that must be right: ``tarfile`` takes a wrong one for the end of the archive."""

    @classmethod
    def fromtarfile(cls, tar):
        try:
            return super().fromtarfile(tar)
        except tarfile.EOFHeaderError:
            raise  # the proper end
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"{error} at byte {tar.offset:,}") from error


def _tar_members(archive):
    with tarfile.open(archive, "r:*", tarinfo=_StrictHeader) as file:
        for info in file:
            _check_name(info.name, archive)
            if info.isdir():
                yield Member(info.name, "folder")
            elif info.issym():
                yield Member(info.name, "symlink", info.linkname)
            elif info.islnk():
                _check_name(info.linkname, archive)
                yield Member(info.name, "hard link", info.linkname)
            elif info.isreg():
                yield Member(info.name, "file", stream=file.extractfile(info))
            else:
                yield Member(info.name, "device")
        while file.fileobj.read(BLOCK):  # to the end: a compressed file has its checksum there
            continue


def _check_name(name, archive):
    windows = PureWindowsPath(name)  # understands / and \ and drives
    if not name or windows.drive or windows.root or ".." in windows.parts or "\0" in name:
        raise _unsafe(archive, f"has a member named {name!r}")


def _unsafe(archive, what):
    return UnsafeArchive(
        f"{archive} {what}, which could write outside its folder: nothing was unpacked, and the "
        "archive should not be trusted."
    )


def _write(member, fresh, archive):
    """Writes one member below ``fresh``, never through a link."""
    target = fresh / PurePosixPath(member.name)
    if _through_link(target, fresh):
        raise _unsafe(archive, f"has a member {member.name!r} that goes through a link")
    if member.kind == "device":
        raise _unsafe(archive, f"has a member {member.name!r} that is a device")
    if member.kind == "folder":
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    if member.kind == "symlink":
        target.symlink_to(member.target)
    elif member.kind == "hard link":
        original = fresh / PurePosixPath(member.target)
        if _through_link(original, fresh) or not original.is_file():
            raise _unsafe(archive, f"has a link {member.name!r} to {member.target!r}")
        shutil.copyfile(original, target)
    else:
        with open(target, "wb") as file:
            shutil.copyfileobj(member.stream, file, BLOCK)


def _through_link(path, fresh):
    below = [parent for parent in path.parents if fresh in parent.parents]
    return any(part.is_symlink() for part in (path, *below))


def _check_links(source, archive):
    """Refuses symbolic links that lead out of ``source``, or nowhere."""
    root = Path(os.path.realpath(source))
    for folder, folders, files in os.walk(source):
        for path in (Path(folder, name) for name in folders + files):
            if path.is_symlink():
                name, target = path.relative_to(source).as_posix(), os.readlink(path)
                try:
                    end = Path(os.path.realpath(path, strict=True))
                except OSError as error:
                    raise _unsafe(archive, f"has a link {name!r} to {target!r}") from error
                if os.path.isabs(target) or not end.is_relative_to(root):
                    raise _unsafe(archive, f"has a link {name!r} to {target!r}")
