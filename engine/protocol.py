"""What Blender (or the command line) and the worker say to each other. Standard library only.

A message is a frozen dataclass and travels as one line of JSON: ``{"type": <class name>, <fields>}``.
Pixels never travel in a message: a `PixelBlock` names the raw file that holds them.
Unknown types and unknown or missing fields are errors, never ignored: a message from another version of
the add-on must not half-work.
"""

from __future__ import annotations

import json
import types
import typing
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Union

from .errors import EngineError

Json = dict[str, Any]


# ---------------------------------------------------------------- values inside messages


@dataclass(frozen=True)
class PixelBlock:
    """Raw pixels in a file beside the messages: C order, row 0 at the top, no header."""

    path: str
    shape: tuple[int, int, int]
    """height, width, channels"""
    dtype: str
    """uint8 | uint16 | float16 | float32"""


@dataclass(frozen=True)
class ViewTable:
    """What a scene's view transform shows for a cube of scene-linear colours."""

    name: str
    """What the artist chose: "AgX, look AgX - Punchy"; goes into the recipe."""
    path: str
    """16-bit RGB PNG of n rows and n * n columns: the red of a colour by row from the top, in each row its green by
    groups of n columns, its blue by column within a group."""
    values: tuple[float, ...]
    """The n scene-linear values of each axis, rising from 0."""


@dataclass(frozen=True)
class PictureSource:
    """A picture a job reads: a file, or the pixels of a Blender datablock."""

    name: str
    """What the artist calls it; results are named after it."""
    path: str = ""
    pixels: PixelBlock | None = None
    encoding: str = "auto"
    """srgb | linear | data | auto. Auto asks the file; pixels beside a message must say."""
    alpha: str = "auto"
    """none | straight | premultiplied | auto"""
    outside: PixelBlock | None = None
    """Of a baked texture, (H, W, 1) uint8, above 0 around its islands: what lies there is kept as it is, and runs into
    no stroke."""


@dataclass(frozen=True)
class StyleShare:
    """One style of a look. A single style is one share of 1."""

    style: str
    """Name of an installed style, or the path of a style pack (folder or .zip)."""
    share: float = 1.0
    """How much of it, 0 or more: only the ratio to the other shares under the same matte matters."""
    matte: str = ""
    """Where it paints: an object, material or asset in the Cryptomatte of the render, or the path of a greyscale
    picture (white: here). Empty: wherever no matte of another style is."""


@dataclass(frozen=True)
class LightGain:
    """One light of a render, turned up or down before the render is painted."""

    light: str
    """Diffuse | Glossy | Transmission | Volume | Emission | Environment, as Attribution.Passes calls them"""
    gain: float
    """0 off, 1 as rendered .. 4"""


@dataclass(frozen=True)
class MatteStrength:
    """How strongly the style shows in one place."""

    matte: str
    """An object, material or asset in the Cryptomatte of the render, or the path of a greyscale picture, white here"""
    strength: float
    """0 .. 1, in place of the strength everywhere else"""


