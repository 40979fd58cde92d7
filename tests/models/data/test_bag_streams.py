"""Bags of instances that are streamed: the same as those held in memory, each part read once."""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from models import train
from models.data.clips import open_clips
from models.data.streaming import clips as streaming
from models.data.streaming.bag_rows import read_bag_rows
from models.data.streaming.clips import filled, fitting, open_data, open_stream
from models.data.streaming.readers import BagReader, JoinedReader
from models.data.streaming.row_groups import Part
from models.nets.tagging import two_stream
from schemas import UsageError
from schemas.features import BOXES
from tests.models.commands import refused, run_command
from tests.stores.bags import BAG_RECIPE, bag_rows
from tests.stores.parsing import CLASSES, ParsingRows

NEEDS = ("segments", "proposals", BOXES)
CONFIG = two_stream.Config(classes=len(CLASSES), batch_size=4)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = ParsingRows()
    without = rows.clips[5]["clip_key"]
    more = bag_rows(rows.clips, without_boxes=without)
    root = tmp_path_factory.mktemp("bags") / "store"
    return rows.write(root, parts=11, recipe=BAG_RECIPE, more=more)


def test_streamed_bags_are_those_held_in_memory(store: Path) -> None:
    held, streamed = open_clips(store, NEEDS), open_stream(store, NEEDS)
    order = torch.randperm(len(held.keys), generator=torch.Generator().manual_seed(0))
    for rows in (order, torch.tensor([5]), torch.tensor([5, 6])):
        one, other = held.batch(rows), streamed.batch(rows)
        for name in NEEDS:
            size = other.present[name].shape[1]
            assert torch.equal(other.features[name], one.features[name][:, :size])
            assert torch.equal(other.present[name], one.present[name][:, :size])
            assert not one.present[name][:, size:].any()
            assert streamed.shape(name) == held.shape(name)
            assert other.features[name].dtype == torch.float32
    assert not streamed.batch(torch.tensor([5])).present["proposals"].any()


def test_an_epoch_has_every_clip_once_and_reads_each_part_of_boxes_once(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    inner = BagReader.read_part

    def noted(reader: BagReader, part: int) -> object:
        if "proposals" in reader.needs:
            read.append(part)
        return inner(reader, part)

    monkeypatch.setattr(BagReader, "read_part", noted)
    data = open_stream(store, NEEDS, buffer_clips=12)
    orders = [data.order(CONFIG, epoch) for epoch in (1, 2)]
    for order in orders:
        assert torch.equal(order.sort().values, data.rows("train"))
    assert not torch.equal(*orders)
    for chunk in orders[0].split(4):  # type: ignore[no-untyped-call]
        data.batch(chunk)
    assert len(read) == len(set(read)) > 5
    assert isinstance(data.reader, JoinedReader)


def test_rows_of_a_clip_may_lie_apart(store: Path, tmp_path: Path) -> None:
    mixed = shutil.copytree(store, tmp_path / "mixed")
    for path in sorted((mixed / "proposals").glob("*.parquet")):
        table = pq.read_table(path)
        rank = [
            (row["rank"], index) for index, row in enumerate(table.select(["rank"]).to_pylist())
        ]
        pq.write_table(table.take([index for _, index in sorted(rank)]), path, row_group_size=7)
    held, streamed = open_clips(mixed, NEEDS), open_stream(mixed, NEEDS)
    rows = torch.arange(len(held.keys))
    one, other = held.batch(rows), streamed.batch(rows)
    for name in NEEDS:
        assert torch.equal(one.features[name], other.features[name])


def test_large_bags_are_streamed_and_train_as_they_do_in_memory(
    store: Path, tmp_path: Path
) -> None:
    assert type(open_data(store, NEEDS, None, CONFIG, memory_limit=2**20)).__name__ == (
        "StreamedClips"
    )
    assert type(open_data(store, NEEDS, None, CONFIG)).__name__ == "ClipData"
    given = ("two_stream-video", "--features", store, "--epochs", 30, "--hidden", 16)
    more = ("--learning-rate", 1e-3, "--batch-size", 8)
    scores = {}
    for wanted in ("yes", "no"):
        run = tmp_path / wanted
        assert (
            run_command(train.main, *given, *more, "--stream", wanted, "--run", run).returncode == 0
        )
        scores[wanted] = json.loads((run / "results.json").read_text())["metrics"]["test"]["map"]
    assert min(scores.values()) > 0.7
    assert abs(scores["yes"] - scores["no"]) < 0.1


def test_a_value_that_is_not_finite_and_a_missing_column_are_one_sentence(
    store: Path, tmp_path: Path
) -> None:
    path = sorted((store / "proposals").glob("*.parquet"))[0]
    table = pq.read_table(path)
    part = tmp_path / "part.parquet"
    pq.write_table(table.drop_columns(["score"]), part)
    with pytest.raises(
        UsageError, match=r"has no .*score in table proposals; run the features job"
    ):
        read_bag_rows(Part(part, (0,)), [BOXES])
    scores = table.column("score").to_numpy().copy()
    scores[3] = float("nan")
    column = table.schema.get_field_index("score")
    spoiled = table.set_column(column, table.schema.field(column), pa.array(scores))
    pq.write_table(spoiled, part)
    with pytest.raises(UsageError, match=f"has a value of {BOXES} that is not finite"):
        read_bag_rows(Part(part, (0,)), [BOXES])
    context = ("two_stream-context", "--features", store, "--run", tmp_path / "run")
    for wanted in ("yes", "no"):
        says = refused(train.main, *context, "--stream", wanted)
        assert "has no context in table proposals" in says
        assert says.rstrip().endswith("with another --out and --proposals-context 1.8x")
    assert not (tmp_path / "run").exists()


def test_buffers_of_large_clips_hold_fewer_of_them() -> None:
    assert fitting(1024, 1000) == 1024
    assert fitting(1024, 2**20) == 512
    assert fitting(1024, 2**30) == streaming.SMALLEST_BUFFER
    assert fitting(8, 2**30) == 8


def test_clip_in_no_file_is_ordered_with_the_one_before_it() -> None:
    none = torch.tensor([-1, -1, 3, -1, 0]).numpy()
    assert filled(none).tolist() == [0, 0, 3, 3, 0]
