"""Style packs: a trained look as a folder (`style.json`, `generator.onnx`, ...) or the same as one .zip.

Everything is verified before a session is made: the JSON, the sha256 of every file, the kind of every file, and what
the ONNX graph would do. The bytes that were verified are the bytes that are run (`StylePack.read`).
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import json
import math
import os
import re
import shutil
import struct
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from . import onnx_graph, onnx_growth, onnx_weights, pack_files
from .errors import EngineError
from .protocol import ImportOptions, Json, StyleInfo
from .strict_json import parse_object

SCHEMA = 1
MANIFEST = "style.json"
GENERATOR = "generator.onnx"
HALF = "generator_fp16.onnx"
EXPLAIN = "explain.onnx"
REGION, GRADIENT = "region", "gradient_"
"""Of EXPLAIN, a graph of gradients: its input beside those of the generator, the weight of every value of the result in
the sum that is explained; and how its outputs begin, followed by the name of the input they belong to."""
PREVIEW = "preview.png"
FIT = "fit.bytes"
FIT_NUMBERS = 23
"""What is usual in the style, for StyleFit: means of so many numbers, the inverse of their covariance, and the distance
that is still usual, as little-endian float32"""
KINDS = ("pentimento", "third-party")
NOISES = ("noise", "grain")
"""Inputs that are noise: the coarse one, and a finer one that a texture may have"""
DISTRIBUTIONS = ("normal", "uniform", "quilted")
PIECE = 6
"""Coarse cells to each side of a piece of quilted noise"""
MAX_CHANNELS = 64
"""Of one input. The noises of a texture are numbered from each multiple on, so that no two hold the same."""
MAX_PICTURES = 8
"""A style may be made of more: these are the first"""
_FIX = "Get the style pack again from its author, or export it again."
_LARGEST_FIT = 1e6
_MAX_STRIDE = 64
_MAX_RADIUS = 1024
_MAX_EDGE = 8192
_MAX_FIELD = 1024
_MAX_TURNS = 32
_CELL = 4
"""forms.CELL"""
_MAX_WAVES = 8


@dataclass(frozen=True)
class StrokeField:
    """Noise in which the strokes of a painting run: a table (channels, rows, columns) of bytes in a file of the pack.

    It repeats without a seam. Bytes 0 and 255 stand for the ends of the input's range.
    """

    file: str
    rows: int
    columns: int
    parts: tuple[int, ...] = ()
    """Of the coarse table of quilted noises that were read off several pictures, which lie below each other in it: the
    rows of each. No piece is taken across two of them."""


@dataclass(frozen=True)
class TurnedStrokes:
    """Strokes that can follow forms: a stroke field for each direction, (turns, channels, rows, columns) of bytes as
    those of a StrokeField. The first runs along the x axis; from one to the next they turn towards the y axis, over
    half a circle in all."""

    file: str
    turns: int
    rows: int
    columns: int


@dataclass(frozen=True)
class StylePicture:
    """A picture the style was made of, reduced: for overlays that say where in it something lies."""

    file: str
    """A JPEG of the pack"""
    scale: float
    """Its pixels for every pixel of the picture at the size at which the style was trained"""


@dataclass(frozen=True)
class ModelInput:
    """One tensor the model wants, NCHW float32."""

    channels: int
    order: str = "RGB"
    """RGB | BGR, for pictures"""
    layout: str = "NCHW"
    """NCHW | NHWC"""
    range: tuple[float, float] = (0.0, 1.0)
    """What display-referred 0 and 1 become"""
    scale: int = 1
    """The input is this many times smaller than the picture: 4 for noise on the inner grid"""
    tensor: str = ""
    """The name in the ONNX file where it is not the key in style.json"""
    strokes: StrokeField | None = None
    """Where noise is not plain normal noise"""
    turned: TurnedStrokes | None = None
    """The same strokes by their directions; a style without has strokes that do not follow forms"""
    distribution: str = "normal"
    """normal | uniform (-1 .. 1) | quilted (of pieces of its table `strokes`): the noise of a texture"""
    mean: tuple[float, ...] = ()
    """Of a picture, for red, green and blue, subtracted from 0..1 before `range`; empty: nothing is"""
    deviation: tuple[float, ...] = ()
    """What is left is divided by these; empty: by 1"""
    waves: tuple[tuple[float, float], ...] = ()
    """The periodic part of a texture's noise (Bergmann et al. 2017): cycles per pixel, down and across, of each wave.
    Sine and cosine of each are its last channels, two to a wave."""

    @property
    def tables(self) -> tuple[StrokeField | TurnedStrokes, ...]:
        return tuple(table for table in (self.strokes, self.turned) if table)


@dataclass(frozen=True)
class ModelSpec:
    """The `model` part of style.json: how pixels go in and come out."""

    inputs: Mapping[str, ModelInput]
    """image, or the style makes textures out of nothing but noise; "noise" when the model wants it, and guides by their
    names in guides.py, as large as the picture. A texture has "noise", and "grain" where it is told finer noise too."""
    output: str = "stylized"
    order: str = "RGB"
    layout: str = "NCHW"
    range: tuple[float, float] = (0.0, 1.0)
    """Output values that stand for display-referred 0 and 1 (a model may overshoot: it is clamped afterwards)"""
    fixed_size: tuple[int, int] | None = None
    """Height and width when the model takes no other"""
    stride: int = 1
    """Sizes the model takes are multiples of this, and tiles start at multiples of it"""
    receptive_radius: int | None = None
    """How far to each side, in pixels, a result pixel can see. None: everywhere (statistics over the frame),
    then a tiled run cannot promise to equal an untiled one."""
    parameters: int = 0
    macs_per_pixel: float = 0.0
    file: str = GENERATOR
    half: str = ""
    """The same network with weights and arithmetic in half precision (inputs and output stay float32), for graphics
    cards; empty where the style has none. Weights that `file` has, too, are not stored again: see onnx_weights.py"""

    @property
    def makes_textures(self) -> bool:
        """True when it takes no picture."""
        return "image" not in self.inputs

    @property
    def variants(self) -> int:
        """Exemplars of a texture of which it can be made alone; 0 where there are no several."""
        coarse = self.inputs["noise"].strokes if self.makes_textures else None
        return len(coarse.parts) if coarse else 0

    @property
    def local(self) -> bool:
        """True when tiling is exact."""
        return self.receptive_radius is not None and self.fixed_size is None


@dataclass(frozen=True)
class StylePack:
    """A verified style."""

    source: Path
    """The folder, or the .zip, it was read from"""
    name: str
    author: str
    licence: str
    created: str
    kind: str
    model: ModelSpec
    controls: Mapping[str, tuple[float, float]]
    recipe: Json
    files: Mapping[str, str]
    """File name -> sha256 in hexadecimal"""
    pictures: tuple[StylePicture, ...] = ()
    """What it was made of. Styles of other programs do not tell"""
    root: str = field(default="", repr=False)
    """Inside a .zip: the folder that holds style.json, with its slash"""

    @property
    def explains(self) -> bool:
        """It brings its gradients. Styles of other programs do not."""
        return EXPLAIN in self.files

    @property
    def hash(self) -> str:
        """What the look depends on, for recipes: the network and how it is fed. Renaming a style does not change it."""
        fed = [self.files[table.file] for item in self.model.inputs.values() for table in item.tables]
        fed += [self.files[self.model.half]] if self.model.half else []
        essence = json.dumps([model_json(self.model), self.files[self.model.file], *fed], sort_keys=True)
        return hashlib.sha256(essence.encode()).hexdigest()

    @property
    def folder(self) -> str:
        return str(self.source)

    @property
    def preview(self) -> str:
        """Path of the preview picture; empty when there is none on disk (a style inside a .zip)."""
        return str(self.source / PREVIEW) if PREVIEW in self.files and self.source.is_dir() else ""

    def read(self, name: str) -> bytes:
        """A file's bytes, checked against the sha256 once more: what is run is what was verified."""
        data = pack_files.read(self.source, self.root + name)
        if hashlib.sha256(data).hexdigest() != self.files[name]:
            raise EngineError(f"{name} of the style {self.name!r} changed while it was being read.", _FIX)
        return data

    def network(self, name: str) -> bytes:
        """A network of the pack as a whole model: what its file leaves out are the generator's weights."""
        data = self.read(name)
        return data if name == self.model.file else onnx_weights.with_weights(data, self.read(self.model.file))