@dataclass(frozen=True)
class StylizeSettings:
    """The artist's choices for one look. The same everywhere: command line, panel, recipe."""

    styles: tuple[StyleShare, ...]
    """Mixed by their shares in display-referred colour. Where all have mattes, the rest stays as it is."""
    palette: str = ""
    """A style (name or path) whose colours the strokes of the others take; empty: their own."""
    strength: float = 1.0
    """0 leaves the picture as it is, 1 is the full style. Blended in display-referred colour."""
    strength_of: tuple[MatteStrength, ...] = ()
    """Places with a strength of their own. Where they overlap they divide the place by how much each covers."""
    bands: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """How strongly colour, form and strokes of what the style changes show (the bands of Attribution.Scale): 0 not at
    all, 1 as painted .. 2. Beside a matte that says where to paint, bands are cut off with the style."""
    colours: str = "style"
    """style | luma | histogram. The style's; or the picture's, in the light and dark of the style (luma), or in the way
    that what the style paints is brought to the picture's mean and covariance (histogram). Frames of one job that are
    named alike but for their number are brought to the first of them."""
    gains: tuple[LightGain, ...] = ()
    """Of a render with its light passes: what is painted is Combined with these lights turned up or down, in
    scene-linear colour. The passes in the file stay as they were."""
    painted_pass: str = "Combined"
    """Of a render with its light passes: the pass that is painted, by its name in Blender 4 or 5 (DiffCol, Diffuse
    Color). Combined with it is the result: what lies upon a painted DiffCol is the light as Blender rendered it."""
    seed: int = 0
    """Chooses the noise: another seed, other strokes."""
    diversity: float = 1.0
    """How much the strokes vary, from place to place and from seed to seed: 0 not at all, 1 as trained (0 .. 1.5)."""
    follow: float = 1.0
    """How far strokes follow the forms of the picture: 0 as the painter laid them .. 1. For styles that have their
    strokes by directions."""
    stroke: float = 1.0
    """Stroke size: 2 paints with strokes twice as large, 0.5 half as large (0.25 .. 4)."""
    tile: int = 0
    """Edge of a tile in pixels; 0 chooses by the memory at hand. The result does not depend on it."""
    tileable: bool = False
    """The picture wraps around: its left edge continues at the right, its top at the bottom."""
    lock: bool = False
    """Styles of other programs that normalise by the whole frame take the statistics of one whole picture, whatever a
    tile shows: of the picture itself, or of a shot's first frame in the job. Others have none, and stay as they are."""
    overlays: tuple[str, ...] = ()
    """Names without the prefix: ("Scale", "Removal")."""
    device: str = "auto"
    """auto | cpu | cuda"""
    precision: str = "auto"
    """auto | full. Auto lets CUDA run the half precision network of a style that has one (within 1/255)."""


@dataclass(frozen=True)
class Check:
    """One measured bar of a certificate."""

    bar: str
    """B1 .. B8, as docs/explain_details.md defines them."""
    name: str
    value: float
    threshold: float
    passed: bool


@dataclass(frozen=True)
class Certificate:
    """The measured faithfulness of one overlay on this very picture."""

    checks: tuple[Check, ...]

    @property
    def faithful(self) -> bool:
        """True when every check passed; otherwise the overlay is indicative only."""
        return bool(self.checks) and all(check.passed for check in self.checks)


@dataclass(frozen=True)
class Bar:
    """One number of an overlay for the area that was asked about: whose it is, and how much."""

    name: str
    value: float
    """In the overlay's unit"""
    alone_gone: float | None = None
    """Of a share: by how much the area changes when this one alone is taken away, in the same unit. A share is fair
    among all orders in which they could come; this is what switching it off does."""


@dataclass(frozen=True)
class Layer:
    """A named picture a job returns."""

    name: str
    """Stylized, Attribution.Scale, ..."""
    channels: tuple[str, ...]
    """Channel names in the order of the pixels: ("R", "G", "B", "A"), ("colour", "form", "stroke")"""
    encoding: str
    """srgb | linear | data (overlays are always data: raw floats)"""
    pixels: PixelBlock | None = None
    """Set when the request asked for pixels; otherwise the layer is in the file of its event."""
    path: str = ""
    """The file that holds this layer when the request asked for files."""
    sentence: str = ""
    """The overlay said in one plain sentence."""
    display: tuple[float, float] = (0.0, 1.0)
    """Fixed display range of an overlay, in its own units."""
    unit: str = ""
    """Of an overlay's values, in words, for its legend"""
    bars: tuple[Bar, ...] = ()
    """What an overlay says of the whole area in a few numbers"""
    certificate: Certificate | None = None
    legend: PixelBlock | None = None
    """Of an overlay that is delivered as pixels: a strip, sRGB bytes (h, w, 3), that says what its colours mean"""


# ---------------------------------------------------------------- requests


