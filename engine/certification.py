"""The certify job: how far can the overlays of a style be trusted?

Every overlay that the style has is asked about a pixel, a small and a larger box of many pictures, and its certificate
is taken each time. What comes out is a table overlay x bar with the median and the worst case; nothing is left out of
it, whether it passed or not. The bars, and what each means for which overlay, are in docs/explain_details.md.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from . import machine
from .errors import EngineError
from .explain import certificate
from .explain.families import OF_RENDERS, Subject, check, overlay
from .explain.overlay import OF_A_REGION, Overlay, told
from .explain.redrawn import Redrawn
from .explain.removal import Look
from .files import open_source
from .mixing import Styles, alone, open_styles
from .passes import painted_passes
from .picture import Floats
from .protocol import (
    CertifyRequest,
    Check,
    Done,
    Event,
    Json,
    PictureSource,
    Progress,
    SourceFailed,
    StyleShare,
    StylizeSettings,
)
from .resample import reduced
from .runtime import Paint, Session

SUFFIXES = (".png", ".jpg", ".jpeg", ".exr")
EDGE = 96
"""Long side of the pictures: as far as most styles see, and small enough that 256 runs take seconds"""
BOXES = (1, 8, 24)
"""Edges of the areas that are asked about, in each picture at places of its own"""
RANDOM_STYLES = 8
"""Networks with random weights that an overlay must not look like: with two the mean was a matter of luck"""
OF_PLACES = ("Influence", "Detail", "Removal")
"""Overlays that say what every place of the picture does: B5 and B6 ask about these"""
BESIDE = 4
"""Of so many pictures one is asked so: each time takes seventeen more answers"""
FEWEST = 2


def certify(request: CertifyRequest) -> Iterator[Event]:
    """Yields Progress, SourceFailed for a picture that could not be asked about, and Done: its report holds `say`, the
    table for people, and `rows`."""
    began = time.monotonic()
    paths = _chosen(request)
    names = _asked(request)
    settings = StylizeSettings((StyleShare(request.style),), device=request.device)
    styles = open_styles(settings, lambda note: None)
    tally, used = _Tally(), []
    for number, path in enumerate(paths):
        yield Progress(request.job, number / len(paths), f"Asking about {path.name}")
        try:
            subject, found = subject_of(styles, path), _Tally()
            for step in _certified(subject, names, number, found):
                yield Progress(request.job, (number + step) / len(paths), f"Asking about {path.name}")
            tally.take(found)
            used.append(path.name)
        except EngineError as problem:
            yield SourceFailed(request.job, path.name, problem.message, problem.fix)
    if len(used) < FEWEST:
        raise EngineError("Too few pictures could be asked about.", "Choose other pictures.")
    pack = styles.first.pack
    report: Json = {
        "say": tally.table(pack.name, len(used)),
        "style": {"name": pack.name, "hash": pack.hash},
        "rows": [row.to_json() for row in tally.rows()],
        "refused": tally.refused,
        "pictures": used,
        "areas": list(BOXES),
        "edge": EDGE,
        "device": styles.first.device,
        "versions": machine.versions(),
        "seconds": round(time.monotonic() - began, 1),
    }
    yield Done(request.job, report)


def _asked(request: CertifyRequest) -> tuple[str, ...]:
    for name in request.overlays:
        if name not in OF_A_REGION:
            raise EngineError(f"There is no overlay {name!r}.", "Choose among: " + ", ".join(OF_A_REGION) + ".")
    return request.overlays or OF_A_REGION


def _chosen(request: CertifyRequest) -> list[Path]:
    """So many of the pictures, evenly over all."""
    found: list[Path] = []
    for place in map(Path, request.content):
        inside = place.rglob("*") if place.is_dir() else [place]
        found += sorted(p for p in inside if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
    if len(found) < FEWEST:
        raise EngineError(
            f"There are only {len(found)} pictures to ask about.",
            f"Give a folder with at least {FEWEST} with --content.",
        )
    count = min(request.pictures, len(found))
    return [found[index * len(found) // count] for index in range(count)]


def subject_of(styles: Styles, path: Path, edge: int = EDGE) -> Subject:
    """A picture with its result, its long side reduced to `edge`."""
    source = PictureSource(path.name, str(path))
    reader, passes = open_source(source), painted_passes(path)
    shrink = edge / max(reader.height, reader.width)
    size = max(16, round(reader.height * shrink)), max(16, round(reader.width * shrink))
    before = reduced(reader, size, False)
    look = Look(styles.over(source, reader, passes), Paint())
    return Subject(look, before, look.result(before), None, reader, passes)


def _certified(subject: Subject, names: Sequence[str], number: int, tally: _Tally) -> Iterator[float]:
    """Every overlay of every area. Yields the fraction done."""
    regions = list(_regions(subject.before.shape[1:], number))
    for place, region in enumerate(regions):
        here = replace(subject, region=region)
        for name in names:
            try:
                check(name, here)
                found = yield from told(overlay(name, here), lambda _: ())
            except EngineError as problem:
                tally.refuse(name, problem, name in OF_RENDERS)
                continue
            tally.add(name, found.certificate.checks)
            if place == len(regions) - 1 and number % BESIDE == 0 and name in OF_PLACES:
                tally.add(name, _beside_itself(name, here, number))
        yield (place + 1) / len(regions)


def _regions(size: tuple[int, ...], number: int) -> Iterator[np.ndarray]:
    """The areas of the picture of that number, (H, W) bool each."""
    rng = np.random.default_rng([number, 5])
    for edge in BOXES:
        top, left = (int(rng.integers(max(1, length - edge + 1))) for length in size)
        region = np.zeros(size, bool)
        region[top : top + edge, left : left + edge] = True
        yield region


def beside_random_styles(styles: Styles, paths: Sequence[Path], names: Sequence[str] = OF_PLACES) -> list[Row]:
    """The rows of B5 alone, of the pictures and areas that certify asks so of these paths."""
    tally = _Tally()
    for number in range(0, len(paths), BESIDE):
        subject = subject_of(styles, paths[number])
        *_, region = _regions(subject.before.shape[1:], number)
        here = replace(subject, region=region)
        for name in names:
            tally.add(name, [_randomised(name, here, _values(name, here))])
    return tally.rows()


def _beside_itself(name: str, subject: Subject, seed: int) -> tuple[Check, ...]:
    """B5 and B6: the overlay beside those of random styles, and of the picture moved a little."""
    random = _randomised(name, subject, _values(name, subject))
    moved = certificate.stability(lambda planes: _values(name, _of(subject, planes)), subject.before, seed)
    stable = [step for step in moved if isinstance(step, tuple)][-1]
    return (random, *stable)


def _randomised(name: str, subject: Subject, own: np.ndarray) -> Check:
    """B5. own: what the overlay says of the style."""
    (part,) = subject.look.mix.parts
    others = []
    for random in range(RANDOM_STYLES):
        session = Session(Redrawn.of(part.session.pack, random), part.session.device)
        look = replace(subject.look, mix=alone(session))
        others.append(_values(name, replace(subject, look=look, after=look.result(subject.before))))
    return certificate.randomised(own, others)


def _of(subject: Subject, planes: Floats) -> Subject:
    """The same question about another picture."""
    return replace(subject, before=planes, after=subject.look.result(planes))


def _values(name: str, subject: Subject) -> np.ndarray:
    """What the overlay says, before it is certified."""
    work = overlay(name, subject)
    answer = next(step for step in work if isinstance(step, Overlay))
    return answer.pixels.ravel()


# ---------------------------------------------------------------- the table


@dataclass(frozen=True)
class Row:
    """One bar of one overlay over everything that was asked."""

    overlay: str
    bar: str
    name: str
    checks: tuple[Check, ...]

    @property
    def values(self) -> list[float]:
        return [check.value for check in self.checks]

    @property
    def threshold(self) -> float:
        return self.checks[0].threshold

    @property
    def passed(self) -> int:
        return sum(check.passed for check in self.checks)

    @property
    def worst(self) -> float:
        """The largest where small is good, else the smallest."""
        small_is_good = all(check.passed == (check.value <= check.threshold) for check in self.checks)
        return max(self.values) if small_is_good else min(self.values)

    @property
    def median(self) -> float:
        return float(np.median(self.values))

    def to_json(self) -> Json:
        numbers = {key: getattr(self, key) for key in ("threshold", "median", "worst", "passed")}
        return {"overlay": self.overlay, "bar": self.bar, "name": self.name, **numbers, "count": len(self.checks)}


@dataclass
class _Tally:
    found: dict[tuple[str, str, str], list[Check]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    """Overlay -> why it says nothing of this style"""

    def add(self, overlay: str, checks: Sequence[Check]) -> None:
        for one in checks:
            self.found.setdefault((overlay, one.bar, certificate.kind_of(one)), []).append(one)

    def refuse(self, overlay: str, problem: EngineError, of_this_picture: bool) -> None:
        if not of_this_picture:
            self.refused[overlay] = str(problem)

    def rows(self) -> list[Row]:
        return [Row(name, bar, kind, tuple(checks)) for (name, bar, kind), checks in self.found.items()]

    def take(self, other: _Tally) -> None:
        """What was found of one picture"""
        for key, checks in other.found.items():
            self.found.setdefault(key, []).extend(checks)
        self.refused |= other.refused

    def table(self, style: str, pictures: int) -> list[str]:
        lines = [f"{style}: {pictures} pictures, {len(BOXES)} areas each", ""]
        lines.append(f"{'overlay':<11} {'bar':<4} {'':<44} {'bar at':>9} {'median':>9} {'worst':>9} {'met':>9}")
        for row in self.rows():
            met = f"{row.passed}/{len(row.checks)}"
            numbers = "".join(f" {value:9.3g}" for value in (row.threshold, row.median, row.worst))
            lines.append(f"{row.overlay:<11} {row.bar:<4} {row.name:<44.44}{numbers} {met:>9}")
        lines += [f"{name}: {why}" for name, why in self.refused.items()]
        return lines
