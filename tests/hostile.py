"""Makes a folder of hostile and broken files: style packs, zips, ONNX models, JSON, EXR, PNG and JPEG pictures.

    python tests/hostile.py FOLDER

Every one of them must be refused with a reason and a fix, fast, in little memory, and must not write anything outside
the folder it is imported into. tests/engine/test_hostile.py runs them through the product.
Nothing here is dangerous to keep: the payloads are markers, not programs.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import pickle
import stat
import struct
import sys
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import OpenEXR
from onnx import TensorProto, helper, numpy_helper

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE / "engine")]

import tiny_styles  # noqa: E402 (the tests' own folder comes first)

MANIFEST = "style.json"
GENERATOR = "generator.onnx"
Files = dict[str, bytes]


def make(folder: Path) -> list[Path]:
    """All hostile files and folders, under names that say what is wrong with them."""
    folder.mkdir(parents=True, exist_ok=True)
    good = good_pack(folder / "..good")
    for makers in (ZIPS, FOLDERS, MODELS, PICTURES):
        for name, maker in makers.items():
            maker(folder / name, dict(good))
    return sorted(path for path in folder.iterdir() if not path.name.startswith(".."))


def good_pack(folder: Path) -> Files:
    """Files of a sound style pack: each hostile one differs from it in one way."""
    tiny_styles.identity(folder, name="Hostile")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def changed(pack: Files, /, **changes: Any) -> Files:
    """The pack with other entries in style.json."""
    data = json.loads(pack[MANIFEST])
    data.update(changes)
    return {**pack, MANIFEST: json.dumps(data).encode()}


def with_file(files: Files, name: str, data: bytes) -> Files:
    """The pack with one more (or another) file, listed with its true sha256: only its nature is wrong."""
    listed = json.loads(files[MANIFEST])["files"]
    listed[name] = hashlib.sha256(data).hexdigest()
    return changed({**files, name: data}, files=listed)


# ---------------------------------------------------------------- zips


def write_zip(
    path: Path, entries: Files | list[tuple[str | zipfile.ZipInfo, bytes]], method: int = zipfile.ZIP_DEFLATED
) -> None:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", method) as archive:
        warnings.simplefilter("ignore")  # duplicate names are the point
        for name, data in entries.items() if isinstance(entries, dict) else entries:
            archive.writestr(name, data)


def zip_with(name: str) -> Callable[[Path, Files], None]:
    """The good pack and one entry of an evil name."""
    return lambda path, files: write_zip(path, [*files.items(), (name, b"evil")])


def zip_of_kind(kind: int) -> Callable[[Path, Files], None]:
    def maker(path: Path, files: Files) -> None:
        entry = zipfile.ZipInfo("preview.png")
        entry.create_system = 3
        entry.external_attr = (kind | 0o777) << 16
        rest = [(name, data) for name, data in files.items() if name != "preview.png"]
        write_zip(path, [*rest, (entry, b"/etc/passwd")])

    return maker


def zip_bomb(path: Path, files: Files) -> None:
    write_zip(path, [*files.items(), ("training.safetensors", bytes(60 << 20))])


def zip_bomb_of_many(path: Path, files: Files) -> None:
    """Five entries that share one compressed megabyte and claim 40 MB each."""
    write_zip(path, [*files.items(), *((f"part{n}.txt", bytes(1 << 20)) for n in range(5))])
    data = bytearray(path.read_bytes())
    patch_central(data, lambda name: name.startswith(b"part"), 24, struct.pack("<I", 40 << 20))
    path.write_bytes(data)


def zip_encrypted(path: Path, files: Files) -> None:
    write_zip(path, files)
    data = bytearray(path.read_bytes())
    patch_central(data, lambda name: True, 8, struct.pack("<H", 1))
    path.write_bytes(data)


def zip_lies_about_size(claimed: int) -> Callable[[Path, Files], None]:
    def maker(path: Path, files: Files) -> None:
        write_zip(path, files)
        data = bytearray(path.read_bytes())
        patch_central(data, lambda name: name == GENERATOR.encode(), 24, struct.pack("<I", claimed))
        path.write_bytes(data)

    return maker


def zip_overlapping(path: Path, files: Files) -> None:
    """Every entry of the table of contents points at the same data."""
    write_zip(path, files)
    data = bytearray(path.read_bytes())
    patch_central(data, lambda name: True, 42, struct.pack("<I", 0))
    path.write_bytes(data)


def zip_claims_many(path: Path, files: Files) -> None:
    write_zip(path, files)
    data = bytearray(path.read_bytes())
    end = data.rindex(b"PK\x05\x06")
    data[end + 8 : end + 12] = b"\xff\xff\xff\xff"
    path.write_bytes(data)


def patch_central(data: bytearray, which: Callable[[bytes], bool], offset: int, value: bytes) -> None:
    """Overwrite a field of the central directory's entries."""
    at = data.find(b"PK\x01\x02")
    while at >= 0:
        length = struct.unpack("<H", data[at + 28 : at + 30])[0]
        if which(bytes(data[at + 46 : at + 46 + length])):
            data[at + offset : at + offset + len(value)] = value
        at = data.find(b"PK\x01\x02", at + 46)


