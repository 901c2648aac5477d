"""Everything a training run can be told. One dataclass to a kind of style, and what they share."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any

from ..errors import EngineError
from ..guides import GUIDES
from ..style_pack import DISTRIBUTIONS
from .augment import SHIFT
from .networks import COARSE, SIGHT, GeneratorConfig, TextureGeneratorConfig
from .objectives import OBJECTIVES
from .teacher import TeacherConfig


@dataclass(frozen=True)
class TrainConfig:
    """One training run: what trainings of every kind can be told."""

    kind: str = "pictures"
    """pictures | keyframes | texture: see the files of these names"""
    name: str = ""
    """What the style is called; empty takes the name of the first style picture or keyframe."""
    author: str = ""
    licence: str = ""
    """Of the style picture: what others may do with the style."""
    steps: int = 3200
    """Steps of the generator. With a budget alone 0, which sets no limit: as many as the time allows. With both,
    whichever is reached first ends the run."""
    warm_up: float = 0.0
    """Share of the run without the critic."""
    budget: float = 0.0
    """Seconds for everything, export included; 0 has no limit. At its end there is a finished style. All that happens
    at a share of a run (warm-up, falling learning rates) then happens at that share of its time: see foresight.py."""
    batch: int = 2
    """The least with which each picture has a neighbour whose strokes it can be painted with. It was four when crops
    were 128 wide: about as many pixels to a step."""
    crop: int = 192
    """Edge of training crops: wide enough for the critic to see how strokes follow each other."""
    objective: str = "hinge"
    """bce | lsgan | wgan | wgan-gp | hinge: see objectives.py. Naming another one takes over what was published with
    it (optimiser, learning rates, critic steps, clip, penalty, r1), unless they are given as well."""
    optimiser: str = "adam"
    """adam | rmsprop"""
    learning_rate: float = 6e-4
    """Of generator and encoder"""
    critic_learning_rate: float = 3e-4
    """Half the generator's. Both were lowered when the critic came to refine strokes that are there already; other
    ratios were not compared."""
    beta1: float = 0.5
    """Adam's: with the usual .9 a generator overshoots what its critic has moved on from."""
    beta2: float = 0.99
    """Adam's too: it scales a step by the gradients of some hundred before. The usual .999 looks back a thousand, a
    third of a run. So from the first recipe on; not compared."""
    decay: float = 1.0
    """Share of the warm-up, and again of what follows it, over which the learning rates fall to a twentieth. Falling
    from the first step gives sharper strokes at the same number of steps than the usual long plateau."""
    critic_steps: int = 1
    """Steps of the critic for one of the generator: Wasserstein objectives want it near its optimum."""
    clip: float = 0.0
    """Limit on the critic's weights after each of its steps (wgan); 0 sets none."""
    penalty: float = 0.0
    """Weight of the gradient penalty between reals and fakes (wgan-gp)"""
    init: str = "layer"
    """layer (each layer's own, He et al. 2015) | normal (deviation .02: Radford et al. 2016) | orthogonal (Saxe et al.
    2014)"""
    critic_norm: str = "none"
    """none | batch | spectral. Spectral norm learned strokes several times more slowly; batch norm makes samples depend
    on each other, so no penalty goes with it."""
    r1: float = 0.2
    """Gamma of the R1 penalty on the critic, with every objective; without normalisation this keeps it smooth."""
    r1_every: int = 8
    """Steps between penalties: lazy regularisation costs an eighth and does the same (Karras et al. 2020)."""
    adversarial: float = 0.5
    """Weight of the critic's verdict. At 0 (with `features`) there is no critic: strokes stay soft. At 1 the generator
    answers a young critic with a ripple that takes thousands of steps to go."""
    features: float = 2.0
    """Weight of matched means and deviations of the critic's features."""
    steadiness: float = 0.0
    """Weight of L1 between what is painted of a picture that moved and what was painted of it, moved along (see
    steadiness.py): for styles whose animations are painted frame by frame. 0, because another picture is painted for
    it in each step, and strokes that are held (`animate --shot`) lie still without."""
    frame_difference: float = 0.0
    """Weight of the squared difference between how painting and picture change when the picture moves; it costs nothing
    more where `steadiness` is taught, and as much as that alone"""
    average: float = 0.998
    """Decay of the averaged generator, which is the one that is kept."""
    critic_width: int = 20
    """With 32 the strokes of Wheat Field came out no better, and a pack weighed .6 MB more."""
    critic_scales: int = 3
    """At the third a verdict sees 152 pixels: how strokes follow each other. A crop of 192 has no room for a fourth."""
    rotate: float = 0.0
    """Chance that what the critic sees stands on its head, and again that its sides are swapped: eight ways to look at
    one piece of the style, where a small picture has few pieces. Off, for strokes lie as a hand laid them; a critic
    that memorises is treated with it (diagnostics.py)."""
    preview_every: int = 250
    """Steps between preview pictures and checkpoints."""
    diagnose_every: int = 100
    """Steps between two diagnoses: often enough to see a run go wrong within a minute, at a few percent of its time.
    Counted in steps, not seconds, because what a diagnosis does about a symptom must not depend on the machine."""
    patience: int = 0
    """Diagnoses in a row without a better score, the patch distance to the style, after which a run ends by itself and
    the best averaged generator is kept. Counted where the critic plays; 0 never ends a run. Off, because the learning
    rates fall over the whole run and results sharpen to its end: a score that rests for a while says little about what
    is to come."""
    seed: int = 0
    device: str = "auto"
    """auto | cpu | cuda"""
    precision: str = "auto"
    """auto | full | bfloat16. Auto lets networks compute in bfloat16 on a CUDA device that has it: half the traffic to
    memory, and matrix units made for it. Its range is that of float32, so no loss has to be scaled (Kalamkar et al., "A
    Study of BFLOAT16 for Deep Learning Training", 2019). Weights, losses and penalties stay float32. On a processor
    only where it is asked for: many emulate it, and what it does to strokes has not been looked at yet."""
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)


