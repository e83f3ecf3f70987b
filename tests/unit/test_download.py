"""Downloads: whole, cut, resumed, wrong, without a network, without room on the disk."""

import errno
import os
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from pixelwise.data import download as module
from pixelwise.data.download import (
    DownloadError,
    IncompleteDownload,
    NoNetwork,
    NoSpace,
    WrongHash,
    download,
)

CONTENT = np.random.default_rng(0).bytes(700_000)  # several blocks
OTHER = np.random.default_rng(1).bytes(700_000)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / "set.bin"


def test_whole_file_arrives_under_its_name(server, path, tree):
    url, checks = server.add("set.bin", CONTENT)
    assert download(url, path, **checks) == path
    assert path.read_bytes() == CONTENT
    assert tree(path.parent) == ["set.bin"]


def test_right_file_is_not_asked_for_again(server, path):
    url, checks = server.add("set.bin", CONTENT)
    download(url, path, **checks)
    download(url, path, **checks)
    assert server.requests == [(None, 200)]


def test_wrong_file_under_the_name_is_replaced(server, path, tree):
    url, checks = server.add("set.bin", CONTENT)
    path.parent.mkdir()
    path.write_bytes(OTHER)
    download(url, path, **checks)
    assert path.read_bytes() == CONTENT
    assert tree(path.parent) == ["set.bin"]


def test_empty_file(server, path):
    url, checks = server.add("set.bin", b"")
    assert download(url, path, **checks).read_bytes() == b""


def test_download_cut_in_half_resumes(server, path, tree, sentence):
    url, checks = server.add("set.bin", CONTENT)
    server.cut = 400_000
    with pytest.raises(IncompleteDownload) as caught:
        download(url, path, **checks)
    text = sentence(caught)
    assert url in text and "400,000 of 700,000 bytes" in text and "run again" in text
    assert tree(path.parent) == ["set.bin.part", "set.bin.part.etag"]
    assert (path.parent / "set.bin.part").read_bytes() == CONTENT[:400_000]
    server.cut = None
    download(url, path, **checks)
    assert path.read_bytes() == CONTENT
    assert server.requests == [(None, 200), ("bytes=400000-", 206)]
    assert tree(path.parent) == ["set.bin"]


def test_cut_is_noticed_without_a_length(server, path, tree, sentence):
    url, _ = server.add("set.bin", CONTENT)
    server.lengths, server.cut = False, 400_000
    with pytest.raises(IncompleteDownload) as caught:
        download(url, path)
    assert "run again" in sentence(caught)
    assert not path.exists()
    server.cut = None
    assert download(url, path).read_bytes() == CONTENT
    assert tree(path.parent) == ["set.bin"]


def test_server_that_cannot_resume_starts_again(server, path):
    url, checks = server.add("set.bin", CONTENT)
    server.cut, server.ranges = 300_000, False
    with pytest.raises(IncompleteDownload):
        download(url, path, **checks)
    server.cut = None
    assert download(url, path, **checks).read_bytes() == CONTENT
    assert server.requests == [(None, 200), ("bytes=300000-", 200)]


@pytest.mark.parametrize("told_by", ["mark", "hash"])
def test_file_that_changed_between_two_halves_is_not_mixed(server, path, told_by):
    url, _ = server.add("set.bin", OTHER)
    server.marks, server.cut = told_by == "mark", 300_000
    with pytest.raises(IncompleteDownload):
        download(url, path)
    server.cut = None
    url, checks = server.add("set.bin", CONTENT)
    checks = checks if told_by == "hash" else {}
    assert download(url, path, **checks).read_bytes() == CONTENT
    assert server.requests[1][0] == "bytes=300000-"


def test_without_hash_and_mark_nothing_is_resumed(server, path):
    url, _ = server.add("set.bin", OTHER)
    server.marks, server.cut = False, 300_000
    with pytest.raises(IncompleteDownload):
        download(url, path)
    server.cut = None
    server.add("set.bin", CONTENT)
    assert download(url, path).read_bytes() == CONTENT
    assert server.requests == [(None, 200), (None, 200)]


@pytest.mark.parametrize("known", [True, False], ids=["size known", "size unknown"])
@pytest.mark.parametrize("part", [CONTENT, CONTENT + b"more", OTHER])
def test_partial_file_as_long_as_the_whole(server, path, part, known, tree):
    url, checks = server.add("set.bin", CONTENT)
    path.parent.mkdir()
    (path.parent / "set.bin.part").write_bytes(part)
    if not known:
        del checks["size"]
    assert download(url, path, **checks).read_bytes() == CONTENT
    assert tree(path.parent) == ["set.bin"]


