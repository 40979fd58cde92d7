"""What can be known of a Dataflow job without Dataflow: graph, request, and refusals."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from apache_beam.coders import coders
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2 as proto
from apache_beam.runners.pipeline_context import PipelineContext

from pipelines.cli import main
from pipelines.jobs.features.command import Options
from pipelines.jobs.features.graph import build
from pipelines.jobs.features.launch import make_job, worker_precision
from pipelines.runners.graph import run_pipeline
from pipelines.runners.presets import PRESETS
from pipelines.runners.versions import Versions
from schemas import JobError
from tests.complaints import sentence
from tests.pipelines.cloud import Cloud, cloud_for_clients
from tests.pipelines.conftest import Beam, make_clip
from tests.stores.compare import all_bytes, same_rows
from tests.stores.units import add_units

IMAGE = "europe-docker.pkg.dev/some-project/some-repo/earsight-worker:0.1.0"
PLACE = (
    "--project", "some-project", "--region", "europe-west4",
    "--temp_location", "gs://bucket/temp", "--sdk_container_image", IMAGE,
)  # fmt: skip
AUDIOSET = (
    "run", "features", "--dataset", "audioset", "--annotations", "gs://bucket/audioset",
    "--media", "gs://bucket/media", "--out", "gs://bucket/out",
)  # fmt: skip
LINES = 2_000_000
PICKLING = (
    coders.FastPrimitivesCoder, coders.PickleCoder, coders.DillCoder, coders.CloudpickleCoder,
)  # fmt: skip


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Buckets on this machine, to which every client of Google's is led."""
    with cloud_for_clients(tmp_path_factory.mktemp("account")) as here:
        yield here


@pytest.fixture(scope="module")
def audioset(cloud: Cloud) -> Cloud:
    """AudioSet's file with two million lines."""
    head = b"# made for a test\n# num_ytids\n# YTID, start_seconds, end_seconds, positive_labels\n"
    rows = (f'{n:011d}, 30.000, 40.000, "/m/09x0r,/t/dd00088"\n' for n in range(LINES))
    cloud.objects["bucket", "audioset/unbalanced_train_segments.csv"] = (
        head + "".join(rows).encode()
    )
    return cloud


@dataclass(frozen=True)
class Submitted:
    """What the service got."""

    job: dict[str, Any]
    graph: proto.Pipeline
    staged: frozenset[str]
    read: tuple[str, ...]
    """Objects that the launcher fetched."""

    def environments(self, hint: str) -> list[str]:
        """Environments that carry a resource hint."""
        found = self.graph.components.environments.items()
        return [name for name, one in found if hint in one.resource_hints]


@pytest.fixture(scope="module")
def submitted(audioset: Cloud) -> Submitted:
    """One job with the GPU preset, posted to the stand-in by the command itself."""
    audioset.fetched.clear()
    words = [*AUDIOSET, "--preset", "dataflow-gpu", *PLACE, "--max_num_workers", "7"]
    words += ["--dataflow_endpoint", audioset.address, "--no_wait_until_finish"]
    assert main(words) == 0
    staged = {name for _, name in audioset.objects if name.startswith("temp/")}
    (graph,) = [name for name in staged if name.endswith("pipeline.pb")]
    return Submitted(
        audioset.jobs[-1],
        proto.Pipeline.FromString(audioset.objects["bucket", graph]),
        frozenset(name.rsplit("/", 1)[1] for name in staged),
        tuple(audioset.fetched),
    )


def test_one_environment_has_a_gpu_and_holds_the_extract_step(submitted: Submitted) -> None:
    (gpu,) = submitted.environments(common_urns.resource_hints.ACCELERATOR.urn)
    hints = submitted.graph.components.environments[gpu].resource_hints
    assert hints[common_urns.resource_hints.ACCELERATOR.urn] == (
        b"type:nvidia-l4;count:1;install-nvidia-driver"
    )
    steps = {
        step.unique_name
        for step in submitted.graph.components.transforms.values()
        if step.environment_id == gpu
    }
    assert steps == {"extract"}


def test_workers_run_the_image_that_was_asked_for(submitted: Submitted) -> None:
    images = {
        proto.DockerPayload.FromString(environment.payload).container_image
        for environment in submitted.graph.components.environments.values()
    }
    assert images == {IMAGE}
    (pool,) = submitted.job["environment"]["workerPools"]
    assert {image["containerImage"] for image in pool["sdkHarnessContainerImages"]} == {IMAGE}


