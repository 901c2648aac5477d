"""Textures from noise: the generator, what it learns from, and its training to the pack, on real tiny networks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from engine import noise, style_pack
from engine.errors import EngineError
from engine.protocol import Diagnosis, Done, Preview, TextureMade, TextureRequest, TrainRequest, TrainStep
from engine.runtime import Paint, Session, is_exact, texture
from engine.texture import texture as make
from engine.training.config import TextureConfig, from_json
from engine.training.loop import train
from engine.training.losses import sliced_wasserstein
from engine.training.networks import (
    COARSE,
    STRIDE,
    TextureGenerator,
    TextureGeneratorConfig,
    macs_per_pixel,
    receptive_radius,
)
from engine.training.teacher import Exemplar
from engine.training.texture import (
    BESIDE,
    FromTexture,
    TextureSamples,
    TextureTrainer,
    draw_noise,
    fitting_size,
    strongest_waves,
    tiles,
)

NET: dict[str, Any] = {
    **{"width": 8, "blocks": 1, "noise": 3, "grain": 2, "eighth": 8, "quarter": 8, "half": 4, "full": 4},
    "distribution": "normal",
}
QUILTED = {"size": 128, "crop": 64, "style_side": 192, "generator": {**NET, "distribution": "quilted"}}
TINY = TextureGeneratorConfig(**NET)
QUICK = {
    "kind": "texture",
    "size": 64,
    "crop": 48,
    "style_side": 112,
    "critic_scales": 1,
    "critic_width": 4,
    "patch_scales": 2,
    "directions": 8,
    "steps": 4,
    "warm_up": 0.5,
    "preview_every": 2,
    "r1_every": 2,
    "device": "cpu",
    "generator": NET,
}
CPU = torch.device("cpu")


def bricks(height: int = 96, width: int = 112) -> Tensor:
    """(3, H, W): waves of 12 rows and 16 columns, which tile."""
    y, x = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")
    waves = [torch.sin(x * (2 * torch.pi / 16)), torch.sin(y * (2 * torch.pi / 12)), torch.sin(x * (2 * torch.pi / 8))]
    return torch.stack(waves) * 0.4 + 0.5


def save(picture: Tensor, path: Path) -> Path:
    Image.fromarray((picture.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(bricks(), tmp_path / "red_bricks.png")
    return tmp_path


@pytest.fixture
def quilted(tmp_path: Path) -> Path:
    """The same, large enough for pieces."""
    save(bricks(192, 192), tmp_path / "red_bricks.png")
    return tmp_path


def request(folder: Path, out: str = "style", resume: bool = False, **changes: Any) -> TrainRequest:
    exemplars = (str(folder / "red_bricks.png"),)
    return TrainRequest("job", exemplars, "", str(folder / out), {**QUICK, **changes}, resume)


# ---------------------------------------------------------------- the generator


@pytest.mark.parametrize("kind", ["separable", "dense"])
def test_what_it_makes_is_local(kind: str) -> None:
    """A cell of noise, or of grain, changes nothing beyond the receptive radius; the coarse one nearly reaches it."""
    config = replace(TINY, kind=kind, blocks=2)
    torch.manual_seed(0)
    network = TextureGenerator(config).double()
    radius, edge = receptive_radius(config), 40
    maps = [m.double() for m in config.example(edge * COARSE, edge * COARSE, torch.Generator().manual_seed(1))]
    with torch.no_grad():
        before = network(*maps)
        assert before.shape == (1, 3, edge * COARSE, edge * COARSE)
        for index, scale in enumerate((COARSE, STRIDE)):
            changed = [m.clone() for m in maps]
            middle = edge * COARSE // 2 // scale
            changed[index][:, :, middle, middle] += 10
            rows = (network(*changed) - before).abs().sum((0, 1, 3)).nonzero()[:, 0]
            first, last = middle * scale - int(rows.min()), int(rows.max()) - (middle + 1) * scale + 1
            assert max(first, last) <= radius
            assert index or max(first, last) >= radius - 2 * COARSE


def test_in_training_it_wraps_and_is_the_same_away_from_borders() -> None:
    torch.manual_seed(0)
    wrapping, plain = TextureGenerator(TINY, wraps=True), TextureGenerator(TINY)
    plain.load_state_dict(wrapping.state_dict())
    cells = 24
    coarse, grain = TINY.example(cells * COARSE, cells * COARSE, torch.Generator().manual_seed(1))
    with torch.no_grad():
        made = wrapping(coarse, grain)
        moved = wrapping(coarse.roll((2, 3), (2, 3)), grain.roll((8, 12), (2, 3)))
        assert torch.allclose(moved, made.roll((2 * COARSE, 3 * COARSE), (2, 3)), atol=1e-5)
        halo = -(-receptive_radius(TINY) // COARSE) * COARSE
        inside = (slice(None), slice(None), slice(halo, -halo), slice(halo, -halo))
        assert torch.allclose(plain(coarse, grain)[inside], made[inside], atol=1e-5)


def test_its_cost_is_counted() -> None:
    assert macs_per_pixel(TextureGeneratorConfig()) < 12_000  # 25 GMAC at 1920x1080


# ---------------------------------------------------------------- exemplars


def test_what_tiles_is_seen() -> None:
    assert tiles(bricks())
    assert not tiles(bricks()[:, :93]) and not tiles(bricks()[:, :, :107])
    ramp = torch.linspace(0, 1, 64).expand(3, 64, 64)
    assert not tiles(ramp) and not tiles(ramp.transpose(1, 2))


def test_the_waves_of_a_pattern_are_found() -> None:
    found = {(round(abs(down), 4), round(abs(across), 4)) for down, across in strongest_waves(bricks(96, 112), 2)}
    assert len(found) == 2
    assert found <= {(round(1 / 12, 4), 0.0), (0.0, round(1 / 16, 4)), (0.0, round(1 / 8, 4))}
    slanted = torch.sin(torch.arange(128.0)[:, None] * torch.pi / 16 + torch.arange(128.0) * torch.pi / 8)
    ((down, across),) = strongest_waves(slanted.expand(3, 128, 128) * 0.4 + 0.5, 1)
    assert (down, across) == pytest.approx((1 / 32, 1 / 16))
    assert strongest_waves(torch.full((3, 64, 64), 0.5), 3) == ()


def test_the_size_of_training_fits_the_waves() -> None:
    assert fitting_size(((1 / 48, 0.0), (0.0, 1 / 36)), 160) == 144
    assert fitting_size(((1 / 40, 0.0), (0.0, 0.1)), 160) == fitting_size((), 160) == 160


def samples(wraps: bool = True, **changes: Any) -> TextureSamples:
    config = from_json({**QUICK, **changes})
    assert isinstance(config, TextureConfig)
    return TextureSamples(config, [Exemplar(bricks())], [wraps], CPU)


def test_crops_of_a_step_are_always_the_same_and_go_over_the_borders_of_what_tiles() -> None:
    one, other = samples(), samples()
    assert torch.equal(one.batch(3), other.batch(3)) and not torch.equal(one.batch(3), one.batch(4))
    assert not torch.equal(one.batch(3, 1), one.batch(3))
    assert one.batch(0).shape == (2, 3, 64, 64)
    assert len(one._free[0]) == 96 * 112
    assert len(samples(wraps=False)._free[0]) == (96 - 64 + 1) * (112 - 64 + 1)


def test_mirrored_crops_only_where_they_are_allowed() -> None:
    """The first channel rises and falls alike, so a ramp tells left from right."""
    ramp = torch.linspace(0, 1, 112).expand(3, 96, 112)
    config = samples().config
    for mirror in (False, True):
        found = TextureSamples(replace(config, mirror=mirror), [Exemplar(ramp)], [False], CPU)
        falling = [bool(crop[0, 0, 0] > crop[0, 0, -1]) for step in range(8) for crop in found.batch(step)]
        assert any(falling) == mirror and not all(falling)


def test_noise_in_training_is_distributed_as_in_use() -> None:
    config = replace(TINY, distribution="uniform", waves=((1 / 16, 0.0), (1 / 32, 1 / 32)))
    coarse, grain = draw_noise(config, 4, 320, torch.Generator().manual_seed(0), CPU)
    assert coarse.shape == (4, 3 + 4, 20, 20) and grain.shape == (4, 2, 80, 80)
    for ours, theirs in ((coarse[:, :3], noise.uniform), (grain, noise.uniform)):
        assert float(ours.std()) == pytest.approx(float(theirs(1, 2, 0, 0, 99, 99, None).std()), rel=0.05)
    waves = coarse[:, 3:]
    used = noise.waves(config.waves, 5, COARSE, 0, 0, 20, 20, (20, 20))
    assert float(waves.square().mean()) == pytest.approx(float(np.square(used).mean()), rel=0.02)
    assert torch.allclose(waves[:, 0::2] ** 2 + waves[:, 1::2] ** 2, torch.tensor(2.0), atol=1e-4)


# ---------------------------------------------------------------- training


def test_training_ends_in_a_texture_style_that_runs(folder: Path) -> None:
    events = list(train(request(folder, periodic=2, diagnose_every=2)))
    assert isinstance(events[-1], Done)
    assert all(Path(event.path).exists() for event in events if isinstance(event, Preview))
    diagnoses = [event for event in events if isinstance(event, Diagnosis)]
    assert {"patch_distance", "seed_diversity", "palette", "told_apart"} <= set(diagnoses[-2].numbers)
    pack = style_pack.load(folder / "style")
    assert pack.name == "Red Bricks" and pack.model.makes_textures
    assert pack.model.inputs["noise"].channels == 3 + 4 and len(pack.model.inputs["noise"].waves) == 2
    assert pack.recipe["training"]["kind"] == "texture" and pack.recipe["steps"] == 4
    assert pack.recipe["parity"] < 1e-4 and pack.controls == {"seed": (0.0, 2147483647.0)}
    made = list(make(TextureRequest("job", pack.folder, 70, 50, str(folder / "out"), (1,), device="cpu")))
    assert any(isinstance(event, TextureMade) for event in made)


def test_the_pack_makes_what_the_generator_makes(folder: Path) -> None:
    """The same noise through torch, on a torus, and through the runtime's windows."""
    list(train(request(folder)))
    pack = style_pack.load(folder / "style")
    made = texture(Session(pack, "cpu"), 96, 64, Paint(9, 1.0, True)).read(0, 0, 96, 64)
    trainer = FromTexture(_config(), request(folder)).trainer(CPU, 0.0)
    trainer.restore(torch_state(folder))
    cells = (noise.normal(9, 3, 0, 0, 6, 4, None), noise.normal(9, 2, 0, 0, 24, 16, None, 64))
    with torch.no_grad():
        wanted = trainer.averages["generator"](*(torch.from_numpy(cell)[None] for cell in cells))[0]
    assert np.allclose(made, wanted.numpy(), atol=1e-4)


