"""Archives: unpacked whole or not at all, and never outside their folder."""

import errno
import io
import os
import shutil
import tarfile
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest

from pixelwise.data import archives
from pixelwise.data.archives import DamagedArchive, UnsafeArchive, unpack
from pixelwise.data.download import DownloadError, NoSpace

FILES = {"set/a.txt": b"alpha", "set/deep/b.bin": np.random.default_rng(0).bytes(300_000)}


def link(name, target, kind=tarfile.SYMTYPE):
    """A tar member without content: a link, or a device."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def make_tar(path, members, mode="w:gz"):
    """Writes a tar; ``members`` are (name, bytes) pairs and ``TarInfo`` objects."""
    with tarfile.open(path, mode) as file:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                file.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                file.addfile(info, io.BytesIO(member[1]))
    return path


def make_zip(path, members):
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members:
            file.writestr(name, content)
    return path


@pytest.fixture(params=["tar.gz", "tar", "zip"])
def archive(request, tmp_path):
    path = tmp_path / f"set.{request.param}"
    if request.param == "zip":
        return make_zip(path, FILES.items())
    return make_tar(path, FILES.items(), "w:gz" if request.param == "tar.gz" else "w")


def refused(path, error, tree, sentence, inside=None):
    """Unpacks, expects an error, and that nothing was written anywhere; returns the sentence."""
    everything = tree(path.parent)
    with pytest.raises(error) as caught:
        unpack(path, path.parent / "out", inside=inside)
    assert tree(path.parent) == everything
    text = sentence(caught)
    assert str(path) in text or path.name in text
    return text


def test_whole_archive(archive, tree):
    out = unpack(archive, archive.parent / "new" / "out")
    assert tree(out) == ["set", "set/a.txt", "set/deep", "set/deep/b.bin"]
    assert all((out / name).read_bytes() == content for name, content in FILES.items())
    assert tree(archive.parent / "new") == ["out", *(f"out/{name}" for name in tree(out))]


def test_folder_inside(archive, tree):
    (archive.parent / "out").mkdir()  # an empty folder is no obstacle
    out = unpack(archive, archive.parent / "out", inside="set")
    assert tree(out) == ["a.txt", "deep", "deep/b.bin"]


def test_folder_that_is_there_is_kept(archive):
    out = archive.parent / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    unpack(archive, out)
    assert [path.name for path in out.iterdir()] == ["mine.txt"]


def test_rest_of_a_killed_run_is_removed(archive, tree):
    (archive.parent / "out.unpacking" / "half").mkdir(parents=True)
    unpack(archive, archive.parent / "out", inside="set")
    assert tree(archive.parent) == [
        "out", "out/a.txt", "out/deep", "out/deep/b.bin", archive.name
    ]  # fmt: skip


def test_harmless_links_stay(tmp_path):
    members = [
        *FILES.items(),
        link("set/soft", "deep/b.bin"),
        link("set/hard", "set/a.txt", tarfile.LNKTYPE),
    ]
    out = unpack(make_tar(tmp_path / "set.tar", members, "w"), tmp_path / "out", inside="set")
    assert (out / "soft").is_symlink()
    assert (out / "soft").read_bytes() == FILES["set/deep/b.bin"]
    assert (out / "hard").read_bytes() == b"alpha"


BAD_NAMES = ["../evil", "set/../../evil", "/evil/file", "..\\evil", "C:\\evil", "C:evil", "\\evil"]


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_name_that_leaves_the_folder(tmp_path, tree, sentence, kind, name):
    members = [*FILES.items(), (name, b"evil")]
    path = tmp_path / f"set.{kind}"
    make_zip(path, members) if kind == "zip" else make_tar(path, members)
    text = refused(path, UnsafeArchive, tree, sentence)
    assert "evil" in text and "nothing was unpacked" in text


SYM, HARD = tarfile.SYMTYPE, tarfile.LNKTYPE
EVIL = {
    "out of the folder": [link("set/l", "../../secret.txt")],
    "absolute": [link("set/l", os.path.abspath(os.sep))],
    "nowhere": [link("set/l", "missing")],
    "in a circle": [link("set/l", "l")],
    "up through a link": [link("set/deep/l", "../.."), link("set/m", "deep/l/../secret.txt")],
    "file through a link": [link("set/l", ".."), ("set/l/evil", b"evil")],
    "file over a link": [link("set/l", "../../secret.txt"), ("set/l", b"evil")],
    "hard link, outside": [link("set/l", "../secret.txt", HARD)],
    "hard link, absolute": [link("set/l", "/etc/hostname", HARD)],
    "hard link through a link": [link("set/l", "../.."), link("m", "set/l/secret.txt", HARD)],
    "hard link to a link": [link("set/l", "../../secret.txt"), link("set/m", "set/l", HARD)],
    "device": [link("set/null", "", tarfile.CHRTYPE)],
    "pipe": [link("set/pipe", "", tarfile.FIFOTYPE)],
}


@pytest.mark.parametrize("members", EVIL.values(), ids=EVIL.keys())
def test_evil_members(tmp_path, tree, sentence, members):
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    path = make_tar(tmp_path / "set.tar.gz", [*FILES.items(), *members])
    refused(path, UnsafeArchive, tree, sentence)
    assert secret.read_text() == "secret"


def test_link_in_the_place_of_the_folder(tmp_path, tree, sentence):
    (tmp_path / "elsewhere").mkdir()
    path = make_tar(tmp_path / "set.tar.gz", [link("set", "../elsewhere")])
    refused(path, UnsafeArchive, tree, sentence, inside="set")


def test_link_beside_the_folder_that_is_wanted(tmp_path, tree, sentence):
    path = make_tar(tmp_path / "set.tar", [*FILES.items(), ("b", b""), link("set/l", "../b")])
    refused(path, UnsafeArchive, tree, sentence, inside="set")


def test_hard_link_through_a_link_beside_the_folder(tmp_path, tree, sentence):
    (tmp_path / "secret.txt").write_text("secret")
    members = [*FILES.items(), link("l", ".."), link("set/m", "l/secret.txt", HARD)]
    path = make_tar(tmp_path / "set.tar", members)
    refused(path, UnsafeArchive, tree, sentence, inside="set")


def test_absolute_link_to_where_it_is_being_unpacked(tmp_path, tree, sentence):
    target = tmp_path / "out.unpacking" / "set" / "a.txt"
    path = make_tar(tmp_path / "set.tar", [*FILES.items(), link("set/l", str(target))])
    refused(path, UnsafeArchive, tree, sentence)


def test_link_in_a_zip(tmp_path, tree, sentence):
    path = tmp_path / "set.zip"
    info = zipfile.ZipInfo("set/l")
    info.external_attr = 0o120777 << 16
    make_zip(path, [*FILES.items(), (info, "../../../etc/hostname")])
    assert "'set/l'" in refused(path, UnsafeArchive, tree, sentence)


def test_wrong_header_is_not_taken_for_the_end(tmp_path, tree, sentence):
    path = make_tar(tmp_path / "set.tar", [("a", b"x" * 100), ("b", b"y")], "w")
    content = bytearray(path.read_bytes())
    content[1024] ^= 0xFF  # the header of b
    path.write_bytes(content)
    assert "at byte 1,024" in refused(path, DamagedArchive, tree, sentence)


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.98])
def test_archive_cut_in_half(archive, tree, sentence, keep):
    content = archive.read_bytes()
    archive.write_bytes(content[: int(keep * len(content))])
    text = refused(archive, DamagedArchive, tree, sentence)
    assert "delete it and download it again" in text


def test_damaged_middle(tmp_path, tree, sentence):
    path = make_tar(tmp_path / "set.tar.gz", FILES.items())
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    refused(path, DamagedArchive, tree, sentence)


def test_no_archive_and_another_file(tmp_path, tree, sentence):
    refused(tmp_path / "set.zip", DamagedArchive, tree, sentence)
    (tmp_path / "set.zip").write_text("<html>not found</html>")
    refused(tmp_path / "set.zip", DamagedArchive, tree, sentence)


def test_other_folder_inside(archive, tree, sentence):
    assert "has no folder 'images'" in refused(
        archive, DamagedArchive, tree, sentence, inside="images"
    )


def test_no_disk_space_is_seen_before(archive, tree, sentence, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    assert "make room" in refused(archive, NoSpace, tree, sentence)


def test_disk_that_fills_up_in_the_middle(archive, tree, sentence, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(archives.shutil, "copyfileobj", full)
    assert "make room" in refused(archive, NoSpace, tree, sentence)


def test_folder_that_cannot_be_made(archive, sentence):
    (archive.parent / "file").write_text("in the way")
    with pytest.raises(DownloadError) as caught:
        unpack(archive, archive.parent / "file" / "out")
    assert "Cannot unpack" in sentence(caught)