@dataclass(frozen=True)
class Relief:
    """What light is to see of a painted texture's strokes: its normal and its roughness map, made anew."""

    strength: float = 1.0
    """0 flat .. 2: how steep strokes are"""
    normal: PictureSource | None = None
    """The normal map that the strokes are laid upon (tangent space, OpenGL: green is up); None: a flat one"""
    roughness: PictureSource | None = None
    """The roughness map that is modulated; None: an even one"""
    rough: float = 0.5
    """Of the even one, 0..1"""
    makes: tuple[str, ...] = ("Normal", "Roughness")


@dataclass(frozen=True)
class StylizeRequest:
    job: str
    sources: tuple[PictureSource, ...]
    settings: StylizeSettings
    folder: str
    """Where results go: files with names of their own (deliver=files) or raw pixels (deliver=pixels)."""
    deliver: str = "files"
    """files | pixels"""
    view: ViewTable | None = None
    """Match display: scene-linear pictures are painted as this view transform shows them. None: on a curve of our own,
    whatever the view transform."""
    one_part: bool = False
    """An EXR of one part, which every program reads, though all of it has to be compressed again: Blender before 4
    finds no layers in files of several"""
    reliefs: tuple[Relief | None, ...] = ()
    """One for each source, or none at all: layers Relief.Normal and Relief.Roughness"""


@dataclass(frozen=True)
class AnimateRequest:
    """Stylize the frames of a shot, file by file, for as long as it takes."""

    job: str
    frames: str
    """Where they are: a path whose name has one # for each digit of a frame's number, shot_####.exr"""
    settings: StylizeSettings
    folder: str
    """Where results go: EXR for float frames, with all that is in the frame; PNG for bytes. Their names end with the
    number of the frame, and hold the look's."""
    numbers: tuple[int, ...] = ()
    """Which frames; empty: all there are"""
    resume: bool = False
    """Go on: results that are there, whole and made in the same way, are kept; damaged ones are made again. Without,
    a result that is there is an error: nothing is overwritten."""
    workers: int = 0
    """Processes that share the frames, each with its part of the cores; 0: as many as pay"""
    view: ViewTable | None = None
    """See StylizeRequest"""
    shot: str = ""
    """The shot.json by which strokes are held (ShotRequest). Empty: every frame is painted alone"""
    sequential: bool = False
    """Strokes are carried on from frame to frame, in order; instead of a shot"""
    one_part: bool = False
    """See StylizeRequest"""


@dataclass(frozen=True)
class ShotRequest:
    """Look at the frames of a shot once: what every frame of it is to know, wherever it is made."""

    job: str
    frames: str
    """See AnimateRequest"""
    out: str
    """The shot.json to write"""
    numbers: tuple[int, ...] = ()
    """Which frames; empty: all there are"""


@dataclass(frozen=True)
class FlickerRequest:
    """Measure how much of a run of results does not stick to what it is painted on."""

    job: str
    frames: str
    """Results of AnimateRequest, with the passes of the render: see there"""
    folder: str = ""
    """Where a layer of each frame goes that shows it; empty: numbers only"""


@dataclass(frozen=True)
class Region:
    """The part of a result that is asked about; all of it where nothing is said. In pixels of the picture, x from the
    left and y from the top."""

    at: tuple[int, int] | None = None
    """One pixel: x, y"""
    box: tuple[int, int, int, int] | None = None
    """x and y of the first pixel, and of the first one beyond the box"""
    object: str = ""
    """An object or material in the render's Cryptomatte, or the path of a greyscale picture"""


@dataclass(frozen=True)
class ExplainRequest:
    """Why does this part of a result look as it does?"""

    job: str
    source: PictureSource
    settings: StylizeSettings
    """How the result is made; `overlays` names what is asked: see overlay.OF_A_REGION."""
    folder: str
    region: Region = Region()
    view: ViewTable | None = None
    """See StylizeRequest"""
    deliver: str = "files"
    """files: one EXR, and pictures to look at | pixels: raw floats, their legends, and what they lie over"""


