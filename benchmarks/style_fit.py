"""Does Attribution.StyleFit find what is wrong with a place? Beside the verdicts of the style's own critic.

    python -m benchmarks.style_fit --shared FOLDER [--only NAME ...]

Defects (style_fit.DEFECTS) are planted into results, at places drawn by chance, and into the strip of the painting
that training never saw (of styles without one: into the painting's last 152 pixels, left out of what is usual here).
In a result one is found where the value rises most by it, in the painting where the value is largest of all. A verdict
of the critic counts as its logit with the sign turned, summed over its scales.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load
from torch import Tensor

from engine import style_pack
from engine.canvas import ArrayCanvas
from engine.explain.style_fit import CELL, DEFECTS, PLANT, Fit, hit, numbers
from engine.picture import Floats
from engine.runtime import Paint, Session, painted
from engine.style_pack import StylePack
from engine.training.data import load_picture
from engine.training.export import TRAINING
from engine.training.networks import SIGHT, Critic

from . import machine
from .provenance import STYLES, from_8_bits
from .train_library import HELD_OUT_SEEDS, LIBRARY, seen

STRIP = 152
WINDOW = 152
"""Edge of what is looked at around a defect"""
TIMES = 8
"""Each defect, in each picture"""
RESULTS = 4
"""Pictures that training never saw"""

Judge = Callable[[Floats], Floats]
"""A picture (3, h, w) -> values of cells (h / CELL, w / CELL), large where it does not look like the style"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help="no result file is written then")
    arguments = parser.parse_args()
    renders = sorted((arguments.shared / "content" / "renders").glob("*.jpg"))
    held_out = [load_picture(path, 384).numpy() for path in renders if int(path.name[:4]) in HELD_OUT_SEEDS][::4]
    rows = {}
    for style in LIBRARY:
        folder = STYLES / style_pack.slug(style.name)
        if folder.exists() and (not arguments.only or style.name in arguments.only):
            painting = seen(style, arguments.shared).numpy()
            rows[style.name] = measured(style_pack.load(folder), painting, held_out[:RESULTS])
            print(style.name, rows[style.name], flush=True)
    if not arguments.only:
        print(machine.write("style_fit", {"times": TIMES, "styles": rows}))


def measured(pack: StylePack, painting: Floats, contents: list[Floats]) -> dict[str, Any]:
    """The share of defects that are found, by judge, where they were planted, and kind."""
    axis = 2 if painting.shape[2] >= painting.shape[1] else 1
    cut = (painting.shape[axis] - STRIP) // CELL * CELL
    rest, strip = np.split(painting, [cut], axis)
    fit = Fit.of([rest], [strip])
    assert fit is not None  # a painting has cells enough
    judges: dict[str, Judge] = {"fit": _cells(fit), "critic": _critic(pack)}
    session = Session(pack, "cpu")
    results = [np.clip(painted(session, ArrayCanvas(c), Paint()).read(0, 0, *c.shape[1:]), 0, 1) for c in contents]
    strips = [strip] * RESULTS
    return {
        name: {
            "in results, by the rise": _found(judge, results, contents, by_rise=True),
            "in the painting, of all": _found(judge, strips, contents, by_rise=False),
            "median of results": float(np.median([np.median(judge(result)) for result in results])),
            "median of the pictures": float(np.median([np.median(judge(picture)) for picture in contents])),
            "median of the strip": float(np.median(judge(strip))),
        }
        for name, judge in judges.items()
    }


def _cells(fit: Fit) -> Judge:
    return lambda picture: fit.distance(numbers(ArrayCanvas(picture), 0, 0, *picture.shape[1:]))


def _critic(pack: StylePack) -> Judge:
    training = pack.recipe["training"]
    kept = load(pack.read(TRAINING))
    critic = Critic(training["critic_width"], training["critic_scales"], training["critic_norm"])
    critic.load_state_dict({name: from_8_bits(kept, f"critic/{name}") for name in critic.state_dict()})
    critic.eval()

    def judged(picture: Floats) -> Floats:
        """Verdicts beyond the border, where the critic has none, are those at the border."""
        with torch.no_grad():
            logits = [verdict[0, 0] for verdict, _ in critic(torch.from_numpy(picture)[None])]
        total = torch.zeros(picture.shape[1] // CELL, picture.shape[2] // CELL)
        for scale, verdict in enumerate(logits):
            if verdict.numel():
                total -= _at_cells(verdict, scale, total.shape)
        return total.numpy()

    return judged


def _at_cells(verdict: Tensor, scale: int, size: torch.Size) -> Tensor:
    """Verdicts (h, w), one every 8 pixels of a scale from the middle of what the first sees, at the middles of cells"""
    step, first = 8 << scale, (SIGHT // 2) << scale
    places = [
        ((CELL * torch.arange(count) + CELL / 2 - first) / step).round().long().clamp(0, length - 1)
        for count, length in zip(size, verdict.shape, strict=True)
    ]
    return verdict[places[0]][:, places[1]]


def _found(judge: Judge, hosts: list[Floats], contents: list[Floats], by_rise: bool) -> dict[str, float]:
    rng = np.random.default_rng(0)
    hits: dict[str, list[bool]] = {name: [] for name in DEFECTS}
    for host, content in zip(hosts, contents, strict=True):
        for name, defect in DEFECTS.items():
            for _ in range(TIMES):
                here, picture = _window(host, rng), _window(content, rng)
                row, column = (int(rng.integers(edge - PLANT + 1)) for edge in here.shape[1:])
                place = np.s_[:, row : row + PLANT, column : column + PLANT]
                broken = here.copy()
                broken[place] = defect(here[place], picture[place], rng)
                values = judge(broken) - judge(here) if by_rise else judge(broken)
                hits[name].append(hit(values, (row, column)))
    found = {name: float(np.mean(times)) for name, times in hits.items()}
    return {**found, "all": float(np.mean(list(found.values())))}


def _window(picture: Floats, rng: np.random.Generator) -> Floats:
    starts = [int(rng.integers(max(1, edge - WINDOW + 1))) for edge in picture.shape[1:]]
    return picture[:, starts[0] : starts[0] + WINDOW, starts[1] : starts[1] + WINDOW].copy()


if __name__ == "__main__":
    main()
