"""A hub on this machine: the part of its protocol that the real client needs for a snapshot and for sizes; a cache."""

import hashlib
import json
import shutil
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest

from brushbench.weights.manifest import manifest_of

COMMIT = "a" * 40
Answer = tuple[int, str]
"""A status and the hub's code for it, which may be empty."""
LARGE = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".msgpack", ".onnx")
"""Files that the hub keeps by their SHA-256; others have git's digest."""


@dataclass
class Served:
    """A repository with more to it than its files."""

    folder: Path
    commit: str = COMMIT
    gated: bool = False
    """Listed for everybody, and its files for nobody."""
    licence: str = ""
    breaks: dict[str, list[int]] = field(default_factory=dict)
    """For a file the bytes after which the connection breaks off, once for each number."""
    damaged: set[str] = field(default_factory=set)
    """Files that come with another last byte than they have."""


@dataclass(frozen=True)
class Moved:
    """A repository that has another name today."""

    to: str


def put_in_cache(cache: Path, name: str, folder: Path) -> Path:
    """A copy of the folder in a hub's cache, as if it had been downloaded: its branch `main` and its tag `v2`.

    Both are the commit that its manifest states, if it has one.
    """
    commit = commit_of(name)
    repository = cache / f"models--{name.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    for revision in ("main", "v2"):
        (repository / "refs" / revision).write_text(commit)
    return shutil.copytree(folder, repository / "snapshots" / commit)


def commit_of(name: str) -> str:
    """Return the commit that a repository's manifest states, or else `COMMIT`."""
    manifest = manifest_of(name)
    return (manifest and manifest.commit) or COMMIT


def locked(cache: Path) -> dict[str, dict[str, object]]:
    """The entries of the lock file beside a cache, by component."""
    content = json.loads(cache.with_name(f"{cache.name}.brushbench.lock.json").read_text())
    return {entry["component"]: entry for entry in content["components"]}


Content = Path | Served | Moved | Answer | None


@dataclass(frozen=True)
class Reply:
    """The server's answer."""

    status: int
    body: bytes = b""
    commit: str = ""
    code: str = ""
    etag: str = ""
    location: str = ""
    sent: int | None = None
    """The bytes of the body that are really sent; None: all."""


def use_hub(monkeypatch: pytest.MonkeyPatch, served: "Hub", cache: Path) -> None:
    """The real client asks this hub, in this process, and keeps what it gets in the cache."""
    for name, value in {
        "ENDPOINT": served.endpoint,
        "HUGGINGFACE_CO_URL_TEMPLATE": served.endpoint + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_CACHE": str(cache),
        "HF_HUB_OFFLINE": False,
    }.items():
        monkeypatch.setattr(f"huggingface_hub.constants.{name}", value)


class Hub:
    """Serves folders as repositories by their names, and errors in place of others; what it lacks is a plain 404."""

    def __init__(self, repositories: Mapping[str, Content]) -> None:
        self.repositories = repositories
        """None: never answers."""
        self.asked: list[str] = []
        self.closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def reply(self, path: str, *, body: bool) -> Reply:
        """Return the answer to a path without its query; `body`: it will be sent."""
        self.asked.append(path)
        start = "api/" if path.startswith("api/") else ""
        kind = next((kind for kind in ("models/", "datasets/") if path.removeprefix(start).startswith(kind)), "")
        inside = path.removeprefix(start).removeprefix(kind)
        name = "/".join(inside.split("/")[:2])
        rest = inside.removeprefix(name).strip("/").split("/")
        served = self.repositories.get(name, (404, ""))
        if served is None:
            self.closing.wait(60)
            return Reply(503)
        if isinstance(served, tuple):
            return Reply(served[0], b"{}", code=served[1])
        if isinstance(served, Moved):
            return Reply(307, location=f"/{start}{kind}{served.to}/{'/'.join(rest)}".rstrip("/"))
        if isinstance(served, Path):
            served = Served(served, commit_of(name))
        if rest[0] in ("revision", "tree", "resolve") and rest[1] not in ("main", served.commit):
            return Reply(404, b"{}", code="RevisionNotFound")
        if start:
            return Reply(200, json.dumps(_listing(name, served, tree=rest[0] == "tree")).encode(), served.commit)
        return _file(served, "/".join(rest[2:]), body=body)


def _file(served: Served, name: str, *, body: bool) -> Reply:
    if served.gated:
        return Reply(403, b"{}", code="GatedRepo")
    content = (served.folder / name).read_bytes()
    etag, sent = _digest(name, content), None
    if name in served.damaged:
        content = content[:-1] + bytes([content[-1] ^ 1])
    if body and served.breaks.get(name):
        sent = served.breaks[name].pop(0)
    return Reply(200, content, served.commit, etag=etag, sent=sent)


def _handler_of(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.answer(send=False)

        def do_GET(self) -> None:
            self.answer(send=True)

        def answer(self, *, send: bool) -> None:
            reply = hub.reply(unquote(self.path.partition("?")[0].strip("/")), body=send)
            status, body = reply.status, reply.body
            headers = {"X-Repo-Commit": reply.commit, "X-Error-Code": reply.code, "Location": reply.location}
            headers |= {"ETag": f'"{reply.etag}"' if reply.etag else ""}
            if (start := self.headers.get("Range", "")) and status == 200:
                first = int(start.removeprefix("bytes=").partition("-")[0])
                headers["Content-Range"] = f"bytes {first}-{len(body) - 1}/{len(body)}"
                status, body = 206, body[first:]
            self.send_response(status)
            for key, value in headers.items():
                if value:
                    self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if send:
                self.wfile.write(body if reply.sent is None else body[: reply.sent])
            if reply.sent is not None:
                self.close_connection = True

        def log_message(self, *arguments: object) -> None:
            pass

    return Handler


def _digest(name: str, content: bytes) -> str:
    if name.endswith(LARGE):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _listing(name: str, served: Served, *, tree: bool) -> object:
    found = []
    for path in sorted(served.folder.rglob("*")):
        if path.is_file():
            file, content = path.relative_to(served.folder).as_posix(), path.read_bytes()
            large = {"sha256": _digest(file, content), "size": len(content)} if file.endswith(LARGE) else None
            digest = COMMIT if large else _digest(file, content)
            found.append((file, len(content), digest, large))
    if tree:
        return [
            {"type": "file", "path": file, "size": size, "oid": digest}
            | ({"lfs": {"oid": large["sha256"], "size": size, "pointerSize": 130}} if large else {})
            for file, size, digest, large in found
        ]
    siblings = [
        {"rfilename": file, "size": size, "blobId": digest} | ({"lfs": large | {"pointerSize": 130}} if large else {})
        for file, size, digest, large in found
    ]
    card = {"cardData": {"license": served.licence}} if served.licence else {}
    gated = "auto" if served.gated else False
    return {"id": name, "modelId": name, "sha": served.commit, "siblings": siblings, "gated": gated} | card