@dataclass(frozen=True)
class PicturesConfig(TrainConfig):
    """A style from pictures. The defaults take half an hour on one processor core, the teacher a quarter of it."""

    route: str = "teacher"
    """teacher: learn from pictures the patch teacher painted. adversarial: from the critic and the painting alone;
    naming it brings the weights and rates it was compared with. benchmarks/README.md compares them."""
    size: int = 400
    """Edge in pixels of the pictures it practises on."""
    style_side: int = 1024
    """Long side of the style pictures while training. Strokes in results are as many pixels wide as here."""
    weights: tuple[float, ...] = ()
    """One number for each style picture: how often the critic sees it, beside the others, and how many of the patches
    come from it that the teacher looks at. Empty: all the same, large and small pictures alike."""
    excluded: tuple[float, ...] = ()
    """Areas of the first style picture that nothing is learned from, four numbers each: left, top, right, bottom as
    Attribution.Provenance tells places, 0 .. 1 from the left and from the top. Beside what its mask leaves out."""
    steps: int = 3200
    """Steps of the generator, unless a budget is the limit. Palette after 200, strokes after 1,000; more make them
    sharper, forms clearer."""
    pairs: int = 64
    """Pictures the teacher paints at most; a trial with nine repeated the dashes it had memorised."""
    warm_up: float = 0.75
    """Share of the run without the critic. Its steps cost half of a whole one and teach most of what there is to learn;
    the critic then begins with strokes, not with blur, which it would answer with grain."""
    coarse: float = 8.0
    """Weight of L1 on pictures averaged over `coarse_pixels`: colours and forms in their place, strokes left free."""
    coarse_pixels: int = 16
    """About two strokes wide. With 6 the term held strokes to the very place the teacher chose and blurred them."""
    reconstruction: float = 15.0
    """Weight of L1 to the teacher's own picture where the encoder read the noise off that picture (cVAE-GAN: Zhu et
    al., "Toward Multimodal Image-to-Image Translation", 2017). Told which strokes are meant, the generator learns to
    draw strokes by plain regression, long before the critic can teach it."""
    code: float = 0.1
    """Weight of the divergence of that noise from a standard normal: keeps its scale, lets it tell strokes only."""
    latent: float = 1.0
    """Weight of L1 between the strokes a picture was to be painted with, another picture's, and those the encoder reads
    off it again (BicycleGAN: the same paper, section 3.3). Without, strokes that fit the content badly are left out."""
    structure: float = 4.0
    """adversarial route: weight of luminance structure at 1/2 to 1/8 scale."""
    patches: float = 0.0
    """Weight of the sliced Wasserstein distance between 7x7 patches at three scales. Where the teacher's strokes are
    repeated it only adds short waves; the adversarial route lives on it."""
    held_out: float = 0.25
    """Largest share of a style picture that may be kept from training, to measure by. The strip is as wide as the
    critic sees at its coarsest scale, 15 % of a painting by default. Where that were more than this share, or no crop
    would fit into the rest, the picture is trained on as a whole and measured by itself. 0 keeps nothing."""
    turned: bool = True
    """Keep strokes by their directions too, so that they can follow forms. Not for hands whose marks stand upright: of
    a mosaic's blocks blind eyes liked those better that lie as the painter laid them (benchmarks/README.md)."""
    style_share: float = 0.25
    """Chance of each of the critic's real pictures to be taken from the painting itself; the rest are the teacher's."""
    teacher: TeacherConfig = field(default_factory=TeacherConfig)


