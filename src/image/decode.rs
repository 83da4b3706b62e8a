//! Decoding image files: PNG, JPEG, WebP and GIF, which are recognized by their first bytes.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use super::Rgb;
use crate::error::{Error, ErrorKind, Result};
use crate::memory::{out_of_memory, probe};

/// The largest number of pixels, enough for a camera of 50 megapixels. It is checked before decoding.
const MAX_PIXELS: u64 = 50_000_000;
/// The largest number of bytes that a decoder may allocate.
const MAX_BYTES: u64 = MAX_PIXELS * 8;
/// The largest number of bytes for metadata such as a colour profile, whose compressed size may be a thousandth of it.
const MAX_METADATA_BYTES: u64 = 32 << 20;

/// Decodes an image file, rotates it by its EXIF orientation, and composites it on white. Of an animation, the first frame is decoded;
/// of 16 bits, the upper 8 are kept.
///
/// *Errors*: `InvalidInput` for a file of another format or an invalid one, `ResourceLimit` for an image that is too large.
pub fn decode(bytes: &[u8]) -> Result<Rgb> {
    if bytes.is_empty() {
        return Err(Error::invalid_input("the image has no bytes"));
    }
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| Error::internal(format!("reading an image in memory: {error}")))?;
    if reader.format().is_none() {
        return Err(Error::invalid_input(
            "the image is in no known format, expected PNG, JPEG, WebP or GIF",
        ));
    }
    if reader.format() == Some(ImageFormat::Jpeg) && !has_end(bytes) {
        return Err(Error::invalid_input(
            "the image cannot be decoded: the file ends before the image does",
        ));
    }
    let exif_is_valid = reader.format() != Some(ImageFormat::WebP) || exif_fits(bytes);
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_METADATA_BYTES);
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder().map_err(decoding_error)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(Error::new(
            ErrorKind::ResourceLimit,
            format!(
                "the image has {width} x {height} pixels, expected {MAX_PIXELS} in all at most"
            ),
        ));
    }
    limits.max_alloc = Some(MAX_BYTES);
    decoder.set_limits(limits).map_err(decoding_error)?;
    // Unreadable EXIF orientation: leave the image unrotated.
    let orientation = match exif_is_valid {
        true => decoder.orientation().ok(),
        false => None,
    };
    // Decoding, rotating and converting allocate in ways that cannot report a failure, so their memory is probed.
    let (decoded, pixels) = (decoder.total_bytes(), u64::from(width) * u64::from(height));
    let turned = !matches!(orientation, None | Some(Orientation::NoTransforms));
    let converted = match decoder.color_type() {
        ColorType::Rgb8 => 0,
        // Converted to four channels, then to three.
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
    let mut image = DynamicImage::from_decoder(decoder).map_err(decoding_error)?;
    if let Some(orientation) = orientation {
        image.apply_orientation(orientation);
    }
    let (width, height) = (image.width() as usize, image.height() as usize);
    if image.color().has_alpha() {
        Rgb::from_rgba(width, height, &image.into_rgba8().into_raw())
    } else {
        Rgb::new(width, height, image.into_rgb8().into_raw())
    }
}

/// Whether the EXIF chunk of a WebP lies inside the file. The decoder allocates the size that the chunk claims. Other chunks may be cut
/// off, because the decoder ignores what follows the image.
fn exif_fits(webp: &[u8]) -> bool {
    let mut rest = webp.get(12..).unwrap_or_default();
    while let Some(([a, b, c, d, size @ ..], content)) = rest.split_first_chunk::<8>() {
        let size = u32::from_le_bytes(*size) as usize;
        if size > content.len() {
            return [*a, *b, *c, *d] != *b"EXIF";
        }
        // Chunks begin at even offsets.
        rest = content.get(size + size % 2..).unwrap_or_default();
    }
    true
}

/// Whether the image data of a JPEG has an end marker. The decoder would fill missing data with grey.
fn has_end(jpeg: &[u8]) -> bool {
    const END: [u8; 2] = [0xff, 0xd9];
    let mut at = 2;
    // Skip the segments before the image data: a thumbnail in one of them has an end marker of its own.
    while let Some([0xff, kind, high, low]) = jpeg.get(at..).and_then(|rest| rest.first_chunk()) {
        match kind {
            0xda => return jpeg[at..].windows(2).rev().any(|two| two == END),
            0xff => at += 1,
            0x01 | 0xd0..=0xd7 => at += 2,
            _ => at += 2 + usize::from(u16::from_be_bytes([*high, *low])),
        }
    }
    // No image data was found; the decoder reports what is wrong.
    true
}

fn decoding_error(error: ImageError) -> Error {
    match error {
        ImageError::Limits(_) => Error::new(
            ErrorKind::ResourceLimit,
            format!("the image is too large, expected {MAX_PIXELS} pixels in all at most"),
        ),
        ImageError::Unsupported(_) => Error::invalid_input(format!(
            "the image cannot be decoded: {error}, expected PNG, JPEG, WebP or GIF; a browser may know it, with decoder: 'browser'"
        )),
        error => Error::invalid_input(format!(
            "the image cannot be decoded: {}",
            error.to_string().trim_end()
        )),
    }
}
