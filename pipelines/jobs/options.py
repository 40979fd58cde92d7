"""Options that jobs share: which clips of which data set, what may fail, where the job runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from schemas import FEATURES, Reason, UsageError
from schemas.manifests import DATASETS
from schemas.manifests.subset import read_subset
from schemas.messages import quoted, suggestion, unknown
from schemas.settings.bounds import AtLeast, Between

_WEIGHTS = "weights, nets and number formats"
_FAILURES = "failures and repetition"
_BEAM = "Beam (any other option of Beam may be given too)"
_DOWNLOAD = "download: from where, as whom, how fast"
_DEMO = "the demo world only"
OPTION_GROUPS = {
    **dict.fromkeys(("weights", "weights_dir", "device", "precision"), _WEIGHTS),
    **dict.fromkeys(("resnet152_frames", "proposals", "proposals_edges"), _WEIGHTS),
    **dict.fromkeys(("logmel_type", "logmel_windows", "ncp_windows", "degrade"), _WEIGHTS),
    **dict.fromkeys(("proposals_source", "proposals_choice", "proposals_overlap"), _WEIGHTS),
    **dict.fromkeys(("proposals_context", "proposals_type"), _WEIGHTS),
    **dict.fromkeys(("frames_side", "frames_rate", "frames_format"), _WEIGHTS),
    **dict.fromkeys(("retry", "max_failed", "unit_size", "clip_timeout", "verify"), _FAILURES),
    **dict.fromkeys(("runner", "preset", "accelerator"), _BEAM),
    **dict.fromkeys(("source", "cookies", "proxy", "user_agent", "youtube_args"), _DOWNLOAD),
    **dict.fromkeys(("identities", "videos_per_hour", "machines", "state", "hosts"), _DOWNLOAD),
    **dict.fromkeys(("breaker_after", "breaker_minutes", "patience_minutes"), _DOWNLOAD),
    **dict.fromkeys(("section_above_mb", "max_mb", "tries", "retry_pause"), _DOWNLOAD),
    **dict.fromkeys(("height", "parallel", "keep_going", "allow_playlists"), _DOWNLOAD),
    **dict.fromkeys(("clips", "seed", "classes", "difficulty"), _DEMO),
}
"""Heading in the help of each option that is not for every day, by its field."""


@dataclass(frozen=True, kw_only=True)
class RunnerOptions:
    """Where a job runs."""

    runner: str = "FnApiRunner"
    """Any Beam runner; DirectRunner means FnApiRunner here."""


@dataclass(frozen=True, kw_only=True)
class ClipOptions(RunnerOptions):
    """Which clips a job goes through, and how many of them may fail."""

    dataset: str
    """demo, llp, audioset, dcase2017, ave, unav100, kinetics-instruments, esc10, esc50,
    urbansound8k or folder."""
    media: str | None = None
    """Folder or URI of the clips."""
    annotations: str | None = None
    """Folder with the data set's original annotation files; fetched when it is left out."""
    split: str | None = None
    """Only this split of the data set."""
    subset: str | None = None
    """Only the clips of a subset file, one key a line (beam coverage --write makes one)."""
    limit: Annotated[int | None, AtLeast(1)] = None
    """Only the first so many clips of the manifest."""
    repair: bool = False
    """Mend the known defects of released annotation files (published scores are with them)."""
    unit_size: Annotated[int, AtLeast(1)] = 16
    """Clips that are committed together: what a kill can cost at most."""
    retry: str = "passing"
    """Failures to try again: passing, all, none, or reasons separated by commas, such as
    network,timeout."""
    max_failed: Annotated[float, Between(0, 1)] = 0.5
    """Exit with status 1 when a larger share of the clips fails. A job in which no clip was done,
    or that met a bug of its own, ends with 1 in any case."""
    preset: str | None = None
    """Fill in Beam's options for Dataflow: dataflow-gpu or dataflow-cpu (docs/dataflow.md)."""


def check_dataset(name: str) -> None:
    """Raise `UsageError` with a suggestion for a data set that does not exist."""
    if name not in DATASETS:
        raise UsageError(unknown("data set", name, DATASETS))


def read_subset_option(path: str | None) -> frozenset[str] | None:
    """Return the clip keys of `--subset`, None where it is not given."""
    return None if path is None else read_subset(Path(path))


def read_extractors(text: str) -> tuple[str, ...]:
    """Return the extractors that `--extractors` names, in the order of the registry."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in FEATURES:
            raise UsageError(unknown("extractor", name, FEATURES))
    if not names:
        raise UsageError(f"--extractors is empty; choose from {', '.join(FEATURES)}")
    return tuple(name for name in FEATURES if name in names)


def read_reasons(retry: str) -> frozenset[Reason]:
    """Return the reasons that `--retry` names: passing, all, none, or some separated by commas."""
    named = {
        "passing": frozenset(reason for reason in Reason if reason.retryable),
        "all": frozenset(Reason),
        "none": frozenset(),
    }
    if retry in named:
        return named[retry]
    wanted = [word.strip() for word in retry.split(",")]
    for word in wanted:
        if word not in list(Reason):
            raise UsageError(
                f"--retry knows no {quoted(word)}{suggestion(word, [*named, *Reason])}"
            )
    return frozenset(Reason(word) for word in wanted)
