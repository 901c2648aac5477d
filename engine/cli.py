"""The command line: arguments become the same requests the add-on sends, run in this process.

Thin on purpose. Heavy packages are imported by the command that needs them, so `pentimento --help` is immediate.
Exit codes: 0 all done, 1 something failed (two lines: what happened, how to fix it), 2 wrong usage.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from . import __version__, durations, protocol
from .errors import EngineError

if TYPE_CHECKING:
    from .style_pack import StylePack

Events = Iterable[protocol.Event]
Command = Callable[[argparse.Namespace], int]
JOB = "cli"
"""The one job of this process."""
DEVICES = ("auto", "cpu", "cuda")
HD = 1920 * 1080
"""Pixels of the picture that GMAC are quoted for."""
MEASURED = {
    "patch_distance": "distance", "content_diversity": "diversity", "seed_diversity": "of seeds",
    "critic_real": "D(real)", "critic_fake": "D(fake)", "critic_held_out": "D(held-out)", "r_t": "r_t", "r_v": "r_v",
    "gradient": "gradient", "critic_gradient": "critic's gradient",
}  # fmt: skip
"""Numbers of a diagnosis as its line calls them, and docs/diagnosis.md beside their names"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    started = time.monotonic()
    if argv is None:
        started -= time.process_time()  # this process began as long ago, at least
    arguments = _parser().parse_args(argv)
    arguments.started = started  # before what a command imports
    run: Command = arguments.run
    try:
        return run(arguments)
    except EngineError as error:
        _complain(error.message, error.fix, arguments.json)
    except KeyboardInterrupt:
        print("Cancelled. What was finished is kept.", file=sys.stderr)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output went away: nobody is left to tell
    return 1


# ---------------------------------------------------------------- commands


def _demo(arguments: argparse.Namespace) -> int:
    from .demo import DemoSettings, demo

    return _follow(demo(JOB, DemoSettings(out=arguments.out, frames=arguments.frames)), arguments)


def _styles(arguments: argparse.Namespace) -> int:
    from . import style_pack

    styles = style_pack.installed(arguments.folder)
    if arguments.json:
        _document([asdict(style) for style in styles])
    else:
        for style in styles:
            print(_style_line(style))
    return 0


def _stylize(arguments: argparse.Namespace) -> int:
    from .stylize import stylize

    out = _folder(arguments.out)
    sources, reliefs = _sources(arguments.pictures), _reliefs(arguments)
    request = protocol.StylizeRequest(JOB, sources, _settings(arguments), str(out), reliefs=reliefs)
    return _follow(stylize(request), arguments)


def _animate(arguments: argparse.Namespace) -> int:
    from .animate import animate

    request = protocol.AnimateRequest(
        JOB,
        arguments.pattern,
        _settings(arguments),
        str(arguments.out),
        arguments.frames,
        arguments.resume,
        arguments.workers,
        shot=_text(arguments.shot),
        sequential=arguments.sequential,
    )
    return _follow(animate(request), arguments)


def _shot(arguments: argparse.Namespace) -> int:
    from .shot.scan import scan

    request = protocol.ShotRequest(JOB, arguments.pattern, str(arguments.out), arguments.frames)
    _follow(scan(request), arguments)
    return 0  # frames that could not be looked at were told, and fail where they are painted


def _flicker(arguments: argparse.Namespace) -> int:
    from .shot.flicker import flicker

    return _follow(flicker(protocol.FlickerRequest(JOB, arguments.pattern, _text(arguments.out))), arguments)


def _explain(arguments: argparse.Namespace) -> int:
    from .explanation import explain

    (source,) = _sources([arguments.picture])
    region = protocol.Region(arguments.at, arguments.box, arguments.object)
    return _follow(
        explain(protocol.ExplainRequest(JOB, source, _settings(arguments), str(arguments.out), region)), arguments
    )


def _certify(arguments: argparse.Namespace) -> int:
    from .certification import certify

    content = tuple(_text(path) for path in arguments.content)
    overlays = tuple(arguments.overlay)
    return _follow(
        certify(protocol.CertifyRequest(JOB, arguments.style, content, overlays, arguments.pictures, arguments.device)),
        arguments,
    )


def _texture(arguments: argparse.Namespace) -> int:
    from .texture import texture

    width, height = arguments.size
    request = protocol.TextureRequest(
        JOB,
        arguments.style,
        width,
        height,
        str(_folder(arguments.out)),
        tuple(dict.fromkeys(arguments.seed)),
        not arguments.endless,
        arguments.diversity,
        arguments.variant,
        arguments.depth,
        arguments.tile,
        device=arguments.device,
        precision=arguments.precision,
    )
    return _follow(texture(request), arguments)


def _train(arguments: argparse.Namespace) -> int:
    try:
        from .training.loop import train
    except ModuleNotFoundError as error:
        raise _not_for_training("Training", error) from error

    masks = tuple(mask for _, _, mask in arguments.style_picture)
    request = protocol.TrainRequest(
        JOB,
        tuple(path for path, _, _ in arguments.style_picture),
        _text(arguments.content),
        str(arguments.out),
        _config(arguments),
        arguments.resume,
        masks if any(masks) else (),
        _text(arguments.frames),
        tuple(str(path) for path in arguments.keyframe),
        tuple(str(path) for path in arguments.mask),
    )
    with _finishing(request.out):
        return _follow(train(request, arguments.started), arguments)


@contextmanager
def _finishing(out: str) -> Iterator[None]:
    """The first Ctrl-C asks a training to finish with what there is; a second one ends it as anywhere else."""

    def ask(*_: object) -> None:
        signal.signal(signal.SIGINT, before)
        try:
            protocol.finish_file(out).touch()
        except OSError as error:  # nothing has begun yet
            raise KeyboardInterrupt from error
        said = "Finishing with what there is. Ctrl-C again stops at once; --resume goes on from there."
        print(said, file=sys.stderr, flush=True)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _evaluate(arguments: argparse.Namespace) -> int:
    if arguments.votes:
        from .blind import count_votes

        votes = tuple(str(path) for path in arguments.votes)
        return _follow(count_votes(protocol.VotesRequest(JOB, votes, _text(arguments.blind))), arguments)
    try:
        from .evaluate import evaluate
    except ModuleNotFoundError as error:
        raise _not_for_training("Evaluating", error) from error
    return _follow(evaluate(_evaluation(arguments)), arguments)