def _config() -> TextureConfig:
    config = from_json(QUICK)
    assert isinstance(config, TextureConfig)
    return config


def torch_state(folder: Path) -> dict[str, Tensor]:
    from safetensors.torch import load

    return load((folder / "style.training" / "state.safetensors").read_bytes())


def test_a_quilted_style_brings_its_tables_and_makes_what_the_generator_makes(quilted: Path) -> None:
    list(train(request(quilted, **QUILTED)))
    pack = style_pack.load(quilted / "style")
    coarse, grain = (pack.model.inputs[name] for name in ("noise", "grain"))
    assert coarse.distribution == grain.distribution == "quilted"
    # The exemplar tiles, so its tables go on over its borders by a piece.
    assert coarse.strokes is not None and (coarse.strokes.rows, coarse.strokes.columns) == (12 + 5, 12 + 5)
    assert grain.strokes is not None and (grain.strokes.rows, grain.strokes.columns) == (68, 68)
    session = Session(pack, "cpu")
    (quilted_,) = session.quilts
    assert is_exact(session)
    made = texture(session, 160, 128, Paint(9, 1.0, True)).read(0, 0, 160, 128)
    trainer = FromTexture(_quilted_config(), request(quilted)).trainer(CPU, 0.0)
    trainer.restore(torch_state(quilted))
    tables = trainer.tables()
    assert tables is not None and np.allclose(quilted_.tables["grain"], tables.grain, atol=1e-6)
    cells = [
        quilted_.laid(name, 9, 0, 0, 10 * times, 8 * times, (10 * times, 8 * times))
        for name, times in (("noise", 1), ("grain", 4))
    ]
    with torch.no_grad():
        wanted = trainer.averages["generator"](*(torch.from_numpy(cell)[None] for cell in cells))[0]
    assert np.allclose(made, wanted.numpy(), atol=1e-4)
    again = style_pack.import_style(style_pack.export_style(pack, quilted / "q.zip"), quilted / "styles")
    assert again.model == pack.model and again.hash == pack.hash


