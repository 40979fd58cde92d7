"""Changes that went unnoticed once; the tests that are named with each notice it now."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Known:
    """One change of a file: pieces of its text, and what takes their place."""

    name: str
    path: str
    tests: tuple[str, ...]
    edits: tuple[tuple[str, str], ...]

    def apply(self, source: str) -> str:
        """Return the source with the change; AssertionError where a piece is not there once."""
        for before, after in self.edits:
            assert source.count(before) == 1, f"{self.name}: {before!r} is not once in {self.path}"
            source = source.replace(before, after)
        return source


KILLS = ("tests/pipelines/store/test_kills.py",)
RATE_LIMIT = ("tests/pipelines/jobs/download/test_rate_limit.py",)
CUT = ("tests/pipelines/jobs/download/test_cut.py",)
RECORDS = ("tests/schemas/test_features.py", "tests/schemas/test_records.py")
THRESHOLDS = ("tests/models/tasks/test_thresholds.py",)

KNOWN = (
    Known(
        "receipt before parts", "pipelines/store/unit_store.py", KILLS,
        (
            (
                '            files.write(files.join(self.out, *parts[name].split("/")), data)\n',
                "            late = [*late, (parts[name], data)]\n",
            ),
            ("        sizes: dict[str, int] = {}\n", "        sizes, late = {}, []\n"),
            (
                "        self.commit_receipt(receipt)\n        return receipt\n",
                "        self.commit_receipt(receipt)\n        for path, data in late:\n"
                "            files.write(files.join(self.out, *path.split('/')), data)\n"
                "        return receipt\n",
            ),
        ),
    ),
    Known(
        "write without rename", "pipelines/store/files.py", KILLS,
        (
            ('with temporary.open("wb") as file:', 'with path.open("wb") as file:'),
            ("        move(temporary, path)\n", "        pass\n"),
        ),
    ),
    Known(
        "oldest failure kept", "pipelines/store/receipts.py",
        ("tests/pipelines/store/test_unit_store.py",),
        (("earlier.attempts < failure.attempts", "earlier.attempts > failure.attempts"),),
    ),
    Known(
        "breaker without cap", "pipelines/jobs/download/rate_limit.py", RATE_LIMIT,
        (("min(state.openings - 1, 64), LONGEST_OPEN_S)", "min(state.openings - 1, 64), 1e18)"),),
    ),
    Known(
        "breaker not looked at again after waiting", "pipelines/jobs/download/rate_limit.py",
        RATE_LIMIT,
        (("if probe or self.state(identity).free_at() <= self._clock():", "if True:"),),
    ),
    Known(
        "cut within 0.6 s", "pipelines/jobs/download/fetch/cut.py", CUT,
        (("TOLERANCE_S = 0.2\n", "TOLERANCE_S = 0.6\n"),),
    ),
    Known(
        "offset of a cut not checked", "pipelines/jobs/download/fetch/cut.py", CUT,
        (("        _check_offset(window, media, whole)\n", "        pass\n"),),
    ),
    Known(
        "decode without whitelist", "pipelines/media/decode.py",
        ("tests/pipelines/media/test_decode.py",),
        (("            **READ_OPTIONS,\n", ""),),
    ),
    Known(
        "sampler not checked", "schemas/recipe.py", RECORDS,
        (('if self.jpeg != (self.sampler == "ffmpeg-r"):', "if False:"),),
    ),
    Known(
        "hash without precision", "schemas/recipe.py", RECORDS,
        (
            (
                "json.dumps(self.settings(), sort_keys=True)",
                'json.dumps({**asdict(self), "precision": ""}, sort_keys=True)',
            ),
        ),
    ),
    Known(
        "empty boxes", "pipelines/commands/validate.py",
        ("tests/pipelines/commands/test_validate.py",),
        (("(x0 < x1)", "(x0 <= x1)"), ("(y0 < y1)", "(y0 <= y1)")),
    ),
    Known(
        "valid needs both modalities", "pipelines/jobs/features/rows.py",
        ("tests/pipelines/jobs/features/test_rows.py",),
        (('valid["audio"] | valid["visual"]', 'valid["audio"] & valid["visual"]'),),
    ),
    Known(
        "thresholds tuned on train", "models/tasks/tagging.py", THRESHOLDS,
        (('return "val" if data.has("val") else "train"', 'return "train"'),),
    ),
    Known(
        "ties of thresholds", "models/tasks/thresholds.py", THRESHOLDS,
        (
            (
                "best = int(f1.argmax())",
                "best = int(len(f1) - 1 - f1[::-1].argmax())",
            ),
        ),
    ),
    Known(
        "absent modality has a score", "models/nets/tagging/fusion.py",
        ("tests/models/nets/tagging/test_fusion.py",),
        (("self.standardise(scores) * present[:, None]", "self.standardise(scores)"),),
    ),
    Known(
        "rotation the other way", "pipelines/media/timestamps.py",
        ("tests/pipelines/media/test_timestamps.py",),
        (("round((frame.rotation or 0) / 90) % 4", "round(-(frame.rotation or 0) / 90) % 4"),),
    ),
    Known(
        "boxes half a cell off", "extractors/proposals.py", ("tests/extractors/test_proposals.py",),
        (("aligned=True", "aligned=False"),),
    ),
    Known(
        "edges turned by a right angle", "extractors/regions/edgeboxes.py",
        ("tests/extractors/regions/test_edgeboxes.py",),
        (("np.mod(across + np.pi / 2, np.pi)", "np.mod(across, np.pi)"),),
    ),
    Known(
        "progress an epoch off", "models/training/loop.py", ("tests/models/training/test_loop.py",),
        (("state.epoch * len(steps))", "(state.epoch - 1) * len(steps))"),),
    ),
)  # fmt: skip
