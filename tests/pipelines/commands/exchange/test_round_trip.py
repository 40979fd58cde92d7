"""`beam export --to webdataset|hf` and `beam import`: other programs read it, and it comes back."""

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from datasets import get_dataset_config_names, get_dataset_split_names, load_dataset

from models.data.integrity import refuse_edited
from schemas import read_store_manifest, tensor_shape, tensor_values
from tests.complaints import sentence
from tests.pipelines.conftest import Beam
from tests.stores.compare import read_table, same_rows
from tests.stores.edits import edit_record
from tests.stores.parsing import ParsingRows
from tests.stores.units import add_units

FORMS = ("webdataset", "hf")
LABELS = [
    {"clip_key": "train00_0_10", "snippet_index": second, "modality": "audio", "label": "Dog",
     "score": 0.1 * second}
    for second in range(10)
]  # fmt: skip


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`parsing`, with events, pseudo labels, clips without sound; `boxes`, with failures."""
    root = tmp_path_factory.mktemp("exchange")
    ParsingRows().write(root / "parsing", more={"pseudo_labels": LABELS})
    add_units(root / "boxes", units=3, boxes=4)
    return root


def exported(beam: Beam, places: Path, store: str, form: str) -> Path:
    """The export of a store, made when it is first asked for."""
    out = places / f"{store}-{form}"
    if not out.exists():
        done = beam("export", places / store, "--to", form, "--out", out, "--shard-mb", "1")
        assert done.returncode == 0, done.stderr
    return out


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("store", ["parsing", "boxes"])
def test_what_comes_back_is_equal(places: Path, store: str, form: str, beam: Beam) -> None:
    first, back = places / store, places / f"{store}-{form}-back"
    done = beam("import", exported(beam, places, store, form), "--out", back)
    assert done.returncode == 0, done.stderr
    checked = beam("validate", back)
    assert "clean" in checked.stdout, checked.stdout
    tables = ("clips", "snippets", *(("proposals",) if store == "boxes" else ("pseudo_labels",)))
    same_rows(first, back, tables)
    was, now = read_store_manifest(first), read_store_manifest(back)
    for name in ("failures", "events"):
        one, other = (
            [row for path in manifest.paths(name) for row in pq_rows(path)]
            for manifest in (was, now)
        )
        assert one == other
        assert one or (store, name) in (("parsing", "failures"), ("boxes", "events"))
    files = {"tables", "sha256", "receipts_sha256"}
    assert {key: value for key, value in was.data.items() if key not in files} == {
        key: value for key, value in now.data.items() if key not in files
    }


def pq_rows(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


def read_samples(folder: Path, split: str) -> dict[str, dict[str, bytes]]:
    """Samples by key, as WebDataset takes names apart: at the first dot."""
    found: dict[str, dict[str, bytes]] = {}
    for path in sorted(folder.glob(f"{split}-*.tar")):
        with tarfile.open(path) as archive:
            for member in archive:
                key, ending = member.name.split(".", 1)
                file = archive.extractfile(member)
                assert file is not None
                found.setdefault(key, {})[ending] = file.read()
    return found


def test_samples_are_those_of_webdataset(places: Path, beam: Beam) -> None:
    folder = exported(beam, places, "parsing", "webdataset")
    assert len(list(folder.glob("train-*.tar"))) > 1
    rows = read_table(places / "parsing", "snippets")
    clips = read_table(places / "parsing", "clips").to_pylist()
    for split in ("train", "val", "test"):
        found = read_samples(folder, split)
        assert [*found] == [clip["clip_key"] for clip in clips if clip["split"] == split]
        for key, sample in found.items():
            told = json.loads(sample["json"])
            assert told["clip_key"] == key
            mine = rows.filter([name == key for name in rows["clip_key"].to_pylist()])
            for column in ("vggish", "resnet152", "r2plus1d"):
                shape = tensor_shape(mine.schema.field(column)) or ()
                values, present = tensor_values(mine[column].combine_chunks(), shape)
                assert told["absent"][column] == np.flatnonzero(~present).tolist()
                if present.any():
                    array = np.load(io.BytesIO(sample[f"{column}.npy"]))
                    np.testing.assert_array_equal(array, values)
                else:
                    assert f"{column}.npy" not in sample
    events = json.loads(read_samples(folder, "val")["val00_0_10"]["json"])["events"]
    known = [event for event in ParsingRows().events if event["clip_key"] == "val00_0_10"]
    assert [{"clip_key": "val00_0_10", **event} for event in events] == known


def test_hub_finds_every_table_and_split(places: Path, tmp_path: Path, beam: Beam) -> None:
    folder = exported(beam, places, "boxes", "hf")
    configs = get_dataset_config_names(str(folder))
    assert configs == ["clips", "snippets", "proposals", "failures"]
    clips = read_table(places / "boxes", "clips").to_pylist()
    for name, each in (("clips", 1), ("snippets", 10), ("proposals", 4)):
        splits = get_dataset_split_names(str(folder), name)
        assert sorted(splits) == ["test", "train", "val"]
        for split in splits:
            rows = load_dataset(str(folder), name, split=split, cache_dir=str(tmp_path))
            keys = {clip["clip_key"] for clip in clips if clip["split"] == split}
            assert set(rows["clip_key"]) == keys
            assert len(rows) == each * len(keys)
    failures = load_dataset(str(folder), "failures", split="train", cache_dir=str(tmp_path))
    assert len(failures) == 3


def test_data_set_of_the_hub_is_a_store_to_read(places: Path, beam: Beam) -> None:
    folder = exported(beam, places, "parsing", "hf")
    checked = beam("validate", folder)
    assert "clean" in checked.stdout, checked.stdout
    keys = read_table(folder, "clips")["clip_key"].to_pylist()
    refuse_edited(read_store_manifest(folder), keys)


def replaced(folder: Path, name: str, data: bytes) -> None:
    """Put other bytes in place of a file, with a record that vouches for them."""
    (folder / name).write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    edit_record(folder / "webdataset.json", lambda record: record["sha256"].update({name: digest}))


def tar_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def liar(size: int) -> bytes:
    """A tar file whose first header, one of long names, claims so many bytes."""
    member = tarfile.TarInfo("x")
    member.type, member.size = tarfile.XHDTYPE, size
    return member.tobuf(tarfile.GNU_FORMAT) + bytes(4096)


def spoilt(change: Callable[[dict[str, bytes]], object]) -> Callable[[bytes], bytes]:
    """A change of the members of the first sample."""

    def spoil(data: bytes) -> bytes:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            files = {
                member.name.split(".", 1)[1]: archive.extractfile(member).read()  # type: ignore[union-attr]
                for member in archive
                if member.name.startswith("val00_0_10.")
            }
        change(files)
        return tar_of({f"val00_0_10.{ending}": content for ending, content in files.items()})

    return spoil


def told(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    """A change of the JSON of the first sample."""

    def spoil(files: dict[str, bytes]) -> None:
        content = json.loads(files["json"])
        change(content)
        files["json"] = json.dumps(content).encode()

    return spoilt(spoil)


def npy(values: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


HOSTILE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "cut off": (lambda data: data[:5000], "cannot be"),
    "no tar": (lambda data: b"no tar at all" * 99, "cannot be read as a tar file"),
    "huge header": (lambda data: liar(2**40), "cannot be"),
    "clips gone": (spoilt(lambda files: None), "does not hold the clips that it names"),
    "no json": (spoilt(lambda files: files.pop("json")), "no member json"),
    "json is a list": (spoilt(lambda files: files.update(json=b"[]")), "no object"),
    "deep json": (spoilt(lambda files: files.update(json=b"[" * 10**5)), "nested"),
    "another clip": (told(lambda clip: clip.update(clip_key="../x")), "that of clip '../x'"),
    "another table": (told(lambda clip: clip["tables"].update(x={})), "a table 'x'"),
    "columns of no length": (
        told(lambda clip: clip["tables"]["snippets"].update(valid=[])), "not of one length"
    ),
    "columns of text": (
        told(lambda clip: clip["tables"]["snippets"].update(start_s=["x"] * 10)), "val00_0_10"
    ),
    "absent rows beyond": (
        told(lambda clip: clip["absent"].update(vggish=[10])), "which of 10 rows"
    ),
    "no array": (spoilt(lambda files: files.pop("vggish.npy")), "no member vggish.npy"),
    "other shape": (
        spoilt(lambda files: files.update({"vggish.npy": npy(np.zeros((10, 5), "f4"))})),
        "[10, 5], should be [10, 128]",
    ),
    "objects": (
        spoilt(lambda files: files.update({"vggish.npy": npy(np.array([None] * 9))})), "real"
    ),
    "not finite": (
        spoilt(lambda files: files.update({"vggish.npy": npy(np.full((10, 128), np.nan, "f4"))})),
        "not finite",
    ),
    "strange member": (spoilt(lambda files: files.update(sh=b"rm")), "member 'sh'"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_tar_is_one_sentence_and_leaves_nothing(
    case: str, places: Path, tmp_path: Path, beam: Beam
) -> None:
    spoil, expected = HOSTILE[case]
    source, folder = exported(beam, places, "parsing", "webdataset"), tmp_path / "copy"
    folder.mkdir()
    for path in source.rglob("*.*"):
        (folder / path.relative_to(source)).parent.mkdir(exist_ok=True)
        (folder / path.relative_to(source)).write_bytes(path.read_bytes())
    edit_record(folder / "webdataset.json", lambda record: record.update(shards=["val-000000.tar"]))
    replaced(folder, "val-000000.tar", spoil((source / "val-000000.tar").read_bytes()))
    done = beam("import", folder, "--out", tmp_path / "out")
    assert expected in sentence(done, done.returncode)
    assert done.returncode in (1, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_changed_or_missing_files_are_named(places: Path, tmp_path: Path, beam: Beam) -> None:
    source = exported(beam, places, "boxes", "webdataset")
    (tmp_path / "webdataset.json").write_bytes((source / "webdataset.json").read_bytes())
    said = sentence(beam("import", tmp_path, "--out", tmp_path / "out"), 1)
    assert "is not there" in said
    for path in source.rglob("*.*"):
        (tmp_path / path.relative_to(source)).parent.mkdir(exist_ok=True)
        (tmp_path / path.relative_to(source)).write_bytes(path.read_bytes() + b" ")
    (tmp_path / "webdataset.json").write_bytes((source / "webdataset.json").read_bytes())
    said = sentence(beam("import", tmp_path, "--out", tmp_path / "out"), 1)
    assert "sha256 differs" in said
    edit_record(tmp_path / "webdataset.json", lambda record: record.update(shards=["../x.tar"]))
    assert "no tar files beside it" in sentence(beam("import", tmp_path, "--out", tmp_path / "out"))


def test_what_is_no_export_is_refused(places: Path, tmp_path: Path, beam: Beam) -> None:
    assert "holds neither" in sentence(beam("import", tmp_path, "--out", tmp_path / "out"))
    said = sentence(beam("import", places / "boxes", "--out", tmp_path / "out"))
    assert "is a feature store already" in said
    source = exported(beam, places, "boxes", "hf")
    assert "is there already" in sentence(beam("import", source, "--out", source))
    assert list(tmp_path.iterdir()) == []
