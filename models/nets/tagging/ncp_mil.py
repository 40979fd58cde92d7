"""Two-stream multiple instance learning over NMF components of the audio, and with all else.

Paper: Parekh, Essid, Ozerov, Duong, Perez, Richard, "Weakly Supervised Representation Learning for
    Audio-Visual Scene Analysis", IEEE/ACM TASLP 2019, https://doi.org/10.1109/TASLP.2019.2957889;
    NMF component proposals (NCP) and their use for separation as on its companion page, and in the
    same authors' "Identify, Locate and Separate: Audio-Visual Object Extraction in Large Video
    Collections Using Weak Supervision", WASPAA 2019, https://arxiv.org/abs/1811.04000.
Authors' code: none published.
Differences: see `CARD.differences`.
"""

from dataclasses import dataclass
from typing import Literal

from models.contract.card import Departure, Experiment, ModelCard, PaperRow
from models.nets.tagging import two_stream
from models.tasks.tagging import Tagging
from models.training.method import NetMethod

Model, Loss = two_stream.Model, two_stream.Loss
needs, adapt, prepare = two_stream.needs, two_stream.adapt, two_stream.prepare


@dataclass(frozen=True, kw_only=True)
class Config(two_stream.Config):
    """Two-stream scoring of NMF components, alone or with boxes and audio segments."""

    streams: Literal["av", "audio", "video", "ncp", "ncp-audio", "ncp-video", "ncp-av"] = "ncp-av"
    """Which instances are scored: components of the audio (ncp), audio segments (audio), boxes
    (video)."""


def _row(table: str, row: str, **numbers: float) -> tuple[PaperRow, ...]:
    return (PaperRow(paper="Parekh et al. 2019", table=table, row=row, numbers=numbers),)


CARD = ModelCard(
    name="ncp_mil",
    title="Weakly Supervised Representation Learning for Audio-Visual Scene Analysis",
    paper="Parekh, Essid, Ozerov, Duong, Perez, Richard, IEEE/ACM TASLP 2019",
    url="https://doi.org/10.1109/TASLP.2019.2957889",
    code="",
    needs=("components", "segments", "proposals"),
    dataset="dcase2017",
    task=Tagging(
        modalities=("audio", "visual"), selection_metric="micro_f1", timeline=two_stream.TIMELINE
    ),
    experiments=(
        Experiment(
            name="ncp_mil", settings={}, rows=_row("abstract", "best system", micro_f1=65.0)
        ),
        Experiment(
            name="ncp_mil-audio",
            settings={"streams": "ncp"},
            rows=_row("companion page", "audio-only NCP (no number openly published)"),
        ),
        Experiment(
            name="ncp_mil-temporal",
            settings={"streams": "ncp-audio"},
            rows=_row("none", "NCP and temporal proposals (no number openly published)"),
        ),
    ),
    differences=(
        "Of the paper only the abstract and the companion page are openly readable; the abstract's "
        "best F1 is put beside the system that scores components, audio segments and boxes.",
        "A component's feature is the VGGish of its own audio, averaged over all windows of the "
        "clip, with 20 components per clip and 200 updates of the Kullback-Leibler NMF.",
        "Each kind of instances has a scoring network of its own; their normalised scores are "
        "added, so the audio counts twice where components and audio segments are both scored.",
    ),
    departures=(
        Departure(
            says="system: built after the abstract and the companion page, because the paper is "
            "not openly readable"
        ),
        Departure(
            says="components: their feature is the mean over the five loudest windows, where the "
            "paper takes all",
            settings={"streams": ("ncp", "ncp-audio", "ncp-video", "ncp-av")},
            recipe={"ncp_windows": ("loudest",)},
        ),
        *two_stream.STORED_BOXES,
    ),
    ours=two_stream.OURS,
)

METHOD = NetMethod[Config](
    card=CARD, config=Config, build=Model, loss=Loss, needs=needs, adapt=adapt, prepare=prepare
)
