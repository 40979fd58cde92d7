"""CLIP and CLAP: published files give what the library gives, seeded nets tell texts apart."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from transformers.convert_slow_tokenizer import bytes_to_unicode

from extractors.base import LoadOptions
from extractors.nets.calibration_inputs import draw_waveforms
from extractors.nets.clap_input import log_mel_of_seconds
from extractors.nets.contrastive import media_tower, text_vectors
from schemas import UsageError

SMALL_TEXT = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2,
}  # fmt: skip
CAPTIONS = ("a dog", "a cello", "a helicopter")


def write_tokenizer(folder: Path, *, ends: str, specials: dict[str, int]) -> int:
    """Write a byte-level vocabulary without merges; return its size."""
    table: Any = bytes_to_unicode
    letters = list(table().values())
    words = [*specials, *letters, *(letter + ends for letter in letters if ends)]
    vocabulary = {word: index for index, word in enumerate(words)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return len(vocabulary)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small nets in the form in which the large ones are published."""
    root = tmp_path_factory.mktemp("weights")
    torch.manual_seed(5)
    folder = root / "clip-vit-large-patch14"
    folder.mkdir()
    size = write_tokenizer(folder, ends="</w>", specials={"<|startoftext|>": 0, "<|endoftext|>": 1})
    text = {**SMALL_TEXT, "vocab_size": size, "bos_token_id": 0, "eos_token_id": 1}
    vision = {**SMALL_TEXT, "image_size": 224, "patch_size": 56}
    config: Any = transformers.CLIPConfig(
        text_config=text, vision_config=vision, projection_dim=768
    )
    transformers.CLIPModel(config).save_pretrained(folder)
    folder = root / "clap-htsat-fused"
    folder.mkdir()
    names = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
    specials = {name: index for index, name in enumerate(names)}
    size = write_tokenizer(folder, ends="", specials=specials)
    audio = {
        "hidden_size": 64, "patch_embeds_hidden_size": 8, "depths": [1, 1, 1, 1],
        "num_attention_heads": [1, 1, 2, 2], "enable_fusion": True,
        "fusion_type": "aff_2d",
    }  # fmt: skip
    config = transformers.ClapConfig(
        text_config={**SMALL_TEXT, "vocab_size": size, "max_position_embeddings": 80},
        audio_config=audio, projection_dim=512,
    )  # fmt: skip
    net = transformers.ClapModel(config)
    net.config.save_pretrained(folder)
    torch.save(net.state_dict(), folder / "pytorch_model.bin")
    return root


def test_published_clip_is_what_the_library_gives(published: Path) -> None:
    folder = published / "clip-vit-large-patch14"
    net: Any = transformers.CLIPModel.from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tower, scaling, hashes = media_tower("clip", None, published)
    assert scaling is None
    assert len(hashes) == 4
    assert all(len(digest) == 64 for digest in hashes.values())
    pictures = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    tokens = tokenizer(list(CAPTIONS), padding=True, return_tensors="pt")
    with torch.inference_mode():
        wanted = net(pixel_values=pictures, **tokens)
        found = torch.nn.functional.normalize(tower(pictures), dim=-1)
    texts = text_vectors("clip", CAPTIONS, LoadOptions(weights_dir=published))
    logits = texts.scale * (found.numpy() @ texts.vectors.T)
    np.testing.assert_allclose(logits, wanted.logits_per_image.numpy(), atol=1e-4)


def test_published_clap_is_what_the_library_gives(published: Path) -> None:
    folder = published / "clap-htsat-fused"
    net: Any = transformers.ClapModel.from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tower, _, _ = media_tower("clap", None, published)
    mels = torch.from_numpy(log_mel_of_seconds(draw_waveforms(2, 1.0, 3)))
    tokens = tokenizer(list(CAPTIONS), padding=True, return_tensors="pt")
    with torch.inference_mode():
        wanted = net(
            input_features=mels[:, None].expand(-1, 4, -1, -1),
            is_longer=torch.zeros(2, 1, dtype=torch.bool), **tokens,
        )  # fmt: skip
        found = torch.nn.functional.normalize(tower(mels), dim=-1)
    texts = text_vectors("clap", CAPTIONS, LoadOptions(weights_dir=published))
    logits = texts.scale * (found.numpy() @ texts.vectors.T)
    np.testing.assert_allclose(logits, wanted.logits_per_audio.numpy(), atol=1e-3)


@pytest.mark.parametrize(("fused", "truncation"), [(True, "fusion"), (False, "rand_trunc")])
def test_log_mel_is_that_of_the_library(fused: bool, truncation: str) -> None:
    audio = draw_waveforms(1, 1.0, 4)
    found = log_mel_of_seconds(audio, fused=fused)
    assert found.shape == (1, 1001, 64)
    from scipy.signal import resample_poly

    library = transformers.ClapFeatureExtractor(frequency_min=50, frequency_max=14_000)
    second = resample_poly(audio[0].astype(np.float64), 3, 1)
    wanted = library(second, truncation=truncation, sampling_rate=48_000)["input_features"][0][0]
    np.testing.assert_allclose(found[0], wanted, atol=0.02)


@pytest.mark.parametrize("name", ["clip", "clap"])
def test_seeded_text_differs_by_caption_and_seed(name: str) -> None:
    texts = text_vectors(name, CAPTIONS, LoadOptions(weights="seeded:3"))
    again = text_vectors(name, CAPTIONS, LoadOptions(weights="seeded:3"))
    np.testing.assert_array_equal(texts.vectors, again.vectors)
    assert texts.provenance == {name: "seeded:3"}
    cosines = texts.vectors @ texts.vectors.T
    np.testing.assert_allclose(np.diag(cosines), 1.0, atol=1e-5)
    assert cosines[0, 1] < 0.9
    other = text_vectors(name, CAPTIONS, LoadOptions(weights="seeded:4"))
    assert abs(other.vectors - texts.vectors).max() > 0.01


def test_damaged_files_and_other_widths_are_one_sentence(published: Path, tmp_path: Path) -> None:
    folder = tmp_path / "clip-vit-large-patch14"
    shutil.copytree(published / folder.name, folder)
    (folder / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(UsageError, match="is not readable as CLIP in the form of") as refused:
        media_tower("clip", None, tmp_path)
    assert "\n" not in str(refused.value)
    shutil.rmtree(folder)
    (tmp_path / f"{folder.name}.sha256").unlink()  # another file than the first one that was used
    shutil.copytree(published / folder.name, folder)
    config = transformers.CLIPConfig(
        text_config=SMALL_TEXT, vision_config={**SMALL_TEXT, "patch_size": 56}, projection_dim=16
    )
    transformers.CLIPModel(config).save_pretrained(folder)
    with pytest.raises(UsageError, match="embeds in 16 numbers, extractor clip stores 768"):
        media_tower("clip", None, tmp_path)
