"""An S3 server on this machine, and a proxy before it that fails as networks and stores do."""

import http.client
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FAULTS = ("500", "503", "closed", "lost", "cut answer", "short", "garbled", "slow", "hung")
"""What can happen to a request: an error; the connection closed before or after the request was carried out; half an
answer; half of what was sent, stored as if it were all; a listing that is no XML; an answer too late, or never.
"""
CODES = {"500": "InternalError", "503": "SlowDown", "403": "AccessDenied"}
PATIENCE_SECONDS = 0.4
SETTINGS = {"config_kwargs": {"read_timeout": PATIENCE_SECONDS, "connect_timeout": 5}}
"""What users set in fsspec's configuration, for tests that wait for an answer."""
ERROR = "<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}</Message></Error>"
Plan = Callable[[str, str], str]
"""The fault for a request, by its method and address; empty for none."""


@dataclass
class Bucket:
    """A bucket of the server, as a user sees it."""

    name: str
    endpoint: str
    # Any: a client of botocore, which makes its methods at run time.
    client: Any

    @property
    def url(self) -> str:
        return f"s3://{self.name}"

    def keys(self, prefix: str = "") -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        return [one["Key"] for page in pages for one in page.get("Contents", [])]

    def read(self, key: str) -> bytes:
        content: bytes = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        return content

    def write(self, key: str, content: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=content)

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=self.name, Key=key)

    def files(self, prefix: str = "") -> dict[str, bytes]:
        """All that is in the bucket, as `aws s3 sync` would write it."""
        return {key: self.read(key) for key in self.keys(prefix)}


@dataclass
class Proxy:
    """What a proxy does, and did."""

    port: int
    plan: Plan
    happened: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def at_random(seed: int, share: float) -> Plan:
    """A share of all requests fails, each in one of the ways."""
    chance = random.Random(seed)
    lock = threading.Lock()

    def plan(method: str, address: str) -> str:
        with lock:
            fault = chance.choice(FAULTS) if chance.random() < share else ""
        # Only what is listed can be garbled, and only what is sent can be short.
        unfit = (fault == "garbled" and "list-type" not in address) or (fault == "short" and method != "PUT")
        return "" if unfit else fault

    return plan


@contextmanager
def proxy(target: str, plan: Plan) -> Iterator[Proxy]:
    """Start a proxy before the server at an address."""
    host = target.removeprefix("http://")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.block_on_close = False
    done = Proxy(server.server_address[1], plan)
    server.told = (host, done)  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield done
    finally:
        done.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    # The client asks whether it may send what it has.
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._do()

    def do_PUT(self) -> None:
        self._do()

    def do_HEAD(self) -> None:
        self._do()

    def do_DELETE(self) -> None:
        self._do()

    def do_POST(self) -> None:
        self._do()

    def _do(self) -> None:
        host, told = self.server.told  # type: ignore[attr-defined]
        told.requests.append(f"{self.command} {self.path}")
        fault = told.plan(self.command, self.path)
        if fault:
            told.happened.append(fault)
        if fault == "hung":
            told.ended.wait()
            self.close_connection = True
            return
        with suppress(OSError):
            self._answer(host, self._sent(), fault)

    def _answer(self, host: str, sent: bytes, fault: str) -> None:
        self.close_connection = True
        if fault in CODES:
            self._send(int(fault), {"content-type": "application/xml"}, ERROR.format(code=CODES[fault]).encode())
        elif fault == "garbled":
            self._send(200, {"content-type": "application/xml"}, b"<?xml version='1.0'?><ListBucketResult><Con")
        elif fault != "closed":
            if fault == "slow":
                time.sleep(2 * PATIENCE_SECONDS)
            status, headers, content = self._passed_on(host, sent[: len(sent) // 2] if fault == "short" else sent)
            if fault != "lost":
                self._send(status, headers, content, half=fault == "cut answer")

    def _sent(self) -> bytes:
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def _passed_on(self, host: str, sent: bytes) -> tuple[int, Mapping[str, str], bytes]:
        connection = http.client.HTTPConnection(host, timeout=30)
        headers = {
            name: value for name, value in self.headers.items() if name.lower() not in ("content-length", "host")
        }
        connection.request(self.command, self.path, sent, headers | {"content-length": str(len(sent)), "host": host})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, dict(answer.getheaders()), content

    def _send(self, status: int, headers: Mapping[str, str], content: bytes, *, half: bool = False) -> None:
        self.send_response_only(status)
        lengths = [value for name, value in headers.items() if name.lower() == "content-length"]
        for name, value in headers.items():
            if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                self.send_header(name, value)
        length = lengths[0] if self.command == "HEAD" and lengths else str(len(content))
        self.send_header("content-length", length)
        self.send_header("connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: len(content) // 2] if half else content)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""
