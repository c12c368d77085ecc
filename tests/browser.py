"""A real browser: Debian's Chromium, driven by Playwright."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import final

from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
INSTALL = ("apt-get update", "apt-get install -y chromium")
SIZE = {"width": 1440, "height": 900}


def chromium() -> str:
    """Where it is. It is installed if it isn't there and this process may; else the tests fail, and say why."""
    for name in NAMES:
        if found := shutil.which(name):
            return found
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise AssertionError(f"tests of the gallery need Chromium: {' && '.join(INSTALL)}")
    for line in INSTALL:
        subprocess.run(line.split(), check=True, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    found = shutil.which(NAMES[0])
    assert found, "apt-get has installed no chromium"
    return found


@contextmanager
def started() -> Iterator[Browser]:
    """A browser, until it isn't needed any more."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def until(page: Page, expression: str) -> None:
    """Wait until it is true. Playwright's own way evaluates texts in the page, which its policy forbids."""
    for _ in range(1200):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never true: {expression}")


@final
class Visit:
    """A page from `file://` with whatever went wrong on it."""

    def __init__(self, browser: Browser, file: Path, *, dark: bool = False, hash_: str = "") -> None:
        self.context = browser.new_context(
            viewport=SIZE, color_scheme="dark" if dark else "light", accept_downloads=True
        )
        self.page: Page = self.context.new_page()
        self.problems: list[str] = []
        self.requests: list[str] = []
        self.address = file.as_uri()
        self.page.on("console", lambda message: self._heard(message.type, message.text))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("requestfailed", lambda request: self.problems.append(f"failed: {request.url}"))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.open(hash_)

    def open(self, hash_: str = "") -> None:
        """The page anew, with this after its address."""
        self.page.goto("about:blank")
        self.page.goto(self.address + hash_)
        self.page.wait_for_selector("html[data-ready]")

    def _heard(self, kind: str, text: str) -> None:
        # Warnings are Chromium's own, and depend on how busy the machine is.
        if kind == "error":
            self.problems.append(text)

    def until(self, expression: str) -> None:
        """Wait until it is true on the page."""
        until(self.page, expression)

    def ids(self) -> list[str]:
        """The ids of the rows, in the order in which they are shown."""
        found: list[str] = self.page.evaluate("Gallery.grid.rows.map((row) => row.id)")
        return found

    def shown(self) -> list[str]:
        """The ids that can be read in the rows that there are, from top to bottom."""
        script = """[...document.querySelectorAll("#rows .row")]
            .sort((one, other) => one.getAttribute("aria-rowindex") - other.getAttribute("aria-rowindex"))
            .map((row) => row.querySelector("strong").textContent)"""
        found: list[str] = self.page.evaluate(script)
        return found

    def hash(self) -> str:
        """What is after the address, once it is written."""
        self.page.evaluate("Gallery.state.write()")
        found: str = self.page.evaluate("location.hash")
        return found

    def close(self) -> None:
        """Close the page; fails if anything went wrong on it, or was asked of anywhere else."""
        folder = self.address.rpartition("/")[0]
        elsewhere = [url for url in self.requests if not url.startswith((folder, "about:", "blob:"))]
        self.context.close()
        assert self.problems == [], self.problems
        assert elsewhere == [], elsewhere
