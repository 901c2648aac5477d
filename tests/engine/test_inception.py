"""FID, KID and IS with a tiny real extractor: closed forms, direct computation, numbers by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from engine.errors import EngineError
from engine.training import inception
from engine.training.inception import (
    Extractor,
    FeatureMetrics,
    crops_of,
    frechet_distance,
    inception_score,
    kernel_distance,
)


def channel_means(path: Path, shape: Sequence[int | str] = ("n", 3, "h", "w"), logits: bool = False) -> Path:
    """An extractor whose features are the mean red, green and blue; its logits are ten times those."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["means"]),
        helper.make_node("Flatten", ["means"], ["features"]),
        helper.make_node("Mul", ["features", "ten"], ["logits"]),
    ]
    outputs = ["features", *(["logits"] if logits else [])]
    graph = helper.make_graph(
        nodes if logits else nodes[:2],
        "extractor",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [shape[0], 3]) for name in outputs],
        [numpy_helper.from_array(np.float32(10), "ten")] if logits else [],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(path))
    return path


def gaussian(mean: Sequence[float], deviations: Sequence[float], count: int = 200, seed: int = 0) -> Tensor:
    """Samples (count, D) whose own mean and covariance are exactly those of independent normals."""
    samples = np.random.default_rng(seed).standard_normal((count, len(mean)))
    samples -= samples.mean(0)
    samples = samples @ np.linalg.inv(np.linalg.cholesky(np.cov(samples, rowvar=False))).T
    return torch.from_numpy(samples * np.array(deviations) + np.array(mean))


def test_fid_is_the_closed_form_for_two_gaussians() -> None:
    """Independent normals: |m1 - m2|^2 + sum (s1 - s2)^2"""
    ours, theirs = gaussian((0, 1, 2), (1, 2, 0.5)), gaussian((1, 1, 0), (2, 2, 1), seed=1)
    assert frechet_distance(ours, theirs) == pytest.approx(1 + 4 + (1 + 0 + 0.25), rel=1e-6)
    assert frechet_distance(ours, ours) == pytest.approx(0, abs=1e-6)


def test_fid_of_correlated_gaussians() -> None:
    """C2 = 4 C1 with equal means: tr(C1 + 4 C1 - 2 * 2 C1) = tr C1"""
    mixed = gaussian((0, 0), (1, 1)) @ torch.tensor([[1.0, 0.0], [0.7, 2.0]], dtype=torch.float64)
    assert frechet_distance(2 * mixed, mixed) == pytest.approx(float(torch.cov(mixed.T).trace()), rel=1e-6)


def test_kid_is_the_unbiased_mmd_of_the_cubic_kernel() -> None:
    ours, theirs = gaussian((0, 1), (1, 1), 9), gaussian((0.5, 1), (2, 1), 9, seed=1)

    def kernel(a: Tensor, b: Tensor) -> float:
        return (float(a @ b) / 2 + 1) ** 3

    direct = 0.0
    for i in range(9):
        for j in range(9):
            if i != j:
                direct += (kernel(ours[i], ours[j]) + kernel(theirs[i], theirs[j])) / (9 * 8)
            direct -= 2 * kernel(ours[i], theirs[j]) / 81
    assert kernel_distance(ours, theirs) == pytest.approx(direct, rel=1e-9)


def test_is_on_hand_computed_numbers() -> None:
    """Two pictures, sure by 9 to 1 of two classes: exp(.9 ln(.9/.5) + .1 ln(.1/.5))"""
    logits = torch.tensor([[0.9, 0.1], [0.1, 0.9]], dtype=torch.float64).log()
    assert inception_score(logits) == pytest.approx(np.exp(0.9 * np.log(1.8) + 0.1 * np.log(0.2)), rel=1e-9)
    assert inception_score(torch.zeros(4, 5, dtype=torch.float64)) == pytest.approx(1.0)
    assert inception_score(100 * torch.eye(4, dtype=torch.float64)) == pytest.approx(4.0)


@pytest.mark.parametrize("shape", [("n", 3, "h", "w"), (1, 3, "h", "w"), ("n", 3, 8, 8)])
def test_the_extractor_runs_whatever_its_shape(tmp_path: Path, shape: Sequence[int | str]) -> None:
    crops = list(torch.rand(20, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    found = Extractor(channel_means(tmp_path / "means.onnx", shape))(crops)
    expected = torch.stack(crops).mean((2, 3)).double()
    torch.testing.assert_close(found.features, expected, atol=5e-3 if 8 in shape else 1e-6, rtol=0)
    assert found.logits is None


def test_from_pictures_to_the_three_numbers(tmp_path: Path) -> None:
    """One flat picture a crop could come from: the crops' features are the pictures' colours, without spread."""
    path = channel_means(tmp_path / "means.onnx", logits=True)
    red, blue = (np.zeros((3, 80, 90), np.float32) for _ in range(2))
    red[0], blue[2] = 1, 1
    numbers = FeatureMetrics(path, {"fid", "kid", "is"}).of([red], torch.from_numpy(blue))
    assert numbers["fid"] == pytest.approx(2, abs=1e-5)  # |(1, 0, 0) - (0, 0, 1)|^2
    assert numbers["kid"] == pytest.approx(2 * (4 / 3) ** 3 - 2, abs=1e-5)
    assert numbers["inception_score"] == pytest.approx(1, abs=1e-6)
    two = FeatureMetrics(path, {"is"}).of([red, blue], None)
    sure = np.exp([10, 0, 0]) / np.exp([10, 0, 0]).sum()
    marginal = (sure + sure[::-1]) / 2
    assert two == {"inception_score": pytest.approx(np.exp((sure * np.log(sure / marginal)).sum()), rel=1e-5)}


def test_crops_are_always_the_same_and_from_every_picture() -> None:
    pictures = [torch.full((3, 20 + i, 30), float(i)) for i in range(3)]
    crops = crops_of(pictures, 16)
    assert len(crops) == inception.CROPS and all(crop.shape == (3, 16, 16) for crop in crops)
    assert {float(crop[0, 0, 0]) for crop in crops} == {0.0, 1.0, 2.0}
    wide = [torch.rand(3, 64, 64)]
    assert all(torch.equal(a, b) for a, b in zip(crops_of(wide, 16), crops_of(wide, 16), strict=True))


def test_what_is_no_extractor_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no file"):
        Extractor(tmp_path / "missing.onnx")
    (tmp_path / "weights.pt").write_bytes(b"PK\x03\x04 a pickle inside a zip")
    with pytest.raises(EngineError, match="not a readable ONNX model") as refused:
        Extractor(tmp_path / "weights.pt")
    assert "docs/evaluate.md" in refused.value.fix
    with pytest.raises(EngineError, match=r"\(N, 3, H, W\)"):
        Extractor(channel_means(tmp_path / "eight.onnx", (8, 3, "h", "w")))
    with pytest.raises(EngineError, match="logits"):
        FeatureMetrics(channel_means(tmp_path / "means.onnx"), {"is"}).need_logits()