def test_tables_read_off_two_exemplars_are_two_parts(quilted: Path) -> None:
    pictures = request(quilted).style_pictures * 2
    list(train(replace(request(quilted, **QUILTED), style_pictures=pictures, out=str(quilted / "two"))))
    pack = style_pack.load(quilted / "two")
    coarse, grain = (pack.model.inputs[name].strokes for name in ("noise", "grain"))
    assert coarse is not None and coarse.parts == (17, 17) and coarse.rows == 34
    assert grain is not None and grain.parts == ()
    both, first, second = Session(pack, "cpu").quilts
    assert both.parts == (17, 17) and pack.model.variants == 2
    for name, times in (("noise", 1), ("grain", 4)):
        assert np.array_equal(first.tables[name], both.tables[name][:, : 17 * times])
        assert np.array_equal(second.tables[name], both.tables[name][:, 17 * times :])


def test_quilted_noise_is_told_before_it_is_drawn_freely(quilted: Path) -> None:
    kind = FromTexture(_quilted_config(steps=8, warm_up=0.5), request(quilted))
    trainer = kind.trainer(CPU, 0.0)
    told, free = {"reconstruction"}, {"reconstruction", "patches"}
    assert [set(trainer.step(0.0)) for _ in range(3)] == [told, free, told]
    assert set(trainer.step(0.0)) == free | {"critic", "adversarial", "features"}


