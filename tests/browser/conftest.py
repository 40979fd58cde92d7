"""A real browser without a window; the tests are skipped with a sentence where there is none."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

Browser = Any


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, driven by selenium, with the console kept."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("no chromium and chromedriver here; apt-get install chromium chromium-driver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = program
    for word in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--mute-audio",
        "--autoplay-policy=no-user-gesture-required", "--window-size=1200,900",
    ):  # fmt: skip
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    window = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield window
    window.quit()
