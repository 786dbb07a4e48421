"""A browser of this machine, driven over WebDriver: Chromium and chromedriver as the distribution has them."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

_START_LIMIT_S = 30
_REQUEST_LIMIT_S = 60
_LOOK_EVERY_S = 0.05

# What chromedriver says when it is ready, with the port that it was given by the system.
_READY = re.compile(r"started successfully on port (\d+)")

KEYS = {
    "Tab": "\ue004",
    "Enter": "\ue007",
    "Escape": "\ue00c",
    "PageUp": "\ue00e",
    "PageDown": "\ue00f",
    "End": "\ue010",
    "Home": "\ue011",
    "Left": "\ue012",
    "Up": "\ue013",
    "Right": "\ue014",
    "Down": "\ue015",
}
_ARGUMENTS = (
    "--headless=new",
    # As root, which runs the tests in CI, Chromium has no sandbox. It sees only pages of the tests.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


# The page is served without TLS, which this header needs off loopback; and it learns by a 401 that a token is needed.
_KNOWN_COMPLAINTS = ("Cross-Origin-Opener-Policy header has been ignored", "status of 401")


class BrowserError(Exception):
    """The browser could not be started, or refused a command."""


class Browser:
    """One browser with one tab. It ends with the `with` in which it was opened."""

    def __init__(self) -> None:
        driver, binary = shutil.which("chromedriver"), shutil.which("chromium")
        if driver is None or binary is None:
            raise BrowserError("chromedriver and chromium are needed: apt-get install chromium chromium-driver")
        # Port 0: chromedriver takes a free one and says which.
        self._process = subprocess.Popen([driver, "--port=0"], stdout=subprocess.PIPE, text=True)
        try:
            self._address = f"http://127.0.0.1:{self._port()}"
            options = {"binary": binary, "args": list(_ARGUMENTS)}
            wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
            session = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
            self._session = f"/session/{session['sessionId']}"
        except BaseException:
            self._end()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the browser, and then the driver that started it."""
        try:
            self._ask("DELETE", self._session)
        finally:
            self._end()

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()

    def _port(self) -> int:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if found := _READY.search(line):
                return int(found[1])
        raise BrowserError("chromedriver ended before it was ready")

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self._address + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=_REQUEST_LIMIT_S) as reply:
                return json.load(reply)["value"]
        except urllib.error.HTTPError as error:
            raise BrowserError(error.read().decode(errors="replace")[:1000]) from error

    # ---- what a user does ----

    def open(self, url: str) -> None:
        self._ask("POST", f"{self._session}/url", {"url": url})

    def open_with_token(self, url: str, token: str) -> None:
        """Opens the page of a room that asks for a token, and types it."""
        self.size(1440, 900)
        self.open(url)
        self.until_script("return document.querySelector('form input[type=password]') !== null", "the token is asked")
        self.run("document.querySelector('form input').focus()")
        self.type(token)
        self.press("Enter")
        self.until_script("return daemon.state === 'live'", "the page is live", 20)

    def press(self, *keys: str) -> None:
        """Presses keys, one after the other: names of `KEYS`, or what one types."""
        steps = []
        for key in keys:
            held, _, last = key.rpartition("+") if len(key) > 1 else ("", "", key)
            codes = (["\ue009"] if held == "Ctrl" else []) + [KEYS.get(last, last)]
            steps += [{"type": "keyDown", "value": code} for code in codes]
            steps += [{"type": "keyUp", "value": code} for code in reversed(codes)]
        self._ask("POST", f"{self._session}/actions", {"actions": [{"type": "key", "id": "keys", "actions": steps}]})

    def type(self, text: str) -> None:
        self.press(*text)

    def click(self, selector: str, text: str | None = None, limit_s: float = 10) -> None:
        """Clicks with the mouse on the first element of the selector, or on the first with this text."""
        find = """const [selector, text] = arguments;
        return [...document.querySelectorAll(selector)].find(each => !text || each.textContent === text);"""
        found = self.until(lambda: self.run(find, selector, text), f"{selector} {text or ''}", limit_s)
        identity = next(iter(found.values()))
        self._ask("POST", f"{self._session}/element/{identity}/click", {})

    # ---- what a user sees ----

    def run(self, script: str, *arguments: object) -> Any:
        return self._ask("POST", f"{self._session}/execute/sync", {"script": script, "args": list(arguments)})

    def run_async(self, script: str, *arguments: object) -> Any:
        return self._ask("POST", f"{self._session}/execute/async", {"script": script, "args": list(arguments)})

    def text(self, selector: str) -> str:
        """What is visible of the first element of the selector."""
        return self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector)

    def until(self, condition: Callable[[], Any], what: str, limit_s: float = 10) -> Any:
        """Waits until the condition holds, and gives what it returned."""
        end = time.monotonic() + limit_s
        while True:
            if result := condition():
                return result
            if time.monotonic() > end:
                seen = f"{self.text('body')[:1500]} … {self.text('#detail')}"
                raise BrowserError(f"not within {limit_s} s: {what}; the page shows: {seen}")
            time.sleep(_LOOK_EVERY_S)

    def until_script(self, script: str, what: str, limit_s: float = 10) -> Any:
        return self.until(lambda: self.run(script), what, limit_s)

    def complaints(self) -> list[str]:
        """What the console has said of a page without TLS that asks for its token, except what it must say of that."""
        return [line for line in self.console() if not any(known in line for known in _KNOWN_COMPLAINTS)]

    def console(self) -> list[str]:
        """What the console has said since it was last read: faults, and reports of the content policy."""
        lines = self._ask("POST", f"{self._session}/se/log", {"type": "browser"})
        return [line["message"] for line in lines if line["level"] in ("SEVERE", "WARNING")]

    # ---- the machine that the page believes to be on ----

    def tools(self, command: str, **parameters: object) -> Any:
        """A command of Chromium's development tools."""
        return self._ask("POST", f"{self._session}/goog/cdp/execute", {"cmd": command, "params": parameters})

    def size(self, width: int, height: int) -> None:
        mobile = width < 500
        self.tools("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)

    def prefer(self, scheme: str = "light", motion: str = "no-preference") -> None:
        features = {"prefers-color-scheme": scheme, "prefers-reduced-motion": motion}
        named = [{"name": name, "value": value} for name, value in features.items()]
        self.tools("Emulation.setEmulatedMedia", features=named)

    def metrics(self) -> dict[str, float]:
        """Seconds of the main thread since the page was opened, by kind."""
        return {each["name"]: each["value"] for each in self.tools("Performance.getMetrics")["metrics"]}

    def picture(self, file: Path) -> int:
        """Writes what is visible as a PNG, and gives its size in bytes."""
        content = base64.b64decode(self.tools("Page.captureScreenshot", format="png")["data"])
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return len(content)