def test_an_exemplar_is_drawn_again_from_what_is_read_off_it(quilted: Path) -> None:
    config = _quilted_config(steps=80, warm_up=1.0, learning_rate=0.01, patches=0.0)
    trainer = FromTexture(config, request(quilted)).trainer(CPU, 0.0)
    first = float(trainer.step(0.0)["reconstruction"])
    for _ in range(60):
        last = float(trainer.step(0.0)["reconstruction"])
    assert last < 0.4 * first


def _quilted_config(**changes: Any) -> TextureConfig:
    config = from_json({**QUICK, **QUILTED, **changes})
    assert isinstance(config, TextureConfig)
    return config


@pytest.mark.parametrize(
    "settings", [{}, {"periodic": 1, "critic_steps": 2, "generator": {**NET, "kind": "dense"}}, QUILTED]
)
def test_a_resumed_run_equals_the_uninterrupted_one(folder: Path, settings: dict[str, Any]) -> None:
    save(bricks(192, 192), folder / "red_bricks.png")
    list(train(request(folder, "whole", steps=6, **settings)))
    broken = train(request(folder, "broken", steps=6, **settings))
    for event in broken:
        if isinstance(event, Preview) and event.caption == "Step 4":
            break
    broken.close()  # type: ignore[attr-defined]
    list(train(request(folder, "broken", resume=True, steps=6, **settings)))
    one, two = (style_pack.load(folder / name) for name in ("whole", "broken"))
    assert one.files["generator.onnx"] == two.files["generator.onnx"]


