"""Render passes by name, mattes, and taking renders of real Blenders apart and together again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import EngineError
from engine.exr import ExrLayer, blender_name, write_exr
from engine.passes import (
    TERMS,
    Passes,
    canonical,
    is_id,
    matte,
    name_hash,
    read_passes,
    recombine,
    replace_pass,
    view_layers,
)

Render = Callable[..., Path]
LIGHTS = [name for colour, lights in TERMS for name in (colour, *lights) if name]


@pytest.fixture
def walk(shared: Path) -> Passes:
    """A frame exactly as Blender 4.5 wrote it."""
    return read_passes(shared / "sequences/native/walk_0008_native.exr")


@pytest.fixture
def tiny(render: Render) -> Passes:
    """A 64 x 36 render of Blender 5 with all light passes, in float, not denoised."""
    return read_passes(render())


def error_of(result: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, relative where values are above 0.01."""
    expected = expected[..., :3].astype(np.float32)
    return float((np.abs(result[..., :3] - expected) / np.maximum(np.abs(expected), 0.01)).max())


# ---------------------------------------------------------------- names


def test_both_layouts_give_the_same_names(walk: Passes, tiny: Passes) -> None:
    for passes in (walk, tiny):
        assert {"Combined", "DiffCol", "Depth", "Normal", "Vector", "Position", "UV", "IndexOB"} <= set(passes)
        assert passes["Combined"].shape == (passes.height, passes.width, 4)
        assert passes["Vector"].shape[2] == 4 and passes["Depth"].shape[2] == 1
        assert len(passes) == len(list(passes))
    assert set(LIGHTS) | {"IndexMA", "AO", "Mist"} <= set(tiny)
    assert tiny.layer("DiffCol").name == "ViewLayer.Diffuse Color"
    assert tiny.view_layer == walk.view_layer == "ViewLayer"


def test_both_names_of_a_pass_find_it(tiny: Passes, walk: Passes) -> None:
    assert canonical("Object Index") == "IndexOB" and canonical("My AOV") == "My AOV"
    for passes in (tiny, walk):
        assert np.array_equal(passes["Diffuse Color"], passes["DiffCol"])


def test_channels_come_in_order(walk: Passes) -> None:
    assert walk.layer("Combined").channels == ("R", "G", "B", "A")
    assert walk.layer("Vector").channels == ("X", "Y", "Z", "W")
    assert walk.layer("UV").channels == ("U", "V", "A")
    assert walk.layer("CryptoObject00").channels == ("r", "g", "b", "a")


def test_passes_are_pictures(walk: Passes) -> None:
    kinds = {name: (walk.picture(name).encoding, walk.picture(name).alpha) for name in walk}
    assert kinds["Combined"] == ("linear", "premultiplied")
    assert kinds["DiffCol"] == ("linear", "none")
    assert all(kinds[name] == ("data", "none") for name in ("Normal", "Vector", "Depth", "UV", "IndexOB"))
    assert all(kinds[name] == ("data", "none") for name in walk if name.startswith("Crypto"))
    assert walk.picture("Combined").dtype == np.float16


def test_ids_are_known() -> None:
    assert is_id("Object Index") and is_id("IndexMA") and is_id("CryptoAsset01")
    assert not is_id("Depth")


def test_every_frame_of_the_sequences_is_read(shared: Path) -> None:
    for shot in ("orbit", "walk"):
        frame = read_passes(shared / f"sequences/{shot}/{shot}_0005.exr")
        assert frame["IndexOB"].max() > 0 and frame.objects()


def test_missing_passes_say_how_to_get_them(walk: Passes) -> None:
    with pytest.raises(EngineError, match="no pass GlossCol") as caught:
        walk.need("Combined", "GlossCol")
    assert "Passes" in caught.value.fix
    with pytest.raises(EngineError, match="no pass"):
        walk.picture("Mist")
    assert "Mist" not in walk and "Diffuse Color" not in list(walk)


def made(path: Path, layers: dict[str, tuple[str, ...]], header: dict[str, Any] | None = None) -> Path:
    """An EXR of zeros with these layers and channels."""
    zeros = [ExrLayer(name, {c: np.zeros((2, 3), np.float32) for c in channels}) for name, channels in layers.items()]
    write_exr(path, zeros, header)
    return path


