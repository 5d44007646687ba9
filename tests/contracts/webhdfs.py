"""The few calls of Hadoop's web interface that files need, over a folder: a name node and a data node in one."""

from __future__ import annotations

import json
import os
import shutil
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class WebHdfs(ThreadingHTTPServer):
    """Serves the folder at `/webhdfs/v1`. Renaming onto a name that is taken answers false, as Hadoop's does."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer in one packet: in two, the second waits for 40 ms
    server: WebHdfs

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed."""

    def do_GET(self) -> None:
        path, query = self._asked()
        op = query["op"].upper()
        if not path.exists():
            self._refuse(404, "FileNotFoundException", f"File does not exist: {path.name}")
        elif op == "GETFILESTATUS":
            self._answer({"FileStatus": self._status(path, "")})
        elif op == "LISTSTATUS":
            inner = sorted(path.iterdir()) if path.is_dir() else [path]
            found = [self._status(one, one.name if path.is_dir() else "") for one in inner]
            self._answer({"FileStatuses": {"FileStatus": found}})
        elif op == "OPEN":
            offset, data = int(query.get("offset", 0)), path.read_bytes()
            end = offset + int(query["length"]) if "length" in query else None
            self._send(200, data[offset:end], "application/octet-stream")
        else:
            self._refuse(400, "IllegalArgumentException", op)

    def do_PUT(self) -> None:
        path, query = self._asked()
        data = self._body()
        op = query["op"].upper()
        if op == "CREATE" and "there" not in query:
            self._redirect()
        elif op == "CREATE":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            self._send(201, b"", "text/plain")
        elif op == "MKDIRS":
            path.mkdir(parents=True, exist_ok=True)
            self._answer({"boolean": True})
        elif op == "RENAME":
            target = self._place(query["destination"])
            may = path.exists() and not target.exists() and target.parent.is_dir()
            if may:
                os.rename(path, target)
            self._answer({"boolean": may})
        else:
            self._refuse(400, "IllegalArgumentException", op)

    def do_POST(self) -> None:
        path, query = self._asked()
        data = self._body()
        if "there" not in query:
            self._redirect()
            return
        with path.open("ab") as file:
            file.write(data)
        self._send(200, b"", "text/plain")

    def do_DELETE(self) -> None:
        path, _ = self._asked()
        known = path.exists()
        if path.is_dir():
            shutil.rmtree(path)
        elif known:
            path.unlink()
        self._answer({"boolean": known})

    def _asked(self) -> tuple[Path, dict[str, str]]:
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        return self._place(urllib.parse.unquote(url.path).removeprefix("/webhdfs/v1")), query

    def _place(self, path: str) -> Path:
        return self.server.folder / path.strip("/")

    def _status(self, path: Path, name: str) -> dict[str, Any]:
        found = path.stat()
        return {
            "pathSuffix": name,
            "type": "DIRECTORY" if path.is_dir() else "FILE",
            "length": 0 if path.is_dir() else found.st_size,
            "modificationTime": int(found.st_mtime * 1000),
        }

    def _redirect(self) -> None:
        host = self.headers["Host"]
        self.send_response(307)
        self.send_header("Location", f"http://{host}{self.path}&there=1")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            found = b""
            while size := int(self.rfile.readline(), 16):
                found += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return found
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _answer(self, found: object) -> None:
        self._send(200, json.dumps(found).encode(), "application/json")

    def _refuse(self, code: int, kind: str, message: str) -> None:
        found = {"RemoteException": {"exception": kind, "javaClassName": kind, "message": message}}
        self._send(code, json.dumps(found).encode(), "application/json")

    def _send(self, code: int, data: bytes, kind: str) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
