"""What is done to training spectrograms, each setting by itself."""

from dataclasses import replace

import torch

from models.nets.tagging import augment
from models.nets.tagging.augment import Augmentation, AugmentConfig
from models.nets.tagging.logmel import Spectrogram

CONFIG = AugmentConfig(mixup=0.0, masks=0)


def ramp(clips: int = 3, frames: int = 250) -> Spectrogram:
    """Frames that say by their value when they are; the last fifth of a clip is not there."""
    values = torch.arange(1.0, frames + 1)[None, :, None].expand(clips, frames, 64)
    present = torch.arange(frames)[None].expand(clips, frames) < frames * 4 // 5
    return Spectrogram(values, present)


def test_turned_clips_keep_every_frame_with_its_presence() -> None:
    torch.manual_seed(0)
    clips = ramp(8)
    turned = augment.turned(clips, 30)
    shifts = (turned.frames[:, :, 0] == 1.0).nonzero()[:, 1]
    assert len(set(shifts.tolist())) > 2
    assert all(shift <= 30 or shift >= 220 for shift in shifts.tolist())
    for clip, shift in enumerate(shifts.tolist()):
        assert torch.equal(turned.frames[clip], clips.frames[clip].roll(shift, 0))
        assert torch.equal(turned.present[clip], clips.present[clip].roll(shift, 0))
    assert torch.equal(augment.turned(clips, 0).frames, clips.frames)


def test_masks_are_as_many_and_as_wide_as_set() -> None:
    torch.manual_seed(0)
    ones = torch.ones(64, 200, 64)
    bands = augment.masked(ones, replace(CONFIG, masks=1, time_mask=0.0, freq_mask=10))
    widths = (bands[:, 0] == 0).sum(dim=1)
    assert 7 <= widths.max() <= 11
    assert (bands == bands[:, :1]).all()
    times = augment.masked(ones, replace(CONFIG, masks=1, time_mask=0.25, freq_mask=0))
    assert 40 <= (times[:, :, 0] == 0).sum(dim=1).max() <= 51
    assert torch.equal(augment.masked(ones, replace(CONFIG, masks=0)), ones)
    assert torch.equal(augment.masked(ones, replace(CONFIG, time_mask=0.0, freq_mask=0)), ones)


def test_mixup_mixes_labels_as_it_mixes_sounds() -> None:
    torch.manual_seed(0)
    labels = torch.eye(6)
    sounds = Spectrogram(
        labels[:, None, :].repeat(1, 10, 1).repeat_interleave(11, 2)[..., :64],
        torch.ones(6, 10, dtype=torch.bool),
    )
    found, targets = augment.mixed(sounds, labels, 0.4)
    for column in range(5):
        torch.testing.assert_close(found.frames[:, 0, 11 * column], targets[:, column])
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(6))
    assert (targets.max(dim=1).values >= 0.5).all()
    assert ((targets > 0) & (targets < 1)).any()


def test_settings_turn_mixup_off_and_on() -> None:
    torch.manual_seed(0)
    labels = torch.eye(3)
    never = Augmentation(CONFIG, 96)
    always = Augmentation(replace(CONFIG, mixup=0.4, mixup_share=1.0, time_shift=0.5), 96)
    assert all(torch.equal(never(ramp(), labels)[1], labels) for _ in range(5))
    assert not any(torch.equal(always(ramp(), labels)[1], labels) for _ in range(5))
    assert always(ramp(), labels)[0].frames.shape == (3, 96, 64)
