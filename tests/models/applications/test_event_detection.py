"""Parsing of new media: events, table, picture, and what is refused."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from models import predict, train
from models.applications.media_files import write_sound
from models.applications.new_media import open_run
from models.data.clips import open_clips
from schemas import UsageError
from tests.stores.bags import BAG_RECIPE, write_bag_store
from tests.stores.parsing import ParsingRows


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ParsingRows().write(tmp_path_factory.mktemp("store"), recipe=BAG_RECIPE)


@pytest.fixture(scope="module")
def run(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    train.main(["han", "--features", str(store), "--epochs", "4", "--run", str(folder)])
    return folder


@pytest.fixture
def heard(tmp_path: Path) -> Path:
    path = tmp_path / "heard.wav"
    time = np.arange(2 * 16_000) / 16_000
    write_sound(path, np.sin(2 * np.pi * 440 * time).astype(np.float32))
    return path


@pytest.fixture
def known_features(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Features of new media are those of a small store, so that no picture net is needed."""

    @contextmanager
    def made(*_: object, **__: object) -> Iterator[Path]:
        yield store

    monkeypatch.setattr(predict, "new_features", made)


def test_stretches_cover_exactly_the_seconds_decided() -> None:
    decided = np.random.default_rng(0).random((200, 10)) < 0.5
    for seconds in decided:
        found = predict.stretches(seconds)
        again = np.zeros(10, bool)
        for first, last in found:
            again[first:last] = True
        assert (again == seconds).all()
        assert all(after[0] > before[1] for before, after in pairwise(found))


def test_events_are_what_the_model_decides(run: Path, store: Path) -> None:
    opened = open_run(run)
    data = open_clips(store, opened.needs, classes=opened.classes)
    found = predict.parse(opened, data)
    seconds = 0
    for index in range(len(data.keys)):
        for one in predict.events_of(found, data, index):
            seconds += int(one.event.offset_s - one.event.onset_s)
            assert 0.5 <= one.probability <= 1.0
    assert seconds == found.heard.sum() + found.seen.sum() > 0
    absent = ~data.present["vggish"].numpy()
    assert absent.any()
    assert not found.heard[absent].any()


def test_events_of_a_clip_do_not_depend_on_the_others(run: Path, tmp_path: Path) -> None:
    opened = open_run(run)
    found = []
    for name, others in (("alone", 0), ("beside", 2)):
        writer = ParsingRows()
        short, *rest = writer.clips[-1 - others :][::-1]
        writer.clips, writer.events = [short, *rest], []
        short["n_snippets"] = 4
        keys = {one["clip_key"] for one in writer.clips}
        writer.snippets = [
            one
            for one in writer.snippets
            if one["clip_key"] in keys
            and (one["clip_key"] != short["clip_key"] or one["snippet_index"] < 4)
        ]
        store = writer.write(tmp_path / name)
        data = open_clips(store, opened.needs, classes=opened.classes)
        assert data.seconds == (10 if others else 4)
        found.append(predict.parse(opened, data))
    np.testing.assert_allclose(found[1].audio[0, :4], found[0].audio[0], atol=1e-6)
    np.testing.assert_allclose(found[1].visual[0, :4], found[0].visual[0], atol=1e-6)
    assert not found[1].heard[0, 4:].any()


@pytest.mark.usefixtures("known_features")
def test_command_writes_events_and_a_picture_a_file(
    run: Path, heard: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    predict.main([str(heard), str(heard), "--run", str(run), "--out", str(out)])
    said = capsys.readouterr().out
    assert "events.csv" in said
    rows = list(csv.DictReader((out / "events.csv").open()))
    assert all(set(row) == {"file", "modality", "label", "onset", "offset", "probability"}
               for row in rows)  # fmt: skip
    assert len(list(out.glob("*heard.png"))) == 2
    assert all(row["label"] in said for row in rows)


def test_real_media_go_through_the_features_job(
    store: Path, heard: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "run", tmp_path / "out"
    train.main(["talnet", "--features", str(store), "--epochs", "1", "--run", str(folder)])
    predict.main([str(heard), "--run", str(folder), "--out", str(out)])
    assert "heard.wav" in capsys.readouterr().out
    assert (out / "events.csv").read_text().startswith("file,modality,label,onset,offset")


def test_run_that_tags_is_refused(tmp_path: Path, heard: Path) -> None:
    folder = tmp_path / "run"
    store = write_bag_store(tmp_path / "store")
    train.main(
        ["two_stream-audio", "--features", str(store), "--epochs", "1", "--run", str(folder)]
    )
    with pytest.raises(UsageError, match="tags whole clips; parsing needs a model such as han"):
        predict.main([str(heard), "--run", str(folder)])


def test_words_that_are_missing_are_asked_for(run: Path, heard: Path) -> None:
    with pytest.raises(UsageError, match="say which run, and which media"):
        predict.main(["--run", str(run)])
    with pytest.raises(UsageError, match="say which run, and which media"):
        predict.main([str(heard)])
