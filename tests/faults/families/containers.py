"""Playlists and scripts that call themselves media and lead to a neighbour: no row of it may come.

The neighbour, `canary.mp4`, is a good film. Every form is also given with the spellings that
readers forgive: other line ends, a byte order mark, blank lines, other cases, absolute addresses.
"""

import random
from dataclasses import dataclass
from pathlib import Path

from schemas.media_names import MEDIA_SUFFIXES
from tests.faults.family import Family, Outcome
from tests.faults.media_samples import check, features, sample

FILES = 6
XML = '<?xml version="1.0" encoding="UTF-8"?>\n'
HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n"
FORMS = {
    "ffconcat": "ffconcat version 1.0\nfile {0}\nduration 1\n",
    "concat": "file '{0}'\nfile '{0}'\n",
    "concat with options": "ffconcat version 1.0\nfile {0}\noption safe 0\ninpoint 0\n",
    "hls": HLS + "#EXT-X-VERSION:3\n#EXTINF:1.2,\n{0}\n#EXT-X-ENDLIST\n",
    "hls master": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{0}\n",
    "hls map": HLS + '#EXT-X-MAP:URI="{0}"\n#EXTINF:1,\n{0}\n#EXT-X-ENDLIST\n',
    "hls key": HLS + '#EXT-X-KEY:METHOD=AES-128,URI="{0}"\n#EXTINF:1,\n{0}\n',
    "m3u": "#EXTM3U\n#EXTINF:1,Canary\n{0}\n",
    "dash": XML + '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'mediaPresentationDuration="PT1.2S" minBufferTime="PT1S" '
    'profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period><AdaptationSet '
    'mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>{0}</BaseURL>'
    "</Representation></AdaptationSet></Period></MPD>\n",
    "dash list": XML + '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>'
    '<AdaptationSet contentType="video"><Representation id="0"><SegmentList duration="1">'
    '<SegmentURL media="{0}"/></SegmentList></Representation></AdaptationSet></Period></MPD>\n',
    "smooth": XML + '<SmoothStreamingMedia MajorVersion="2" MinorVersion="0" Duration="12000000">'
    '<StreamIndex Type="video" Url="{0}"><QualityLevel Index="0"/></StreamIndex>'
    "</SmoothStreamingMedia>\n",
    "smil": '<smil><head/><body><seq><video src="{0}"/><audio src="{0}"/></seq></body></smil>\n',
    "asx": '<asx version="3.0"><entry><ref href="{0}"/></entry></asx>\n',
    "wpl": '<?wpl version="1.0"?><smil><body><seq><media src="{0}"/></seq></body></smil>\n',
    "pls": "[playlist]\nFile1={0}\nLength1=1\nNumberOfEntries=1\nVersion=2\n",
    "asf reference": "[Reference]\nRef1={0}\nRef2={0}\n",
    "xspf": XML + '<playlist version="1" xmlns="http://xspf.org/ns/0/"><trackList><track>'
    "<location>{0}</location></track></trackList></playlist>\n",
    "ram": "{0}\n{0}\n",
    "qtl": XML + '<?quicktime type="application/x-quicktime-media-link"?><embed src="{0}"/>\n',
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\na=control:{0}\n",
    "rtsp text": "RTSPtext\nrtsp://127.0.0.1/{0}\n",
    "imf": XML + '<CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2016">'
    "<Id>urn:uuid:0</Id><ContentTitle>{0}</ContentTitle></CompositionPlaylist>\n",
    "asset map": XML + '<AssetMap xmlns="http://www.smpte-ra.org/schemas/429-9/2007/AM"><AssetList>'
    "<Asset><ChunkList><Chunk><Path>{0}</Path></Chunk></ChunkList></Asset></AssetList></AssetMap>\n",
    "avisynth": 'DirectShowSource("{0}")\n',
    "vapoursynth": 'import vapoursynth as vs\nvs.core.ffms2.Source("{0}").set_output()\n',
    "lavfi": "movie={0}[out0];amovie={0}[out1]\n",
    "cue": 'FILE "{0}" MP3\n  TRACK 01 AUDIO\n    INDEX 01 00:00:00\n',
    "vobsub": "# VobSub index file, v7 (do not modify this line!)\nid: en, index: 0\n"
    "timestamp: 00:00:00:000, filepos: 000000000\n",
    "ffmetadata": ";FFMETADATA1\ntitle={0}\n[CHAPTER]\nTIMEBASE=1/1\nSTART=0\nEND=1\n",
    "edl": "# mpv EDL v0\n{0},0,1\n",
    "svg": '<svg xmlns="http://www.w3.org/2000/svg"><image href="{0}"/></svg>\n',
    "link": "{0}",
}
"""Texts by what they are; `{0}` is the neighbour."""
MOVIES = ("url of self", "url", "alias", "reference movie")
"""QuickTime files whose samples lie in the neighbour."""