@pytest.mark.parametrize("distribution", ["normal", "quilted"])
def test_a_run_with_patience_ends_by_itself(quilted: Path, distribution: str) -> None:
    """A generator that learns nothing: the first score with the critic is the best."""
    net = {"generator": {**NET, "distribution": distribution}}
    settings = {**QUILTED, "steps": 100, "diagnose_every": 2, "patience": 1, "learning_rate": 1e-12, "warm_up": 0.1}
    done = list(train(request(quilted, **{**settings, **net})))[-1]
    assert isinstance(done, Done) and done.report["steps"] == 12  # the critic sets in with step 10
    assert "its score had not improved for 1 diagnosis;" in done.report["say"][0]


@pytest.mark.parametrize("settings", [{}, QUILTED])
def test_healthy_runs_raise_no_alarm(quilted: Path, settings: dict[str, Any]) -> None:
    length = {"steps": 130, "diagnose_every": 13, "preview_every": 1000}
    asked = request(quilted, **{**settings, **length, "learning_rate": 2e-3})
    told = [event for event in train(asked) if isinstance(event, Diagnosis)]
    assert len(told) == 11 and not any(event.findings for event in told)
    measured = {"patch_distance", "nearest_training_patch", "wasserstein", "palette", "grid", "seed_diversity"}
    assert measured | {"gradient"} <= set(told[0].numbers)
    assert not {"content_diversity", "critic_held_out", "r_v"} & set().union(*(event.numbers for event in told))
    assert {"told_apart", "critic_real", "critic_fake", "r_t", "critic_gradient"} <= set(told[-2].numbers)
    assert told[-1].numbers["wasserstein"] < 0.8 * told[0].numbers["wasserstein"]


def test_the_critic_stands_by_while_patches_are_learned() -> None:
    trainer = TextureTrainer(samples(steps=4, warm_up=0.5), CPU)
    assert set(trainer.step(0.0)) == {"patches"}
    assert set(trainer.step(0.0)) == {"patches", "critic", "adversarial", "features"}


def test_patches_come_nearer_to_the_exemplar() -> None:
    trainer = TextureTrainer(samples(steps=60, warm_up=1.0, learning_rate=0.01, decay=0.3), CPU)

    def distance() -> float:
        made, real = trainer._seeds(), torch.cat([trainer.samples.batch(0, turn) for turn in range(2)])
        return float(sliced_wasserstein(made, real, 7, 2, 64, torch.Generator().manual_seed(0)))

    before = distance()
    for _ in range(59):
        trainer.step(0.0)
    assert distance() < 0.5 * before


def test_several_exemplars_are_seen_by_their_weights(folder: Path) -> None:
    save(torch.full((3, 80, 80), 0.9), folder / "plaster.png")
    asked = replace(request(folder), style_pictures=(str(folder / "red_bricks.png"), str(folder / "plaster.png")))
    kind = FromTexture(replace(_config(), weights=(0.25, 0.75)), asked)
    assert kind.wraps == [True, True]
    trainer = kind.trainer(CPU, 0.0)
    crops = torch.cat([trainer.samples.batch(step) for step in range(60)])
    plaster = float((crops.std((1, 2, 3)) < 0.01).float().mean())
    assert plaster == pytest.approx(0.75, abs=0.12)


# ---------------------------------------------------------------- what is refused


