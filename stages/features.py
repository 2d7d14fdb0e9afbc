"""Stage `features`: images and texts of a release of landmarks -> what the towers of a training read, in parts.

The workspace is the folder of the features. Output: a file a part, see `retrieval.training.features`, which the
training joins and then removes; what is joined is not made again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from pipeline.errors import PermanentError, PipelineError
from pipeline.stage import Result, RunView, Stage, Unit, output
from raster.config_path import ConfigPath
from stages.encoders import loaded_encoder

if TYPE_CHECKING:
    from retrieval.benchmark import Items, Modality
    from retrieval.encoders import Encoder


class FeaturesParams(BaseModel):
    """What is encoded with which model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    release: ConfigPath = Field(description="Folder of the release; its split `train` is read.")
    encoders: Mapping[str, str | None] = Field(description="Name of the encoder of each modality; null for thumbnails.")
    copies: int = Field(ge=1, description="Copies of an image for a frozen encoder.")
    device: str = Field(default="cpu", description="cpu, or a torch device.")


class FeaturesStage(Stage[FeaturesParams]):
    """Make features: a unit for each modality and part of the items."""

    name: ClassVar[str] = "features"
    version: ClassVar[int] = 1
    Params: ClassVar[type[BaseModel]] = FeaturesParams

    def plan(self, run: RunView) -> Sequence[Unit]:
        """Return the units; none of a modality whose parts are joined. Raises PipelineError for what cannot be read."""
        from retrieval.encoders import load_encoder
        from retrieval.errors import RetrievalError
        from retrieval.release import read_landmarks

        try:
            items = read_landmarks(self.params.release, "train").items
            return [
                unit
                for modality, name in self.params.encoders.items()
                for unit in self._units(items, modality, name and load_encoder(name, self.params.device), run.workspace)
            ]
        except RetrievalError as error:
            raise PipelineError(str(error)) from error

    def _units(self, items: Mapping[Any, Items], modality: Any, encoder: Any, folder: Path) -> Iterator[Unit]:
        from retrieval.training.features import are_made, parts_of

        parts = parts_of(items[modality], modality, encoder, self.params.copies, folder)
        if are_made(parts):
            return
        for part in parts:
            payload = {
                "modality": modality,
                "encoder": self.params.encoders[modality],
                "identity": encoder and encoder.identity,
                "device": self.params.device,
                "copies": self.params.copies,
                "path": part.path.name,
                "start": part.start,
                "contents": [str(content) for content in part.contents],
            }
            yield Unit(self.name, part.path.stem, part.path.stem, payload, weight=len(part.contents))

    def run(self, unit: Unit, workspace: Path) -> Result:
        """Make one part. Raises PermanentError if an item cannot be read, or the model is another one here."""
        from retrieval.errors import RetrievalError
        from retrieval.training.features import Part, make_part

        payload = unit.payload
        modality: Modality = payload["modality"]
        encoder: Encoder | None = None
        if payload["encoder"]:
            encoder = loaded_encoder(payload["encoder"], payload["device"], payload["identity"])
        texts = modality == "text"
        contents = [content if texts else Path(content) for content in payload["contents"]]
        path = workspace / payload["path"]
        try:
            make_part(Part(path, path, payload["start"], contents), encoder, modality, payload["copies"])
        except RetrievalError as error:
            raise PermanentError(str(error)) from error
        return Result((output(workspace, path),))
