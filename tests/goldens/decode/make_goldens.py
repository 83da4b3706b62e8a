"""Writes a picture in every form in which people have pictures, and the pixels that Pillow sees in each.

    python tests/goldens/decode/make_goldens.py      (pillow==13.0.0, numpy==2.4.6, safetensors==0.8.0)

One picture of 40 by 28 pixels, no two corners alike, so that one that lies wrong is told from one that lies right. Twice the
same bytes on one machine. expected.safetensors, u8, [rows, columns, 3]: what each file shows, turned as its EXIF data say and
laid on white; of an animation the first frame; of 16 bits the upper 8. Files that Pillow cannot write (Adam7, 16-bit colour)
are written here by the letter of the PNG specification, and Pillow reads them.
"""

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from safetensors.numpy import save_file

HERE = Path(__file__).parent
WIDTH, HEIGHT = 40, 28
# The EXIF tag of an image's orientation.
EXIF_ORIENTATION = 0x0112
# The start of each pass of Adam7, and its steps: x, y, step in x, step in y.
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def base() -> np.ndarray:
    """[28, 40, 3]: slopes that JPEG keeps well, a red corner, a blue block, a light edge."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    picture = np.stack([40 + x * 4, 60 + y * 5, 200 - x * 2 - y * 2], axis=-1)
    picture[:8, :8] = [210, 40, 30]
    picture[16:24, 24:32] = [30, 50, 190]
    picture[:, 36:] = [235, 235, 215]
    return picture.astype(np.uint8)


def alpha() -> np.ndarray:
    """[28, 40]: clear, half and solid."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.where(y < 10, 0, np.where(x < 20, 255, 128 + x)).astype(np.uint8)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(name: str, values: np.ndarray, depth: int, colour: int, passes: list | None = None, more: bytes = b"") -> None:
    """A PNG without filters; `values` are [rows, columns, samples]."""
    rows = b""
    for x, y, dx, dy in passes or [(0, 0, 1, 1)]:
        for row in values[y::dy, x::dx]:
            if row.size:
                rows += b"\0" + row.astype(">u2" if depth == 16 else "u1").tobytes()
    head = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], depth, colour, 0, 0, int(passes is not None))
    file = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + more + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
    (HERE / name).write_bytes(file)


def turned(picture: Image.Image, orientation: int) -> Image.Image:
    """Laid so that turning it by its EXIF data gives the picture back."""
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Pillow's numbers of transpositions
    return picture.transpose(undo[orientation]) if orientation in undo else picture


def exif(orientation: int) -> Image.Exif:
    data = Image.Exif()
    data[EXIF_ORIENTATION] = orientation
    return data


def write() -> None:
    pixels = base()
    picture = Image.fromarray(pixels)
    grey = picture.convert("L")
    glass = Image.fromarray(np.dstack([pixels, alpha()]))

    picture.save(HERE / "plain.png", optimize=True)
    glass.save(HERE / "alpha.png", optimize=True)
    grey.save(HERE / "grey.png", optimize=True)
    grey.point(lambda value: 255 * (value > 110)).convert("1", dither=Image.Dither.NONE).save(HERE / "bits.png")
    Image.merge("LA", (grey, glass.getchannel("A"))).save(HERE / "grey-alpha.png", optimize=True)
    palette = picture.quantize(31)
    palette.save(HERE / "palette.png")
    palette.save(HERE / "palette-transparent.png", transparency=bytes([0, 90, 255] * 10))
    png("interlaced.png", pixels, 8, 2, ADAM7)
    fine = pixels.astype(np.uint16) * 256 + np.arange(WIDTH, dtype=np.uint16)[None, :, None] * 6
    png("16-bit.png", fine, 16, 2)
    png("16-bit-grey.png", fine[:, :, :1], 16, 0)
    # One colour of a picture without alpha is clear: that of the corner.
    png("colour-key.png", pixels, 8, 2, more=chunk(b"tRNS", struct.pack(">HHH", 210, 40, 30)))

    lossy = {"quality": 92, "subsampling": 0}
    picture.save(HERE / "plain.jpg", **lossy)
    picture.save(HERE / "progressive.jpg", progressive=True, **lossy)
    picture.save(HERE / "subsampled.jpg", quality=92, subsampling=2)
    picture.save(HERE / "restarts.jpg", restart_marker_blocks=2, **lossy)
    grey.save(HERE / "grey.jpg", **lossy)
    picture.convert("CMYK").save(HERE / "cmyk.jpg", **lossy)
    for orientation in range(1, 9):
        turned(picture, orientation).save(HERE / f"exif-{orientation}.jpg", exif=exif(orientation), **lossy)
    turned(picture, 6).save(HERE / "exif-6.png", exif=exif(6), optimize=True)
    turned(picture, 6).save(HERE / "exif-6.webp", exif=exif(6), lossless=True)

    picture.save(HERE / "lossy.webp", quality=92)
    glass.save(HERE / "lossy-alpha.webp", quality=92, alpha_quality=100)
    picture.save(HERE / "lossless.webp", lossless=True)
    glass.save(HERE / "lossless-alpha.webp", lossless=True, exact=True)
    second = Image.fromarray(255 - pixels)
    picture.save(HERE / "animated.webp", save_all=True, append_images=[second], lossless=True, duration=100)
    # A palette that both frames share, so that the first one is not changed by the second.
    frames = [palette, second.quantize(palette=palette, dither=Image.Dither.NONE)]
    frames[0].save(HERE / "animated.gif", save_all=True, append_images=frames[1:], duration=100, disposal=2)
    frames[0].save(HERE / "plain.gif")
    frames[0].save(HERE / "interlaced.gif", interlace=True)
    frames[0].save(HERE / "transparent.gif", transparency=0)

    picture.save(HERE / "other.bmp")
    picture.save(HERE / "other.avif", quality=92)
    picture.save(HERE / "other.tiff", compression="tiff_deflate")


def seen(path: Path) -> np.ndarray:
    with Image.open(path) as opened:
        if opened.mode.startswith("I;16"):
            # Pillow would cut at 255 in place of taking the upper bits.
            return np.repeat((np.asarray(opened) >> 8).astype(np.uint8)[:, :, None], 3, axis=2)
        picture = ImageOps.exif_transpose(opened)
        if picture.has_transparency_data:
            white = Image.new("RGBA", picture.size, "white")
            picture = Image.alpha_composite(white, picture.convert("RGBA"))
        return np.asarray(picture.convert("RGB"))


def main() -> None:
    for file in HERE.iterdir():
        if file.suffix not in (".py", ".md"):
            file.unlink()
    write()
    files = sorted(file for file in HERE.iterdir() if file.suffix != ".py" and file.stem != "other")
    expected = {file.name: np.ascontiguousarray(seen(file)) for file in files}
    for name, values in expected.items():
        assert values.shape == (HEIGHT, WIDTH, 3), (name, values.shape)
    for name in ("interlaced.png", "16-bit.png", "exif-6.png", "exif-6.webp", "lossless.webp", "animated.webp"):
        assert (expected[name] == base()).all(), name
    save_file(expected, HERE / "expected.safetensors")
    print(f"{len(expected)} files, {sum(file.stat().st_size for file in HERE.iterdir())} bytes")


if __name__ == "__main__":
    main()
