"""A run's net as an ONNX or TorchScript file, compared with the run before it gets its name."""

import contextlib
import importlib.util
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from models.applications.export.net import ExportedNet, Input, inputs_of, metadata_of
from models.applications.new_media import Run
from models.runtime import files
from schemas import JobError, UsageError
from schemas.messages import printable

Form = Literal["onnx", "torchscript"]
METADATA = "earsight"
"""Key of the metadata in a file of either form."""
EXAMPLES, COMPARED = 2, (1, 3, 5)
"""Clips that a net is traced with, and numbers of clips that the file is compared on."""
PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def export_run(run: Run, form: Form, path: Path, seconds: int, tolerance: float) -> float:
    """Write a run as a file of a form; return the largest difference from the run itself.

    The file is compared with the net on several numbers of made-up clips before it gets its name.
    `JobError` when it differs by more than `tolerance` or does not take another number of clips,
    and nothing is left then; `UsageError` where packages for ONNX are not installed.
    """
    if form == "onnx":
        refuse_no_packages()
    net = ExportedNet(run).eval()
    random = torch.Generator().manual_seed(0)
    inputs = inputs_of(run, seconds)
    examples = tuple(one.example(EXAMPLES, random) for one in inputs)
    with torch.no_grad():
        outputs = tuple(net.named(*examples))
    facts = metadata_of(run, inputs, outputs, seconds)
    write = write_onnx if form == "onnx" else write_torchscript
    largest = 0.0

    def checked(place: Path) -> None:
        nonlocal largest
        with quiet():
            write(net, examples, [one.name for one in inputs], outputs, facts, place)
            largest = compared(net, form, place, inputs, random)
        if not largest <= tolerance:
            raise JobError(
                f"the {form} file gives other numbers than the run, by up to {largest:.2g}; more "
                f"than --tolerance {tolerance:g} is refused, and nothing was written"
            )

    files.write_whole(path, checked)
    return largest


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what exporters say about their own work from the terminal."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def refuse_no_packages() -> None:
    """Raise `UsageError` when a package for ONNX is not installed."""
    lacking = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if lacking:
        raise UsageError(
            f"--to onnx needs {', '.join(lacking)}, which is not installed; pip install "
            "'earsight[onnx]', or take --to torchscript"
        )


def write_torchscript(
    net: ExportedNet, examples: tuple[Tensor, ...], names: list[str], outputs: tuple[str, ...],
    facts: str, path: Path,
) -> None:  # fmt: skip
    """Write a net as TorchScript, the metadata as an extra file `earsight`."""
    with torch.no_grad():
        trace: Any = torch.jit.trace
        traced = trace(net, examples, check_trace=False, strict=False)
        torch.jit.save(torch.jit.freeze(traced), str(path), _extra_files={METADATA: facts})


def write_onnx(
    net: ExportedNet, examples: tuple[Tensor, ...], names: list[str], outputs: tuple[str, ...],
    facts: str, path: Path,
) -> None:  # fmt: skip
    """Write a net as ONNX, the metadata under the key `earsight`."""
    import onnx

    def save(program: Any) -> None:
        model = program.model_proto
        model.metadata_props.append(onnx.StringStringEntryProto(key=METADATA, value=facts))
        onnx.checker.check_model(model)
        onnx.save(model, str(path))

    any_number = torch.export.Dim.DYNAMIC
    given: dict[str, Any] = {
        "input_names": names, "output_names": list(outputs), "dynamo": True, "verbose": False,
        "dynamic_shapes": (tuple({0: any_number} for _ in examples),),
    }  # fmt: skip
    try:
        with contextlib.suppress(Exception):  # its constant folding fails for some attentions
            return save(torch.onnx.export(net, examples, optimize=True, **given))
        return save(torch.onnx.export(net, examples, optimize=False, **given))
    except Exception as error:  # noqa: BLE001  an exporter's own kinds are not listed anywhere
        said = printable(" ".join(str(error).split()), 200)
        raise JobError(f"torch.onnx cannot express this net ({said}); take torchscript") from None


def compared(
    net: ExportedNet, form: Form, path: Path, inputs: list[Input], random: torch.Generator
) -> float:
    """Return the largest difference between a file and the net on made-up clips."""
    run = onnx_runner(path) if form == "onnx" else torchscript_runner(path)
    largest = 0.0
    for clips in COMPARED:
        given = tuple(one.example(clips, random) for one in inputs)
        with torch.no_grad():
            wanted = net(*given)
        try:
            found = run(dict(zip((one.name for one in inputs), given, strict=True)))
        except Exception as error:  # noqa: BLE001  nor are a runtime's
            said = printable(" ".join(str(error).split()), 200)
            raise JobError(
                f"the {form} file does not take {clips} clips ({said}), and nothing was written"
            ) from None
        for one, other in zip(wanted, found, strict=True):
            if one.shape != other.shape:
                raise JobError(
                    f"the {form} file does not take {clips} clips (it gives {tuple(other.shape)} "
                    f"for {tuple(one.shape)}), and nothing was written"
                )
            largest = max(largest, float((one - other).abs().max()))
    return largest


def torchscript_runner(path: Path) -> Any:
    """Return the function of a TorchScript file."""
    load: Any = torch.jit.load
    loaded = load(str(path))

    def run(given: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        with torch.no_grad():
            return tuple(loaded(*given.values()))

    return run


def onnx_runner(path: Path) -> Any:
    """Return the function of an ONNX file, as onnxruntime runs it."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what it says of its own optimising is no news
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    taken = {one.name for one in session.get_inputs()}

    def run(given: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        arrays = {name: value.numpy() for name, value in given.items() if name in taken}
        return tuple(torch.from_numpy(one) for one in session.run(None, arrays))

    return run
