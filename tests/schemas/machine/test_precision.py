"""The precision of nets follows from what is asked and what the device has."""

from typing import Any

import pytest

from schemas import UsageError
from schemas.machine.precision import choose_precision, cpu_bf16


def test_instructions_of_a_cpu_are_named() -> None:
    assert cpu_bf16({"amx_bf16": True, "avx512_bf16": True}) == "amx_bf16"
    assert cpu_bf16({"avx512_bf16": True}) == "avx512_bf16"
    assert cpu_bf16({"amx_bf16": False, "avx2": True}) is None


@pytest.mark.parametrize(
    ("asked", "device", "bf16", "precision", "reason"),
    [
        ("auto", "cpu", "amx_bf16", "bf16", "bf16, because cpu has amx_bf16"),
        ("auto", "cpu", None, "fp32", "fp32, because cpu has no bf16 instructions"),
        ("bf16", "cpu", "amx_bf16", "bf16", "bf16 as asked"),
        (
            "bf16", "cpu", None, "bf16",
            "bf16 as asked; cpu has no bf16 instructions, so fp32 would be faster",
        ),
        ("fp32", "cpu", None, "fp32", "fp32 as asked"),
        ("fp16", "cuda:0", None, "fp16", "fp16 as asked"),
    ],
)  # fmt: skip
def test_precision_and_its_reason(
    asked: Any, device: str, bf16: str | None, precision: str, reason: str
) -> None:
    assert choose_precision(asked, device, bf16) == (precision, reason)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("fp16", "--precision fp16 needs a CUDA device; take bf16, fp32 or auto"),
        ("fp8", "precision 'fp8' is not known; use fp32, bf16, fp16 or auto"),
    ],
)
def test_precision_that_is_not_made(asked: Any, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        choose_precision(asked, "cpu", None)
    assert str(refused.value) == said
