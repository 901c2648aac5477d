"""Styles from painted-over frames: pairs, masks, guides, and what a training must refuse, on real tiny networks."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_guides import passes, wall, write_frame

from engine import noise, style_pack
from engine.canvas import ArrayCanvas
from engine.errors import EngineError
from engine.passes import read_passes
from engine.protocol import Diagnosis, Done, Preview, TrainRequest, TrainStep
from engine.runtime import Paint, Session, noise_for, painted
from engine.training import losses
from engine.training.config import KeyframesConfig, from_json
from engine.training.data import load_picture
from engine.training.diagnostics import probe_numbers
from engine.training.export import onnx_bytes
from engine.training.keyframes import Keyframe, KeyframeSamples, KeyframesTrainer, paired, seen_in, spread
from engine.training.loop import train
from engine.training.networks import STRIDE, Generator, GeneratorConfig, guide_channels
from engine.training.strokes import drawn_strokes

SIZE = (52, 70)
GUIDED = ("normal", "position")
TINY = {"width": 8, "blocks": 1, "half": 4, "full": 4, "noise": 2, "guides": list(GUIDED)}
QUICK = {"kind": "keyframes", "crop": 48, "batch": 2, "critic_scales": 1, "critic_width": 4, "steps": 4}
QUICK |= {"warm_up": 0.5, "preview_every": 2, "r1_every": 2, "device": "cpu", "generator": TINY}


@pytest.fixture
def shot(tmp_path: Path) -> Path:
    """Four frames of a moving camera in `shot`, the second painted over, with a mask that leaves out its right."""
    for number in range(1, 5):
        path = tmp_path / "shot" / f"walk_{number:04d}.exr"
        path.parent.mkdir(exist_ok=True)
        write_frame(path, passes(wall(0.02, number, SIZE)), number)
    save(tmp_path / "walk_0002_painted.png", np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8))
    mask = np.zeros(SIZE, np.uint8)
    mask[:, :30] = 255
    save(tmp_path / "mask_0002.png", mask)
    return tmp_path


def save(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(path)
    return path


def request(folder: Path, out: str = "style", **changes: object) -> TrainRequest:
    return TrainRequest(
        "job", (), "", str(folder / out), {**QUICK, **changes},
        frames=str(folder / "shot"), keyframes=(str(folder / "walk_0002_painted.png"),),
    )  # fmt: skip


def test_training_ends_in_a_style_that_is_told_what_is_there(shot: Path) -> None:
    events = list(train(request(shot)))
    assert isinstance(events[-1], Done)
    assert all(Path(event.path).exists() for event in events if isinstance(event, Preview))
    pack = style_pack.load(shot / "style")
    assert pack.name == "Walk 0002 Painted" and set(pack.model.inputs) == {"image", "noise", *GUIDED}
    assert pack.recipe["training"]["generator"]["guides"] == list(GUIDED)

    frame = shot / "shot" / "walk_0004.exr"
    source, found, session = ArrayCanvas(load_picture(frame).numpy()), read_passes(frame), Session(pack, "cpu")
    result = painted(session, source, Paint(), found).read(0, 0, *SIZE)
    assert result.shape == (3, *SIZE)
    for name in ("Normal", "Position"):  # every guide reaches the result
        other = {**found, name: found[name][::-1]}
        assert np.abs(painted(session, source, Paint(), other).read(0, 0, *SIZE) - result).max() > 1e-4


def test_a_resumed_run_equals_the_uninterrupted_one(shot: Path) -> None:
    list(train(request(shot, "whole", steps=6, critic_steps=2)))
    broken = train(request(shot, "broken", steps=6, critic_steps=2))
    for event in broken:  # stopped by hand after the second checkpoint
        if isinstance(event, Preview) and event.caption == "Step 4":
            break
    broken.close()  # type: ignore[attr-defined]
    list(train(replace(request(shot, "broken", steps=6, critic_steps=2), resume=True)))
    one, two = (style_pack.load(shot / name) for name in ("whole", "broken"))
    assert one.files["generator.onnx"] == two.files["generator.onnx"]


def test_plain_frames_teach_without_guides(shot: Path) -> None:
    (shot / "plain").mkdir()
    for number in (1, 2):
        save(shot / "plain" / f"{number}.png", noise_picture())
    asked = request(shot, generator={**TINY, "guides": []})
    list(train(replace(asked, frames=str(shot / "plain"))))
    assert set(style_pack.load(shot / "style").model.inputs) == {"image", "noise"}


def noise_picture() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (*SIZE, 3), np.uint8)


# ---------------------------------------------------------------- which patches teach


def trainer(found: Keyframe, **changes: object) -> KeyframesTrainer:
    config = from_json({**QUICK, **changes})
    assert isinstance(config, KeyframesConfig)
    cpu = torch.device("cpu")
    return KeyframesTrainer(KeyframeSamples(config, [found], [found.seen], cpu), cpu)


def half_taught() -> Keyframe:
    random = torch.Generator().manual_seed(0)
    mask = torch.zeros(1, *SIZE)
    mask[:, :, :30] = 1
    return Keyframe(torch.rand(9, *SIZE, generator=random), torch.rand(3, *SIZE, generator=random), mask)


@pytest.mark.parametrize("objective", ["hinge", "wgan-gp"])
def test_what_is_masked_teaches_nothing(objective: str) -> None:
    """Whatever was painted there, generator and critic end up the same, to the bit."""
    one = half_taught()
    two = replace(one, painted=torch.where(one.mask > 0, one.painted, 1 - one.painted))
    states = []
    for found in (one, two):
        learner = trainer(found, objective=objective, critic_steps=1, warm_up=0.0)
        for _ in range(2):
            learner.step(0.0)
        states.append(learner.state())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_strokes_are_repeated_before_a_critic_judges_them() -> None:
    learner = trainer(half_taught(), warm_up=0.5)
    fresh = [p.clone() for p in learner.critic.parameters()]
    assert set(learner.step(0.0)) == {"reconstruction"}
    assert all(torch.equal(a, b) for a, b in zip(fresh, learner.critic.parameters(), strict=True))
    assert set(learner.step(0.0)) == {"reconstruction", "critic", "adversarial", "features"}


def test_no_gradient_flows_where_the_mask_is_black() -> None:
    found, learner = half_taught(), trainer(half_taught())
    learner.steps_done = 1
    painted_ = torch.rand(2, 3, *SIZE, requires_grad=True)
    target, mask = (part.expand(2, -1, -1, -1) for part in (found.painted, found.mask))
    terms = learner.compared(painted_, target, mask, torch.Generator().manual_seed(0))
    sum(value for name, value in terms.items() if name != "critic").backward()  # type: ignore[union-attr]
    assert painted_.grad is not None
    assert not painted_.grad[..., 30:].any()
    assert (painted_.grad[..., :30] != 0).float().mean() > 0.9


def test_patches_lie_around_what_teaches_and_depend_on_the_step_alone() -> None:
    mask = torch.zeros(1, 200, 300)
    mask[:, 150:160, 20:30] = 1
    found = Keyframe(torch.rand(3, 200, 300), torch.rand(3, 200, 300), mask)
    samples = KeyframeSamples(replace(KeyframesConfig(), crop=32), [found], [found.seen], torch.device("cpu"))
    batches = [samples.batch(step) for step in (1, 2, 1)]
    for _, _, taught, _ in batches:
        assert (taught.sum((1, 2, 3)) >= 25).all()
    assert all(torch.equal(one, two) for one, two in zip(batches[0], batches[2], strict=True))
    assert not torch.equal(batches[0][0], batches[1][0])
    assert not torch.equal(samples.batch(1, 1)[0], batches[0][0])


@pytest.mark.parametrize(("guided", "still"), [((), True), (("normal",), True), (("normal", "uv"), False)])
def test_noise_tells_strokes_where_no_guide_does(guided: tuple[str, ...], still: bool) -> None:
    """It lies over the keyframe as over the frames that are painted later, by the runtime at its usual seed."""
    rows, columns = torch.meshgrid(torch.arange(80.0), torch.arange(96.0), indexing="ij")
    places = torch.stack([rows, columns, rows])
    channels = guide_channels(GeneratorConfig(guides=guided))
    found = Keyframe(torch.cat([places, torch.zeros(channels, 80, 96)]), places, torch.ones(1, 80, 96))
    config = replace(KeyframesConfig(), crop=32, generator=GeneratorConfig(guides=guided))
    samples = KeyframeSamples(config, [found], [found.seen], torch.device("cpu"))
    whole = torch.from_numpy(noise.strokes(drawn_strokes(4, 20, 24, 0).field.numpy(), 0, 0, 0, 20, 24, None))
    for seen, drawn in (samples.batch(1)[::3], samples.free(1)):
        for patch, told in zip(seen, drawn, strict=True):
            top, left = (int(patch[axis, 0, 0]) // STRIDE for axis in (0, 1))
            assert torch.equal(told, whole[:, top : top + 8, left : left + 8]) == still


def test_the_noise_that_tells_strokes_comes_along_with_the_style(shot: Path) -> None:
    """At any seed as it was trained with."""
    list(train(request(shot, generator={**TINY, "guides": ["normal"]}, steps=1)))
    pack = style_pack.load(shot / "style")
    session, canvas = Session(pack, "cpu"), ArrayCanvas(np.zeros((3, *SIZE), np.float32))
    field = drawn_strokes(TINY["noise"], 13, 18, 0).field.numpy()
    for seed in (0, 5):
        made = noise_for(session, Paint(seed=seed), (0, 0, 52, 68), canvas)
        np.testing.assert_allclose(made[0], noise.strokes(field, seed, 0, 0, 13, 17, None), atol=1e-6)
    assert drawn_strokes(1, 2000, 100, 0).field.shape == (1, 256, 100)
    large = drawn_strokes(2, 200, 200, 1).field
    assert abs(float(large.mean())) < 0.02 and float(large.std()) == pytest.approx(1, abs=0.02)


def test_a_second_keyframe_has_noise_of_its_own() -> None:
    """Or one place would have to be painted in two ways."""
    found = half_taught()
    samples = KeyframeSamples(replace(KeyframesConfig(), crop=32), [found, found], [], torch.device("cpu"))
    seeds = {place.seed for place in (samples._place(random.Random(n)) for n in range(20))}
    assert seeds == {0, 1}


def test_frames_nobody_painted_are_judged_unless_a_mask_leaves_out_what_they_show() -> None:
    masked = half_taught()
    for found, asked in ((masked, 0), (replace(masked, mask=torch.ones(1, *SIZE)), 2)):
        learner = trainer(found, warm_up=0.0)
        judged = []
        forward = learner.critic.forward
        learner.critic.forward = lambda picture, f=forward, j=judged: (j.append(len(picture)), f(picture))[1]
        learner.step(0.0)
        assert set(judged) == {2 + asked // 2}


def test_features_are_matched_between_pairs_alone() -> None:
    fake, target = ([(torch.zeros(3), [torch.full((3, 1, 2, 2), value)])] for value in (0.0, 1.0))
    fake[0][1][0][2] = 7.0
    assert losses.feature_matching(fake, target, paired=2) == 1
    assert losses.feature_matching(fake, target) == pytest.approx((1 + 1 + 6) / 3)


def test_previews_and_practice_take_frames_from_the_whole_shot() -> None:
    assert [path.stem for path in spread(FRAMES, 2)] == ["walk_0001", "walk_0018_b"]
    many = [Path(f"{n}.png") for n in range(1, 22)]
    assert [path.stem for path in spread(many, 3)] == ["1", "11", "21"]
    assert spread(many[:1], 8) == many[:1] * 2


def test_learning_rates_fall_once() -> None:
    """Were they high again when the critic comes, it would undo what had been learned."""
    learner, rates = trainer(half_taught(), steps=10, warm_up=0.5), []
    for _ in range(10):
        learner.step(0.0)
        rates.append(learner.optimiser.param_groups[0]["lr"])
    assert rates == sorted(rates, reverse=True) and rates[-1] == pytest.approx(0.05 * learner.config.learning_rate)


def test_a_pair_is_learned() -> None:
    """Told by its position where it is, a tiny generator comes to repeat what was painted there."""
    rows, columns = torch.meshgrid(torch.arange(52.0), torch.arange(70.0), indexing="ij")
    seen = torch.cat([torch.full((3, *SIZE), 0.5), torch.stack([torch.sin(rows / 4), torch.cos(columns / 4)] * 3)])
    wanted = torch.stack([seen[3], seen[4], seen[3] * seen[4]]) * 0.3 + 0.5
    alone = {"adversarial": 0.0, "features": 0.0, "learning_rate": 0.01, "steps": 1000}
    learner = trainer(Keyframe(seen, wanted, torch.ones(1, *SIZE)), **alone)
    first = learner.step(0.0)["reconstruction"]
    for _ in range(60):
        last = learner.step(0.0)["reconstruction"]
    assert last < 0.4 * first


# ---------------------------------------------------------------- what a diagnosis sees


def taught(where: tuple[slice, slice], guides: tuple[str, ...] = (), size: tuple[int, int] = (200, 300)) -> Keyframe:
    random = torch.Generator().manual_seed(0)
    mask = torch.zeros(1, *size)
    mask[0][where] = 1
    seen = torch.rand(3 + guide_channels(GeneratorConfig(guides=guides)), *size, generator=random)
    return Keyframe(seen, torch.rand(3, *size, generator=random), mask)


EVERYWHERE = (slice(None), slice(None))
PLAIN = {**TINY, "guides": []}


def shown(found: list[Keyframe], guides: tuple[str, ...] = ()) -> KeyframesTrainer:
    config = from_json({**QUICK, "generator": {**TINY, "guides": list(guides)}})
    assert isinstance(config, KeyframesConfig)
    cpu = torch.device("cpu")
    return KeyframesTrainer(KeyframeSamples(config, found, [found[0].seen], cpu), cpu)


@pytest.mark.parametrize(("count", "each"), [(1, [4]), (2, [2, 2]), (3, [2, 1, 1]), (5, [1] * 5)])
def test_every_keyframe_is_looked_at_in_places_far_from_each_other(count: int, each: list[int]) -> None:
    windows = shown([taught(EVERYWHERE)] * count).samples.windows
    assert [sum(window.which == index for window in windows) for index in range(count)] == each
    assert len(set(windows)) == len(windows) and {window.size for window in windows} == {128}
    assert all(window.top % STRIDE == window.left % STRIDE == 0 for window in windows)
    assert (windows[0].top, windows[0].left) == (36, 84)  # the middle, where a frame shows what it is about


@pytest.mark.parametrize(
    ("where", "edge"),
    [((slice(10, 110), slice(40, 300)), 96), ((slice(50, 90), slice(3, 40)), 32), ((slice(0, 9), slice(0, 300)), 32)],
)
def test_windows_lie_where_the_hand_painted(where: tuple[slice, slice], edge: int) -> None:
    """The largest that fit; where none does, what is masked is black on both sides, as in training."""
    found = taught(where)
    learner = shown([found])
    other = shown([replace(found, painted=torch.where(found.mask > 0, found.painted, 1 - found.painted))])
    assert {window.size for window in learner.samples.windows} == {edge}
    assert all(float(window.of([found.mask]).min()) == 1 for window in learner.samples.windows) == (where[0].stop > 9)
    assert probe_numbers(learner.probe()) == probe_numbers(other.probe())


def test_what_was_painted_is_at_no_distance_from_itself() -> None:
    learner = shown([taught(EVERYWHERE), taught(EVERYWHERE)])
    probe = learner.probe()
    assert probe.wanted is not None and probe.content is not None and not probe.held_out
    painted_, frames = zip(*((found.painted, found.seen[:3]) for found in learner.samples.keyframes), strict=True)
    for window, hand, frame in zip(learner.samples.windows, probe.wanted, probe.content, strict=True):
        assert torch.equal(hand, window.of(painted_)) and torch.equal(frame, window.of(frames))
    numbers = probe_numbers(replace(probe, painted=probe.wanted))
    for name in ("patch_distance", "wasserstein", "palette"):
        assert numbers[name] == pytest.approx(0.0, abs=5e-3), name
    assert numbers["content_diversity"] == 1.0
    assert probe_numbers(probe)["patch_distance"] > 1.0


def test_a_probe_shows_what_the_runtime_paints_by_default() -> None:
    """The noise of seed 0 as it lies over the first keyframe; the second of the seeds lies otherwise."""
    learner = shown([taught(EVERYWHERE)])
    probe, window = learner.probe(), learner.samples.windows[0]
    field = drawn_strokes(2, 50, 75, 0).field.numpy()
    whole = torch.from_numpy(noise.strokes(field, 0, 0, 0, 50, 75, None))
    told = whole[:, window.top // STRIDE :, window.left // STRIDE :][:, :32, :32]
    with torch.no_grad():
        wanted = learner.averages["generator"](window.of([learner.samples.keyframes[0].seen])[None], told[None])
    assert torch.allclose(probe.painted[0], wanted[0].clamp(0, 1), atol=1e-6)
    assert probe.seeds is not None and torch.allclose(probe.seeds[0], probe.painted[0], atol=1e-6)
    assert not torch.allclose(probe.seeds[1], probe.seeds[0], atol=1e-2)


def test_where_noise_is_to_say_nothing_nobody_asks_whether_it_does() -> None:
    learner = shown([taught(EVERYWHERE, ("uv",))], ("uv",))
    assert learner.probe().seeds is None
    assert "seed_diversity" not in probe_numbers(learner.probe())


def hand_and_frames(folder: Path) -> TrainRequest:
    """Two plain frames of soft colours, the first painted over by a hand that swaps red and blue and adds hatching."""
    (folder / "plain").mkdir()
    y, x = np.mgrid[0:96, 0:120] / 9.0
    for number in (1, 2):
        waves = np.stack([np.sin(x + number), np.sin(y - x), np.sin(y + 2 * number)], 2) * 90 + 128
        save(folder / "plain" / f"{number}.png", waves.astype(np.uint8))
        hatched = waves[:, :, ::-1] + 30 * np.sign(np.sin(9 * (x + y)))[:, :, None]
        save(folder / f"painted_{number}.png", hatched.clip(0, 255).astype(np.uint8))
    asked = request(folder, generator=PLAIN)
    return replace(asked, frames=str(folder / "plain"), keyframes=(str(folder / "painted_1.png"),))


def changed(asked: TrainRequest, **changes: object) -> TrainRequest:
    return replace(asked, config={**asked.config, **changes})


def test_a_healthy_run_comes_closer_to_the_hand_and_raises_no_alarm(tmp_path: Path) -> None:
    asked = changed(hand_and_frames(tmp_path), steps=180, diagnose_every=15, preview_every=1000, learning_rate=4e-3)
    told = [event for event in train(asked) if isinstance(event, Diagnosis)]
    assert len(told) == 13 and not any(event.findings for event in told)
    measured = {"patch_distance", "nearest_training_patch", "wasserstein", "palette", "grid", "content_diversity"}
    measured |= {"seed_diversity", "gradient"}
    assert all(measured <= set(event.numbers) for event in told[:-1])
    assert {"told_apart", "critic_real", "critic_fake", "r_t", "critic_gradient"} <= set(told[-2].numbers)
    assert told[-1].numbers["patch_distance"] < 0.8 * told[0].numbers["patch_distance"]


def test_the_sheet_shows_the_frame_the_hand_and_what_was_learned_of_it(tmp_path: Path) -> None:
    list(train(changed(hand_and_frames(tmp_path), steps=8, diagnose_every=2)))
    page = (tmp_path / "style.training" / "training_sheet.html").read_text("utf-8")
    for words in ("painted by hand", "the style it learned from (none held out)", "seed 2", "Distance to the style"):
        assert words in page


def test_a_run_with_patience_ends_by_itself(tmp_path: Path) -> None:
    settings = {"steps": 100, "diagnose_every": 2, "patience": 1, "learning_rate": 1e-12, "warm_up": 0.1}
    done = list(train(changed(hand_and_frames(tmp_path), **settings)))[-1]
    assert isinstance(done, Done) and done.report["steps"] == 12  # the critic sets in with step 10
    assert "its score had not improved for 1 diagnosis" in done.report["say"][0]


# ---------------------------------------------------------------- the generator


def test_without_guides_the_generator_is_what_it_was() -> None:
    """The same weights in the same order, the same arithmetic to the bit, the same inputs in the file."""
    config = GeneratorConfig(width=8, blocks=1, half=4, full=4, noise=2)
    torch.manual_seed(0)
    network = Generator(config)
    torch.manual_seed(0)
    first = torch.nn.Conv2d(3, 8, 8, stride=4, padding=2)
    assert torch.equal(network.enter.weight, first.weight)
    image, noise = torch.rand(1, 3, 32, 48), torch.randn(1, 2, 8, 12)
    x = torch.nn.functional.leaky_relu(network.enter(image * 2 - 1) + network.stir(noise), 0.2)
    x = network.inner[0](x)
    for layer, larger in ((network.to_half, True), (network.refine, False), (network.to_full, True)):
        x = torch.nn.functional.interpolate(x, scale_factor=2.0) if larger else x
        x = torch.nn.functional.leaky_relu(layer(x), 0.2)
    assert torch.equal(network(image, noise), network.leave(x) * 0.5 + 0.5)
    assert b"Concat" not in onnx_bytes(network)


# ---------------------------------------------------------------- pairs, and what is refused


FRAMES = [Path(f"shot/{name}.exr") for name in ("walk_0001", "walk_0008", "walk_0018", "walk_0018_b")]


@pytest.mark.parametrize(
    ("picture", "frame"),
    [
        ("walk_0008.png", "walk_0008"),
        ("walk_0008_final_v2.png", "walk_0008"),
        ("walk_0018_b_painted.png", "walk_0018_b"),
        ("mine_8.png", "walk_0008"),
        ("0001.jpg", "walk_0001"),
    ],
)
def test_a_keyframe_finds_its_frame(picture: str, frame: str) -> None:
    assert [found.stem for found in paired([picture], FRAMES, "keyframe")] == [frame]


@pytest.mark.parametrize(
    ("pictures", "said", "fix"),
    [
        (["mine_0009.png"], "no frame for the keyframe mine_0009.png", "walk_0001_painted.png"),
        (["final.png"], "no frame", "number"),
        (["mine_18.png"], "fits 2 frames", "one shot"),
        (["walk_0008.png", "a_0008.png"], "both belong to walk_0008.exr", "one keyframe"),
    ],
)
def test_wrong_pairs_are_named(pictures: list[str], said: str, fix: str) -> None:
    with pytest.raises(EngineError, match=said) as caught:
        paired(pictures, FRAMES, "keyframe")
    assert fix in caught.value.fix


def refused(asked: TrainRequest) -> str:
    """The message; nothing may have been begun."""
    with pytest.raises(EngineError) as caught:
        next(train(asked))
    assert not Path(asked.out + ".training").exists()
    return f"{caught.value.message} {caught.value.fix}"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"keyframes": ()}, "There are 0 keyframes. Give one to 5"),
        ({"keyframes": ("a_1.png",) * 6}, "There are 6 keyframes"),
        ({"frames": ""}, "--frames"),
        ({"frames": "nowhere"}, "does not exist"),
        ({"keyframes": ("missing_0002.png",)}, "missing_0002.png"),
    ],
)
def test_a_request_that_cannot_be_is_refused_before_the_first_step(shot: Path, changes: dict, said: str) -> None:
    assert said in refused(replace(request(shot), **changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"generator": {**TINY, "guides": ["depth", "depth"]}}, "different ones"),
        ({"generator": {**TINY, "guides": ["curvature"]}}, "albedo, normal, depth, position, uv"),
        ({"crop": 56}, "too small for patches of 56"),
        ({"warm_up": 1.5}, "warm_up must be between 0 and 1"),
        ({"kind": "pictures"}, "need kind keyframes"),
    ],
)
def test_wrong_settings_are_refused(shot: Path, changes: dict, said: str) -> None:
    assert said in refused(request(shot, **changes))


def test_a_keyframe_of_another_size_is_refused(shot: Path) -> None:
    save(shot / "walk_0002_painted.png", np.zeros((104, 140, 3), np.uint8))
    said = refused(request(shot))
    assert "has 140 x 104 pixels, its frame walk_0002.exr 70 x 52" in said and "neither cropped nor scaled" in said


def test_masks_are_checked_like_keyframes(shot: Path) -> None:
    asked = replace(request(shot), masks=(str(shot / "mask_0002.png"),))
    assert isinstance(next(train(replace(asked, out=str(shot / "masked")))), (Preview, TrainStep))
    save(shot / "mask_0002.png", np.zeros(SIZE, np.uint8))
    assert "is black" in refused(asked)
    save(shot / "mask_0002.png", np.full((20, 20), 255, np.uint8))
    assert "20 x 20" in refused(asked)
    save(shot / "mask_0003.png", np.full(SIZE, 255, np.uint8))
    assert "has no keyframe" in refused(replace(asked, masks=(str(shot / "mask_0003.png"),)))


def test_guides_need_passes(shot: Path) -> None:
    write_frame(shot / "shot" / "walk_0002.exr", {"Normal": passes(wall(0.02, 2, SIZE))["Normal"]}, 2)
    assert "walk_0002.exr does not have: Position. Switch on Data > Position" in refused(request(shot))
    with pytest.raises(EngineError, match="does not have: Normal, Position"):
        seen_in(save(shot / "plain.png", noise_picture()), GUIDED)