def test_request_has_the_fields_of_the_preset(submitted: Submitted) -> None:
    assert submitted.job["path"] == "/v1b3/projects/some-project/locations/europe-west4/jobs"
    assert submitted.job["type"] in ("JOB_TYPE_BATCH", 1)
    (pool,) = submitted.job["environment"]["workerPools"]
    assert pool["machineType"] == "g2-standard-8"
    assert pool["diskSizeGb"] == 100
    assert pool["numThreadsPerWorker"] == 1
    assert pool["autoscalingSettings"]["maxNumWorkers"] == 7
    experiments = submitted.job["environment"]["experiments"]
    assert "no_use_multiple_sdk_containers" in experiments
    assert "use_multiple_sdk_containers" not in experiments
    assert not submitted.job["environment"].get("serviceOptions")
    temp = submitted.job["environment"]["tempStoragePrefix"]
    assert temp.startswith("storage.googleapis.com/bucket/temp")


def test_no_main_session_is_staged(submitted: Submitted) -> None:
    assert "pipeline.pb" in submitted.staged
    assert not [name for name in submitted.staged if "session" in name]
    assert not [name for name in submitted.staged if name.endswith((".tar.gz", ".whl"))]


def test_no_pickle_crosses_a_shuffle(submitted: Submitted) -> None:
    parts = submitted.graph.components
    shuffles = [
        step
        for step in parts.transforms.values()
        if step.spec.urn == common_urns.primitives.GROUP_BY_KEY.urn
    ]
    assert len(shuffles) == 2  # after planning, and for counting
    context = PipelineContext(parts)
    for step in shuffles:
        for collection in (*step.inputs.values(), *step.outputs.values()):
            coder = context.coders.get_by_id(parts.pcollections[collection].coder_id)
            assert not [one for one in coders_in(coder) if isinstance(one, PICKLING)]


def coders_in(coder: Any) -> list[Any]:
    """A coder and everything in it."""
    return [coder, *(one for part in coder._get_component_coders() for one in coders_in(part))]


def test_request_stays_small_whatever_the_manifest(submitted: Submitted) -> None:
    assert len(submitted.graph.SerializeToString()) < 100_000
    assert submitted.job["size"] < 1_000_000
    assert not [name for name in submitted.read if name.startswith("audioset/")]


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    folder = tmp_path / "media"
    folder.mkdir()
    for index in range(3):
        make_clip(folder / f"clip{index}.mp4", 1.0 + index)
    (folder / "broken.mp4").write_bytes(b"this is not a film")
    return folder


LIGHT = ("run", "features", "--dataset", "folder", "--weights", "seeded", "--extractors", "logmel")


def test_tables_through_a_bucket_are_those_of_this_machine(
    beam: Beam, cloud: Cloud, clips: Path, tmp_path: Path
) -> None:
    labels = tmp_path / "labels"
    labels.mkdir()
    (labels / "labels.csv").write_text("file,labels,split\nclip0.mp4,a|b,train\nlater.mp4,c,test\n")
    cloud.put_folder("bucket", "clips", clips)
    cloud.put_folder("bucket", "labels", labels)
    here = beam(*LIGHT, "--media", clips, "--annotations", labels, "--out", tmp_path / "here")
    assert here.returncode == 0, here.stderr
    there = beam(
        *LIGHT, "--media", "gs://bucket/clips", "--annotations", "gs://bucket/labels",
        "--out", "gs://bucket/tables",
    )  # fmt: skip
    assert there.returncode == 0, there.stderr
    assert "with gs://bucket/tables copied to the folder tables:" in there.stdout
    assert "beam validate tables" in there.stdout
    fetched = cloud.get_folder("bucket", "tables", tmp_path / "there")
    same_rows(tmp_path / "here", fetched, ("clips", "snippets", "failures"))
    assert beam("validate", fetched).returncode == 0
    assert not list(fetched.rglob(".tmp-*"))