def test_view_layers_are_kept_apart(tmp_path: Path) -> None:
    rgba, path = ("R", "G", "B", "A"), tmp_path / "p.exr"
    names = ["Composite.Combined", "Front.001.Combined", "Front.001.Diffuse Color", "Back.Combined", "Back.My AOV"]
    made(path, dict.fromkeys([*names, "Back.Mist"], rgba))
    found = read_passes(path)
    assert view_layers(found.file) == ("Back", "Composite", "Front.001")
    assert found.view_layer == "Back" and set(found) == {"Combined", "My AOV", "Mist"}
    assert set(read_passes(path, "Front.001")) == {"Combined", "DiffCol"}
    with pytest.raises(EngineError, match="no view layer 'Side'") as caught:
        read_passes(path, "Side")
    assert "Composite" in caught.value.fix


def test_bare_channels_are_combined(tmp_path: Path) -> None:
    found = read_passes(made(tmp_path / "p.exr", {"": ("R", "G", "B"), blender_name("Stylized", ""): ("R", "G", "B")}))
    assert set(found) == {"Combined", "Stylized"} and found.view_layer == ""


# ---------------------------------------------------------------- mattes


def test_objects_are_named(walk: Passes, tiny: Passes) -> None:
    assert "monkey_03" in walk.objects()
    assert {"Suzanne", "Ball", "Glass", "Lamp", "Plane"} <= set(tiny.objects())
    assert {"Painted", "Mirror"} <= set(tiny.objects("CryptoMaterial"))


def test_mattes_cover_what_the_object_index_says(walk: Passes, tiny: Passes) -> None:
    """The index is not anti-aliased: compare where the matte is sure."""
    for passes, name in ((walk, "monkey_03"), (tiny, "Suzanne")):
        found, index = matte(passes, name), passes["IndexOB"][..., 0]
        values, counts = np.unique(index[found > 0.99], return_counts=True)
        assert found.shape == index.shape and found.dtype == np.float32
        assert values[counts.argmax()] > 0 and counts.max() / counts.sum() > 0.97
        assert (index[found == 0] != values[counts.argmax()]).mean() > 0.995


def test_mattes_of_all_objects_fill_the_picture(walk: Passes) -> None:
    """All levels count: with the first alone the edges would be missing."""
    total = sum(matte(walk, name) for name in walk.objects())
    assert np.allclose(total, 1, atol=1e-3)
    first = walk["CryptoObject00"][..., 1]
    assert (first < 0.99).any()


def test_materials_have_mattes(tiny: Passes) -> None:
    painted, suzanne = matte(tiny, "Painted", "CryptoMaterial"), matte(tiny, "Suzanne")
    assert painted.sum() > 50
    assert np.abs(painted - suzanne).mean() < 0.01


def test_unknown_names_are_listed(walk: Passes) -> None:
    with pytest.raises(EngineError, match=r"knows no 'Suzanne'.*monkey_03"):
        matte(walk, "Suzanne")
    with pytest.raises(EngineError, match="no list of names for CryptoAsset"):
        walk.objects("CryptoAsset")
    with pytest.raises(EngineError, match="no pass CryptoAsset00"):
        matte(walk, "x", "CryptoAsset")


def test_hashes_are_those_of_the_manifests(walk: Passes, tiny: Passes) -> None:
    for passes in (walk, tiny):
        assert all(name_hash(name) == passes.crypto_id(name) for name in passes.objects())


@settings(deadline=None, max_examples=100)
@given(st.text(max_size=40))
def test_hashes_are_finite_floats(name: str) -> None:
    value = np.array([name_hash(name)], np.uint32).view(np.float32)[0]
    assert np.isfinite(value) and abs(value) >= np.finfo(np.float32).tiny


def crypto_file(path: Path, manifest: str, dtype: str = "float32") -> Path:
    codes = np.full((2, 3), name_hash("Löwe"), np.uint32).view(np.float32).astype(dtype)
    half = np.full((2, 3), 0.5, dtype)
    layers = [
        ExrLayer("V.CryptoObject00", {"r": codes, "g": half, "b": np.zeros_like(half), "a": np.zeros_like(half)}),
        ExrLayer("V.CryptoObject01", {"r": np.zeros_like(half), "g": half, "b": codes, "a": half / 2}),
    ]
    key = "cryptomatte/0123456/"
    write_exr(path, layers, {key + "name": "V.CryptoObject", key + "manifest": manifest})
    return path


def test_all_levels_add_up(tmp_path: Path) -> None:
    manifest = json.dumps({"Löwe": f"{name_hash('Löwe'):08x}"})
    found = read_passes(crypto_file(tmp_path / "p.exr", manifest))
    assert found.objects() == ("Löwe",)
    assert (matte(found, "Löwe") == 0.75).all()


