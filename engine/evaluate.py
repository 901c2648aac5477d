"""How good are a style's results? Numbers against the painting, and a page on which eyes judge two styles.

A style and a folder of finished pictures are measured alike: both give a result for a content.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median
from typing import Protocol

import numpy as np

from . import blind, machine, style_pack
from .canvas import ArrayCanvas
from .errors import EngineError
from .motion import motion, warp_error
from .passes import Passes, painted_passes, read_passes
from .picture import Floats
from .protocol import Done, EvaluateRequest, Event, Json, Progress
from .runtime import Paint, Session, painted
from .training import measure
from .training.config import PicturesConfig
from .training.data import find_content

METRICS: dict[str, tuple[str, ...]] = {
    "patches": ("content", "style_picture"),
    "wasserstein": ("content", "style_picture"),
    "teacher": ("content", "style_picture"),
    "structure": ("content",),
    "diversity": ("content",),
    "fid": ("content", "style_picture", "extractor"),
    "kid": ("content", "style_picture", "extractor"),
    "is": ("content", "extractor"),
    "warp": ("sequence",),
}
"""Metric -> the fields of the request it needs."""
FEATURES = {"fid", "kid", "is"}
SLOW = {"teacher"}
"""Only measured when asked for: the teacher takes 40 s for a picture of 512 pixels (two busy cores)."""
_NEEDS = {
    "content": ("content", "Give a folder of pictures with --content."),
    "style_picture": ("a style picture", "Give the painting with --style-picture."),
    "extractor": (
        "a feature network",
        "Give one as an ONNX file with --extractor; docs/evaluate.md says how to make it.",
    ),
    "sequence": ("a shot", "Give the folder of a rendered shot (EXR with the pass Vector) with --sequence."),
}
"""Field of a request -> what it is, and how to give it"""

# Number in the report -> what it is called, and which way is better.
_ROWS = {
    "patch_distance": ("Patch distance", "smaller: nearer to the hand"),
    "patch_distance_forth": ("  result -> painting", "smaller: every stroke is one of the painting's"),
    "patch_distance_back": ("  painting -> result", "smaller: more of the painting's strokes are used"),
    "way_closed": ("Way closed", "0 colour transfer .. 1 teacher"),
    "sliced_wasserstein": ("Sliced Wasserstein", "smaller: nearer in palette and energy"),
    "structure": ("Structure kept", "1: all of the content's forms"),
    "seed_diversity": ("Diversity, seeds", "0: every seed paints the same"),
    "seed_deviation": ("  deviation of a pixel", "in 0..1"),
    "content_diversity": ("Diversity, contents", "near 0: every content becomes one picture"),
    "fid": ("FID", "smaller; only for equal counts and one network"),
    "kid": ("KID", "smaller: 0 is the painting itself"),
    "inception_score": ("Inception Score", "larger: clear and varied"),
    "warp_error": ("Warp error", "smaller: strokes stick"),
    "warp_error_content": ("  of the frames themselves", "what truly changes: light, reflections"),
}


def evaluate(request: EvaluateRequest) -> Iterator[Event]:
    """Measure and compare. Yields Progress; the report of Done holds `say` (lines for people) and every number."""
    started = time.monotonic()
    work = _Evaluation(request)
    reports = []
    for index, subject in enumerate(work.subjects):
        reports.append((yield from work.measured(subject, index)))
    report: Json = {"say": [], "subjects": reports, "contents": [c.name for c in work.contents], "size": request.size}
    report |= {"versions": machine.versions(), "seconds": round(time.monotonic() - started, 1)}
    if request.style_picture:
        report["style_picture"] = Path(request.style_picture).name
    if work.metrics:
        report["say"] += _table(reports)
    if request.blind:
        report["page"] = str(work.page())
        report["say"].append(f"Open {report['page']} in a browser and judge; then --votes FILE --blind {request.blind}")
    yield Done(request.job, report)


# ---------------------------------------------------------------- what is measured


@dataclass(frozen=True, eq=False)
class _Content:
    name: str
    planes: Floats
    """(3, H, W), display-referred sRGB 0..1"""
    path: Path


class _Subject(Protocol):
    """Whatever has a result for a content."""

    @property
    def name(self) -> str: ...
    @property
    def training(self) -> PicturesConfig:
        """How large strokes are in its results, and how its teacher painted"""
        ...

    @property
    def facts(self) -> Json: ...
    @property
    def seeded(self) -> bool:
        """Another seed gives another result."""
        ...

    def result(self, content: _Content, seed: int) -> Floats:
        """(3, H, W) of the content's size, display-referred sRGB 0..1."""
        ...