# ---------------------------------------------------------------- load, find, list


def load(path: Path | str) -> StylePack:
    """The style pack at `path` (folder or .zip), verified from end to end."""
    source = Path(path)
    with _system(source):
        names = pack_files.names(source)
        root = pack_files.root(names, MANIFEST, source)
        manifest = pack_files.read(source, root + MANIFEST)
        pack = parse(parse_object(manifest, f"{MANIFEST} of {source.name!r}", _FIX), source, root)
        _verify_files(pack, names)
    return pack


def find(name_or_path: str, folders: Sequence[Path | str] = ()) -> StylePack:
    """A style by path (folder or .zip), else by name among those that ship, the user's and those in `folders`."""
    path = Path(name_or_path)
    if name_or_path.lower().endswith(".zip") or len(path.parts) > 1 or (path / MANIFEST).is_file():
        return load(path)
    packs = _candidates(folders)
    wanted = name_or_path.casefold()
    for folder, title in packs:
        if wanted in (title.casefold(), folder.name.casefold()):
            return load(folder)
    raise EngineError(f"There is no style named {name_or_path!r}.", _suggestion(name_or_path, [t for _, t in packs]))


def find_for_pictures(name_or_path: str) -> StylePack:
    """A style that paints pictures. Raises EngineError for one that makes textures."""
    pack = find(name_or_path)
    if pack.model.makes_textures:
        raise EngineError(
            f"The style {pack.name!r} makes textures out of noise: it takes no picture.",
            f"Make one with `pentimento texture --style {pack.name!r}`, or choose a style for pictures.",
        )
    return pack


