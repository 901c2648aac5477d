"""The training sheet: how a training went, on one page to look at and one picture to keep."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path
from string import Template

from PIL import Image

from ..atomic import write_text
from ..contact_sheet import Cell, Look, contact_sheet, save_png, to_image
from ..protocol import Diagnosis
from .charts import Chart, picture, svg
from .config import TrainConfig, to_json
from .diagnostics import LIMITS
from .meters import Probe
from .trainer import Trainer
from .workspace import Workspace, side_by_side

PICTURES, CURVES = Look(width=360, height=360), Look(width=360, height=250)
COLUMNS = 4
CHARTS: dict[str, tuple[str, ...]] = {
    "Distance to the style": ("patch_distance", "nearest_training_patch"),
    "Distance of colours and patches": ("palette", "wasserstein"),
    "Diversity": ("content_diversity", "seed_diversity"),
    "What the critic says": ("critic_real", "critic_held_out", "critic_fake"),
    "Does the critic know too much?": ("told_apart", "r_t", "r_v", "turned"),
    "Gradient norms and penalties": ("gradient", "critic_gradient", "r1", "penalty"),
    "Regular grid (above 2.5: seen)": ("grid",),
}
"""Numbers of a diagnosis by the title of their chart"""
WORDS = {
    "patch_distance": "both ways", "nearest_training_patch": "to training patches", "palette": "colours",
    "wasserstein": "sliced Wasserstein", "content_diversity": "of contents", "seed_diversity": "of seeds",
    "critic_real": "style", "critic_held_out": "held-out style", "critic_fake": "results",
    "told_apart": "told apart", "turned": "turned", "gradient": "generator", "critic_gradient": "critic",
    "r1": "R1", "penalty": "gradient penalty", "grid": "to the strokes around it",
}  # fmt: skip
"""What a line is called under its title"""
LOGARITHMIC = {"Loss terms", "Gradient norms and penalties"}
SPANS = {
    "Distance of colours and patches": (0.0, 0.2),
    "Diversity": (0.0, 1.0),
    "Does the critic know too much?": (0.0, 1.0),
    "Regular grid (above 2.5: seen)": (0.0, LIMITS.grid),
}
"""What an axis shows at least"""


def write_sheet(folder: Workspace, trainer: Trainer, history: Sequence[Diagnosis], ended: str) -> Path:
    """`training_sheet.html` and `training_sheet.png` in the training's folder; returns the picture.

    history: every diagnosis, the last one of the networks that are kept. ended: why the run ended, as a sentence.
    """
    probe = trainer.probe()
    said = [ended, *verdict(history, probe)]
    groups = _pictures(probe, folder.samples())
    curves = charts(history)
    write_text(folder.folder / "training_sheet.html", _page(trainer.config, said, groups, curves))
    path = folder.folder / "training_sheet.png"
    save_png(_sheet(trainer.config, said, groups, curves), path)
    return path


# ---------------------------------------------------------------- words and numbers


def verdict(history: Sequence[Diagnosis], probe: Probe) -> list[str]:
    """What became of the style, in sentences."""
    return [*_score(history, probe), *_found(history)]


def _score(history: Sequence[Diagnosis], probe: Probe) -> list[str]:
    scored = [d for d in history if "patch_distance" in d.numbers]
    if not scored:
        return []
    first, last = scored[0], scored[-1]
    best = min(scored, key=lambda d: d.numbers["patch_distance"])
    before, now, least = (d.numbers["patch_distance"] for d in (first, last, best))
    whose = "a part of the style that it never saw" if probe.held_out else "the style it learned from (none held out)"
    on_the_way = f", and had been {least:.2f} at step {best.step}" if least < now * 0.995 else ""
    said = f"The patch distance to {whose} went from {before:.2f} at step {first.step} to {now:.2f}{on_the_way}"
    return [f"{said}; smaller is closer to the hand."]


def _found(history: Sequence[Diagnosis]) -> list[str]:
    """Each symptom with its last evidence, and from when to when it was seen."""
    seen: dict[str, list[Diagnosis]] = {}
    for diagnosis in history:
        for finding in diagnosis.findings:
            seen.setdefault(finding.symptom, []).append(diagnosis)
    said = []
    for symptom, when in seen.items():
        finding = next(f for f in when[-1].findings if f.symptom == symptom)
        at = f"step {when[0].step}" if len(when) == 1 else f"steps {when[0].step} to {when[-1].step}"
        said.append(
            " ".join(filter(None, (f"{symptom.capitalize()} ({at}):", finding.evidence, finding.done, finding.advice)))
        )
    return said or [f"No symptom was found in {len(history)} diagnoses."]


def charts(history: Sequence[Diagnosis]) -> list[Chart]:
    """The curves of a training; those that have at least two points."""
    marks = [
        now.step
        for before, now in zip((None, *history), history, strict=False)
        if {f.symptom for f in now.findings} - {f.symptom for f in (before.findings if before else ())}
    ]
    made = [_chart("Loss terms", {name: name for d in history for name in d.losses}, history, marks)]
    made += [_chart(title, {n: WORDS.get(n, n) for n in names}, history, marks) for title, names in CHARTS.items()]
    return [chart for chart in made if chart.lines]


def _chart(title: str, names: dict[str, str], history: Sequence[Diagnosis], marks: Sequence[float]) -> Chart:
    values = [(d.step, {**d.losses, **d.numbers}) for d in history]
    logarithmic = title in LOGARITHMIC
    lines = {
        word: [(step, v[name]) for step, v in values if name in v and (v[name] > 0 or not logarithmic)]
        for name, word in names.items()
    }
    told = {word: points for word, points in lines.items() if len(points) > 1 and any(y for _, y in points)}
    return Chart(title, told, logarithmic, SPANS.get(title), marks)


def recipe(config: TrainConfig) -> list[tuple[str, str]]:
    """Every setting, those that differ from the defaults first, with a star."""
    defaults = to_json(type(config)())
    rows = [(f"{name} *" if value != defaults[name] else name, str(value)) for name, value in to_json(config).items()]
    if not config.steps:
        rows = [(name, "as many as the time allows" if name == "steps *" else value) for name, value in rows]
    return sorted(rows, key=lambda row: not row[0].endswith("*"))


# ---------------------------------------------------------------- pictures


def _pictures(probe: Probe, samples: Sequence[Path]) -> dict[str, list[list[Cell]]]:
    """Rows of cells by heading."""
    made = {"Style and results": _comparison(probe)}
    if probe.seeds is not None:
        cells = [Cell(side_by_side([p]), f"seed {n + 1}") for n, p in enumerate(probe.seeds[:COLUMNS])]
        made["One thing, other seeds"] = [cells]
    if len(samples) > 1:
        made["On the way"] = _on_the_way(samples)
    return made


def _comparison(probe: Probe) -> list[list[Cell]]:
    """The style and its held-out part at the left; contents above results. Where the same was painted by hand, that
    between the two."""
    if probe.content is not None and probe.wanted is not None:
        rows = {"content": probe.content, "painted by hand": probe.wanted, "result": probe.painted}
        return [[Cell(side_by_side([p]), label) for p in row[:COLUMNS]] for label, row in rows.items()]
    style = Cell(side_by_side([probe.styles[0]]), "style picture")
    held_out = Cell(side_by_side([probe.held_out[0]]), "held out of it") if probe.held_out else Cell(None)
    results = [Cell(side_by_side([p]), "result") for p in probe.painted[: COLUMNS - 1]]
    if probe.content is None:
        return [[style, *results]]
    contents = [Cell(side_by_side([p]), "content") for p in probe.content[: COLUMNS - 1]]
    return [[style, *contents], [held_out, *results]]


def _on_the_way(samples: Sequence[Path]) -> list[list[Cell]]:
    """The first two results at COLUMNS times, evenly over the run."""
    last = len(samples) - 1
    chosen = [samples[i] for i in sorted({round(last * n / (COLUMNS - 1)) for n in range(COLUMNS)})]
    rows: list[list[Cell]] = [[], []]
    for path in chosen:
        strip = to_image(path)
        for number, row in enumerate(rows[: strip.width // strip.height]):
            left = number * strip.height
            cut = strip.crop((left, 0, left + strip.height, strip.height))
            row.append(Cell(cut, f"step {int(path.stem.rpartition('_')[2])}"))
    return [row for row in rows if row]


# ---------------------------------------------------------------- one picture, one page


def _sheet(
    config: TrainConfig, said: Sequence[str], groups: dict[str, list[list[Cell]]], curves: Sequence[Chart]
) -> Image.Image:
    across = PICTURES.gap + COLUMNS * (PICTURES.width + PICTURES.gap)
    changed = ", ".join(f"{name[:-2]} {value}" for name, value in recipe(config) if name.endswith("*"))
    words = "\n".join([*said, "", f"Settings that differ from the defaults: {changed or 'none'}."])
    wide = Look(width=across - 2 * PICTURES.gap, height=1, text=16)
    parts = [contact_sheet([[Cell(None, words)]], config.name, wide)]
    parts += [contact_sheet(rows, title, PICTURES) for title, rows in groups.items()]
    drawn = [Cell(picture(chart, CURVES.width, CURVES.height)) for chart in curves]
    parts.append(contact_sheet([drawn[n : n + COLUMNS] for n in range(0, len(drawn), COLUMNS)], "Curves", CURVES))
    sheet = Image.new("RGB", (across, sum(part.height for part in parts)), PICTURES.background)
    top = 0
    for part in parts:
        sheet.paste(part, (0, top))
        top += part.height
    return sheet


def _page(
    config: TrainConfig, said: Sequence[str], groups: dict[str, list[list[Cell]]], curves: Sequence[Chart]
) -> str:
    template = Path(__file__).with_name("training_sheet.html").read_text(encoding="utf-8")
    pictures = []
    for title, rows in groups.items():
        pictures.append(f"<h2>{html.escape(title)}</h2>")
        pictures += [f'<div class="row">{"".join(map(_figure, row))}</div>' for row in rows]
    cells = "".join(f"<tr><td>{html.escape(n)}</td><td>{html.escape(v)}</td></tr>" for n, v in recipe(config))
    return Template(template).substitute(
        name=html.escape(config.name),
        verdict="\n".join(f"<p>{html.escape(sentence)}</p>" for sentence in said),
        pictures="\n".join(pictures),
        charts="".join(f"<figure>{svg(chart, CURVES.width, CURVES.height)}</figure>" for chart in curves),
        recipe=cells,
    )


def _figure(cell: Cell) -> str:
    if cell.picture is None:
        return "<figure></figure>"
    encoded = io.BytesIO()
    to_image(cell.picture).save(encoded, "JPEG", quality=90, subsampling=0)
    data = base64.b64encode(encoded.getvalue()).decode()
    caption = html.escape(cell.caption)
    return (
        f'<figure><img src="data:image/jpeg;base64,{data}" alt="{caption}"><figcaption>{caption}</figcaption></figure>'
    )
