//! The preprocessing that `preprocessor_config.json` describes: from an image to the input of an image model.
//!
//! *Source*: `transformers`, `models/clip/image_processing_clip.py`.

use pilotlight_kernels::image::look_up;
use serde::Deserialize;

use super::Rgb;
use super::resize::resize;
use crate::error::{Error, Result};

const FILE: &str = "preprocessor_config.json";
/// Pillow's number for bicubic resampling.
const BICUBIC: u8 = 3;
/// The largest edge that a config may ask for. Models take 224 to 448 pixels.
const MAX_EDGE: usize = 4096;

/// Resizes, crops and normalizes images.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageProcessor {
    /// The length in pixels to which the shorter edge is resized.
    shortest: usize,
    /// Rows and columns of the centre crop.
    crop: [usize; 2],
    mean: [f32; 3],
    deviation: [f32; 3],
}

#[derive(Deserialize)]
struct Config {
    #[serde(default = "yes")]
    do_resize: bool,
    size: Size,
    #[serde(default = "bicubic")]
    resample: u8,
    #[serde(default = "yes")]
    do_center_crop: bool,
    crop_size: Size,
    #[serde(default = "yes")]
    do_rescale: bool,
    #[serde(default = "one_of_255")]
    rescale_factor: f64,
    #[serde(default = "yes")]
    do_normalize: bool,
    image_mean: [f32; 3],
    image_std: [f32; 3],
}

/// A size in a config: a number in older files, an object in newer ones.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Size {
    Edge(usize),
    Shortest { shortest_edge: usize },
    Both { height: usize, width: usize },
}

fn yes() -> bool {
    true
}

fn one_of_255() -> f64 {
    1.0 / 255.0
}

fn bicubic() -> u8 {
    BICUBIC
}

impl ImageProcessor {
    /// Reads and checks the config.
    ///
    /// *Errors*: `InvalidWeights` for a file that is not valid or has values out of range, `UnsupportedModel` for steps that differ from
    /// CLIP's.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        let config: Config = serde_json::from_slice(json)
            .map_err(|error| Error::invalid_weights(format!("{FILE}: is not valid: {error}")))?;
        for (name, value) in [
            ("do_resize", config.do_resize),
            ("do_center_crop", config.do_center_crop),
            ("do_rescale", config.do_rescale),
            ("do_normalize", config.do_normalize),
        ] {
            if !value {
                return Err(Error::unsupported(format!(
                    "{FILE}: {name} is false, expected true"
                )));
            }
        }
        // Configs write 1 / 255 with different numbers of digits.
        if (config.rescale_factor - one_of_255()).abs() > 1e-6 {
            return Err(Error::unsupported(format!(
                "{FILE}: rescale_factor is {}, expected 1 / 255",
                config.rescale_factor
            )));
        }
        if config.resample != BICUBIC {
            return Err(Error::unsupported(format!(
                "{FILE}: resample is {}, expected {BICUBIC} (bicubic)",
                config.resample
            )));
        }
        let shortest = match config.size {
            Size::Edge(edge)
            | Size::Shortest {
                shortest_edge: edge,
            } => edge,
            Size::Both { .. } => {
                return Err(Error::unsupported(format!(
                    "{FILE}: size has a height and a width, expected shortest_edge"
                )));
            }
        };
        let crop = match config.crop_size {
            Size::Edge(edge)
            | Size::Shortest {
                shortest_edge: edge,
            } => [edge, edge],
            Size::Both { height, width } => [height, width],
        };
        for (name, value) in [
            ("size", shortest),
            ("crop_size", crop[0]),
            ("crop_size", crop[1]),
        ] {
            if value == 0 || value > MAX_EDGE {
                return Err(Error::invalid_weights(format!(
                    "{FILE}: {name} is {value}, expected 1 to {MAX_EDGE}"
                )));
            }
        }
        // transformers pads a crop that is larger than the image; no known CLIP needs that.
        if crop.iter().any(|&edge| edge > shortest) {
            return Err(Error::unsupported(format!(
                "{FILE}: crop_size {crop:?} is larger than size {shortest}"
            )));
        }
        let finite = |values: &[f32; 3]| values.iter().all(|value| value.is_finite());
        let (mean, deviation) = (config.image_mean, config.image_std);
        if !finite(&mean) || !finite(&deviation) || deviation.iter().any(|value| *value <= 0.0) {
            return Err(Error::invalid_weights(format!(
                "{FILE}: image_mean is {mean:?} and image_std {deviation:?}, expected finite numbers, and image_std above 0"
            )));
        }
        Ok(Self {
            shortest,
            crop,
            mean,
            deviation,
        })
    }

    /// Rows and columns of the result.
    pub fn dims(&self) -> [usize; 2] {
        self.crop
    }

    /// Resizes, crops and normalizes an image. *Shapes*: result `[3, rows, columns]`, the planes in the order red, green, blue.
    ///
    /// *Errors*: `InvalidInput` for an image so narrow that the resized length would not fit 32 bits.
    pub fn process(&self, image: &Rgb) -> Result<Vec<f32>> {
        let [rows, columns] = self.crop;
        let size = self.resized([image.width(), image.height()])?;
        // Only the centre crop is computed: the whole of a resized strip of 1 by 10,000 pixels would take gigabytes.
        let (left, top) = ((size[0] - columns) / 2, (size[1] - rows) / 2);
        let middle = resize(image, size, left..left + columns, top..top + rows);
        let pixels = middle.data().as_chunks::<3>().0;
        let mut planes = vec![0.0; 3 * pixels.len()];
        for (colour, plane) in planes.chunks_exact_mut(pixels.len()).enumerate() {
            let (mean, deviation) = (self.mean[colour], self.deviation[colour]);
            let table = std::array::from_fn(|value| (value as f32 / 255.0 - mean) / deviation);
            look_up(pixels, colour, &table, plane);
        }
        Ok(planes)
    }

    /// Width and height before the crop: the shorter edge has the length of the config, the longer one is in proportion, rounded down.
    fn resized(&self, [width, height]: [usize; 2]) -> Result<[usize; 2]> {
        let (short, long) = (width.min(height), width.max(height));
        let other = self.shortest as u128 * long as u128 / short as u128;
        // 32 bits on 64-bit targets too, so that all targets accept the same images.
        let other = u32::try_from(other).map_err(|_| {
            Error::invalid_input(format!(
                "an image of {width} x {height} pixels is too narrow for the model"
            ))
        })?;
        Ok(if width <= height {
            [self.shortest, other as usize]
        } else {
            [other as usize, self.shortest]
        })
    }
}