@dataclass(frozen=True)
class KeyframesConfig(TrainConfig):
    """A style from frames that were painted over (Texler et al., "Interactive Video Stylization Using Few-Shot
    Patch-Based Training", 2020). What it is told beside the frames: generator.guides. benchmarks/README.md tells of the
    trials the numbers come from."""

    kind: str = "keyframes"
    steps: int = 2000
    crop: int = 64
    """Edge of the patches it learns from: so small that it sees how strokes follow forms, not where on the frame it is
    (Texler et al.: 32; the critic needs more)."""
    batch: int = 4
    """More and smaller steps learned more in the same time than 8 patches at once."""
    learning_rate: float = 1e-3
    """With 2e-3 it forgot all it had learned now and then, and took half a minute to learn it again."""
    critic_learning_rate: float = 1e-3
    """It comes when the rates have fallen to a fifth."""
    critic_width: int = 32
    """With one scale that is little to keep."""
    critic_scales: int = 1
    """A crop of 64 has no room for a second."""
    warm_up: float = 0.8
    """Share of the run in which it repeats what was painted and nothing else. With a critic before the strokes are
    learned it answers flat surfaces with grain, and unlearns the colours of the rest."""
    reconstruction: float = 4.0
    """Weight of L1 to the painted keyframe, as published."""
    adversarial: float = 0.1
    """Published with .5, and a pretrained network beside it that kept the colours"""
    features: float = 1.0
    """Weight of the critic's features at the same place (losses.feature_matching). With 6 a young critic drowned the
    rest."""
    generator: GeneratorConfig = field(
        default_factory=lambda: GeneratorConfig("dense", blocks=4, dilations=(1, 2, 4, 1), half=32, skip=True)
    )
    """Dense: it learns as much in the same time as the separable one, in fewer and larger steps, and sees less far, so
    it is less tied to where things stood on the keyframe."""


@dataclass(frozen=True)
class TextureConfig(TrainConfig):
    """Endless variations of an exemplar, out of noise."""

    kind: str = "texture"
    steps: int = 2400
    size: int = 160
    """Edge of what it draws and of the exemplar's crops, a multiple of 16: patches are counted over all of it."""
    crop: int = 128
    """Edge of what the critic sees of it"""
    style_side: int = 512
    """Long side of the exemplars while training: textures come out at this scale."""
    weights: tuple[float, ...] = ()
    """One number for each exemplar: how often it is looked at, beside the others. Empty: all alike."""
    wraps: str = "auto"
    """auto | yes | no: does an exemplar tile, so that crops may go over its borders? Auto looks at the borders."""
    mirror: bool = False
    """Half of all crops mirrored, left to right: twice as much to see, for a material that knows no left and right.
    Off, for light from one side, and letters, would come out wrong."""
    periodic: int = 0
    """Plane waves that tell the generator where it is in a regular pattern, found in the first exemplar; 0: none. With
    normal or uniform noise, which alone cannot keep step."""
    reconstruction: float = 15.0
    """Quilted noise: weight of L1 to the exemplar where the encoder read the noise off it."""
    warm_up: float = 0.5
    """Share of the run without the critic: what is learned by regression and by patches costs less for a step."""
    learning_rate: float = 6e-4
    """With 1.5e-3 it learned faster, and forgot it all within twenty steps of the critic's first."""
    adversarial: float = 0.3
    """Weight of the critic's verdict: it has joints to mend, not a material to teach. Normal and uniform noise, of
    which it has all to teach, were tried with 1, `features` 3, `patches` 8."""
    critic_learning_rate: float = 4e-4
    """The adversarial route's, from when the critic had all to teach. The generator's alone was lowered since, until
    the critic no longer undid what it had learned; this one was not tried anew."""
    patches: float = 4.0
    """Weight of the sliced Wasserstein distance between 7x7 patches, to the end: it holds colours and contrast while
    the critic teaches forms."""
    patch_scales: int = 4
    """Scales at which they are compared: at the fourth a patch is 56 pixels wide."""
    directions: int = 32
    """Axes a step looks along. Others each time, so few are enough."""
    critic_scales: int = 2
    """At the second a verdict sees 76 pixels, more than what repeats in most materials at this scale. A crop of 128 has
    no room for a third."""
    generator: TextureGeneratorConfig = field(default_factory=TextureGeneratorConfig)


