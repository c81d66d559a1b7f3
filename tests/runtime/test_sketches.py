"""A sketch comes back as the same black ink on white, whatever file it was in."""

import json
import struct
import subprocess
import sys
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageDraw

from sketchfast.runtime.sketches import read_photo, read_sketch


@pytest.fixture
def ink(seed):
    """A drawing as grey levels: antialiased lines, black on white."""
    random = np.random.default_rng(seed)
    picture = Image.new("L", (400, 320), 255)
    for _ in range(4):
        ImageDraw.Draw(picture).line(random.integers(20, 300, 4).tolist(), fill=0, width=8)
    return np.array(picture.reduce(4))


def alpha_picture(ink, level, ground=0):
    """Ink of one grey level whose alpha is the drawing; the hidden colour below is `ground`."""
    alpha = 255 - ink
    colour = np.where(alpha > 0, level, ground).astype(np.uint8)
    return Image.fromarray(np.dstack([colour, colour, colour, alpha]))


def palette_with_transparency(ink):
    picture = Image.fromarray((ink < 128).astype(np.uint8)).convert("P")
    picture.putpalette([255, 0, 255, 0, 0, 0])
    picture.info["transparency"] = 0
    return picture


# name -> (picture of the drawing, largest difference allowed, what must be said or None)
VARIANTS = {
    "grey": (lambda ink: Image.fromarray(ink), 0, None),
    "colour": (lambda ink: Image.fromarray(ink).convert("RGB"), 0, None),
    "inverted": (lambda ink: Image.fromarray(255 - ink), 0, "dark ground"),
    "inverted colour": (lambda ink: Image.fromarray(255 - ink).convert("RGB"), 0, "dark ground"),
    "palette": (lambda ink: Image.fromarray(ink).convert("RGB").quantize(256), 8, None),
    "opaque alpha": (lambda ink: Image.fromarray(ink).convert("RGBA"), 0, None),
    "grey and alpha": (lambda ink: Image.fromarray(ink).convert("LA"), 0, None),
    "black on transparent black": (lambda ink: alpha_picture(ink, 0), 0, None),
    "black on transparent white": (lambda ink: alpha_picture(ink, 0, 255), 0, None),
    "white on transparent": (lambda ink: alpha_picture(ink, 255), 0, "transparent ground"),
    "16 bits": (lambda ink: Image.fromarray(ink.astype(np.uint16) * 257), 0, None),
    "faint pencil": (lambda ink: Image.fromarray((150 + ink / 255 * 105).astype(np.uint8)), 6, "stretched"),
}
THRESHOLDED = {
    "1 bit": (lambda ink: Image.fromarray(ink).convert("1", dither=Image.Dither.NONE), None),
    "1 bit inverted": (
        lambda ink: Image.fromarray(255 - ink).convert("1", dither=Image.Dither.NONE),
        "dark ground",
    ),
    "palette, transparent ground": (palette_with_transparency, None),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_pictures(tmp_path, ink, name):
    make, tolerance, said = VARIANTS[name]
    make(ink).save(tmp_path / "s.png")
    sketch = read_sketch(tmp_path / "s.png")
    assert sketch.image.dtype == np.uint8 and sketch.image.shape == (*ink.shape, 3)
    assert np.ptp(sketch.image, axis=2).max() == 0
    assert np.abs(sketch.image[:, :, 0].astype(int) - ink).max() <= tolerance
    assert (said is None and sketch.guessed is None) or said in sketch.guessed


@pytest.mark.parametrize("name", THRESHOLDED)
def test_pictures_of_two_levels(tmp_path, ink, name):
    make, said = THRESHOLDED[name]
    make(ink).save(tmp_path / "s.png")
    sketch = read_sketch(tmp_path / "s.png")
    differing = (sketch.image[:, :, 0] < 128) != (ink < 128)
    assert set(np.unique(sketch.image)) == {0, 255} and not differing[np.abs(ink.astype(int) - 128) > 1].any()
    assert (said is None and sketch.guessed is None) or said in sketch.guessed


@pytest.mark.parametrize("level", [1.0, 0.75])
def test_jpeg_and_grey_paper(tmp_path, ink, level):
    Image.fromarray((ink * level).astype(np.uint8)).save(tmp_path / "s.jpg", quality=90)
    sketch = read_sketch(tmp_path / "s.jpg")
    assert ((sketch.image[:, :, 0] < 128) != (ink < 128)).mean() < 0.03
    assert np.median(sketch.image) == 255
    assert (sketch.guessed is None) == (level == 1.0)


def test_border_decides_where_ink_covers_most(tmp_path):
    filled = np.full((60, 60), 255, np.uint8)
    filled[4:56, 4:56] = 0
    Image.fromarray(filled).save(tmp_path / "s.png")
    sketch = read_sketch(tmp_path / "s.png")
    assert np.array_equal(sketch.image[:, :, 0], filled) and "border" in sketch.guessed


def test_page_with_transparent_corners(tmp_path, ink):
    alpha = np.full_like(ink, 255)
    alpha[:6, :6] = 0
    colour = ink.copy()
    colour[:6, :6] = 0
    Image.fromarray(np.dstack([colour] * 3 + [alpha])).save(tmp_path / "s.png")
    expected = ink.copy()
    expected[:6, :6] = 255
    assert np.array_equal(read_sketch(tmp_path / "s.png").image[:, :, 0], expected)


@pytest.mark.parametrize(
    "picture",
    [
        Image.new("L", (20, 20), 255),
        Image.new("L", (20, 20), 0),
        Image.new("RGBA", (20, 20), (0, 0, 0, 0)),
        Image.fromarray(np.random.default_rng(0).integers(248, 256, (20, 20), np.uint8)),
    ],
    ids=["white", "black", "transparent", "noise"],
)
def test_blank(tmp_path, picture):
    picture.save(tmp_path / "blank.png")
    with pytest.raises(ValueError, match=r"blank\.png is blank"):
        read_sketch(tmp_path / "blank.png")
    assert (read_sketch(tmp_path / "blank.png", allow_blank=True).image == 255).all()


def test_a_dot_is_no_blank(tmp_path):
    picture = Image.new("L", (500, 500), 255)
    picture.putpixel((250, 250), 0)
    picture.save(tmp_path / "dot.png")
    assert (read_sketch(tmp_path / "dot.png").image[:, :, 0] == 0).sum() == 1


SVG = """<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 200 100">
<g transform="translate(20,10) scale(2)">{}</g></svg>"""
SHAPES = {
    "path": '<path d="M10 10 L50 10 L50 40 L10 40 Z" fill="none" stroke="black"/>',
    "polyline": '<polyline points="10,10 50,10 50,40 10,40 10,10" stroke="white"/>',
    "polygon": '<polygon points="10 10 50 10 50 40 10 40"/>',
    "rect": '<rect x="10" y="10" width="40" height="30"/>',
    "relative path": '<path d="m10,10h40v30h-40z"/>',
    "curves": '<path d="M10 10 C20 10 40 10 50 10 Q50 25 50 40 L10 40 L10 10"/>',
}


@pytest.mark.parametrize("shape", SHAPES)
def test_svg_shapes_draw_the_same_box(tmp_path, shape):
    """40 x 30 units on a 128-pixel canvas: 112 x 84 pixels, centred, outline only."""
    (tmp_path / "s.svg").write_text(SVG.format(SHAPES[shape]))
    dark = read_sketch(tmp_path / "s.svg", canvas=128).image[:, :, 0] < 128
    rows, columns = np.flatnonzero(dark.any(1)), np.flatnonzero(dark.any(0))
    assert abs(columns[0] - 8) <= 1 and abs(columns[-1] - 119) <= 1
    assert abs(rows[0] - 22) <= 1 and abs(rows[-1] - 105) <= 1
    assert not dark[40:90, 30:100].any() and dark[rows[0] + 1, 20:110].all()


def test_svg_circle_is_round(tmp_path):
    (tmp_path / "s.svg").write_text(SVG.format('<circle cx="30" cy="30" r="20"/>'))
    dark = np.argwhere(read_sketch(tmp_path / "s.svg", canvas=256).image[:, :, 0] < 128)
    radius = np.hypot(*(dark - 127.5).T)
    assert radius.min() > 109 and radius.max() < 115


@pytest.mark.parametrize("form", ["simplified", "raw", "part labels"])
def test_ndjson(tmp_path, form):
    extra = {"simplified": [], "raw": [[0, 16]], "part labels": [[1, 1]]}[form]
    lines = [
        {"word": "cat", "drawing": [[[0, 100], [k, k], *extra], [[50], [60], *(row[:1] for row in extra)]]}
        for k in (0, 20)
    ]
    (tmp_path / "d.ndjson").write_text("\n\n".join(map(json.dumps, lines)))
    first, second = (read_sketch(f"{tmp_path}/d.ndjson:{k}").image for k in (0, 1))
    assert np.array_equal(read_sketch(tmp_path / "d.ndjson").image, first)
    assert np.array_equal(read_sketch(tmp_path / "d.ndjson", index=1).image, second)
    assert first.shape == (256, 256, 3) and not np.array_equal(first, second)
    rows = np.flatnonzero((first[:, :, 0] < 128).any(1))  # a line and a dot, 60 units apart: 134 pixels
    assert abs(rows[-1] - rows[0] - 134) <= 4


BAD_FILES = {
    "empty.png": (b"", "empty.png is empty"),
    "text.png": (b"hello world, no picture", "text.png is not a .* it starts with"),
    "postscript.png": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "postscript.png is not a"),
    "cut.png": (None, "cut.png is truncated or damaged"),
    "no.svg": (b"<html></html>", "no.svg holds no <svg>"),
    "broken.svg": (b"<svg><path d='M0 0", "broken.svg cannot be read as SVG"),
    "words.svg": (
        b'<svg xmlns="http://www.w3.org/2000/svg"><text>hi</text></svg>',
        "words.svg: holds no strokes",
    ),
    "uses.svg": (b'<svg><g id="a"><use href="#a"/></g></svg>', "uses.svg uses <use>"),
    "laughs.svg": (
        b'<!DOCTYPE s [<!ENTITY a "aaaaaaaaaa">'
        + b"".join(b'<!ENTITY %c "%s">' % (98 + i, b"&%c;" % (97 + i) * 10) for i in range(9))
        + b"]><svg><text>&j;</text></svg>",
        "laughs.svg",
    ),
    "text.ndjson": (b"hello\n", "text.ndjson, drawing 0: not JSON"),
    "list.ndjson": (b"[1]\n", 'list.ndjson, drawing 0: expected an object with a list "drawing"'),
    "none.ndjson": (b'{"drawing": []}\n', "none.ndjson, drawing 0: holds no strokes"),
    "uneven.ndjson": (b'{"drawing": [[[1, 2], [3]]]}\n', "uneven.ndjson, drawing 0, stroke 0: xs and ys"),
    "words.ndjson": (b'{"drawing": [[["a"], ["b"]]]}\n', "stroke 0: xs and ys must be numbers"),
    "nan.ndjson": (b'{"drawing": [[[NaN, 1], [2, 3]]]}\n', "stroke 0: coordinates must be finite"),
    "deep.ndjson": (b'{"drawing": ' + b"[" * 100_000, "deep.ndjson, drawing 0: not JSON"),
    "short.ndjson:7": (
        b'{"drawing": [[[1, 2], [3, 4]]]}\n',
        r"holds 1 drawings \(0..0\), there is no drawing 7",
    ),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files_are_named(tmp_path, ink, name):
    content, message = BAD_FILES[name]
    path = tmp_path / name.split(":")[0]
    if content is None:
        Image.fromarray(ink).save(path)
        whole = path.read_bytes()
        content = whole[: len(whole) * 3 // 4]
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_sketch(tmp_path / name)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.png does not exist; the nearest folder"):
        read_sketch(tmp_path / "a" / "gone.png")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        read_sketch(tmp_path)
    with pytest.raises(ValueError, match=r"index=2 applies to \.ndjson"):
        read_sketch(tmp_path / "s.png", index=2)


@pytest.mark.parametrize("side", [9_000, 30_000])
def test_large_pictures_are_refused_before_decoding(tmp_path, side):
    """81 million pixels (within Pillow's own limit) and 900 million (beyond it), in a file of some hundred bytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(bytes(99))), chunk(b"IEND", b"")
    (tmp_path / "large.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with pytest.raises(ValueError, match=r"large\.png .* limit of 67,108,864"):
            read_photo(tmp_path / "large.png")


@pytest.mark.parametrize("suffix", ["webp", "tif", "bmp", "gif", "ppm", "mpo.jpg"])
def test_formats_that_pillow_registers_late(tmp_path, suffix):
    """In a fresh process: which decoders are registered depends on what was opened before."""
    picture = Image.new("RGB", (8, 8), (255, 0, 0))
    more = {"save_all": True, "append_images": [picture], "format": "MPO"} if "mpo" in suffix else {}
    picture.save(tmp_path / f"p.{suffix}", **more)
    code = "import sys; from sketchfast.runtime.pictures import read_photo; print(read_photo(sys.argv[1])[0, 0].tolist())"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / f"p.{suffix}")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert abs(np.array(json.loads(done.stdout)) - (255, 0, 0)).max() <= 2


def test_photo_orientation(tmp_path, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (2, 3, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it rotated by 90 degrees clockwise
    Image.fromarray(pixels).save(tmp_path / "p.png", exif=exif)
    assert np.array_equal(read_photo(tmp_path / "p.png"), np.rot90(pixels, -1))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_sketches_are_read_upright_as_photos_are(tmp_path, ink, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(ink).save(tmp_path / "s.png", exif=exif)
    image = read_sketch(tmp_path / "s.png").image
    assert np.array_equal(image, read_photo(tmp_path / "s.png"))
    assert image.shape[:2] == (ink.shape if orientation < 5 else ink.shape[::-1])


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA", "CMYK", "I;16"])
def test_photo_modes_become_rgb(tmp_path, mode):
    grey = np.full((8, 8), 255, np.uint8)
    grey[:4] = 0
    source = (
        Image.fromarray(grey.astype(np.uint16) * 257)
        if mode == "I;16"
        else Image.fromarray(grey).convert("RGB").convert(mode)
    )
    path = tmp_path / ("p.tif" if mode == "CMYK" else "p.png")
    source.save(path)
    assert np.array_equal(read_photo(path), np.repeat(grey[:, :, None], 3, axis=2))


def test_photo_transparency_is_laid_on_white_and_animation_gives_its_first_frame(tmp_path):
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(tmp_path / "p.png")
    assert (read_photo(tmp_path / "p.png") == 255).all()
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "p.gif", save_all=True, append_images=frames[1:])
    assert (read_photo(tmp_path / "p.gif") == (255, 0, 0)).all()


def test_real_files(data_root):
    """Sketchy's pictures need no guess and come back unchanged; QuickDraw and SPG strokes draw ink."""
    for path in sorted((data_root / "Sketchy/256x256/sketch/tx_000000000000_ready/cat").iterdir()):
        sketch = read_sketch(path)
        assert sketch.guessed is None and np.array_equal(sketch.image[:, :, 0], np.array(Image.open(path)))
    for path in [
        *sorted((data_root / "QuickDraw").glob("a*.ndjson")),
        *sorted((data_root / "SPG").glob("*_raw.ndjson")),
    ]:
        image = read_sketch(path, index=24).image[:, :, 0]
        dark = image < 128
        assert 0.003 < dark.mean() < 0.5
        spans = [np.ptp(np.flatnonzero(dark.any(axis))) for axis in (0, 1)]
        assert abs(max(spans) - 224) <= 4  # the longer side fills the canvas but for the margins
    with pytest.raises(ValueError, match="there is no drawing 25"):
        read_sketch(f"{data_root}/QuickDraw/cat.ndjson:25")