def _not_for_training(doing: str, error: ModuleNotFoundError) -> EngineError:
    return EngineError(
        f"{doing} needs the package {error.name}, which this Python does not have.",
        "Install it: pip install -e '.[train]' in the folder of Pentimento.",
    )


def _import_style(arguments: argparse.Namespace) -> int:
    from . import style_pack

    options = protocol.ImportOptions(
        channel_order=arguments.channel_order or "",
        value_range=arguments.range,
        output_range=arguments.output_range,
        normalisation=arguments.normalisation or "",
        layout=arguments.layout or "",
        multiple=arguments.multiple,
        author=arguments.author,
        licence=arguments.licence,
    )
    folder = arguments.folder or style_pack.user_folder()
    pack = style_pack.import_style(arguments.path, folder, arguments.name, options)
    _say_style(pack, "Imported", arguments.json)
    return 0


def _export_style(arguments: argparse.Namespace) -> int:
    from . import style_pack

    pack = style_pack.find(arguments.style, arguments.folder)
    path = style_pack.export_style(pack, arguments.out)
    if arguments.json:
        _document({"name": pack.name, "path": str(path)})
    else:
        print(f"{pack.name} -> {_shown(path)}")
    return 0


def _info(arguments: argparse.Namespace) -> int:
    from . import style_pack

    facts = style_facts(style_pack.find(arguments.style, arguments.folder))
    if arguments.json:
        _document(facts)
    else:
        print(_facts_text(facts))
    return 0


# ---------------------------------------------------------------- arguments -> requests


def _sources(pictures: Sequence[Path]) -> tuple[protocol.PictureSource, ...]:
    return tuple(protocol.PictureSource(name=path.stem, path=str(path)) for path in pictures)


def _reliefs(arguments: argparse.Namespace) -> tuple[protocol.Relief, ...]:
    """One for each picture; maps belong to one picture."""
    maps = arguments.normal_map, arguments.roughness_map
    if any(maps) and len(arguments.pictures) > 1:
        raise EngineError("A normal or roughness map belongs to one texture.", "Give one texture with its maps.")
    if arguments.relief is None and not any(maps):
        return ()
    strength = 1.0 if arguments.relief is None else arguments.relief
    normal, roughness = (
        protocol.PictureSource(path.stem, str(path), encoding="data") if path else None for path in maps
    )
    return (protocol.Relief(strength, normal, roughness),) * len(arguments.pictures)


def _settings(arguments: argparse.Namespace) -> protocol.StylizeSettings:
    return protocol.StylizeSettings(
        styles=tuple(arguments.style),
        palette=arguments.palette,
        strength=arguments.strength,
        strength_of=tuple(arguments.strength_of),
        bands=arguments.bands,
        colours=arguments.colours,
        gains=tuple(arguments.gain),
        painted_pass=arguments.painted_pass,
        seed=arguments.seed,
        stroke=arguments.stroke,
        diversity=arguments.diversity,
        follow=arguments.follow,
        tile=getattr(arguments, "tile", 0),
        tileable=arguments.tileable,
        lock=arguments.lock,
        overlays=tuple(dict.fromkeys(arguments.overlay)),
        device=arguments.device,
        precision=arguments.precision,
    )


def _config(arguments: argparse.Namespace) -> protocol.Json:
    """Only what was given: everything else keeps the default of training.config.TrainConfig."""
    names = ("kind", "budget", "steps", "size", "seed", "device", "route", "objective", "r1", "periodic")
    named = {name: getattr(arguments, name) for name in names}
    shares = [share for _, share, _ in arguments.style_picture]
    weights = {"weights": shares} if set(shares) - {1.0} else {}
    excluded = {"excluded": [edge for area in arguments.exclude for edge in area]} if arguments.exclude else {}
    config = {
        **weights,
        **excluded,
        **{name: value for name, value in named.items() if value is not None},
        **dict(arguments.set),
    }
    generator = config.get("generator", {})
    if arguments.guide and isinstance(generator, dict):  # all else is refused with the other settings
        config["generator"] = {**generator, "guides": list(dict.fromkeys(arguments.guide))}
    return config


def _evaluation(arguments: argparse.Namespace) -> protocol.EvaluateRequest:
    return protocol.EvaluateRequest(
        JOB,
        styles=tuple(arguments.style),
        pictures=tuple(str(folder) for folder in arguments.pictures),
        style_picture=_text(arguments.style_picture),
        content=_text(arguments.content),
        sequence=_text(arguments.sequence),
        metrics=tuple(dict.fromkeys(arguments.metric)),
        count=arguments.count,
        size=arguments.size,
        seeds=arguments.seeds,
        extractor=_text(arguments.extractor),
        blind=_text(arguments.blind),
        seed=arguments.seed,
        device=arguments.device,
    )


def _text(path: Path | None) -> str:
    """Empty where nothing was given: then `.` would stand for this folder."""
    return "" if path is None else str(path)


def _folder(path: Path) -> Path:
    from .atomic import writing

    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


# ---------------------------------------------------------------- events -> words, bars or JSON


_FAILED = protocol.SourceFailed | protocol.FrameFailed | protocol.Failed | protocol.Cancelled


class _Listener(Protocol):
    """Somebody who is told of every event."""

    def tell(self, event: protocol.Event) -> None: ...


def _follow(events: Events, arguments: argparse.Namespace) -> int:
    """Run a job to its end. 0 when everything in it was done."""
    failed = False
    with _listener(arguments.json) as listener:
        for event in events:
            listener.tell(event)
            failed |= isinstance(event, _FAILED)
            if isinstance(event, protocol.StyleReady):
                failed = False  # whatever pictures it had to do without
    return int(failed)


