"""A browser without a window, told what to do over a pipe in the DevTools protocol."""

import json
import os
import pathlib
import select
import shutil
import subprocess
import sys
import time
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_LONGEST_S = 60.0
# The browser reads file descriptor 3 and writes 4.
_START = """
import fcntl, os, sys
read, write = (fcntl.fcntl(int(x), fcntl.F_DUPFD, 10) for x in sys.argv[1:3])
os.dup2(read, 3)
os.dup2(write, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
_OPTIONS = (
    "--headless",
    "--no-sandbox",  # The sandbox does not start for root.
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-extensions",
    "--disable-background-networking",
    "--remote-debugging-pipe",
)


def find() -> str | None:
    """The browser on the path; None if there is none."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Browser:
    """Opens pages; close it at the end.

    Args:
      program: The browser.
      profile: A directory of its own.
    """

    def __init__(self, program: str, profile: pathlib.Path) -> None:
        told, self._in = os.pipe()
        self._out, heard = os.pipe()
        start = [sys.executable, "-c", _START, str(told), str(heard)]
        self._process = subprocess.Popen(
            [*start, program, *_OPTIONS, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(told, heard),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(told)
        os.close(heard)
        self._buffer, self._number = b"", 0
        self._events: list[dict[str, Any]] = []

    def open(self, page: pathlib.Path, width: int, script: str) -> tuple[Any, list[str]]:
        """Opens a page in a window of some width.

        Args:
          page: A file.
          width: Pixels.
          script: An expression that is evaluated when all is loaded.

        Returns:
          The value of the expression, and what the console has of errors.
        """
        target = self._call("Target.createTarget", {"url": "about:blank"})["targetId"]
        attached = self._call("Target.attachToTarget", {"targetId": target, "flatten": True})
        session = attached["sessionId"]
        self._events.clear()
        for domain in ("Page", "Runtime", "Log"):
            self._call(f"{domain}.enable", {}, session)
        metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": True}
        self._call("Emulation.setDeviceMetricsOverride", metrics, session)
        self._call("Page.navigate", {"url": page.as_uri()}, session)
        self._until(lambda: any(e["method"] == "Page.loadEventFired" for e in self._events))
        asked = {"expression": script, "returnByValue": True, "awaitPromise": True}
        answer = self._call("Runtime.evaluate", asked, session)
        assert "exceptionDetails" not in answer, answer
        errors = [json.dumps(event["params"]) for event in self._events if _is_error(event)]
        self._call("Target.closeTarget", {"targetId": target})
        return answer["result"].get("value"), errors

    def close(self) -> None:
        """Ends the browser."""
        try:
            self._call("Browser.close", {})
            self._process.wait(timeout=_LONGEST_S)
        finally:
            self._process.kill()
            self._process.wait()
            os.close(self._in)
            os.close(self._out)

    def _call(self, method: str, params: dict[str, Any], session: str = "") -> dict[str, Any]:
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._in, json.dumps(message).encode() + b"\0")
        answers = []

        def answered() -> bool:
            answers.extend(event for event in self._events if event.get("id") == number)
            return bool(answers)

        self._until(answered)
        assert "result" in answers[0], answers[0]
        return answers[0]["result"]

    def _until(self, holds) -> None:
        end = time.monotonic() + _LONGEST_S
        while not holds():
            left = end - time.monotonic()
            assert left > 0, "the browser does not answer"
            ready, _, _ = select.select([self._out], [], [], left)
            if not ready:
                continue
            read = os.read(self._out, 1 << 20)
            assert read, "the browser has ended"
            self._buffer += read
            *whole, self._buffer = self._buffer.split(b"\0")
            for message in whole:
                event = json.loads(message)
                self._events.append({"method": "", **event})


def _is_error(event: dict[str, Any]) -> bool:
    params = event.get("params", {})
    if event["method"] == "Runtime.consoleAPICalled":
        return params["type"] in ("error", "assert")
    if event["method"] == "Log.entryAdded":
        return params["entry"]["level"] == "error"
    return event["method"] == "Runtime.exceptionThrown"
