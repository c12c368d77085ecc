"""A hub on this machine: the part of its protocol that the real client needs for a snapshot and for sizes; a cache."""

import hashlib
import json
import shutil
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

COMMIT = "a" * 40
Answer = tuple[int, str]
"""A status and the hub's code for it, which may be empty."""


def put_in_cache(cache: Path, name: str, folder: Path) -> Path:
    """A copy of the folder in a hub's cache, as if it had been downloaded: its branch `main` and its tag `v2`."""
    repository = cache / f"models--{name.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    for revision in ("main", "v2"):
        (repository / "refs" / revision).write_text(COMMIT)
    return shutil.copytree(folder, repository / "snapshots" / COMMIT)


def locked(cache: Path) -> dict[str, dict[str, object]]:
    """The entries of the lock file beside a cache, by component."""
    content = json.loads(cache.with_name(f"{cache.name}.brushbench.lock.json").read_text())
    return {entry["component"]: entry for entry in content["components"]}


class Hub:
    """Serves folders as repositories by their names, and errors in place of others; what it lacks is a plain 404."""

    def __init__(self, repositories: Mapping[str, Path | Answer | None]) -> None:
        self.repositories = repositories
        """None: never answers."""
        self.asked: list[str] = []
        self.closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """Status, code of the error or the file's ETag, body."""
        self.asked.append(path)
        inside = path.removeprefix("api/").removeprefix("models/").removeprefix("datasets/")
        name = "/".join(inside.split("/")[:2])
        served = self.repositories.get(name, (404, ""))
        if served is None:
            self.closing.wait(60)
            return 503, "", b""
        if isinstance(served, tuple):
            return *served, b"{}"
        if "revision" in inside.split("/") and "main" not in inside.split("/"):
            return 404, "RevisionNotFound", b"{}"
        if path.startswith("api/"):
            return 200, COMMIT, json.dumps(_listing(name, served, tree="/tree/" in path)).encode()
        body = (served / inside.split("/", 4)[4]).read_bytes()
        return 200, hashlib.sha256(body).hexdigest(), body


def _handler_of(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.answer(send=False)

        def do_GET(self) -> None:
            self.answer(send=True)

        def answer(self, *, send: bool) -> None:
            status, word, body = hub.answer(unquote(self.path.partition("?")[0].strip("/")))
            headers = {"Content-Length": str(len(body)), "X-Repo-Commit": COMMIT}
            headers |= {"ETag": f'"{word}"'} if status == 200 else {"X-Error-Code": word} if word else {}
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.end_headers()
            if send:
                self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    return Handler


def _listing(name: str, folder: Path, *, tree: bool) -> object:
    sizes = {
        path.relative_to(folder).as_posix(): path.stat().st_size for path in sorted(folder.rglob("*")) if path.is_file()
    }
    if tree:
        return [{"type": "file", "path": file, "size": size, "oid": COMMIT} for file, size in sizes.items()]
    siblings = [{"rfilename": file, "size": size} for file, size in sizes.items()]
    return {"id": name, "modelId": name, "sha": COMMIT, "siblings": siblings}
