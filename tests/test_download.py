"""Downloads against a server on this machine: whole, cut, resumed, wrong, absent."""

from __future__ import annotations

import gzip
import hashlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from fastconv.datasets import fashion_mnist
from fastconv.datasets.download import DownloadError, download, fetch

# Bytes that do not compress, so that the file is larger than one chunk.
CONTENT = np.random.default_rng(0).bytes(300_000)
PACKED = gzip.compress(CONTENT, mtime=0)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves PACKED under any path that ends in .gz; behaviour is set by attributes."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.cut_after: int | None = None
        self.ranges = True
        self.asked: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.asked.append((self.path, wanted))
        body = self.server.files.get(self.path.lstrip("/"))
        if body is None:
            self.send_error(404)
            return
        start = 0
        if wanted and self.server.ranges:
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])
            if start >= len(body):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self.wfile.write(body[start : self.server.cut_after])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        server.files["a.gz"] = PACKED
        yield server
        server.shutdown()
        thread.join()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_whole_file_arrives_with_progress(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int | None]] = []
    fetch(server.url + "a.gz", tmp_path / "a.gz", SHA256, progress=lambda *p: seen.append(p))
    assert (tmp_path / "a.gz").read_bytes() == PACKED
    assert names(tmp_path) == ["a.gz"]
    assert seen[-1] == ("a.gz", len(PACKED), len(PACKED))
    assert len(seen) > 1
    fetch(server.url + "a.gz", tmp_path / "a.gz", SHA256)
    assert len(server.asked) == 1, "a file that is there and right is not fetched again"


def test_a_cut_download_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    server.cut_after = 100_000
    with pytest.raises(DownloadError, match="Run the command again to go on"):
        fetch(server.url + "a.gz", tmp_path / "a.gz", SHA256)
    assert names(tmp_path) == ["a.gz.part"]
    assert (tmp_path / "a.gz.part").read_bytes() == PACKED[:100_000]
    server.cut_after = None
    seen: list[tuple[str, int, int | None]] = []
    fetch(server.url + "a.gz", tmp_path / "a.gz", SHA256, progress=lambda *p: seen.append(p))
    assert server.asked[-1] == ("/a.gz", "bytes=100000-")
    assert seen[0][1] > 100_000
    assert seen[-1][1:] == (len(PACKED), len(PACKED))
    assert (tmp_path / "a.gz").read_bytes() == PACKED
    assert names(tmp_path) == ["a.gz"]


def test_a_server_without_ranges_starts_anew(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.gz.part").write_bytes(PACKED[:5000])
    server.ranges = False
    fetch(server.url + "a.gz", tmp_path / "a.gz", SHA256)
    assert (tmp_path / "a.gz").read_bytes() == PACKED


def test_a_part_that_is_whole_is_taken(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.gz.part").write_bytes(PACKED)
    fetch(server.url + "a.gz", tmp_path / "a.gz", SHA256)
    assert (tmp_path / "a.gz").read_bytes() == PACKED
    assert names(tmp_path) == ["a.gz"]


def test_a_mirror_may_compress_otherwise(server: Server, tmp_path: Path) -> None:
    server.files["a.gz"] = gzip.compress(CONTENT, 1)
    fetch(server.url + "a.gz", tmp_path / "a.gz", SHA256)
    assert gzip.decompress((tmp_path / "a.gz").read_bytes()) == CONTENT


@pytest.mark.parametrize("body", [gzip.compress(b"other"), b"<html>", PACKED[:-9]])
def test_a_wrong_file_is_removed(server: Server, tmp_path: Path, body: bytes) -> None:
    server.files["a.gz"] = body
    with pytest.raises(DownloadError, match=f"must have SHA-256 {SHA256}. Received: "):
        fetch(server.url + "a.gz", tmp_path / "a.gz", SHA256)
    assert names(tmp_path) == []


def test_a_wrong_file_that_was_there_is_replaced(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(b"damaged")
    fetch(server.url + "a.gz", tmp_path / "a.gz", SHA256)
    assert (tmp_path / "a.gz").read_bytes() == PACKED


def test_an_absent_file_and_an_absent_server_say_so(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"b\.gz: the server answered 404"):
        fetch(server.url + "b.gz", tmp_path / "b.gz", SHA256)
    with pytest.raises(DownloadError, match=r"refused"):
        fetch("http://127.0.0.1:9/b.gz", tmp_path / "b.gz", SHA256)
    with pytest.raises(ValueError, match="unknown url type"):
        fetch("nonsense", tmp_path / "b.gz", SHA256)
    assert names(tmp_path) == []


def test_all_files_of_a_data_set_land_where_they_are_found(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTCONV_DATA", str(tmp_path))
    embedded = fashion_mnist.source("embedded").files
    server.files = {f"mirror/{stem}.gz": path.read_bytes() for stem, path in embedded.items()}
    small = {s: hashlib.sha256(gzip.decompress(p.read_bytes())) for s, p in embedded.items()}
    monkeypatch.setattr(fashion_mnist, "SHA256", {s: h.hexdigest() for s, h in small.items()})
    folder = download(url=server.url + "mirror")
    assert folder == tmp_path / "fashion-mnist" == fashion_mnist.source().folder
    assert len(fashion_mnist.load_data()[0][0]) == 2000


def test_the_known_checksums_are_those_of_the_system_package() -> None:
    folder = Path("/usr/share/datasets/fashion-mnist")
    if not folder.is_dir():
        pytest.skip("needs Debian's dataset-fashion-mnist")
    for stem in (fashion_mnist.TEST[1], fashion_mnist.TRAIN[1], fashion_mnist.TEST[0]):
        content = gzip.decompress((folder / f"{stem}.gz").read_bytes())
        assert hashlib.sha256(content).hexdigest() == fashion_mnist.SHA256[stem]
