"""Does Attribution.Provenance point where strokes come from? Against the teacher's own match field.

    python -m benchmarks.provenance --shared FOLDER [--only NAME ...]

Every painted style keeps one content with the teacher's match field: which place of the style picture each patch of the
teacher's picture was taken from. Asked about are the teacher's picture itself (what the method can find), the
student's with the strokes of that picture told to it by its encoder, and the student's as it is used, with free
strokes: those are others than the teacher's, so there only colours and forms can point to the same place. A hit lies
within one patch.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load
from torch import Tensor

from engine import style_pack
from engine.canvas import ArrayCanvas
from engine.explain import provenance
from engine.explain.provenance import PATCH, Reference
from engine.picture import Floats
from engine.runtime import Paint, Session, painted
from engine.style_pack import StylePack
from engine.training.config import PicturesConfig, from_json
from engine.training.export import TRAINING
from engine.training.networks import Encoder
from engine.training.teacher import TeacherConfig, full_positions, lay

from . import machine
from .train_library import LIBRARY, LibraryStyle, seen

STYLES = Path(__file__).parent.parent / "engine" / "styles"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help="no result file is written then")
    arguments = parser.parse_args()
    rows = {}
    for style in LIBRARY:
        folder = STYLES / style_pack.slug(style.name)
        if folder.exists() and (not arguments.only or style.name in arguments.only):
            rows[style.name] = measured(style, style_pack.load(folder), arguments.shared)
            print(style.name, rows[style.name], flush=True)
    if not arguments.only:
        print(machine.write("provenance", {"patch": PATCH, "styles": rows}))


def measured(style: LibraryStyle, pack: StylePack, shared: Path) -> dict[str, Any]:
    """Hit rates by picture: all, weighed by confidence, of the surest quarter, weighed by confidence beyond chance; by
    chance; and of planted patches."""
    kept = load(pack.read(TRAINING))
    config = from_json(pack.recipe["training"])
    assert isinstance(config, PicturesConfig)
    content, match_field = _picture(kept["content_webp/0"]) / 255, _match_field(kept["match_field_png/0"])
    teacher = lay(match_field, [seen(style, shared)], (content.shape[1], content.shape[2]), config.teacher).clamp(0, 1)
    places = provenance.reference(pack)
    pictures = {"teacher": teacher.numpy(), **_students(pack, config, kept, content, teacher)}
    truth = _truth(match_field, content, config.teacher) * places.scale
    rates = {name: _rates(places, picture, truth) for name, picture in pictures.items()}
    random = np.random.default_rng(0)
    planted = {noise: provenance.planted(places, noise, random, 1024) for noise in (0.0, *provenance.NOISE)}
    by_chance = (2 * PATCH + 1) ** 2 / places.pictures[0][0].size
    return {**rates, "chance": places.chance, "by chance": by_chance, "planted": planted}


def _picture(stored: Tensor) -> Tensor:
    decoded = np.array(Image.open(io.BytesIO(stored.numpy().tobytes())), np.float32)
    return torch.from_numpy(decoded).permute(2, 0, 1)


def _match_field(stored: Tensor) -> Tensor:
    rows = np.array(Image.open(io.BytesIO(stored.numpy().tobytes()))).astype(np.int16)
    return torch.from_numpy(rows).reshape(3, -1, rows.shape[1])


def _students(
    pack: StylePack, config: PicturesConfig, kept: dict[str, Tensor], content: Tensor, teacher: Tensor
) -> dict[str, Floats]:
    session, encoder = Session(pack, "cpu"), encoder_of(kept, config)
    with torch.no_grad():
        strokes, _ = encoder(content[None], teacher[None])
    told = session.run(content[None].numpy(), strokes.numpy())[0]
    free = painted(session, ArrayCanvas(content.numpy()), Paint()).read(0, 0, content.shape[1], content.shape[2])
    return {"student, strokes told": np.clip(told, 0, 1), "student, free strokes": np.clip(free, 0, 1)}


def encoder_of(kept: dict[str, Tensor], config: PicturesConfig) -> Encoder:
    """What reads strokes off a picture, as a pack keeps it for later trainings."""
    encoder = Encoder(config.generator)
    encoder.load_state_dict({name: from_8_bits(kept, f"encoder/{name}") for name in encoder.state_dict()})
    return encoder.eval()


def from_8_bits(kept: dict[str, Tensor], name: str) -> Tensor:
    step = kept.get(f"{name}.step")
    return kept[name].float() if step is None else kept[name].float() * step.float()


def _truth(match_field: Tensor, content: Tensor, config: TeacherConfig) -> np.ndarray:
    """(2, H, W): row and column in the style picture of what the patch around each pixel shows there."""
    edge = round(config.patch / config.levels[-1])
    found = match_field[1:].numpy().astype(np.float64)
    nearest = []
    for size in content.shape[1:]:
        starts = full_positions(size, edge, config).numpy()
        near = np.abs(np.arange(size)[:, None] + 0.5 - (starts + edge / 2)).argmin(axis=1)
        nearest.append((near, np.arange(size) + 0.5 - starts[near]))
    (rows, down), (columns, across) = nearest
    places = found[:, rows[:, None], columns[None, :]]
    return np.stack([places[0] + down[:, None], places[1] + across[None, :]])


def _rates(places: Reference, picture: Floats, truth: np.ndarray) -> dict[str, float]:
    whole = np.ones(picture.shape[1:], bool)
    answers = [step for step in provenance.provenance(places, picture, whole, False) if not isinstance(step, float)]
    u, v, confidence = answers[0].pixels.transpose(2, 0, 1)
    height, width = places.pictures[0].shape[1:]
    hits = (np.abs(v * height - truth[0]) <= PATCH) & (np.abs(u * width - truth[1]) <= PATCH)
    sure = confidence >= np.quantile(confidence, 0.75)
    beyond = np.maximum(confidence - places.chance, 0)
    rates = {"all": float(hits.mean()), "weighed by confidence": provenance.weighed(hits, confidence)}
    rates |= {"surest quarter": float(hits[sure].mean()), "weighed beyond chance": provenance.weighed(hits, beyond)}
    return {**rates, "share beyond chance": float((beyond > 0).mean())}


if __name__ == "__main__":
    main()
