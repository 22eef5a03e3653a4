"""Downloads: a server of the test that breaks off, knows no ranges or lies; archives; the hub's names."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import io
import os
import socket
import tarfile
import threading
import time

import huggingface_hub
import numpy as np
import pytest
from kills import killed

from kit.checkpoints import downloads, fetching, resolve
from kit.checkpoints.downloads import download
from kit.checkpoints.fetching import download_file, unpack
from kit.cli import main
from kit.data import load_passages, load_questions
from kit.types import KitError


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `server.content`; may not know ranges, or close the connection early."""

    def do_GET(self):
        server = self.server
        server.asked.append(self.headers.get("Range"))
        if self.path != "/file":
            self.send_error(404)
            return
        start = int(self.headers["Range"][6:-1]) if "Range" in self.headers and server.ranges else 0
        if self.headers.get("If-Range", server.etag) != server.etag:
            start = 0
        if start >= len(server.content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(server.content)}")
            self.end_headers()
            return
        body = server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        if server.etag:
            self.send_header("ETag", server.etag)
        self.end_headers()
        self.wfile.write(body[: server.break_after])

    def log_message(self, *_):
        """Nothing on the test's output."""


@pytest.fixture
def server():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.content, server.ranges, server.break_after, server.asked = bytes(range(256)) * 40, True, None, []
    server.etag = None
    server.url = f"http://127.0.0.1:{server.server_port}/file"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_download_says_its_size_first_and_is_whole(server, tmp_path):
    said = []
    path = download_file(server.url, tmp_path / "new" / "x", say=said.append)
    assert path.read_bytes() == server.content
    assert len(said) == 1 and "0.00 GB to" in said[0] and "GB free" in said[0]
    download_file(server.url, path, say=said.append)
    assert len(server.asked) == 1, "a file that is there is not fetched again"


def test_a_download_that_is_killed_is_not_there_or_whole_and_goes_on(server, tmp_path):
    path, codes = tmp_path / "new" / "x", []
    for number in (1, 2, 3, 4, 6):
        codes.append(killed(lambda: download_file(server.url, path, say=str), number))
        assert not path.exists() or path.read_bytes() == server.content
    assert codes[:3] == [9, 9, 9]
    assert download_file(server.url, path).read_bytes() == server.content
    assert list(path.parent.iterdir()) == [path]


def test_a_broken_download_goes_on_where_it_stopped(server, tmp_path):
    server.break_after = 3000
    with pytest.raises(
        KitError, match=r"\(run again to go on\), given no network\? the connection closed at 3,000 of 10,240"
    ):
        download_file(server.url, tmp_path / "x", say=print)
    assert not (tmp_path / "x").exists() and (tmp_path / "x.part").stat().st_size == 3000
    server.break_after, said = None, []
    assert download_file(server.url, tmp_path / "x", say=said.append).read_bytes() == server.content
    assert server.asked == [None, "bytes=3000-"] and "are here already" in said[0]
    assert not (tmp_path / "x.part").exists()


def broken_off(server, path):
    """A part of 3,000 bytes of what the server has now."""
    server.break_after = 3000
    with pytest.raises(KitError, match="the connection closed"):
        download_file(server.url, path, say=print)
    server.break_after = None


@pytest.mark.parametrize("etags", [('"one"', '"two"'), ('W/"one"', 'W/"two"'), (None, None)])
def test_a_file_that_changed_between_two_tries_is_not_joined(server, tmp_path, etags):
    server.etag = etags[0]
    broken_off(server, tmp_path / "x")
    server.etag, server.content = etags[1], bytes(reversed(server.content)) + b"more"
    assert download_file(server.url, tmp_path / "x").read_bytes() == server.content
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_file_that_did_not_change_goes_on(server, tmp_path):
    server.etag = '"one"'
    broken_off(server, tmp_path / "x")
    assert download_file(server.url, tmp_path / "x").read_bytes() == server.content
    assert server.asked == [None, "bytes=3000-"]


def test_a_part_of_which_nothing_is_known_is_not_joined(server, tmp_path):
    (tmp_path / "x.part").write_bytes(b"old" * 100)
    assert download_file(server.url, tmp_path / "x").read_bytes() == server.content and server.asked == [None]


def test_two_downloads_of_one_file_are_one(server, tmp_path):
    server.content = server.content * 200
    threads = [threading.Thread(target=download_file, args=(server.url, tmp_path / "x")) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "x").read_bytes() == server.content and len(server.asked) == 1