def test_download_into_a_bucket(beam: Beam, cloud: Cloud, clips: Path, tmp_path: Path) -> None:
    done = beam(
        "run", "download", "--dataset", "folder", "--source", clips, "--media",
        "gs://bucket/store", "--state", tmp_path / "state",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    fetched = cloud.get_folder("bucket", "store", tmp_path / "store")
    assert {path.name for path in fetched.glob("*.mp4")} == {f"clip{n}.mp4" for n in range(3)}
    assert beam("validate", fetched).returncode == 0


def test_bucket_that_cannot_be_written(beam: Beam, cloud: Cloud, clips: Path) -> None:
    line = sentence(beam(*LIGHT, "--media", clips, "--out", "gs://locked-bucket/out"), 1)
    assert "cannot write gs://locked-bucket/out" in line
    assert "403" in line


@pytest.mark.parametrize(
    ("launcher", "said"),
    [
        (Versions("9.9.9", Versions.here().beam), "launcher has earsight 9.9.9 and the worker"),
        (Versions(Versions.here().earsight, "2.1.0"), "launcher has Beam 2.1.0 and the worker"),
    ],
)
def test_worker_of_another_version_stops_the_job(
    clips: Path, tmp_path: Path, launcher: Versions, said: str
) -> None:
    out = tmp_path / "out"
    options = Options(
        dataset="folder", media=str(clips), out=str(out), weights="seeded", extractors="logmel"
    )
    job = replace(make_job(options), launcher=launcher)
    with pytest.raises(JobError, match=said):
        run_pipeline(lambda pipeline: build(pipeline, job), ["--runner=FnApiRunner"])
    assert not (out / "receipts").exists()
    assert not (out / "manifest.json").exists()


def test_user_wins_over_the_preset(audioset: Cloud) -> None:
    words = [*AUDIOSET, "--preset", "dataflow-gpu", *PLACE, "--machine_type", "n1-standard-8"]
    words += ["--dataflow_service_options", "worker_accelerator=type:nvidia-tesla-t4;count:1"]
    words += ["--number_of_worker_harness_threads=3", "--no_wait_until_finish"]
    words += ["--experiments", "some_experiment", "--out", "gs://bucket/other"]
    assert main([*words, "--dataflow_endpoint", audioset.address]) == 0
    environment = audioset.jobs[-1]["environment"]
    (pool,) = environment["workerPools"]
    assert (pool["machineType"], pool["numThreadsPerWorker"]) == ("n1-standard-8", 3)
    assert environment["serviceOptions"] == ["worker_accelerator=type:nvidia-tesla-t4;count:1"]
    assert {"some_experiment", "no_use_multiple_sdk_containers"} <= {*environment["experiments"]}
    (image,) = pool["sdkHarnessContainerImages"]  # one kind of worker, so no hint
    assert image["containerImage"] == IMAGE
    store = json.loads(audioset.objects["bucket", "other/store.json"])
    assert store["recipe"]["precision"] == "fp32"  # the GPU that was asked for has no bf16


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--preset", "dataflow-gpu"), "needs --project, --region, --temp_location gs://..."),
        (("--runner", "dataflow", *PLACE[:6]), "needs --sdk_container_image"),
        (("--runner", "DataflowRunner", *PLACE[:6]), "needs --sdk_container_image"),
        (("--preset", "dataflow-gpuu", *PLACE), "did you mean 'dataflow-gpu'"),
        (("--preset", "dataflow-gpu", *PLACE, "--runner", "FlinkRunner"), "but --runner is Flink"),
        (("--preset", "dataflow-gpu", *PLACE, "--temp_location", "/tmp/x"), "Beam: Invalid GCS"),
        (("--preset", "dataflow-gpu", *PLACE, "--project", "p"), "Beam: Invalid Project ID"),
        (("--preset", "dataflow-gpu", *PLACE, "--accelerator", "type:nvidia-l4;count:1",
          "--dataflow_service_options", "worker_accelerator=type:nvidia-l4"), "keep one of them"),
        (("--preset", "dataflow-gpu", *PLACE, "--resource_hint", "accelerator=type:nvidia-l4",
          "--dataflow_service_options", "worker_accelerator=type:nvidia-l4"), "keep one of them"),
        (("--preset", "dataflow-cpu", *PLACE, "--accelerator", "type:nvidia-l4"), "has no GPU"),
        (("--preset", "dataflow-gpu", *PLACE, "--accelerator", "l4"), "type:<name>;count:<number>"),
        (("--preset", "dataflow-cpu", *PLACE, "--device", "cuda"), "dataflow-cpu take cpu"),
        (("--preset", "dataflow-gpu", *PLACE, "--accelerator", "type:nvidia-tesla-t4;count:1"),
         "has nvidia-l4 and not nvidia-tesla-t4; give the --machine_type"),
        (("--preset", "dataflow-cpu", *PLACE, "--out", "here"), "--out here lies on this machine"),
        (("--preset", "dataflow-cpu", *PLACE, "--annotations", "gs://bucket/no"), "holds no files"),
    ],
)  # fmt: skip
def test_what_dataflow_would_not_take(
    beam: Beam, cloud: Cloud, words: tuple[str, ...], said: str
) -> None:
    assert said in sentence(beam(*AUDIOSET, *words), 2)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("features", "--dataset", "demo"), "the demo world is made on this machine"),
        (("features", "--dataset", "llp", "--media", "gs://b/m", "--out", "gs://b/o"),
         "needs --annotations"),
        (("everything", "--dataset", "llp"), "works in rounds on this machine"),
        (("download", "--dataset", "llp", "--media", "here"), "--media here lies on this machine"),
    ],
)  # fmt: skip
def test_what_workers_could_not_reach(
    beam: Beam, cloud: Cloud, words: tuple[str, ...], said: str
) -> None:
    assert said in sentence(beam("run", *words, "--preset", "dataflow-cpu", *PLACE), 2)


