"""What users do without this project: one decode per extractor, fp32, torchvision as it comes.

The yardstick of the benchmarks. Nothing here is shared with the product but the nets' weights.
"""

import subprocess
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torchvision import transforms
from torchvision.models import resnet152
from torchvision.models.video import r2plus1d_18

from extractors.nets.vggish_input import log_mel_examples
from extractors.nets.vggish_net import Net as VGGish
from schemas.machine.ffmpeg import ffmpeg_binary

BATCH = 16


class Plain:
    """Three nets with random weights and the scripts around them."""

    def __init__(self) -> None:
        self.resnet = resnet152(weights=None).eval()
        self.resnet.fc = nn.Identity()
        self.video = r2plus1d_18(weights=None).eval()
        self.video.fc = nn.Identity()
        self.vggish = VGGish().eval()

    @torch.no_grad()
    def run(self, media: Path, work: Path) -> dict[str, float]:
        """Seconds by extractor for one clip, each with its own decode."""
        seconds = {}
        for name, extract in (
            ("resnet152", self._resnet), ("r2plus1d", self._video), ("vggish", self._vggish)
        ):  # fmt: skip
            folder = work / name
            folder.mkdir(parents=True, exist_ok=True)
            started = time.perf_counter()
            extract(media, folder)
            seconds[name] = time.perf_counter() - started
        return seconds

    def _frames(self, media: Path, folder: Path) -> list[Image.Image]:
        _ffmpeg("-i", media, "-r", "8", folder / "%06d.jpg")
        files = sorted(folder.glob("*.jpg"))
        picked = np.round(np.linspace(0, len(files) - 1, 80)).astype(int)
        return [Image.open(files[index]).convert("RGB") for index in picked]

    def _resnet(self, media: Path, folder: Path) -> None:
        prepare = transforms.Compose(
            [
                transforms.Resize(256),
                transforms.CenterCrop(224),
                transforms.ToTensor(),
                transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
            ]
        )
        frames = torch.stack([prepare(frame) for frame in self._frames(media, folder)])
        torch.cat([self.resnet(batch) for batch in torch.split(frames, BATCH)])

    def _video(self, media: Path, folder: Path) -> None:
        prepare = transforms.Compose(
            [
                transforms.Resize((112, 112)),
                transforms.ToTensor(),
                transforms.Normalize([0.43216, 0.394666, 0.37645], [0.22803, 0.22145, 0.216989]),
            ]
        )
        frames = torch.stack([prepare(frame) for frame in self._frames(media, folder)])
        stacks = frames.view(10, 8, 3, 112, 112).transpose(1, 2)
        torch.cat([self.video(stack[None]) for stack in stacks])

    def _vggish(self, media: Path, folder: Path) -> None:
        _ffmpeg("-i", media, "-ac", "1", "-ar", "16000", "-f", "s16le", folder / "sound.pcm")
        sound = np.fromfile(folder / "sound.pcm", dtype="<i2").astype(np.float32) / 32768
        for second in range(10):
            part = np.resize(sound[second * 16_000 : (second + 1) * 16_000], 16_000)
            self.vggish(torch.from_numpy(log_mel_examples(part)))


def _ffmpeg(*words: object) -> None:
    subprocess.run(
        [ffmpeg_binary(), "-v", "error", "-nostdin", "-y", *map(str, words)], check=True, timeout=60
    )