def refused(asked: TrainRequest) -> str:
    """The message; nothing may have been begun."""
    with pytest.raises(EngineError) as caught:
        next(train(asked))
    assert not Path(asked.out + ".training").exists()
    return f"{caught.value.message} {caught.value.fix}"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"size": 72}, "multiple of 16"),
        ({"crop": 80}, "crop must not be larger than size"),
        ({"style_side": 48}, "style_side must be at least size"),
        ({"wraps": "perhaps"}, "auto, yes or no"),
        ({"periodic": 9}, "from 0 to 8"),
        ({"patch_scales": 4}, "patch_scales"),
        ({"patches": 0.0, "adversarial": 0.0}, "must be above 0"),
        ({"weights": [0.0]}, "weights must be numbers above 0"),
        ({"weights": [1.0, 2.0]}, "1 style pictures, 2 weights"),
        ({"generator": {**NET, "distribution": "levy"}}, "normal, uniform or quilted"),
        ({"generator": {**NET, "noise": 0}}, "from 1 to 48"),
        ({"generator": {**NET, "eighth": 0}}, "generator.eighth must be at least 1"),
        ({"generator": {**NET, "quarter": 0}}, "generator.quarter must be at least 1"),
        ({"generator": {**NET, "waves": [[0.1, 0.1]]}}, "set periodic"),
        ({"generator": {**NET, "guides": ["normal"]}}, "need kind keyframes"),
        ({"generator": {**NET, "distribution": "quilted"}}, "at least 128 for quilted"),
        ({**QUILTED, "periodic": 2}, "needs generator.distribution normal or uniform"),
        ({"pairs": 3}, "no training setting called pairs"),
        ({"size": 96, "crop": 96, "style_side": 96}, "too small"),
    ],
)
def test_wrong_settings_are_refused_before_the_first_step(folder: Path, changes: dict[str, Any], said: str) -> None:
    assert said in refused(request(folder, **changes))


def test_pictures_that_cannot_be_are_refused_before_the_first_step(folder: Path) -> None:
    assert "no exemplar" in refused(replace(request(folder), style_pictures=()))
    assert "missing.png" in refused(replace(request(folder), style_pictures=(str(folder / "missing.png"),)))
    save(bricks(40, 40), folder / "small.png")
    small = replace(request(folder), style_pictures=(str(folder / "small.png"),))
    assert "small.png is too small: 40x40" in refused(small)
    (folder / "broken.png").write_bytes(b"no picture")
    assert refused(replace(request(folder), style_pictures=(str(folder / "broken.png"),)))


def test_quilted_noise_takes_no_masks(quilted: Path) -> None:
    Image.fromarray(np.pad(np.full((192, 150), 255, np.uint8), ((0, 0), (0, 42)))).save(quilted / "mask.png")
    assert "masked" in refused(replace(request(quilted, **QUILTED), style_masks=(str(quilted / "mask.png"),)))


def test_grey_alpha_and_sixteen_bits_are_pictures_too(folder: Path) -> None:
    grey = (bricks()[0].numpy() * 65535).astype(np.uint16)
    Image.fromarray(grey).save(folder / "grey.png")
    events = train(replace(request(folder), style_pictures=(str(folder / "grey.png"),)))
    assert isinstance(next(events), TrainStep | Preview)
    events.close()  # type: ignore[attr-defined]


def test_what_lies_around_an_exemplar_goes_on_over_its_borders(quilted: Path) -> None:
    """Of one that tiles it is the exemplar itself, of another its mirror image."""
    kind = FromTexture(_quilted_config(), request(quilted))
    exemplar, beside = kind.exemplars[0].picture, BESIDE * COARSE
    (tiled,) = TextureSamples(kind.config, kind.exemplars, [True], CPU).surrounded()
    height = exemplar.shape[1]
    assert torch.equal(tiled[:, beside : beside + height, beside : beside + height], exemplar[:, :, :height])
    assert torch.equal(tiled[:, :beside, beside], exemplar[:, -beside:, 0])
    (other,) = TextureSamples(kind.config, kind.exemplars, [False], CPU).surrounded()
    side = height // COARSE * COARSE
    assert other.shape[1] == side + 2 * beside
    assert torch.equal(other[:, :beside, beside], exemplar[:, 1 : beside + 1, 0].flip(1))
    assert torch.equal(other[:, -beside:, beside], exemplar[:, side - beside - 1 : side - 1, 0].flip(1))