def test_an_archive_that_grows_without_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "SMALLEST_BOUND", 1000)
    path = archive(tmp_path / "x.tar.gz", {"config.json": b"{}", "w": bytes(5_000_000)})
    with pytest.raises(KitError, match="that unpacks to 20 times its size at most"):
        unpack(path)
    assert [path.name for path in tmp_path.iterdir()] == ["x.tar.gz"]


def test_a_server_without_ranges_sends_all_again(server, tmp_path):
    broken_off(server, tmp_path / "x")
    server.ranges = False
    assert download_file(server.url, tmp_path / "x").read_bytes() == server.content


def test_a_part_that_is_whole_is_taken_and_one_that_is_too_long_is_not(server, tmp_path):
    for name in ("x", "y"):
        broken_off(server, tmp_path / name)
    (tmp_path / "x.part").write_bytes(server.content)
    assert download_file(server.url, tmp_path / "x").read_bytes() == server.content
    (tmp_path / "y.part").write_bytes(server.content + b"more")
    with pytest.raises(KitError, match="HTTP 416"):
        download_file(server.url, tmp_path / "y")
    assert download_file(server.url, tmp_path / "y").read_bytes() == server.content


def test_a_checksum_that_differs(server, tmp_path):
    with pytest.raises(KitError, match=r"sha256 00ff, given .* \(the file was removed\)"):
        download_file(server.url, tmp_path / "x", sha256="00ff")
    assert list(tmp_path.iterdir()) == []