@dataclass(frozen=True, eq=False)
class _Style:
    name: str
    session: Session
    training: PicturesConfig

    @property
    def facts(self) -> Json:
        return {"kind": "style", "hash": self.session.pack.hash, "device": self.session.device}

    @property
    def seeded(self) -> bool:
        return self.session.noise_channels > 0

    def result(self, content: _Content, seed: int) -> Floats:
        passes = painted_passes(content.path) if self.session.guides else None
        canvas = painted(self.session, ArrayCanvas(content.planes), Paint(seed=seed), passes)
        return canvas.read(0, 0, canvas.height, canvas.width).clip(0, 1)


@dataclass(frozen=True, eq=False)
class _Pictures:
    name: str
    files: dict[str, Path]
    """Content -> the result made from it"""
    training: PicturesConfig
    seeded = False

    @property
    def facts(self) -> Json:
        return {"kind": "pictures"}

    def result(self, content: _Content, seed: int) -> Floats:
        return measure.sized(measure.planes(self.files[content.name]), content.planes)


class _Evaluation:
    """One request at work. Making it does every check that costs little."""

    def __init__(self, request: EvaluateRequest) -> None:
        self.request = request
        _check(request)
        self.metrics = _chosen(request)
        needs = {need for name in self.metrics for need in METRICS[name]}
        everything = find_content(Path(request.content)) if "content" in needs or request.blind else []
        paths = _evenly(everything, request.count)
        self.frames = _frames(Path(request.sequence)) if "warp" in self.metrics else []
        self.subjects = _subjects(request, [*paths, *self.frames], everything)
        self.features = measure.features(Path(request.extractor), self.metrics) if self.metrics & FEATURES else None
        if self.features and "is" in request.metrics:
            self.features.need_logits()
        painting = Path(request.style_picture) if "style_picture" in needs else None
        self.hands = [measure.Hand(painting, subject.training) if painting else None for subject in self.subjects]
        self.contents = [_Content(path.stem, measure.planes(path, request.size), path) for path in paths]
        self.results: list[list[Floats]] = []
        """Of each subject that is done, one per content"""

    def measured(self, subject: _Subject, index: int) -> Generator[Event, None, Json]:
        """The numbers of one subject, with those of each content."""
        hand, rows, results = self.hands[index], [], []
        guide = hand.guide(self._planes()) if hand and "teacher" in self.metrics else None
        for number, content in enumerate(self.contents):
            yield self._progress(index, number, f"{subject.name}: {content.name}")
            several = [subject.result(content, seed) for seed in range(self._seeds(subject))]
            row = self._of_content(several, content, hand)
            if hand and guide:
                row |= hand.way(several[0], content.planes, guide)
            rows.append({"content": content.name, **row})
            results.append(several[0])
        numbers = _typical(rows)
        if "diversity" in self.metrics:
            numbers |= measure.diversity(results, self._planes(), numbers.get("seed_distance"))
        if self.features:
            yield self._progress(index, len(rows), f"{subject.name}: features")
            numbers |= self.features.of(results, hand.painting if hand else None)
        if self.frames:
            numbers |= yield from self._warp(subject, index)
        self.results.append(results)
        scale = {"style_side": subject.training.style_side, "search": subject.training.teacher.levels[-1]}
        return {"name": subject.name, **subject.facts, "scale": scale, "numbers": numbers, "rows": rows}

    def _planes(self) -> list[Floats]:
        return [content.planes for content in self.contents]

    def _seeds(self, subject: _Subject) -> int:
        return self.request.seeds if subject.seeded and "diversity" in self.metrics else 1

    def _of_content(self, several: Sequence[Floats], content: _Content, hand: measure.Hand | None) -> dict[str, float]:
        row: dict[str, float] = {}
        if hand and "patches" in self.metrics:
            row |= hand.patches(several[0])
        if hand and "wasserstein" in self.metrics:
            row["sliced_wasserstein"] = hand.wasserstein(several[0])
        if "structure" in self.metrics:
            row["structure"] = measure.structure(several[0], content.planes)
        return row | (measure.seed_variety(several) if len(several) > 1 else {})

    def _warp(self, subject: _Subject, index: int) -> Generator[Event, None, dict[str, float]]:
        """E_warp over every pixel of the shot that two frames show, of the results and of the frames themselves."""
        total = own = seen = pixels = 0.0
        shot = (self._frame(subject, path) for path in self.frames)
        for number, (before, now) in enumerate(pairwise(shot)):
            yield self._progress(index, len(self.contents) + number, f"{subject.name}: {now.content.name}")
            way = motion(before.passes, now.passes)
            total += float(warp_error(before.result, now.result, way).sum(dtype=np.float64))
            own += float(warp_error(before.content.planes, now.content.planes, way).sum(dtype=np.float64))
            seen, pixels = seen + int(way.visible.sum()), pixels + way.visible.size
        if not seen:
            raise EngineError(
                "No pixel of the shot could be followed from one frame to the next.",
                "Give consecutive frames, rendered with the passes Vector and Depth, motion blur off.",
            )
        return {"warp_error": total / seen, "warp_error_content": own / seen, "warp_visible": seen / pixels}

    def _frame(self, subject: _Subject, path: Path) -> _Frame:
        content = _Content(path.stem, measure.planes(path), path)
        return _Frame(content, subject.result(content, 0), read_passes(path))

    def page(self) -> Path:
        """The blind page of the two subjects' results."""
        painting = measure.planes(Path(self.request.style_picture), blind.SIDE) if self.request.style_picture else None
        trials = [
            blind.Trial(content.name, content.planes, (one, two))
            for content, one, two in zip(self.contents, *self.results, strict=True)
        ]
        one, two = (subject.name for subject in self.subjects)
        return blind.write_page(Path(self.request.blind), (one, two), trials, painting, self.request.seed)

    def _progress(self, subject: int, unit: int, stage: str) -> Progress:
        units = len(self.contents) + len(self.frames) + 1
        return Progress(self.request.job, (subject + unit / units) / len(self.subjects), stage)


