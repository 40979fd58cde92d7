"""JoMoLD against the authors' code: the net, the labels that go, the noise that is estimated."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models import train
from models.contract.batch import Batch, Outputs
from models.data.clips import open_clips
from models.nets.parsing import jomold
from models.training.checkpoint import load_training, save_training
from models.training.state import begin
from schemas import UsageError
from tests.models.nets.parsing.authors import check_step, golden, scored_batch

EXACT = jomold.Config(dropout=0.0, visual_dropout=0.0)
RATIOS = np.linspace(0.3, 0.9, 25)


def loss_with(config: jomold.Config) -> jomold.Loss:
    """The loss with the noise ratios of the golden file."""
    loss = jomold.Loss(config)
    loss.noise_audio.copy_(torch.from_numpy(RATIOS))
    loss.noise_visual.copy_(torch.from_numpy(RATIOS[::-1].copy()))
    return loss


def test_outputs_loss_gradients_and_step_are_those_of_the_authors_code() -> None:
    config, numbers = EXACT, golden("jomold")
    batch = replace(scored_batch(numbers), progress=0.5)
    check_step(numbers, jomold.Model(config), loss_with(config), config, batch)


def test_labels_that_go_are_those_of_the_authors_code() -> None:
    config, numbers = EXACT, golden("jomold")
    own = {name: torch.from_numpy(numbers[name]) for name in ("own_audio", "own_visual")}
    batch = replace(scored_batch(numbers), progress=0.5)
    outputs = Outputs(clip=batch.labels, extra=own)
    audio, visual = loss_with(config).targets(outputs, batch)
    np.testing.assert_array_equal(audio, numbers["target_audio"])
    np.testing.assert_allclose(visual, numbers["target_visual"], atol=1e-15)
    assert (batch.labels.numpy() != numbers["target_audio"]).any()
    kept = loss_with(config).targets(outputs, replace(batch, progress=1 / config.epochs))
    np.testing.assert_array_equal(kept[0], batch.labels)


def test_noise_is_what_both_losses_agree_on() -> None:
    own = torch.tensor([[4.0], [3.0], [2.0], [1.0], [9.0]])
    other = torch.tensor([[1.0], [2.0], [3.0], [4.0], [0.0]])
    positive = torch.tensor([[True], [True], [True], [True], [False]])
    for ratio, count in ((0.2, 0), (0.25, 1), (0.5, 2), (0.99, 3), (1.0, 4)):
        share = torch.tensor([ratio], dtype=torch.float64)
        found = jomold.noisy(own, other, positive, share)
        assert found[:, 0].nonzero().flatten().tolist() == list(range(count))
        apart = jomold.noisy(own, -other, positive, share)  # highest loss in both
        assert apart.sum() == max(0, 2 * count - 4)


class Oracle(jomold.Model):
    """Hears and sees class c with the probabilities that VGGish[c] and ResNet[c] hold."""

    def __init__(self) -> None:
        super().__init__(jomold.Config(hidden=8, feedforward=8, classes=4))

    def forward(self, batch: Batch) -> Outputs:
        heard, seen = batch.features["vggish"][:, 0, :4], batch.features["resnet152"][:, 0, :4]
        return Outputs(clip=heard, clip_audio=heard, clip_visual=seen)


def test_noise_ratios_are_shares_of_weak_labels(small_store: Path) -> None:
    clips = open_clips(small_store, jomold.CARD.needs)
    rows = clips.rows("train")
    sound, picture = torch.zeros(len(clips.keys), 10, 128), torch.zeros(len(clips.keys), 10, 2048)
    sound[:, 0, :4] = 0.5
    sound[rows[: len(rows) // 4], 0, 0] = 0.1  # a quarter of the clips do not sound like class 0
    picture[:, 0, :4] = 0.9
    labels = torch.zeros(len(clips.keys), 4)
    labels[rows] = 1.0
    features = {**clips.features, "vggish": sound, "resnet152": picture}
    made = replace(clips, labels=labels, features=features)
    audio, visual = jomold.estimate_noise(Oracle(), made, jomold.Config(classes=4))
    assert audio.tolist() == [0.25, 0.0, 0.0, 0.0]
    assert visual.tolist() == [1.0, 1.0, 1.0, 1.0]  # 0.95 of the mean is less than 1.8 of it


def test_two_stages_run_and_ratios_survive_a_save(small_store: Path, tmp_path: Path) -> None:
    clips = open_clips(small_store, jomold.CARD.needs)
    config = jomold.Config(hidden=16, feedforward=16, classes=4, epochs=1)
    torch.manual_seed(config.seed)
    model = jomold.Model(config)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    training = begin(model, jomold.Loss(config), clips, config, jomold.CARD.task)
    jomold.prepare(training)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert isinstance(training.loss, jomold.Loss)
    ratios = training.loss.noise_audio.clone()
    assert training.loss.noise_visual.any()
    save_training(tmp_path / "save.safetensors", training)
    again = begin(jomold.Model(config), jomold.Loss(config), clips, config, jomold.CARD.task)
    load_training(tmp_path / "save.safetensors", again)
    assert isinstance(again.loss, jomold.Loss)
    torch.testing.assert_close(again.loss.noise_audio, ratios)


def write(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def test_published_ratios_are_read_and_bad_ones_refused(tmp_path: Path) -> None:
    good = write(tmp_path / "good.npz", audio=RATIOS, visual=RATIOS[::-1])
    audio, visual = jomold.read_noise_ratios(good, 25)
    np.testing.assert_array_equal(audio, RATIOS)
    np.testing.assert_array_equal(visual, RATIOS[::-1])
    empty = np.array([None] * 25, object)
    for arrays, sentence in (
        ({"audio": RATIOS}, "is no file of noise ratios .*visual"),
        ({"audio": RATIOS[:3], "visual": RATIOS}, r"has audio \[3\], and the clips have 25"),
        ({"audio": RATIOS, "visual": RATIOS * np.nan}, "ratio of visual that is no number from"),
        ({"audio": empty, "visual": empty}, "is no file of noise ratios .*[Oo]bject arrays"),
    ):
        with pytest.raises(UsageError, match=sentence) as refused:
            jomold.read_noise_ratios(write(tmp_path / "bad.npz", **arrays), 25)
        assert "\n" not in str(refused.value)
    with pytest.raises(UsageError, match="is no file of noise ratios"):
        jomold.read_noise_ratios(tmp_path / "none.npz", 25)


def test_ratios_of_other_classes_are_refused_before_training(
    small_store: Path, tmp_path: Path
) -> None:
    file = write(tmp_path / "ratios.npz", audio=RATIOS, visual=RATIOS)
    words = ["jomold", "--features", str(small_store), "--run", str(tmp_path / "run")]
    with pytest.raises(UsageError, match=r"has audio .* and the clips have 4 classes"):
        train.main([*words, "--noise-ratios", str(file)])
