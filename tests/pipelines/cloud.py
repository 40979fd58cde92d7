"""A stand-in for Google Cloud on this machine: buckets, and the jobs that Dataflow gets.

It speaks as much of the two HTTP interfaces as Beam's clients use. A bucket whose name begins with
`locked` can be read and not written.
"""

import base64
import hashlib
import itertools
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import google_crc32c
import pytest
from apache_beam.internal.gcp.auth import _Credentials


class Cloud:
    """Objects by (bucket, name), names of those that were read, and the jobs that were posted."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], bytes] = {}
        self.generations: dict[tuple[str, str], int] = {}
        self.changes = threading.Lock()
        self.jobs: list[dict[str, Any]] = []
        self.fetched: list[str] = []
        self.uploads: dict[str, tuple[str, str, bytes]] = {}
        self.numbers = itertools.count(1)
        self.address = ""

    def put_folder(self, bucket: str, prefix: str, folder: Path) -> None:
        """Copy the files of a local folder into a bucket."""
        for path in folder.iterdir():
            if path.is_file():
                self.objects[bucket, f"{prefix}/{path.name}"] = path.read_bytes()

    def get_folder(self, bucket: str, prefix: str, folder: Path) -> Path:
        """Copy what is under a prefix to a local folder."""
        for (place, name), data in self.objects.items():
            if place == bucket and name.startswith(f"{prefix}/"):
                path = folder / name.removeprefix(f"{prefix}/")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
        return folder

    def generation(self, bucket: str, name: str) -> int:
        """Version of an object; 0 when there is none."""
        place = bucket, name
        return self.generations.get(place, 1) if place in self.objects else 0

    def put(self, bucket: str, name: str, data: bytes, condition: str | None) -> bool:
        """Keep an object as its next version, unless `condition` names another than it has."""
        with self.changes:
            if condition not in (None, str(self.generation(bucket, name))):
                return False
            self.objects[bucket, name] = data
            self.generations[bucket, name] = self.generations.get((bucket, name), 1) + 1
            return True

    def remove(self, bucket: str, name: str, condition: str | None) -> int:
        """Remove an object as `put` keeps one; the status of the answer."""
        with self.changes:
            if (bucket, name) not in self.objects:
                return 404
            if condition not in (None, str(self.generation(bucket, name))):
                return 412
            del self.objects[bucket, name]
            return 204

    def describe(self, bucket: str, name: str) -> dict[str, Any]:
        """Metadata of an object as the JSON interface gives it."""
        data = self.objects[bucket, name]
        crc = google_crc32c.value(data).to_bytes(4, "big")
        return {
            "kind": "storage#object", "name": name, "bucket": bucket, "metageneration": "1",
            "generation": str(self.generation(bucket, name)), "size": str(len(data)),
            "updated": "2026-01-01T00:00:00Z", "contentType": "application/octet-stream",
            "crc32c": base64.b64encode(crc).decode(),
            "md5Hash": base64.b64encode(hashlib.md5(data).digest()).decode(),
        }  # fmt: skip


class _Handler(BaseHTTPRequestHandler):
    cloud: Cloud

    def log_message(self, format: str, *words: object) -> None:
        """Nothing on the screen."""

    def do_GET(self) -> None:
        self._storage("GET")

    def do_DELETE(self) -> None:
        self._storage("DELETE")

    def do_PUT(self) -> None:
        """A piece of a resumable upload; the last one says how long the whole is."""
        upload = parse_qs(urlsplit(self.path).query)["upload_id"][0]
        bucket, name, data = self.cloud.uploads[upload]
        data += self._body()
        self.cloud.uploads[upload] = bucket, name, data
        if self.headers["Content-Range"].endswith("/*"):
            self.send_response(308)
            self.send_header("Range", f"bytes=0-{len(data) - 1}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.cloud.put(bucket, name, data, None)
        self._answer(200, self.cloud.describe(bucket, name))

    def do_POST(self) -> None:
        body = self._body()
        url = urlsplit(self.path)
        if url.path.startswith("/batch/"):
            self._batch(body)
        elif url.path.startswith("/v1b3/"):
            asked = {"path": url.path, "size": len(body), **json.loads(body)}
            self.cloud.jobs.append(asked)
            self._answer(200, {"id": "job-1", "name": "job", "currentState": "JOB_STATE_PENDING"})
        else:
            self._begin_upload(url.path, url.query, body)

    def _begin_upload(self, path: str, query: str, body: bytes) -> None:
        bucket = path.split("/")[5]
        if bucket.startswith("locked"):
            self._answer(403, {"error": {"code": 403, "message": "no storage.objects.create"}})
            return
        asked = parse_qs(query)
        if asked["uploadType"] == ["multipart"]:
            self._upload_at_once(bucket, asked, body)
            return
        name = asked["name"][0] if "name" in asked else json.loads(body)["name"]
        upload = str(next(self.cloud.numbers))
        self.cloud.uploads[upload] = bucket, name, b""
        self.send_response(200)
        self.send_header("Location", f"{self.cloud.address}{path}?upload_id={upload}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _upload_at_once(self, bucket: str, asked: dict[str, list[str]], body: bytes) -> None:
        """Metadata and content in one request, perhaps on condition of a generation."""
        mark = body.split(b"\r\n", 1)[0]
        _, metadata, content = (part.partition(b"\r\n\r\n")[2] for part in body.split(mark)[:3])
        name, data = json.loads(metadata)["name"], content.removesuffix(b"\r\n")
        if self.cloud.put(bucket, name, data, asked.get("ifGenerationMatch", [None])[0]):
            self._answer(200, self.cloud.describe(bucket, name))
        else:
            self._answer(412, {"error": {"code": 412, "message": "conditionNotMet"}})

    def _batch(self, body: bytes) -> None:
        """Deletions in one request."""
        lines = []
        for address in re.findall(r"^DELETE (\S+)", body.decode(), re.M):
            bucket, name = self._place(urlsplit(address).path)
            status = self.cloud.remove(bucket, name or "", None)
            lines.append(
                "--b\r\nContent-Type: application/http\r\n\r\n"
                f"HTTP/1.1 {status} -\r\nContent-Type: application/json\r\n\r\n{{}}\r\n"
            )
        self._send(200, "".join([*lines, "--b--"]).encode(), "multipart/mixed; boundary=b")

    def _storage(self, method: str) -> None:
        url = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        bucket, name = self._place(url.path)
        if name is None:
            self._answer(200, {"name": bucket, "kind": "storage#bucket"})
        elif name == "":
            names = sorted(n for b, n in self.cloud.objects if b == bucket)
            found = [n for n in names if n.startswith(asked.get("prefix", ""))]
            self._answer(200, {"items": [self.cloud.describe(bucket, n) for n in found]})
        elif method == "DELETE":
            self._answer(self.cloud.remove(bucket, name, asked.get("ifGenerationMatch")), {})
        elif (bucket, name) not in self.cloud.objects:
            self._answer(404, {"error": {"code": 404, "message": f"no object {name}"}})
        elif asked.get("alt") == "media":
            self.cloud.fetched.append(name)
            self._media(self.cloud.objects[bucket, name])
        else:
            self._answer(200, self.cloud.describe(bucket, name))

    def _media(self, data: bytes) -> None:
        asked = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked is None:
            self._send(200, data, "application/octet-stream")
            return
        first = int(asked[1])
        last = min(int(asked[2] or len(data) - 1), len(data) - 1)
        if first > last:
            self._answer(416, {"error": {"code": 416, "message": "no such range"}})
            return
        self._send(
            206, data[first : last + 1], "application/octet-stream",
            {"Content-Range": f"bytes {first}-{last}/{len(data)}"},
        )  # fmt: skip

    def _place(self, path: str) -> tuple[str, str | None]:
        """Bucket and object; the object is empty for a listing and None for the bucket itself."""
        words = path.split("/b/", 1)[1].split("/", 2)
        if len(words) == 1:
            return words[0], None
        return words[0], unquote(words[2]) if len(words) == 3 else ""

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            pieces = []
            while size := int(self.rfile.readline(), 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(pieces)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        self._send(status, json.dumps(content).encode(), "application/json")

    def _send(
        self, status: int, data: bytes, kind: str, more: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, **(more or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def serve() -> Iterator[Cloud]:
    """The cloud at an address of this machine, until the block ends."""
    cloud = Cloud()
    handler = type("Handler", (_Handler,), {"cloud": cloud})
    with ThreadingHTTPServer(("localhost", 0), handler) as server:
        cloud.address = f"http://localhost:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield cloud
        server.shutdown()
        thread.join()


@contextmanager
def cloud_for_clients(folder: Path) -> Iterator[Cloud]:
    """The cloud, to which every client of Google's is led; its credentials lie in `folder`."""
    with serve() as cloud, pytest.MonkeyPatch.context() as patch:
        account = write_credentials(folder / "account.json")
        patch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account))
        patch.setenv("STORAGE_EMULATOR_HOST", cloud.address)
        patch.setenv("NO_GCE_CHECK", "true")
        patch.setattr(_Credentials, "_credentials_init", False)
        yield cloud


def write_credentials(path: Path) -> Path:
    """The file of an account whose token lasts, so that nobody is asked for another."""
    account = {
        "type": "authorized_user", "client_id": "tests", "client_secret": "-", "refresh_token": "-",
        "token": "-", "expiry": "2099-01-01T00:00:00Z",
    }  # fmt: skip
    path.write_text(json.dumps(account))
    return path
