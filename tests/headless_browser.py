"""Chromium without a screen, spoken to through a pipe: what a page does, says and asks the network for."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT_S = 60
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip


def browser() -> str:
    """The program; skips the test where there is none."""
    found = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
    )
    if not found:
        pytest.skip("no Chromium is installed (Debian: chromium)")
    return found


class Page:
    """An open page.

    Attributes:
        problems: errors and warnings of the console, exceptions, and what the policy refused.
        requests: addresses that were asked for, their first 80 characters.
    """

    def __init__(self, into: int, out: int) -> None:
        self._into, self._out, self._rest, self._number = into, out, b"", 0
        self._session = ""
        self.problems: list[str] = []
        self.requests: list[str] = []
        target = self._send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._send(f"{domain}.enable")

    def open(self, path: Path) -> None:
        """Load a file and wait for it."""
        self._send("Page.navigate", url=path.resolve().as_uri())
        self.wait("document.readyState === 'complete'")

    def run(self, script: str) -> Any:
        """The value of an expression."""
        answer = self._send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def wait(self, script: str) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + TIMEOUT_S
        while not self.run(script):
            assert time.monotonic() < end, f"{script} did not become true"
            time.sleep(0.05)

    def key(self, key: str) -> None:
        """Press and release a key."""
        text = {"text": key} if len(key) == 1 else {}
        self._send("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self._send("Input.dispatchKeyEvent", type="keyUp", key=key)

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """A mouse event."""
        self._send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def click(self, x: float, y: float) -> None:
        """Click at a place of the window."""
        for kind in ("mousePressed", "mouseReleased"):
            self.mouse(kind, x, y, button="left", clickCount=1)

    def size(self, width: int, height: int, *, dark: bool = False) -> None:
        """Make the window this large, in light or dark colours."""
        self._send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._send("Emulation.setEmulatedMedia", features=[scheme])

    def downloads(self, folder: Path) -> None:
        """Save downloads there."""
        self._send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder), at_browser=True)

    def picture(self, path: Path, *, quality: int = 85) -> None:
        """What is seen, as JPEG."""
        answer = self._send("Page.captureScreenshot", format="jpeg", quality=quality)
        path.write_bytes(base64.b64decode(answer["data"]))

    def _send(self, method: str, *, at_browser: bool = False, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session and not at_browser:
            message["sessionId"] = self._session
        os.write(self._into, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer)
                return answer.get("result", {})
            self._note(answer)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            part = os.read(self._out, 1 << 20)
            assert part, "the browser ended"
            self._rest += part
        text, _, self._rest = self._rest.partition(b"\0")
        return json.loads(text)

    def _note(self, event: dict[str, Any]) -> None:
        name, values = event.get("method"), event.get("params", {})
        if name == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(values["exceptionDetails"]))
        elif name == "Log.entryAdded" and values["entry"]["level"] in ("error", "warning"):
            self.problems.append(values["entry"]["text"])
        elif name == "Runtime.consoleAPICalled" and values["type"] in ("error", "warning"):
            self.problems.append(json.dumps(values["args"]))
        elif name == "Network.requestWillBeSent":
            self.requests.append(values["request"]["url"][:80])


@contextmanager
def opened_browser(profile: Path) -> Iterator[Page]:
    """A page of a browser of its own, with its files in `profile`."""
    program = browser()
    read_in, write_in = os.pipe()
    read_out, write_out = os.pipe()
    high = [fcntl.fcntl(handle, fcntl.F_DUPFD_CLOEXEC, 10) for handle in (read_in, write_out)]

    def join() -> None:
        """The pipe's ends as what Chromium reads from (3) and writes to (4)."""
        os.dup2(high[0], 3)
        os.dup2(high[1], 4)

    command = [program, *OPTIONS, f"--user-data-dir={profile}", "about:blank"]
    process = subprocess.Popen(
        command,
        preexec_fn=join,  # noqa: PLW1509 (no other threads here)
        pass_fds=(3, 4),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for handle in (read_in, write_out, *high):
        os.close(handle)
    try:
        yield Page(write_in, read_out)
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(write_in)
        os.close(read_out)
