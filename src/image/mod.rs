//! Pictures: decoding files, and making of them what an image model was trained on.

mod decode;
mod processor;
mod resize;

pub use decode::decode;
pub use processor::ImageProcessor;

use crate::error::{Error, Result};

/// A picture of red, green and blue, 8 bits each, in sRGB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rgb {
    width: usize,
    height: usize,
    data: Vec<u8>,
}

impl Rgb {
    /// From rows of pixels, three bytes each.
    ///
    /// *Errors*: `InvalidInput` where the size does not fit the bytes, or is nothing.
    pub fn new(width: usize, height: usize, data: Vec<u8>) -> Result<Self> {
        let fits = width.checked_mul(height).and_then(|n| n.checked_mul(3)) == Some(data.len());
        if !fits || data.is_empty() {
            return Err(Error::invalid_input(format!(
                "a picture of {width} x {height} pixels has {} bytes, expected three for each pixel and one pixel at least",
                data.len()
            )));
        }
        Ok(Self {
            width,
            height,
            data,
        })
    }

    /// From rows of pixels, four bytes each: what is transparent is laid on white.
    ///
    /// *Errors*: `InvalidInput` where the size does not fit the bytes, or is nothing.
    pub fn from_rgba(width: usize, height: usize, rgba: &[u8]) -> Result<Self> {
        let (pixels, rest) = rgba.as_chunks();
        if !rest.is_empty() || Some(pixels.len()) != width.checked_mul(height) {
            return Err(Error::invalid_input(format!(
                "a picture of {width} x {height} pixels has {} bytes, expected four for each pixel",
                rgba.len()
            )));
        }
        Self::new(width, height, on_white(pixels))
    }

    fn black(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            data: vec![0; width * height * 3],
        }
    }

    /// Pixels in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Row by row.
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

fn on_white(pixels: &[[u8; 4]]) -> Vec<u8> {
    let blend = |colour: u8, alpha: u8| {
        let (colour, alpha) = (u32::from(colour), u32::from(alpha));
        ((colour * alpha + 255 * (255 - alpha) + 127) / 255) as u8
    };
    pixels
        .iter()
        .flat_map(|&[red, green, blue, alpha]| [red, green, blue].map(|c| blend(c, alpha)))
        .collect()
}
