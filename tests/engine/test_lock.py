"""Locked statistics: what a style of another program takes from the whole frame, taken once."""

from __future__ import annotations

import copy
import gc
import weakref
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import tiny_styles
from onnx import helper
from PIL import Image

from engine import onnx_lock, style_pack
from engine.canvas import ArrayCanvas
from engine.errors import EngineError
from engine.explain.pyramid import blurred
from engine.explain.removal import Grid, Look, _effects
from engine.files import open_picture
from engine.mixing import Styles, alone, open_styles
from engine.picture import Floats
from engine.protocol import (
    ImportOptions,
    PictureSource,
    SourceFailed,
    StyleShare,
    Stylized,
    StylizeRequest,
    StylizeSettings,
)
from engine.runtime import Paint, Session, is_exact, painted
from engine.stylize import stylize


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A style of another program, as it is imported"""
    folder = tmp_path_factory.mktemp("theirs")
    return str(style_pack.import_style(tiny_styles.normalised(folder / "theirs.onnx"), folder / "styles").source)


@pytest.fixture(scope="module")
def session(theirs: str) -> Session:
    return Session(style_pack.load(theirs), "cpu")


def picture(height: int, width: int, seed: int = 0) -> Floats:
    grain = np.random.default_rng(seed).random((3, height, width), dtype=np.float32)
    return np.clip(blurred(grain, 3) * 3 - 1 + 0.2 * (grain - 0.5), 0, 1)


def locked_to(session: Session, planes: Floats) -> Session:
    return session.locked(session.statistics(planes, Paint(), "it"))


def run(data: bytes, names: Sequence[str], image: Floats) -> list[Floats]:
    return ort.InferenceSession(data, providers=["CPUExecutionProvider"]).run(list(names), {"picture": image[None]})


def test_a_network_tells_the_mean_and_variance_of_what_it_normalises(tmp_path: Path) -> None:
    network = onnx_lock.lockable(tiny_styles.bgr_255(tmp_path / "bgr.onnx").read_bytes())
    image = picture(64, 64) * 255
    mean, variance, painted_ = run(onnx_lock.telling(network), (*network.asked, "painted"), image)
    np.testing.assert_allclose(mean.ravel(), image[::-1].mean(axis=(1, 2)), rtol=1e-5)
    np.testing.assert_allclose(variance.ravel(), image[::-1].var(axis=(1, 2)), rtol=1e-4)
    np.testing.assert_array_equal(painted_, run(network.data, ("painted",), image)[0])


def test_locked_to_a_picture_it_paints_that_picture_as_before(session: Session) -> None:
    source = picture(96, 128)
    image = source[None]
    locked = locked_to(session, source)
    np.testing.assert_allclose(locked.run(image), session.run(image), atol=2e-5)
    other = picture(96, 128, 1)[None] * 0.3
    assert np.abs(locked.run(other) - session.run(other)).max() > 0.05


def test_locked_it_sees_no_further_than_its_convolutions_and_tiles_are_exact(session: Session) -> None:
    """What a bright object did everywhere vanishes, exactly."""
    source = picture(200, 232)
    locked = locked_to(session, source)
    told = locked.spec.receptive_radius
    assert session.spec.receptive_radius is None and told is not None and locked.spec.local
    assert alone(session).reach(200, 232, Paint()) is None and alone(locked).reach(200, 232, Paint()) == told
    after = source.copy()
    after[:, 100:104, 120:124] = 1 - after[:, 100:104, 120:124]

    def moved_by(one: Session) -> np.ndarray:
        results = [painted(one, ArrayCanvas(planes), Paint()).read(0, 0, 200, 232) for planes in (source, after)]
        return np.asarray((results[0] != results[1]).any(axis=0))

    moved, everywhere = moved_by(locked), moved_by(session)
    rows, columns = np.nonzero(moved)
    far = max(100 - rows.min(), rows.max() - 103, 120 - columns.min(), columns.max() - 123)
    assert told / 2 <= far <= told and everywhere.mean() > 0.9
    assert is_exact(locked)


def test_what_removal_says_from_afar_is_what_vanishes(session: Session) -> None:
    """Every part of the picture changes a spot through the statistics. Locked, what lies beyond the reach does not."""
    before, region = picture(96, 160), np.zeros((96, 160), bool)
    region[40:44, 20:24] = True
    grid = Grid.over(96, 160, 10)
    looks = [Look(alone(one), Paint()) for one in (session, locked_to(session, before))]
    effects = []
    for look in looks:
        work = _effects(look, grid, before, look.result(before), region)
        while True:
            try:
                next(work)
            except StopIteration as done:
                effects.append(np.abs(done.value.reshape(grid.rows, grid.columns)))
                break
    afar = np.s_[:, 4:]  # from column 64 on, 40 pixels away
    assert (effects[0][afar] > 0).mean() > 0.9 and effects[1][afar].max() == 0 < effects[1][:, :3].max()


def test_a_maximum_over_the_frame_is_locked_too(tmp_path: Path) -> None:
    spotlight = Session(style_pack.load(tiny_styles.spotlight(tmp_path / "spotlight")), "cpu")
    source = picture(64, 80) * 0.5
    locked = locked_to(spotlight, source)
    assert locked.spec.receptive_radius == 0
    brightest = source.max(axis=(1, 2))[:, None, None]
    np.testing.assert_allclose(locked.run(source[None] * 0.5)[0], 0.5 * source / brightest, rtol=1e-5)


def test_a_style_of_one_size_is_locked_at_that_size(tmp_path: Path) -> None:
    pack = style_pack.import_style(
        tiny_styles.bgr_255(tmp_path / "bgr.onnx"), tmp_path / "styles", "", ImportOptions(value_range=(0, 255))
    )
    session = Session(pack, "cpu")
    assert session.reference_size(200, 400, 1.0) == (28, 56)
    locked = locked_to(session, picture(28, 56))
    a, b = picture(200, 400), picture(200, 400)
    b[:, :, 300:] = 1
    left = [painted(locked, ArrayCanvas(one), Paint()).read(0, 0, 200, 200) for one in (a, b)]
    np.testing.assert_array_equal(*left)


def test_frames_of_a_shot_do_not_flicker(theirs: str, tmp_path: Path) -> None:
    """Something bright enters on the right; on the left nothing changes, nor do tiles."""
    values = np.rint(picture(120, 300) * 160).astype(np.uint8).transpose(1, 2, 0)
    for number in (1, 2):
        Image.fromarray(values).save(tmp_path / f"frame_{number}.png")
        values = values.copy()
        values[:, 220:] = 255
    sources = tuple(PictureSource(f"frame_{n}", str(tmp_path / f"frame_{n}.png")) for n in (1, 2))

    def left(lock: bool, tile: int = 0) -> list[np.ndarray]:
        how = StylizeSettings((StyleShare(theirs),), lock=lock, tile=tile, device="cpu")
        events = stylize(StylizeRequest("job", sources, how, str(tmp_path / "out")))
        done = [event for event in events if isinstance(event, Stylized)]
        told = [event.recipe["styles"][0].get("locked_to") for event in done]
        assert told == (["frame_1", "frame_1"] if lock else [None, None])
        assert [event.recipe["settings"]["lock"] for event in done] == [lock, lock]
        return [open_picture(event.path).read(0, 0, 120, 150).astype(int) for event in done]

    one, two = left(lock=False)
    assert np.abs(one - two).max() > 3
    one, two = left(lock=True)
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(one, left(lock=True, tile=70)[0])


def over(styles: Styles, path: Path) -> Session:
    """The style as it paints a picture"""
    source = PictureSource(path.stem, str(path))
    (part,) = styles.over(source, open_picture(source.path), None).parts
    return part.session


def opened(style: str, out: Path, count: int = 3) -> tuple[Styles, list[Path]]:
    """A style to be locked, and pictures without numbers: each is a shot of its own"""
    paths = [out / f"{'abcdef'[n]}.png" for n in range(count)]
    for n, path in enumerate(paths):
        Image.fromarray(np.rint(picture(40, 48, n) * 255).astype(np.uint8).transpose(1, 2, 0)).save(path)
    return open_styles(StylizeSettings((StyleShare(style),), lock=True, device="cpu"), print), paths


def test_a_style_without_statistics_stays_itself(tmp_path: Path) -> None:
    styles, (path,) = opened(str(tiny_styles.brush(tmp_path / "brush")), tmp_path, 1)
    assert over(styles, path) is styles.first


def test_of_many_shots_one_session_is_held_and_each_is_measured_once(
    theirs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session is as large as its network, and a folder of pictures is as many shots."""
    measured, right = [], Session.statistics
    monkeypatch.setattr(Session, "statistics", lambda *told: measured.append(told[3]) or right(*told))
    styles, paths = opened(theirs, tmp_path)
    networks = []
    for path in (*paths, paths[0]):
        session = over(styles, path)
        assert session.locked_to == path.stem and over(styles, path) is session
        networks.append(weakref.ref(session))
        del session
        gc.collect()
        assert sum(network() is not None for network in networks) == 1
    assert measured == ["a", "b", "c"]
    once, again = (over(opened(theirs, tmp_path)[0], paths[0]), over(styles, paths[0]))
    np.testing.assert_array_equal(*(one.run(picture(64, 64)[None]) for one in (once, again)))


