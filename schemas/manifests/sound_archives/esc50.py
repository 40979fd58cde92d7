"""ESC-50 (Piczak, "ESC: dataset for environmental sound classification", ACM Multimedia 2015).

2,000 recordings of five seconds, 50 classes, five folds by source. The archive as it comes:
`meta/esc50.csv` and `audio/1-100032-A-0.wav`.
"""

from schemas.manifests.sound_archives.fold_tables import FoldTable, Row

HOME = "published at github.com/karolpiczak/ESC-50"
"""Where the files come from, for error messages."""


def esc_table(dataset: str, ten: bool) -> FoldTable:
    """Return the table of ESC-50, or of the ten classes that ESC-10 takes from it."""

    def row(cells: list[str]) -> Row:
        file, fold, target, category, esc10, source, _ = cells
        if esc10 not in ("True", "False"):
            raise ValueError("column esc10 is True or False")
        chosen = esc10 == "True" or not ten
        return Row(file, fold, source, int(target), category, chosen)

    header = "filename,fold,target,category,esc10,src_file,take"
    return FoldTable(dataset, ("meta/esc50.csv", "esc50.csv"), HOME, header, row, folds=5)


TABLE = esc_table("esc50", ten=False)
read_clips, read_events, vocabulary = TABLE.read_clips, TABLE.read_events, TABLE.vocabulary
