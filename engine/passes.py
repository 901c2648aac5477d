"""Blender's render passes by one name across versions, mattes of objects, and taking a render apart and together again.

Blender 5.0 gave most passes new names (`Diffuse Color`) and every pass its own part in the file; 4.x writes one part
with short names (`DiffCol`). Here a pass always has its short name, whatever wrote the file. Passes that are not
Blender's (custom outputs, light groups) keep their own names.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .atomic import StrPath, shown
from .errors import EngineError
from .exr import ExrFile, ExrLayer, main_layer, read_exr, read_if_exr
from .picture import Alpha, Array, Encoding, Floats, Picture

_LONG_NAMES = {
    "Diffuse Direct": "DiffDir",
    "Diffuse Indirect": "DiffInd",
    "Diffuse Color": "DiffCol",
    "Glossy Direct": "GlossDir",
    "Glossy Indirect": "GlossInd",
    "Glossy Color": "GlossCol",
    "Transmission Direct": "TransDir",
    "Transmission Indirect": "TransInd",
    "Transmission Color": "TransCol",
    "Subsurface Direct": "SubsurfaceDir",
    "Subsurface Indirect": "SubsurfaceInd",
    "Subsurface Color": "SubsurfaceCol",
    "Volume Direct": "VolumeDir",
    "Volume Indirect": "VolumeInd",
    "Emission": "Emit",
    "Environment": "Env",
    "Ambient Occlusion": "AO",
    "Object Index": "IndexOB",
    "Material Index": "IndexMA",
    "Transparent": "Transp",
}
"""What Blender 5.0 calls a pass -> its name in 4.x and here."""

TERMS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("DiffCol", ("DiffDir", "DiffInd")),
    ("GlossCol", ("GlossDir", "GlossInd")),
    ("TransCol", ("TransDir", "TransInd")),
    ("", ("VolumeDir", "VolumeInd")),
    ("", ("Emit",)),
    ("", ("Env",)),
)
"""Combined is the sum of these, each colour times the sum of its lights (Cycles; measured to 1e-6 in float files)."""

LIGHTS = ("Diffuse", "Glossy", "Transmission", "Volume", "Emission", "Environment")
"""What an artist calls each of TERMS"""

COMBINED = "Combined"
PARTS = tuple(name for colour, lights in TERMS for name in (colour, *lights) if name)
"""The passes that Combined is made of"""

SWITCHES = {
    **{
        f"{short}{end}": f"Light > {family}: {kind}"
        for short, family in (("Diff", "Diffuse"), ("Gloss", "Glossy"), ("Trans", "Transmission"))
        for end, kind in (("Dir", "Direct"), ("Ind", "Indirect"), ("Col", "Color"))
    },
    "VolumeDir": "Light > Volume: Direct",
    "VolumeInd": "Light > Volume: Indirect",
    "Emit": "Light > Other: Emission",
    "Env": "Light > Other: Environment",
}
"""Where Blender switches each of PARTS on, below View Layer Properties > Passes"""

CRYPTOMATTES = ("CryptoObject", "CryptoMaterial", "CryptoAsset")

# Alpha above which a pixel counts as opaque. On a transparent film the Env pass still holds the sky that Combined
# leaves out; on an opaque one alpha is 1 everywhere.
_OPAQUE = 0.999


def canonical(name: str) -> str:
    """The name of a pass here: Blender 4.x's, whichever version wrote the file."""
    return _LONG_NAMES.get(name, name)


