"""Textures as one job: which ones, how they lie on surfaces, one request for each, and what becomes of the results."""

# Blender's stubs know neither what exists at run time nor the kinds of nodes.
# mypy: disable-error-code="union-attr, attr-defined, arg-type, return-value, index, misc"

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import bpy
import numpy as np

from . import jobs, laying, materials, props, scene_io, texels, udim
from .engine_client import EngineError, protocol
from .materials import COLOUR, ReliefMaps
from .translation import worded

NO_COLOURS = "No selected object has a colour texture"

# ---------------------------------------------------------------- which textures


@dataclass(frozen=True)
class Task:
    """One image to paint. Names, for undo replaces what references point at."""

    image: str
    materials: tuple[str, ...]
    """Where the result is wired in, if they use the image"""
    use: laying.Use = field(default_factory=laying.Use)
    masks: tuple[str, ...] = ()
    relief: bool = False
    """Make the maps that light sees, too"""


def task(context: bpy.types.Context, image: bpy.types.Image, names: Iterable[str]) -> Task:
    """An image as one task; what is wrong with it is for the job to tell. Its size is not asked: Blender would read
    the file."""
    chosen, more = props.settings(context), props.textures_settings(context)
    owners = tuple(dict.fromkeys(filter(None, names)))
    return Task(image.name, owners, laying.use_of(context), tuple(scene_io.mask_names(chosen)), more.relief)


def check(wanted: Task, how: protocol.StylizeSettings) -> None:
    """Raises EngineError where an image cannot be painted so."""
    image = scene_io.find_image(wanted.image)
    scene_io.check(image, tiles=True)
    masks = [*filter(None, wanted.masks), *(place.matte for place in how.strength_of)]
    if masks and image.source == "TILED":
        raise EngineError(f"{image.name!r} has several tiles, a mask but one.", "Leave masks and places out for it.")
    scene_io.check_masks(masks, image)


def tasks(context: bpy.types.Context) -> list[Task]:
    """What the panel asks for: each image once, with all the materials that it is painted for. Raises EngineError where
    there is nothing to paint."""
    if said := problem(context):
        raise _nothing(said)
    scope = props.textures_settings(context).scope
    if scope == "ACTIVE":
        image = scene_io.original_of(scene_io.active_image(context))
        return [task(context, image, [scene_io.active_material(context)])]
    wanted: dict[bpy.types.Image, list[str]] = {}
    for material, image in _ticked(context) if scope == "SLOTS" else _selected(context):
        wanted.setdefault(image, []).append(material)
    if not wanted:
        raise _nothing(worded(NO_COLOURS))
    return [task(context, image, names) for image, names in wanted.items()]


def _nothing(said: str) -> EngineError:
    return EngineError(said, "Choose other textures in the Textures panel.")


def _selected(context: bpy.types.Context) -> list[tuple[str, bpy.types.Image]]:
    """(material, image) of every colour texture of the selected objects"""
    owners = materials.of_objects(context.view_layer.objects.selected)
    return [(owner.name, node.image) for owner in owners for node, role in materials.textures(owner) if role == COLOUR]


def _ticked(context: bpy.types.Context) -> Iterator[tuple[str, bpy.types.Image]]:
    """(material, image) of every ticked texture that is still there"""
    for slot in props.textures_settings(context).slots:
        if slot.use and slot.image in bpy.data.images and slot.material in bpy.data.materials:
            yield slot.material, bpy.data.images[slot.image]


def list_slots(context: bpy.types.Context) -> int:
    """Lists the textures of the selected objects anew. Ticks stay; new are those of colours. Returns how many."""
    more = props.textures_settings(context)
    ticks = {(slot.material, slot.image): slot.use for slot in more.slots}
    more.slots.clear()
    for owner in materials.of_objects(context.view_layer.objects.selected):
        listed = set()
        for node, role in materials.textures(owner):
            if node.image.name in listed:
                continue
            listed.add(node.image.name)
            slot = more.slots.add()
            slot.name = slot.image = node.image.name
            slot.material, slot.role = owner.name, role
            slot.use = ticks.get((owner.name, node.image.name), role == COLOUR)
    return len(more.slots)


def scope_materials(context: bpy.types.Context) -> list[bpy.types.Material]:
    """The materials that Revert and Apply are about"""
    more = props.textures_settings(context)
    if more.scope != "SELECTED":
        names = [slot.material for slot in more.slots] if more.scope == "SLOTS" else [scene_io.active_material(context)]
        return [bpy.data.materials[name] for name in dict.fromkeys(names) if name in bpy.data.materials]
    return materials.of_objects(context.view_layer.objects.selected)


