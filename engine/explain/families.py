"""The overlays by their names, and what each wants to know."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import EngineError
from ..mixing import Mix
from ..passes import COMBINED, Passes, canonical, need_lights
from ..picture import Floats, PictureReader
from ..protocol import LightGain
from ..style_pack import FIT, StylePack
from .detail import detail
from .influence import check_gradients, influence
from .overlay import Overlay, told
from .players import Players, of_objects, of_passes, shares
from .provenance import need_pictures, provenance, reference
from .removal import Look, removal
from .scale import scale
from .style_fit import Fit, need_fit, style_fit
from .styles import check_count, styles

OF_GRADIENTS = ("Influence", "Detail")
"""Those that go through the style backwards"""
OF_RENDERS = ("Passes", "Objects")
"""Those that ask the passes of a render"""
OF_RESULTS = ("Removal", "Scale", "Provenance", "StyleFit")
"""Those that look at the result itself"""
OF_A_STYLE = ("Provenance", "StyleFit")
"""Those that compare it with what one style was made of"""


Work = Generator[float | Overlay, None, Overlay]


@dataclass(frozen=True, eq=False)
class Subject:
    """What overlays are asked about."""

    look: Look
    before: Floats
    after: Floats
    """The picture and its result, planes (3, H, W) 0..1"""
    region: np.ndarray | None = None
    """(H, W) bool; None: everywhere"""
    reader: PictureReader | None = None
    passes: Passes | None = None
    """Of a render: its picture in full size, and its passes"""
    gains: tuple[LightGain, ...] = ()
    """Of its lights, in the picture already"""
    painted_pass: str = COMBINED
    """Of a render: what the picture is"""

    @property
    def area(self) -> np.ndarray:
        return np.ones(self.before.shape[1:], bool) if self.region is None else self.region


def overlay(name: str, subject: Subject) -> Work:
    """Yields the fraction done, and where that takes long the overlay once before it is certified; returns it with its
    certificate. Where one pass is painted they speak of it, and say so."""
    work = _ASKED[name](subject)
    return _speaking(subject, (yield from told(work, lambda step: [_speaking(subject, step)])))


def _speaking(subject: Subject, step: Any) -> Any:
    if subject.painted_pass == COMBINED or not isinstance(step, Overlay):
        return step
    return replace(step, sentence=f"In {canonical(subject.painted_pass)}: {step.sentence}")


def check(name: str, subject: Subject) -> None:
    """Raises EngineError where an overlay cannot answer, before anything is computed."""
    if name in OF_GRADIENTS:
        check_gradients(subject.look)
    elif name in OF_A_STYLE:
        need = {"Provenance": need_pictures, "StyleFit": need_fit}[name]
        need(_alone(name, subject))
        if name == "Provenance":
            _need_own_colours(subject.look.mix)
    elif name == "Styles":
        check_count(subject.look)
    elif name in OF_RENDERS and subject.passes is None:
        raise EngineError(
            "The picture has no passes.", "Ask Influence or Removal, or give the render as OpenEXR MultiLayer."
        )
    elif name == "Passes" and subject.painted_pass != COMBINED:
        raise EngineError(
            f"Passes asks how much comes from each light, and of the render only {canonical(subject.painted_pass)} is "
            "painted.",
            "Ask Influence, Removal or Objects, or paint Combined.",
        )
    elif name == "Passes":
        assert subject.passes is not None
        need_lights(subject.passes)


def _need_own_colours(mix: Mix) -> None:
    if mix.palette or any(part.colours for part in mix.parts):
        raise EngineError(
            "Provenance compares colours, and these are not the style's own.",
            "Take the palette off and choose the colours of the style, or ask StyleFit.",
        )


def _provenance(subject: Subject) -> Work:
    pack = _alone("Provenance", subject)
    return provenance(reference(pack), subject.after, subject.area, subject.look.paint.wrap)


def _style_fit(subject: Subject) -> Work:
    fit = Fit.from_bytes(_alone("StyleFit", subject).read(FIT))
    return style_fit(fit, subject.before, subject.after, subject.area, subject.look.paint.wrap)


def _scale(subject: Subject) -> Work:
    yield 0.0
    paint = subject.look.paint
    return scale(subject.before, subject.after, paint.wrap, paint.stroke, subject.region)


def _shares(name: str, subject: Subject) -> Work:
    return shares(name, _players(name, subject), subject.look, subject.area)


def _alone(name: str, subject: Subject) -> StylePack:
    """The one style whose strokes are seen. Raises EngineError for a mix."""
    parts = subject.look.mix.parts
    if len({part.session.pack.hash for part in parts}) > 1:
        raise EngineError(f"{name} compares with one style, and this is a mix.", "Ask about each style alone.")
    return parts[0].session.pack


def _players(name: str, subject: Subject) -> Players:
    look, before, wrap = subject.look, subject.before, subject.look.paint.wrap
    size = (before.shape[1], before.shape[2])
    assert subject.passes is not None and subject.reader is not None  # see check
    if name == "Passes":
        return of_passes(subject.passes, subject.reader, size, wrap, subject.gains)
    reach = look.reach(*size)
    return of_objects(subject.passes, before, subject.area, max(size) if reach is None else reach, wrap)


_ASKED: dict[str, Callable[[Subject], Work]] = {
    "Influence": lambda subject: influence(subject.look, subject.before, subject.area),
    "Detail": lambda subject: detail(subject.look, subject.before, subject.area),
    "Removal": lambda subject: removal(subject.look, subject.before, subject.after, subject.region),
    "Scale": _scale,
    "Styles": lambda subject: styles(subject.look, subject.before, subject.area),
    "Passes": lambda subject: _shares("Passes", subject),
    "Objects": lambda subject: _shares("Objects", subject),
    "Provenance": _provenance,
    "StyleFit": _style_fit,
}
