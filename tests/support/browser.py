"""A real browser, where there is one: pages as a person sees them."""

import base64
import importlib
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars --window-size=1300,860"
)
PATIENCE_SECONDS = 60


@contextmanager
def chromium() -> Iterator[Any]:
    """Selenium's driver of a headless Chromium; the test is skipped where there is none."""
    selenium = importlib.import_module("selenium.webdriver")
    service = importlib.import_module("selenium.webdriver.chrome.service")
    found = shutil.which("chromium"), shutil.which("chromedriver")
    if None in found:
        pytest.skip("no browser here: apt-get install --no-install-recommends chromium chromium-driver")
    options = selenium.ChromeOptions()
    options.binary_location = found[0]
    for flag in FLAGS.split():
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = selenium.Chrome(options=options, service=service.Service(found[1]))
    try:
        yield driver
    finally:
        driver.quit()


def look(driver: Any, page: Path, width: int, scheme: str = "light") -> None:
    """Open a file in a window of this width, and wait until its plots are drawn."""
    resize(driver, width)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    driver.get(page.as_uri())
    wait_until_drawn(driver)


def resize(driver: Any, width: int) -> None:
    """Make the window as wide as this."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def wait_until_drawn(driver: Any) -> None:
    """Of the page, or frame, that the driver is in."""
    end = time.monotonic() + PATIENCE_SECONDS
    while driver.execute_script("return document.documentElement.dataset.drawn") != "yes":
        assert time.monotonic() < end, driver.get_log("browser")
        time.sleep(0.1)


def picture(driver: Any, height: int | None = None) -> bytes:
    """The whole page as a PNG, or its upper part."""
    width = driver.execute_script("return window.innerWidth")
    more = {"clip": {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}} if height else {}
    taken = driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, **more})
    return base64.b64decode(taken["data"])


def printed(driver: Any) -> bytes:
    """The page as a PDF on A4."""
    paper = {"printBackground": True, "preferCSSPageSize": True, "paperWidth": 8.27, "paperHeight": 11.69}
    return base64.b64decode(driver.execute_cdp_cmd("Page.printToPDF", paper)["data"])
