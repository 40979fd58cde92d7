"""Help, lists, versions and mistyped options of models/*.py import nothing heavy."""

import json
import re
import subprocess
import sys

import pytest

from models import net_index, registry
from tests.places import ROOT

HEAVY = (
    "apache_beam", "cv2", "librosa", "matplotlib", "numpy", "pandas", "pyarrow", "safetensors",
    "scipy", "sklearn", "tensorflow", "torch", "torchvision",
)  # fmt: skip
PEAK_MB = 60
MOST_MODULES = 600
COMMANDS = (
    "train",
    "evaluate",
    "predict",
    "export",
    "separate",
    "localise",
    "mixtures",
    "analysis",
    "robustness",
    "papers",
    "report",
)


def ask(*words: str) -> tuple[subprocess.CompletedProcess[str], set[str], int, float]:
    """Return what a command said, the modules that it imported, how many, and its memory in MB."""
    command, *arguments = words
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['models/{command}.py', *sys.argv[1:]]\n"
        "try:\n"
        f"    runpy.run_path('models/{command}.py', run_name='__main__')\n"
        "finally:\n"
        "    sys.stderr.writelines(line for line in open('/proc/self/status') if 'VmHWM' in line)\n"
    )
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code, *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = re.findall(r"^import time:.*\|\s*(\S+)$", done.stderr, re.MULTILINE)
    peak = re.search(r"^VmHWM:\s*(\d+) kB$", done.stderr, re.MULTILINE)
    assert peak is not None, done.stderr
    return done, {line.split(".")[0] for line in lines}, len(lines), float(peak[1]) / 1024


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        *((f"{name} --help", 0, "usage: ") for name in COMMANDS),
        *((f"{name} --version", 0, "earsight ") for name in COMMANDS),
        *((f"{name} --hlep", 2, "error: unknown option --hlep; did you mean") for name in COMMANDS),
        ("train --list", 0, "han-gru"),
        ("train han-gru --help", 0, "(default: gru)"),
        ("train han --epcohs 3", 2, "error: unknown option --epcohs; did you mean --epochs?"),
        ("train hun --epochs 3", 2, "did you mean 'han'?"),
    ],
)
def test_answer_is_light(words: str, status: int, said: str) -> None:
    done, imported, count, peak_mb = ask(*words.split())
    assert done.returncode == status, done.stderr[-2000:]
    assert said in done.stdout + done.stderr
    assert imported.isdisjoint(HEAVY)
    assert count < MOST_MODULES
    assert peak_mb < PEAK_MB


@pytest.mark.parametrize("name", registry.MODELS)
def test_index_says_what_the_nets_say(name: str) -> None:
    written = json.loads(net_index.INDEX.read_text())
    made = json.loads(json.dumps(net_index.make_entry(name)))
    assert written[name] == made, "a net has changed: run make index"


def test_changed_net_is_read_from_its_own_file(monkeypatch: pytest.MonkeyPatch) -> None:
    stale = json.loads(net_index.INDEX.read_text())["han"]
    stale["options"] = []
    monkeypatch.setattr(net_index, "_index", lambda: {"han": stale})
    assert net_index.entry("han").options == ()
    stale["sources"]["models/nets/parsing/han.py"] = "0" * 64
    assert "--epochs" in {option.name for option in net_index.entry("han").options}