def test_too_little_disk_is_said_before_anything_is_written(server, tmp_path, monkeypatch):
    usage = type("usage", (), {"free": 100})
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(KitError, match="GB of free disk"):
        download_file(server.url, tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_no_such_file_and_no_network(server, tmp_path):
    with pytest.raises(KitError, match="wanted a file on this server, given HTTP 404"):
        download_file(server.url + "2", tmp_path / "x")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/file"
    with pytest.raises(KitError) as error:
        download_file(url, tmp_path / "x", timeout=2)
    assert "no network?" in str(error.value) and "\n" not in str(error.value)


def visible(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def archive(path, files, folder="nq_retriever"):
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"{folder}/{name}" if folder else name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path


def test_a_release_is_fetched_unpacked_and_found_again(server, tmp_path, monkeypatch):
    server.content = archive(tmp_path / "made.tar.gz", {"config.json": b"{}", "pytorch_model.bin": b"x"}).read_bytes()
    monkeypatch.setitem(downloads.RELEASES, "nq_retriever", downloads.Release(server.url, "encoder", ""))
    monkeypatch.setenv("KIT_CACHE", str(tmp_path / "cache"))
    folder = resolve("nq_retriever")
    assert folder == tmp_path / "cache" / "nq_retriever" / "nq_retriever"
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "pytorch_model.bin"]
    assert resolve("nq_retriever") == folder == download("nq_retriever", tmp_path / "cache")
    assert len(server.asked) == 1 and visible(tmp_path / "cache") == ["nq_retriever"]
    with pytest.raises(KitError, match="download: wanted one of nq_reader_base"):
        download("nq_retrieve", tmp_path)


def test_an_archive_is_unpacked_once_and_anew_when_it_changes(tmp_path):
    path = archive(tmp_path / "x.tar.gz", {"config.json": b"{}"})
    folder = unpack(path)
    (folder / "mark").touch()
    assert unpack(path) == folder and (folder / "mark").exists()
    archive(path, {"config.json": b"{ }"})
    os.utime(path, (time.time() + 10,) * 2)
    process = os.fork()  # one that dies as it puts the new folder in its place
    if not process:
        fetching.replace_folder = lambda new, folder: os._exit(9)
        unpack(path)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 9
    assert (folder / "config.json").read_bytes() == b"{}" and (folder / "mark").exists()
    assert (unpack(path) / "config.json").read_bytes() == b"{ }" and not (folder / "mark").exists()


def test_an_archive_that_would_write_elsewhere(tmp_path):
    (tmp_path / "inner").mkdir()
    path = archive(tmp_path / "inner" / "x.tar.gz", {"config.json": b"{}", "../../outside": b"bad"}, folder="")
    with pytest.raises(KitError, match="files stay inside its folder"):
        unpack(path)
    assert [path.name for path in tmp_path.rglob("*")] == ["inner", "x.tar.gz"]
    elsewhere = tmp_path / "elsewhere"
    path = archive(tmp_path / "y.tar.gz", {"config.json": b"{}", str(elsewhere): b"bad"}, folder="")
    assert unpack(path) == tmp_path / "y" and not elsewhere.exists(), "an absolute path is taken as one inside"


def test_a_link_out_of_an_archive(tmp_path):
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as tar:
        link = tarfile.TarInfo("config.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(link)
    with pytest.raises(KitError, match="files stay inside its folder"):
        unpack(tmp_path / "x.tar.gz")
    assert [path.name for path in tmp_path.iterdir()] == ["x.tar.gz"]


def test_archives_that_are_cut_or_hold_no_checkpoint(tmp_path):
    path = archive(tmp_path / "x.tar.gz", {"config.json": b"{}", "w": np.random.default_rng(0).bytes(9999)})
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(KitError, match=r"a whole tar archive, given .* cut off"):
        unpack(path)
    with pytest.raises(KitError, match=r"one checkpoint with a config\.json, given none"):
        unpack(archive(tmp_path / "y.tar.gz", {"readme": b""}))
    two = {"a/config.json": b"{}", "b/config.json": b"{}", "readme": b""}
    with pytest.raises(KitError, match=r"given nq_retriever/a/config\.json, nq_retriever/b/config\.json"):
        unpack(archive(tmp_path / "z.tar.gz", two))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.tar.gz", "y.tar.gz", "z.tar.gz"]
    below = {"config.json": b"{}", "1_Pooling/config.json": b"{}"}
    assert unpack(archive(tmp_path / "s.tar.gz", below)) == tmp_path / "s" / "nq_retriever"


def test_an_archive_whose_bytes_are_broken(tmp_path):
    path = archive(tmp_path / "x.tar.gz", {"config.json": b"{}", "w": np.random.default_rng(0).bytes(9999)})
    content = bytearray(path.read_bytes())
    content[3000:3100] = bytes(100)
    path.write_bytes(content)
    with pytest.raises(KitError, match=r"x\.tar\.gz: wanted a whole tar archive, given CRC check failed"):
        unpack(path)
    assert [path.name for path in tmp_path.iterdir()] == ["x.tar.gz"]


def test_a_folder_that_others_made_beside_an_archive_is_left_alone(tmp_path):
    path = archive(tmp_path / "mine.tar.gz", {"config.json": b"{}"})
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text("my own")
    os.utime(tmp_path / "mine", (1, 1))
    with pytest.raises(KitError, match=r"its place, .*mine, to be free"):
        resolve(path)
    assert (tmp_path / "mine" / "config.json").read_text() == "my own"


def test_two_that_unpack_at_the_same_time(tmp_path, monkeypatch):
    path = archive(tmp_path / "x.tar.gz", {"config.json": b"{}"})
    extract = fetching._extract

    def slowly(given, folder):
        extract(given, folder)
        monkeypatch.setattr(fetching, "_extract", extract)
        unpack(path)  # the other one, before this one is done

    monkeypatch.setattr(fetching, "_extract", slowly)
    assert (unpack(path) / "config.json").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x", "x.tar.gz"]


def test_two_processes_download_once(server, tmp_path, monkeypatch):
    server.content = archive(tmp_path / "made.tar.gz", {"config.json": b"{}"}).read_bytes()
    monkeypatch.setitem(downloads.RELEASES, "nq_retriever", downloads.Release(server.url, "encoder", ""))
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(download("nq_retriever", tmp_path / "out", say=lambda _: None)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [tmp_path / "out" / "nq_retriever" / "nq_retriever"] * 3 and len(server.asked) == 1


def test_a_place_that_cannot_be_written_to(server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(KitError, match=r"file/cache: wanted a folder that can be written to"):
        download_file(server.url, tmp_path / "file" / "cache" / "x")
    with pytest.raises(KitError, match="wanted a folder that can be written to"):
        resolve("nq_reader_base", cache=tmp_path / "file")


def test_files_that_are_no_checkpoints(tmp_path, monkeypatch):
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(KitError, match=r"a checkpoint folder or its archive \(\.tar\.gz\), given another file"):
        resolve(tmp_path / "model.safetensors")
    with pytest.raises(KitError, match=r"config\.json, given \['model\.safetensors'\]"):
        resolve(tmp_path)
    assert resolve(tmp_path, weights=False) == tmp_path
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    assert resolve("~") == tmp_path


def test_names_of_the_hub(tmp_path, monkeypatch):
    asked = []

    def snapshot(name, allow_patterns, **where):
        asked.append((name, allow_patterns[-1]))
        (tmp_path / "config.json").write_text("{}")
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    assert resolve("someone/model") == tmp_path
    assert asked == [("someone/model", "model*.safetensors"), ("someone/model", "pytorch_model*.bin")]
    (tmp_path / "model.safetensors").touch()
    resolve("rdr-nq")
    assert asked[2:] == [("soheeyang/rdr-question_encoder-single-nq-base", "model*.safetensors")]
    resolve("someone/model", weights=False)
    assert asked[3:] == [("someone/model", "*.model")]


def test_the_hub_cannot_be_reached(monkeypatch):
    def offline(*_, **__):
        raise huggingface_hub.errors.LocalEntryNotFoundError("nothing in the cache\nand no network")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(KitError) as error:
        resolve("someone/model")
    assert "given LocalEntryNotFoundError: nothing in the cache" in str(error.value) and "\n" not in str(error.value)


# Data sets


QUESTIONS = b"where is rome?\t['Italy', \"l'Italia\"]\nwho was it?\t['Ada']\n"


@pytest.fixture
def dataset(server, monkeypatch):
    """A data set of two files, questions and passages, that the test's server sends."""
    import kit.checkpoints.datasets as datasets

    files = (datasets.DataFile("dev.qa.csv.gz", server.url, 2),)
    monkeypatch.setitem(datasets.DATASETS, "nq", datasets.Dataset(files, "questions"))
    passages = (datasets.DataFile("psgs.tsv.gz", server.url, 1),)
    monkeypatch.setitem(datasets.DATASETS, "wikipedia", datasets.Dataset(passages, "passages"))
    server.content = gzip.compress(QUESTIONS)


def command(line, capsys):
    with pytest.raises(SystemExit) as end:
        main(line.split())
    return end.value.code, capsys.readouterr()


def test_questions_of_a_data_set_become_jsonl(dataset, server, tmp_path, capsys):
    line = f"data download nq --out {tmp_path}/nq"
    server.break_after = 20
    code, told = command(line, capsys)
    assert code == 2 and "the connection closed at 20 of" in told.err and told.err.count("kit: error") == 1
    server.break_after = None
    code, told = command(line, capsys)
    assert code == 0 and told.out == f"{tmp_path}/nq/dev.jsonl\n"
    assert "GB free" in told.err and hashlib.sha256(server.content).hexdigest() in told.err
    assert server.asked == [None, "bytes=20-"] and [path.name for path in (tmp_path / "nq").iterdir()] == ["dev.jsonl"]
    assert [(q.text, q.answers) for q in load_questions(tmp_path / "nq" / "dev.jsonl")] == [
        ("where is rome?", ("Italy", "l'Italia")),
        ("who was it?", ("Ada",)),
    ]
    assert command(line, capsys)[0] == 0 and len(server.asked) == 2, "what is there is not fetched again"


def test_a_data_set_with_another_number_of_questions_is_an_error(dataset, server, tmp_path, capsys):
    server.content = gzip.compress(QUESTIONS.splitlines(keepends=True)[0])
    code, told = command(f"data download nq --out {tmp_path}", capsys)
    assert code == 2 and told.err.splitlines()[-1].endswith(
        f"/file: wanted 2 questions, given 1 (kept in {tmp_path}/dev.qa.csv.gz)"
    )
    assert not (tmp_path / "dev.jsonl").exists()


def test_passages_come_as_they_are(dataset, server, tmp_path, capsys):
    server.content = gzip.compress(b"id\ttext\ttitle\n1\ta b\tA\n")
    code, told = command(f"data download wikipedia --out {tmp_path}", capsys)
    assert code == 0 and told.out == f"{tmp_path}/psgs.tsv.gz\n"
    assert load_passages(tmp_path / "psgs.tsv.gz")["1"].text == "a b"


def test_data_sets_are_those_of_the_papers():
    from kit.checkpoints.datasets import DATASETS

    names = {name: [file.name for file in one.files] for name, one in DATASETS.items()}
    assert names["nq"] == ["train.qa.csv", "dev.qa.csv", "test.qa.csv"] and set(names) == {
        "nq",
        "triviaqa",
        "wikipedia",
    }
    assert all(file.address.startswith("https://") for one in DATASETS.values() for file in one.files)