@dataclass(frozen=True)
class TextureRequest:
    """Make textures out of a texture style's noise, one for each seed."""

    job: str
    style: str
    """Name of an installed style, or the path of a style pack (folder or .zip)."""
    width: int
    height: int
    folder: str
    """Where results go: PNG files with names of their own (deliver=files) or raw pixels (deliver=pixels)."""
    seeds: tuple[int, ...] = (0,)
    tileable: bool = True
    """The texture goes on over its borders. Where the size is no multiple of the style's stride it is made in the
    nearest one that is, and resampled. Without, it is cut from an endless plane, at any size as it is."""
    diversity: float = 1.0
    """Strength of the noise: below 1 calmer and more alike, 1 as trained (0 .. 1.5)."""
    variant: int = 0
    """Of a style from several exemplars the one that this texture is made like; 0: like all of them, mixed."""
    depth: int = 8
    """Bits of each value: 8 | 16"""
    tile: int = 0
    """Edge of a tile in pixels; 0 chooses by the memory at hand. The result does not depend on it."""
    deliver: str = "files"
    """files | pixels"""
    device: str = "auto"
    """auto | cpu | cuda"""
    precision: str = "auto"
    """auto | full: see StylizeSettings"""


@dataclass(frozen=True)
class MeshBlock:
    """The triangles of a mesh in a raw file beside the messages."""

    path: str
    """float32, no header: of each corner of each triangle the place in the world in metres (x, y, z), the normal of
    the shading (x, y, z), and UV"""
    triangles: int


@dataclass(frozen=True)
class CameraView:
    """A render of the mesh by one camera."""

    name: str
    """What the artist calls it"""
    path: str
    """OpenEXR MultiLayer with Position, Depth, the pass that is painted, and what styles are guided by"""
    matrix: tuple[float, ...]
    """12 numbers, three rows of four: (x, y, z, 1) in metres -> (column, row, 1) times some distance. Index 0 is the
    middle of the first pixel, row 0 the top. Perspective or orthographic"""


@dataclass(frozen=True)
class ProjectRequest:
    """Paint views of a mesh, and make them one texture on its UV map."""

    job: str
    name: str
    """What the artist calls the mesh; results are named after it."""
    mesh: MeshBlock
    views: tuple[CameraView, ...]
    settings: StylizeSettings
    """`painted_pass` is what is painted of the views, and is not put together again: DiffCol, or Emit of a mesh that
    shines in its own colours, leaves the light out of the texture. Places, masks, gains and overlays are not for
    views."""
    folder: str
    """Where results go: a PNG with a name of its own (deliver=files) or raw pixels (deliver=pixels)."""
    width: int
    height: int
    """Of the texture, in pixels"""
    texture: PictureSource | None = None
    """What the mesh shows so far on that UV map: painted as it lies flat where no view sees the surface. None: colours
    around those places go on there"""
    margin: int = 16
    """Texels beyond the islands of the UV map up to which their colours go on"""
    deliver: str = "files"
    """files | pixels"""


@dataclass(frozen=True)
class TrainRequest:
    job: str
    style_pictures: tuple[str, ...]
    content: str
    """Folder (searched to the bottom) with pictures to practise on."""
    out: str
    """The style pack to write: a folder."""
    config: Json = field(default_factory=dict)
    """Fields of training.config.TrainConfig that differ from their defaults."""
    resume: bool = False
    style_masks: tuple[str, ...] = ()
    """One for each style picture, dark where nothing is to be taken from it (a frame, a signature); empty where it has
    none."""
    frames: str = ""
    """From keyframes: folder with the frames of the shot, EXR with their passes where guides are wanted."""
    keyframes: tuple[str, ...] = ()
    """Painted-over frames, each named after its frame or with its number."""
    masks: tuple[str, ...] = ()
    """Greyscale pictures, named like keyframes: only what is white in them teaches."""


def training_folder(out: str) -> Path:
    """The folder beside the style pack `out` with all that belongs to its training: checkpoints, previews, sheet."""
    return Path(out).with_name(Path(out).name + ".training")