@pytest.mark.parametrize("words", [("--runner", "dataflow"), ("--preset", "dataflow-gpu")])
def test_everything_is_refused_before_anything_is_missed(beam: Beam, words: tuple[str]) -> None:
    line = sentence(beam("run", "everything", "--dataset", "llp", *words), 2)
    assert "works in rounds on this machine" in line


def test_download_has_no_gpu_preset(beam: Beam) -> None:
    done = beam("run", "download", "--dataset", "llp", "--preset", "dataflow-gpu", *PLACE)
    assert "unknown preset 'dataflow-gpu'" in sentence(done, 2)


def test_nobody_logged_in(
    beam: Beam, cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    for more in ((), ("--dry_run=True",)):
        line = sentence(beam(*AUDIOSET, "--preset", "dataflow-cpu", *PLACE, *more), 2)
        assert "no Google Cloud credentials" in line
        assert "gcloud auth application-default login" in line


def test_dry_run_needs_no_network(audioset: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    before = len(audioset.jobs)
    words = ["--preset", "dataflow-gpu", *PLACE, "--dry_run=True"]
    assert main([*AUDIOSET, *words]) == 0
    assert "Nothing was sent" in capsys.readouterr().out
    assert len(audioset.jobs) == before


def test_pack_on_dataflow(beam: Beam, cloud: Cloud, tmp_path: Path) -> None:
    add_units(tmp_path / "out", units=2, seconds=1, features=("vggish",))
    for name, data in all_bytes(tmp_path / "out").items():
        cloud.objects["bucket", f"packed/{name}"] = data
    words = ("run", "pack", "--runner", "DataflowRunner")
    assert "needs --project" in sentence(beam(*words, "--out", "gs://bucket/packed"), 2)
    asked = (*words, *PLACE)
    here = sentence(beam(*asked, "--out", tmp_path / "out"), 2)
    assert "lies on this machine, which workers of Dataflow cannot reach" in here
    endpoint = ("--dataflow_endpoint", cloud.address, "--no_wait_until_finish")
    done = beam(*asked, "--out", "gs://bucket/packed", *endpoint)
    assert done.returncode == 0, done.stderr
    assert "The job is handed over" in done.stdout
    (pool,) = cloud.jobs[-1]["environment"]["workerPools"]
    assert {image["containerImage"] for image in pool["sdkHarnessContainerImages"]} == {IMAGE}


@pytest.mark.parametrize(
    ("asked", "accelerator", "precision"),
    [
        ("auto", PRESETS["dataflow-gpu"].accelerator, "bf16"),
        ("auto", "type:nvidia-tesla-t4;count:1", "fp32"),
        ("auto", "type:nvidia-tesla-a100;count:1", "bf16"),
        ("fp16", "type:nvidia-tesla-t4;count:1", "fp16"),
    ],
)
def test_precision_is_that_of_the_workers(asked: Any, accelerator: str, precision: str) -> None:
    assert worker_precision(asked, PRESETS["dataflow-gpu"], accelerator)[0] == precision
    assert worker_precision("auto", PRESETS["dataflow-cpu"], "")[0] == "fp32"
