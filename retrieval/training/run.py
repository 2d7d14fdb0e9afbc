"""A whole training: a release of landmarks -> weights, their calibration and the record of what was read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from retrieval.benchmark import Modality
from retrieval.encoders.base import Encoder
from retrieval.encoders.baseline import save_baseline
from retrieval.encoders.registry import load_encoder
from retrieval.errors import RetrievalError
from retrieval.model import Towers
from retrieval.prototypes import Embedded, fit_calibration
from retrieval.release import read_landmarks
from retrieval.search import checked_device
from retrieval.training.config import PIXELS_NAME, TrainingConfig
from retrieval.training.features import make_features
from retrieval.training.record import TrainingRecord
from retrieval.training.separation import kept_aside
from retrieval.training.trainer import Report, TrainingSet, train

WEIGHTS = "baseline.safetensors"
_CHUNK = 256


def train_baseline(config: TrainingConfig, device: str = "cpu", report: Report | None = None) -> Path:
    """Train the baseline as a configuration says; a training that was stopped goes on where it was.

    Args:
        config: The configuration.
        device: A torch device.
        report: Is told the losses of every validation.

    Returns:
        The file of the weights; the record of the landmarks that were read lies beside it.

    Raises:
        RetrievalError: The release cannot be read, or has too few landmarks, or there is no such device.
    """
    checked_device(device)
    landmarks = read_landmarks(config.release, "train")
    training, validation = kept_aside(landmarks.lonlat, config.validation, config.seed)
    if len(training) < 2:
        raise RetrievalError(f"{config.release}: {len(training)} landmarks left to train on; lower validation.share")
    names = encoder_names(config)
    encoders: dict[Modality, Encoder | None] = {
        modality: None if name == PIXELS_NAME else load_encoder(name, device) for modality, name in names.items()
    }
    features = make_features(landmarks.items, encoders, config.schedule.copies, features_folder(config))
    given = TrainingSet(features, landmarks.lonlat, training, validation, landmarks.groups.get("category", ()))
    trained = train(given, config.schedule, config.seed, config.output, device, report)
    weights = config.output / WEIGHTS
    calibration = {}
    if len(validation) > 1:
        calibration = fit_calibration(_embedded(trained.towers, given, device), len(validation))
    read = np.concatenate([training, validation])
    # First: weights without their record would count as trained on nothing.
    TrainingRecord([landmarks.ids[number] for number in read], landmarks.lonlat[read]).write(weights)
    save_baseline(weights, trained.towers, names, config.schedule.components, calibration)
    return weights


def features_folder(config: TrainingConfig) -> Path:
    """Return the folder of what the towers read.

    Args:
        config: Of the training.
    """
    return config.output / "features"


def encoder_names(config: TrainingConfig) -> Mapping[Modality, str]:
    """Return the name of each modality's encoder, or `PIXELS_NAME`.

    Args:
        config: Of the training.
    """
    chosen: dict[Modality, str | None] = {
        "ground": config.towers.ground,
        "satellite": config.towers.satellite,
        "text": config.towers.text,
    }
    return {modality: name for modality, name in chosen.items() if name is not None}


def _embedded(towers: Towers, given: TrainingSet, device: str) -> Embedded:
    """Embed all items of the landmarks kept aside, which are numbered anew."""
    own = {name: each.of(given.validation) for name, each in given.features.items()}
    found: dict[Modality, tuple[np.ndarray, np.ndarray]] = {}
    with torch.no_grad():
        for name, each in own.items():
            parts = [
                towers(name, each.tensor(part).to(device)).cpu()
                for part in np.split(np.arange(len(each.landmarks)), range(_CHUNK, len(each.landmarks), _CHUNK))
            ]
            found[name] = torch.cat(parts).numpy(), np.searchsorted(given.validation, each.landmarks)
        places = torch.from_numpy(given.lonlat[given.validation].astype(np.float32)).to(device)
        found["coordinates"] = towers("coordinates", places).cpu().numpy(), np.arange(len(given.validation))
    return found