def finish_file(out: str) -> Path:
    """Whoever creates this file asks the training of the pack `out` to end now, with what there is.

    Seen within about a second, between two steps: the style is exported as after the last step, then StyleReady and
    Done come as usual, and the file is gone. Before the first step there is nothing to export: the job fails and says
    so. To pause instead, cancel the job: it keeps its state of that very step, and `resume` goes on from there.
    Create it once the job has said its first event; what lies there before is removed when the job starts.

    A file, so that a request arrives from the panel, another terminal or a render farm alike, while the worker's one
    thread computes.
    """
    return training_folder(out) / "finish"


@dataclass(frozen=True)
class EvaluateRequest:
    """Measure styles, or pictures from anywhere, against a painting; or make the page on which eyes judge two."""

    job: str
    styles: tuple[str, ...] = ()
    """Names of installed styles, or paths of style packs."""
    pictures: tuple[str, ...] = ()
    """Folders of finished pictures, measured like a style. A result is named after its content: what its name begins
    with, as `stylize` names its results."""
    style_picture: str = ""
    """The painting whose hand is wanted."""
    content: str = ""
    """Folder (searched to the bottom) with pictures that were not trained on."""
    sequence: str = ""
    """Folder with the EXR frames of one shot, with their passes."""
    metrics: tuple[str, ...] = ()
    """Names in evaluate.METRICS; empty: every quick one for which the request has what it needs."""
    count: int = 8
    """How many pictures are taken from `content`, evenly over the folder."""
    size: int = 512
    """Long side in pixels of the pictures compared: large enough for strokes to show."""
    seeds: int = 3
    """Results per picture where their variety is measured."""
    extractor: str = ""
    """ONNX file that turns pictures into features, for FID, KID and IS (docs/evaluate.md)."""
    blind: str = ""
    """Folder for the page on which two styles are judged by eye."""
    seed: int = 0
    """Chooses the page's order and sides."""
    device: str = "auto"
    """auto | cpu | cuda: what runs the styles"""


@dataclass(frozen=True)
class CertifyRequest:
    """How far can the overlays of a style be trusted? Measured over many pictures; answered by Done."""

    job: str
    style: str
    """Name or path"""
    content: tuple[str, ...]
    """Pictures, or folders of them. Renders with their passes are asked about lights and objects too"""
    overlays: tuple[str, ...] = ()
    """Names without the prefix; empty: all"""
    pictures: int = 20
    """How many, chosen evenly from those found"""
    device: str = "auto"


@dataclass(frozen=True)
class VotesRequest:
    """Count the votes given on a blind page."""

    job: str
    votes: tuple[str, ...]
    """Files that the page saved, one per person."""
    folder: str
    """Where the page and its key lie."""


@dataclass(frozen=True)
class StylesRequest:
    """List the styles that ship and those in `folders`."""

    job: str
    folders: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImportOptions:
    """What the artist knows about somebody else's model; empty fields are found out."""

    channel_order: str = ""
    """rgb | bgr"""
    value_range: tuple[float, float] | None = None
    """Values the model takes for black and white, and returns"""
    output_range: tuple[float, float] | None = None
    """Values it returns for black and white, where they are others than it takes"""
    normalisation: str = ""
    """none | imagenet | mean: what is subtracted, and divided by, before the range of values (docs of NORMALISATIONS
    in import_onnx)"""
    layout: str = ""
    """nchw | nhwc"""
    multiple: int = 0
    """Width and height are multiples of it (1 .. 64), where the model takes any size; 0: of 16"""
    author: str = ""
    licence: str = ""


@dataclass(frozen=True)
class ImportStyleRequest:
    """Bring in a style pack (.zip or folder) or somebody else's ONNX style model."""

    job: str
    path: str
    folder: str
    """The folder of styles it goes into."""
    name: str = ""
    options: ImportOptions = ImportOptions()
    """Of an .onnx file; a style pack knows them itself"""
    more: tuple[str, ...] = ()
    """Further files, under the names they bring; then one that fails is told and the others come in"""