def _listener(as_json: bool) -> Any:
    """A context manager that gives a _Listener."""
    if as_json:
        return nullcontext(_JsonLines())
    first = os.environ.get("RANK", "0") == "0"  # of several processes (torchrun) one has something to say
    return _Bar() if first and sys.stderr.isatty() else nullcontext(_Words())


class _JsonLines:
    """For machines: every event as one line of JSON, as the worker would write it."""

    def tell(self, event: protocol.Event) -> None:
        print(protocol.to_line(event), flush=True)


class _Words:
    """For people: what was written, measured, found and what failed."""

    _known: frozenset[str] = frozenset()
    """Symptoms that the last diagnosis has told of: while they last they are not told again."""

    def tell(self, event: protocol.Event) -> None:
        for line in _lines(event):
            print(line, flush=True)
        if isinstance(event, protocol.Diagnosis):
            self._tell_findings(event)
        if isinstance(event, protocol.SourceFailed):
            _complain(f"{_shown(event.source)}: {event.message}", event.fix)
        elif isinstance(event, protocol.FrameFailed):
            _complain(f"Frame {event.frame}: {event.message}", event.fix)
        elif isinstance(event, protocol.Failed):
            _complain(event.message, event.fix)

    def _tell_findings(self, event: protocol.Diagnosis) -> None:
        for finding in event.findings:
            if finding.symptom not in self._known:
                print(f"Step {event.step}, {finding.symptom}: {finding.evidence}", flush=True)
                print("  " + " ".join(filter(None, (finding.done, finding.advice))), flush=True)
        self._known = frozenset(finding.symptom for finding in event.findings)


class _Bar(_Words):
    """The same with a progress bar on stderr."""

    def __enter__(self) -> _Bar:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:3.0f} %"))
        # stdout is left alone: what is written there may be piped.
        self._bars = Progress(
            *(*columns, TimeRemainingColumn()),
            console=Console(stderr=True),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._bars.add_task("Starting", total=1.0)
        self._done = 0.0
        self._set_out: tuple[float, float] | None = None
        """When the first step of a training was told, and what was done of it by then"""
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def tell(self, event: protocol.Event) -> None:
        if isinstance(event, protocol.Progress):
            self._show(event.fraction, event.stage)
        elif isinstance(event, protocol.TrainStep):
            losses = " ".join(f"{name} {value:.3g}" for name, value in event.losses.items())
            self._show(self._share(event), f"{event.step} {losses}")
        else:
            self._bars.stop()  # the bar goes while lines are written, and comes back below them
            super().tell(event)
            self._bars.start()

    def _show(self, share: float, said: str) -> None:
        """Never further back than it was: estimates waver."""
        self._done = max(self._done, share)
        self._bars.update(self._task, completed=self._done, description=said)

    def _share(self, event: protocol.TrainStep) -> float:
        """How much of a training is done: what was when its steps began, and as much of the rest as of their time. The
        number of the step tells only where an earlier session ended: a budget may leave most of them undone."""
        before = protocol.TRAINED * event.step / event.steps if event.steps else 0.0
        since, before = self._set_out = self._set_out or (time.monotonic(), max(self._done, before))
        passed = time.monotonic() - since
        return before + (protocol.TRAINED - before) * passed / max(passed + event.seconds_left, 1e-9)


def _lines(event: protocol.Event) -> Iterator[str]:
    """What a person wants to read of an event, on stdout."""
    if isinstance(event, protocol.Stylized):
        yield f"{_shown(event.source)}: {_shown(event.path)} ({sum(event.seconds.values()):.1f} s)"
        for layer in event.layers:
            if layer.sentence:
                yield f"  {layer.name}: {layer.sentence}{_doubt(layer)}"
    elif isinstance(event, protocol.FrameDone) and event.made:
        yield f"Frame {event.frame}: {_shown(event.path)} ({sum(event.seconds.values()):.1f} s)"
    elif isinstance(event, protocol.Answered):
        yield f"{event.overlay}: {event.sentence} ({event.seconds:.1f} s; being checked)"
    elif isinstance(event, protocol.Explained):
        yield f"{_shown(event.source)}: {_shown(event.path)} ({event.seconds:.1f} s)"
        for layer in event.layers:
            yield f"  {layer.name}: {layer.sentence} {_trust(layer)}"
    elif isinstance(event, protocol.TextureMade):
        yield f"Seed {event.seed}: {_shown(event.path)} ({sum(event.seconds.values()):.1f} s)"
    elif isinstance(event, protocol.Diagnosis) and event.losses:  # else not one step was done since the last
        yield _measured(event)
    elif isinstance(event, protocol.Preview):
        yield f"{event.caption}: {_shown(event.path)}"
    elif isinstance(event, protocol.StyleReady):
        yield f"Style {event.name!r} is ready: {_shown(event.folder)}"
    elif isinstance(event, protocol.Cancelled):
        yield "Cancelled."
    elif isinstance(event, protocol.Done):
        yield from event.report.get("say", ())


def _trust(layer: protocol.Layer) -> str:
    assert layer.certificate is not None  # overlays have one
    failed = [check.name for check in layer.certificate.checks if not check.passed]
    return f"(indicative only: {', '.join(failed)})" if failed else "(faithful, as measured on this picture)"


def _measured(event: protocol.Diagnosis) -> str:
    pace = f"{event.seconds_per_step:.3g} s a step, {durations.in_words(event.seconds_left)} left"
    there = [f"{word} {event.numbers[name]:.3g}" for name, word in MEASURED.items() if name in event.numbers]
    return f"Step {event.step}: {'; '.join(filter(None, (pace, ', '.join(there))))}"


def _doubt(layer: protocol.Layer) -> str:
    return "" if layer.certificate is None or layer.certificate.faithful else " (indicative only)"


def _complain(message: str, fix: str, as_json: bool = False) -> None:
    """Two lines on stderr; for machines also the event that says so."""
    if as_json:
        print(protocol.to_line(protocol.Failed(JOB, message, fix)), flush=True)
    print(f"{message}\n{fix}", file=sys.stderr, flush=True)


def _document(data: Any) -> None:
    print(json.dumps(data, indent=2, allow_nan=False))


def _shown(path: str | Path) -> str:
    from .atomic import shown

    return shown(path)


# ---------------------------------------------------------------- styles in words


def style_facts(pack: StylePack) -> protocol.Json:
    """What `info` says about a style. macs: multiply-adds."""
    model = pack.model
    radius = model.receptive_radius
    return {
        "name": pack.name,
        "kind": pack.kind,
        "author": pack.author,
        "licence": pack.licence,
        "created": pack.created,
        "folder": str(pack.source),
        "hash": pack.hash,
        "parameters": model.parameters,
        "gmac_1920x1080": round(model.macs_per_pixel * HD / 1e9, 2),
        "receptive_field": None if radius is None else 2 * radius + 1,
        "receptive_radius": radius,
        "makes": "textures, of noise" if model.makes_textures else "pictures, of pictures",
        "variants": model.variants,
        "fixed_size": list(model.fixed_size) if model.fixed_size else None,
        "inputs": {name: item.channels for name, item in model.inputs.items()},
        "half_precision": bool(model.half),
        "controls": {name: list(limits) for name, limits in pack.controls.items()},
        "recipe": pack.recipe,
    }


def _facts_text(facts: protocol.Json) -> str:
    field = facts["receptive_field"]
    size = facts["fixed_size"]
    rows = {
        "Style": f"{facts['name']} ({facts['kind']})",
        "Author": facts["author"] or "unknown",
        "Licence": facts["licence"] or "unknown",
        "Folder": _shown(facts["folder"]),
        "Parameters": f"{facts['parameters']:,}",
        "GMAC at 1920x1080": f"{facts['gmac_1920x1080']:.1f}",
        "Receptive field": f"{field} x {field} pixels" if field else "the whole picture (tiles can differ)",
        "Makes": facts["makes"],
        "Variants": facts["variants"] or "none",
        "Size": f"fixed, {size[1]} x {size[0]}" if size else "any",
        "Inputs": ", ".join(f"{name} ({count} channels)" for name, count in facts["inputs"].items()),
        "Half precision": "on CUDA" if facts["half_precision"] else "none",
        "Controls": ", ".join(f"{name} {low:.10g}..{high:.10g}" for name, (low, high) in facts["controls"].items()),
        "Recipe": json.dumps(facts["recipe"], sort_keys=True, indent=2),
    }
    return "\n".join(f"{name + ':':20}{value}" for name, value in rows.items())


def _style_line(style: protocol.StyleInfo) -> str:
    kind = "texture" * (style.makes == "textures") + f" in {style.variants} variants" * bool(style.variants)
    about = ", ".join(part for part in (kind, style.author, style.licence) if part)
    return f"{style.name:24}{style.problem or about}"


def _say_style(pack: StylePack, done: str, as_json: bool) -> None:
    if as_json:
        _document({"name": pack.name, "folder": pack.folder})
    else:
        print(f"{done} {pack.name!r} -> {_shown(pack.folder)}")


# ---------------------------------------------------------------- the parser


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pentimento", description="Painted looks for renders and textures.")
    parser.add_argument("--version", action="version", version=f"pentimento {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for add in (
        *(_add_demo, _add_styles, _add_stylize, _add_animate, _add_shot, _add_flicker, _add_explain, _add_certify),
        *(_add_texture, _add_train, _add_evaluate, _add_import, _add_export, _add_info),
    ):
        add(commands)
    return parser


def _command(commands: Any, name: str, run: Command, about: str, *examples: str) -> argparse.ArgumentParser:
    epilog = "examples:\n" + "\n".join(f"  pentimento {name} {example}".rstrip() for example in examples)
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=about, description=about, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="answer in JSON, for machines")
    parser.set_defaults(run=run)
    return parser


