"""A headless Chromium, driven over the WebDriver protocol with nothing but the standard library."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from tests.hanging import HANG

BROWSER = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chrome")
DRIVER = shutil.which("chromedriver")
KEYS = {"ArrowLeft": "\ue012", "ArrowRight": "\ue014", "Home": "\ue011", "End": "\ue010"}
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class Page:
    """One window."""

    def __init__(self, address: str) -> None:
        self._address = address

    def ask(self, method: str, path: str, **body: Any) -> Any:
        data = None if method == "GET" else json.dumps(body).encode()
        request = Request(f"{self._address}{path}", data=data, method=method)
        request.add_header("Content-Type", "application/json")
        with urlopen(request, timeout=HANG) as answer:
            return json.load(answer)["value"]

    def open(self, path: Path, fragment: str = "") -> None:
        self.ask("POST", "/url", url="about:blank")
        self.ask("POST", "/url", url=f"{path.as_uri()}{fragment}")

    def wait(self, condition: str) -> None:
        """Until a condition holds, which is looked at before every picture that is drawn."""
        script = (
            "const done = arguments[0], look = () =>"
            f" ({condition}) ? done() : requestAnimationFrame(look); look();"
        )
        self.ask("POST", "/execute/async", script=script, args=[])

    def run(self, script: str, *arguments: Any) -> Any:
        return self.ask("POST", "/execute/sync", script=script, args=list(arguments))

    def find(self, selector: str) -> str:
        found = self.ask("POST", "/element", using="css selector", value=selector)
        return str(found[ELEMENT])

    def click(self, selector: str) -> None:
        self.ask("POST", f"/element/{self.find(selector)}/click")

    def press(self, key: str) -> None:
        self._act(
            "key", "keyboard", [{"type": t, "value": KEYS[key]} for t in ("keyDown", "keyUp")]
        )

    def hover(self, selector: str) -> None:
        origin = {ELEMENT: self.find(selector)}
        move = {"type": "pointerMove", "origin": origin, "x": 0, "y": 0, "duration": 0}
        self._act("pointer", "mouse", [move])

    def _act(self, kind: str, name: str, actions: list[dict[str, Any]]) -> None:
        source: dict[str, Any] = {"type": kind, "id": name, "actions": actions}
        if kind == "pointer":
            source["parameters"] = {"pointerType": "mouse"}
        self.ask("POST", "/actions", actions=[source])

    def log(self) -> list[str]:
        entries = self.ask("POST", "/se/log", type="browser")
        return [entry["message"] for entry in entries]

    def picture(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.ask("GET", "/screenshot")))


@contextlib.contextmanager
def chromium(width: int = 1200, height: int = 900, *, dark: bool = False) -> Iterator[Page]:
    """A window of a size; `dark` as by a reader who prefers it."""
    assert BROWSER is not None
    assert DRIVER is not None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [DRIVER, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        root = f"http://127.0.0.1:{port}"
        _wait(process, f"{root}/status")
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        arguments.append(f"--window-size={width},{height}")
        if dark:
            arguments.append("--blink-settings=preferredColorScheme=0")
        options = {"binary": BROWSER, "args": arguments}
        wanted = {
            "browserName": "chrome", "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL"},
        }  # fmt: skip
        made = Page(root).ask("POST", "/session", capabilities={"alwaysMatch": wanted})
        page = Page(f"{root}/session/{made['sessionId']}")
        page.ask("POST", "/timeouts", script=1000 * HANG, pageLoad=1000 * HANG)
        try:
            yield page
        finally:
            page.ask("DELETE", "")
    finally:
        process.terminate()
        process.wait(timeout=HANG)


def _wait(process: subprocess.Popen[bytes], address: str) -> None:
    """Until the driver answers; it tells on which port only by answering there."""
    while process.poll() is None:
        with contextlib.suppress(URLError, ConnectionError):
            urlopen(address, timeout=HANG).close()
            return
        time.sleep(0.05)
    raise RuntimeError(f"{DRIVER} ended with status {process.returncode}")