@dataclass(frozen=True, eq=False)
class Passes(Mapping[str, Array]):
    """The passes of one view layer: canonical name -> array (H, W, C) of the stored type, made when asked for."""

    file: ExrFile
    path: str
    """For messages"""
    view_layer: str
    """`ViewLayer`; empty in a file of bare channels"""

    @property
    def height(self) -> int:
        return self.file.height

    @property
    def width(self) -> int:
        return self.file.width

    def __getitem__(self, name: str) -> Array:
        """(H, W, C), row 0 at the top; float16 | float32. Raises KeyError where the render has no such pass."""
        return self._stored[canonical(name)].pixels()

    def __iter__(self) -> Iterator[str]:
        return iter(self._stored)

    def __len__(self) -> int:
        return len(self._stored)

    def layer(self, name: str) -> ExrLayer:
        """The pass as it lies in the file, with its name and channel names there."""
        return self._stored[canonical(name)]

    def need(self, *names: str) -> None:
        """Raise an EngineError that tells which of these passes to switch on."""
        missing = [name for name in names if canonical(name) not in self]
        if missing:
            raise EngineError(
                f"{self.path} has no pass {', '.join(missing)}.",
                "Switch it on in View Layer Properties > Passes and render again.",
            )

    def picture(self, name: str) -> Picture:
        """A pass as a picture: colours scene-linear (premultiplied where they have alpha), everything else data."""
        self.need(name)
        stored = self.layer(name)
        coloured = [channel.upper() for channel in stored.channels][:3] == ["R", "G", "B"] and not is_id(name)
        encoding: Encoding = "linear" if coloured else "data"
        alpha: Alpha = "premultiplied" if coloured and len(stored.channels) == 4 else "none"
        return Picture(stored.pixels(), encoding, alpha, canonical(name))

    def objects(self, kind: str = "CryptoObject") -> tuple[str, ...]:
        """Names in the manifest of a cryptomatte (CryptoObject, CryptoMaterial, CryptoAsset)."""
        manifest = self.manifest(kind)
        if manifest is None:
            raise EngineError(
                f"{self.path} has no list of names for {kind}.",
                "Switch on Cryptomatte in View Layer Properties > Passes and render again.",
            )
        return tuple(manifest)

    def crypto_id(self, name: str, kind: str = "CryptoObject") -> int:
        """The 32-bit id that stands for a name in a cryptomatte. Without a manifest the name's hash is all there is."""
        manifest = self.manifest(kind)
        if manifest is None:
            return name_hash(name)
        if name not in manifest:
            known = ", ".join(sorted(manifest)[:12]) or "none"
            raise EngineError(f"{self.path} knows no {name!r} in {kind} (it knows: {known}).", "Choose one of those.")
        return int(manifest[name], 16)

    @cached_property
    def _stored(self) -> dict[str, ExrLayer]:
        return {canonical(name): stored for name, stored in _by_view_layer(self.file)[self.view_layer].items()}

    def manifest(self, kind: str = "CryptoObject") -> dict[str, str] | None:
        """Name -> id in hexadecimal, from the header of this view layer's cryptomatte; None where there is none."""
        full = f"{self.view_layer}.{kind}" if self.view_layer else kind
        for key, value in self.file.header.items():
            if key.startswith("cryptomatte/") and key.endswith("/name") and value == full:
                return _read_manifest(self.file.header.get(key.removesuffix("name") + "manifest", ""), self.path)
        return None


def read_passes(path: StrPath, layer: str | None = None) -> Passes:
    """The passes in a multilayer EXR. layer: the view layer; None takes the one that tells most: see fullest_of."""
    file = read_exr(path)
    if layer is None:
        return fullest_of(file, path)
    found = _by_view_layer(file)
    if layer not in found:
        raise EngineError(f"{shown(path)} has no view layer {layer!r}.", f"Choose one of: {', '.join(found)}.")
    return Passes(file, shown(path), layer)


def fullest_of(file: ExrFile, path: StrPath) -> Passes:
    """Those of the view layer with a Combined and the most other passes: the result of the compositor is stored like a
    view layer with Combined alone, and shows the same things."""
    found = _by_view_layer(file)
    return Passes(file, shown(path), max(found, key=lambda name: ("Combined" in found[name], len(found[name]))))


def painted_passes(path: StrPath) -> Passes | None:
    """The passes of the view layer that is painted when the file is opened as a picture; None where it is no EXR."""
    file = read_if_exr(path)
    return None if file is None else passes_of(file, path)


def passes_of(file: ExrFile, path: StrPath) -> Passes:
    """The same of a file that was read already."""
    return Passes(file, shown(path), main_layer(file).view_layer)


def view_layers(file: ExrFile) -> tuple[str, ...]:
    """Names of the view layers in a file, in its order."""
    return tuple(_by_view_layer(file))


def is_id(name: str) -> bool:
    """Passes whose values are names, not amounts: they must never be filtered or blended."""
    return canonical(name) in ("IndexOB", "IndexMA") or name.startswith(CRYPTOMATTES)


def _by_view_layer(file: ExrFile) -> dict[str, dict[str, ExrLayer]]:
    """View layer -> name of the pass as stored -> the pass. Bare channels R G B A are a Combined pass."""
    found: dict[str, dict[str, ExrLayer]] = {}
    for full, stored in file.layers.items():
        view_layer, _, name = full.rpartition(".")
        found.setdefault(view_layer, {})[name or "Combined"] = stored
    return found


# ---------------------------------------------------------------- mattes


def matte(passes: Passes, name: str, kind: str = "CryptoObject") -> Floats:
    """How much of each pixel an object (or material, asset) covers: float32 (H, W), 0..1, from all levels."""
    levels = sorted(stored for stored in passes if stored.startswith(kind) and stored[len(kind) :].isdigit())
    passes.need(*(levels or [f"{kind}00"]))
    wanted = np.uint32(passes.crypto_id(name, kind))
    total = np.zeros((passes.height, passes.width), np.float32)
    for level in levels:
        for ids, amount in _pairs(passes, level):
            total += np.where(ids == wanted, amount, np.float32(0))
    if not total.any() and passes.manifest(kind) is None:
        raise EngineError(f"{passes.path} shows no {name!r} in {kind}.", "Check how the name is spelled.")
    # Blender 5.0 counts a surface seen through a volume more than once.
    return np.clip(total, 0, 1)


