//! Images: preprocessing pixels for an image model. The decoders of files are the crate `pilotlight-images`.

mod preprocess;
mod resize;

pub use preprocess::ImageProcessor;

use pilotlight_images::{ErrorKind as Kind, Pixels};
use pilotlight_kernels::image::on_white;

use crate::error::{Error, ErrorKind, Result};

/// An image of red, green and blue values of 8 bits each, in sRGB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rgb {
    width: usize,
    height: usize,
    data: Vec<u8>,
}

impl Rgb {
    /// Makes an image from its rows of pixels, three bytes each.
    ///
    /// *Errors*: `InvalidInput` if the number of bytes does not match the size, or is zero.
    pub fn new(width: usize, height: usize, data: Vec<u8>) -> Result<Self> {
        let fits = width.checked_mul(height).and_then(|n| n.checked_mul(3)) == Some(data.len());
        if !fits || data.is_empty() {
            return Err(Error::invalid_input(format!(
                "an image of {width} x {height} pixels has {} bytes, expected three for each pixel and at least one pixel",
                data.len()
            )));
        }
        Ok(Self {
            width,
            height,
            data,
        })
    }

    /// Makes an image from its rows of pixels with alpha, four bytes each, by compositing it on white.
    ///
    /// *Errors*: `InvalidInput` if the number of bytes does not match the size, or is zero.
    pub fn from_rgba(width: usize, height: usize, rgba: &[u8]) -> Result<Self> {
        let (pixels, rest) = rgba.as_chunks();
        if !rest.is_empty() || Some(pixels.len()) != width.checked_mul(height) {
            return Err(Error::invalid_input(format!(
                "an image of {width} x {height} pixels has {} bytes, expected four for each pixel",
                rgba.len()
            )));
        }
        let mut data = vec![0; pixels.len() * 3];
        on_white(pixels, data.as_chunks_mut().0);
        Self::new(width, height, data)
    }

    /// Decodes an image file, rotates it by its EXIF orientation, and composites it on white.
    ///
    /// *Errors*: `InvalidInput` for a file of another format or an invalid one, `ResourceLimit` for an image that is too large.
    pub fn decode(file: &[u8]) -> Result<Self> {
        let pixels = pilotlight_images::decode(file).map_err(|error| {
            let kind = match error.kind {
                Kind::InvalidInput => ErrorKind::InvalidInput,
                Kind::ResourceLimit => ErrorKind::ResourceLimit,
                Kind::Internal => ErrorKind::Internal,
            };
            Error::new(kind, error.message)
        })?;
        let Pixels {
            width,
            height,
            data,
        } = pixels;
        Self::new(width, height, data)
    }

    fn black(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            data: vec![0; width * height * 3],
        }
    }

    /// The number of pixels in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The number of rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The bytes of all pixels, row by row.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    fn row(&self, y: usize) -> &[[u8; 3]] {
        let row = self.width * 3;
        self.data[y * row..(y + 1) * row].as_chunks().0
    }

    fn rows_mut(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.data.chunks_exact_mut((self.width * 3).max(1))
    }
}
