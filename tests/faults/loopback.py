"""A web server on this machine that can misbehave; started and stopped by the test."""

from __future__ import annotations

import re
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Web:
    """Serves one file at any path, in ranges. `fault` is asked before each answer and may give another one.

    Attributes:
        url: of the file.
        requests: ranges asked for, in order.
    """

    def __init__(self, content: bytes, fault: Callable[[Handler, int], bool] = lambda _handler, _number: False) -> None:
        self.content, self.fault = content, fault
        self.requests: list[str] = []
        self.stopped = threading.Event()
        web = self

        class Bound(Handler):
            of = web

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Bound)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # clients hang up, too
        self.url = f"http://127.0.0.1:{self.server.server_port}/scene.tif"


class Handler(BaseHTTPRequestHandler):
    of: Web
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        self.of.requests.append(self.headers.get("Range", ""))
        if self.of.fault(self, len(self.of.requests)):
            return
        start, part = self.part()
        self.begin(start, len(part))
        if body:
            self.wfile.write(part)

    def part(self) -> tuple[int, bytes]:
        content = self.of.content
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked is None:
            return 0, content
        start = int(asked[1])
        return start, content[start : int(asked[2]) + 1 if asked[2] else None]

    def begin(self, start: int, length: int) -> None:
        ranged = "Range" in self.headers
        self.send_response(206 if ranged else 200)
        if ranged:
            self.send_header("Content-Range", f"bytes {start}-{start + length - 1}/{len(self.of.content)}")
        self.send_header("Content-Length", str(length))
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()

    def refuse(self, code: int, **headers: str) -> bool:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()
        return True

    def stall(self) -> bool:
        """Never answer, until the server stops."""
        self.of.stopped.wait(60)
        self.close_connection = True
        return True

    def truncate(self) -> bool:
        """Promise everything that was asked for, send the first bytes, and hang up."""
        start, part = self.part()
        self.begin(start, len(part))
        self.wfile.write(part[: min(len(part) // 2, 100)])
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True
        return True


@contextmanager
def serving(web: Web) -> Iterator[Web]:
    thread = threading.Thread(target=web.server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield web
    finally:
        web.stopped.set()
        web.server.shutdown()
        web.server.server_close()
        thread.join(timeout=10)
