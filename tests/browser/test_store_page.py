"""The page of a store in a browser: it sorts, filters and plays, and asks nobody for anything."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines import cli
from tests.browser.conftest import Browser
from tests.complaints import run_here

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clips of the demo world, with log-mel alone."""
    folder = tmp_path_factory.mktemp("page")
    media = folder / "media"
    given = ["run", "features", "--dataset", "demo", "--media", media, "--clips", 4]
    done = run_here(cli.main, *given, "--extractors", "logmel", "--out", folder / "out")
    assert done.returncode == 0, done.stderr
    done = run_here(cli.main, "report", folder / "out", "--media", media)
    assert done.returncode == 0, done.stderr
    return folder / "out" / "report.html"


@pytest.fixture
def opened(page: Path, browser: Browser) -> Browser:
    browser.get("about:blank")
    for name in ("browser", "performance"):
        browser.get_log(name)
    browser.get(page.as_uri())
    return browser


def test_no_error_and_no_request(opened: Browser, page: Path) -> None:
    assert opened.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in opened.get_log("performance")]
    asked = [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]
    assert {url for url in asked if not url.startswith("data:")} == {page.as_uri()}


def test_tables_sort_both_ways(opened: Browser) -> None:
    def column() -> list[float]:
        cells = opened.find_elements("css selector", "#worst tbody td:nth-child(4)")
        return [float(cell.get_attribute("data-value")) for cell in cells]

    head = opened.find_element("css selector", "#worst th:nth-child(4) button")
    head.click()
    first = column()
    head.click()
    assert column() == first[::-1] or sorted(column()) == sorted(first)
    assert first in (sorted(first), sorted(first, reverse=True))
    assert column() in (sorted(first), sorted(first, reverse=True))
    assert column() != first


def test_cards_are_filtered(opened: Browser) -> None:
    cards = opened.find_elements("css selector", ".card")
    assert len(cards) == 4
    choice = opened.find_element("css selector", "select[data-choice=split]")
    wanted = cards[0].get_attribute("data-split")
    choice.send_keys(wanted)
    shown = [card for card in cards if card.is_displayed()]
    assert shown == [card for card in cards if card.get_attribute("data-split") == wanted]
    assert opened.find_element("id", "count").text == str(len(shown))


def test_clips_play(opened: Browser) -> None:
    facts: Any = opened.execute_async_script(
        """const done = arguments[0], video = document.querySelector("video");
        video.addEventListener("timeupdate", () => video.currentTime > 0.1
          && done([video.videoWidth, video.duration]), {once: false});
        video.addEventListener("error", () => done([0, video.error.message]));
        video.play();"""
    )
    assert facts[0] > 100
    assert facts[1] == pytest.approx(10, abs=0.5)


@pytest.mark.parametrize("width", [1200, 400])
def test_nothing_is_wider_than_the_window(opened: Browser, width: int) -> None:
    opened.set_window_size(width, 900)
    wide = opened.execute_script(
        "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    assert wide <= 0