def wrong_sha(path: Path, files: Files) -> None:
    write_zip(path, {**files, "preview.png": tiny_styles.preview_png(17)})


def without(name: str) -> Callable[[Path, Files], None]:
    return lambda path, files: write_zip(path, {key: data for key, data in files.items() if key != name})


class _Payload:
    """What a hostile pickle does when somebody loads it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("a pickle was loaded",))


ZIPS: dict[str, Callable[[Path, Files], None]] = {
    "zip_slip.zip": zip_with("../evil.txt"),
    "zip_slip_inside.zip": zip_with("a/../../evil.txt"),
    "zip_absolute.zip": zip_with("/evil.txt"),
    "zip_drive.zip": zip_with("C:evil.txt"),
    "zip_backslash.zip": zip_with("..\\evil.txt"),
    "zip_control_characters.zip": zip_with("ev\x1bil.txt"),
    "zip_deep_folders.zip": zip_with("a/b/c/d.txt"),
    "zip_extra_file.zip": zip_with("run_me.py"),
    "zip_extra_pickle.zip": lambda path, files: write_zip(path, [*files.items(), ("w.pkl", pickle.dumps(_Payload()))]),
    "zip_two_manifests.zip": zip_with("other/" + MANIFEST),
    "zip_symlink.zip": zip_of_kind(stat.S_IFLNK),
    "zip_device.zip": zip_of_kind(stat.S_IFBLK),
    "zip_bomb.zip": zip_bomb,
    "zip_bomb_of_many.zip": zip_bomb_of_many,
    "zip_many_files.zip": lambda path, files: write_zip(path, [(f"{n}.txt", b"") for n in range(3000)]),
    "zip_claims_many.zip": zip_claims_many,
    "zip_duplicate.zip": lambda path, files: write_zip(path, [*files.items(), (MANIFEST, b"{}")]),
    "zip_case_collision.zip": zip_with("STYLE.JSON"),
    "zip_encrypted.zip": zip_encrypted,
    "zip_says_too_small.zip": zip_lies_about_size(10),
    "zip_says_too_large.zip": zip_lies_about_size(90 << 20),
    "zip_overlapping.zip": zip_overlapping,
    "zip_strange_compression.zip": lambda path, files: write_zip(path, files, zipfile.ZIP_LZMA),
    "zip_wrong_sha256.zip": wrong_sha,
    "zip_missing_file.zip": without("preview.png"),
    "zip_missing_model.zip": without(GENERATOR),
    "zip_without_manifest.zip": without(MANIFEST),
    "zip_truncated.zip": lambda path, files: (write_zip(path, files), path.write_bytes(path.read_bytes()[:-40]))[0],
    "zip_is_text.zip": lambda path, files: void(path.write_bytes(b"no zip at all\n" * 100)),
    "zip_pickle_as_weights.zip": lambda path, files: write_zip(
        path, with_file(files, "training.safetensors", pickle.dumps(_Payload()))
    ),
}


def void(_: object) -> None:
    """For makers that are one expression."""


# ---------------------------------------------------------------- folders and style.json


def write_folder(path: Path, files: Files) -> None:
    path.mkdir()
    for name, data in files.items():
        (path / name).write_bytes(data)


def json_is(data: bytes) -> Callable[[Path, Files], None]:
    return lambda path, files: write_folder(path, {**files, MANIFEST: data})


def json_says(**changes: Any) -> Callable[[Path, Files], None]:
    return lambda path, files: write_folder(path, changed(files, **changes))


def model_says(**changes: Any) -> Callable[[Path, Files], None]:
    def maker(path: Path, files: Files) -> None:
        model = {**json.loads(files[MANIFEST])["model"], **changes}
        write_folder(path, changed(files, model=model))

    return maker


def texture_says(**changes: Any) -> Callable[[Path, Files], None]:
    """A sound texture with changes to its model; those to an input by its name."""

    def maker(path: Path, _: Files) -> None:
        tiny_styles.pattern(path)
        data = json.loads((path / MANIFEST).read_bytes())
        for key, value in changes.items():
            if key in data["model"]["inputs"]:
                data["model"]["inputs"][key] |= value
            else:
                data["model"][key] = value
        (path / MANIFEST).write_text(json.dumps(data))

    return maker


def strokes(file: str, edge: int) -> dict[str, Any]:
    return {"channels": 1, "strokes": {"file": file, "rows": edge, "columns": edge}}


def folder_symlink(path: Path, files: Files) -> None:
    write_folder(path, files)
    (path / "preview.png").unlink()
    (path / "preview.png").symlink_to("/etc/passwd")


def folder_in_folder(path: Path, files: Files) -> None:
    write_folder(path, files)
    (path / "sub").mkdir()


def json_text(files: Files, old: bytes, new: bytes) -> bytes:
    assert old in files[MANIFEST]
    return files[MANIFEST].replace(old, new, 1)


def huge_preview() -> bytes:
    head = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", head) + png_chunk(b"IEND", b"")


FOLDERS: dict[str, Callable[[Path, Files], None]] = {
    "folder_symlink": folder_symlink,
    "folder_in_folder": folder_in_folder,
    "json_names_file_outside": json_says(files={"../../evil": "0" * 64, GENERATOR: "0" * 64}),
    "json_of_two_megabytes": json_is(b'{"a":"' + b"x" * (2 << 20) + b'"}'),
    "json_deep": json_is(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "json_not_a_number": lambda path, files: write_folder(
        path, {**files, MANIFEST: json_text(files, b'"macs_per_pixel": 0.0', b'"macs_per_pixel": NaN')}
    ),
    "json_key_twice": lambda path, files: write_folder(
        path, {**files, MANIFEST: json_text(files, b'"schema": 1', b'"schema": 2, "schema": 1')}
    ),
    "json_long_number": lambda path, files: write_folder(
        path, {**files, MANIFEST: json_text(files, b'"schema": 1', b'"schema": ' + b"1" * 10_000)}
    ),
    "json_not_utf8": json_is(b'{"name":"\xff\xfe"}'),
    "json_is_a_list": json_is(b"[1, 2, 3]"),
    "json_empty": json_is(b""),
    "json_wrong_type": model_says(stride="4"),
    "json_negative_radius": model_says(receptive_radius=-1),
    "json_huge_radius": model_says(receptive_radius=10**9),
    "json_huge_fixed_size": model_says(fixed_size=[10**6, 10**6]),
    "json_other_input": model_says(inputs={"image": {"channels": 3, "tensor": "nobody"}}),
    "json_strokes_from_elsewhere": model_says(inputs={"image": {"channels": 3}, "noise": strokes("../../evil", 4)}),
    "json_strokes_without_end": model_says(inputs={"image": {"channels": 3}, "noise": strokes("a.bytes", 1 << 40)}),
    "json_unknown_field": json_says(command="rm"),
    "picture_with_waves": model_says(inputs={"image": {"channels": 3, "waves": [[0.1, 0.1]]}}),
    "texture_of_nothing": texture_says(inputs={}),
    "texture_of_grain_alone": texture_says(inputs={"grain": {"channels": 1, "scale": 2}}),
    "texture_told_of_a_picture": texture_says(inputs={"noise": {"channels": 4, "scale": 8}, "normal": {"channels": 3}}),
    "texture_that_sees_everything": texture_says(receptive_radius=None),
    "texture_of_one_size": texture_says(fixed_size=[64, 64]),
    "texture_between_its_cells": texture_says(stride=4),
    "texture_with_strokes": texture_says(noise={"strokes": {"file": "preview.png", "rows": 4, "columns": 4}}),
    "texture_quilted_of_nothing": texture_says(noise={"distribution": "quilted"}),
    "texture_quilted_of_one_table": texture_says(
        noise={"distribution": "quilted", "waves": [], "strokes": {"file": "preview.png", "rows": 8, "columns": 8}},
        grain={"distribution": "quilted", "strokes": {"file": "preview.png", "rows": 8, "columns": 8}},
    ),
    "texture_quilted_without_end": texture_says(
        noise={
            "distribution": "quilted",
            "waves": [],
            "strokes": {"file": "preview.png", "rows": 6, "columns": 1 << 40},
        }
    ),
    "texture_of_unknown_noise": texture_says(grain={"distribution": "../../evil"}),
    "texture_of_other_noise": texture_says(noise={"channels": 63}),
    "texture_of_wide_noise": texture_says(noise={"channels": 10**6}),
    "texture_waves_without_end": texture_says(noise={"waves": [[0.1, 0.1]] * 10_000}),
    "texture_waves_of_words": texture_says(noise={"waves": [["evil", 0.1]]}),
    "texture_waves_too_short": texture_says(noise={"waves": [[1e300, 0.1]]}),
    "texture_more_waves_than_channels": texture_says(noise={"waves": [[0.1, 0.1]] * 3}),
    "preview_of_ten_gigapixels": lambda path, files: write_folder(
        path, with_file(files, "preview.png", huge_preview())
    ),
    "safetensors_lies": lambda path, files: write_folder(
        path, with_file(files, "training.safetensors", struct.pack("<Q", 1 << 60) + b"{}")
    ),
}


# ---------------------------------------------------------------- ONNX


def model_of(*nodes: onnx.NodeProto, weights: dict[str, np.ndarray] | None = None, opset: int = 17) -> onnx.ModelProto:
    """A model x -> y over (1, 3, h, w)."""
    tensors = [numpy_helper.from_array(value, name) for name, value in (weights or {}).items()]
    shape = [1, 3, "h", "w"]
    return onnx.load_from_string(tiny_styles.model_bytes(nodes, tensors, [("x", shape)], ("y", shape), opset))


def node(operator: str, *inputs: str, output: str = "y", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, list(inputs), [output], **attributes)


def saved(build: Callable[[], onnx.ModelProto]) -> Callable[[Path, Files], None]:
    return lambda path, files: void(path.write_bytes(build().SerializeToString()))


def raw(build: Callable[[bytes], bytes]) -> Callable[[Path, Files], None]:
    """From the bytes of a sound model."""
    return lambda path, files: void(path.write_bytes(build(files[GENERATOR])))


def external_data() -> onnx.ModelProto:
    model = model_of(node("Add", "x", "w"), weights={"w": np.zeros((1, 3, 1, 1), np.float32)})
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../../../etc/passwd"
    return model


def custom_domain() -> onnx.ModelProto:
    model = model_of(helper.make_node("Evil", ["x"], ["y"], domain="com.evil"))
    model.opset_import.append(helper.make_opsetid("com.evil", 1))
    return model


def loop() -> onnx.ModelProto:
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["d"]), helper.make_node("Identity", ["v"], ["o"])],
        "body",
        [
            helper.make_tensor_value_info(n, t, s)
            for n, t, s in (("i", TensorProto.INT64, []), ("c", TensorProto.BOOL, []), ("v", TensorProto.FLOAT, None))
        ],
        [
            helper.make_tensor_value_info(n, t, s)
            for n, t, s in (("d", TensorProto.BOOL, []), ("o", TensorProto.FLOAT, None))
        ],
    )
    weights = {"n": np.array(2**62), "yes": np.array(True)}
    return model_of(node("Loop", "n", "yes", "x", body=body), weights=weights)


def nested(depth: int) -> onnx.GraphProto:
    output = [helper.make_tensor_value_info("o", TensorProto.FLOAT, None)]
    inner = helper.make_graph([helper.make_node("Identity", ["x"], ["o"])], "g", [], output)
    for _ in range(depth):
        choice = helper.make_node("If", ["yes"], ["o"], then_branch=inner, else_branch=inner)
        inner = helper.make_graph([choice], "g", [], output)
    return inner


def deep_ifs() -> onnx.ModelProto:
    inner = nested(8)
    return model_of(node("If", "yes", then_branch=inner, else_branch=inner), weights={"yes": np.array(True)})


def deep_bytes() -> bytes:
    """A graph in an attribute of a node in a graph, ten thousand times: a reader that recurses blindly falls over."""
    data = b""
    for _ in range(10_000):
        attribute = field(6, data)
        data = field(1, field(5, attribute) + field(4, b"If"))
        if len(data) > 1 << 20:
            break
    return field(7, data)


def field(number: int, data: bytes) -> bytes:
    """A length-delimited field of a protocol buffer."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(value: int) -> bytes:
    result = bytearray()
    while value > 0x7F:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*result, value])


