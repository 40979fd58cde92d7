"""Trained runs as ONNX and TorchScript: equal to the run, described, refused otherwise."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models import export
from models.applications.clip_tags import tag_clips
from models.applications.export import file as exported
from models.applications.export.net import ExportedNet, inputs_of
from models.applications.new_media import open_run
from models.data.clips import open_clips
from models.data.pixels import open_pixels
from models.data.source import read_clip_table
from schemas import JobError
from tests.complaints import sentence
from tests.models.commands import refused, run_command, trained
from tests.stores.tagging import CLASSES, write_tagging_store

TINY = ("--depth", 18, "--width", 4, "--side", 32, "--clip-frames", 4, "--views", 2)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "store"
    return write_tagging_store(folder, train=12, val=6, test=6, seconds=2, parts=2, frames=True)


@pytest.fixture(scope="module")
def audio_run(store: Path) -> Path:
    return trained("fayek_audio", store, store.parent / "audio", "--threshold", "class")


@pytest.fixture(scope="module")
def visual_run(store: Path) -> Path:
    return trained("fayek_visual", store, store.parent / "visual")


@pytest.fixture(
    scope="module",
    params=["fusion-attention", "fusion-self", "fusion-mlp", "fusion-regression", "fusion-average"],
)
def fusion_run(
    request: pytest.FixtureRequest, store: Path, audio_run: Path, visual_run: Path
) -> Path:
    parts = ("--audio-run", audio_run, "--visual-run", visual_run, "--units", 16)
    return trained(request.param, store, store.parent / request.param, *parts)


@pytest.fixture(scope="module")
def pixel_run(store: Path) -> Path:
    options = (*TINY, "--workers", 0, "--precision", "fp32")
    return trained("r2plus1d_101", store, store.parent / "pixels", *options)


def ran(form: str, path: Path, given: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """What a file gives, by the names of its outputs, read as its users read it."""
    if form == "torchscript":
        facts = {exported.METADATA: ""}
        net = torch.jit.load(str(path), _extra_files=facts)  # type: ignore[no-untyped-call]
        names = json.loads(facts[exported.METADATA])["outputs"]
        with torch.no_grad():
            values = net(*map(torch.from_numpy, given.values()))
        return dict(zip(names, (value.numpy() for value in values), strict=True))
    onnxruntime = pytest.importorskip("onnxruntime", reason="package onnxruntime is not installed")
    session = onnxruntime.InferenceSession(str(path))
    taken = {one.name for one in session.get_inputs()}
    names = [one.name for one in session.get_outputs()]
    values = session.run(None, {name: given[name] for name in taken})
    return dict(zip(names, values, strict=True))


def facts_of(form: str, path: Path) -> dict[str, Any]:
    if form == "torchscript":
        facts = {exported.METADATA: ""}
        torch.jit.load(str(path), _extra_files=facts)  # type: ignore[no-untyped-call]
        return json.loads(facts[exported.METADATA])
    onnx = pytest.importorskip("onnx", reason="package onnx is not installed")
    held = {one.key: one.value for one in onnx.load(str(path)).metadata_props}
    return json.loads(held[exported.METADATA])


def write(form: str, run: Path, path: Path, *words: object) -> str:
    if form == "onnx":
        pytest.importorskip("onnxscript", reason="package onnxscript is not installed")
    given = ("--run", run, "--to", form, "--out", path, "--seconds", 2, *words)
    done = run_command(export.main, *given)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("form", ["onnx", "torchscript"])
def test_file_gives_the_runs_scores_and_timeline_of_real_clips(
    form: str, audio_run: Path, store: Path, tmp_path: Path
) -> None:
    path = tmp_path / "net"
    said = write(form, audio_run, path)
    assert "any number of clips of 2 s" in said
    run = open_run(audio_run)
    data = open_clips(store, run.needs, classes=run.classes)
    tags = tag_clips(run, data)
    given = {
        "logmel": data.features["logmel"].numpy(), "logmel_present": data.present["logmel"].numpy()
    }  # fmt: skip
    found = ran(form, path, given)
    np.testing.assert_allclose(found["clip"], tags.scores, atol=1e-5)
    timelines = np.stack(tags.timelines)
    np.testing.assert_allclose(found["timeline"][:, : timelines.shape[1]], timelines, atol=1e-5)
    facts = facts_of(form, path)
    assert facts["labels"] == list(CLASSES)
    results = json.loads((audio_run / "results.json").read_text())
    assert facts["thresholds"] == results["thresholds"]
    assert facts["recipe"] == json.loads((store / "manifest.json").read_text())["recipe"]
    assert facts["timeline"] == {"hop_s": 0.32, "window_s": 0.96}
    assert set(facts["inputs"]) == set(given)


def test_fusion_is_exported_with_the_runs_that_it_fuses(
    fusion_run: Path, store: Path, tmp_path: Path
) -> None:
    write("onnx", fusion_run, tmp_path / "net")
    run = open_run(fusion_run)
    data = open_clips(store, run.needs, classes=run.classes)
    data.present["logmel"][1] = False
    data.features["logmel"][1] = 0
    data.present["resnet152"][2] = False
    data.features["resnet152"][2] = 0
    given: dict[str, np.ndarray] = {}
    for need in run.needs:
        given |= {need: data.features[need].numpy(), f"{need}_present": data.present[need].numpy()}
    found = ran("onnx", tmp_path / "net", given)
    np.testing.assert_allclose(found["clip"], tag_clips(run, data).scores, atol=1e-4)


def test_net_on_pixels_takes_bytes(pixel_run: Path, store: Path, tmp_path: Path) -> None:
    write("torchscript", pixel_run, tmp_path / "net.pt")
    run = open_run(pixel_run)
    config: Any = run.config
    data = open_pixels(read_clip_table(store, run.classes), config, None)
    batch = data.batch(torch.arange(3))
    given = {
        "frames": batch.features["frames"].numpy(),
        "frames_present": batch.present["frames"].numpy(),
    }
    found = ran("torchscript", tmp_path / "net.pt", given)
    np.testing.assert_allclose(found["clip"], tag_clips(run, data).scores[:3], atol=1e-5)


def test_parsing_run_gives_its_seconds(parsing_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "han.pt"
    done = run_command(export.main, "--run", parsing_run, "--to", "torchscript", "--out", out)
    assert done.returncode == 0, done.stderr
    facts = facts_of("torchscript", out)
    assert list(facts["outputs"]) == ["clip", "clip_audio", "clip_visual", "audio", "visual"]
    run = open_run(parsing_run)
    random = torch.Generator().manual_seed(5)
    given = {one.name: one.example(4, random).numpy() for one in inputs_of(run, 10)}
    found = ran("torchscript", out, given)
    assert found["audio"].shape == (4, 10, len(run.classes))
    assert ((found["audio"] >= 0) & (found["audio"] <= 1)).all()


def test_file_with_other_numbers_is_refused_and_nothing_is_left(
    audio_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "new" / "net.pt"
    words = ("--run", audio_run, "--to", "torchscript", "--out", out, "--seconds", 1)
    said = sentence(run_command(export.main, *words, "--tolerance", 1e-12), 1)
    assert "more than --tolerance 1e-12 is refused" in said
    assert list(out.parent.iterdir()) == []
    forward = ExportedNet.named

    def fixed(net: ExportedNet, *inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        found = forward(net, *inputs)
        clip = found["clip"]
        return {**found, "clip": clip + torch.arange(len(clip.tolist()))[:, None]}

    monkeypatch.setattr(ExportedNet, "named", fixed)
    with pytest.raises(JobError, match="does not take 1 clips"):
        exported.export_run(open_run(audio_run), "torchscript", out, 1, 1e-4)
    assert list(out.parent.iterdir()) == []


def test_without_the_packages_onnx_is_refused_in_a_sentence(
    audio_run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(exported, "PACKAGES", ("onnx_that_is_not_there",))
    said = refused(export.main, "--run", audio_run, "--to", "onnx", "--out", tmp_path / "a.onnx")
    assert "onnx_that_is_not_there, which is not installed; pip install 'earsight[onnx]'" in said


def test_wrong_use_is_a_sentence(audio_run: Path, tmp_path: Path) -> None:
    assert "say which run, and as what" in refused(export.main, "--run", audio_run)
    assert "invalid choice 'tflite'" in refused(export.main, "--run", audio_run, "--to", "tflite")
    words = ("--run", audio_run, "--to", "torchscript")
    assert "seconds must be from 1 to 3600, got 0" in refused(export.main, *words, "--seconds", 0)
    assert f"{tmp_path} is a folder" in refused(export.main, *words, "--out", tmp_path)
    assert "no run folder" in refused(export.main, "--run", tmp_path, "--to", "torchscript")


def test_command_runs_as_a_program(audio_run: Path, tmp_path: Path) -> None:
    command = [sys.executable, export.__file__, "--run", str(audio_run), "--to", "onnxx"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "invalid choice 'onnxx'" in sentence(done, 2)
