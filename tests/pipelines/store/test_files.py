"""Files by path or URI."""

import os
from pathlib import Path

from pipelines.store.files import list_tree


def test_tree_is_listed_without_hidden_folders_and_each_folder_once(tmp_path: Path) -> None:
    (tmp_path / "in" / "deeper").mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    for name in ("a.mp4", "in/b.mp4", "in/deeper/c.mp4", ".hidden/d.mp4"):
        (tmp_path / name).touch()
    (tmp_path / "in" / "loop").symlink_to(tmp_path)
    (tmp_path / "in" / "dangling.mp4").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe.mp4")
    listed = [path.removeprefix(f"{tmp_path}/") for path in list_tree(str(tmp_path))]
    assert listed == ["a.mp4", "in/b.mp4", "in/dangling.mp4", "in/deeper/c.mp4", "pipe.mp4"]


def test_tree_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert list_tree(str(tmp_path / "nothing")) == []