@pytest.mark.parametrize("name", ["md5", "sha256"])
def test_wrong_hash_removes_the_file(server, path, tree, sentence, name):
    url, checks = server.add("set.bin", CONTENT)
    wrong = "0123456789abcdef" * (len(checks[name]) // 16)
    with pytest.raises(WrongHash) as caught:
        download(url, path, **{**checks, name: wrong})
    text = sentence(caught)
    assert f"its {name.upper()} is {checks[name][:8]}" in text and "01234567" in text
    assert url in text and "removed" in text
    assert tree(path.parent) == []


def test_the_start_of_a_hash_is_enough_where_no_more_is_published(server, path, tree, sentence):
    url, checks = server.add("set.bin", CONTENT)
    start = checks["sha256"][:8]
    assert download(url, path, sha256=start.upper()).read_bytes() == CONTENT
    server.add("set.bin", OTHER)
    path.unlink()
    with pytest.raises(WrongHash) as caught:
        download(url, path, sha256=start)
    assert f"where {start}... was expected" in sentence(caught)
    assert tree(path.parent) == []


@pytest.mark.parametrize(
    ("given", "digits"),
    [
        ({"sha256": ""}, "8 to 64"),
        ({"sha256": "1167a1a"}, "8 to 64"),
        ({"sha256": "0" * 65}, "8 to 64"),
        ({"sha256": "1167a1ag"}, "8 to 64"),
        ({"md5": "0" * 31}, "32"),
    ],
)
def test_a_hash_that_would_check_nothing_is_refused(server, path, sentence, given, digits):
    url, _ = server.add("set.bin", CONTENT)
    with pytest.raises(ValueError) as caught:
        download(url, path, **given)
    assert f"give {digits} hexadecimal digits" in sentence(caught)
    assert server.requests == []


def test_wrong_size_is_not_downloaded(server, path, tree, sentence):
    url, _ = server.add("set.bin", CONTENT)
    with pytest.raises(WrongHash) as caught:
        download(url, path, size=5)
    assert "700,000 bytes where 5 were expected" in sentence(caught)
    assert tree(path.parent) == []


def test_no_network(closed_port, path, tree, sentence):
    url = f"http://127.0.0.1:{closed_port}/set.bin"
    with pytest.raises(NoNetwork) as caught:
        download(url, path, size=10)
    text = sentence(caught)
    assert f"Cannot reach {url}" in text and "check the network" in text
    assert f"by hand, put it into the folder {path.parent} under the name set.bin" in text
    assert tree(path.parent) == []


def test_no_network_keeps_what_came_before(closed_port, path, tree):
    path.parent.mkdir()
    (path.parent / "set.bin.part").write_bytes(b"first")
    with pytest.raises(NoNetwork):
        download(f"http://127.0.0.1:{closed_port}/set.bin", path, md5="0" * 32)
    assert tree(path.parent) == ["set.bin.part"]


@pytest.mark.parametrize("status", [404, 503])
def test_refusing_server(server, path, tree, sentence, status):
    url, checks = server.add("set.bin", CONTENT)
    server.status = status
    with pytest.raises(DownloadError) as caught:
        download(url, path, **checks)
    text = sentence(caught)
    assert f"{url} answered {status}" in text and "by hand" in text
    assert tree(path.parent) == []


def test_no_disk_space_is_seen_before_the_download(server, path, tree, sentence, monkeypatch):
    url, checks = server.add("set.bin", CONTENT)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**19))
    with pytest.raises(NoSpace) as caught:
        download(url, path, **checks)
    text = sentence(caught)
    assert "set.bin needs 0.7 MiB" in text and f"{path.parent} has 0.5 MiB free" in text
    assert tree(path.parent) == []


def test_disk_that_fills_up_in_the_middle(server, path, tree, sentence, monkeypatch):
    url, checks = server.add("set.bin", CONTENT)

    class FullDisk:
        def __init__(self, *args):
            self.file = open(*args)
            self.room = 500_000

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, block):
            self.room -= len(block)
            if self.room < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return self.file.write(block)

    monkeypatch.setattr(module, "open", FullDisk, raising=False)
    with pytest.raises(NoSpace) as caught:
        download(url, path, **checks)
    text = sentence(caught)
    assert f"The disk of {path.parent} became full" in text and "removed" in text
    assert tree(path.parent) == []


def test_folder_that_cannot_be_made(server, tmp_path, sentence):
    url, checks = server.add("set.bin", CONTENT)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DownloadError) as caught:
        download(url, tmp_path / "file" / "set.bin", **checks)
    assert "Cannot write" in sentence(caught)


@pytest.mark.parametrize("url", ["file:///etc/hostname", "set.bin", "ftp://example.org/set.bin"])
def test_other_addresses_are_refused(url, path, sentence):
    with pytest.raises(ValueError, match="http://") as caught:
        download(url, path)
    assert url in sentence(caught)