ADVERSARIAL_ROUTE: dict[str, Any] = {
    # The critic has all to teach, from the first step; the patch term brings strokes long before it sees them.
    **{"adversarial": 1.0, "features": 3.0, "patches": 8.0, "r1": 0.02},
    **{"learning_rate": 8e-4, "critic_learning_rate": 4e-4, "decay": 0.4},
}
"""What holds on the adversarial route unless it is given as well: the settings it was compared with."""


CONFIGS: dict[str, type[TrainConfig]] = {
    "pictures": PicturesConfig,
    "keyframes": KeyframesConfig,
    "texture": TextureConfig,
}
"""By kind of style"""


def from_json(changes: dict[str, Any]) -> TrainConfig:
    """The defaults of a kind with `changes`; nested configs are objects. Unknown names and wrong values raise
    EngineError."""
    kind = changes.get("kind", TrainConfig.kind)
    if not isinstance(kind, str) or kind not in CONFIGS:
        raise EngineError(f"There is no kind of style called {kind!r}.", f"Use one of: {', '.join(CONFIGS)}.")
    name = changes.get("objective")
    published = OBJECTIVES[name].published if isinstance(name, str) and name in OBJECTIVES else {}
    route = ADVERSARIAL_ROUTE if changes.get("route") == "adversarial" else {}
    length = {"steps": 0} if changes.get("budget") else {}
    config = _changed(CONFIGS[kind](), {**route, **published, **length, **changes})
    of_its_kind = _problems_of_pictures(config) if isinstance(config, PicturesConfig) else {}
    of_its_kind |= _problems_of_texture(config) if isinstance(config, TextureConfig) else {}
    _refuse(_problems(config) | of_its_kind)
    assert isinstance(config, TrainConfig)
    return config


def to_json(config: TrainConfig) -> dict[str, Any]:
    """Every field, for the recipe."""
    return asdict(config)


