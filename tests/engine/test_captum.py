"""Gradients and integrated gradients beside those of captum, which knows nothing of ours, on a generator as it is
trained: by onnxruntime and windows here, by torch and the whole picture there."""

from __future__ import annotations

from pathlib import Path

import captum.attr
import numpy as np
import pytest
import tiny_styles
import torch
from torch import Tensor

from engine.canvas import ArrayCanvas
from engine.explain import certificate, detail
from engine.explain.influence import gradient_of, light_of
from engine.explain.pyramid import blurred
from engine.explain.removal import Look
from engine.mixing import alone
from engine.picture import Floats
from engine.runtime import Paint, Session, noise_for
from engine.training.networks import GeneratorConfig

EDGE = 128
"""So large that the region sees no border: there each goes its own way"""
REGION = np.s_[60:64, 62:70]


class Case:
    """A style, a picture, and the luminance of a region of the result as torch sees it."""

    def __init__(self, folder: Path) -> None:
        network = tiny_styles.lively(GeneratorConfig("separable", 16, 1, (1,), 2, 8, 8), 1)
        session = Session(tiny_styles.halved(folder, network), "cpu")
        assert (session.spec.receptive_radius or EDGE) < 60
        self.look = Look(alone(session), Paint(seed=3))
        grain = np.random.default_rng(0).random((3, EDGE, EDGE), np.float32)
        self.before: Floats = np.clip(blurred(grain, 2) * 2 - 0.5 + 0.2 * (grain - 0.5), 0, 1)
        self.region = np.zeros((EDGE, EDGE), bool)
        self.region[REGION] = True
        noise_map = noise_for(session, self.look.paint, (0, 0, EDGE, EDGE), ArrayCanvas(self.before))
        noise, weights = torch.tensor(noise_map), torch.tensor(light_of(self.region))

        def light(images: Tensor) -> Tensor:
            painted = network(images, noise.expand(len(images), -1, -1, -1))
            return (weights * painted.clamp(0, 1)).sum(dim=(1, 2, 3))

        self.light = light


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case(tmp_path_factory.mktemp("captum") / "tiny")


def near(ours: np.ndarray, theirs: np.ndarray) -> None:
    """All but the few values around a unit that is all but 0, see test_gradient_graph."""
    off = np.abs(ours - theirs)[np.abs(theirs) > 0] / float(np.abs(theirs).max())
    assert off.size > 1000 and np.quantile(off, 0.95) <= 1e-5 and off.max() <= 0.02


def test_influence_is_captums_saliency(case: Case) -> None:
    seen = torch.tensor(case.before)[None].requires_grad_()
    theirs = captum.attr.Saliency(case.light).attribute(seen, abs=False)[0]
    near(gradient_of(case.look, case.before, light_of(case.region)), theirs.numpy())


def test_detail_is_captums_integrated_gradients(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificate, "PATH", 1.0)  # the first points are enough: both walk the same
    work = detail.integrated(case.look, case.before, case.region)
    with pytest.raises(StopIteration) as done:
        while True:
            next(work)
    ours, points = done.value.value, detail.FEWEST + 1
    found = captum.attr.IntegratedGradients(case.light).attribute(
        torch.tensor(case.before)[None],
        torch.tensor(blurred(case.before, detail.GONE))[None],
        n_steps=points,
        method="riemann_trapezoid",
    )
    # captum divides by the points and not by the stretches between them
    theirs = found[0].sum(dim=0).numpy() * points / (points - 1)
    near(ours.parts, theirs[ours.seen])
    outside = np.ones_like(theirs, bool)
    outside[ours.seen] = False
    assert outside.any() and not theirs[outside].any()
