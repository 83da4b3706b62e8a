//! Files of pictures: PNG, JPEG, WebP and GIF, by what they begin with.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use super::Rgb;
use crate::error::{Error, ErrorKind, Result};
use crate::memory::{out_of_memory, probe};

/// Most pixels of a picture: a camera's 50 million. They are counted before anything is decoded.
const MOST_PIXELS: u64 = 50_000_000;
/// Most bytes that a decoder may take.
const MOST_BYTES: u64 = MOST_PIXELS * 8;
/// Most bytes of what is beside the pixels, such as a colour profile: packed it may take a thousandth.
const MOST_BESIDE: u64 = 32 << 20;

/// Decodes a file, turns it as its EXIF data says, and lays it on white where it is transparent. Of an animation, the first frame;
/// of 16 bits, the upper 8.
///
/// *Errors*: `InvalidInput` for what is no such file or is broken, `ResourceLimit` for a picture that is too large.
pub fn decode(bytes: &[u8]) -> Result<Rgb> {
    if bytes.is_empty() {
        return Err(Error::invalid_input("the picture has no bytes"));
    }
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| Error::internal(format!("a picture in memory: {error}")))?;
    if reader.format().is_none() {
        return Err(Error::invalid_input(
            "the picture is in no known format, expected PNG, JPEG, WebP or GIF",
        ));
    }
    if reader.format() == Some(ImageFormat::Jpeg) && !has_end(bytes) {
        return Err(Error::invalid_input(
            "the picture cannot be decoded: the file ends before the picture does",
        ));
    }
    let believable = reader.format() != Some(ImageFormat::WebP) || exif_fits(bytes);
    let mut limits = Limits::default();
    limits.max_alloc = Some(MOST_BESIDE);
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder().map_err(broken)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MOST_PIXELS {
        return Err(Error::new(
            ErrorKind::ResourceLimit,
            format!(
                "the picture has {width} x {height} pixels, expected {MOST_PIXELS} in all at most"
            ),
        ));
    }
    limits.max_alloc = Some(MOST_BYTES);
    decoder.set_limits(limits).map_err(broken)?;
    // Who cannot read the orientation takes the picture as it lies.
    let orientation = match believable {
        true => decoder.orientation().ok(),
        false => None,
    };
    // What is decoded, and what it is turned or converted to, is allocated in a way that cannot fail.
    let (decoded, pixels) = (decoder.total_bytes(), u64::from(width) * u64::from(height));
    let turned = !matches!(orientation, None | Some(Orientation::NoTransforms));
    let converted = match decoder.color_type() {
        ColorType::Rgb8 => 0,
        // To four channels, and of these to three.
        color if color.has_alpha() => (decoded + 4 * pixels).max(7 * pixels),
        _ => decoded + 3 * pixels,
    };
    let needed = converted.max(decoded << u32::from(turned));
    // A 32-bit address space cannot hold more than `usize::MAX`, for which the allocation fails.
    probe(usize::try_from(needed).unwrap_or(usize::MAX)).map_err(|error| {
        let megabytes = needed / 1_000_000;
        out_of_memory(
            format!("decoding the image takes {megabytes} MB of memory, more than there is"),
            error,
        )
    })?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(broken)?;
    if let Some(orientation) = orientation {
        picture.apply_orientation(orientation);
    }
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    if picture.color().has_alpha() {
        Rgb::from_rgba(width, height, &picture.into_rgba8().into_raw())
    } else {
        Rgb::new(width, height, picture.into_rgb8().into_raw())
    }
}

/// Whether a WebP's EXIF data lie in the file: the decoder takes the memory that they claim. What follows the picture is anybody's.
fn exif_fits(webp: &[u8]) -> bool {
    let mut rest = webp.get(12..).unwrap_or_default();
    while let Some(([a, b, c, d, size @ ..], content)) = rest.split_first_chunk::<8>() {
        let size = u32::from_le_bytes(*size) as usize;
        if size > content.len() {
            return [*a, *b, *c, *d] != *b"EXIF";
        }
        // Chunks begin at even places.
        rest = content.get(size + size % 2..).unwrap_or_default();
    }
    true
}

/// Whether a JPEG's picture has an end: its decoder fills up with grey what is missing.
fn has_end(jpeg: &[u8]) -> bool {
    const END: [u8; 2] = [0xff, 0xd9];
    let mut at = 2;
    // Up to where the picture begins: a thumbnail before it has an end of its own.
    while let Some([0xff, kind, high, low]) = jpeg.get(at..).and_then(|rest| rest.first_chunk()) {
        match kind {
            0xda => return jpeg[at..].windows(2).rev().any(|two| two == END),
            0xff => at += 1,
            0x01 | 0xd0..=0xd7 => at += 2,
            _ => at += 2 + usize::from(u16::from_be_bytes([*high, *low])),
        }
    }
    // The decoder says better what is wrong.
    true
}

fn broken(error: ImageError) -> Error {
    match error {
        ImageError::Limits(_) => Error::new(
            ErrorKind::ResourceLimit,
            format!("the picture is too large, expected {MOST_PIXELS} pixels in all at most"),
        ),
        ImageError::Unsupported(_) => Error::invalid_input(format!(
            "the picture cannot be decoded: {error}, expected PNG, JPEG, WebP or GIF; a browser may know it, with decoder: 'browser'"
        )),
        error => Error::invalid_input(format!(
            "the picture cannot be decoded: {}",
            error.to_string().trim_end()
        )),
    }
}
