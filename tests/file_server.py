"""One file on a server of this machine, which may break off, forget what it can, or lie."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Served:
    """A served file, and how the server answers."""

    content: bytes
    ranges: bool = True
    etag: str = '"one"'
    status: int = 200
    length: int | None = None
    """The length that the server states instead of the true one."""
    says_length: bool = True
    location: str = ""
    """The address of a redirection."""
    breaks: list[int] = field(default_factory=list)
    """The numbers of bytes after which the server breaks off, one for each answer."""
    asked: list[str] = field(default_factory=list)
    """The Range of every request."""
    address: str = ""


@contextmanager
def serving(served: Served) -> Iterator[Served]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(served))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    served.address = f"http://127.0.0.1:{server.server_port}/data.zip"
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler_of(served: Served) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(served.status)
            self.head(served.status, 0, len(served.content))
            self.end_headers()

        def do_GET(self) -> None:
            asked = self.headers.get("Range", "")
            served.asked.append(asked)
            known = self.headers.get("If-Range", served.etag) == served.etag
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and served.ranges and known else 0
            status = served.status
            if start and start >= len(served.content):
                status = 416
            elif start:
                status = 206
            body = served.content[start:] if status in (200, 206) else b""
            self.send_response(status)
            self.head(status, start, len(body))
            self.end_headers()
            if served.breaks and len(body) > (stop := served.breaks.pop(0)):
                self.wfile.write(body[:stop])
                self.wfile.flush()
                self.connection.shutdown(2)
                return
            # A client that was killed doesn't wait for the rest.
            with suppress(ConnectionError):
                self.wfile.write(body)

        def head(self, status: int, start: int, size: int) -> None:
            total = len(served.content)
            if served.says_length:
                self.send_header("Content-Length", str(served.length or size))
            if served.location:
                self.send_header("Location", served.location)
            if served.etag:
                self.send_header("ETag", served.etag)
            if status in (206, 416):
                place = f"{start}-{total - 1}/{total}" if status == 206 else f"*/{total}"
                self.send_header("Content-Range", f"bytes {place}")

        def log_message(self, *arguments: object) -> None:
            pass

    return Handler