@dataclass(frozen=True, eq=False)
class _Frame:
    content: _Content
    result: Floats
    passes: Passes


# ---------------------------------------------------------------- what a request asks for


def _chosen(request: EvaluateRequest) -> set[str]:
    """The metrics asked for; without any, every quick one for which all is there (none for a page alone)."""
    for name in request.metrics:
        if name not in METRICS:
            raise EngineError(f"There is no metric called {name}.", f"Choose from: {', '.join(METRICS)}.")
        for need in METRICS[name]:
            if not getattr(request, need):
                raise EngineError(f"The metric {name} cannot be measured without {_NEEDS[need][0]}.", _NEEDS[need][1])
    if request.metrics or request.blind:
        return set(request.metrics)
    ready = {name for name, needs in METRICS.items() if all(getattr(request, need) for need in needs)}
    if not ready:
        raise EngineError("There is nothing to measure the results on.", _NEEDS["content"][1])
    return ready - SLOW


def _check(request: EvaluateRequest) -> None:
    if not request.styles and not request.pictures:
        raise EngineError(
            "There is nothing to evaluate.",
            "Give a style with --style, or a folder of finished pictures with --pictures.",
        )
    if min(request.count, request.seeds) < 1 or request.size < measure.SMALLEST:
        raise EngineError(
            "The settings of the evaluation do not fit.",
            f"Give at least 1 picture, 1 seed and a size of {measure.SMALLEST} pixels.",
        )
    if request.blind:
        blind.check_new(Path(request.blind))
        if len(request.styles) + len(request.pictures) != 2:
            raise EngineError(
                "A blind page compares two.", "Give two styles, or two folders of pictures, or one of each."
            )
        if not request.content:
            raise EngineError("A blind page needs content that both have painted.", _NEEDS["content"][1])


