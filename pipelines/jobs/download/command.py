"""`beam run download`: its options."""

from dataclasses import dataclass
from typing import Annotated

from pipelines.jobs.options import ClipOptions
from schemas.settings.bounds import AtLeast

YOUTUBE = "youtube"


@dataclass(frozen=True, kw_only=True)
class Options(ClipOptions):
    """Fetch the clips of a data set into a folder, for beam run features.

    The same command again fetches only what is missing. Options that are not listed here go to
    Beam. Examples:

    beam run download --dataset llp --annotations LLP/data --media store/llp

    beam run download --dataset llp --media store/llp --identities mine.json --retry network,timeout

    beam run download --dataset llp --media store/llp --source /data/old/llp

    beam run download --dataset llp --media store/llp --source 'https://a.org/{clip_key}.mp4'
    """

    dataset: str = "llp"
    """llp, audioset, dcase2017, ave, unav100, kinetics-instruments or folder."""
    media: str | None = None
    """Folder or URI that the clips go to; media/<dataset> when it is left out."""
    unit_size: Annotated[int, AtLeast(1)] = 32
    """Clips that are committed together: what a kill can cost at most."""
    source: str = YOUTUBE
    """youtube; an http(s) address with {video_id}, {clip_key}, {start}, {end} in it; or a folder, a
    .tar or a .parquet file with the media (a folder may hold all three kinds)."""
    cookies: str | None = None
    """Cookies file in Netscape form."""
    proxy: str | None = None
    """Proxy, such as http://host:3128 or socks5://host:1080."""
    user_agent: str | None = None
    """User agent to send."""
    youtube_args: str = ""
    """yt-dlp's extractor arguments for YouTube, such as
    player_client=mweb,tv;formats=missing_pot."""
    impersonate: str | None = None
    """Browser that yt-dlp looks like to YouTube, such as chrome or safari-26.0:ios; needs
    curl_cffi (pip install 'earsight[impersonate]')."""
    yt_dlp: str | None = None
    """Version of yt-dlp that fetches, a nightly one too, such as 2026.10.26; it is installed
    into a folder of its own in the cache."""
    sabr: bool = False
    """Take formats that YouTube sends by SABR alone, whole; for a yt-dlp with a downloader for
    them."""
    identities: str | None = None
    """JSON file with several identities: [{"name", "cookies", "proxy", "user_agent",
    "videos_per_hour"}, ...]; they share the job."""
    videos_per_hour: float | None = None
    """Budget of one identity; left out: 280 for YouTube, none for a mirror. 0 is none."""
    machines: Annotated[int, AtLeast(1)] = 1
    """How many machines use the same identities: each takes its share of the budget."""
    breaker_after: Annotated[int, AtLeast(1)] = 3
    """Bot checks or refusals in a row after which an identity is left alone."""
    breaker_minutes: Annotated[float, AtLeast(0)] = 30.0
    """How long it is left alone at first; twice as long each time that it is still refused."""
    patience_minutes: Annotated[float, AtLeast(0)] = 360.0
    """How long clips wait when every identity is left alone, before they are handed back."""
    state: str | None = None
    """Folder of the budgets, shared by all jobs of this machine; in the cache when left out."""
    height: Annotated[int, AtLeast(0)] = 360
    """Most lines of a video; 0 for no cap. The audio keeps the quality of its source."""
    section_above_mb: Annotated[float, AtLeast(0)] = 50.0
    """Fetch only a section of videos larger than this."""
    max_mb: Annotated[float, AtLeast(0.001)] = 2048.0
    """Most megabytes that are read for one clip."""
    clip_timeout: Annotated[float, AtLeast(1)] = 300.0
    """Time limit for one try of one clip, in seconds."""
    tries: Annotated[int, AtLeast(1)] = 3
    """How often a clip is tried in one run when the network fails."""
    retry_pause: Annotated[float, AtLeast(0)] = 1.0
    """About how many seconds pass before the second try; twice as many before each further one."""
    hosts: str = ""
    """Further hosts that a mirror may lead to, separated by commas."""
    keep_going: bool = False
    """Go on even where the first 20 videos all fail for one cause that has a remedy."""
    allow_playlists: bool = False
    """Follow HLS playlists of a mirror, as far as they stay on its hosts and on --hosts."""
    parallel: Annotated[int, AtLeast(1)] = 2
    """Clips that a worker gets side by side."""
    preset: str | None = None
    """dataflow-cpu: fills in Beam's options for Dataflow (docs/dataflow.md)."""


def run(options: Options, rest: list[str]) -> int:
    """Check everything, run the job, print the summary; 0 done, 1 fell short."""
    from pipelines.jobs.download.launch import launch  # with Beam and yt-dlp

    return launch(options, rest)