@pytest.mark.parametrize("error", [MemoryError(), ort.capi.onnxruntime_pybind11_state.RuntimeException("bad_alloc")])
@pytest.mark.parametrize("fails", ["telling", "locked"])
def test_one_picture_that_does_not_fit_is_refused_and_the_others_are_painted(
    theirs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str, error: Exception
) -> None:
    styles, paths = opened(theirs, tmp_path)
    edited, calls = getattr(onnx_lock, fails), []

    def full(*told: object) -> bytes:
        calls.append(told)
        if len(calls) == 2:
            raise error
        data: bytes = edited(*told)
        return data

    monkeypatch.setattr(onnx_lock, fails, full)
    sources = tuple(PictureSource(path.stem, str(path)) for path in paths)
    events = list(stylize(StylizeRequest("job", sources, styles.settings, str(tmp_path / "out"))))
    (failed,) = [event for event in events if isinstance(event, SourceFailed)]
    assert failed.source == "b" and "not enough memory to run the style" in failed.message and failed.fix
    assert [event.source for event in events if isinstance(event, Stylized)] == ["a", "c"]


def test_a_guided_style_is_locked_with_what_its_guides_told(tmp_path: Path) -> None:
    guided = Session(style_pack.load(tiny_styles.guided_spotlight(tmp_path / "guided")), "cpu")
    normals = np.random.default_rng(3).random((96, 128, 3), np.float32) * 0.4
    normals[10, 20] = 1.0  # the brightest place, that of a guide alone
    source = picture(96, 128) * 0.5
    statistics = guided.statistics(source, Paint(), "it", {"Normal": normals})
    canvas, passes = ArrayCanvas(source), {"Normal": normals}
    locked, plain = (
        painted(one, canvas, Paint(), passes).read(0, 0, 96, 128) for one in (guided.locked(statistics), guided)
    )
    np.testing.assert_allclose(locked, plain, atol=1e-5)
    with pytest.raises(EngineError, match="guided by render passes that it does not have: Normal") as caught:
        guided.statistics(source, Paint(), "it")
    assert "Passes" in caught.value.fix