def _evenly(paths: list[Path], count: int) -> list[Path]:
    """`count` of them, spread over the whole folder: neighbours in a folder are often alike."""
    return [paths[i * len(paths) // count] for i in range(count)] if count < len(paths) else paths


def _frames(folder: Path) -> list[Path]:
    frames = [path for path in find_content(folder) if path.suffix.lower() == ".exr" and path.parent == folder]
    if len(frames) < 2:
        raise EngineError(f"There are no two EXR frames in {folder}.", _NEEDS["sequence"][1])
    return frames


def _subjects(request: EvaluateRequest, wanted: Sequence[Path], everything: Sequence[Path]) -> list[_Subject]:
    """The styles, then the folders. wanted: contents that a folder must have a result for, of `everything` there is."""
    packs = [style_pack.find_for_pictures(style) for style in request.styles]
    trainings = [measure.training_of(pack.recipe) for pack in packs]
    titles = _titles([*(pack.name for pack in packs), *(Path(p).name for p in request.pictures)], request)
    usual = trainings[0] if trainings else PicturesConfig()  # pictures do not say: the same as the style beside them
    folders = [_results(Path(folder), wanted, everything) for folder in request.pictures]
    pictures = [_Pictures(title, files, usual) for title, files in zip(titles[len(packs) :], folders, strict=True)]
    loaded = zip(titles, packs, trainings, strict=False)
    return [*(_Style(title, Session(pack, request.device), training) for title, pack, training in loaded), *pictures]


def _titles(names: list[str], request: EvaluateRequest) -> list[str]:
    """What the subjects are called: where two have one name, what the artist typed."""
    count = Counter(names)
    typed = [*request.styles, *request.pictures]
    if len(set(typed)) < len(typed):
        raise EngineError("The same style or folder is given twice.", "Give two different ones to compare them.")
    return [name if count[name] == 1 else given for name, given in zip(names, typed, strict=True)]


def _results(folder: Path, wanted: Sequence[Path], everything: Sequence[Path]) -> dict[str, Path]:
    """Content -> the picture in `folder` that was made from it: `photo`, `photo_style`, ... for the content `photo`.

    The shortest name is the result (others beside it are overlays), and a PNG before an EXR (whose Combined pass is the
    original).
    """
    stems = {path.stem for path in (*wanted, *everything)}
    found: dict[str, Path] = {}
    for picture in sorted(find_content(folder), key=lambda p: (len(p.stem), p.suffix.lower() == ".exr", str(p))):
        owners = [stem for stem in stems if picture.stem == stem or picture.stem.startswith(f"{stem}_")]
        if owners:
            found.setdefault(max(owners, key=len), picture)
    for path in wanted:
        if sum(other.stem == path.stem for other in wanted) > 1:
            raise EngineError(f"Two contents are called {path.stem}.", "Rename one: results are found by their names.")
        if path.stem not in found:
            raise EngineError(
                f"{folder} has no result made from {path.stem}.",
                f"Name each result after its content ({path.stem}.png or {path.stem}_something.png).",
            )
    return found


# ---------------------------------------------------------------- what is told


def _typical(rows: Sequence[Json]) -> dict[str, float]:
    """Each number over all contents: the mean, and of the way closed the median. Where teacher and colour transfer are
    equally far that share is huge, and one such picture would decide a mean."""
    names = [name for name in (rows[0] if rows else {}) if name != "content"]
    return {name: (median if name == "way_closed" else fmean)(row[name] for row in rows) for name in names}


def _table(reports: Sequence[Json]) -> list[str]:
    """One line per number, one column per subject."""
    width = max(12, *(len(report["name"]) + 2 for report in reports))
    lines = [" " * 26 + "".join(f"{report['name']:>{width}}" for report in reports)]
    for key, (label, better) in _ROWS.items():
        values = [report["numbers"].get(key) for report in reports]
        if any(value is not None for value in values):
            cells = "".join(f"{'-' if value is None else format(value, '.4g'):>{width}}" for value in values)
            lines.append(f"{label:26}{cells}   {better}")
    if len({tuple(report["scale"].values()) for report in reports}) > 1:
        lines.append("The styles were trained at different scales: each is measured at its own.")
    return lines
