//! The preprocessing that `preprocessor_config.json` describes: from an image to the input of an image model.
//!
//! *Source*: `transformers`, `models/clip/image_processing_clip.py` and `models/siglip/image_processing_siglip.py`.

use pilotlight_kernels::image::look_up;
use serde::Deserialize;

use super::Rgb;
use super::resize::{Resampling, resize};
use crate::error::{Error, Result};

const FILE: &str = "preprocessor_config.json";
/// Pillow's number for bicubic resampling.
const BICUBIC: u8 = 3;
/// The largest edge that a config may ask for. Models take 224 to 448 pixels.
const MAX_EDGE: usize = 4096;

/// Resizes, crops and normalizes images.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageProcessor {
    size: Resized,
    resampling: Resampling,
    /// Rows and columns of the centre crop, or of the whole resized image.
    crop: [usize; 2],
    mean: [f32; 3],
    deviation: [f32; 3],
}

/// The size of the resized image, in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Resized {
    /// The length of the shorter edge; the longer one is in proportion.
    Shortest(usize),
    /// Rows and columns, whatever the proportions of the image.
    Exact([usize; 2]),
}

#[derive(Deserialize)]
struct Config {
    #[serde(default = "yes")]
    do_resize: bool,
    size: Size,
    #[serde(default = "bicubic")]
    resample: u8,
    do_center_crop: Option<bool>,
    crop_size: Option<Size>,
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

impl Size {
    /// Rows and columns.
    fn both(self) -> [usize; 2] {
        match self {
            Self::Edge(edge)
            | Self::Shortest {
                shortest_edge: edge,
            } => [edge, edge],
            Self::Both { height, width } => [height, width],
        }
    }
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
    /// CLIP's and SigLIP's.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        let config: Config = serde_json::from_slice(json)
            .map_err(|error| Error::invalid_weights(format!("{FILE}: is not valid: {error}")))?;
        for (name, value) in [
            ("do_resize", config.do_resize),
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
        let Some(resampling) = Resampling::from_number(config.resample) else {
            return Err(Error::unsupported(format!(
                "{FILE}: resample is {}, expected 2 (bilinear) or {BICUBIC} (bicubic)",
                config.resample
            )));
        };
        let least = config.size.both();
        let size = match config.size {
            Size::Both { .. } => Resized::Exact(least),
            Size::Edge(_) | Size::Shortest { .. } => Resized::Shortest(least[0]),
        };
        let crop = match (config.do_center_crop, config.crop_size, size) {
            (None | Some(true), Some(crop), _) => crop.both(),
            // SigLIP's images are resized to the size of the model's.
            (None | Some(false), _, Resized::Exact(both)) => both,
            _ => {
                return Err(Error::unsupported(format!(
                    "{FILE}: do_center_crop or crop_size is missing, expected both, or a size with height and width"
                )));
            }
        };
        for (name, value) in [
            ("size", least[0]),
            ("size", least[1]),
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
        if crop.iter().zip(least).any(|(crop, least)| *crop > least) {
            return Err(Error::unsupported(format!(
                "{FILE}: crop_size {crop:?} is larger than size {least:?}"
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
            size,
            resampling,
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
        let middle = resize(
            image,
            self.resampling,
            size,
            left..left + columns,
            top..top + rows,
        );
        let pixels = middle.data().as_chunks::<3>().0;
        let mut planes = vec![0.0; 3 * pixels.len()];
        for (colour, plane) in planes.chunks_exact_mut(pixels.len()).enumerate() {
            let (mean, deviation) = (self.mean[colour], self.deviation[colour]);
            let table = std::array::from_fn(|value| (value as f32 / 255.0 - mean) / deviation);
            look_up(pixels, colour, &table, plane);
        }
        Ok(planes)
    }

    /// Width and height before the crop: those of the config, or the shorter edge has its length, and the longer one is in proportion,
    /// rounded down.
    fn resized(&self, [width, height]: [usize; 2]) -> Result<[usize; 2]> {
        let shortest = match self.size {
            Resized::Exact([rows, columns]) => return Ok([columns, rows]),
            Resized::Shortest(shortest) => shortest,
        };
        let (short, long) = (width.min(height), width.max(height));
        let other = shortest as u128 * long as u128 / short as u128;
        // 32 bits on 64-bit targets too, so that all targets accept the same images.
        let other = u32::try_from(other).map_err(|_| {
            Error::invalid_input(format!(
                "an image of {width} x {height} pixels is too narrow for the model"
            ))
        })?;
        Ok(if width <= height {
            [shortest, other as usize]
        } else {
            [other as usize, shortest]
        })
    }
}
