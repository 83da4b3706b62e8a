//! Files of pictures: PNG, JPEG, WebP and GIF, by what they begin with.

use std::io::Cursor;

use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use super::Rgb;
use crate::error::{Error, ErrorKind, Result};

/// Most pixels of a picture: a camera's 50 million. They are counted before anything is decoded.
const MOST_PIXELS: u64 = 50_000_000;
/// Most bytes that a decoder may take: four for each pixel, twice, for turning it.
const MOST_BYTES: u64 = MOST_PIXELS * 8;

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
    if reader.format() == Some(ImageFormat::WebP) {
        check_chunks(bytes)?;
    }
    let mut limits = Limits::default();
    limits.max_alloc = Some(MOST_BYTES);
    reader.limits(limits);
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
    // Who cannot read the orientation takes the picture as it lies.
    let orientation = decoder.orientation();
    let mut picture = DynamicImage::from_decoder(decoder).map_err(broken)?;
    if let Ok(orientation) = orientation {
        picture.apply_orientation(orientation);
    }
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    if picture.color().has_alpha() {
        Rgb::from_rgba(width, height, &picture.into_rgba8().into_raw())
    } else {
        Rgb::new(width, height, picture.into_rgb8().into_raw())
    }
}

/// Chunks of a WebP file may not claim to be longer than the file: the decoder would take memory for what they claim.
fn check_chunks(file: &[u8]) -> Result<()> {
    let mut rest = file.get(12..).unwrap_or_default();
    while let Some((header, content)) = rest.split_first_chunk::<8>() {
        let [.., a, b, c, d] = *header;
        let size = u32::from_le_bytes([a, b, c, d]) as usize;
        if size > content.len() {
            return Err(Error::invalid_input(
                "the picture cannot be decoded: a part of it claims to be longer than the file",
            ));
        }
        // Chunks begin at even places.
        rest = content.get(size + size % 2..).unwrap_or_default();
    }
    Ok(())
}

fn broken(error: ImageError) -> Error {
    let kind = match error {
        ImageError::Limits(_) => ErrorKind::ResourceLimit,
        _ => ErrorKind::InvalidInput,
    };
    Error::new(kind, format!("the picture cannot be decoded: {error}"))
}
