"""Files about classes in the form of AudioSet's: ontology, list of classes, rated labels."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path


def write_class_files(
    folder: Path, children: Mapping[str, Sequence[str]], classes: Sequence[str],
    rated: Mapping[str, str],
) -> Path:  # fmt: skip
    """Write `ontology.json`, `class_labels_indices.csv` and `qa_true_counts.csv`; ids are /m/NAME.

    `rated` maps a class to "<number rated>,<number true>".
    """
    nodes = [
        {
            "id": f"/m/{name}", "name": name, "description": f"Sound of {name}.",
            "citation_uri": "", "positive_examples": [],
            "child_ids": [f"/m/{child}" for child in below], "restrictions": [],
        }
        for name, below in children.items()
    ]  # fmt: skip
    (folder / "ontology.json").write_text(json.dumps(nodes, indent=2))
    lines = [f'{index},/m/{name},"{name}"' for index, name in enumerate(classes)]
    listed = "\n".join(["index,mid,display_name", *lines]) + "\n"
    (folder / "class_labels_indices.csv").write_text(listed)
    rows = [f"/m/{name},{counts}" for name, counts in rated.items()]
    text = "\n".join(["label_id,num_rated,num_true", *rows]) + "\n"
    (folder / "qa_true_counts.csv").write_text(text)
    return folder
