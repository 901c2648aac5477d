"""Styles with random weights: the same network but for what it learned (for B5)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import tiny_styles
from onnx import numpy_helper

from engine import onnx_graph, style_pack
from engine.errors import EngineError
from engine.explain import certificate
from engine.explain.influence import gradient_of, light_of
from engine.explain.redrawn import Redrawn, redrawn
from engine.explain.removal import Look
from engine.mixing import alone
from engine.runtime import Paint, Session
from engine.style_pack import GENERATOR
from engine.training.networks import GeneratorConfig


@pytest.fixture
def halved(tmp_path: Path) -> style_pack.StylePack:
    return tiny_styles.halved(
        tmp_path / "tiny", tiny_styles.lively(GeneratorConfig("separable", 16, 2, (1, 2), 2, 8, 8), 1)
    )


def weights(data: bytes) -> dict[str, np.ndarray]:
    return {weight.name: numpy_helper.to_array(weight) for weight in onnx.load_from_string(data).graph.initializer}


@pytest.mark.parametrize("stored", ["full", "half"])
def test_what_was_learned_is_drawn_anew_and_nothing_else(
    stored: str, halved: style_pack.StylePack, tmp_path: Path
) -> None:
    pack = halved if stored == "half" else style_pack.load(tiny_styles.brush(tmp_path / "brush"))
    data = pack.read(GENERATOR)
    other = redrawn(data, 9)  # the weights of brush are themselves draws of seed 0
    onnx.checker.check_model(other)
    assert onnx_graph.inspect(other).nodes == onnx_graph.inspect(data).nodes
    old, new = weights(data), weights(other)
    assert list(old) == list(new)
    for name, values in old.items():
        assert (new[name].dtype, new[name].shape) == (values.dtype, values.shape)
        if name.endswith("scales"):
            assert np.array_equal(new[name], values)
        elif values.size > 200:
            learned, drawn = values.astype(np.float64), new[name].astype(np.float64)
            assert np.sqrt(np.square(drawn).mean()) == pytest.approx(np.sqrt(np.square(learned).mean()), rel=0.25)
            assert abs(drawn.mean()) < 4 * drawn.std() / np.sqrt(drawn.size)
            assert abs(np.corrcoef(learned.ravel(), drawn.ravel())[0, 1]) < 0.3


def test_the_same_seed_draws_the_same(halved: style_pack.StylePack) -> None:
    data = halved.read(GENERATOR)
    assert redrawn(data, 3) == redrawn(data, 3) != redrawn(data, 4)


def test_a_redrawn_style_runs_with_its_own_gradient(halved: style_pack.StylePack) -> None:
    look = Look(alone(Session(Redrawn.of(halved, 0), "cpu")), Paint())
    rng = np.random.default_rng(0)
    before, region = rng.random((3, 64, 64), np.float32) * 0.6 + 0.2, np.zeros((64, 64), bool)
    region[20:30, 20:30] = True
    gradient, step = gradient_of(look, before, light_of(region)), 1e-3 * rng.standard_normal(before.shape)
    up, down = (look.result(np.float32(before + way * step)) for way in (1, -1))
    happened = (light_of(region) * (up.astype(np.float64) - down)).sum() / 2
    assert (gradient * step).sum() == pytest.approx(happened, rel=0.05)
    own = gradient_of(Look(alone(Session(halved, "cpu")), Paint()), before, light_of(region))
    assert certificate.randomised(own.ravel(), [gradient.ravel()]).passed
    assert style_pack.load(halved.source).read(GENERATOR) == halved.read(GENERATOR)  # on disk it is what it was


@pytest.mark.parametrize("broken", [b"", b"no model", b"\x3a\x7f\x00"])
def test_bytes_that_are_no_model_are_refused(broken: bytes) -> None:
    with pytest.raises(EngineError):
        redrawn(broken, 0)
