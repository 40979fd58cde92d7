"""UrbanSound8K (Salamon et al., "A dataset and taxonomy for urban sound research", 2014).

8,732 clips of four seconds at most, ten classes, ten folds by source. The archive as it comes:
`metadata/UrbanSound8K.csv` and `audio/fold1/101415-3-0-2.wav`.
"""

from schemas.manifests.sound_archives.fold_tables import FoldTable, Row

HOME = "published at urbansounddataset.weebly.com and zenodo.org/records/1203745"
"""Where the files come from, for error messages."""


def _row(cells: list[str]) -> Row:
    file, source, _, _, _, fold, number, label = cells
    return Row(file, fold, source, int(number), label)


TABLE = FoldTable(
    "urbansound8k",
    ("metadata/UrbanSound8K.csv", "UrbanSound8K.csv"),
    HOME,
    "slice_file_name,fsID,start,end,salience,fold,classID,class",
    _row,
    folds=10,
)
read_clips, read_events, vocabulary = TABLE.read_clips, TABLE.read_events, TABLE.vocabulary
