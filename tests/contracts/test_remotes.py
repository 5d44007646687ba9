"""Every kind of storage, built in or installed, through the contract; servers are real or emulators of the vendors' own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from nbexp import plugins
from nbexp.errors import StoreError
from nbexp.store import remotes, sources, transfer
from nbexp.store.cache import Cache
from nbexp.store.remotes import Remote, hdfs
from nbexp.testing.remotes import RemoteContract, Seed

KINDS = plugins.names("nbexp.store.remotes")
# Without a Hadoop there is nothing to log in to: fsspec's memory takes its place behind the same class.
STOOD_IN_FOR = {"hdfs"}


@pytest.fixture
def make(
    serve: Callable[[str], tuple[str, dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Remote]:
    """`make("s3")`: a remote of that kind, empty."""

    def remote(kind: str) -> Remote:
        if kind in STOOD_IN_FOR:
            store: Any = MemoryFileSystem(skip_instance_cache=True)
            store.store, store.pseudo_dirs = {}, [""]
            monkeypatch.setattr(hdfs.Remote, "connect", lambda _self: store)
            return remotes.at("hdfs://me@host:8020/some/path", {})
        return remotes.at(*serve(kind))

    return remote


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "http"])
class TestEachKind(RemoteContract):
    @pytest.fixture
    def remote(self, kind: str, make: Callable[[str], Remote]) -> Remote:
        return make(kind)


class TestHttp(RemoteContract):
    can_write = False

    @pytest.fixture
    def remote(self, make: Callable[[str], Remote]) -> Remote:
        return make("http")

    @pytest.fixture
    def seed(self, remote: Remote, servers: Any) -> Seed:
        def put(key: str, data: bytes) -> None:
            path: Path = servers.place("http", remote.url) / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

        return put


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "http"])
def test_objects_go_there_and_come_back(
    kind: str, make: Callable[[str], Remote], tmp_path: Path
) -> None:
    remote = make(kind)
    here = Cache(tmp_path / "here", state=tmp_path / "here.db")
    there = Cache(tmp_path / "there", state=tmp_path / "there.db")
    for number in range(80):
        path = tmp_path / "data" / f"{number % 7}" / f"ü{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{number}")
    data = here.add(tmp_path / "data")
    assert transfer.push([data.md5], remote, here).moved == 81
    assert transfer.push([data.md5], remote, here).moved == 0
    assert transfer.fetch([data.md5], remote, there).moved == 81
    assert there.has(data)
    assert transfer.compare([data.md5], remote, there).both == {data.md5}
    here.close()
    there.close()


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("webdav", {"password": "not-that-secret"}),
        ("ssh", {"user": "nobody-of-that-name", "passphrase": "not-that-secret"}),
        ("s3", {"endpointurl": "http://127.0.0.1:9", "secret_access_key": "not-that-secret"}),
        ("azure", {"connection_string": "AccountKey=not-that-secret"}),
    ],
)
def test_a_refusal_is_one_sentence_without_secrets(
    kind: str,
    wrong: dict[str, Any],
    serve: Callable[[str], tuple[str, dict[str, Any]]],
) -> None:
    url, settings = serve(kind)
    with pytest.raises(StoreError) as refused:
        remotes.at(url, settings | wrong).exists("files/md5/00/00")
    assert "not-that-secret" not in str(refused.value)
    assert "\n" not in refused.value.message
    assert refused.value.hint is not None


@pytest.mark.parametrize("kind", ["s3", "gs", "azure"])
def test_what_a_storage_says_of_an_object_changes_with_its_bytes(
    kind: str, serve: Callable[[str], tuple[str, dict[str, Any]]], tmp_path: Path
) -> None:
    url, settings = serve(kind)
    project = tmp_path / "project" / ".dvc"
    project.mkdir(parents=True)
    lines = "".join(f"    {key} = {value}\n" for key, value in settings.items())
    (project / "config").write_text(f"['remote \"store\"']\n    url = {url}\n{lines}")
    remote = remotes.at(url, settings)

    def put(text: str) -> None:
        source = tmp_path / "source"
        source.write_text(text)
        remote.put(source, "data/pets.csv", lambda _count: None)

    address = "remote://store/data/pets.csv"
    assert sources.look(address, project) is None
    put("cat")
    first = sources.look(address, project)
    assert first is not None
    assert list(first) == ["hash", "etag", "size"]
    assert (first["hash"], first["size"]) == ("md5", 3)
    assert sources.look(address, project) == first
    put("dog")
    second = sources.look(address, project)
    assert second is not None
    assert second["etag"] != first["etag"]
    assert second["size"] == 3
    remote.close()


def test_a_storage_that_cannot_tell_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        sources.look("ssh://me:secret@host/data.csv", tmp_path)
    assert caught.value.message == (
        "`ssh://me@host/data.csv` is in a storage that does not tell when it changes."
    )