def find_matte(passes: Passes, name: str) -> tuple[tuple[str, Floats] | None, tuple[str, ...]]:
    """The cryptomatte that knows a name, as (CryptoObject | CryptoMaterial | CryptoAsset, matte as `matte` gives it),
    objects first; None where none does. Also up to 40 names they know, for messages."""
    manifests = {kind: passes.manifest(kind) or {} for kind in CRYPTOMATTES}
    found = next((kind for kind, manifest in manifests.items() if name in manifest), None)
    known = sorted({other for manifest in manifests.values() for other in manifest})[:40]
    return (found, matte(passes, name, found)) if found else None, tuple(known)


def first_ids(passes: Passes) -> NDArray[np.int64]:
    """(H, W): an id of the object that covers most of each pixel, 0 where there is none. By the Cryptomatte, which
    tells all objects apart; else by the object index, which the artist gives; else all are one, 1."""
    if "CryptoObject00" in passes:
        ids, amount = next(_pairs(passes, "CryptoObject00"))
        return np.where(amount > 0, ids.astype(np.int64), 0)
    if "IndexOB" in passes and passes["IndexOB"].any():
        return passes["IndexOB"][..., 0].astype(np.int64)
    return np.ones((passes.height, passes.width), np.int64)


def _pairs(passes: Passes, level: str) -> Iterator[tuple[NDArray[np.uint32], Floats]]:
    """The (id, coverage) pairs of one level: channels r, g and b, a. An id is the bits of a float32."""
    planes = {channel.lower(): plane for channel, plane in passes.layer(level).planes.items()}
    for key, amount in ("rg", "ba"):
        if key in planes and amount in planes:
            if planes[key].dtype != np.float32:
                raise EngineError(
                    f"The cryptomatte in {passes.path} was stored as half floats, which destroys its ids.",
                    "Render it to 32-bit float.",
                )
            yield np.ascontiguousarray(planes[key]).view(np.uint32), planes[amount]


def name_hash(name: str) -> int:
    """The cryptomatte id of a name: MurmurHash3 (32 bit) of its UTF-8, kept a finite float.

    For files whose manifest is missing. An exponent of all zeros or all ones would make the float a denormal,
    infinite or NaN, so its lowest bit is flipped.
    """
    value = _murmur3(name.encode("utf-8"))
    exponent = (value >> 23) & 255
    return value ^ (1 << 23) if exponent in (0, 255) else value


def _murmur3(data: bytes) -> int:
    value, whole = 0, len(data) // 4 * 4
    for start in range(0, whole, 4):
        value ^= _scrambled(int.from_bytes(data[start : start + 4], "little"))
        value = (_rotated(value, 13) * 5 + 0xE6546B64) & 0xFFFFFFFF
    value ^= _scrambled(int.from_bytes(data[whole:], "little")) ^ len(data)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        value = ((value ^ (value >> shift)) * factor) & 0xFFFFFFFF
    return value ^ (value >> 16)


def _scrambled(word: int) -> int:
    return (_rotated((word * 0xCC9E2D51) & 0xFFFFFFFF, 15) * 0x1B873593) & 0xFFFFFFFF


def _rotated(word: int, bits: int) -> int:
    return ((word << bits) | (word >> (32 - bits))) & 0xFFFFFFFF