@dataclass(frozen=True)
class PreviewImportRequest:
    """Look at somebody else's ONNX style model and try it on a small picture, without keeping anything."""

    job: str
    path: str
    folder: str
    """Where the raw pixels go"""
    options: ImportOptions = ImportOptions()
    source: PictureSource | None = None
    """What it is tried on; None: a picture of the engine's own"""


@dataclass(frozen=True)
class ExportStyleRequest:
    """Write a style as one .zip to share."""

    job: str
    style: str
    """Name of an installed style, or the path of a style pack"""
    path: str
    """The .zip to write; one of that name is replaced"""


@dataclass(frozen=True)
class CheckRequest:
    """What can this Python do? Asked when the artist enters a Python in the preferences."""

    job: str


@dataclass(frozen=True)
class EnvironmentRequest:
    """Make a Python with packages of its own, or go on with one that is unfinished. Asked of Blender's own Python."""

    job: str
    folder: str
    """Its own: empty, new, or one that this request has made"""
    kind: str
    """Name in packages.KINDS: training | cuda | cuda-training"""
    wheels: str = ""
    """Folder of wheels: then nothing is downloaded"""
    index: str = ""
    """Address of a package index besides those that pip is set up for"""


@dataclass(frozen=True)
class RemoveEnvironmentRequest:
    job: str
    folder: str


@dataclass(frozen=True)
class CancelRequest:
    job: str


Request = (
    StylizeRequest
    | AnimateRequest
    | ShotRequest
    | FlickerRequest
    | ExplainRequest
    | TextureRequest
    | ProjectRequest
    | TrainRequest
    | EvaluateRequest
    | CertifyRequest
    | VotesRequest
    | StylesRequest
    | ImportStyleRequest
    | PreviewImportRequest
    | ExportStyleRequest
    | CheckRequest
    | EnvironmentRequest
    | RemoveEnvironmentRequest
    | CancelRequest
)


# ---------------------------------------------------------------- events


@dataclass(frozen=True)
class Ready:
    """The first line a worker says."""

    pid: int
    python: str
    versions: dict[str, str]
    """engine, and the packages found: numpy, onnxruntime, ... (without importing torch)"""


@dataclass(frozen=True)
class Heartbeat:
    """Said once a second, also while a job computes: silence means a stuck worker."""


TRAINED = 0.97
"""Share of a training that is over after its last step: the export takes the rest"""


@dataclass(frozen=True)
class Progress:
    job: str
    fraction: float
    """0..1 of the whole job"""
    stage: str
    """What happens now, in the artist's words."""


@dataclass(frozen=True)
class Stylized:
    """One source is done."""

    job: str
    source: str
    layers: tuple[Layer, ...]
    path: str
    """The file with the result (deliver=files), else empty."""
    seconds: dict[str, float]
    """read, inference, overlays, write"""
    recipe: Json


@dataclass(frozen=True)
class FrameDone:
    """The result of one frame is in place and whole."""

    job: str
    frame: int
    path: str
    seconds: dict[str, float]
    """read, inference, overlays, write; empty for one that was there already"""
    made: bool = True
    """False: it was there already"""


@dataclass(frozen=True)
class FrameFailed:
    """One frame could not be done, not even at the second try where that could help; the others go on."""

    job: str
    frame: int
    message: str
    fix: str


@dataclass(frozen=True)
class Answered:
    """What an overlay says is known. How far it may be trusted is still being measured."""

    job: str
    overlay: str
    sentence: str
    seconds: float
    """Since the request"""
    unit: str = ""
    bars: tuple[Bar, ...] = ()
    """As in Layer"""


@dataclass(frozen=True)
class Explained:
    """The overlays that were asked for, each with its certificate."""

    job: str
    source: str
    layers: tuple[Layer, ...]
    path: str
    """The file with all of them (deliver=files), else empty."""
    seconds: float
    recipe: Json
    beneath: Layer | None = None
    """What the overlays lie over (deliver=pixels): sRGB bytes (h, w, 4) in their size, the picture as it is displayed,
    and the area that was asked about as 255 in the fourth channel"""


