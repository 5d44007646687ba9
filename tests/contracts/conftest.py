"""Storages to test with, each on the loopback in this process or a child of it, started once a session.

serve       `serve("s3")` is (url, settings) of an empty storage of that kind
"""

from __future__ import annotations

import getpass
import json
import os
import random
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.contracts.webhdfs import WebHdfs

Served = tuple[str, dict[str, Any]]


def free_port() -> int:
    """One that no other process gets by asking for any before the server takes it: below those."""
    while True:
        port = random.randrange(12_000, 30_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_for(port: int, child: subprocess.Popen[bytes] | None = None) -> None:
    """Until something listens there."""
    end = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert child is None or child.poll() is None, "the server has ended"
            assert time.monotonic() < end, "the server does not listen"
            time.sleep(0.05)


class Servers:
    """Starts each server when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: dict[str, Any] = {}
        self._ends: list[Callable[[], object]] = []

    def serve(self, kind: str) -> Served:
        """An empty storage of that kind."""
        if kind not in self._started:
            self._started[kind] = getattr(self, f"_start_{kind}")()
        found: Served = getattr(self, f"_{kind}")(self._started[kind], f"n{uuid4().hex[:12]}")
        return found

    def stop(self) -> None:
        for end in reversed(self._ends):
            end()

    def place(self, kind: str, url: str) -> Path:
        """The folder that a storage of that kind keeps its objects in."""
        return self._folder / kind / url.rstrip("/").rpartition("/")[2]

    # Without a server -----------------------------------------------------------------------------

    def _start_local(self) -> None:
        """Nothing to start."""

    def _local(self, _: None, name: str) -> Served:
        return str(self._folder / name), {}

    def _start_memory(self) -> None:
        """Nothing to start."""

    def _memory(self, _: None, name: str) -> Served:
        return f"memory://{name}", {}

    # S3 -------------------------------------------------------------------------------------------

    def _start_s3(self) -> str:
        from moto.server import ThreadedMotoServer

        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        self._ends.append(server.stop)
        host, port = server.get_host_and_port()
        return f"http://{host}:{port}"

    def _s3(self, endpoint: str, name: str) -> Served:
        request = urllib.request.Request(f"{endpoint}/{name}", method="PUT")
        request.add_header(
            "Authorization", "AWS4-HMAC-SHA256 Credential=me/20260101/us-east-1/s3/x"
        )
        urllib.request.urlopen(request).close()
        settings = {
            "endpointurl": endpoint,
            "region": "us-east-1",
            "access_key_id": "me",
            "secret_access_key": "a-secret",
        }
        return f"s3://{name}/some/path", settings

    # Google ---------------------------------------------------------------------------------------

    def _start_gs(self) -> str:
        from gcp_storage_emulator.server import create_server

        port = free_port()
        server = create_server("127.0.0.1", port, in_memory=True)
        server.start()
        self._ends.append(server.stop)
        wait_for(port)
        return f"http://127.0.0.1:{port}"

    def _gs(self, endpoint: str, name: str) -> Served:
        request = urllib.request.Request(
            f"{endpoint}/storage/v1/b?project=p",
            data=json.dumps({"name": name}).encode(),
            headers={"Content-Type": "application/json"},
        )
        urllib.request.urlopen(request).close()
        return f"gs://{name}/some/path", {"endpointurl": endpoint, "allow_anonymous_login": True}

    # Azure ----------------------------------------------------------------------------------------

    def _start_azure(self) -> str:
        home = Path(__file__).parents[2] / "build" / "azurite"
        script = home / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
        assert script.exists(), (
            "Azurite, the emulator of Azure, is not installed: `make test` does it"
        )
        port = free_port()
        child = subprocess.Popen(
            ["node", script, "--blobPort", str(port), "--silent", "--inMemoryPersistence",
             "--skipApiVersionCheck", "--disableTelemetry"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._ends += [child.wait, child.kill]
        wait_for(port, child)
        # Azurite's own account, the same everywhere.
        key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
        return (
            f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={key};"
            f"BlobEndpoint=http://127.0.0.1:{port}/devstoreaccount1;"
        )

    def _azure(self, connection: str, name: str) -> Served:
        from azure.storage.blob import BlobServiceClient

        with BlobServiceClient.from_connection_string(connection) as client:
            client.create_container(name)
        return f"azure://{name}/some/path", {"connection_string": connection}

    # SSH ------------------------------------------------------------------------------------------

    def _start_ssh(self) -> tuple[int, Path]:
        sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
        assert sshd is not None, "OpenSSH's server is not installed: `make test` does it"
        folder = self._folder / "ssh"
        folder.mkdir(mode=0o700)
        for name in ("host", "user"):
            words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name]
            subprocess.run(words, check=True)
        shutil.copy(folder / "user.pub", folder / "authorized")
        port = free_port()
        (folder / "config").write_text(
            f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\n"
            f"AuthorizedKeysFile {folder}/authorized\nStrictModes no\nUsePAM no\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\n"
            "Subsystem sftp internal-sftp\nMaxSessions 40\nMaxStartups 100\n"
        )
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # it refuses to start as root without
        child = subprocess.Popen(
            [sshd, "-D", "-e", "-f", folder / "config"],
            stdout=subprocess.DEVNULL,
            stderr=(folder / "log").open("wb"),
        )
        self._ends += [child.wait, child.terminate]
        wait_for(port, child)
        return port, folder / "user"

    def _ssh(self, started: tuple[int, Path], name: str) -> Served:
        port, key = started
        url = f"ssh://{getpass.getuser()}@127.0.0.1:{port}{self._folder}/ssh/{name}"
        return url, {"keyfile": str(key), "allow_agent": False}

    # HTTP -----------------------------------------------------------------------------------------

    def _start_http(self) -> int:
        folder = self._folder / "http"
        folder.mkdir()

        class Handler(SimpleHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:
                """Nothing is printed."""

            def list_directory(self, path: Any) -> None:
                self.send_error(404)

        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self._ends += [server.server_close, server.shutdown]
        return int(server.server_port)

    def _http(self, port: int, name: str) -> Served:
        return f"http://127.0.0.1:{port}/{name}", {}

    # WebDAV ---------------------------------------------------------------------------------------

    def _start_webdav(self) -> int:
        from cheroot import wsgi
        from wsgidav.wsgidav_app import WsgiDAVApp

        folder = self._folder / "webdav"
        folder.mkdir()
        app = WsgiDAVApp(
            {
                "provider_mapping": {"/": str(folder)},
                "simple_dc": {"user_mapping": {"*": {"me": {"password": "a-secret"}}}},
                "verbose": 0,
                "logging": {"enable": False},
            }
        )
        server = wsgi.Server(("127.0.0.1", 0), app, numthreads=16)
        server.prepare()
        threading.Thread(target=server.serve, daemon=True).start()
        self._ends.append(server.stop)
        return int(server.bind_addr[1])

    def _webdav(self, port: int, name: str) -> Served:
        (self._folder / "webdav" / name).mkdir()
        return f"webdav://127.0.0.1:{port}/{name}", {"user": "me", "password": "a-secret"}

    # Hadoop ---------------------------------------------------------------------------------------

    def _start_webhdfs(self) -> int:
        folder = self._folder / "webhdfs"
        folder.mkdir()
        server = WebHdfs(folder)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self._ends += [server.server_close, server.shutdown]
        return int(server.server_port)

    def _webhdfs(self, port: int, name: str) -> Served:
        return f"webhdfs://127.0.0.1:{port}/{name}", {"user": "me"}


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    found = Servers(tmp_path_factory.mktemp("storages"))
    yield found
    found.stop()


@pytest.fixture
def serve(servers: Servers) -> Callable[[str], Served]:
    return servers.serve
