"""The authors' published `.npy` features become the same tables."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from pipelines.cli import main
from pipelines.commands.npy_files import read_features, stem_of
from schemas import KnownError, tensor_values
from tests.killed import count_equal
from tests.pipelines.conftest import Beam
from tests.pipelines.kills import is_killed_at
from tests.stores.compare import counts, read_table, same_rows

SHAPES = {"vggish": (10, 128), "resnet152": (80, 2048), "r2plus1d": (10, 512)}
KEYS = ["BjCEufrlXm4_20_30", "7nSYwyaP4QE_50_60", "AOBMyd9CPGg_20_30"]


@pytest.fixture
def annotations(tmp_path: Path) -> Path:
    """LLP's files with three clips."""
    folder = tmp_path / "annotations"
    folder.mkdir()
    head = "filename\tevent_labels\n"
    (folder / "AVVP_train.csv").write_text(f"{head}{KEYS[0]}\tSpeech,Dog\n{KEYS[1]}\tBanjo\n")
    (folder / "AVVP_val_pd.csv").write_text(f"{head}{KEYS[2]}\tSpeech\n")
    (folder / "AVVP_test_pd.csv").write_text(head + "00000000000_0_10\tCat\n")
    for name in ("audio", "visual"):
        (folder / f"AVVP_eval_{name}.csv").write_text(
            f"filename\tonset\toffset\tevent_labels\n{KEYS[2]}\t0\t4\tSpeech\n"
        )
    return folder


@pytest.fixture
def published(tmp_path: Path) -> dict[str, Path]:
    """Three folders of features for the three clips."""
    dice = np.random.default_rng(0)
    folders = {}
    for name, shape in SHAPES.items():
        folders[name] = tmp_path / name
        folders[name].mkdir()
        for key in KEYS:
            np.save(folders[name] / f"{key[:11]}.npy", dice.random(shape, dtype=np.float32))
    return folders


def words(annotations: Path, published: dict[str, Path], out: Path) -> list[object]:
    folders = [word for name, path in published.items() for word in (f"--{name}", path)]
    return ["import-npy", "--annotations", annotations, *folders, "--out", out]


def test_features_are_those_of_the_files(
    beam: Beam, annotations: Path, published: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = beam(*words(annotations, published, out))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # a line for each part is noise
    assert done.stdout.count("\n") == 2
    assert f"models/train.py han --features {out}" in done.stdout
    assert counts(out)["clips_done"] == 3
    assert counts(out)["failed_by_reason"] == {"not_found": 1}
    rows = read_table(out, "snippets")
    keys = rows["clip_key"].to_pylist()
    for name in SHAPES:
        values, present = tensor_values(rows[name].combine_chunks(), (SHAPES[name][1],))
        assert present.all()
        file = np.load(published[name] / f"{KEYS[0][:11]}.npy")
        expected = file.reshape(10, -1, file.shape[1]).mean(axis=1)
        mine = values[[key == KEYS[0] for key in keys]]
        np.testing.assert_allclose(mine, expected, rtol=1e-6)
    assert beam("validate", out).returncode == 0


def test_export_gives_the_files_that_were_imported(
    beam: Beam, annotations: Path, published: dict[str, Path], tmp_path: Path
) -> None:
    store, out = tmp_path / "store", tmp_path / "data"
    done = beam(*words(annotations, published, store), "--resnet152-frames", "keep")
    assert done.returncode == 0, done.stderr
    done = beam("export", store, "--to", "npy", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "1 failed" in done.stdout
    assert "8 times" not in done.stdout
    for name, folder in (
        ("vggish", "vggish"),
        ("resnet152", "res152"),
        ("r2plus1d", "r2plus1d_18"),
    ):
        for file in published[name].iterdir():
            np.testing.assert_array_equal(
                np.load(file), np.load(out / "feats" / folder / file.name)
            )
    for file in annotations.iterdir():
        if file.name != "AVVP_test_pd.csv":  # its clip has no features
            assert (out / file.name).read_text() == file.read_text()
    again = tmp_path / "again"
    more = ("--out", again, "--resnet152-frames", "keep")
    assert beam("import-npy", "--annotations", out, "--npy", out / "feats", *more).returncode == 0
    same_rows(store, again, ("clips", "snippets"))


def test_second_import_adds_what_arrived(
    beam: Beam, annotations: Path, published: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first = KEYS[0][:11]  # the first clip of the part comes late, and so does the last
    for folder in published.values():
        (folder / f"{first}.npy").rename(folder / "later.npy")
    beam(*words(annotations, published, out))
    assert counts(out)["clips_done"] == 2
    for folder in published.values():
        (folder / "later.npy").rename(folder / f"{first}.npy")
    assert beam(*words(annotations, published, out)).returncode == 0
    assert counts(out)["clips_done"] == 3
    for folder in published.values():
        shutil.copy(folder / f"{first}.npy", folder / "00000000000.npy")
    assert beam(*words(annotations, published, out)).returncode == 0
    assert counts(out)["clips_done"] == 4
    assert counts(out)["clips_failed"] == 0
    assert beam("validate", out).returncode == 0


def lying(path: Path, true: bytes, false: bytes) -> bytes:
    """A file whose header says something else."""
    data = path.read_bytes()
    assert true in data
    return data.replace(true, false, 1)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda path: np.save(path, np.zeros((10, 64), np.float32)), "format"),
        (lambda path: np.save(path, np.full((10, 128), np.nan, np.float32)), "not_finite"),
        (lambda path: path.write_bytes(b"no array"), "corrupt"),
        (lambda path: path.write_bytes(path.read_bytes()[:-4]), "corrupt"),
        (lambda path: path.write_bytes(path.read_bytes() + b"more"), "corrupt"),
        (lambda path: path.write_bytes(lying(path, b"(10, 128)", b"(10, 64 )")), "format"),
        (lambda path: path.write_bytes(lying(path, b"(10, 128)", b"(-10,128)")), "format"),
        (lambda path: path.write_bytes(lying(path, b"'<f4'", b"'<f9'")), "corrupt"),
        (lambda path: path.write_bytes(lying(path, b"'<f4'", b"'<f8'")), "corrupt"),
        (lambda path: path.write_bytes(lying(path, b"'<f4'", b"'|O' ")), "format"),
        (lambda path: np.savez(path.open("wb"), np.zeros((10, 128), np.float32)), "format"),
        (lambda path: np.save(path, np.full((10, 128), "1.5")), "format"),
        (lambda path: np.save(path, np.zeros((10, 128), "M8[s]")), "format"),
        (lambda path: np.save(path, np.ones((10, 128), np.complex64)), "format"),
        (lambda path: np.save(path, np.zeros((10, 128), "V4")), "format"),
        (lambda path: np.save(path, np.zeros((10, 128), [("a", "f4")])), "format"),
        (lambda path: np.save(path, np.zeros((10, 128), bool)), "format"),
        (lambda path: np.save(path, np.full((10, 128), 1e300)), "not_finite"),
    ],
)
def test_bad_file_is_that_clips_failure(
    published: dict[str, Path], spoil: Callable[[Path], object], reason: str
) -> None:
    path = published["vggish"] / f"{KEYS[1][:11]}.npy"
    spoil(path)
    with pytest.raises(KnownError) as refused:
        read_features(path, SHAPES["vggish"])
    assert refused.value.reason == reason
    assert f"vggish/{path.name}" in refused.value.detail