def _read_manifest(text: str, path: str) -> dict[str, str]:
    try:
        manifest = json.loads(text)
        return {str(name): f"{int(code, 16):08x}" for name, code in manifest.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise EngineError(
            f"The list of object names in {path} cannot be read.", "Render it again with Cryptomatte switched on."
        ) from error


# ---------------------------------------------------------------- apart and together again


def recombine(passes: Passes, replaced: Mapping[str, Array] | None = None) -> Floats:
    """The sum of the light passes, float32 (H, W, 3) scene-linear: what Combined is made of.

    replaced: passes to use instead of the file's. Volume, Emit and Env count where they are there; a colour and its
    lights are needed together. Equals Combined to float rounding if the render was not denoised and has no shadow
    catcher (with the denoiser on: `Noisy Image`).
    """
    passes.need("DiffCol", "DiffDir", "DiffInd")
    use = {canonical(name): pixels for name, pixels in (replaced or {}).items()}
    total = np.zeros((passes.height, passes.width, 3), np.float32)
    for colour, lights in TERMS:
        total += _term(passes, colour, lights, use)
    return total


def lights(passes: Passes) -> dict[str, Floats]:
    """What Combined is made of, by LIGHTS: (H, W, 3) float32 scene-linear each; those that the render has and that are
    not black everywhere. Raises EngineError for a render without light passes."""
    need_lights(passes)
    found = {name: _term(passes, *term, {}) for name, term in zip(LIGHTS, TERMS, strict=True)}
    return {name: light for name, light in found.items() if light.any()}


def need_lights(passes: Passes) -> None:
    """Raises EngineError for a render without light passes."""
    passes.need("Combined", "DiffCol", "DiffDir", "DiffInd")


def shown_lights(passes: Passes) -> tuple[str, ...]:
    """Those of LIGHTS whose passes are in the render, black or not."""
    return tuple(
        name for name, (_, terms) in zip(LIGHTS, TERMS, strict=True) if any(canonical(term) in passes for term in terms)
    )


def replace_pass(passes: Passes, name: str, new: Array) -> Floats:
    """Combined as it would be with another light or colour pass, float32 (H, W, 3 or 4), alpha as it was.

    new: (H, W, 3) scene-linear, e.g. a stylized DiffCol. Only what the pass changes is added to the denoised Combined,
    so the same pass gives Combined back exactly. Values can fall below 0 where the light passes are noisy.
    """
    passes.need("Combined")
    how_much = weight(passes, name)
    if new.shape != how_much.shape:
        raise ValueError(f"{new.shape} is not ({passes.height}, {passes.width}, 3)")
    combined = passes["Combined"].astype(np.float32)
    combined[..., :3] += how_much * (new.astype(np.float32) - _colour(passes, name))
    return combined


def weight(passes: Passes, name: str) -> Floats:
    """How much Combined rises where a pass it is made of rises by 1: (H, W, 3) float32. For a colour the sum of its
    lights, for a light its colour, else 1 (for Env where the film shows the sky).

    Raises EngineError where Combined is not made of that pass, or the render has not all that it takes.
    """
    wanted = canonical(name)
    colour, lights = term_of(wanted)
    _need_term(passes, wanted, colour, lights)
    if wanted == colour:
        return sum((_colour(passes, light) for light in lights[1:]), _colour(passes, lights[0]))
    if colour:
        return _colour(passes, colour)
    alone = np.ones((passes.height, passes.width, 3), np.float32)
    return alone * _visible_sky(passes) if wanted == "Env" else alone


def term_of(name: str) -> tuple[str, tuple[str, ...]]:
    """The one of TERMS that a pass counts in, by its canonical name."""
    found = next((term for term in TERMS if name == term[0] or name in term[1]), None)
    if found is None:
        raise EngineError(f"Combined is not made of the pass {name}.", f"Choose one of: {', '.join(PARTS)}.")
    return found


def _need_term(passes: Passes, name: str, colour: str, lights: tuple[str, ...]) -> None:
    """A colour and its lights are needed together."""
    wanted = (colour, *lights) if colour else (name,)
    missing = [part for part in wanted if part not in passes]
    if missing:
        switches = ", ".join(SWITCHES[part] for part in missing)
        raise EngineError(
            f"{passes.path} has no pass {', '.join(missing)}.",
            f"Switch on {switches} in View Layer Properties > Passes and render to OpenEXR MultiLayer.",
        )
    grey = [part for part in wanted if len(passes.layer(part).channels) < 3]
    if grey:
        raise EngineError(f"The pass {grey[0]} of {passes.path} has no colours.", "Render the frame with Blender.")


def _colour(passes: Passes, name: str) -> Floats:
    """(H, W, 3) float32"""
    return passes[name][..., :3].astype(np.float32)


def _term(passes: Passes, colour: str, lights: tuple[str, ...], use: Mapping[str, Array]) -> Floats:
    """colour * (sum of lights), float32 (H, W, 3)."""

    def values(name: str) -> Floats:
        found = use[name] if name in use else passes[name]
        seen = found[..., :3].astype(np.float32)
        return seen * _visible_sky(passes) if name == "Env" else seen

    total = np.zeros((passes.height, passes.width, 3), np.float32)
    for light in lights:
        if light in passes or light in use:
            total += values(light)
    if not colour or not total.any():
        return total
    passes.need(*([colour] if colour not in use else []))
    return total * values(colour)


def _visible_sky(passes: Passes) -> Any:
    """1 where the film shows the sky, 0 where it is transparent."""
    if "Combined" not in passes or passes.layer("Combined").channels[-1].upper() != "A":
        return np.float32(1)
    return (passes["Combined"][..., 3:] >= _OPAQUE).astype(np.float32)