def problem(context: bpy.types.Context) -> str:
    """Why nothing can be painted; empty where something can. Blender asks whenever it draws: where it would take long
    to be sure, something can, and `tasks` tells what cannot."""
    scope = props.textures_settings(context).scope
    if not props.library.styles():
        return worded("No style is installed")
    if scope == "ACTIVE":
        return "" if scene_io.image_in_view(context) else worded("There is no image in view")
    if scope == "SLOTS":
        return "" if any(True for _ in _ticked(context)) else worded("No texture is ticked")
    owners = materials.of_objects(context.view_layer.objects.selected)
    return "" if materials.may_show(owners, COLOUR) else worded(NO_COLOURS)


# ---------------------------------------------------------------- the job


@dataclass(eq=False)
class Batch:
    """Textures on their way through one job."""

    tasks: Sequence[Task]
    style: str
    """What results are named after"""
    how: protocol.StylizeSettings
    relief: float
    """Its strength"""
    view_of: str
    """The scene whose view transform is matched; or nothing"""
    numbers: tuple[int, ...] = ()
    """The tiles that are at work now; empty: the image is none of several tiles"""
    events: list[protocol.Stylized] = field(default_factory=list)
    """What came of them so far"""
    now: Task = Task("", ())
    relief_maps: dict[str, ReliefMaps] = field(default_factory=dict)
    """Of what is at work now, by material; empty: none is made"""
    folder: str = ""
    finished: int = 0

    def requests(self) -> jobs.Requests:
        """One for each texture. One that fails is told and the next one follows; alone it fails the job."""
        for number, now in enumerate(self.tasks):
            self.now = now
            if len(self.tasks) > 1:
                yield jobs.Part(number, len(self.tasks), self.now.image)
            try:
                yield from self._request()
            except EngineError as error:
                if len(self.tasks) == 1:
                    raise
                yield jobs.Missed(number, f"{self.now.image}: {error.message} {error.fix}")

    def _request(self) -> jobs.Requests:
        check(self.now, self.how)
        finished = self.finished
        with scene_io.scratch() as self.folder:
            answer = yield (yield from self._asked())
        if isinstance(answer, protocol.Failed):
            raise EngineError(answer.message, answer.fix)
        if self.finished == finished:
            raise EngineError("A tile could not be painted.", "See what was said of it; the others wait for it.")

    def _asked(self) -> Generator[None, None, protocol.StylizeRequest]:
        how = yield from scene_io.with_masks(self.how, self.now.masks, self.folder)
        image = scene_io.find_image(self.now.image)
        is_tiled = image.source == "TILED"
        lies = yield from laying.laid(self.now.image, self.now.use)
        found = yield from _pictures(scene_io.find_image(self.now.image), self.folder, lies.islands)
        self.events, self.numbers = [], tuple(found) if is_tiled else ()
        how = replace(how, tileable=lies.repeats(found.values()), overlays=() if is_tiled else how.overlays)
        self.relief_maps = _reliefs(self.now) if self.now.relief else {}
        reliefs = yield from self._reliefs(found)
        sources = tuple(picture.source for picture in found.values())
        light = sources[0].encoding == "linear"
        view = scene_io.view_table(self.view_of, self.folder) if light else None
        return protocol.StylizeRequest(props.new_job(), sources, how, self.folder, "pixels", view, reliefs=reliefs)

    def _reliefs(self, found: dict[int, scene_io.Gathered]) -> Generator[None, None, tuple[protocol.Relief, ...]]:
        """Upon the maps of the first material; in others that have the same maps it is wired in, too."""
        if not self.relief_maps:
            return ()
        maps = next(iter(self.relief_maps.values()))
        normal = yield from self._map(maps.normal)
        rough = yield from self._map(maps.roughness)
        return tuple(
            protocol.Relief(self.relief, normal.get(number), rough.get(number), maps.rough, maps.makes)
            for number in found
        )

    def _map(self, name: str) -> Generator[None, None, dict[int, protocol.PictureSource]]:
        if not name:
            return {}
        found = yield from _pictures(scene_io.find_image(name), self.folder, None)
        return {number: picture.source for number, picture in found.items()}

    def take(self, event: protocol.Event) -> scene_io.Work | None:
        """Takes the layers of a texture into Blender, once all of its tiles are there."""
        if not isinstance(event, protocol.Stylized):
            return None
        self.events.append(event)
        if self.numbers:
            return self._tiled() if len(self.events) == len(self.numbers) else None
        return self._single(event)

    def _single(self, event: protocol.Stylized) -> scene_io.Work:
        added: dict[str, bpy.types.Image] = {}
        said = yield from scene_io.add_layers(event, self.now.image, self.now.materials, self.style, added)
        told = self._done(_maps(added), said)
        yield from scene_io.emptied(self.folder)
        return told

    def _done(self, made: dict[str, bpy.types.Image], said: str) -> str:
        self.finished += 1
        if not made:
            return said
        image, maps = scene_io.find_image(self.now.image), next(iter(self.relief_maps.values()))
        left = [name for name, own in self.relief_maps.items() if own != maps]
        for name in [name for name, own in self.relief_maps.items() if own == maps and name in bpy.data.materials]:
            materials.wire_relief(bpy.data.materials[name], image, maps, made)
        told = f"{', '.join(left)} has other maps: the relief was not wired in there." if left else ""
        return "\n".join(part for part in (said, told) if part)

    def _tiled(self) -> scene_io.Work:
        """A new image of several tiles for each layer, its files beside those of the original."""
        made: dict[str, bpy.types.Image] = {}
        with ThreadPoolExecutor(max_workers=1) as thread:
            for layers in zip(*(event.layers for event in self.events), strict=True):
                image = scene_io.find_image(self.now.image)
                suffix = "png" if layers[0].pixels.dtype == "uint8" else "exr"
                part = self.style if layers[0].name == "Stylized" else f"{self.style} {layers[0].name.split('.')[-1]}"
                pattern, packed = udim.where(image, part, suffix, self.folder)
                files = [
                    thread.submit(_write_tile, pattern, number, layer)
                    for number, layer in zip(self.numbers, layers, strict=True)
                ]
                for file in files:
                    while not file.done():
                        yield
                    file.result()
                made[layers[0].name] = self._tiled_image(layers[0], pattern, packed)
                if layers[0].name == "Stylized":
                    scene_io.note_made(made["Stylized"], files[0].result())
        original, stylized = scene_io.find_image(self.now.image), made.pop("Stylized")
        for name in [name for name in self.now.materials if name in bpy.data.materials]:
            scene_io.wire_material(bpy.data.materials[name], original, stylized, None)
        scene_io.show_result(original, stylized)
        where = "" if stylized.packed_files else f"{original.name}: saved beside its tiles as {stylized.filepath}"
        told = self._done(_maps(made), where)
        yield from scene_io.emptied(self.folder)
        return told

    def _tiled_image(self, layer: protocol.Layer, pattern: str, packed: bool) -> bpy.types.Image:
        original = scene_io.find_image(self.now.image)
        image = udim.new_image(scene_io.result_name(layer, original, self.style), pattern, self.numbers, packed)
        image[scene_io.SOURCE] = original.name
        image[scene_io.RECIPE] = json.dumps(self.events[0].recipe, sort_keys=True)
        scene_io.set_meaning(image, layer, original, layer.pixels.dtype != "uint8")
        return image