def test_bad_file_costs_no_other_clip(
    beam: Beam, annotations: Path, published: dict[str, Path], tmp_path: Path
) -> None:
    np.save(published["vggish"] / f"{KEYS[1][:11]}.npy", np.zeros((10, 64), np.float32))
    assert beam(*words(annotations, published, tmp_path / "out")).returncode == 0
    assert counts(tmp_path / "out")["failed_by_reason"] == {"not_found": 1, "format": 1}
    assert counts(tmp_path / "out")["clips_done"] == 2


def test_missing_folder(
    beam: Beam, annotations: Path, published: dict[str, Path], tmp_path: Path
) -> None:
    wrong = {**published, "vggish": tmp_path / "nothing"}
    done = beam(*words(annotations, wrong, tmp_path / "out"))
    assert done.returncode == 2
    assert "--vggish" in done.stderr
    assert not (tmp_path / "out").exists()


def test_compare_with_what_was_imported(
    beam: Beam, annotations: Path, published: dict[str, Path], tmp_path: Path
) -> None:
    feats = tmp_path / "feats"
    feats.mkdir()
    for name, sub in (("vggish", "vggish"), ("resnet152", "res152"), ("r2plus1d", "r2plus1d_18")):
        shutil.copytree(published[name], feats / sub)
    out = tmp_path / "out"
    assert (
        beam("import-npy", "--annotations", annotations, "--npy", feats, "--out", out).returncode
        == 0
    )
    same = beam("compare", out, "--npy", feats)
    assert same.returncode == 0, same.stderr
    assert same.stdout.count("1.00000") == 9
    turned = np.load(feats / "vggish" / f"{KEYS[1][:11]}.npy") * -1
    np.save(feats / "vggish" / f"{KEYS[1][:11]}.npy", turned)
    other = beam("compare", out, "--npy", feats).stdout
    assert "-1.00000" in other
    assert beam("compare", out, "--npy", out).returncode == 2


@pytest.mark.parametrize("kind", ["<f2", ">f4", "<f8", "<i4", "|u1"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_other_kinds_of_real_numbers_are_cast(
    tmp_path: Path, kind: str, order: Literal["C", "F"]
) -> None:
    values = np.arange(1280).reshape(10, 128) % 200
    np.save(tmp_path / "a.npy", np.asarray(values, kind, order=order))
    array = read_features(tmp_path / "a.npy", (10, 128))
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, values)


@pytest.mark.parametrize("key", ["../feats_x_0_10", "/etc/passwd_0_10", "..", "a\0b_0_10", ""])
def test_key_that_leads_out_of_the_folder(key: str) -> None:
    with pytest.raises(KnownError, match=r"unsafe_input: .* is not the name of a file"):
        stem_of(key)


@pytest.mark.parametrize("stride", [29, pytest.param(1, marks=pytest.mark.kills)])
def test_import_that_is_killed_goes_on(
    beam: Beam, annotations: Path, published: dict[str, Path], tmp_path: Path, stride: int
) -> None:
    calm = tmp_path / "calm"
    assert beam(*words(annotations, published, calm)).returncode == 0
    step, killed = 0, True
    while killed:
        out = tmp_path / str(step)
        command = [str(word) for word in words(annotations, published, out)]
        killed = is_killed_at(step, main, command)
        done = beam(*command)
        assert done.returncode == 0, (step, done.stderr)
        same_rows(calm, out, ("clips", "snippets", "failures"))
        assert counts(out) == counts(calm)
        assert not list(out.rglob(".tmp-*"))
        count_equal(killed)
        shutil.rmtree(out)
        step += stride
    assert step > 3 * 5  # three files of a commit, and more for the manifest
