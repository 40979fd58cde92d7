"""Published weights of the nets: which files there are, and where one is looked for.

A file is looked for in the folder that the user gives, then in the cache folder, then at its
published address. torchvision publishes the first 8 hex digits of each file's sha256 in its name,
Google and OpenCV publish none (`schemas.published` says what is checked then). The full sha256 of
every file that was read goes into the provenance of the data.
"""

from pathlib import Path

from schemas.published import PublishedFile, cache_folder, fetch, verify
from schemas.recipe import Recipe

WEIGHTS = {
    "resnet152": PublishedFile(
        "resnet152-394f9c45.pth",
        "https://download.pytorch.org/models/resnet152-394f9c45.pth",
        "394f9c45",
    ),
    "r2plus1d": PublishedFile(
        "r2plus1d_18-91a641e6.pth",
        "https://download.pytorch.org/models/r2plus1d_18-91a641e6.pth",
        "91a641e6",
    ),
    "vggish": PublishedFile(
        "vggish",
        "https://tfhub.dev/google/vggish/1?tf-hub-format=compressed",
        holds=(
            "saved_model.pb",
            "variables/variables.index",
            "variables/variables.data-00000-of-00001",
        ),
    ),
    "vggish_pca": PublishedFile(
        "vggish_pca_params.npz",
        "https://storage.googleapis.com/audioset/vggish_pca_params.npz",
    ),
    "clip": PublishedFile(
        "clip-vit-large-patch14",
        "https://huggingface.co/openai/clip-vit-large-patch14/resolve/main/",
        holds=("config.json", "model.safetensors", "vocab.json", "merges.txt"),
    ),
    "clap": PublishedFile(
        "clap-htsat-fused",
        "https://huggingface.co/laion/clap-htsat-fused/resolve/main/",
        holds=("config.json", "pytorch_model.bin", "vocab.json", "merges.txt"),
    ),
    "fasterrcnn": PublishedFile(
        "fasterrcnn_resnet50_fpn_coco-258fb6c6.pth",
        "https://download.pytorch.org/models/fasterrcnn_resnet50_fpn_coco-258fb6c6.pth",
        "258fb6c6",
    ),
    "structured_edges": PublishedFile(
        "model.yml.gz",
        "https://github.com/opencv/opencv_extra/raw/4.x/testdata/cv/ximgproc/model.yml.gz",
    ),
}
"""Every published file that an extractor may read."""


def find_weights(
    file: PublishedFile, weights_dir: Path | None = None
) -> tuple[Path, dict[str, str]]:
    """Return the path of a weight file and the sha256 of each file read, downloading if need be.

    Raises `UsageError` when it is nowhere and cannot be fetched, or when its hash is wrong.
    """
    for folder in _folders(weights_dir):
        if (folder / file.name).exists():
            return folder / file.name, verify(file, folder)
    elsewhere = f" (or into {weights_dir})" if weights_dir is not None else ""
    folder = cache_folder() / "weights"
    path = fetch(file, folder, f"{elsewhere}, or use --weights seeded for random weights")
    return path, verify(file, folder)


def missing_weights(file: PublishedFile, weights_dir: Path | None = None) -> bool:
    """Return whether a file would have to be downloaded; no network, no bytes are read."""
    return not any((folder / file.name).exists() for folder in _folders(weights_dir))


def _folders(weights_dir: Path | None) -> list[Path]:
    given = [weights_dir] if weights_dir is not None else []
    return [*given, cache_folder() / "weights"]


def weights_of(recipe: Recipe) -> list[PublishedFile]:
    """Return every file that the extractors of a recipe read; empty for seeded weights."""
    if recipe.weights != "pretrained":
        return []
    names = {feature.net for feature in recipe.features()} - {""}
    if recipe.vggish_pca and "vggish" in names:
        names.add("vggish_pca")
    if recipe.proposals_edges == "structured" and "proposals" in recipe.extractors:
        names.add("structured_edges")
    if recipe.proposals_source == "rpn" and "proposals" in recipe.extractors:
        names.add("fasterrcnn")
    return [WEIGHTS[name] for name in sorted(names)]
