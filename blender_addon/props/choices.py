"""What there is to choose from, in the artist's words; named as the engine and the command line name it."""

from __future__ import annotations

from dataclasses import dataclass

OVERLAYS = (
    ("Scale", "Scale", "Where the change comes from: colour, form or brush stroke"),
    (
        "Removal",
        "Removal",
        "How much each part of the picture contributes: it is removed and the result measured again",
    ),
)


@dataclass(frozen=True)
class Question:
    """An overlay that can be asked about a part of a result."""

    about: str
    """The artist's question, for the tooltip"""
    needs: str = ""
    """What it cannot do without, one of explaining.NEEDS; empty: nothing"""
    label: str = ""
    """Where it is not called by its name"""


QUESTIONS = {
    "Influence": Question("What could change this spot, and by how much?", "gradients"),
    "Passes": Question("How much comes from which light of the render?", "lights"),
    "Objects": Question("How much comes from which object of the render?", "objects"),
    "Styles": Question("How much comes from which style of the mix?", "mix"),
    "Removal": Question("What would change if this part of the picture were not there?"),
    "Detail": Question("Which detail of the picture made this, against a blurred picture?", "gradients"),
    "Provenance": Question("Which place of the style picture does this stroke resemble?", "pictures"),
    "StyleFit": Question("Where does the result not look like the style?", "fit", "Style Fit"),
    "Scale": Question("What did the style change: colour, form or strokes?"),
}
"""By the engine's names, in the order in which they are offered"""

PLACES = (
    ("PIXEL", "Pixel", "The pixel under the 2D cursor"),
    ("BOX", "Box", "A box around the 2D cursor"),
    ("OBJECT", "Object", "All that the render shows of the active object, by its Cryptomatte"),
    ("PICTURE", "Picture", "The whole picture"),
)


COLOURS = (
    (
        "SCENE",
        "Scene",
        "Paint the scene's own light, lamps as bright as they are; the view transform tones the painting afterwards",
    ),
    (
        "DISPLAY",
        "Match Display",
        "Paint what the view transform shows: the painting's colours show as they were painted, or as near as it can",
    ),
)


WHOSE_COLOURS = (
    ("style", "Style", "Those that the style paints"),
    ("luma", "Luma", "The picture's, in the light and dark of the style; steady in animations"),
    ("histogram", "Histogram", "The style's, brought to the mean and spread of the picture's, in each render anew"),
)
"""Named as the engine and the command line name them"""

BANDS = ("band_colour", "band_form", "band_stroke")
GAINS = {
    "Diffuse": "gain_diffuse",
    "Glossy": "gain_glossy",
    "Transmission": "gain_transmission",
    "Volume": "gain_volume",
    "Emission": "gain_emission",
    "Environment": "gain_environment",
}
"""The engine's lights, and the property that turns each up or down"""


PASSES = (
    ("Combined", "Combined", "The whole render, light and all"),
    ("DiffCol", "Diffuse Color", "The colours of surfaces: light and shadow on them stay as Blender rendered them"),
    ("DiffDir", "Diffuse Direct", "Light that comes straight to matt surfaces: their colours stay as they are"),
    ("DiffInd", "Diffuse Indirect", "Light that other surfaces throw on matt ones: their colours stay as they are"),
    ("GlossCol", "Glossy Color", "The tint of what mirrors: what it mirrors stays as it is"),
    ("GlossDir", "Glossy Direct", "Highlights of lamps"),
    ("GlossInd", "Glossy Indirect", "What mirrors show of their surroundings"),
    ("TransCol", "Transmission Color", "The tint of glass and water: what is seen through it stays as it is"),
    ("TransDir", "Transmission Direct", "Light of lamps through glass and water"),
    ("TransInd", "Transmission Indirect", "What is seen through glass and water"),
    ("VolumeDir", "Volume Direct", "Light that comes straight to smoke and fog"),
    ("VolumeInd", "Volume Indirect", "Light that is thrown about in smoke and fog"),
    ("Emit", "Emission", "What shines by itself"),
    ("Env", "Environment", "The sky behind everything, alone"),
)
"""Named as the engine and the command line name them. What Combined is made of, it is put together again with"""


TILEABLE = (
    ("OFF", "Off", "The texture ends at its borders", 0),
    ("ON", "On", "The texture repeats, whatever its borders look like", 1),
    ("AUTO", "Automatic", "Textures of materials whose borders fit each other repeat; other images end there", 2),
)

MARGINS = (
    (
        "AUTO",
        "Automatic",
        "Find the islands of a baked texture by its alpha and by the UV maps of the objects that use "
        "it: the background around them stays as it is, and runs into no stroke",
    ),
    ("OFF", "Off", "Paint everything, background too"),
)

TEXTURE_SCOPES = (
    ("ACTIVE", "Image in View", "The image of this Image Editor, or the texture of the active material"),
    ("SELECTED", "Selected Objects", "The colour textures of all materials of the selected objects"),
    ("SLOTS", "Chosen", "The textures that are ticked in a list"),
)


CONTENTS = (
    ("FRAMES", "This Scene", "What the scene has rendered: the files of its output path, up to 64 of them"),
    ("FOLDER", "Folder", "All pictures in a folder and the folders in it"),
    ("IMAGES", "Open Images", "Every texture that is open in this file, without the style pictures and our results"),
)


FRAME_SOURCES = (
    ("RENDER", "Render", "Render the scene's frame range with the passes that are needed, then paint it"),
    ("FILES", "Existing", "Paint frames that have been rendered already"),
)

