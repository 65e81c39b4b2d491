"""Pages in headless Chromium: what they show, at which width, and what they ask the network for.

Chromium and its driver are found on the path (Debian: ``apt-get install chromium chromium-driver``; see
``scripts/setup_browser``); without them, or without selenium, ``missing()`` gives the reason to skip.

    with browser.Browser() as chromium:
        page = chromium.open("report.html", width=400, dark=True)
        page.screenshot(tmp_path / "page.png")
        assert page.requests == []
"""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

_FLAGS = (
    "--headless=new",
    "--no-sandbox",  # which root would need a kernel's help for
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",  # containers have little of it
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",  # nothing leaves this machine
)
_SECONDS = 30  # what takes longer hangs
_HEIGHT = 900
_PHONE = 600  # pages narrower than this are a phone's


def missing() -> str | None:
    """Return why no browser can be started here, or None if one can."""
    if find_spec("selenium") is None:
        return "selenium is not installed"
    absent = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    return f"{' and '.join(absent)} not on the path: scripts/setup_browser" if absent else None


class Browser:
    """A headless Chromium with an empty profile of its own; ``open`` may be called again and again."""

    def __init__(self) -> None:
        from selenium import webdriver

        self._profile = TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        options = webdriver.ChromeOptions()
        options.binary_location = str(shutil.which("chromium"))
        options.page_load_strategy = "eager"  # a page that streams never finishes loading
        options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
        for flag in (*_FLAGS, f"--user-data-dir={self._profile.name}"):
            options.add_argument(flag)
        self.driver = webdriver.Chrome(options, webdriver.ChromeService(str(shutil.which("chromedriver"))))
        self.driver.set_page_load_timeout(_SECONDS)
        self.driver.set_script_timeout(_SECONDS)

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the browser and remove its profile."""
        self.driver.quit()
        self._profile.cleanup()

    def open(self, place: str | Path, width: int = 1280, *, dark: bool = False, streaming: bool = False) -> Page:
        """Show a file or an address in a window ``width`` pixels wide, a phone's if that is under 600.

        Waits until everything is loaded, unless the page is ``streaming``: then until its document is read.
        """
        address = place if isinstance(place, str) and "://" in place else Path(place).resolve().as_uri()
        driver = self.driver
        driver.get("about:blank")
        _log(driver)  # what was asked for so far belongs to the page before
        _emulate(driver, width, dark)
        driver.get(address)
        if not streaming:
            from selenium.webdriver.support.ui import WebDriverWait

            complete = "return document.readyState === 'complete'"
            WebDriverWait(driver, _SECONDS).until(lambda chrome: chrome.execute_script(complete))
        return Page(driver, driver.current_url, width)


def _emulate(driver: Chrome, width: int, dark: bool) -> None:
    metrics = {"width": width, "height": _HEIGHT, "deviceScaleFactor": 1, "mobile": width < _PHONE}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})


class Page:
    """What a browser shows, until it opens another page."""

    def __init__(self, driver: Chrome, address: str, width: int) -> None:
        self.driver = driver
        self.address = address
        self.width = width
        self._requests: list[str] = []

    @property
    def text(self) -> str:
        """The text that a reader sees."""
        return str(self.run("return document.body.innerText"))

    @property
    def html(self) -> str:
        """The document as it is now."""
        return str(self.run("return document.documentElement.outerHTML"))

    def run(self, script: str, *arguments: object) -> Any:
        """Return what a JavaScript function's body returns; ``arguments[0]`` is its first argument."""
        return self.driver.execute_script(script, *arguments)

    @property
    def overflow(self) -> int:
        """By how many pixels the page is wider than its window: 0 if there is nothing to scroll sideways."""
        return max(0, int(self.run("return document.documentElement.scrollWidth")) - self.width)

    @property
    def requests(self) -> list[str]:
        """Every address asked for since the page was opened, itself and embedded data aside."""
        messages = (json.loads(entry["message"])["message"] for entry in _log(self.driver))
        self._requests += [address for message in messages if (address := _requested(message)) is not None]
        return [address for address in self._requests if address != self.address]

    def screenshot(self, path: Path | None = None) -> NDArray[np.uint8]:
        """Return the whole page, also what is below the window: RGB uint8 (H, W, 3), and a PNG at ``path`` if given."""
        import base64

        height = int(self.run("return document.documentElement.scrollHeight"))
        clip = {"x": 0, "y": 0, "width": self.width, "height": height, "scale": 1}
        options = {"format": "png", "captureBeyondViewport": True, "clip": clip}
        data = base64.b64decode(self.driver.execute_cdp_cmd("Page.captureScreenshot", options)["data"])
        if path is not None:
            path.write_bytes(data)
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        return np.ascontiguousarray(picture[..., ::-1], np.uint8)


def _log(driver: Chrome) -> list[dict[str, Any]]:
    """Return what happened since it was last asked for."""
    entries: list[dict[str, Any]] = driver.execute("getLog", {"type": "performance"})["value"]
    return entries


def _requested(message: dict[str, Any]) -> str | None:
    parameters = message["params"]
    if message["method"] == "Network.requestWillBeSent":
        address = str(parameters["request"]["url"])
        return None if address.startswith("data:") else address
    if message["method"] == "Network.webSocketCreated":
        return str(parameters["url"])
    return None