def _add_demo(commands: Any) -> None:
    about = "Render a small scene in Blender, stylize it through the add-on and collect the layers."
    parser = _command(commands, "demo", _demo, about, "--out demo", "--out demo --frames 4")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the results")
    parser.add_argument("--frames", type=_whole(1, 100), default=2, metavar="N", help="frames to render (default 2)")


def _add_styles(commands: Any) -> None:
    about = "List the installed styles."
    _add_folder(_command(commands, "styles", _styles, about, "", "--json"))


def _add_stylize(commands: Any) -> None:
    about = "Stylize pictures: PNG, JPEG, or EXR with its passes."
    parser = _command(
        commands,
        "stylize",
        _stylize,
        about,
        "photo.jpg --style 'Starry Night' --out painted",
        "bricks.png --style Wave --tileable --stroke 2 --out textures",
        "frame_0001.exr --style Wave --overlay Scale Removal --out layers",
        "photo.jpg --style Wave=.6 --style Mosaic=.4 --out mixed",
        "frame_0001.exr --style Wave@Vase --style Mosaic --out layers",
        "frame_0001.exr --style Wave --pass DiffCol --out layers",
        "photo.jpg --style Wave --palette Mosaic --diversity .5 --out painted",
        "bricks.png --style Wave --tileable --relief 1 --normal-map bricks_normal.png --out textures",
    )
    parser.add_argument("pictures", nargs="+", type=Path, metavar="IN", help="picture files")
    _add_look(parser)
    parser.add_argument(
        "--relief",
        type=_number(0, 2),
        metavar="F",
        help="of a texture: a normal and a roughness map with its strokes beside the result, 0 flat .. 2 steep",
    )
    for name in ("normal", "roughness"):
        help_ = f"the texture's {name} map, which the relief is laid upon"
        parser.add_argument(f"--{name}-map", type=Path, metavar="FILE", help=help_)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the results")
    parser.add_argument(
        "--tile", type=_whole(0, 16384), default=0, metavar="PX", help="edge of a tile; 0 = by memory (same result)"
    )
    parser.add_argument(
        "--overlay", nargs="+", action="extend", default=[], metavar="NAME", help="explaining layers: Scale, Removal"
    )
    _add_device(parser)
    _add_precision(parser)