def _reliefs(now: Task) -> dict[str, ReliefMaps]:
    image = scene_io.find_image(now.image)
    there = [name for name in now.materials if name in bpy.data.materials]
    found = {name: materials.relief_maps(bpy.data.materials[name], image) for name in there}
    return {name: maps for name, maps in found.items() if maps.makes}


def _maps(made: dict[str, bpy.types.Image]) -> dict[str, bpy.types.Image]:
    """Those of relief, by Normal and Roughness"""
    return {name.removeprefix("Relief."): image for name, image in made.items() if name.startswith("Relief.")}


def _write_tile(pattern: str, number: int, layer: protocol.Layer) -> np.ndarray | None:
    """In a thread: nothing of Blender's in here. Returns its thumbnail."""
    encoded = scene_io.encoded(layer)
    udim.write(pattern, number, encoded.file)
    return encoded.thumbnail


def _pictures(
    image: bpy.types.Image, folder: str, islands: texels.Islands | None
) -> Generator[None, None, dict[int, scene_io.Gathered]]:
    """By number of the tile; an image of one picture is tile 0."""
    if image.source == "TILED":
        return (yield from udim.gather(image, folder, islands))
    return {0: (yield from scene_io.gather(image, folder, islands))}


def batch(context: bpy.types.Context, wanted: Sequence[Task], view_of: str) -> Batch:
    """A job's textures. One that is alone is refused here where it cannot begin, of several each in its turn."""
    chosen = props.settings(context)
    how = props.stylize_settings(chosen, is_render=False)
    if len(wanted) == 1:
        check(wanted[0], how)
    strength = props.textures_settings(context).relief_strength
    return Batch(wanted, props.look_name(chosen), how, strength, view_of)
