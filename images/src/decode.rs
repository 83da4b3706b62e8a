//! Decoding image files: PNG, JPEG, WebP and GIF, which are recognized by their first bytes.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use pilotlight_kernels::image::on_white;

use crate::{Error, ErrorKind, Pixels};

type Result<T> = std::result::Result<T, Error>;

/// The largest number of pixels, enough for a camera of 50 megapixels. It is checked before decoding.
const MAX_PIXELS: u64 = 50_000_000;
/// The largest number of bytes that a decoder may allocate.
const MAX_BYTES: u64 = MAX_PIXELS * 8;
/// The largest number of bytes for metadata such as a colour profile, whose compressed size may be a thousandth of it.
const MAX_METADATA_BYTES: u64 = 32 << 20;

/// Bytes of a WebP before its chunks.
const WEBP_HEADER: usize = 12;
/// Bytes of a frame of an animated WebP before the chunks in it.
const FRAME_HEADER: usize = 16;

/// Decodes an image file, rotates it by its EXIF orientation, and composites it on white. Of an animation, the first frame is decoded;
/// of 16 bits, the upper 8 are kept.
///
/// *Errors*: `InvalidInput` for a file of another format or an invalid one, `ResourceLimit` for an image that is too large.
pub fn decode(bytes: &[u8]) -> Result<Pixels> {
    if bytes.is_empty() {
        return Err(Error::invalid_input("the image has no bytes"));
    }
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| {
            Error::new(
                ErrorKind::Internal,
                format!("reading an image in memory: {error}"),
            )
        })?;
    let format = reader.format();
    if format.is_none() {
        return Err(Error::invalid_input(
            "the image is in no known format, expected PNG, JPEG, WebP or GIF",
        ));
    }
    if format == Some(ImageFormat::Jpeg) && !has_end(bytes) {
        return Err(Error::invalid_input(
            "the image cannot be decoded: the file ends before the image does",
        ));
    }
    let exif_is_valid = format != Some(ImageFormat::WebP) || exif_fits(bytes);
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
    if format == Some(ImageFormat::WebP) {
        check_frames(bytes, [width, height])?;
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
    let mut probe: Vec<u8> = Vec::new();
    probe
        .try_reserve_exact(usize::try_from(needed).unwrap_or(usize::MAX))
        .map_err(|_| {
            let megabytes = needed / 1_000_000;
            Error::new(
                ErrorKind::ResourceLimit,
                format!("decoding the image takes {megabytes} MB of memory, more than there is"),
            )
        })?;
    drop(probe);
    let mut image = DynamicImage::from_decoder(decoder).map_err(decoding_error)?;
    if let Some(orientation) = orientation {
        image.apply_orientation(orientation);
    }
    let (width, height) = (image.width() as usize, image.height() as usize);
    let data = if image.color().has_alpha() {
        let rgba = image.into_rgba8().into_raw();
        let mut data = vec![0; width * height * 3];
        on_white(rgba.as_chunks().0, data.as_chunks_mut().0);
        data
    } else {
        image.into_rgb8().into_raw()
    };
    Ok(Pixels {
        width,
        height,
        data,
    })
}

/// The chunks of a WebP from an offset on: the name of each, the size that it claims, and its bytes as far as the file has them.
fn chunks(webp: &[u8], start: usize) -> impl Iterator<Item = ([u8; 4], usize, &[u8])> {
    let mut rest = webp.get(start..).unwrap_or_default();
    std::iter::from_fn(move || {
        let ([a, b, c, d, size @ ..], content) = rest.split_first_chunk::<8>()?;
        let size = u32::from_le_bytes(*size) as usize;
        // Chunks begin at even offsets.
        rest = content
            .get(size.saturating_add(size % 2)..)
            .unwrap_or_default();
        let content = content.get(..size).unwrap_or(content);
        Some(([*a, *b, *c, *d], size, content))
    })
}

/// Whether the EXIF chunk of a WebP lies inside the file. The decoder allocates the size that the chunk claims. Other chunks may be cut
/// off, because the decoder ignores what follows the image.
fn exif_fits(webp: &[u8]) -> bool {
    chunks(webp, WEBP_HEADER).all(|(name, size, content)| name != *b"EXIF" || size == content.len())
}

/// Checks that no frame of a WebP is larger than the image: the decoder allocates the size that the frame claims.
///
/// *Errors*: `InvalidInput`.
fn check_frames(webp: &[u8], image: [u32; 2]) -> Result<()> {
    for (name, _, content) in chunks(webp, WEBP_HEADER) {
        let own = frame_size(name, content);
        // A frame of an animation has chunks of its own.
        let inner = chunks(content, FRAME_HEADER).filter(|_| name == *b"ANMF");
        let sizes = inner.filter_map(|(name, _, content)| frame_size(name, content));
        for [width, height] in own.into_iter().chain(sizes) {
            if width > image[0] || height > image[1] {
                return Err(Error::invalid_input(format!(
                    "the image cannot be decoded: it has {} x {} pixels, and a frame of {width} x {height}",
                    image[0], image[1]
                )));
            }
        }
    }
    Ok(())
}

/// Returns the width and height in the data of a frame; `None` for other chunks, and if the data end before them.
fn frame_size(name: [u8; 4], content: &[u8]) -> Option<[u32; 2]> {
    match &name {
        // Three bytes, a start code of three, and 14 bits each.
        b"VP8 " => match content.get(6..10)? {
            [a, b, c, d] => {
                Some([[*a, *b], [*c, *d]].map(|two| u32::from(u16::from_le_bytes(two) & 0x3fff)))
            }
            _ => None,
        },
        // A signature of one byte, and 14 bits each, less 1.
        b"VP8L" => {
            let bits = content.get(1..)?.first_chunk().copied()?;
            let bits = u32::from_le_bytes(bits);
            Some([bits, bits >> 14].map(|bits| (bits & 0x3fff) + 1))
        }
        _ => None,
    }
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