def smaller(config: TrainConfig, processes: int = 1) -> TrainConfig | None:
    """The next smaller batch or crop, for a graphics card whose memory is full; None: there is none.

    The batch is halved first, down to two pictures a process: the critic still sees as far, where a crop of half the
    area has next to no room left around what one of its verdicts sees. Then crops get smaller, by a quarter of their
    edge, as far as the critic's scales allow. A batch of one comes last: alone a picture has no neighbour whose strokes
    it could be painted with.
    """
    share = config.batch // processes
    if share >= 4:
        return replace(config, batch=share // 2 * processes)
    crop = max(_least_crop(config), config.crop * 3 // 4 // 4 * 4)
    if crop < config.crop:
        return replace(config, crop=crop)
    return replace(config, batch=processes) if share > 1 and config.critic_norm != "batch" else None


def _least_crop(config: TrainConfig) -> int:
    crops = [replace(config, crop=crop) for crop in range(32, config.crop + 1, 4)]
    return next(c.crop for c in crops if not any(_problems_of_the_crop(c).values()))


def _problems(config: TrainConfig) -> dict[str, bool]:
    """The cheap checks, before anything is loaded: what might be wrong, and whether it is."""
    penalised = config.r1 > 0 or config.penalty > 0
    rates = min(config.learning_rate, config.critic_learning_rate)
    decays = (config.average, config.beta1, config.beta2)
    return {
        f"objective must be one of {', '.join(OBJECTIVES)}": config.objective not in OBJECTIVES,
        "optimiser must be adam or rmsprop": config.optimiser not in ("adam", "rmsprop"),
        "init must be layer, normal or orthogonal": config.init not in ("layer", "normal", "orthogonal"),
        "critic_norm must be none, batch or spectral": config.critic_norm not in ("none", "batch", "spectral"),
        "critic_norm batch does not go with r1 or penalty": config.critic_norm == "batch" and penalised,
        "batch norm of the critic needs a batch of at least 2": config.critic_norm == "batch" and config.batch < 2,
        "critic_norm spectral does not go with clip": config.critic_norm == "spectral" and config.clip > 0,
        **_least(1, config, "critic_steps", "critic_scales", "critic_width"),
        **_least(1, config, "r1_every", "diagnose_every", "preview_every"),
        **_least(0, config, "clip", "penalty", "r1", "budget", "seed", "patience"),
        **_least(0, config, "steadiness", "frame_difference"),
        "learning_rate and critic_learning_rate must be above 0": rates <= 0,
        "average, beta1 and beta2 must be at least 0 and below 1": not all(0 <= decay < 1 for decay in decays),
        **_shares(config, "decay", "warm_up", "rotate"),
        **_problems_of_the_crop(config),
        "steps and batch must be at least 1": min(config.steps or bool(config.budget), config.batch) < 1,
        **_problems_of_the_generator(config.generator),
        "precision must be auto, full or bfloat16": config.precision not in ("auto", "full", "bfloat16"),
        "device must be auto, cpu or cuda": config.device not in ("auto", "cpu", "cuda"),
    }


def _least(least: int, config: Any, *names: str, of: str = "") -> dict[str, bool]:
    return {f"{of}{name} must be at least {least}": getattr(config, name) < least for name in names}


def _shares(config: TrainConfig, *names: str) -> dict[str, bool]:
    return {f"{name} must be between 0 and 1": not 0 <= getattr(config, name) <= 1 for name in names}


def _problems_of_the_crop(config: TrainConfig) -> dict[str, bool]:
    problems = {
        "crop must be a multiple of 4 and at least 32": config.crop % 4 != 0 or config.crop < 32,
        "crop is too small for that many scales of the critic": _smallest_view(config) < SIGHT,
    }
    if not isinstance(config, PicturesConfig):
        return problems
    return problems | {
        "crop must be at least 72 on the adversarial route": config.route == "adversarial" and config.crop < 72,
        "coarse_pixels must be from 1 to crop": not 1 <= config.coarse_pixels <= config.crop,
        "the teacher's last level must lay patches that fit into a crop": not _last_level_fits(config),
    }


def _last_level_fits(config: PicturesConfig) -> bool:
    """A patch lies there patch / level pixels wide."""
    teacher = config.teacher
    return bool(teacher.levels) and teacher.patch <= teacher.levels[-1] * config.crop


def _problems_of_the_generator(config: GeneratorConfig) -> dict[str, bool]:
    own = ("eighth", "quarter") if isinstance(config, TextureGeneratorConfig) else ("noise",)
    dilated = len(config.dilations) >= config.blocks and all(dilation >= 1 for dilation in config.dilations)
    return {
        "generator.kind must be dense or separable": config.kind not in ("dense", "separable"),
        **_least(1, config, "width", "blocks", "half", "full", *own, of="generator."),
        "generator.dilations must be at least 1, and one for each block": not dilated,
        f"generator.guides must be different ones of {', '.join(GUIDES)}": not _known_guides(config.guides),
    }


def _problems_of_pictures(config: PicturesConfig) -> dict[str, bool]:
    return {
        "generator.guides need kind keyframes": bool(config.generator.guides),
        "size must be at least 64": config.size < 64,
        "crop must not be larger than size": config.crop > config.size,
        "style_side must be at least size": config.style_side < config.size,
        **_least(1, config, "pairs"),
        "route must be teacher or adversarial": config.route not in ("teacher", "adversarial"),
        **_shares(config, "held_out", "style_share"),
        "weights must be numbers above 0": not _above_zero(config.weights),
        "excluded must be left, top, right, bottom, each 0 .. 1": not _areas(config.excluded),
    } | _problems_of_the_teacher(config.teacher)


def _areas(numbers: tuple[float, ...]) -> bool:
    """Whether numbers are areas, four for each."""
    if len(numbers) % 4 or not all(type(n) in (int, float) and 0 <= n <= 1 for n in numbers):
        return False
    corners = zip(*(numbers[start::4] for start in range(4)), strict=True)
    return all(left < right and top < bottom for left, top, right, bottom in corners)


def _problems_of_texture(config: TextureConfig) -> dict[str, bool]:
    net = config.generator
    return {
        "generator.guides need kind keyframes": bool(net.guides),
        f"size must be a multiple of {COARSE} and at least 64": config.size % COARSE != 0 or config.size < 64,
        "crop must not be larger than size": config.crop > config.size,
        "style_side must be at least size": config.style_side < config.size,
        "weights must be numbers above 0": not _above_zero(config.weights),
        "wraps must be auto, yes or no": config.wraps not in ("auto", "yes", "no"),
        "periodic must be from 0 to 8": not 0 <= config.periodic <= 8,
        "patch_scales must be from 1 to 5, and leave 12 pixels of size": not _scales_fit(config),
        **_least(1, config, "directions"),
        "patches, adversarial or features must be above 0": max(config.patches, config.adversarial) <= 0,
        "generator.distribution must be normal, uniform or quilted": net.distribution not in DISTRIBUTIONS,
        "periodic needs generator.distribution normal or uniform": bool(config.periodic) and net.quilted,
        "size must be at least 128 for quilted noise": net.quilted and config.size < 128,
        "style_side must be at most 4000 for quilted noise": net.quilted and config.style_side > 4000,
        "generator.noise and grain must be from 1 to 48": not all(1 <= c <= 48 for c in (net.noise, net.grain)),
        "generator.waves are found, not given: set periodic": bool(net.waves),
        "steadiness and frame_difference need pictures that move": bool(config.steadiness or config.frame_difference),
    }


def _scales_fit(config: TextureConfig) -> bool:
    return 1 <= config.patch_scales <= 5 and config.size >> (config.patch_scales - 1) >= 12


def _problems_of_the_teacher(config: TeacherConfig) -> dict[str, bool]:
    weights = ("luminance", "chroma", "guides", "coherence")
    return {
        "the teacher's turns must be among 0, 1, 2, 3": not config.turns or not set(config.turns) <= {0, 1, 2, 3},
        "the teacher's scales must be numbers above 0": not config.scales or not _above_zero(config.scales),
        "the teacher's stride must be at least 1 and smaller than its patch": not 1 <= config.stride < config.patch,
        "the teacher's levels must be above 0 and at most 1": not all(0 < level <= 1 for level in config.levels),
        "the teacher needs a number of rounds for each of its levels": len(config.rounds) != len(config.levels),
        "the teacher's rounds must be at least 1": any(rounds < 1 for rounds in config.rounds),
        "the teacher's completeness must be above 0": config.completeness <= 0,
        **_least(1, config, "keys", "components", "tiles", of="the teacher's "),
        **_least(0, config, *weights, "spread", "jitter", "tone", "guide_blur", of="the teacher's "),
    }


def _above_zero(values: tuple[Any, ...]) -> bool:
    return all(isinstance(value, (int, float)) and 0 < value < math.inf for value in values)


def _known_guides(names: tuple[Any, ...]) -> bool:
    return all(isinstance(name, str) and name in GUIDES for name in names) and len(set(names)) == len(names)


def _refuse(problems: dict[str, bool]) -> None:
    for problem, present in problems.items():
        if present:
            raise EngineError(f"The training settings do not fit: {problem}.", "Correct that setting.")


def _smallest_view(config: TrainConfig) -> int:
    """Pixels to each side that the critic's coarsest scale sees of an augmented crop."""
    return round(config.crop * (1 - SHIFT)) >> max(0, config.critic_scales - 1)


def _changed(config: Any, changes: dict[str, Any]) -> Any:
    known = {f.name: getattr(config, f.name) for f in fields(config)}
    values = {}
    for name, value in changes.items():
        if name not in known:
            raise EngineError(f"There is no training setting called {name}.", f"Use one of: {', '.join(known)}.")
        values[name] = _fitting(name, known[name], value)
    return replace(config, **values)


def _fitting(name: str, default: Any, value: Any) -> Any:
    """`value` in the type of `default`."""
    if is_dataclass(default) and isinstance(value, dict):
        return _changed(default, value)
    if isinstance(default, tuple) and isinstance(value, (list, tuple)):
        return tuple(_fitting(name, default[0], part) for part in value) if default else tuple(value)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not type(default) or (isinstance(value, float) and not math.isfinite(value)):
        raise EngineError(f"The training setting {name} cannot be {value!r}.", _wanted(default))
    return value


def _wanted(default: Any) -> str:
    if is_dataclass(default):
        return f"Give it an object with some of: {', '.join(f.name for f in fields(default))}."
    return f"Give it a {type(default).__name__}, like {default!r}."