def installed(folders: Sequence[Path | str] = ()) -> list[StyleInfo]:
    """Every style that ships, the user's, and those in `folders`; a broken one says what is wrong with it."""
    return [_info(folder) for folder, _ in _candidates(folders)]


def style_folders(more: Sequence[Path | str] = ()) -> tuple[Path, ...]:
    """Where styles live: those that ship, the user's own folder, then `more`. Missing folders are left out."""
    wanted = (Path(__file__).parent / "styles", user_folder(), *map(Path, more))
    return tuple(dict.fromkeys(folder.resolve() for folder in wanted if folder.is_dir()))


def user_folder() -> Path:
    """The folder of the user's own styles: $PENTIMENTO_STYLES, else the platform's place for such data."""
    if chosen := os.environ.get("PENTIMENTO_STYLES"):
        return Path(chosen)
    if sys.platform == "win32":
        base = Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "pentimento" / "styles"


def _candidates(folders: Sequence[Path | str]) -> list[tuple[Path, str]]:
    """(folder, name) of whatever calls itself a style pack; the name is the folder's where the JSON is broken."""
    found: list[tuple[Path, str]] = []
    for place in style_folders(folders):
        for group in (place, *groups(place)):
            with _system(group):
                packs = sorted(entry for entry in _entries(group) if (entry / MANIFEST).is_file())
            found.extend((pack, _title(pack)) for pack in packs)
    return found


def groups(folder: Path) -> tuple[Path, ...]:
    """The folders in a folder of styles that are no styles: styles in them are found, one level deep."""
    if not folder.is_dir():
        return ()
    with _system(folder):
        inside = [entry for entry in _entries(folder) if entry.is_dir() and not entry.is_symlink()]
        return tuple(sorted(entry for entry in inside if not (entry / MANIFEST).is_file()))


def _entries(folder: Path) -> Iterator[Path]:
    """Without half-written ones, and without what belongs to a training."""
    return (entry for entry in folder.iterdir() if not entry.name.startswith(".") and entry.suffix != ".training")


def _title(folder: Path) -> str:
    try:
        name = parse_object(pack_files.read(folder, MANIFEST), MANIFEST, _FIX).get("name")
    except EngineError:
        return folder.name
    return name if isinstance(name, str) else folder.name


def _info(folder: Path) -> StyleInfo:
    try:
        pack = load(folder)
    except EngineError as error:
        return StyleInfo(_title(folder), str(folder), "", "", "", "pentimento", problem=str(error))
    makes = "textures" if pack.model.makes_textures else "pictures"
    about = (pack.name, str(folder), pack.preview, pack.author, pack.licence, pack.kind)
    return StyleInfo(*about, makes=makes, variants=pack.model.variants)