@dataclass(frozen=True)
class TextureMade:
    """The texture of one seed is done."""

    job: str
    name: str
    """Style, size and seed: "bricks 2048x1024 seed 7" """
    seed: int
    layer: Layer
    path: str
    """The file with the texture (deliver=files), else empty."""
    seconds: dict[str, float]
    """inference, write"""
    recipe: Json


@dataclass(frozen=True)
class SourceFailed:
    """One source of several could not be done; the job goes on with the next."""

    job: str
    source: str
    message: str
    fix: str


@dataclass(frozen=True)
class TrainStep:
    job: str
    step: int
    steps: int
    """How many there will be at most; 0 where only time is the limit"""
    losses: dict[str, float]
    seconds_left: float
    """Until the last step: of them all, or of the time where that is over sooner"""


@dataclass(frozen=True)
class Finding:
    """A symptom that a diagnosis has found in a training."""

    symptom: str
    """critic wins, grid artefact, ...: see training.diagnostics.SYMPTOMS"""
    evidence: str
    """One plain sentence with the numbers."""
    advice: str
    """What the artist can do about it, as an imperative sentence."""
    done: str = ""
    """What the training has done about it itself; empty: nothing."""


@dataclass(frozen=True)
class Diagnosis:
    """How a training is doing, every few steps. docs/diagnosis.md says what each number means."""

    job: str
    step: int
    losses: dict[str, float]
    """Loss terms, mean since the last diagnosis. What is not a finite number is left out here and below."""
    numbers: dict[str, float]
    """By name: see training.diagnostics.NUMBERS. Only those that this kind of style, and this part of its run, has."""
    findings: tuple[Finding, ...]
    """All that hold at this step, also those that were found before."""
    seconds_per_step: float
    seconds_left: float


@dataclass(frozen=True)
class Preview:
    """A picture to look at while the job runs."""

    job: str
    path: str
    caption: str


@dataclass(frozen=True)
class StyleReady:
    job: str
    name: str
    folder: str


@dataclass(frozen=True)
class ModelFacts:
    """What an ONNX style model is taken for, and how each of it is known."""

    name: str
    author: str
    licence: str
    channel_order: str
    """rgb | bgr"""
    value_range: tuple[float, float]
    output_range: tuple[float, float]
    normalisation: str
    """none | imagenet | mean"""
    layout: str
    """nchw | nhwc"""
    multiple: int
    """Sizes are multiples of it; 1 where there is only one size"""
    width: int
    """Of the only size that it takes; 0: any"""
    height: int
    parameters: int
    opset: int
    known: dict[str, str]
    """channel_order, value_range, normalisation, layout, size: file (it says so) | trial (a test picture showed it) |
    usual (nothing says otherwise) | chosen (the artist said so)"""


@dataclass(frozen=True)
class ImportPreviewed:
    """The model was tried: sRGB bytes (h, w, 3) of one size."""

    job: str
    facts: ModelFacts
    before: PixelBlock
    after: PixelBlock
    seconds: float
    """The run alone"""


@dataclass(frozen=True)
class StyleExported:
    job: str
    name: str
    path: str


@dataclass(frozen=True)
class StyleInfo:
    """A style as pickers and lists show it."""

    name: str
    folder: str
    preview: str
    author: str
    licence: str
    kind: str
    """pentimento | third-party"""
    problem: str = ""
    """Why the pack cannot be used; empty when it can."""
    makes: str = "pictures"
    """pictures: of pictures | textures: of noise alone"""
    variants: int = 0
    """Exemplars of a texture of which it can be made alone; 0 where there are no several."""


@dataclass(frozen=True)
class Styles:
    job: str
    styles: tuple[StyleInfo, ...]


@dataclass(frozen=True)
class Device:
    """What computes, and what room it has."""

    name: str
    """Of the card, or of the processor"""
    why: str = ""
    """Why it is the processor; empty for a card"""
    memory: int = 0
    """Bytes of the card; 0 for the processor"""
    free: int = 0
    """Bytes of the computer's memory that can still be used"""


