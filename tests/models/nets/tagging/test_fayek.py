"""The single-modal nets of Fayek & Kumar, and those that they are compared with."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from models import registry, train
from models.contract.batch import Batch
from models.contract.config import TrainConfig
from models.data.clips import open_clips
from models.nets.tagging import fayek_audio
from models.nets.tagging.augment import crop
from models.nets.tagging.logmel import BandNorm, Spectrogram, fit_bands, spectrogram
from models.tasks.tagging import Tagging
from models.training import loop
from models.training.method import NetMethod
from models.training.state import begin
from schemas import UsageError
from tests.stores.tagging import CLASSES, write_tagging_store

NAMES = (
    "fayek_audio", "fayek_visual", "audio_resnet50", "r2plus1d_101", "r2plus1d_101-probe",
    "g_blend", "g_blend-probe",
)  # fmt: skip
SMALL = {"depth": 18, "width": 4, "classes": 5}
"""Settings of nets that see pixels, for a CPU."""
SHAPES = {"logmel": (100, 64), "resnet152": (2048,), "r2plus1d": (512,)}


def clips(count: int = 4, seconds: int = 2, classes: int = 5, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.zeros(count, classes)
    labels[torch.arange(count), torch.arange(count) % classes] = 1.0
    pixels = torch.randint(0, 256, (count, 2, 4, 32, 32, 3), generator=generator)
    return Batch(
        features={
            name: torch.randn(count, seconds, *shape, generator=generator)
            for name, shape in SHAPES.items()
        }
        | {"frames": pixels.to(torch.uint8)},
        present={
            name: torch.ones(count, seconds, dtype=torch.bool) for name in (*SHAPES, "frames")
        },
        labels=labels,
    )


def small(name: str) -> tuple[NetMethod[Any], TrainConfig]:
    """The method and small settings of an experiment."""
    model, experiment = registry.find(name)
    method = registry.load(model)
    known = {one.name for one in dataclasses.fields(method.config)}
    changes = {key: value for key, value in SMALL.items() if key in known}
    return method, method.config.from_json({**experiment.settings, **changes})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tagging_store(tmp_path_factory.mktemp("tagging") / "store")


@pytest.mark.parametrize(
    ("name", "count"), [("fayek_audio", 14_677_711), ("fayek_visual", 12_080_655)]
)
def test_parameters_at_527_classes_are_the_papers(name: str, count: int) -> None:
    net = registry.build(name, classes=527)
    assert sum(one.numel() for one in net.parameters()) == count


def test_maps_have_the_sizes_of_table_1() -> None:
    maps = torch.zeros(1, 1, 1024, 64)
    sizes = []
    with torch.no_grad():
        for layer in fayek_audio.blocks().eval():
            maps = layer(maps)
            sizes.append(tuple(maps.shape[1:]))
    assert sizes == [
        (64, 1024, 64), (64, 1024, 64), (64, 256, 16),
        (128, 256, 16), (128, 256, 16), (128, 128, 8),
        (256, 128, 8), (256, 128, 8), (256, 64, 4),
        (512, 64, 4), (512, 64, 4), (512, 32, 2),
        (2048, 30, 1), (1024, 30, 1), (1024, 30, 1),
    ]  # fmt: skip


@pytest.mark.parametrize(("frames", "segments"), [(1024, 30), (1000, 29), (998, 29), (96, 1)])
def test_blocks_give_the_measured_segments(frames: int, segments: int) -> None:
    with torch.no_grad():
        assert fayek_audio.blocks().eval()(torch.zeros(1, 1, frames, 64)).shape[2] == segments


@pytest.mark.parametrize(("seconds", "segments"), [(10, 30), (5, 14), (1, 2)])
def test_clips_of_any_length_are_heard(seconds: int, segments: int) -> None:
    net = registry.build("fayek_audio", classes=3).eval()
    with torch.no_grad():
        outputs = net(clips(2, seconds, 3))
    assert outputs.extra["segments"].shape == (2, segments, 3)
    torch.testing.assert_close(outputs.clip, outputs.extra["segments"].mean(dim=1))


def test_absent_seconds_do_not_count() -> None:
    net = registry.build("fayek_audio", classes=3).eval()
    assert isinstance(net, fayek_audio.Model)
    batch = clips(1, 6, 3)
    batch.present["logmel"][:, 3:] = False
    with torch.no_grad():
        outputs = net(batch)
        _, heard = net.segments(net.bands(spectrogram(batch)))
    assert heard[0].tolist() == [1.0] * 8 + [0.0] * (heard.shape[1] - 8)
    torch.testing.assert_close(outputs.clip, outputs.extra["segments"][:, :8].mean(dim=1))


def test_steps_of_resnet50_lie_where_their_sound_is() -> None:
    torch.manual_seed(0)
    method = registry.load("audio_resnet50")
    net, task = method.build(method.config(classes=3)), method.card.task
    assert isinstance(task, Tagging)
    assert task.timeline is not None
    grid = task.timeline
    for one in net.modules():
        if isinstance(one, torch.nn.BatchNorm2d):
            one.momentum = 1.0  # statistics of the next batch, so that scores are not saturated
    quiet = clips(1, 10, 3)
    with torch.no_grad():
        net.train()(clips(4, 10, 3))
        before = net.eval()(quiet).extra["steps"]
        clip = net(quiet).clip
        for second in (2, 4, 7):
            loud = clips(1, 10, 3)
            loud.features["logmel"][:, second] += 5.0
            moved = (net(loud).extra["steps"] - before).abs().sum(dim=2)[0]
            times = torch.arange(len(moved)) * grid.hop_s + grid.window_s / 2
            middle = float((moved * times).sum() / moved.sum())
            assert middle == pytest.approx(second + 0.5, abs=0.5)
    assert before.shape == (1, 32, 3)  # 1000 frames, a step every 32
    assert grid.segments(10) == 31
    assert (before.amin(dim=1) <= clip).all()
    assert (clip <= before.amax(dim=1)).all()


def test_classes_that_validation_lacks_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = write_tagging_store(
        tmp_path / "store", train=36, val=2, test=6, labels=1, features=("r2plus1d",)
    )
    (val,) = {
        frozenset(label for row in pq.read_table(store / "clips").to_pylist()
                  if row["split"] == "val" for label in row["labels"])
    }  # fmt: skip
    absent = [name for name in CLASSES if name not in val]
    words = ["r2plus1d_101-probe", "--features", str(store), "--run", str(tmp_path / "run")]
    train.main([*words, "--epochs", "1"])
    said = (
        f"{len(absent)} of 6 classes have no clip in split 'val' ({', '.join(absent)}): their "
        "thresholds and probabilities rest on the other classes"
    )
    assert said in caplog.text


@pytest.mark.parametrize("name", NAMES)
def test_scores_are_probabilities_and_clips_do_not_mix(name: str) -> None:
    method, config = small(name)
    net = method.build(config).eval()
    batch = clips()
    alone = dataclasses.replace(
        batch,
        features={key: value[1:2] for key, value in batch.features.items()},
        present={key: value[1:2] for key, value in batch.present.items()},
    )
    with torch.no_grad():
        scores = net(batch).clip
        torch.testing.assert_close(scores[1:2], net(alone).clip, rtol=1e-4, atol=1e-5)
    assert scores.shape == (4, 5)
    assert ((scores >= 0) & (scores <= 1)).all()


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_learns(name: str) -> None:
    module, config = small(name)
    torch.manual_seed(0)
    net, loss, batch = module.build(config), module.loss(config), clips()
    total = loss(net.train()(batch), batch)["total"]
    total.backward()
    assert torch.isfinite(total)
    still = [key for key, one in net.named_parameters() if one.grad is None or not one.grad.any()]
    before_norm = {key for key in still if key.endswith("0.bias") and "blocks" in key}
    assert set(still) == before_norm  # batch normalisation takes a constant away again


def test_bands_are_normalised_by_training_clips_alone(store: Path) -> None:
    data = open_clips(store, ("logmel",))
    norm, other = BandNorm(), BandNorm()
    fit_bands(norm, data)
    data.features["logmel"][data.rows("test")] += 100.0
    fit_bands(other, data)
    assert torch.equal(norm.mean, other.mean)
    frames = data.features["logmel"][data.rows("train")].reshape(-1, 64)
    torch.testing.assert_close(norm.mean, frames.mean(dim=0), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(norm.std, frames.std(dim=0), rtol=1e-3, atol=1e-3)


def test_crops_follow_the_sound() -> None:
    frames = torch.full((1, 400, 64), -2.0)
    frames[:, 300:330] = 4.0
    torch.manual_seed(0)
    hits = sum(
        bool((crop(Spectrogram(frames, torch.ones(1, 400, dtype=torch.bool)), 96).frames > 0).any())
        for _ in range(100)
    )
    assert hits > 80  # a crop at random would meet the sound about 40 times


def test_students_learn_from_labels_and_their_teacher(tmp_path: Path) -> None:
    store = write_tagging_store(tmp_path, train=8, val=0, test=4, seconds=1, features=("logmel",))
    config = fayek_audio.Config(
        classes=len(CLASSES), epochs=2, stages=2, batch_size=8, augment="no", precision="fp32"
    )
    data = open_clips(store, ("logmel",))
    training = begin(
        fayek_audio.Model(config), fayek_audio.Loss(config), data, config, fayek_audio.CARD.task
    )
    fayek_audio.prepare(training)
    training.before_epoch = fayek_audio.before_epoch
    loop.fit(training, lambda one: None)
    loss = training.loss
    assert isinstance(loss, fayek_audio.Loss)
    assert loss.taught
    assert loss.teacher is not None
    batch = data.batch(data.rows("test"))
    outputs = training.model.eval()(batch)
    with torch.no_grad():
        teacher = loss.teacher.eval()(batch).clip
        target = 0.5 * batch.labels + 0.5 * teacher
        wanted = torch.nn.functional.binary_cross_entropy(outputs.clip, target)
    torch.testing.assert_close(loss(outputs, batch)["audio"], wanted, rtol=1e-4, atol=1e-5)
    assert [line["rate"] for line in training.state.history] == [1e-3, 1e-3]


def test_log_mel_of_another_shape_is_refused_in_a_sentence(tmp_path: Path) -> None:
    data = open_clips(write_tagging_store(tmp_path / "store", features=("logmel",)), ("logmel",))
    data.features["logmel"] = data.features["logmel"][:, :, :50, :40]
    for name in ("fayek_audio", "audio_resnet50", "g_blend", "cvssp"):
        method = registry.load(name)
        with pytest.raises(
            UsageError, match=r"has log-mel of 50 x 40 a second,? and \w+( net)? takes"
        ):
            method.check(method.config(), data)


def test_small_sets_get_small_batches_and_augmentation(store: Path) -> None:
    data = open_clips(store, ("logmel",))
    config = fayek_audio.adapt(fayek_audio.Config(), data)
    assert (config.augment, config.batch_size, config.stages) == ("yes", 8, 1)
    plain = fayek_audio.Config(augment="no")
    assert fayek_audio.adapt(plain, data) == plain


@pytest.mark.parametrize("name", ["fayek_visual", "r2plus1d_101-probe"])
def test_rows_train_from_the_command(name: str, store: Path, tmp_path: Path) -> None:
    arguments = [name, "--features", str(store), "--run", str(tmp_path), "--epochs", "3"]
    train.main([*arguments, "--batch-size", "16"])
    found = json.loads((tmp_path / "results.json").read_text())
    assert set(found["metrics"]["test"]) >= {"map", "mauc", "dprime", "micro_f1"}
    assert len(found["history"]) == 3