def chain(operator: str, count: int, **attributes: Any) -> list[onnx.NodeProto]:
    """x -> operator -> operator ... -> y"""
    names = ["x", *(f"t{n}" for n in range(count - 1)), "y"]
    return [node(operator, a, output=b, **attributes) for a, b in itertools.pairwise(names)]


def doubling() -> onnx.ModelProto:
    names = ["x", *(f"t{n}" for n in range(29)), "y"]
    return model_of(*(node("Concat", a, a, output=b, axis=1) for a, b in itertools.pairwise(names)))


def weights_from_nothing() -> onnx.ModelProto:
    """Claims a terabyte of weights and holds none."""
    model = model_of(node("Add", "x", "w"), weights={"w": np.zeros((1, 3, 1, 1), np.float32)})
    tensor = model.graph.initializer[0]
    del tensor.dims[:]
    tensor.dims.extend([1 << 20, 1 << 20])
    tensor.raw_data = b""
    return model


def negative_shape() -> onnx.ModelProto:
    model = model_of(node("Add", "x", "w"), weights={"w": np.zeros((1, 3, 1, 1), np.float32)})
    model.graph.initializer[0].dims[1] = -3
    return model


def short_weights() -> onnx.ModelProto:
    weight = np.zeros((3, 3, 9, 9), np.float32)
    model = model_of(node("Conv", "x", "w", pads=[4] * 4), weights={"w": weight})
    model.graph.initializer[0].raw_data = b"1234"
    return model