STROKES = (
    ("STICK", "Stick", "Strokes stick to what they are painted on. The whole shot is looked at first"),
    ("CARRY", "Carry On", "Strokes are carried on from each frame to the next, in order; for frames without Position"),
    (
        "ANEW",
        "Each Frame Anew",
        "Every frame is painted alone: strokes change from frame to frame, as in hand-drawn films",
    ),
)


SHOTS = (
    ("SCENE", "This Scene", "What the scene has rendered: the files of its output path"),
    ("FOLDER", "Folder", "The numbered pictures in a folder: one shot"),
)

KINDS = (
    ("PICTURES", "From Pictures", "Learn the hand of a painting, or of a few: the style paints anything"),
    ("KEYFRAMES", "From Keyframes", "Learn from frames of a shot that you have painted over: the rest follows"),
    ("TEXTURE", "Texture", "Learn a material from a picture of it: New Texture makes as much of it as you want"),
)


CHANNEL_ORDERS = (
    ("RGB", "RGB", "Red first, as most models take it"),
    ("BGR", "BGR", "Blue first, as models that were trained with OpenCV or Caffe take it"),
)
VALUE_RANGES = (
    ("UNIT", "0 to 1", "Black is 0, white is 1"),
    ("SIGNED", "-1 to 1", "Black is -1, white is 1"),
    ("BYTES", "0 to 255", "Black is 0, white is 255"),
    ("OTHER", "Other", "Numbers of your own"),
)
RANGES = {"UNIT": (0.0, 1.0), "SIGNED": (-1.0, 1.0), "BYTES": (0.0, 255.0)}
NORMALISATIONS = (
    ("NONE", "None", "Colours are given as they are"),
    ("IMAGENET", "ImageNet", "The mean of ImageNet is subtracted and its deviation divides, as in torchvision"),
    ("MEAN", "Mean Only", "The mean of ImageNet is subtracted, as in Caffe"),
)
LAYOUTS = (
    ("NCHW", "Planes", "Red, green and blue one after the other (NCHW), as PyTorch has them"),
    ("NHWC", "Pixels", "The three colours of each pixel together (NHWC), as TensorFlow has them"),
)
"""What somebody else's model may take, as the engine and the command line name it"""


@dataclass(frozen=True)
class Guide:
    """What a style from keyframes may be told beside a frame: the engine's guide of the same name."""

    label: str
    passes: tuple[str, ...]
    """The pass it is made from, as Blender 4 and Blender 5 name it"""
    switch: str
    """Where to switch that on, below View Layer Properties > Passes"""
    about: str


GUIDES = {
    "albedo": Guide(
        "Albedo",
        ("DiffCol", "Diffuse Color"),
        "Light > Diffuse: Color",
        "Colour without light: what is a shadow, and what is dark paint",
    ),
    "normal": Guide(
        "Normal", ("Normal",), "Data > Normal", "Where a surface faces: strokes that follow forms and light"
    ),
    "depth": Guide("Depth", ("Depth",), "Data > Z", "What is near, and what is far"),
    "position": Guide(
        "Position", ("Position",), "Data > Position", "Strokes stick to objects that stand still while the camera moves"
    ),
    "uv": Guide("UV", ("UV",), "Data > UV", "Strokes stick to objects that move, turn or deform; they need a UV map"),
}


@dataclass(frozen=True)
class Effort:
    """How long to train a style of one kind."""

    budget: float
    """Seconds for everything, the style included that stands at the end"""
    steps: int
    """More it never does; 0: as many as the time allows"""
    preview_every: int
    about: str
    """What to expect"""


EFFORT_NAMES = (
    ("QUICK", "Quick", "At most 5 minutes"),
    ("STANDARD", "Standard", "At most 15 minutes"),
    ("FINE", "Fine", "At most 60 minutes"),
)
EFFORTS = {
    # A third of the time at most goes to the teacher's pictures (435 s for all), then .31 s on one processor core to
    # each step in the first three quarters of what is left and .54 s in the last: 500, 1,600, 8,600.
    "PICTURES": {
        "QUICK": Effort(
            300,
            0,
            50,
            "At most 5 minutes. About 500 steps on one processor core: palette and soft strokes, "
            "enough to see whether a painting suits.",
        ),
        "STANDARD": Effort(
            900,
            0,
            100,
            "At most 15 minutes. About 1,500 steps on one processor core: whole strokes.",
        ),
        "FINE": Effort(
            3600,
            0,
            250,
            "At most 60 minutes. About 8,500 steps on one processor core: sharper strokes, clearer forms.",
        ),
    },
    # .06 s of one processor core to each of the first four fifths of the steps and .08 s to the last.
    "KEYFRAMES": {
        "QUICK": Effort(
            300,
            600,
            50,
            "At most 5 minutes; 600 steps take 40 seconds of one processor core: colours and forms in their place, "
            "soft strokes.",
        ),
        "STANDARD": Effort(
            900,
            2000,
            100,
            "At most 15 minutes; 2,000 steps take two to three minutes of one processor core: your strokes, "
            "a little softer.",
        ),
        "FINE": Effort(3600, 10000, 250, "At most 60 minutes; 10,000 steps, five times as many as Standard."),
    },
    # .20 s of one processor core to each of the first half of the steps and .31 s to the rest.
    "TEXTURE": {
        "QUICK": Effort(
            300,
            420,
            50,
            "At most 5 minutes; 420 steps take two minutes of one processor core: the material, a little soft.",
        ),
        "STANDARD": Effort(
            900,
            2400,
            100,
            "At most 15 minutes; 2,400 steps take ten and a half minutes of one processor core: finer grain.",
        ),
        "FINE": Effort(3600, 9600, 250, "At most 60 minutes; 9,600 steps, four times as many as Standard."),
    },
}
"""By kind of style. The times are the same for all, the steps are what a kind makes of them."""