@dataclass(frozen=True)
class Script:
    """One file: its form, how the neighbour is named in it, how it is spelt, its ending."""

    form: str
    address: str
    spelling: str
    ending: str


@dataclass(frozen=True)
class Case:
    """Scripts that lie beside one canary."""

    scripts: tuple[Script, ...]


def make(dice: random.Random) -> Case:
    """Draw scripts."""
    addresses = ("{name}", "./{name}", "{path}", "file:{path}", "file://{path}", "subfile:{path}")
    spellings = ("plain", "crlf", "cr", "bom", "blank", "upper", "utf-16", "padded")
    return Case(
        tuple(
            Script(
                dice.choice([*FORMS, *MOVIES]), dice.choice(addresses), dice.choice(spellings),
                dice.choice([".mp4", ".mp4", *sorted(MEDIA_SUFFIXES)]),
            )
            for _ in range(FILES)
        )
    )  # fmt: skip


def text_of(script: Script, canary: Path) -> bytes:
    """Return the bytes of a script in text."""
    address = script.address.format(name=canary.name, path=canary)
    text = FORMS[script.form].replace("{0}", address)
    match script.spelling:
        case "crlf":
            return text.replace("\n", "\r\n").encode()
        case "cr":
            return text.replace("\n", "\r").encode()
        case "bom":
            return b"\xef\xbb\xbf" + text.encode()
        case "blank":
            return b"\n \n\n" + text.encode()
        case "upper":
            first, _, rest = text.partition("\n")
            return f"{first.upper()}\n{rest}".encode()
        case "utf-16":
            return text.encode("utf-16")
        case "padded":
            return text.encode() + b"#" * 5000 + b"\n"
    return text.encode()


def movie_of(script: Script, canary: Path) -> bytes:
    """Return a QuickTime file without samples, whose tables say that they lie in the canary."""
    address = script.address.format(name=canary.name, path=canary).encode() + b"\0"
    if script.form == "reference movie":
        reference = _box(b"rdrf", bytes(4) + b"url " + len(address).to_bytes(4, "big") + address)
        return _box(b"moov", _box(b"rmra", _box(b"rmda", reference)))
    data = sample("mp4")
    kept = b"".join(box for kind, box in _boxes(data) if kind in (b"ftyp", b"moov"))
    own = _box(b"url ", b"\0\0\0\1")
    flags = b"\0\0\0\1" if script.form == "url of self" else bytes(4)
    kind = b"alis" if script.form == "alias" else b"url "
    body = flags + (_alias(canary) if kind == b"alis" else address)
    return _grown(kept, own, _box(kind, body))


def _box(kind: bytes, body: bytes) -> bytes:
    return (8 + len(body)).to_bytes(4, "big") + kind + body


def _boxes(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return the boxes of a level, each with its kind."""
    found, at = [], 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        found.append((data[at + 4 : at + 8], data[at : at + size]))
        at += size
    return found


def _grown(data: bytes, old: bytes, new: bytes) -> bytes:
    """Replace a box wherever it stands, and mend the sizes of the boxes around it."""
    out = b""
    for kind, box in _boxes(data):
        body = box[8:]
        if box == old:
            out += new
        elif kind in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
            out += _box(kind, _grown(body, old, new))
        elif kind == b"dref":
            out += _box(kind, body[:8] + _grown(body[8:], old, new))
        else:
            out += box
    return out


def _alias(canary: Path) -> bytes:
    """Return an alias record with the path of the canary."""
    name = canary.name.encode()
    fixed = b"\0\0\0\0\0\2\0\0" + bytes([len(name)]) + name.ljust(63, b"\0") + bytes(78)
    path = str(canary).encode()
    entry = (2).to_bytes(2, "big") + len(path).to_bytes(2, "big") + path + b"\0" * (len(path) % 2)
    return fixed + entry + b"\xff\xff\0\0"


def run(case: Case, folder: Path) -> Outcome:
    """Make features of the scripts alone; the canary lies beside them."""
    canary = folder / "canary.mp4"
    canary.write_bytes(sample("mp4"))
    paths = {}
    for number, script in enumerate(case.scripts):
        write = movie_of if script.form in MOVIES else text_of
        paths[f"clip{number}"] = folder / f"clip{number}{script.ending}"
        paths[f"clip{number}"].write_bytes(write(script, canary))
    receipt = features(paths, folder)
    check(receipt, [*paths], folder)
    return Outcome.WRONG_ROWS if receipt.done else Outcome.FAILURE


FAMILIES = (
    Family(
        "containers", make, run, sample=1, weight=3, most=600, time_limit_s=120.0, memory_mb=8192
    ),
)
