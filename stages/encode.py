"""Stage `encode`: images, texts and places of a dataset of landmarks -> the vectors of a model.

Output: `vectors/<modality>/<batch>-<key>.parquet` with the columns `id` and `embedding`, of any length. The digest of
an item's content says in which batch it is: one that is new or changed makes its own batch due, and no other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from pipeline.errors import PermanentError, PipelineError
from pipeline.files import digest_json
from pipeline.stage import Result, RunView, Stage, Unit, output
from raster.config_path import ConfigPath
from stages.encoders import loaded_encoder
from stages.tables import write_table

if TYPE_CHECKING:
    from retrieval.benchmark import Items, Modality

FOLDER = "vectors"
BATCH = 256
"""Items of a unit, at most about twice as many: photographs take a model some tens of seconds."""


class EncodeParams(BaseModel):
    """Which model encodes what."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(description="Name of an encoder.")
    device: str = Field(default="cpu", description="cpu, or a torch device.")
    dataset: ConfigPath | None = Field(default=None, description="Folder of the dataset; default: this run's release.")
    layout: str | None = Field(default=None, description="Its layout; default: told by the files.")
    items: Literal["benchmark", "landmarks"] = Field(
        default="benchmark", description="benchmark: queries and galleries; landmarks: all that is known of them."
    )
    split: str | None = Field(default=None, description="Of landmarks: only those of this split.")


class EncodeStage(Stage[EncodeParams]):
    """Encode: a unit for each modality and batch of items."""

    name: ClassVar[str] = "encode"
    version: ClassVar[int] = 1
    Params: ClassVar[type[BaseModel]] = EncodeParams
    reads: ClassVar[tuple[str, ...]] = ("release",)

    def plan(self, run: RunView) -> Sequence[Unit]:
        """Return the units. Raises PipelineError if the dataset or the model cannot be read."""
        from retrieval.encoders import load_encoder
        from retrieval.errors import RetrievalError

        params = self.params
        try:
            encoder = load_encoder(params.model, params.device)  # not one of a process: its files may have changed
            found = self._items(run.workspace / "release" if params.dataset is None else params.dataset)
            return [
                unit
                for modality, items in found.items()
                if modality in encoder.modalities
                for unit in self._units(run, encoder.identity, modality, items)
            ]
        except RetrievalError as error:
            raise PipelineError(str(error)) from error

    def _items(self, root: Path) -> Mapping[Modality, Items]:
        from retrieval.encode import items_of
        from retrieval.layouts import read_dataset
        from retrieval.release import read_landmarks

        if self.params.items == "landmarks":
            return items_of(read_landmarks(root, self.params.split).every_item())
        benchmark = read_dataset(root, self.params.layout)
        return items_of(benchmark.galleries, benchmark.queries)

    def _units(self, run: RunView, identity: str, modality: Modality, items: Items) -> Iterator[Unit]:
        from retrieval.encode import content_of

        contents = [content_of(items, modality, position) for position in range(len(items))]
        digests = [_digest(run, content) for content in contents]
        for batch, positions in _batches(digests).items():
            positions.sort(key=lambda position: (digests[position], items.ids[position]))
            ids = [items.ids[position] for position in positions]
            key = digest_json([self.name, self.version, identity, modality, ids, [digests[n] for n in positions]])
            payload = {
                "model": self.params.model,
                "device": self.params.device,
                "identity": identity,
                "modality": modality,
                "ids": ids,
                "contents": [str(contents[n]) if isinstance(contents[n], Path) else contents[n] for n in positions],
                "path": f"{FOLDER}/{modality}/{batch}-{key[:16]}.parquet",
            }
            # By its key, so that batches of several models and datasets lie beside each other.
            yield Unit(self.name, f"{modality}/{batch}-{key[:16]}", key, payload, weight=len(ids))

    def run(self, unit: Unit, workspace: Path) -> Result:
        """Encode one batch. Raises PermanentError if an item cannot be read, or the model is another one here."""
        from retrieval.encode import encode
        from retrieval.errors import RetrievalError

        payload = unit.payload
        encoder = loaded_encoder(payload["model"], payload["device"], payload["identity"])
        images = payload["modality"] in ("ground", "satellite")
        contents = [Path(content) if images else content for content in payload["contents"]]
        try:
            vectors = encode(encoder, payload["modality"], contents)
        except RetrievalError as error:
            raise PermanentError(str(error)) from error
        path = workspace / payload["path"]
        embeddings = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
        table = pa.table({"id": payload["ids"], "embedding": embeddings})
        write_table(path, table, table.schema)
        return Result((output(workspace, path),), {"modality": payload["modality"]})


def _digest(run: RunView, content: Any) -> str:
    return digest_json(["file", run.digest(content)] if isinstance(content, Path) else content)


def _batches(digests: Sequence[str]) -> Mapping[str, list[int]]:
    """Return the positions of each batch by its name; the digest of a content alone says to which of them it falls."""
    count = 1
    while len(digests) > BATCH * count:
        count *= 2
    found: dict[str, list[int]] = defaultdict(list)
    for position, digest in enumerate(digests):
        found[f"{int(digest[:12], 16) % count:05d}-of-{count:05d}"].append(position)
    return dict(sorted(found.items()))
