"""Words of --sweep, and what they ask for."""

import pytest

from models.nets.parsing import han
from models.nets.tagging import fayek_audio
from models.sweep.space import Dimension, combinations, read_space
from schemas import UsageError

CONFIG = fayek_audio.METHOD.config()


def test_ranges_and_lists_have_the_types_of_their_settings() -> None:
    words = ("learning-rate=1e-5..1e-3", "--batch-size=16,32", "balanced=yes,no", "schedule=step")
    rate, size, drawn, schedule = read_space(words, CONFIG)
    assert rate == Dimension(name="learning_rate", values=(1e-5, 1e-3), ranged=True)
    assert rate.log
    assert size.values == (16, 32)
    assert drawn.values == (True, False)
    assert schedule.values == ("step",)
    assert combinations((size, drawn)) == 4
    assert combinations((rate, size)) is None


def test_a_range_within_one_magnitude_is_searched_evenly() -> None:
    (dropout,) = read_space(["dropout=0.1..0.5"], han.METHOD.config())
    assert not dropout.log


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["learning-rate"], "takes name=low..high or name=a,b,c"),
        (["learning-rat=1e-5..1e-3"], "learning_rate"),
        (["seed=1,2"], "cannot search 'seed'"),
        (["learning-rate=1e-3..1e-5"], "goes from 0.001 to 1e-05; give low..high"),
        (["learning-rate=1e-5..x"], "'x', which is no value of it"),
        (["learning-rate=0..1"], "learning_rate must be above 0"),
        (["learning-rate=1e-5..nan"], "give low..high"),
        (["batch-size=1.5,2"], "'1.5', which is no value of it"),
        (["schedule=step,steps"], "'steps', which is no value of it (step, cosine, warmup-cosine)"),
        (["schedule=cosine..step"], "no numbers from low to high"),
        (["batch-size=16,16"], "gives a value twice"),
        (["batch-size=16", "batch-size=32"], "names 'batch_size' twice"),
        (["batch-size=0,2"], "batch_size must be at least 1"),
    ],
)
def test_wrong_words_are_one_sentence(words: list[str], sentence: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_space(words, CONFIG)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)
