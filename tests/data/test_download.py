"""Downloads from a real server on this machine: whole, broken off, changed, wrong."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest

from data.conftest import Server
from seqaug.data.download import download
from seqaug.errors import DataError

BODY = random.Random(0).randbytes(300_000)
SUM = hashlib.sha256(BODY).hexdigest()
ELSEWHERE = "Fetch it elsewhere."


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "downloads" / "file.gz"


def leftovers(target: Path) -> list[str]:
    return sorted(file.name for file in target.parent.iterdir() if file != target)


def test_a_file_arrives_whole_with_its_progress_told(server: Server, target: Path) -> None:
    server.body = BODY
    seen: list[tuple[int, int | None]] = []
    download(server.url, target, alternative=ELSEWHERE, sha256=SUM, progress=lambda done, total: seen.append((done, total)))
    assert target.read_bytes() == BODY
    assert seen[0] == (0, len(BODY)) and seen[-1] == (len(BODY), len(BODY))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert leftovers(target) == []


def test_a_connection_that_is_cut_goes_on_where_it_stopped(server: Server, target: Path) -> None:
    server.body, server.cut_after = BODY, 50_000  # more pieces than attempts without progress
    seen: list[int] = []
    download(server.url, target, alternative=ELSEWHERE, sha256=SUM, progress=lambda done, _: seen.append(done))
    assert target.read_bytes() == BODY
    assert [request["Range"] for request in server.asked] == [
        None,
        *(f"bytes={start}-" for start in range(50_000, 300_000, 50_000)),
    ]
    assert seen == sorted(seen)


def test_a_later_command_goes_on_where_an_earlier_one_stopped(server: Server, target: Path) -> None:
    target.parent.mkdir()
    target.with_name("file.gz.part").write_bytes(BODY[:123_456])
    server.body = BODY
    download(server.url, target, alternative=ELSEWHERE, sha256=SUM)
    assert target.read_bytes() == BODY
    assert server.asked[0]["Range"] == "bytes=123456-"


def test_a_part_that_is_whole_already_is_not_asked_for_again(server: Server, target: Path) -> None:
    target.parent.mkdir()
    target.with_name("file.gz.part").write_bytes(BODY)
    server.body = BODY
    download(server.url, target, alternative=ELSEWHERE, sha256=SUM)
    assert target.read_bytes() == BODY and len(server.asked) == 1


def test_a_part_that_is_longer_than_the_file_starts_over(server: Server, target: Path) -> None:
    target.parent.mkdir()
    target.with_name("file.gz.part").write_bytes(BODY + b"more")
    server.body = BODY
    download(server.url, target, alternative=ELSEWHERE, sha256=SUM)
    assert target.read_bytes() == BODY


def test_a_server_without_ranges_sends_everything_once_more(server: Server, target: Path) -> None:
    target.parent.mkdir()
    target.with_name("file.gz.part").write_bytes(b"x" * 1000)
    server.body, server.ranges = BODY, False
    download(server.url, target, alternative=ELSEWHERE, sha256=SUM)
    assert target.read_bytes() == BODY


def test_a_file_that_changed_in_between_is_not_glued_to_its_old_part(server: Server, target: Path) -> None:
    server.body, server.cut_after = BODY, 0
    with pytest.raises(DataError):
        download(server.url, target, alternative=ELSEWHERE)
    server.cut_after = 1000
    server.length = False  # without a length nobody can tell that something is missing
    download(server.url, target, alternative=ELSEWHERE)
    assert target.read_bytes() == BODY[:1000]

    target.rename(target.with_name("file.gz.part"))
    target.with_name("file.gz.part.json").write_text('{"version": "\\"1\\""}', encoding="utf-8")
    server.body, server.etag, server.cut_after, server.length = BODY[::-1], '"2"', None, True
    download(server.url, target, alternative=ELSEWHERE)
    assert target.read_bytes() == BODY[::-1]
    assert server.asked[-1] == {"Range": "bytes=1000-", "If-Range": '"1"'}


def test_a_wrong_sum_is_refused_with_both_sums_and_nothing_stays(server: Server, target: Path) -> None:
    server.body = BODY + b"!"
    with pytest.raises(DataError) as refusal:
        download(server.url, target, alternative=ELSEWHERE, sha256=SUM)
    message = str(refusal.value)
    assert server.url in message and SUM in message and hashlib.sha256(server.body).hexdigest() in message
    assert ELSEWHERE in message and not target.exists() and leftovers(target) == []


def test_an_md5_is_good_enough_where_no_sha256_is_known(server: Server, target: Path) -> None:
    server.body = BODY
    download(server.url, target, alternative=ELSEWHERE, md5=hashlib.md5(BODY).hexdigest())
    with pytest.raises(DataError, match="its md5 is"):
        download(server.url, target.with_name("other"), alternative=ELSEWHERE, md5="0" * 32)


def test_a_connection_that_never_brings_more_is_given_up_and_the_part_kept(server: Server, target: Path) -> None:
    target.parent.mkdir()
    part = target.with_name("file.gz.part")
    part.write_bytes(BODY[:500])
    server.body, server.cut_after = BODY, 0
    with pytest.raises(DataError, match=r"closed before all had arrived\. 500 bytes are kept; the same command goes on"):
        download(server.url, target, alternative=ELSEWHERE)
    assert part.read_bytes() == BODY[:500] and not target.exists()


def test_a_missing_file_names_the_address_and_the_alternative(server: Server, target: Path) -> None:
    url = server.url.replace("/file", "/nowhere")
    with pytest.raises(DataError) as refusal:
        download(url, target, alternative=ELSEWHERE)
    assert f"{url} answered 404" in str(refusal.value) and ELSEWHERE in str(refusal.value)
    assert refusal.value.exit_code == 3


def test_a_server_that_is_not_there_names_the_address_and_the_alternative(target: Path) -> None:
    url = "http://127.0.0.1:1/file"  # nothing listens at port 1
    with pytest.raises(DataError) as refusal:
        download(url, target, alternative=ELSEWHERE)
    assert url in str(refusal.value) and ELSEWHERE in str(refusal.value)


def test_only_web_addresses_are_fetched(target: Path) -> None:
    with pytest.raises(DataError, match="is no web address"):
        download("file:///etc/hostname", target, alternative=ELSEWHERE)


def test_a_folder_that_cannot_be_written_is_said(server: Server, tmp_path: Path) -> None:
    server.body = BODY
    (tmp_path / "plain").touch()
    with pytest.raises(DataError, match="cannot be written"):
        download(server.url, tmp_path / "plain" / "file", alternative=ELSEWHERE)
