"""Figures of `models.applications.class_analysis`: data and axes in, axes out."""

import math
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from models.applications.class_analysis import ClassAnalysis
from models.runtime import figures
from schemas.page import palette

TITLES = {
    "ap-by-modality.png": "average precision of each class by its audio and its visual model",
    "gain.png": "what fusion gains, class by class",
    "attention.png": "attention on the audio, class by class",
}
NAMED = 12
"""Classes that figure 2 names: those that gain or lose most."""


def save(folder: Path, analysis: ClassAnalysis) -> list[Path]:
    """Draw figures 2 and 3, and 4 where the run has a weight per class; return their paths."""
    drawings = {"ap-by-modality.png": plot_bubbles, "gain.png": plot_gain}
    if analysis.audio_weight is not None:
        drawings["attention.png"] = plot_weights
    paths = []
    for name, draw in drawings.items():
        figure = Figure(figsize=(8, 6.5) if draw is plot_bubbles else (7, 4), layout="constrained")
        draw(analysis, figure.subplots())
        figures.titled(figure, TITLES[name], analysis.origin)
        figures.save(figure, folder / name)
        paths.append(folder / name)
    return paths


def plot_bubbles(analysis: ClassAnalysis, ax: Axes) -> Axes:
    """Draw each class at its audio and visual AP (figure 2).

    Size is the change by fusion, orange is a gain.
    """
    seen = np.flatnonzero(~np.isnan(analysis.fused))
    gain = 100 * analysis.gain[seen]
    audio, visual = 100 * analysis.audio[seen], 100 * analysis.visual[seen]
    limit = max(1.0, float(np.abs(gain).max())) if len(gain) else 1.0
    dots = ax.scatter(
        audio, visual, s=12 + 18 * np.abs(gain), c=gain, cmap=palette.AROUND_ZERO, vmin=-limit,
        vmax=limit, alpha=0.7, edgecolors="grey", linewidths=0.4,
    )  # fmt: skip
    for index in np.argsort(-np.abs(gain))[:NAMED]:
        name = figures.literal(analysis.names[seen[index]], 30)
        left = audio[index] > 70  # the name stays within the axes, and outside its dot
        radius = math.sqrt(12 + 18 * abs(gain[index])) / 2 + 1
        ax.annotate(
            name, (audio[index], visual[index]), (-radius if left else radius, 0), fontsize=7,
            textcoords="offset points", ha="right" if left else "left", va="center",
        ).set_in_layout(False)  # fmt: skip
    ax.plot([0, 100], [0, 100], color="lightgrey", zorder=0)
    ax.set_xlabel("AP of the audio model, per cent")
    ax.set_ylabel("AP of the visual model, per cent")
    ax.figure.colorbar(dots, ax=ax, label="change by fusion, AP points")
    return ax


def plot_gain(analysis: ClassAnalysis, ax: Axes) -> Axes:
    """Draw how many classes gain how much over the better single model (figure 3)."""
    gain = 100 * analysis.gain[~np.isnan(analysis.gain)]
    edge = max(10.0, np.ceil(np.abs(gain).max() / 5) * 5) if len(gain) else 10.0
    ax.hist(gain, bins=np.arange(-edge, edge + 1e-6, 2.5).tolist(), color=palette.BLUE)
    ax.axvline(0, color="grey", linewidth=0.8)
    ax.set_xlabel("AP of the fusion minus AP of the better single model, points")
    ax.set_ylabel("classes")
    figures.whole_numbers(ax, "y")
    return ax


def plot_weights(analysis: ClassAnalysis, ax: Axes) -> Axes:
    """Draw how many classes give the audio how much of the attention (figure 4)."""
    assert analysis.audio_weight is not None
    weight = analysis.audio_weight[~np.isnan(analysis.audio_weight)]
    ax.hist(weight, bins=np.linspace(0, 1, 21).tolist(), color=palette.VERMILION)
    ax.set_xlabel("mean attention weight of the audio, 0: visual alone, 1: audio alone")
    ax.set_ylabel("classes")
    figures.whole_numbers(ax, "y")
    return ax
