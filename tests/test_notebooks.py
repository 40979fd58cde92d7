"""The notebooks run from their first to their last cell, on small stores, and show pictures."""

from pathlib import Path

import pytest

from tests.places import ROOT
from tests.stores import bags, parsing

FOLDER = ROOT / "docs" / "notebooks"


@pytest.fixture(scope="module", params=["own_sounds", "parsing", "separation"])
def ready(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, dict[str, str]]:
    """A notebook and the environment in which it finds its store."""
    name, folder = str(request.param), tmp_path_factory.mktemp(str(request.param))
    places = {"WORK": str(folder), "RUN": str(folder / "run"), "STORE": str(folder / "store")}
    if name == "parsing":
        parsing.ParsingRows().write(folder / "store")
    if name == "separation":
        with pytest.MonkeyPatch.context() as patch:
            for module in (parsing, bags):
                patch.setattr(module, "CLASSES", ("Frog", "Tugboat", "Hammer", "Marimba"))
            bags.write_bag_store(folder / "store")
    return name, places


def test_notebook_runs(
    ready: tuple[str, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nbformat = pytest.importorskip("nbformat", reason="no nbformat: notebooks are not run")
    nbclient = pytest.importorskip("nbclient", reason="no nbclient: notebooks are not run")
    pytest.importorskip("ipykernel", reason="no ipykernel: notebooks are not run")
    name, places = ready
    for key, value in {"EPOCHS": "3", "PYTHONPATH": str(ROOT), **places}.items():
        monkeypatch.setenv(key, value)
    book = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    client = nbclient.NotebookClient(
        book, timeout=300, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    outputs = [output for cell in book.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 2
    nbformat.validate(book)


def test_every_notebook_is_run() -> None:
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == {"own_sounds", "parsing", "separation"}
