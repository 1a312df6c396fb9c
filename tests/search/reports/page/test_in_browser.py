"""The page in a real browser: drawn, at any width, light and dark, on paper, and nothing hostile in it runs."""

import re
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import PATIENCE_SECONDS, chromium, look, printed, resize
from page_studies import HOSTILE, whole_study

from search.reports.page import builder
from search.storage.store import open_storage


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of everything, with markup wherever a name or a reason may have some."""
    folder = tmp_path_factory.mktemp("page")
    with open_storage(f"sqlite:///{folder}/omad.db", create=True) as store:
        made = builder.make(store, whole_study(store, "hostile", complete=10, hostile=HOSTILE), None)
    (folder / "page.html").write_text(made.html)
    return folder / "page.html"


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    with chromium() as opened:
        opened.execute_cdp_cmd("Network.enable", {})
        offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
        opened.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
        yield opened


def colour(driver: Any, selector: str, name: str) -> str:
    found = "getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
    return str(driver.execute_script(f"return {found}", selector, name))


def test_a_narrow_screen_leaves_out_what_cannot_be_read_there(driver: Any, page: Path) -> None:
    look(driver, page, 400, "dark")
    assert driver.execute_script("return document.documentElement.scrollWidth") == 400
    wide = "const c = document.querySelector('.wide-only'); return [c.offsetParent, c.querySelectorAll('svg').length]"
    assert driver.execute_script(wide) == [None, 0]
    widest = "return Math.max(...[...document.querySelectorAll('svg.main-svg')].map(s => s.clientWidth))"
    assert 200 < driver.execute_script(widest) <= 400


def test_a_wide_one_has_every_plot_and_what_is_hostile_does_not_run(driver: Any) -> None:
    resize(driver, 1_500)
    script = (
        "return [...document.querySelectorAll('.chart')].map(c => c.querySelectorAll('svg.main-svg').length)"
    )
    end = time.monotonic() + PATIENCE_SECONDS
    while not all(drawn := driver.execute_script(script)):
        assert time.monotonic() < end, drawn
        time.sleep(0.1)
    assert len(drawn) > 10
    assert driver.execute_script("return document.documentElement.scrollWidth") == 1_500
    assert driver.get_log("browser") == [], "no error, no refused script, no request that failed"
    assert driver.execute_script("return performance.getEntriesByType('resource').map(e => e.name)") == []
    assert driver.execute_script("return document.querySelectorAll('img, iframe, [onerror]').length") == 0
    assert driver.execute_script("return [...document.links].every(a => a.hash.startsWith('#'))")
    assert HOSTILE in driver.execute_script("return document.body.textContent")


def test_letters_and_ground_follow_the_readers_wish(driver: Any, page: Path) -> None:
    seen = {}
    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        seen[scheme] = [colour(driver, "body", "backgroundColor"), colour(driver, ".plot svg text", "fill")]
    assert seen == {
        "light": ["rgb(255, 255, 255)", "rgb(27, 31, 36)"],
        "dark": ["rgb(21, 24, 28)", "rgb(232, 234, 237)"],
    }


def test_it_can_be_printed_with_all_its_plots(driver: Any) -> None:
    width = "return document.querySelector('.chart .main-svg').clientWidth"
    assert driver.execute_script(width) > 900, "on the screen it is wider than paper"
    driver.execute_script(
        "addEventListener('beforeprint', () => { const all = [...document.querySelectorAll('.chart .main-svg')];"
        "window.onPaper = Math.max(...all.map(svg => svg.getAttribute('width'))); })"
    )
    paper = printed(driver)
    assert paper.startswith(b"%PDF")
    assert 500 < driver.execute_script("return window.onPaper") <= 720
    assert len(re.findall(rb"/Type\s*/Page\b", paper)) >= 4
    streams = [_unpacked(part) for part in re.findall(rb"stream\r?\n(.*?)endstream", paper, re.DOTALL)]
    assert sum(stream.count(b" re\n") + stream.count(b" l\n") for stream in streams) > 500, "lines of plots"


def _unpacked(stream: bytes) -> bytes:
    try:
        return zlib.decompress(stream)
    except zlib.error:
        return b""
