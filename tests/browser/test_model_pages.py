"""Pages of runs and of clips in a browser: they sort and play, and ask nobody for anything."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Browser

pytestmark = pytest.mark.browser

Open = Callable[[Path], Browser]
NAMES = ("run", "tagging-run", "comparison", "events", "tags", "localisation", "separation")
PLAYS = """const done = arguments[0], played = document.querySelectorAll("video, audio")[{place}];
played.addEventListener("timeupdate", () => played.currentTime > 0.1 && done(played.duration));
played.addEventListener("error", () => done(played.error.message));
played.play().catch((error) => done(String(error)));"""
UNNAMED = """return [...document.querySelectorAll("a,button,input,select,video,audio,svg,img")]
.filter((part) => !(part.getAttribute("aria-label") || part.alt || part.textContent.trim()
|| part.labels?.length || (part.tagName === "IMG" && part.hasAttribute("alt"))))
.map((part) => part.outerHTML.slice(0, 80))"""
WIDER = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
SCREENSHOTS = os.environ.get("EARSIGHT_SCREENSHOTS")
"""Folder into which the pages are photographed, if any."""


def seek(page: Browser, second: float) -> None:
    """Move the first player of a page."""
    page.execute_async_script(
        "const done = arguments[1], player = document.querySelector('video, audio');"
        "player.addEventListener('seeked', () => done(), {once: true});"
        "player.currentTime = arguments[0];", second,
    )  # fmt: skip


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_page_fits_both_widths_and_colours(
    pages: dict[str, Path], open_page: Open, name: str, dark: bool
) -> None:
    page = open_page(pages[name])
    scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
    ink, paper = page.execute_script(
        "const held = getComputedStyle(document.body); return [held.color, held.backgroundColor]"
    )
    brightness = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (ink, paper)]
    assert (brightness[0] > brightness[1]) == dark
    for width in (1200, 400):
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        assert page.execute_script(WIDER) <= 0
        if SCREENSHOTS:
            photograph(page, name, width, dark)
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert page.execute_script(UNNAMED) == []
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def photograph(page: Browser, name: str, width: int, dark: bool) -> None:
    """Keep a picture of the whole page, or of the first 2400 pixels."""
    import base64

    if page.execute_script("return Boolean(document.querySelector('video'))"):
        seek(page, 1.5)
    height = min(2400, page.execute_script("return document.documentElement.scrollHeight"))
    clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
    asked = {"captureBeyondViewport": True, "clip": clip}
    taken = page.execute_cdp_cmd("Page.captureScreenshot", asked)
    stem = f"{name}-{width}{'-dark' if dark else ''}"
    Path(str(SCREENSHOTS), f"{stem}.png").write_bytes(base64.b64decode(taken["data"]))


def test_class_table_of_a_run_sorts_both_ways(pages: dict[str, Path], open_page: Open) -> None:
    page = open_page(pages["run"])

    def column() -> list[float]:
        cells = page.find_elements("css selector", "#class-table tbody td:nth-child(2)")
        return [float(cell.get_attribute("data-value") or "nan") for cell in cells]

    head = page.find_element("css selector", "#class-table th:nth-child(2) button")
    seen = []
    for _ in range(2):
        head.click()
        seen.append([value for value in column() if value == value])
    assert seen[0] != seen[1]
    assert seen == [sorted(seen[0], reverse=True), sorted(seen[1])]


def test_class_table_is_filtered(pages: dict[str, Path], open_page: Open) -> None:
    page = open_page(pages["tagging-run"])
    page.find_element("css selector", "input[data-filters=class-table]").send_keys("class 1")
    rows = page.find_elements("css selector", "#class-table tbody tr")
    shown = [row.text.split()[1] for row in rows if row.is_displayed()]
    assert shown == ["1", "10", "11", "12", "13"]


def test_runs_side_by_side_have_dots_and_what_differs(
    pages: dict[str, Path], open_page: Open
) -> None:
    page = open_page(pages["comparison"])
    for kind in ("ours", "floor", "paper"):
        assert page.find_elements("css selector", f".track .dot.{kind}")
    rows = page.find_elements("css selector", "#settings-table tbody tr")
    assert {row.text.split()[0] for row in rows} == {"seed", "epochs"}


@pytest.mark.parametrize(
    ("name", "place"),
    [("events", 0), ("tags", 0), ("localisation", 0), ("separation", 0), ("separation", 1),
     ("separation", 2)],
)  # fmt: skip
def test_media_play(pages: dict[str, Path], open_page: Open, name: str, place: int) -> None:
    page = open_page(pages[name])
    assert page.execute_async_script(PLAYS.replace("{place}", str(place))) == pytest.approx(
        4, abs=0.3
    )


def test_cursor_and_values_follow_the_video(pages: dict[str, Path], open_page: Open) -> None:
    page = open_page(pages["events"])
    output = page.find_element("css selector", "output[data-values]")
    values = page.execute_script("return JSON.parse(arguments[0].dataset.values)", output)
    for second in (0.5, 2.5, 3.5):
        seek(page, second)
        left = page.execute_script("return document.querySelector('.strips .now').style.left")
        assert float(left.removesuffix("%")) == pytest.approx(25 * second, abs=0.5)
        assert float(output.text) == pytest.approx(values[int(second)], abs=0.006)


def test_click_on_a_timeline_moves_the_video(pages: dict[str, Path], open_page: Open) -> None:
    page = open_page(pages["events"])
    page.find_element("css selector", ".strips .cells").click()  # in its middle
    at: Any = page.execute_script("return document.querySelector('video').currentTime")
    assert at == pytest.approx(2, abs=0.1)


def test_boxes_are_those_of_the_second_and_the_class(
    pages: dict[str, Path], open_page: Open
) -> None:
    page = open_page(pages["localisation"])
    for second in (0, 2, 3):
        seek(page, second + 0.5)
        boxes = page.find_elements("css selector", ".player rect")
        shown = [box for box in boxes if box.value_of_css_property("display") != "none"]
        assert {box.get_attribute("data-second") for box in shown} == {str(second)}
        assert 1 <= len(shown) <= 5
    video, drawing = (
        page.find_element("css selector", f".player {part}").rect for part in ("video", "svg")
    )
    assert drawing == pytest.approx(video, abs=1)


def test_button_moves_the_video_to_the_best_box(pages: dict[str, Path], open_page: Open) -> None:
    page = open_page(pages["localisation"])
    seek(page, 3.9)
    button = page.find_element("css selector", ".jump")
    button.click()
    wanted = float(button.get_attribute("data-at"))
    assert page.execute_script("return document.querySelector('video').currentTime") == wanted


def test_a_source_takes_the_picture_along(pages: dict[str, Path], open_page: Open) -> None:
    page = open_page(pages["separation"])
    page.find_element("css selector", "input[data-plays]").click()
    page.execute_async_script(PLAYS.replace("{place}", "1"))
    at, muted = page.execute_script(
        "const video = document.querySelector('video'); return [video.currentTime, video.muted]"
    )
    assert at > 0
    assert muted


def test_names_of_files_are_text(pages: dict[str, Path], open_page: Open) -> None:
    page = open_page(pages["events"])
    assert page.find_element("tag name", "h1").text == "Events of film <b>&amp;.mp4"


def test_pages_are_small(pages: dict[str, Path]) -> None:
    assert all(page.stat().st_size < 15_000_000 for page in pages.values())
