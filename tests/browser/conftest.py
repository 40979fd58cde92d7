"""A real browser without a window; the tests are skipped with a sentence where there is none."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from models import localise, predict, report, separate
from schemas.machine.ffmpeg import ffmpeg_binary
from tests.models.commands import Main, run_command
from tests.models.conftest import trained
from tests.stores.bags import BAG_RECIPE, write_bag_store
from tests.stores.parsing import ParsingRows
from tests.stores.tagging import write_tagging_store

Browser = Any
SMALL = ("--learning-rate", 0.01, "--hidden", 16, "--epochs", 3)


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


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[[Path], Browser]]:
    """Function that opens a page in a window of 1200 pixels; it must make no error, no request."""
    opened: list[Path] = []

    def opens(page: Path) -> Browser:
        opened.append(page)
        browser.set_window_size(1200, 900)
        browser.get("about:blank")
        for name in ("browser", "performance"):
            browser.get_log(name)
        browser.get(page.as_uri())
        return browser

    yield opens
    assert browser.get_log("browser") == []
    assert asked(browser) <= {page.as_uri() for page in opened}


def asked(browser: Browser) -> set[str]:
    """Return every address that the browser asked for since the last look, but data."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = {
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    }
    return {url for url in urls if not url.startswith(("data:", "about:"))}


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of a moving picture and of a tone with noise; its name is hostile."""
    path = tmp_path_factory.mktemp("media") / "film <b>&amp;.mp4"
    inputs = (
        "testsrc2=size=320x180:rate=12:duration=4",
        "anoisesrc=duration=2:amplitude=0.3:seed=1",
        "sine=frequency=440:duration=2",
    )
    sources = [word for source in inputs for word in ("-f", "lavfi", "-i", source)]
    command = [ffmpeg_binary(), "-v", "error", "-nostdin", *sources, "-pix_fmt", "yuv420p"]
    joined = ["-filter_complex", "[1:a][2:a]concat=n=2:v=0:a=1[a]", "-map", "0:v", "-map", "[a]"]
    subprocess.run([*command, *joined, "-threads", "1", str(path)], check=True)
    return path


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory, film: Path) -> dict[str, Path]:
    """Every page of the models: of two runs, of both side by side, of a film by each command."""
    folder = tmp_path_factory.mktemp("pages")
    parsing = ParsingRows().write(folder / "parsing", recipe=BAG_RECIPE)
    bags = write_bag_store(folder / "bags")
    han = trained(tmp_path_factory, "han", parsing, "--epochs", 3)
    again = trained(tmp_path_factory, "han", parsing, "--epochs", 2, "--seed", 2)
    boxes = trained(tmp_path_factory, "two_stream", bags, *SMALL)
    components = trained(tmp_path_factory, "ncp_mil-audio", bags, *SMALL)
    many = [f"Class {number}" for number in range(14)]
    tagging = write_tagging_store(folder / "tagging", classes=many)
    tags = trained(tmp_path_factory, "fayek_visual", tagging, "--epochs", 1)
    made = {
        "run": han / "report.html", "tagging-run": tags / "report.html",
        "comparison": folder / "comparison.html", "events": folder / "out" / "events.html",
        "tags": folder / "out" / "tags.html", "localisation": folder / "localisation.html",
        "separation": folder / "separation.html",
    }  # fmt: skip
    out, labels = ("--out", folder / "out"), ("--label", "Dog")
    done(report.main, han, again, "--html", made["comparison"])
    done(predict.main, "--run", han, film, *out)
    done(predict.main, "--run", boxes, film, *out)
    done(localise.main, "--run", boxes, film, *labels, *out, "--html", made["localisation"])
    done(separate.main, "--run", components, film, *labels, *out, "--html", made["separation"])
    return made


def done(main: Main, *words: object) -> None:
    """Run a command that must succeed."""
    ran = run_command(main, *words)
    assert ran.returncode == 0, ran.stderr