def test_a_locked_style_is_of_full_precision(session: Session) -> None:
    """On CUDA it may have run in half precision until then; recipes say what really ran."""
    halved = copy.copy(session)
    halved.precision = "half"
    locked = locked_to(halved, picture(64, 64))
    assert locked.precision == "full" and halved.precision == "half"
    assert alone(locked).recipe()["styles"][0]["precision"] == "full"


@pytest.mark.parametrize(
    ("node", "said"),
    [
        (helper.make_node("ReduceMean", ["last"], ["painted"], axes=[2]), "rows or columns alone"),
        (helper.make_node("LpNormalization", ["last"], ["painted"], axis=2), "LpNormalization"),
    ],
)
def test_what_cannot_be_locked_says_why(tmp_path: Path, node: object, said: str) -> None:
    path = tiny_styles.normalised(tmp_path / "odd.onnx", [node])  # type: ignore[list-item]
    with pytest.raises(EngineError, match=said) as caught:
        onnx_lock.lockable(path.read_bytes())
    assert "lock off" in caught.value.fix
    with pytest.raises(EngineError, match="no statistics"):
        onnx_lock.lockable((tiny_styles.brush(tmp_path / "brush") / "generator.onnx").read_bytes())


def test_a_graph_that_does_not_tell_has_no_radius(tmp_path: Path) -> None:
    """Then tiles stay faded into each other; their statistics are locked all the same."""
    crop = helper.make_node("Transpose", ["last"], ["painted"], perm=[0, 1, 3, 2])
    network = onnx_lock.lockable(tiny_styles.normalised(tmp_path / "odd.onnx", [crop]).read_bytes())
    assert onnx_lock.radius(network, 16) is None
    plain = onnx_lock.lockable(tiny_styles.normalised(tmp_path / "plain.onnx").read_bytes())
    assert onnx_lock.radius(plain, 2) is None, "its grid of four does not fit tiles at multiples of two"
    assert onnx_lock.radius(plain, 16) is not None


def test_a_shared_style_is_locked(shared: Path, tmp_path: Path) -> None:
    """A real one: 15 norms, 720 x 720. Far from a bright corner nothing changes any more."""
    session = Session(style_pack.import_style(shared / "third_party/fns_mosaic.onnx", tmp_path / "styles"), "cpu")
    source = picture(720, 720)
    after = source.copy()
    after[:, 500:, 500:] = 1
    locked = locked_to(session, source)
    plain, same, far = (
        one.run(planes[None])[0, :, :400, :400]
        for one, planes in ((session, source), (locked, source), (locked, after))
    )
    np.testing.assert_allclose(same, plain, atol=5e-3)
    np.testing.assert_array_equal(far, same)
