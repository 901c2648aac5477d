"""Styles from pictures: several style pictures, masks and content of every sort; bad input is refused or skipped."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from engine.errors import EngineError
from engine.exr import ExrLayer, write_exr
from engine.png import create_png
from engine.protocol import Done, Event, Preview, SourceFailed, StyleReady, TrainRequest
from engine.training.config import PicturesConfig, from_json
from engine.training.data import load_exemplar, load_pair, load_picture, make_pair
from engine.training.loop import train
from engine.training.pictures import FromPictures, PictureSamples, free_windows, split_exemplar
from engine.training.teacher import Exemplar, Guide, TeacherConfig
from engine.training.workspace import Workspace, space_needed

QUICK: dict[str, Any] = {
    "size": 64,
    "style_side": 96,
    "crop": 48,
    "critic_scales": 1,
    "pairs": 2,
    "steps": 2,
    "preview_every": 1,
    "critic_width": 4,
    "device": "cpu",
    "generator": {"width": 8, "blocks": 1, "half": 4, "full": 4, "noise": 2},
    "teacher": {"levels": [0.5, 1.0], "rounds": [1, 1], "keys": 500},
}


def waves(phase: float, height: int = 96, width: int = 112) -> np.ndarray:
    """(height, width, 3) 0..1"""
    y, x = np.mgrid[0:height, 0:width] / 20.0
    return (np.stack([np.sin(3 * x + phase), np.sin(2 * y + phase), np.sin(x + y + phase)], 2) + 1) / 2


def save(pixels: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((pixels * 255).astype(np.uint8)).save(path)


@pytest.fixture
def studio(tmp_path: Path) -> Path:
    """A painting and three contents, one of them deep in the folder."""
    for phase, name in enumerate(("painting.png", "content/a.png", "content/b.png", "content/deep/er/c.jpg")):
        save(waves(phase), tmp_path / name)
    return tmp_path


def request(folder: Path, *paintings: str, masks: tuple[str, ...] = (), **changes: Any) -> TrainRequest:
    styles = tuple(str(folder / name) for name in paintings or ("painting.png",))
    return TrainRequest(
        "job", styles, str(folder / "content"), str(folder / "style"), {**QUICK, **changes}, False,
        tuple(str(folder / name) if name else "" for name in masks),
    )  # fmt: skip


def kind(asked: TrainRequest) -> FromPictures:
    config = from_json(asked.config)
    assert isinstance(config, PicturesConfig)
    return FromPictures(config, asked)


def looked_through(asked: TrainRequest) -> tuple[list[SourceFailed], list[str]]:
    """What was said of the contents, and the names of those that were kept."""
    training = kind(replace(asked, config={**asked.config, "route": "adversarial", "crop": 72, "size": 72}))
    events = list(training.prepare("job", Workspace(Path(asked.out)), torch.device("cpu"), 0.0))
    return [e for e in events if isinstance(e, SourceFailed)], [path.name for path in training.contents]


# ---------------------------------------------------------------- several pictures, weights, masks


def test_several_pictures_train_one_style_and_pairs_tell_of_which(studio: Path) -> None:
    save(waves(9.0, 120, 80), studio / "second.png")
    events = list(train(request(studio, "painting.png", "second.png", weights=[0.7, 0.3])))
    assert isinstance(events[-1], Done)
    pair = load_pair(studio / "style.training" / "pairs" / "0000.safetensors")
    assert pair.tiles.tolist() == [[0, 0, 0, 1], [1, 0, 0, 1]]
    assert pair.match_field[0].unique().tolist() == [0, 1]


def test_the_critic_sees_each_picture_as_often_as_its_weight_says() -> None:
    config = from_json({**QUICK, "batch": 2000})
    assert isinstance(config, PicturesConfig)
    style = [Exemplar(torch.zeros(3, 60, 60), 3.0), Exemplar(torch.ones(3, 50, 90), 1.0)]
    samples = PictureSamples(config, pairs_of_grey(), [], style, torch.device("cpu"))
    assert float(samples.batch(0)[2].mean()) == pytest.approx(0.25, abs=0.04)


def pairs_of_grey() -> list[Any]:
    from engine.training.data import Pair

    grey = torch.full((3, 64, 64), 128, dtype=torch.uint8)
    return [Pair(grey, grey, torch.zeros(3, 1, 1))]


def test_the_critic_never_sees_what_is_masked() -> None:
    config = from_json({**QUICK, "batch": 200})
    assert isinstance(config, PicturesConfig)
    picture, mask = torch.zeros(3, 80, 90), torch.ones(80, 90, dtype=torch.uint8)
    mask[:, :20] = mask[60:, 80:] = 0
    picture[:, mask == 0] = 1.0
    samples = PictureSamples(config, pairs_of_grey(), [], [Exemplar(picture, mask=mask)], torch.device("cpu"))
    crops = samples.batch(0)[2]
    assert crops.shape == (200, 3, 48, 48) and float(crops.max()) == 0.0


def test_free_windows_are_those_of_brute_force() -> None:
    mask = (torch.rand(20, 17, generator=torch.Generator().manual_seed(0)) > 0.02).to(torch.uint8)
    free = free_windows(Exemplar(torch.zeros(3, 20, 17), mask=mask), 5).tolist()
    assert free == [13 * y + x for y in range(16) for x in range(13) if mask[y : y + 5, x : x + 5].all()]


def test_a_mask_bars_what_is_dark_in_it_at_any_size(studio: Path) -> None:
    mask = np.ones((48, 56, 3))
    mask[:, 28:] = 0
    save(mask, studio / "mask.png")
    exemplar = load_exemplar(studio / "painting.png", 96, mask=studio / "mask.png")
    assert exemplar.mask is not None and exemplar.picture.shape[2] == 96
    assert (exemplar.mask[:, :46] == 1).all() and (exemplar.mask[:, 48:] == 0).all()


def test_what_is_transparent_in_a_style_picture_is_never_taken(studio: Path) -> None:
    """Its colour, red here, may be anything."""
    pixels = np.concatenate([waves(0.0), np.ones((96, 112, 1))], 2)
    pixels[..., 0] = 0
    pixels[:, 80:] = (1, 0, 0, 0)
    save(pixels, studio / "painting.png")
    style = kind(request(studio)).style[0]
    assert style.mask is not None
    assert float(style.picture[0, style.mask > 0].max()) == 0.0
    list(train(request(studio)))
    pair = load_pair(studio / "style.training" / "pairs" / "0000.safetensors")
    assert int(pair.painted[0].max()) == 0


@pytest.mark.parametrize(
    ("mask", "said"),
    [(np.ones((50, 112, 3)), "one shape"), (np.zeros((96, 112, 3)), "larger area free"), (None, "Check the path")],
)
def test_masks_that_do_not_fit_are_refused(studio: Path, mask: np.ndarray | None, said: str) -> None:
    if mask is not None:
        save(mask, studio / "mask.png")
    with pytest.raises(EngineError) as caught:
        kind(request(studio, masks=("mask.png",)))
    assert said in caught.value.fix


# ---------------------------------------------------------------- style pictures that cannot be used are refused


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("sort", ["truncated", "text", "missing", "small", "clear"])
def test_a_style_picture_that_cannot_be_used_is_named(studio: Path, sort: str) -> None:
    save(waves(5.0), studio / "second.png")
    if sort == "truncated":
        damage(studio / "second.png")
    elif sort == "text":
        (studio / "second.png").write_text("a recipe for pancakes")
    elif sort == "missing":
        (studio / "second.png").unlink()
    elif sort == "small":
        save(waves(5.0, 20, 40), studio / "second.png")
    else:
        save(np.zeros((96, 112, 4)), studio / "second.png")
    with pytest.raises(EngineError, match=r"second\.png") as caught:
        next(train(request(studio, "painting.png", "second.png")))
    assert caught.value.fix
    assert not (studio / "style.training").exists()


@pytest.mark.parametrize("sort", ["grey", "16 bit", "exr"])
def test_greyscale_16_bit_and_float_pictures_train(studio: Path, sort: str) -> None:
    if sort == "grey":
        Image.open(studio / "painting.png").convert("L").save(studio / "painting.png")
        Image.open(studio / "content/a.png").convert("L").save(studio / "content/a.png")
    elif sort == "16 bit":
        deep = (waves(0.0) * 65535).astype(np.uint16)
        for name in ("painting.png", "content/a.png"):
            with create_png(studio / name, 96, 112, 3, np.uint16) as png:
                png.write_rows(deep)
    else:
        (studio / "painting.png").unlink()
        half = waves(0.0).astype(np.float16)
        for name in ("painting.exr", "content/a.exr"):
            write_exr(studio / name, [ExrLayer.of("ViewLayer.Combined", half)])
    events = list(train(request(studio, "painting.exr" if sort == "exr" else "painting.png")))
    assert isinstance(events[-1], Done)
    assert not any(isinstance(e, SourceFailed) for e in events)


def half_and_half(path: Path, left: tuple[float, float, float], right: tuple[float, float, float]) -> None:
    """A render whose left half faces left and whose right half faces right, in these linear colours"""
    colour, normal = np.empty((96, 96, 3), np.float32), np.zeros((96, 96, 3), np.float32)
    colour[:, :48], colour[:, 48:] = left, right
    normal[:, :48, 0], normal[:, 48:, 0] = -1, 1
    write_exr(path, [ExrLayer.of("ViewLayer.Combined", colour), ExrLayer.of("ViewLayer.Normal", normal)])


def test_what_is_told_of_a_painting_is_cut_along_with_what_is_held_out() -> None:
    places = torch.arange(96 * 400.0).reshape(1, 96, 400)
    exemplar = Exemplar(
        places.expand(3, -1, -1) / places.max(), guides={"normal": places.expand(3, -1, -1) / places.max()}
    )
    config = from_json(QUICK)
    assert isinstance(config, PicturesConfig)
    taught, strip = split_exemplar(exemplar, config)
    assert strip is not None and taught.picture.shape[2] < 400
    assert torch.equal(taught.guides["normal"], taught.picture)


def test_a_painted_over_render_is_looked_at_by_its_normals_too(tmp_path: Path) -> None:
    """A grey content gets the colour of what faces the same way in the painting; without its passes it does not."""
    half_and_half(tmp_path / "painted.exr", (0.5, 0.05, 0.05), (0.05, 0.05, 0.5))
    half_and_half(tmp_path / "content.exr", (0.2, 0.2, 0.2), (0.2, 0.2, 0.2))
    config = TeacherConfig(levels=(0.5, 1.0), rounds=(1, 1), keys=500, guides=5.0)
    exemplar = load_exemplar(tmp_path / "painted.exr", 96)
    assert set(exemplar.guides) == {"normal"} and exemplar.guides["normal"].shape == (3, 96, 96)
    guide = Guide([load_picture(tmp_path / "content.exr")], [exemplar], config)
    painted = {}
    for name, style in (("told", exemplar), ("untold", replace(exemplar, guides={}))):
        pair = make_pair([tmp_path / "content.exr"], [style], guide, config, 96, 0, 0)
        redder = pair.painted[0].float() - pair.painted[2].float()
        painted[name] = redder[:, :36].mean(), redder[:, 60:].mean()
    assert painted["told"][0] > 60 and painted["told"][1] < -60
    told, untold = (abs(left - right) for left, right in painted.values())
    assert untold < told / 2


# ---------------------------------------------------------------- content


def test_content_is_found_in_the_whole_tree(studio: Path) -> None:
    (studio / "content" / "notes.txt").write_text("not a picture")
    save(waves(1.0), studio / "content" / ".hidden.png")
    assert looked_through(request(studio)) == ([], ["a.png", "b.png", "c.jpg"])


def test_of_thousands_only_some_are_opened(studio: Path) -> None:
    """From all over the folder."""
    for index in range(1000):
        (studio / "content" / f"{index}.png").symlink_to(studio / "content" / "a.png")
    kept = looked_through(request(studio))[1]
    assert len(kept) == 200 and {name[0] for name in kept} > set("123456789")


def test_a_broken_content_is_skipped_and_named(studio: Path) -> None:
    damage(studio / "content" / "deep" / "er" / "c.jpg")
    (studio / "content" / "d.png").write_text("no picture")
    save(waves(0.0, 17, 30), studio / "content" / "tiny.png")
    said, kept = looked_through(request(studio))
    assert kept == ["a.png", "b.png"]
    assert {Path(event.source).name for event in said} == {"c.jpg", "d.png", "tiny.png"}
    assert all(event.message and event.fix for event in said)


def test_a_training_with_a_broken_content_ends_in_a_style(studio: Path) -> None:
    damage(studio / "content" / "b.png")
    events: list[Event] = list(train(request(studio)))
    assert [Path(e.source).name for e in events if isinstance(e, SourceFailed)] == ["b.png"]
    assert any(isinstance(e, StyleReady) for e in events)


@pytest.mark.parametrize("sort", ["text", "truncated", "tiny"])
def test_a_broken_content_that_was_to_be_held_out_is_skipped_and_named(studio: Path, sort: str) -> None:
    eighth = nine_contents(studio)[7]
    if sort == "tiny":
        save(waves(0.0, 15, 30), eighth)
    elif sort == "text":
        eighth.write_text("no picture")
    else:
        damage(eighth)
    events = list(train(request(studio)))
    assert [Path(e.source).name for e in events if isinstance(e, SourceFailed)] == ["7.png"]
    assert isinstance(events[-1], Done)
    recipe = json.loads((studio / "style" / "style.json").read_text())["recipe"]
    assert recipe["held_out"]["content"] == []
    again = list(train(replace(request(studio, steps=3), resume=True)))
    assert [Path(e.source).name for e in again if isinstance(e, SourceFailed)] == ["7.png"]


@pytest.mark.parametrize("broken", [None, 2, 7])
def test_a_broken_content_moves_no_other_between_practised_and_held_out(studio: Path, broken: int | None) -> None:
    """So that a resumed run practises on nothing it has measured with, and the other way round."""
    contents = nine_contents(studio)
    if broken is not None:
        damage(contents[broken])
    training = kind(request(studio, route="adversarial", crop=72, size=72))
    list(training.prepare("job", Workspace(studio / "style"), torch.device("cpu"), 0.0))
    left = [path for index, path in enumerate(contents) if index != broken]
    assert training.held_out_contents == [path for path in left if path.name == "7.png"]
    assert training.contents == [path for path in left if path.name != "7.png"]


def nine_contents(studio: Path) -> list[Path]:
    """0.png to 8.png instead of what was there; 7.png is the one held out."""
    shutil.rmtree(studio / "content")
    paths = [studio / "content" / f"{index}.png" for index in range(9)]
    for index, path in enumerate(paths):
        save(waves(float(index)), path)
    return paths


def test_no_content_at_all(studio: Path) -> None:
    (studio / "empty").mkdir()
    with pytest.raises(EngineError, match="no picture"):
        next(train(replace(request(studio), content=str(studio / "empty"))))
    with pytest.raises(EngineError, match="does not exist"):
        next(train(replace(request(studio), content=str(studio / "nowhere"))))


def test_one_content_is_too_few(studio: Path) -> None:
    with pytest.raises(EngineError, match=r"only one picture .*c\.jpg"):
        next(train(replace(request(studio), content=str(studio / "content" / "deep"))))
    for name in ("a.png", "b.png"):
        damage(studio / "content" / name)
    with pytest.raises(EngineError, match="only one picture"):
        list(train(request(studio)))
    damage(studio / "content" / "deep" / "er" / "c.jpg")
    with pytest.raises(EngineError, match="no picture that can be used"):
        list(train(replace(request(studio), resume=True)))


def test_a_pair_that_cannot_be_read_is_named(studio: Path) -> None:
    training = train(request(studio, steps=1000))
    next(e for e in training if isinstance(e, Preview))
    training.close()  # type: ignore[attr-defined]
    damage(studio / "style.training" / "pairs" / "0001.safetensors")
    with pytest.raises(EngineError, match=r"0001\.safetensors"):
        list(train(replace(request(studio, steps=1000), resume=True)))


# ---------------------------------------------------------------- disk


def test_a_disk_too_small_for_checkpoints_is_noticed_first(studio: Path, small_disk: Path) -> None:
    asked = replace(request(studio, pairs=200), out=str(small_disk / "style"))
    with pytest.raises(EngineError, match=r"MB left.*may need") as caught:
        list(train(asked))
    assert "another disk" in caught.value.fix
    assert not (small_disk / "style.training" / "config.json").exists()  # so it starts anew without --resume


def test_a_training_takes_no_more_than_was_asked_for(studio: Path) -> None:
    asked = request(studio)
    list(train(asked))
    used = [path.stat().st_size for path in studio.glob("style*/**/*") if path.is_file()]
    assert sum(used) < space_needed(from_json(asked.config))


def test_a_disk_that_fills_up_ends_the_training_and_it_can_go_on(studio: Path, roomy_disk: Path) -> None:
    asked = replace(request(studio, steps=3), out=str(roomy_disk / "style"))
    training = train(asked)
    next(e for e in training if isinstance(e, Preview))
    filler = roomy_disk / "filler"
    with pytest.raises(OSError), filler.open("wb") as file:
        for _ in range(10**6):
            file.write(bytes(1000))
            file.flush()
    with pytest.raises(EngineError, match="disk is full"):
        list(training)
    filler.unlink()
    assert json.loads((roomy_disk / "style.training" / "config.json").read_text())["steps"] == 3
    assert not list(roomy_disk.rglob("*.tmp"))
    assert isinstance(list(train(replace(asked, resume=True)))[-1], Done)
