"""What is written: links lead somewhere, all pages are on the site, workflows call real targets."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.places import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_OUTSIDE = re.compile(r"https?://[a-z0-9.-]+\.[a-z]{2,}(/\S*)?", re.IGNORECASE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert list(_broken(page)) == []


def _broken(page: Path) -> Iterator[str]:
    for link in _LINK.findall(_prose(page)):
        if "://" in link:
            if not _OUTSIDE.fullmatch(link):
                yield link
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            yield link


def _prose(page: Path) -> str:
    """Return a page without its code."""
    return re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL)


def _anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and the site make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    words = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {word.strip().replace(" ", "-") for word in words}


def test_every_page_is_on_the_site() -> None:
    text = (ROOT / "mkdocs.yml").read_text()
    named = re.findall(r"^ +- [^:\n]+: (\S+\.md)$", text, re.MULTILINE)
    pages = (ROOT / "docs").rglob("*.md")
    assert sorted(named) == sorted(str(page.relative_to(ROOT / "docs")) for page in pages)


def test_workflows_are_valid() -> None:
    assert WORKFLOWS
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "github-workflows"]
    checked = subprocess.run([*command, *WORKFLOWS], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_call_targets_that_are_there(workflow: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    called = set()
    for job in yaml.safe_load(workflow.read_text())["jobs"].values():
        chosen = job.get("strategy", {}).get("matrix", {}).get("include", [])
        called |= {choice["target"] for choice in chosen}
        lines = [step["run"] for step in job["steps"] if "run" in step]
        called |= {name for line in lines for name in re.findall(r"\bmake ([a-z-]+)", line)}
    assert called
    assert called <= targets


def test_the_weekly_workflow_calls_every_long_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    long = set(re.findall(r"^(test-[a-z]+|bench):", makefile, re.MULTILINE))
    choices = yaml.safe_load((ROOT / ".github/workflows/weekly.yml").read_text())
    named = {
        choice["target"] for choice in choices["jobs"]["long"]["strategy"]["matrix"]["include"]
    }
    assert named == long