def _suggestion(name: str, names: list[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    if near:
        return f"Did you mean {near[0]!r}?"
    if names:
        return "Choose one of: " + ", ".join(sorted(set(names))[:20]) + "."
    return "Train one (pentimento train) or import one (pentimento import-style)."


# ---------------------------------------------------------------- import, export, write


def import_style(
    path: Path | str, folder: Path | str, name: str = "", options: ImportOptions | None = None
) -> StylePack:
    """Bring a style pack (.zip or folder) or somebody else's .onnx into the folder of styles `folder`.

    options: what is known of an .onnx file.
    The new style appears in `folder` as a whole or not at all; an existing one is never overwritten.
    """
    source, target = Path(path), Path(folder)
    if not source.exists():
        raise EngineError(f"There is no file {source}.", "Check the path.")
    if source.suffix.lower() == ".onnx" and source.is_file():
        from . import import_onnx  # needs onnxruntime: only for other people's models

        return import_onnx.import_model(source, target, name, options or ImportOptions())
    if options and options != ImportOptions():
        raise EngineError("Only .onnx files take import options.", "Leave them out: a style pack knows them itself.")
    pack = load(source)
    pack = replace(pack, name=name or pack.name)
    return write_pack(place_for(pack.name, target), pack, {file: pack.read(file) for file in pack.files})


def place_for(name: str, folder: Path) -> Path:
    """The folder of a new style in the folder of styles `folder`. Raises EngineError where a group has it already."""
    for group in groups(folder):
        if (group / slug(name)).exists():
            raise EngineError(
                f"There is already a style {name!r} in the folder {group.name!r}.",
                "Give the new one another name, or remove the old one.",
            )
    return folder / slug(name)


def export_style(pack: StylePack, path: Path | str) -> Path:
    """Write the style as one .zip to share. Same style, same bytes: the zip carries no clock."""
    from .atomic import NewFile

    target = Path(path)
    names = [MANIFEST, *sorted(pack.files)]
    with NewFile(target) as new, zipfile.ZipFile(new.file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            data = manifest_bytes(pack) if name == MANIFEST else pack.read(name)
            entry = zipfile.ZipInfo(f"{slug(pack.name)}/{name}", (1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return target


def write_pack(target: Path | str, pack: StylePack, files: Mapping[str, bytes], replace_old: bool = False) -> StylePack:
    """Write `pack` with these files as the folder `target`, verified by loading it again.

    The folder appears at once and complete: it is built and loaded beside its place, then renamed.
    `pack.files` and `pack.source` are set here. replace_old: take the place of an older folder (training again).
    """
    final = Path(target)
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    with _system(final, "written"):
        final.parent.mkdir(parents=True, exist_ok=True)
        if final.exists() and not replace_old:
            raise EngineError(
                f"There is already a style in {final.name!r}.", "Give the new one another name, or remove the old one."
            )
        with _beside(final) as temp:
            for name, data in files.items():
                _write_synced(temp / name, data)
            _write_synced(temp / MANIFEST, manifest_bytes(replace(pack, files=hashes)))
            load(temp)
            _put_in_place(temp, final)
    return load(final)


def new_pack(name: str, model: ModelSpec, **facts: Any) -> StylePack:
    """A pack for `write_pack`. facts: author, licence, created, kind, controls, recipe, pictures."""
    usual: dict[str, Any] = {"author": "", "licence": "", "created": "", "kind": KINDS[0], "recipe": {}}
    usual["controls"] = {"strength": (0.0, 1.0), "stroke": (0.25, 4.0), "seed": (0.0, 2147483647.0)}
    return StylePack(source=Path(), name=name, model=model, files={}, **{**usual, **facts})


def slug(name: str) -> str:
    """A folder name for a style: letters, digits, dashes. "Starry Night!" -> "starry-night"."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-")
    return plain[:48].strip("-") or "style-" + hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:8]


@contextlib.contextmanager
def _beside(final: Path) -> Iterator[Path]:
    """A new folder on the same disk as `final`, gone afterwards whatever happens."""
    temp = Path(tempfile.mkdtemp(prefix=".pentimento-", dir=final.parent))
    try:
        yield temp
    finally:
        shutil.rmtree(temp, ignore_errors=True)


def _put_in_place(temp: Path, final: Path) -> None:
    """Rename `temp` to `final`; an older `final` goes away only once the new one is there."""
    temp.chmod(0o755)
    old = temp.with_name(temp.name + "-old")
    if final.exists():
        final.rename(old)
    try:
        temp.rename(final)
    except OSError:
        if old.exists():
            old.rename(final)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _system(path: Path, done: str = "read") -> contextlib.AbstractContextManager[None]:
    """The operating system's refusals in the artist's words."""
    from .atomic import reading, writing

    return reading(path) if done == "read" else writing(path)


# ---------------------------------------------------------------- style.json


def model_json(model: ModelSpec) -> Json:
    """The `model` part of style.json."""
    data: Json = {
        "file": model.file,
        "inputs": {key: _input_json(key, item) for key, item in model.inputs.items()},
        "output": model.output,
        "order": model.order,
        "layout": model.layout,
        "range": list(model.range),
        "fixed_size": list(model.fixed_size) if model.fixed_size else None,
        "stride": model.stride,
        "receptive_radius": model.receptive_radius,
        "parameters": model.parameters,
        "macs_per_pixel": model.macs_per_pixel,
    }
    return data | ({"half": model.half} if model.half else {})


def _input_json(key: str, item: ModelInput) -> Json:
    data: Json = {
        "channels": item.channels,
        "order": item.order,
        "layout": item.layout,
        "range": list(item.range),
        "scale": item.scale,
        "tensor": item.tensor or key,
    }
    tables = {"strokes": item.strokes, "turned": item.turned}
    data |= {name: _table_json(table) for name, table in tables.items() if table}
    data |= {"distribution": item.distribution} if item.distribution != "normal" else {}
    norms = {"mean": item.mean, "deviation": item.deviation}
    data |= {name: list(values) for name, values in norms.items() if values}
    return data | ({"waves": [list(wave) for wave in item.waves]} if item.waves else {})


def _table_json(table: StrokeField | TurnedStrokes) -> Json:
    data = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(table).items()}
    return {name: value for name, value in data.items() if value != []}


def manifest_bytes(pack: StylePack) -> bytes:
    """style.json of the pack."""
    data = {
        "schema": SCHEMA,
        "name": pack.name,
        "author": pack.author,
        "licence": pack.licence,
        "created": pack.created,
        "kind": pack.kind,
        "model": model_json(pack.model),
        "controls": {key: list(limits) for key, limits in pack.controls.items()},
        "recipe": pack.recipe,
        **({"pictures": [asdict(picture) for picture in pack.pictures]} if pack.pictures else {}),
        "files": dict(sorted(pack.files.items())),
    }
    return (json.dumps(data, indent=2, allow_nan=False) + "\n").encode()


def parse(data: Json, source: Path, root: str = "") -> StylePack:
    """style.json as a StylePack. Unknown and missing fields are errors: another version's pack must not half-work."""
    reader = _Fields(data, source.name)
    if reader.take("schema", int) != SCHEMA:
        raise EngineError(
            f"The style {source.name!r} was made for another version (schema {data.get('schema')!r}).",
            "Update the add-on, or export the style again with this version.",
        )
    pack = StylePack(
        source=source,
        root=root,
        name=reader.text("name", 1, 80),
        author=reader.text("author", 0, 200),
        licence=reader.text("licence", 0, 200),
        created=reader.text("created", 0, 40),
        kind=reader.choice("kind", KINDS),
        model=_parse_model(reader.sub("model")),
        controls={key: reader.sub("controls").span(key) for key in reader.take("controls", dict)},
        recipe=reader.take("recipe", dict),
        files=_parse_files(reader.sub("files")),
        pictures=_parse_pictures(reader),
    )
    reader.nothing_else()
    if any(picture.file not in pack.files or not picture.file.endswith(".jpg") for picture in pack.pictures):
        raise reader.wrong("pictures", "they are .jpg files listed under files")
    if len({picture.scale for picture in pack.pictures}) > 1:
        raise reader.wrong("pictures", "they have one scale")
    if not all(name.endswith(".onnx") for name in (pack.model.file, pack.model.half) if name):
        raise reader.wrong("model", "its networks are .onnx files")
    if pack.model.file not in pack.files:
        raise reader.wrong("model.file", "it is not listed under files")
    if pack.model.half and (pack.model.half not in pack.files or pack.model.half == pack.model.file):
        raise reader.wrong("model.half", "it needs a file of its own, listed under files")
    for key, item in pack.model.inputs.items():
        if any(key not in NOISES or table.file not in pack.files for table in item.tables):
            raise reader.wrong(f"model.inputs.{key}", "only noise has strokes, in files listed under files")
        if item.turned and not item.strokes:
            raise reader.wrong(f"model.inputs.{key}.turned", "there are no strokes that could be turned")
        if item.turned and item.scale != _CELL:
            raise reader.wrong(f"model.inputs.{key}.turned", f"forms are told in cells of {_CELL} pixels")
    return pack


def _parse_model(reader: _Fields) -> ModelSpec:
    inputs = reader.sub("inputs")
    model = ModelSpec(
        file=reader.text("file", 1, 64),
        inputs={key: _parse_input(inputs.sub(key)) for key in list(inputs.data)[:16]},
        output=reader.text("output", 1, 200),
        order=reader.choice("order", ("RGB", "BGR")),
        layout=reader.choice("layout", ("NCHW", "NHWC")),
        range=reader.span("range"),
        fixed_size=reader.size("fixed_size"),
        stride=reader.whole("stride", 1, _MAX_STRIDE),
        receptive_radius=reader.whole_or_none("receptive_radius", 0, _MAX_RADIUS),
        parameters=reader.whole("parameters", 0, onnx_graph.MAX_PARAMETERS),
        macs_per_pixel=reader.number("macs_per_pixel", 0, 1e9),
        half=reader.text("half", 0, 64, ""),
    )
    reader.nothing_else()
    if len(inputs.data) > 16:
        raise reader.wrong("inputs", "it has at most 16")
    _check_texture(reader, model) if model.makes_textures else _check_picture(reader, model)
    if any(model.stride % item.scale for item in model.inputs.values()):
        raise reader.wrong("stride", "it must be a multiple of every input's scale")
    return model


def _check_picture(reader: _Fields, model: ModelSpec) -> None:
    if model.inputs["image"].channels != 3 or model.inputs["image"].scale != 1:
        raise reader.wrong("inputs.image", "a picture has 3 channels and scale 1")
    if any(item.waves or item.distribution != "normal" for item in model.inputs.values()):
        raise reader.wrong("inputs", "only the noise of a texture has waves or another distribution")
    if any((item.mean or item.deviation) for key, item in model.inputs.items() if key != "image"):
        raise reader.wrong("inputs", "only the picture has a mean and a deviation")


def _check_texture(reader: _Fields, model: ModelSpec) -> None:
    if "noise" not in model.inputs or not set(model.inputs) <= set(NOISES):
        raise reader.wrong("inputs", "it needs one named image, or for a texture noise and nothing but noise")
    for item in model.inputs.values():
        if item.mean or item.deviation:
            raise reader.wrong("inputs", "a texture's noise has neither mean nor deviation")
        if item.layout != "NCHW" or (item.distribution == "quilted") != (item.strokes is not None):
            raise reader.wrong("inputs", "a texture's noise is NCHW, and quilted of the table that goes with it")
    _check_quilt(reader, model)
    if not model.local:
        raise reader.wrong("receptive_radius", "a texture of any size needs a local network")


def _check_quilt(reader: _Fields, model: ModelSpec) -> None:
    """Either all noises have a table or none. They show the same exemplar, each on its own grid, a piece at least."""
    coarse = model.inputs["noise"]
    if len({item.strokes is None for item in model.inputs.values()}) > 1:
        raise reader.wrong("inputs", "either all noises of a texture are quilted, or none")
    for item in model.inputs.values():
        table, first = item.strokes, coarse.strokes
        if table is None:
            continue
        times = coarse.scale // item.scale
        fits = first is not None and (table.rows, table.columns) == (first.rows * times, first.columns * times)
        if not fits or coarse.scale % item.scale or min(table.rows, table.columns) < PIECE * times:
            raise reader.wrong("inputs", "the tables of quilted noises do not fit each other")
        if item.waves:
            raise reader.wrong("waves", "quilted noise has none")


def _parse_input(reader: _Fields) -> ModelInput:
    item = ModelInput(
        channels=reader.whole("channels", 1, MAX_CHANNELS),
        order=reader.choice("order", ("RGB", "BGR"), "RGB"),
        layout=reader.choice("layout", ("NCHW", "NHWC"), "NCHW"),
        range=reader.span("range", (0.0, 1.0)),
        scale=reader.whole("scale", 1, _MAX_STRIDE, 1),
        tensor=reader.text("tensor", 0, 200, ""),
        strokes=_parse_strokes(reader.sub("strokes")) if "strokes" in reader.data else None,
        turned=_parse_turned(reader.sub("turned")) if "turned" in reader.data else None,
        distribution=reader.choice("distribution", DISTRIBUTIONS, "normal"),
        mean=_parse_norm(reader, "mean", -10.0),
        deviation=_parse_norm(reader, "deviation", 0.001),
        waves=_parse_waves(reader),
    )
    reader.nothing_else()
    if 2 * len(item.waves) > item.channels:
        raise reader.wrong("waves", "each takes two of the channels")
    return item


def _parse_norm(reader: _Fields, key: str, low: float) -> tuple[float, ...]:
    values = reader.take(key, list, [])
    good = len(values) in (0, 3) and all(type(v) in (int, float) and low <= v <= 10 for v in values)
    if not good:
        raise reader.wrong(key, f"three numbers from {low:g} to 10 expected")
    return tuple(map(float, values))


def _parse_waves(reader: _Fields) -> tuple[tuple[float, float], ...]:
    waves = reader.take("waves", list, [])
    if len(waves) > _MAX_WAVES:
        raise reader.wrong("waves", f"at most {_MAX_WAVES} expected")
    for wave in waves:
        good = isinstance(wave, list) and len(wave) == 2 and all(type(v) in (int, float) for v in wave)
        if not good or not all(abs(v) <= 0.5 for v in wave):  # also refuses what is not a number
            raise reader.wrong("waves", "pairs of cycles per pixel, from -0.5 to 0.5, expected")
    return tuple((float(down), float(across)) for down, across in waves)


def _parse_strokes(reader: _Fields) -> StrokeField:
    field = StrokeField(
        reader.text("file", 1, 64),
        reader.whole("rows", 1, _MAX_FIELD),
        reader.whole("columns", 1, _MAX_FIELD),
        tuple(reader.take("parts", list, [])),
    )
    if any(type(rows) is not int or rows < PIECE for rows in field.parts) or sum(field.parts) not in (0, field.rows):
        raise reader.wrong("parts", f"whole numbers of at least {PIECE} that add up to the rows expected")
    reader.nothing_else()
    return field


def _parse_turned(reader: _Fields) -> TurnedStrokes:
    turned = TurnedStrokes(
        reader.text("file", 1, 64),
        reader.whole("turns", 2, _MAX_TURNS),
        reader.whole("rows", 1, _MAX_FIELD),
        reader.whole("columns", 1, _MAX_FIELD),
    )
    reader.nothing_else()
    return turned


def _parse_pictures(reader: _Fields) -> tuple[StylePicture, ...]:
    told = reader.take("pictures", list, [])
    if len(told) > MAX_PICTURES or not all(isinstance(one, dict) for one in told):
        raise reader.wrong("pictures", f"at most {MAX_PICTURES} objects expected")
    fields = [_Fields(one, reader.where, "pictures.") for one in told]
    pictures = tuple(StylePicture(one.text("file", 1, 64), one.number("scale", 0.01, 1)) for one in fields)
    for one in fields:
        one.nothing_else()
    return pictures


def _parse_files(reader: _Fields) -> dict[str, str]:
    files = {name: reader.text(name, 64, 64) for name in list(reader.data)}
    for name, digest in files.items():
        if not re.fullmatch(r"[0-9a-f]{64}", digest):
            raise reader.wrong(name, "it is not a sha256")
        pack_files.check_name(name, reader.where)
    return files


_REQUIRED: Any = object()


class _Fields:
    """One JSON object read field by field; every complaint names the field and the style."""

    def __init__(self, data: Json, where: str, path: str = "") -> None:
        self.data = data
        self.where = where
        self.path = path
        self.seen: set[str] = set()

    def wrong(self, key: str, why: str) -> EngineError:
        return EngineError(f"style.json of {self.where!r}: {self.path}{key} is wrong ({why}).", _FIX)

    def take(self, key: str, kind: type, default: Any = _REQUIRED) -> Any:
        self.seen.add(key)
        if key not in self.data:
            if default is _REQUIRED:
                raise self.wrong(key, "it is missing")
            return default
        value = self.data[key]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.wrong(key, f"{kind.__name__} expected")
        return value

    def sub(self, key: str) -> _Fields:
        return _Fields(self.take(key, dict), self.where, f"{self.path}{key}.")

    def text(self, key: str, shortest: int, longest: int, default: Any = _REQUIRED) -> str:
        value = self.take(key, str, default)
        if not shortest <= len(value) <= longest or not all(c.isprintable() for c in value):
            raise self.wrong(key, f"{shortest} to {longest} printable characters expected")
        return str(value)

    def choice(self, key: str, choices: tuple[str, ...], default: Any = _REQUIRED) -> str:
        value = self.take(key, str, default)
        if value not in choices:
            raise self.wrong(key, "one of " + ", ".join(choices) + " expected")
        return str(value)

    def whole(self, key: str, low: int, high: int, default: Any = _REQUIRED) -> int:
        value = self.take(key, int, default)
        if not low <= value <= high:
            raise self.wrong(key, f"{low} to {high} expected")
        return int(value)

    def whole_or_none(self, key: str, low: int, high: int) -> int | None:
        return None if self.take(key, object) is None else self.whole(key, low, high)

    def number(self, key: str, low: float, high: float) -> float:
        value = self.take(key, object)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise self.wrong(key, f"a number from {low:g} to {high:g} expected")
        return float(value)

    def span(self, key: str, default: Any = _REQUIRED) -> tuple[float, float]:
        """Two finite numbers, the lower first."""
        value = self.take(key, object, default)
        pair = (
            [v for v in value if isinstance(v, (int, float)) and not isinstance(v, bool) and abs(v) < 1e12]
            if isinstance(value, (list, tuple))
            else []
        )
        if len(pair) != 2 or len(value) != 2 or not pair[0] < pair[1]:
            raise self.wrong(key, "two numbers, the lower first, expected")
        return float(pair[0]), float(pair[1])

    def size(self, key: str) -> tuple[int, int] | None:
        value = self.take(key, object)
        if value is None:
            return None
        if (
            not isinstance(value, list)
            or len(value) != 2
            or not all(type(v) is int and 16 <= v <= _MAX_EDGE for v in value)
        ):
            raise self.wrong(key, "null or [height, width] expected")
        return value[0], value[1]

    def nothing_else(self) -> None:
        if unknown := sorted(set(self.data) - self.seen):
            raise self.wrong(str(unknown[0])[:60], "nothing of that name is known")


def scales(model: ModelSpec) -> dict[str, int]:
    """How many times smaller than the picture each input is, by its name in the ONNX file."""
    return {item.tensor or key: item.scale for key, item in model.inputs.items()}


# ---------------------------------------------------------------- verification


def _verify_files(pack: StylePack, names: list[str]) -> None:
    """Exactly the listed files, each with its sha256 and each what its name says."""
    present = {name.removeprefix(pack.root) for name in names} - {MANIFEST}
    if missing := sorted(set(pack.files) - present):
        raise EngineError(f"The style {pack.name!r} lacks the file {missing[0]!r}.", _FIX)
    if extra := sorted(present - set(pack.files)):
        raise EngineError(f"The style {pack.name!r} holds a file that is not its own: {extra[0][:100]!r}.", _FIX)
    networks: dict[str, bytes] = {}
    for name, digest in pack.files.items():
        data = pack_files.read(pack.source, pack.root + name)
        if hashlib.sha256(data).hexdigest() != digest:
            raise EngineError(f"{name!r} of the style {pack.name!r} was damaged or changed.", _FIX)
        pack_files.check_kind(name, data)
        _verify_strokes(pack, name, data)
        if name == FIT:
            _verify_fit(pack, data)
        if name.endswith(".onnx"):
            networks[name] = data
    _verify_networks(pack, networks)


def _verify_networks(pack: StylePack, networks: dict[str, bytes]) -> None:
    """Each as the whole model that would run."""
    generator = networks[pack.model.file]
    graphs = {pack.model.file: onnx_graph.inspect(generator)}
    for name, data in networks.items():
        if name != pack.model.file:
            onnx_graph.inspect(data)  # within bounds before anything is done with it
            graphs[name] = onnx_graph.inspect(onnx_weights.with_weights(data, generator))
        if name in (pack.model.file, pack.model.half):
            _verify_generator(pack, graphs[name])
        elif name == EXPLAIN:
            _verify_explain(pack, graphs[name])
    if pack.model.half:
        _verify_half(pack, graphs[pack.model.file], graphs[pack.model.half])


def _verify_fit(pack: StylePack, data: bytes) -> None:
    """As many finite numbers as it should hold; what is usual, the last of them, lies above 0."""
    count = FIT_NUMBERS + FIT_NUMBERS**2 + 1
    numbers = struct.unpack(f"<{count}f", data) if len(data) == 4 * count else (math.nan,)
    if not all(abs(number) < _LARGEST_FIT for number in numbers) or numbers[-1] <= 0:  # also refuses what is no number
        raise EngineError(f"{FIT} of the style {pack.name!r} is broken.", _FIX)


def _verify_strokes(pack: StylePack, name: str, data: bytes) -> None:
    """The file of stroke fields holds as many bytes as style.json says."""
    for item in pack.model.inputs.values():
        for table in item.tables:
            count = table.turns if isinstance(table, TurnedStrokes) else 1
            if table.file != name or len(data) == count * item.channels * table.rows * table.columns:
                continue
            raise EngineError(
                f"The stroke field {name!r} of {pack.name!r} has another size than style.json says.", _FIX
            )


def _verify_generator(pack: StylePack, graph: onnx_graph.GraphSummary) -> None:
    """The generator has the inputs and the output that style.json promises, and stays within bounds."""
    onnx_growth.measure(graph, scales(pack.model))
    tensors = {tensor.name: tensor for tensor in graph.inputs}
    wanted = {item.tensor or key: item for key, item in pack.model.inputs.items()}
    if set(tensors) != set(wanted):
        raise EngineError(f"The model of {pack.name!r} has other inputs than style.json says.", _FIX)
    for key, item in wanted.items():
        _verify_shape(pack, tensors[key], item.channels, item.layout)
    outputs = {tensor.name: tensor for tensor in graph.outputs}
    if pack.model.output not in outputs:
        raise EngineError(f"The model of {pack.name!r} has no output {pack.model.output!r}.", _FIX)
    _verify_shape(pack, outputs[pack.model.output], 3, pack.model.layout)


def _verify_explain(pack: StylePack, graph: onnx_graph.GraphSummary) -> None:
    """The graph of gradients takes what the generator takes and REGION, gives a gradient of the picture, and stays
    within bounds."""
    onnx_growth.measure(graph, scales(pack.model))
    wanted = {item.tensor or key for key, item in pack.model.inputs.items()} | {REGION}
    made = {tensor.name for tensor in graph.outputs}
    image, model = pack.model.inputs.get("image", ModelInput(0)), pack.model
    plain = {(side.range, side.order, side.layout) for side in (image, model)} == {((0.0, 1.0), "RGB", "NCHW")}
    plain = plain and not (image.mean or image.deviation)
    if {tensor.name for tensor in graph.inputs} != wanted or GRADIENT + "image" not in made or not plain:
        raise EngineError(f"{EXPLAIN} of {pack.name!r} does not explain its generator.", _FIX)


def _verify_half(pack: StylePack, full: onnx_graph.GraphSummary, half: onnx_graph.GraphSummary) -> None:
    """The model in half precision is the same network: the same operations with weights of the same shapes."""
    if _network(full) != _network(half):
        raise EngineError(f"The half precision model of {pack.name!r} is not the network of its full one.", _FIX)


def _network(graph: onnx_graph.GraphSummary) -> tuple[list[tuple[str, Json]], list[tuple[int, ...]]]:
    """What a model computes, whatever the precision: its operations in order, and the shapes of its weights."""
    steps = [(node.operator, dict(node.numbers)) for node in graph.nodes if node.operator not in ("Cast", "Constant")]
    return steps, sorted(graph.shapes.values())


def _verify_shape(pack: StylePack, tensor: onnx_graph.TensorInfo, channels: int, layout: str) -> None:
    """Float pictures of rank 4. A shape the file leaves open is judged when the model runs."""
    axis = 1 if layout == "NCHW" else 3
    good = tensor.dtype == onnx_graph.FLOAT and (
        tensor.shape is None or (len(tensor.shape) == 4 and tensor.shape[axis] in (0, channels))
    )
    if not good:
        raise EngineError(f"{tensor.name[:60]!r} of the model of {pack.name!r} is not a float picture.", _FIX)
