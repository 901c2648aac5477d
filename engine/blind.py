"""A page on which eyes judge: two results of one content side by side, nobody knows whose. And its votes read back.

The page is one HTML file and its pictures; it works from disk, without network. Order and sides are drawn by a seed,
each side as often. Which side is whose stands in `key.json` alone: who judges need not get it.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from .atomic import reading, write_json, write_text, writing
from .contact_sheet import save_png
from .errors import EngineError
from .picture import Floats
from .protocol import Done, Event, Json, VotesRequest
from .strict_json import parse_object

PAGE = "index.html"
KEY = "key.json"
PICTURES = "pictures"
SIDE = 512
"""Long side in pixels of the painting on the page"""
VOTES = ("left", "right", "tie")
SURE = 1.959964
"""Standard deviations of a normal distribution that hold 95 %"""
_PLACE = '"PENTIMENTO TRIALS"'
"""What stands in blind.html in place of the trials"""


@dataclass(frozen=True, eq=False)
class Trial:
    """One choice: planes (3, H, W), display-referred sRGB 0..1, all of one size."""

    name: str
    content: Floats
    results: tuple[Floats, Floats]


# ---------------------------------------------------------------- the page


def check_new(folder: Path) -> None:
    """Nobody's page is overwritten: votes for it would lose their key."""
    if (folder / PAGE).exists() or (folder / KEY).exists():
        raise EngineError(f"There is already a page in {folder}.", "Choose another folder with --blind.")


def write_page(
    folder: Path, names: tuple[str, str], trials: Sequence[Trial], painting: Floats | None, seed: int
) -> Path:
    """The page as `folder`/index.html, its pictures and its key beside it. Returns the page's path."""
    check_new(folder)
    with writing(folder):
        (folder / PICTURES).mkdir(parents=True, exist_ok=True)
    choose = random.Random(seed)
    order = choose.sample(range(len(trials)), len(trials))
    left = [index % 2 for index in range(len(trials))]
    choose.shuffle(left)
    shown = [_write_trial(folder, n, trials[index], left[n]) for n, index in enumerate(order)]
    page: Json = {"trials": shown, "painting": _write(folder, "painting", painting) if painting is not None else ""}
    page["page"] = _identity(trials, names, left)
    key = {"page": page["page"], "names": names, "left": left, "contents": [trials[index].name for index in order]}
    write_json(folder / KEY, key)
    write_text(folder / PAGE, _html(page))
    return folder / PAGE


def _write_trial(folder: Path, number: int, trial: Trial, left: int) -> Json:
    pictures = {"content": trial.content, "left": trial.results[left], "right": trial.results[1 - left]}
    return {label: _write(folder, f"{number + 1:03}_{label}", planes) for label, planes in pictures.items()}


def _write(folder: Path, name: str, planes: Floats) -> str:
    """Planes as a PNG without a word in it; its address on the page."""
    pixels = np.rint(planes.transpose(1, 2, 0).clip(0, 1) * 255).astype(np.uint8)
    save_png(Image.fromarray(np.ascontiguousarray(pixels)), folder / PICTURES / f"{name}.png")
    return f"{PICTURES}/{name}.png"


def _identity(trials: Sequence[Trial], names: tuple[str, str], left: Sequence[int]) -> str:
    """What ties votes to their page: they mean nothing on another one."""
    digest = hashlib.sha256(json.dumps([names, list(left)]).encode())
    for trial in trials:
        for planes in trial.results:
            digest.update(np.ascontiguousarray(planes).data)
    return digest.hexdigest()[:16]


def _html(page: Json) -> str:
    template = Path(__file__).with_name("blind.html").read_text(encoding="utf-8")
    # A closing tag inside the data would end the script
    return template.replace(_PLACE, json.dumps(page).replace("<", "\\u003c"))


# ---------------------------------------------------------------- the votes


def count_votes(request: VotesRequest) -> Iterator[Event]:
    """Who won? Yields Done; its report holds wins, ties and the 95 % interval of the first's share of the decisions."""
    if not request.votes:
        raise EngineError("There are no votes to count.", "Give the files that the page saved with --votes.")
    if not request.folder:
        raise EngineError("Votes mean nothing without the page they were given on.", "Give its folder with --blind.")
    key = _key(Path(request.folder))
    votes = [vote for path in request.votes for vote in _votes(Path(path), key)]
    one, two = key["names"]
    wins = Counter(vote for vote in votes if vote is not None)
    ties, decided = votes.count(None), wins[0] + wins[1]
    low, high = interval(wins[0], decided)
    report: Json = {"wins": {one: wins[0], two: wins[1]}, "ties": ties, "people": len(request.votes)}
    report |= {"share": wins[0] / decided if decided else None, "interval": [low, high]}
    report["say"] = [
        f"{one}: {wins[0]} wins, {two}: {wins[1]} wins, {ties} ties ({len(request.votes)} people)",
        f"{one} wins {_percent(report['share'])} of the decisions, 95 % interval {low:.0%} to {high:.0%}.",
        _verdict(one, two, low, high),
    ]
    yield Done(request.job, report)


def interval(wins: int, decided: int) -> tuple[float, float]:
    """The 95 % interval of a share of wins, 0..1; also right for few votes (Wilson, "Probable inference, the law of
    succession, and statistical inference", JASA 1927)."""
    if not decided:
        return 0.0, 1.0
    share, spread = wins / decided, SURE**2 / decided
    middle = (share + spread / 2) / (1 + spread)
    half = SURE / (1 + spread) * math.sqrt(share * (1 - share) / decided + spread / decided / 4)
    return max(0.0, middle - half), min(1.0, middle + half)


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{share:.0%}"


def _verdict(one: str, two: str, low: float, high: float) -> str:
    if low > 0.5 or high < 0.5:
        return f"{one if low > 0.5 else two} is preferred."
    return "These votes tell no difference: both shares of the interval are possible, half and half among them."


def _key(folder: Path) -> Json:
    what, fix = f"{KEY} in {folder}", "Give the folder that was made with --blind, its key included."
    key = _read(folder / KEY, what, fix)
    names, left = key.get("names"), key.get("left")
    fits = isinstance(names, list) and len(names) == 2 and all(isinstance(name, str) for name in names)
    if not fits or not isinstance(left, list) or any(side not in (0, 1) for side in left):
        raise EngineError(f"{what} is no key of a blind page.", fix)
    return key


def _votes(path: Path, key: Json) -> list[int | None]:
    """0 or 1 for each win, None for each tie, of one person."""
    fix = "Give a file that the page saved, as it was saved."
    data = _read(path, path.name, fix)
    if data.get("page") != key.get("page"):
        raise EngineError(f"{path.name} holds votes for another page.", "Give the folder they were given on.")
    votes, left = data.get("votes"), key["left"]
    if not isinstance(votes, dict):
        raise EngineError(f"{path.name} holds no votes.", fix)
    known = {str(number + 1): side for number, side in enumerate(left)}
    for trial, vote in votes.items():
        if trial not in known or vote not in VOTES:
            raise EngineError(f"{path.name} holds a vote that the page cannot have given: {trial}: {vote}.", fix)
    winners = {trial: {"left": known[trial], "right": 1 - known[trial]} for trial in votes}
    return [winners[trial].get(vote) for trial, vote in votes.items()]


def _read(path: Path, what: str, fix: str) -> Json:
    with reading(path):
        return parse_object(path.read_bytes(), what, fix)