def test_without_a_manifest_the_hash_of_the_name_is_enough(tmp_path: Path) -> None:
    path = crypto_file(tmp_path / "p.exr", "")
    path.write_bytes(path.read_bytes().replace(b"cryptomatte/0123456/name", b"cryptomatte/0123456/nope"))
    found = read_passes(path)
    assert found.manifest() is None
    assert (matte(found, "Löwe") == 0.75).all()
    with pytest.raises(EngineError, match="shows no 'Lowe'"):
        matte(found, "Lowe")


def test_broken_cryptomattes_are_said(tmp_path: Path) -> None:
    for manifest in ("{", "[1]", '{"a": "xyz"}', ""):
        with pytest.raises(EngineError, match="cannot be read"):
            read_passes(crypto_file(tmp_path / "p.exr", manifest)).objects()
    manifest = json.dumps({"Löwe": f"{name_hash('Löwe'):08x}"})
    with np.errstate(over="ignore"), pytest.raises(EngineError, match="half floats"):
        matte(read_passes(crypto_file(tmp_path / "p.exr", manifest, "float16")), "Löwe")
    header = {"cryptomatte/1/name": "V.CryptoObject", "cryptomatte/1/manifest": manifest}
    with pytest.raises(EngineError, match="no pass CryptoObject00"):
        matte(read_passes(made(tmp_path / "p.exr", {"V.Combined": ("R", "G", "B")}, header)), "Löwe")


# ---------------------------------------------------------------- apart and together again


def test_light_passes_add_up_to_combined(render: Render) -> None:
    found = read_passes(render())
    assert error_of(recombine(found), found["Combined"]) < 1e-5


def test_light_passes_add_up_on_a_transparent_film(render: Render) -> None:
    """The Env pass is full of sky there, Combined is not."""
    found = read_passes(render(transparent=True))
    assert found["Env"].max() > 0.1 and found["Combined"][..., 3].min() == 0
    assert error_of(recombine(found), found["Combined"]) < 1e-5


def test_light_passes_add_up_to_the_noisy_image_of_a_denoised_half_render(render: Render) -> None:
    found = read_passes(render(denoise=True, depth="16"))
    assert found["DiffCol"].dtype == np.float16
    assert error_of(recombine(found), found["Noisy Image"]) < 5e-3
    assert error_of(recombine(found), found["Combined"]) > 0.1


@pytest.mark.parametrize("name", LIGHTS)
def test_the_same_pass_gives_combined_back(render: Render, name: str) -> None:
    """Also where Combined was denoised and the light passes were not."""
    found = read_passes(render(denoise=True, depth="16"))
    result = replace_pass(found, name, found[name])
    assert np.array_equal(result, found["Combined"].astype(np.float32))


@pytest.mark.parametrize("transparent", [False, True])
def test_a_replaced_pass_is_as_if_rendered_so(render: Render, transparent: bool) -> None:
    """Half the albedo, twice the glow: Combined changes as the sum of the light passes does."""
    found = read_passes(render(transparent=transparent))
    for name, factor in (("DiffCol", 0.5), ("Diffuse Color", 2.0), ("Emit", 2.0), ("GlossDir", 0.0), ("Env", 3.0)):
        new = found[name] * np.float32(factor)
        expected = recombine(found, {name: new})
        result = replace_pass(found, name, new)
        assert error_of(result, expected) < 1e-4
        assert np.array_equal(result[..., 3], found["Combined"][..., 3])


def test_only_what_the_pass_lights_changes(tiny: Passes) -> None:
    lamp = matte(tiny, "Lamp") == 1
    result = replace_pass(tiny, "Emit", np.zeros((tiny.height, tiny.width, 3), np.float32))
    assert (result[lamp][:, 0] < tiny["Combined"][lamp][:, 0] - 1).all()
    assert np.array_equal(result[tiny["Emit"].sum(axis=2) == 0], tiny["Combined"][tiny["Emit"].sum(axis=2) == 0])


def test_what_cannot_be_recombined_is_said(walk: Passes, tiny: Passes) -> None:
    with pytest.raises(EngineError, match="no pass DiffDir, DiffInd"):
        replace_pass(walk, "DiffCol", walk["DiffCol"])
    with pytest.raises(EngineError, match="no pass DiffDir"):
        recombine(walk)
    with pytest.raises(EngineError, match="not made of the pass Normal"):
        replace_pass(tiny, "Normal", tiny["Normal"])
    with pytest.raises(ValueError, match="is not"):
        replace_pass(tiny, "DiffCol", tiny["DiffCol"][:3])
