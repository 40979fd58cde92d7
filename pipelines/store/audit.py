"""Compare a whole store with its manifest and its receipts, for `beam validate`."""

from collections.abc import Collection, Iterable, Iterator, Mapping

from apache_beam.io.filesystem import BeamIOError

from pipelines.store import files
from pipelines.store.integrity import find_part_problems, sha256_of
from pipelines.store.receipts import Receipt, StoreState, receipts_digest
from pipelines.store.unit_store import UnitStore
from schemas import JobError, StoreManifest

_UNFINISHED = (
    "the receipts are not those that manifest.json was written from: the last job did not finish, "
    "or they were changed; run the same job again"
)


def read_receipts(store: UnitStore) -> tuple[list[Receipt], list[str]]:
    """Return the receipts that can be read, and a sentence for each other one."""
    receipts, problems = [], []
    for path in store.receipt_paths():
        try:
            receipts.append(store.read_receipt(path))
        except JobError as error:
            problems.append(str(error))
    return receipts, problems


def find_file_problems(
    store: UnitStore, manifest: StoreManifest, receipts: Collection[Receipt]
) -> Iterator[str]:
    """Yield a sentence for every file that is not what was written.

    Every part is compared with its receipt, every other file with the manifest, the receipts with
    the manifest. What version 1 has written has no checksum: its parts are only read.
    """
    yield from _check_named_files(manifest)
    state = find_state(receipts, manifest)
    if state is None:
        yield _UNFINISHED
        state = StoreState.of(receipts)
    sizes = {str(name): files.sizes(files.join(store.out, name)) for name in store.tables}
    for receipt in state.receipts:
        yield from find_part_problems(store.out, receipt, sizes, verify=True)


def find_state(receipts: Iterable[Receipt], manifest: StoreManifest) -> StoreState | None:
    """Return the state of the receipts that the manifest was written from; None if there is none.

    A pack that was killed before the manifest was replaced does not count yet.
    """
    every = list(receipts)
    for state in (StoreState.of(every), StoreState.of(without_unfinished_packs(every))):
        if _is_state_of(state, manifest):
            return state
    return None


def without_unfinished_packs(receipts: list[Receipt]) -> list[Receipt]:
    """Return the receipts without those of packs whose members are all still there."""
    units = {receipt.unit for receipt in receipts}
    return [
        receipt
        for receipt in receipts
        if not (receipt.replaces and units.issuperset(receipt.replaces))
    ]


def count_unchecked(manifest: StoreManifest, receipts: Iterable[Receipt]) -> int:
    """Return how many parts that the manifest names have no checksum: those of version 1."""
    checked = set(manifest.checksums)
    for receipt in receipts:
        if receipt.has_checksums:
            checked.update(receipt.parts.values())
    return sum(path not in checked for paths in manifest.tables.values() for path in paths)


def _is_state_of(state: StoreState, manifest: StoreManifest) -> bool:
    parts = _parts_by_table(state)
    vouched = manifest.checksums.keys()
    named = {
        table: [path for path in paths if path not in vouched]
        for table, paths in manifest.tables.items()
    }
    if manifest.receipts_digest is None:  # version 1: last files of a job have no checksum
        return not state.receipts or all(named.get(table) == parts[table] for table in parts)
    same = all(named.get(table, []) == parts.get(table, []) for table in named.keys() | parts)
    return same and receipts_digest(state.receipts) == manifest.receipts_digest


def _parts_by_table(state: StoreState) -> Mapping[str, list[str]]:
    parts: dict[str, list[str]] = {}
    for receipt in state.receipts:
        for table, path in receipt.parts.items():
            parts.setdefault(table, []).append(path)
    return parts


def _check_named_files(manifest: StoreManifest) -> Iterator[str]:
    for path, written in manifest.checksums.items():
        try:
            digest = sha256_of(files.join(str(manifest.root), *path.split("/")))
        except FileNotFoundError:
            yield f"{path}: named by manifest.json, but not there"
        except (OSError, BeamIOError) as error:
            yield f"{path}: cannot be read ({error})"
        else:
            if digest != written:
                yield f"{path}: its content was changed since it was written (sha256)"
