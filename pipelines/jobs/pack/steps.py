"""The steps of a pack: plan shards, make a shard, finish."""

from collections.abc import Iterator

import apache_beam as beam

from pipelines.jobs.pack import pack
from pipelines.store.feature_store import FeatureStore
from pipelines.store.progress import ProgressFile


class PlanShards(beam.DoFn):
    """One start element to the encoded shards that are to be made: names only."""

    def __init__(self, out: str, most: int) -> None:
        self._store, self._most = FeatureStore(out), most

    def process(self, start: bytes) -> Iterator[bytes]:
        """Shards, as bytes."""
        for shard in pack.plan(self._store, self._most):
            yield shard.encode()


class PackShard(beam.DoFn):
    """Make and commit one shard."""

    def __init__(self, out: str) -> None:
        self._store = FeatureStore(out)
        self._progress = ProgressFile(out)

    def process(self, shard: bytes) -> Iterator[bytes]:
        """The name of the shard, once its receipt stands."""
        receipt = pack.pack(self._store, pack.Shard.decode(shard))
        self._progress.count(len(receipt.done))
        yield receipt.unit.encode()


class FinishPack(beam.DoFn):
    """Runs once, after every shard: readers are led to the shards."""

    def __init__(self, out: str, keep_parts: bool) -> None:
        self._store, self._keep_parts = FeatureStore(out), keep_parts

    def process(self, n_shards: int) -> Iterator[int]:
        """Swap the manifest; yields the number of shards."""
        pack.finish(self._store, keep_parts=self._keep_parts)
        yield n_shards
