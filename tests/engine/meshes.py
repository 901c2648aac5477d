"""Meshes of the forms in `worlds`, with the UV that those have, and what it takes to paint them from views."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from worlds import Form, World, _uv, affine, looking, still

from engine.projection.job import project
from engine.protocol import (
    CameraView,
    Event,
    MeshBlock,
    PictureSource,
    ProjectRequest,
    Stylized,
    StylizeSettings,
)
from engine.protocol import StyleShare as Share
from engine.shot.camera import Camera

SIX = ((5, 0, 0), (-5, 0, 0), (0, 5, 0), (0, -5, 0), (0.01, 0, 5), (0.01, 0, -5))
"""Where cameras stand that see a thing at the origin from all sides"""
Colours = Callable[[np.ndarray], np.ndarray]
"""UV (2, ...) -> display-referred colours (..., 3)"""


def waves(uv: np.ndarray) -> np.ndarray:
    """A texture without an edge: a wave takes at least a tenth of it."""
    u, v = uv * 2 * np.pi
    return np.stack([0.5 + 0.3 * np.sin(5 * u), 0.5 + 0.3 * np.cos(4 * v), 0.5 + 0.3 * np.sin(3 * u + 2 * v)], -1)


def box(at: np.ndarray | None = None) -> np.ndarray:
    """(12, 3, 8) float32: the triangles of the box of `worlds`"""
    return np.concatenate([_face(axis, side, at) for axis in range(3) for side in (-1, 1)])


def plane(at: np.ndarray | None = None) -> np.ndarray:
    """(2, 3, 8) float32"""
    corners = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], np.float64)
    return _quad(corners, np.array([0, 0, 1.0]), "plane", corners, at)


def _face(axis: int, side: int, at: np.ndarray | None) -> np.ndarray:
    across = [other for other in range(3) if other != axis]
    corners = np.zeros((4, 3))
    corners[:, axis] = side
    corners[:, across] = [[-1, -1], [1, -1], [1, 1], [-1, 1]]
    normal = np.eye(3)[axis] * side
    inner = corners * np.where(np.arange(3) == axis, 1, 1 - 1e-9)  # on no two faces
    return _quad(corners, normal, "box", inner, at)


def _quad(corners: np.ndarray, normal: np.ndarray, kind: str, told: np.ndarray, at: np.ndarray | None) -> np.ndarray:
    at = affine() if at is None else at
    uv = _uv(kind, told.T).T
    place = corners @ at[:, :3].T + at[:, 3]
    turned = normal @ np.linalg.inv(at[:, :3])
    turned /= np.linalg.norm(turned)
    whole = np.hstack([place, np.broadcast_to(turned, (4, 3)), uv]).astype(np.float32)
    return whole[[[0, 1, 2], [0, 2, 3]]]


def cameras(places: Sequence[Sequence[float]], size: tuple[int, int], focal: float = 1.2) -> list[Camera]:
    return [looking(place, (0, 0, 0), size, focal) for place in places]


def views(
    folder: Path,
    forms: Sequence[Form],
    seen_by: Sequence[Camera],
    colours: Colours = waves,
    size: tuple[int, int] = (192, 192),
) -> tuple[CameraView, ...]:
    """Renders of forms by cameras. Colours: of all of them, by their UV."""
    found = []
    for number, camera in enumerate(seen_by):
        world = World(tuple(forms), lambda _, camera=camera: camera, size)
        shown = _linear(colours(world.uv(0)[:2].astype(np.float64)))
        shown[world.seen(0).form < 0] = 0
        path = world.write(folder / f"view_{number}.exr", 0, ("Depth", "Position"), colours=shown)
        found.append(CameraView(f"View {number}", str(path), tuple(camera.matrix.ravel())))
    return tuple(found)


def _linear(display: np.ndarray) -> np.ndarray:
    return np.where(display <= 0.04045, display / 12.92, ((display + 0.055) / 1.055) ** 2.4)


def request(folder: Path, mesh: np.ndarray, seen: Sequence[CameraView], style: Path, **more: Any) -> ProjectRequest:
    folder.mkdir(parents=True, exist_ok=True)
    mesh.astype(np.float32).tofile(folder / "mesh.raw")
    settings = StylizeSettings((Share(str(style)),), device="cpu")
    asked = ProjectRequest(
        *("job", "Thing", MeshBlock(str(folder / "mesh.raw"), len(mesh)), tuple(seen), settings),
        *(str(folder / "out"), 192, 192),
        margin=0,
        deliver="pixels",
    )
    return replace(asked, **more)


def stylized(events: Sequence[Event]) -> Stylized:
    return next(event for event in events if isinstance(event, Stylized))


def made(asked: ProjectRequest) -> tuple[np.ndarray, np.ndarray, Stylized]:
    """The texture (H, W, 3) 0..1, Attribution.Views (H, W, 2), and the event with them"""
    event = stylized(list(project(asked)))
    texture, overlay = (pixels_of(layer) for layer in event.layers)
    return texture / 255, overlay, event


def pixels_of(layer: Any) -> np.ndarray:
    return np.fromfile(layer.pixels.path, layer.pixels.dtype).reshape(layer.pixels.shape)


def texture_source(path: Path, colours: np.ndarray) -> PictureSource:
    """A texture of bytes in a file; colours: (H, W, 3) 0..1"""
    from PIL import Image

    Image.fromarray(np.rint(colours * 255).astype(np.uint8)).save(path)
    return PictureSource("Flat", path=str(path))


def places_of(size: tuple[int, int]) -> np.ndarray:
    """(2, H, W): the UV of the middles of texels"""
    rows, columns = np.indices(size)
    return np.stack([(columns + 0.5) / size[1], 1 - (rows + 0.5) / size[0]])


def boxed(at: np.ndarray | None = None, name: str = "Box") -> Form:
    return Form(name, "box", still(affine() if at is None else at))