def own_functions() -> onnx.ModelProto:
    model = model_of(node("Relu", "x"))
    model.functions.append(
        helper.make_function(
            "", "Relu", ["a"], ["b"], [helper.make_node("Neg", ["a"], ["b"])], [helper.make_opsetid("", 17)]
        )
    )
    return model


def sparse_weights() -> onnx.ModelProto:
    model = model_of(node("Add", "x", "w"), weights={})
    values = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
    indices = helper.make_tensor("", TensorProto.INT64, [1], [0])
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [1 << 40]))
    return model


def wrong_kind(dtype: int, shape: list[Any]) -> Callable[[], onnx.ModelProto]:
    def build() -> onnx.ModelProto:
        values = [helper.make_tensor_value_info(name, dtype, shape) for name in ("x", "y")]
        graph = helper.make_graph([node("Identity", "x")], "g", values[:1], values[1:])
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])

    return build


def two_inputs() -> onnx.ModelProto:
    model = model_of(node("Add", "x", "z"))
    model.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 3, "h", "w"]))
    return model


def oversize(path: Path, files: Files) -> None:
    """Two gigabytes that take no room on the disk."""
    with path.open("wb") as file:
        file.truncate(2 << 30)


LARGE = 10**6
MODELS: dict[str, Callable[[Path, Files], None]] = {
    "onnx_external_data.onnx": saved(external_data),
    "onnx_custom_domain.onnx": saved(custom_domain),
    "onnx_unknown_operator.onnx": saved(lambda: model_of(node("RunProgram", "x"))),
    "onnx_random_operator.onnx": saved(lambda: model_of(node("RandomNormalLike", "x"))),
    "onnx_loop.onnx": saved(loop),
    "onnx_deep_ifs.onnx": saved(deep_ifs),
    "onnx_deep_bytes.onnx": raw(lambda good: good + deep_bytes()),
    "onnx_only_deep_bytes.onnx": raw(lambda good: deep_bytes()),
    "onnx_many_nodes.onnx": saved(lambda: model_of(*chain("Relu", 20_000))),
    "onnx_many_connections.onnx": saved(lambda: model_of(node("Sum", *["x"] * 100_000))),
    "onnx_doubling.onnx": saved(doubling),
    "onnx_tile.onnx": saved(lambda: model_of(node("Tile", "x", "r"), weights={"r": np.array([1, 1, LARGE, LARGE])})),
    "onnx_expand.onnx": saved(
        lambda: model_of(node("Expand", "x", "r"), weights={"r": np.array([LARGE, 3, LARGE, LARGE])})
    ),
    "onnx_from_nothing.onnx": saved(
        lambda: model_of(
            node("ConstantOfShape", "r", output="c"), node("Add", "x", "c"), weights={"r": np.array([LARGE] * 3)}
        )
    ),
    "onnx_pad.onnx": saved(
        lambda: model_of(node("Pad", "x", "p"), weights={"p": np.array([0, 0, LARGE, LARGE, 0, 0, LARGE, LARGE])})
    ),
    "onnx_pads.onnx": saved(lambda: model_of(*chain("MaxPool", 1, kernel_shape=[1, 1], pads=[LARGE] * 4))),
    "onnx_resize.onnx": saved(
        lambda: model_of(node("Resize", "x", "", "s"), weights={"s": np.array([1, 1, 1e4, 1e4], np.float32)})
    ),
    "onnx_resize_chain.onnx": saved(
        lambda: model_of(
            *(
                node("Resize", a, "", "s", output=b)
                for a, b in zip(["x", *"abcdefgh"], [*"abcdefgh", "y"], strict=True)
            ),
            weights={"s": np.array([1, 1, 4, 4], np.float32)},
        )
    ),
    "onnx_transpose_stride.onnx": saved(
        lambda: model_of(
            node("ConvTranspose", "x", "w", strides=[5000, 5000]), weights={"w": np.zeros((3, 3, 1, 1), np.float32)}
        )
    ),
    "onnx_weights_from_nothing.onnx": saved(weights_from_nothing),
    "onnx_negative_shape.onnx": saved(negative_shape),
    "onnx_short_weights.onnx": saved(short_weights),
    "onnx_own_functions.onnx": saved(own_functions),
    "onnx_sparse_weights.onnx": saved(sparse_weights),
    "onnx_future_operators.onnx": saved(lambda: model_of(node("Relu", "x"), opset=999)),
    "onnx_strings.onnx": saved(wrong_kind(TensorProto.STRING, [1, 3, 8, 8])),
    "onnx_flat.onnx": saved(wrong_kind(TensorProto.FLOAT, [1000])),
    "onnx_huge_fixed_size.onnx": saved(wrong_kind(TensorProto.FLOAT, [1, 3, 10**5, 10**5])),
    "onnx_two_inputs.onnx": saved(two_inputs),
    "onnx_other_size_out.onnx": saved(lambda: model_of(node("MaxPool", "x", kernel_shape=[2, 2], strides=[2, 2]))),
    "onnx_not_numbers.onnx": saved(lambda: model_of(node("Sub", "x", "x", output="z"), node("Div", "z", "z"))),
    "onnx_varint_bomb.onnx": raw(lambda good: b"\x08" + b"\xff" * 50_000),
    "onnx_length_bomb.onnx": raw(lambda good: varint(7 << 3 | 2) + varint(1 << 62) + b"x"),
    "onnx_field_zero.onnx": raw(lambda good: b"\x00\x00" + good),
    "onnx_truncated.onnx": raw(lambda good: good[: len(good) // 2]),
    "onnx_empty.onnx": raw(lambda good: b""),
    "onnx_is_a_pickle.onnx": raw(lambda good: pickle.dumps(_Payload())),
    "onnx_two_graphs.onnx": raw(lambda good: good + good),
    "onnx_two_gigabytes.onnx": oversize,
}


# ---------------------------------------------------------------- pictures


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, body: bytes, depth: int = 8, extra: bytes = b"") -> bytes:
    head = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    chunks = png_chunk(b"IHDR", head) + extra + png_chunk(b"IDAT", body) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def exr(width: int = 8, height: int = 8) -> bytes:
    stream = io.BytesIO()
    planes = {name: np.zeros((height, width), np.float16) for name in "RGBA"}
    OpenEXR.File({"type": OpenEXR.scanlineimage, "compression": OpenEXR.ZIP_COMPRESSION}, planes).write(stream)
    return stream.getvalue()


def exr_window(left: int, top: int, right: int, bottom: int) -> bytes:
    data = bytearray(exr())
    at = data.index(b"dataWindow\0box2i\0") + len(b"dataWindow\0box2i\0") + 4
    data[at : at + 16] = struct.pack("<4i", left, top, right, bottom)
    return bytes(data)


def jpeg_of_size(width: int, height: int) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.new("RGB", (16, 16)).save(stream, "JPEG")
    data = bytearray(stream.getvalue())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def picture(data: Callable[[], bytes]) -> Callable[[Path, Files], None]:
    return lambda path, files: void(path.write_bytes(data()))


ROW = b"\0" + b"abc" * 8
PICTURES: dict[str, Callable[[Path, Files], None]] = {
    "png_claims_gigapixels.png": picture(lambda: png(60_000, 60_000, zlib.compress(bytes(1000)))),
    "png_claims_16k_of_nothing.png": picture(lambda: png(16_384, 16_384, zlib.compress(bytes(1000)))),
    "png_claims_8k_of_16_bits.png": picture(lambda: png(8_192, 8_192, zlib.compress(bytes(1000)), 16)),
    "png_no_pixels.png": picture(lambda: png(0, 0, zlib.compress(b""))),
    "png_truncated.png": picture(lambda: png(8, 8, zlib.compress(ROW * 8))[:-30]),
    "png_damaged_16_bits.png": picture(lambda: png(8, 8, zlib.compress(bytes(49 * 8))[:-6], 16)),
    "png_wrong_filter_16_bits.png": picture(lambda: png(8, 8, zlib.compress((b"\x09" + bytes(48)) * 8), 16)),
    "png_chunk_length.png": picture(lambda: b"\x89PNG\r\n\x1a\n" + b"\xff\xff\xff\xffIHDR" + bytes(40)),
    "png_signature_alone.png": picture(lambda: b"\x89PNG\r\n\x1a\n"),
    "exr_truncated.exr": picture(lambda: exr()[:-20]),
    "exr_header_alone.exr": picture(lambda: exr()[:200]),
    "exr_magic_alone.exr": picture(lambda: b"\x76\x2f\x31\x01"),
    "exr_huge_window.exr": picture(lambda: exr_window(0, 0, 2**30, 2**30)),
    "exr_inverted_window.exr": picture(lambda: exr_window(10, 10, 0, 0)),
    "exr_overflowing_window.exr": picture(lambda: exr_window(-(2**31), -(2**31), 2**31 - 1, 2**31 - 1)),
    "exr_noise.exr": picture(lambda: b"\x76\x2f\x31\x01\x02\0\0\0" + np.random.default_rng(0).bytes(5000)),
    "jpeg_claims_gigapixels.jpg": picture(lambda: jpeg_of_size(65_000, 65_000)),
    "jpeg_truncated.jpg": picture(lambda: jpeg_of_size(16, 16)[:200]),
    "text.png": picture(lambda: b"I am a picture, believe me.\n" * 10),
    "empty.exr": picture(lambda: b""),
}


if __name__ == "__main__":
    for made in make(Path(sys.argv[1])):
        print(made.name)