@dataclass(frozen=True)
class Checked:
    job: str
    cuda: bool
    training: bool
    versions: dict[str, str]
    problem: str = ""
    python: str = ""
    """The program that answered"""
    device: Device = field(default_factory=lambda: Device(""))
    training_cuda: bool = False
    """Its PyTorch was built for CUDA"""
    card: str = ""
    """An NVIDIA card that the driver sees, whether this Python can use it or not"""


@dataclass(frozen=True)
class EnvironmentReady:
    """The environment holds all that it should; what it can do has yet to be asked of it."""

    job: str
    folder: str
    python: str


@dataclass(frozen=True)
class Done:
    """The job's last word when all went well."""

    job: str
    report: Json = field(default_factory=dict)


@dataclass(frozen=True)
class Cancelled:
    job: str


@dataclass(frozen=True)
class Failed:
    """The job's last word when it could not go on."""

    job: str
    message: str
    fix: str
    report: str = ""
    """What a bug report needs (traceback, versions); empty for errors the artist can mend alone."""


Event = (
    Ready
    | Heartbeat
    | Progress
    | Stylized
    | FrameDone
    | FrameFailed
    | Answered
    | Explained
    | TextureMade
    | SourceFailed
    | TrainStep
    | Diagnosis
    | Preview
    | StyleReady
    | ImportPreviewed
    | StyleExported
    | Styles
    | Checked
    | EnvironmentReady
    | Done
    | Cancelled
    | Failed
)
LAST_WORDS = (Done, Cancelled, Failed)
"""After one of these nothing more comes for its job."""


# ---------------------------------------------------------------- lines


_MESSAGES: dict[str, type] = {cls.__name__: cls for cls in (*typing.get_args(Request), *typing.get_args(Event))}


def to_line(message: Request | Event) -> str:
    """One line of JSON, without the newline. NaN and infinity are refused: JSON has none."""
    return json.dumps({"type": type(message).__name__, **_plain(message)}, allow_nan=False)


def from_line(line: str) -> Any:
    """The message in a line. Raises EngineError when it is none of ours."""
    try:
        data = json.loads(line)
        cls = _MESSAGES[data.pop("type")]
        return _typed(cls, data)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EngineError(
            f"A message between Blender and the engine could not be read ({error!r}: {line[:200]!r}).",
            "Restart Blender; if it stays, install the add-on again so that both halves have one version.",
        ) from error


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return value


def _typed(kind: Any, value: Any) -> Any:
    """`value` from JSON as the annotated `kind`. Raises TypeError where it does not fit."""
    origin = typing.get_origin(kind)
    if kind is Any:
        return value
    if is_dataclass(kind):
        return _dataclass(kind, value)
    if origin in (Union, types.UnionType):
        return _optional(kind, value)
    if origin is tuple:
        return _tuple(typing.get_args(kind), value)
    if origin is dict:
        _, item_kind = typing.get_args(kind)
        if not isinstance(value, dict):
            raise TypeError(f"expected an object, got {value!r}")
        return {key: _typed(item_kind, item) for key, item in value.items()}
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise TypeError(f"expected {kind.__name__}, got {value!r}")
    return value


def _dataclass(kind: Any, value: Any) -> Any:
    if not isinstance(value, dict):
        raise TypeError(f"expected {kind.__name__}, got {value!r}")
    hints = typing.get_type_hints(kind)
    unknown = set(value) - set(hints)
    if unknown:
        raise TypeError(f"{kind.__name__} has no field {sorted(unknown)}")
    return kind(**{name: _typed(hints[name], item) for name, item in value.items()})


def _optional(kind: Any, value: Any) -> Any:
    if value is None:
        return None
    (inner,) = (arg for arg in typing.get_args(kind) if arg is not type(None))
    return _typed(inner, value)


def _tuple(kinds: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"expected a list, got {value!r}")
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        return tuple(_typed(kinds[0], item) for item in value)
    if len(kinds) != len(value):
        raise TypeError(f"expected {len(kinds)} values, got {len(value)}")
    return tuple(_typed(kind, item) for kind, item in zip(kinds, value, strict=True))
