"""How near a separated source comes to the true one: SI-SDR, and BSS-eval's three ratios.

Letters: S samples, J sources.
"""

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RATIOS = ("sdr", "sir", "sar")
"""Ratios of BSS-eval in dB: to all distortion, to the other sources, to artefacts."""


def si_sdr(estimate: NDArray[np.float32], source: NDArray[np.float32]) -> float:
    """Return the scale-invariant signal-to-distortion ratio of an estimate [S] in dB.

    Le Roux et al., "SDR - half-baked or well done?", ICASSP 2019: both without their mean, the
    source scaled to fit the estimate best. Infinite for a perfect estimate, -infinite for one that
    has nothing of the source.
    """
    estimated = estimate.astype(np.float64) - estimate.mean(dtype=np.float64)
    wanted = source.astype(np.float64) - source.mean(dtype=np.float64)
    energy = float(wanted @ wanted)
    if energy == 0.0:
        raise ValueError("the source is silent, so nothing can be measured against it")
    target = (float(estimated @ wanted) / energy) * wanted
    noise = estimated - target
    above, below = float(target @ target), float(noise @ noise)
    if not above:
        return -float("inf")
    return 10 * float(np.log10(above / below)) if below > above * 1e-20 else float("inf")


def bss_eval(
    estimates: Sequence[NDArray[np.float32]], sources: Sequence[NDArray[np.float32]]
) -> list[dict[str, float]]:
    """Return `RATIOS` of each of J estimates [S] of J sources [S], in the same order.

    Vincent, Gribonval, Févotte, "Performance measurement in blind audio source separation", IEEE
    TASLP 2006, version 3 with filters of 512 taps, as mir_eval computes it. NaN for an estimate
    that is silent: none of the ratios is defined there.
    """
    from mir_eval.separation import bss_eval_sources

    heard = [index for index, estimate in enumerate(estimates) if np.any(estimate)]
    # a silent estimate is measured in another's place, and its ratios are taken out again
    rows = [estimate if np.any(estimate) else sources[index]
            for index, estimate in enumerate(estimates)]  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # mir_eval 0.8 means to drop the module
        found = bss_eval_sources(
            np.stack(sources).astype(np.float64), np.stack(rows).astype(np.float64),
            compute_permutation=False,
        )[:3]  # fmt: skip
    return [
        {
            name: float(values[index]) if index in heard else float("nan")
            for name, values in zip(RATIOS, found, strict=True)
        }
        for index in range(len(sources))
    ]