def _add_animate(commands: Any) -> None:
    about = "Stylize the frames of a shot, however many: it goes on where it ended, and tells which failed."
    parser = _command(
        commands,
        "animate",
        _animate,
        about,
        "'renders/shot_####.exr' --style 'Starry Night' --out painted",
        "'renders/shot_####.exr' --frames 1-250 --style Wave --colours histogram --out painted --resume",
        "'renders/shot_####.exr' --frames 1,5,100-200x10 --style Wave --overlay Scale --out painted",
        "'renders/shot_####.exr' --style Wave --shot shot.json --out painted --workers 4 --json",
    )
    _add_frames(parser)
    _add_look(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the results")
    parser.add_argument(
        "--shot", type=Path, metavar="JSON", help="strokes stick to surfaces, by what `pentimento shot` has found"
    )
    parser.add_argument(
        "--sequential",
        action="store_true",
        help="strokes are carried from frame to frame by the Vector pass, in order, instead",
    )
    parser.add_argument(
        "--resume", action="store_true", help="keep what is there, whole and of the same look; make the rest"
    )
    parser.add_argument(
        "--workers",
        type=_whole(0, 64),
        default=0,
        metavar="N",
        help="processes that share the frames; 0 = as many as pay",
    )
    parser.add_argument(
        "--tile", type=_whole(0, 16384), default=0, metavar="PX", help="edge of a tile; 0 = by memory (same result)"
    )
    parser.add_argument(
        "--overlay", nargs="+", action="extend", default=[], metavar="NAME", help="explaining layers: Scale, Removal"
    )
    _add_device(parser)
    _add_precision(parser)


def _add_look(parser: argparse.ArgumentParser) -> None:
    """How a result is made."""
    parser.add_argument(
        "--style",
        required=True,
        action="append",
        type=_style_share,
        metavar="NAME[@MATTE][=SHARE]",
        help="an installed style, or the path of a style pack; several are mixed by their shares. MATTE: where it "
        "paints, an object or material in the render's Cryptomatte, or a greyscale picture",
    )
    parser.add_argument("--palette", default="", metavar="NAME", help="paint in the colours of this style")
    parser.add_argument(
        "--strength", type=_number(0, 1), default=1.0, metavar="F", help="0 the picture .. 1 the style (default 1)"
    )
    parser.add_argument(
        "--strength-of",
        action="append",
        default=[],
        type=_named(protocol.MatteStrength, "MATTE"),
        metavar="MATTE=F",
        help="a strength of its own for an object or material of the render's Cryptomatte, or for where a greyscale "
        "picture is white (Vase=.3)",
    )
    parser.add_argument(
        "--bands",
        type=_bands,
        default=(1.0, 1.0, 1.0),
        metavar="C,F,S",
        help="how strongly colour, form and strokes of the style show, 0 .. 2 (default 1,1,1): 1,1,.5 calms strokes",
    )
    parser.add_argument(
        "--colours",
        choices=("style", "luma", "histogram"),
        default="style",
        help="whose: the style's; or the picture's, in the style's light and dark (luma) or by their statistics "
        "(histogram; frames of a shot by those of the first)",
    )
    parser.add_argument(
        "--lock",
        action="store_true",
        help="styles of other programs: the statistics of the whole picture, of a shot's first frame, for every tile",
    )
    parser.add_argument(
        "--gain",
        action="append",
        default=[],
        type=_named(protocol.LightGain, "LIGHT"),
        metavar="LIGHT=F",
        help="of a render with light passes: paint it with this light turned up or down, 0 off .. 4 (Glossy=1.5). "
        "Diffuse, Glossy, Transmission, Volume, Emission, Environment",
    )
    parser.add_argument(
        "--pass",
        dest="painted_pass",
        default="Combined",
        metavar="PASS",
        help="of a render with light passes: paint this pass and put the render together again with it. DiffCol leaves "
        "light and shadow as Blender rendered them; also GlossCol, TransCol, DiffDir, DiffInd, Emit, Env, ...",
    )
    parser.add_argument("--seed", type=_whole(0, 2**31 - 1), default=0, metavar="N", help="other seed, other strokes")
    parser.add_argument(
        "--diversity", type=_number(0, 1.5), default=1.0, metavar="F", help="0 calm .. 1 strokes as trained .. 1.5"
    )
    parser.add_argument(
        "--follow",
        type=_number(0, 1),
        default=1.0,
        metavar="F",
        help="strokes: 0 as the painter's .. 1 along the forms",
    )
    parser.add_argument(
        "--stroke", type=_number(0.25, 4), default=1.0, metavar="F", help="stroke size 0.25 .. 4 (default 1)"
    )
    parser.add_argument("--tileable", action="store_true", help="the picture wraps around, and so will the result")


def _add_frames(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "pattern",
        metavar="FRAMES",
        help="where the frames are, with one # for each digit of their number; in quotes, or the shell takes the #",
    )
    parser.add_argument(
        "--frames",
        type=_frames,
        default=(),
        metavar="N-M",
        help="which: 1-250, every second with 1-250x2, some with 1,5,9, or all of that together (default: all)",
    )


def _add_shot(commands: Any) -> None:
    about = "Look at a shot once, so that strokes stick to what they are painted on, whichever frames are made where."
    parser = _command(commands, "shot", _shot, about, "'renders/shot_####.exr' --frames 1-250 --out shot.json")
    _add_frames(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="JSON", help="the file to write")


def _add_flicker(commands: Any) -> None:
    about = "Measure how much of a run of results does not stick to what it is painted on."
    parser = _command(
        commands,
        "flicker",
        _flicker,
        about,
        "'painted/shot_wave_####.exr'",
        "'painted/shot_wave_####.exr' --out flicker --json",
    )
    parser.add_argument("pattern", metavar="RESULTS", help="what animate has written, one # for each digit")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for a layer of each frame that shows where")


def _add_explain(commands: Any) -> None:
    about = "Ask why a part of a result looks as it does: overlays, each with its measured faithfulness."
    parser = _command(
        commands,
        "explain",
        _explain,
        about,
        "render.png --style 'Starry Night' --at 480,270 --overlay Influence --out why",
        "frame_0001.exr --style Wave --object Vase --overlay Removal Scale --out why",
        "photo.jpg --style Wave --box 100,80,220,160 --overlay Influence Removal --out why --json",
    )
    parser.add_argument("picture", type=Path, metavar="IN", help="the picture file that is stylized")
    _add_look(parser)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--at", type=_places(2), metavar="X,Y", help="a pixel, from the top left")
    where.add_argument("--box", type=_places(4), metavar="X0,Y0,X1,Y1", help="from its first pixel to behind its last")
    where.add_argument(
        "--object", default="", metavar="NAME", help="in the render's Cryptomatte, or a greyscale picture; else: all"
    )
    parser.add_argument("--overlay", nargs="+", action="extend", required=True, metavar="NAME", help=_EXPLAINING)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the overlays")
    _add_device(parser)
    _add_precision(parser)


def _add_certify(commands: Any) -> None:
    about = "How far can the overlays of a style be trusted? The whole table of bars, over many pictures."
    parser = _command(
        commands,
        "certify",
        _certify,
        about,
        "--style 'Starry Night' --content renders",
        "--style mine --content renders frame_0001.exr --overlay Influence Detail --json",
    )
    parser.add_argument(
        "--style", required=True, metavar="NAME", help="an installed style, or the path of a style pack"
    )
    parser.add_argument("--content", nargs="+", required=True, type=Path, metavar="PATH", help="pictures, or folders")
    parser.add_argument("--overlay", nargs="+", default=[], metavar="NAME", help="default: all; see explain")
    parser.add_argument(
        "--pictures", type=_whole(2, 10000), default=20, metavar="N", help="how many, evenly chosen (default 20)"
    )
    _add_device(parser)


_EXPLAINING = (
    "Influence (what could change this), Detail (which detail made this), Removal (what if a part were gone), Scale "
    "(what was changed, how large), Styles, Passes, Objects (how much comes from which style of a mix, which light, "
    "which object of a render), Provenance (which place of the style picture it is like), StyleFit (where it does not "
    "look like the style)"
)


def _add_texture(commands: Any) -> None:
    about = "Make textures out of nothing but a seed, with a style trained for it. They tile."
    parser = _command(
        commands,
        "texture",
        _texture,
        about,
        "--style Bricks --size 2048 --out textures",
        "--style Bricks --size 2048x1024 --seed 0 1 2 --depth 16 --out textures",
        "--style Bricks --variant 2 --out textures",
    )
    parser.add_argument(
        "--style", required=True, metavar="NAME", help="an installed texture style, or the path of a style pack"
    )
    parser.add_argument(
        "--size", type=_size, default=(1024, 1024), metavar="WxH", help="pixels, 16 .. 65536 (default 1024x1024)"
    )
    parser.add_argument(
        "--seed",
        nargs="+",
        type=_whole(0, 2**31 - 1),
        default=[0],
        metavar="N",
        help="a texture for each; the same seed gives the same texture (default 0)",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the results")
    parser.add_argument(
        "--variant",
        type=_whole(0, 4096),
        default=0,
        metavar="N",
        help="of a style from several exemplars: like the Nth of them alone; 0 = of all, mixed (default)",
    )
    parser.add_argument("--depth", type=int, choices=(8, 16), default=8, help="bits of each value (default 8)")
    parser.add_argument("--endless", action="store_true", help="cut from an endless plane instead of tileable")
    parser.add_argument(
        "--diversity", type=_number(0, 1.5), default=1.0, metavar="F", help="0 calm .. 1 as trained .. 1.5"
    )
    parser.add_argument(
        "--tile", type=_whole(0, 16384), default=0, metavar="PX", help="edge of a tile; 0 = by memory (same result)"
    )
    _add_device(parser)
    _add_precision(parser)


def _add_train(commands: Any) -> None:
    about = "Train a style: from pictures of one hand, from painted keyframes, or a texture from an exemplar."
    parser = _command(
        commands,
        "train",
        _train,
        about,
        "--style-picture painting.jpg --content renders --out styles/mine",
        "--style-picture a.jpg b.jpg --content renders --out styles/mine --budget 2h --device cuda",
        "--style-picture a.jpg=.7 b.png@no_frame.png=.3 --content renders --out styles/mine",
        "--style-picture painting.jpg --content renders --out styles/mine --objective wgan-gp",
        "--style-picture painting.jpg --content renders --out styles/mine --resume --set steps=9000",
        "--kind keyframes --keyframe painted_0008.png --frames shot --guide normal uv --out styles/shot --budget 10m",
        "--kind texture --style-picture bricks.jpg --periodic 3 --out styles/bricks --budget 20m",
    )
    parser.add_argument(
        "--kind",
        choices=("pictures", "keyframes", "texture"),
        help="what it learns: to paint like pictures, or like painted keyframes; or to make textures like an exemplar, "
        "out of noise (default pictures)",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="PACK", help="the style pack to write: a folder")
    _add_examples(parser.add_argument_group("pictures, texture: what it learns from"))
    _add_keyframes(parser.add_argument_group("keyframes: what it learns from"))
    _add_length(parser.add_argument_group("how long"))
    _add_manner(parser.add_argument_group("how it learns"))


def _add_examples(group: Any) -> None:
    group.add_argument(
        "--style-picture",
        nargs="+",
        action="extend",
        default=[],
        type=_share,
        metavar="IMG[@MASK][=WEIGHT]",
        help="whose hand or material it is; of several, each as much as its weight says. MASK: as large a picture, "
        "dark where nothing is to be taken from IMG, as what is transparent in it never is",
    )
    group.add_argument(
        "--exclude",
        action="append",
        default=[],
        type=_area,
        metavar="U0,V0,U1,V1",
        help="pictures: an area of the first style picture that nothing is learned from, 0..1 from its left and top as "
        "Attribution.Provenance tells places; several times for several",
    )
    group.add_argument("--content", type=Path, metavar="DIR", help="pictures: what to practise on")
    group.add_argument("--size", type=_whole(64, 4096), metavar="PX", help="edge of the pictures it practises on")
    group.add_argument(
        "--periodic", type=_whole(0, 8), metavar="N", help="texture: waves that a regular pattern keeps step with (0)"
    )


def _add_keyframes(group: Any) -> None:
    group.add_argument(
        "--keyframe",
        nargs="+",
        default=[],
        type=Path,
        metavar="IMG",
        help="one to five painted-over frames, each named after its frame or with its number",
    )
    group.add_argument("--frames", type=Path, metavar="DIR", help="the frames of the shot")
    group.add_argument(
        "--mask", nargs="+", default=[], type=Path, metavar="IMG", help="white where they teach; named alike"
    )
    group.add_argument(
        "--guide",
        nargs="+",
        default=[],
        choices=("albedo", "normal", "depth", "position", "uv"),
        help="what the style is told beside the frame, from the passes of its EXR. position (still objects, moving "
        "camera) and uv (moving objects) make strokes stick to surfaces",
    )


def _add_length(group: Any) -> None:
    group.add_argument("--budget", type=_seconds, metavar="TIME", help="how long it may take in all: 90s, 10m, 2h")
    group.add_argument("--steps", type=_whole(1, 10**9), metavar="N", help="how many steps to train at most")
    group.add_argument("--resume", action="store_true", help="go on from the checkpoint beside PACK")


def _add_manner(group: Any) -> None:
    group.add_argument("--seed", type=_whole(0, 2**31 - 1), metavar="N", help="repeatable on one machine")
    group.add_argument("--device", choices=DEVICES, help="what computes (default auto)")
    group.add_argument("--route", choices=("teacher", "adversarial"), help="pictures: how the style is learned")
    group.add_argument(
        "--objective",
        choices=("bce", "lsgan", "wgan", "wgan-gp", "hinge"),
        help="what critic and generator play for (default hinge); brings the settings published with it",
    )
    group.add_argument("--r1", type=_number(0, 1000), metavar="G", help="gamma of the R1 penalty, with any objective")
    group.add_argument(
        "--set", action="append", default=[], type=_assignment, metavar="FIELD=VALUE", help="any training setting"
    )


def _add_evaluate(commands: Any) -> None:
    about = "Measure a style's results, compare two, or let eyes judge them blind."
    parser = _command(
        commands,
        "evaluate",
        _evaluate,
        about,
        "--style 'Starry Night' --style-picture starry_night.jpg --content renders",
        "--style mine --style 'Starry Night' --style-picture starry_night.jpg --content renders --blind page",
        "--blind page --votes votes.json",
        "--style mine --sequence shot --metric warp",
        "--pictures theirs --pictures ours --style-picture a.jpg --content photos --extractor inception.onnx",
    )
    subjects = parser.add_argument_group("what is judged (one or more)")
    subjects.add_argument(
        "--style", action="append", default=[], metavar="NAME", help="an installed style, or the path of a style pack"
    )
    subjects.add_argument(
        "--pictures",
        action="append",
        default=[],
        type=Path,
        metavar="DIR",
        help="a folder of finished pictures, each named after its content",
    )
    against = parser.add_argument_group("what it is judged by")
    against.add_argument("--style-picture", type=Path, metavar="IMG", help="the painting whose hand is wanted")
    against.add_argument("--content", type=Path, metavar="DIR", help="pictures that were not trained on")
    against.add_argument("--count", type=_whole(1, 64), default=8, metavar="N", help="how many of them (default 8)")
    against.add_argument(
        "--size", type=_whole(72, 4096), default=512, metavar="PX", help="long side they get (default 512)"
    )
    against.add_argument(
        "--seeds", type=_whole(1, 32), default=3, metavar="N", help="results per picture, for diversity (default 3)"
    )
    against.add_argument("--sequence", type=Path, metavar="DIR", help="EXR frames of a shot with the pass Vector")
    against.add_argument("--extractor", type=Path, metavar="FILE", help="ONNX feature network for FID, KID and IS")
    against.add_argument(
        "--metric",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME",
        help="only these: patches, wasserstein, structure, diversity, warp, fid, kid, is; teacher (slow) only so",
    )
    _add_device(against)
    eyes = parser.add_argument_group("eyes")
    eyes.add_argument("--blind", type=Path, metavar="FOLDER", help="write a page to judge two without knowing whose")
    eyes.add_argument(
        "--votes", nargs="+", default=[], type=Path, metavar="FILE", help="count what the page in FOLDER saved"
    )
    eyes.add_argument("--seed", type=_whole(0, 2**31 - 1), default=0, metavar="N", help="order and sides of the page")


def _add_import(commands: Any) -> None:
    about = "Bring in a style pack (.zip or folder) or another project's ONNX style model."
    parser = _command(
        commands,
        "import-style",
        _import_style,
        about,
        "shared_style.zip",
        "mosaic.onnx --name Mosaic --channel-order bgr --range 0..255",
    )
    parser.add_argument("path", type=Path, metavar="FILE", help="style pack or .onnx")
    parser.add_argument("--name", default="", help="what to call it")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="folder of styles (default: your own)")
    parser.add_argument("--channel-order", choices=("rgb", "bgr"), help="order of the model's colour channels")
    parser.add_argument("--range", type=_range, metavar="A..B", help="values the model takes for black..white")
    parser.add_argument(
        "--output-range", type=_range, metavar="A..B", help="values it returns (default: those it takes)"
    )
    about = "what is taken off the colours before (default none)"
    parser.add_argument("--normalisation", choices=("none", "imagenet", "mean"), help=about)
    parser.add_argument("--layout", choices=("NCHW", "NHWC"), help="order of the model's dimensions")
    about = "width and height are multiples of it (default 16)"
    parser.add_argument("--multiple", type=_whole(1, 64), default=0, metavar="N", help=about)
    parser.add_argument("--author", default="", help="who made it (default: what the file says)")
    parser.add_argument("--licence", default="", help="what others may do with it (default: what the file says)")


def _add_export(commands: Any) -> None:
    about = "Write a style as one .zip to share."
    parser = _command(commands, "export-style", _export_style, about, "'Starry Night' --out starry_night.zip")
    parser.add_argument("style", metavar="NAME", help="an installed style")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the .zip to write")
    _add_folder(parser)


def _add_info(commands: Any) -> None:
    about = "Say what a style is: size, cost, reach, controls, licence, how it was trained."
    parser = _command(commands, "info", _info, about, "--style 'Starry Night'", "--style ./my_style --json")
    parser.add_argument(
        "--style", required=True, metavar="NAME", help="an installed style, or the path of a style pack"
    )
    _add_folder(parser)


def _add_device(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--device", choices=DEVICES, default="auto", help="what computes (default auto)")


def _add_precision(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--precision", choices=("auto", "full"), default="auto", help="auto: half precision on CUDA (default auto)"
    )


def _add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--folder", action="append", default=[], type=Path, metavar="DIR", help="look for styles here too"
    )


# ---------------------------------------------------------------- values on the command line


def _number(low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        value = float(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} is not between {low:g} and {high:g}")
        return value

    parse.__name__ = "number"  # argparse names it in its message
    return parse


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} is not between {low} and {high}")
        return value

    parse.__name__ = "whole number"
    return parse


def _style_share(text: str) -> protocol.StyleShare:
    return protocol.StyleShare(*_share(text))


def _share(text: str) -> tuple[str, float, str]:
    """Wave, Wave=.6, Wave@Vase or Wave@Vase=.6 as name, share and matte. A path that is there is taken as it is."""
    if Path(text).exists():
        return text, 1.0, ""
    found = re.fullmatch(r"(.+?)(?:=(\d+\.?\d*|\.\d+))?", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is empty: write NAME, NAME=SHARE or NAME@MATTE=SHARE")
    name, at, matte = (found[1], "", "") if Path(found[1]).exists() else found[1].rpartition("@")
    return name if at else found[1], float(found[2] or 1), matte if at else ""


def _bands(text: str) -> tuple[float, float, float]:
    """1,1,.5"""
    parse = _number(0, 2)
    values = [parse(part) for part in text.split(",")]
    if len(values) != 3:
        raise argparse.ArgumentTypeError(f"{text!r} is not three numbers: write COLOUR,FORM,STROKES, such as 1,1,.5")
    return values[0], values[1], values[2]


def _named(kind: Callable[[str, float], Any], word: str) -> Callable[[str], Any]:
    """NAME=NUMBER as `kind`; the engine knows which there are, and how far they go."""

    def parse(text: str) -> Any:
        name, _, value = text.rpartition("=")
        try:
            return kind(name, float(value if name else "nothing"))
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text!r} is not {word}=NUMBER") from error

    return parse


def _seconds(text: str) -> float:
    """90, 90s, 10m or 2h in seconds."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if not found or not float(found[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is no time: write 90s, 10m or 2h")
    return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]]


def _size(text: str) -> tuple[int, int]:
    """2048x1024, or 2048 for a square, as width and height."""
    found = re.fullmatch(r"(\d{1,6})(?:[xX](\d{1,6}))?", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no size: write 2048x1024, or 2048 for a square")
    return int(found[1]), int(found[2] or found[1])


def _frames(text: str) -> tuple[int, ...]:
    """1-250, 1-250x2, 1,5,9 and all of that with commas between, as numbers in that order, each once"""
    numbers: dict[int, None] = {}
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d{1,7})(?:-(\d{1,7})(?:x(\d{1,7}))?)?\s*", part)
        first, last, step = (int(group) if group else None for group in found.groups()) if found else (None, None, None)
        last = first if last is None else last
        if first is None or last is None or last < first or step == 0:
            raise argparse.ArgumentTypeError(f"{part!r} is no frame: write 1-250, 1-250x2 (every second) or 1,5,9")
        numbers |= dict.fromkeys(range(first, last + 1, step or 1))
    return tuple(numbers)


def _places(count: int) -> Callable[[str], tuple[int, ...]]:
    def parse(text: str) -> tuple[int, ...]:
        if not re.fullmatch(rf"\d{{1,6}}(,\d{{1,6}}){{{count - 1}}}", text):
            raise argparse.ArgumentTypeError(f"{text!r} is not {count} numbers with commas between them")
        return tuple(int(number) for number in text.split(","))

    return parse


def _area(text: str) -> tuple[float, ...]:
    """0.1,0,0.5,0.4 -> its numbers; whether they make an area the training says"""
    number = r"(\d(?:\.\d+)?|\.\d+)"
    found = re.fullmatch(",".join([number] * 4), text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no area: write left,top,right,bottom, each 0..1")
    return tuple(map(float, found.groups()))


def _range(text: str) -> tuple[float, float]:
    """0..255 -> (0, 255)"""
    number = r"(-?\d+(?:\.\d+)?)"
    found = re.fullmatch(rf"{number}\.\.{number}", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no range: write 0..255, 0..1 or -1..1")
    return float(found[1]), float(found[2])


def _assignment(text: str) -> tuple[str, Any]:
    """field=value; the value is JSON where it can be read as such, else text."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r} is not FIELD=VALUE")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value
