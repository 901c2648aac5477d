"""The recipe of a result: everything needed to make it again. No clock, no host, no path, and no tile size, which the
result does not depend on."""

from __future__ import annotations

from . import machine
from .atomic import shown
from .passes import canonical
from .picture import PictureReader
from .protocol import Json, StylizeSettings

_SETTINGS = ("strength", "colours", "seed", "stroke", "diversity", "follow", "tileable", "lock")
_VERSIONS = ("engine", "numpy", "onnxruntime", "onnxruntime-gpu")


def of_picture(styles: Json, settings: StylizeSettings, name: str, reader: PictureReader, device: str) -> Json:
    """What was made of a picture, or asked about it. styles: what mixing.Mix.recipe says; name: the picture's."""
    recipe: Json = {
        **styles,
        "settings": {
            **{key: getattr(settings, key) for key in _SETTINGS},
            "painted_pass": canonical(settings.painted_pass),
            "bands": list(settings.bands),
            "gains": {gain.light: gain.gain for gain in settings.gains},
            "overlays": list(settings.overlays),
        },
        "source": {
            "name": shown(name),
            "size": [reader.width, reader.height],
            "encoding": reader.encoding,
            "alpha": reader.alpha,
        },
        "device": device,
        "versions": versions(),
    }
    if reader.view is not None:
        recipe["view"] = {"name": shown(reader.view.name), "hash": reader.view.hash}
    return recipe


def versions() -> Json:
    """Of what a result is computed by"""
    return {name: version for name, version in machine.versions().items() if name in _VERSIONS}
