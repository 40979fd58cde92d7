"""The dataset card: what it names, and whose words stay."""

from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import metadata_load

from pipelines.store.dataset_card import CARD_FILE, END, MOST_FILES, write_card


def manifest(parts: int = 2, dataset: str = "llp") -> dict[str, Any]:
    return {
        "dataset": dataset,
        "recipe": {"name": "llp-eccv20", "hash": "0123456789ab", "weights": "pretrained"},
        "counts": {
            "clips_in": 1200,
            "clips_done": 1100,
            "rows": {"clips": 1100, "components": 0, "segments": 7},
        },
        "subset_id": "a9bee50c7c944d86",
        "tables": {
            "clips": [f"clips/unit-{number}.parquet" for number in range(parts)],
            "components": [],
            "segments": ["segments/unit-0.parquet"],
        },
    }


def configs(store: Path) -> dict[str, Any]:
    head = metadata_load(store / CARD_FILE)
    assert head is not None
    return {config["config_name"]: config for config in head["configs"]}


def test_card_names_the_files_of_every_table_that_has_some(tmp_path: Path) -> None:
    write_card(str(tmp_path), manifest())
    found = configs(tmp_path)
    assert set(found) == {"clips", "segments"}
    assert found["clips"]["default"] is True
    assert found["clips"]["data_files"] == [
        {"split": "train", "path": ["clips/unit-0.parquet", "clips/unit-1.parquet"]}
    ]
    assert "1,100 of 1,200 clips" in (tmp_path / CARD_FILE).read_text()


@pytest.mark.parametrize(("parts", "named"), [(MOST_FILES - 1, True), (MOST_FILES, False)])
def test_many_parts_are_named_by_their_folder(parts: int, named: bool, tmp_path: Path) -> None:
    write_card(str(tmp_path), manifest(parts))
    paths = configs(tmp_path)["clips"]["data_files"][0]["path"]
    assert len(paths) == (parts if named else 1)
    assert named or paths == ["clips/*.parquet"]


def test_what_the_user_wrote_behind_the_end_stays(tmp_path: Path) -> None:
    card = tmp_path / CARD_FILE
    write_card(str(tmp_path), manifest())
    card.write_text(card.read_text() + "\n## Licence\nOurs.\n")
    write_card(str(tmp_path), manifest(dataset="ave"))
    assert "Features of ave" in card.read_text()
    assert card.read_text().endswith(f"{END}\n\n## Licence\nOurs.\n")


def test_readme_of_the_user_stays(tmp_path: Path) -> None:
    (tmp_path / CARD_FILE).write_text("# Mine\n")
    write_card(str(tmp_path), manifest())
    assert (tmp_path / CARD_FILE).read_text() == "# Mine\n"


def test_name_of_a_data_set_cannot_leave_its_place(tmp_path: Path) -> None:
    write_card(str(tmp_path), manifest(dataset='x"\n---\nconfigs: []'))
    assert set(configs(tmp_path)) == {"clips", "segments"}
