//! The digit generator: loads it, and draws handwritten digits from classes and seeds.

use burn::tensor::Device;
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;

use super::load::{LastFile, Loading, Pretrained, Source, load};
use crate::error::{Error, Result};
use crate::models::{CLASSES, DigitUNet, EDGE};
use crate::scheduler::Scheduler;
use crate::weights::{Dtype, Tensors};

/// The number of pixels of a digit.
const PIXELS: usize = EDGE * EDGE;

/// The number of digits in a batch, each taken twice where guidance acts: enough to fill the kernels and a GPU, few enough to
/// keep buffers in cache (the largest has 0.8 MB).
const BATCH: usize = 8;

/// The most digits of one call, whose noise stays in memory throughout, 3 KB each.
const MAX_DIGITS: usize = 10_000;
const MAX_STEPS: usize = 100;
const MAX_GUIDANCE: f32 = 20.0;

/// The times at which guidance acts, where 0 is noise and 1 the digit: while its shape emerges. Before, the network predicts the
/// mean of the class; after, guidance would only sharpen the outline. *Source*: Kynkäänniemi et al., "Applying Guidance in a
/// Limited Interval", 2024; these bounds are, of those
/// tried, the ones closest to the lowest Fréchet distance with two guided steps.
const GUIDED: std::ops::Range<f64> = 0.2..0.5;

/// The row of the class table that stands for no class.
const NO_CLASS: usize = CLASSES - 1;

/// The class and the noise from which a digit is drawn. The same latent gives the same digit, whatever else is in the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latent {
    /// The class, 0 to 9.
    pub digit: u8,
    /// The seed, which determines the noise together with `index`.
    pub seed: u64,
    /// The index of the digit among those of this seed.
    pub index: u64,
}

/// One digit to draw: a point between two latents.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interpolation {
    /// The latent at `t` = 0.
    pub from: Latent,
    /// The latent at `t` = 1.
    pub to: Latent,
    /// The position between the two, 0 to 1.
    pub t: f32,
}

impl Interpolation {
    /// Makes the interpolation that is one latent.
    pub fn new(latent: Latent) -> Self {
        Self {
            from: latent,
            to: latent,
            t: 0.0,
        }
    }

    fn check(&self) -> Result<()> {
        for Latent { digit, .. } in [self.from, self.to] {
            if digit > 9 {
                return Err(Error::invalid_input(format!(
                    "digit is {digit}, expected 0 to 9"
                )));
            }
        }
        if !(0.0..=1.0).contains(&self.t) {
            return Err(Error::invalid_input(format!(
                "t is {}, expected 0 to 1",
                self.t
            )));
        }
        Ok(())
    }

    /// Samples the noise: standard normal values. Between two latents it lies on the arc between theirs, so that it is standard
    /// normal too.
    fn noise(&self) -> Vec<f32> {
        let [from, to] = [self.from, self.to].map(|Latent { seed, index, .. }| (seed, index));
        if from == to || self.t == 0.0 {
            return noise(from);
        }
        if self.t == 1.0 {
            return noise(to);
        }
        let (sin, cos) = (self.t * std::f32::consts::FRAC_PI_2).sin_cos();
        let pairs = noise(from).into_iter().zip(noise(to));
        pairs.map(|(from, to)| cos * from + sin * to).collect()
    }

    /// The share of each class.
    fn classes(&self) -> [f32; CLASSES] {
        let mut classes = [0.0; CLASSES];
        classes[usize::from(self.from.digit)] += 1.0 - self.t;
        classes[usize::from(self.to.digit)] += self.t;
        classes
    }
}

fn noise((seed, index): (u64, u64)) -> Vec<f32> {
    // Each digit of a seed has a random stream of its own.
    let mut generator = Pcg64::new(seed.into(), index.into());
    let normal = || StandardNormal.sample(&mut generator);
    std::iter::repeat_with(normal).take(PIXELS).collect()
}

/// The options of drawing.
#[derive(Clone, Copy, Debug)]
pub struct GenerateOptions {
    /// The number of steps, 1 to 100: more steps give finer digits, and each runs the network once.
    pub steps: usize,
    /// The guidance scale, 0 to 20: 1 samples digits as people write them, more makes them clearer and more alike.
    pub guidance: f32,
}

impl Default for GenerateOptions {
    fn default() -> Self {
        Self {
            steps: 7,
            guidance: 1.75,
        }
    }
}

impl GenerateOptions {
    fn check(&self) -> Result<()> {
        let Self { steps, guidance } = *self;
        if !(1..=MAX_STEPS).contains(&steps) {
            return Err(Error::invalid_input(format!(
                "steps is {steps}, expected 1 to {MAX_STEPS}"
            )));
        }
        if !(0.0..=MAX_GUIDANCE).contains(&guidance) {
            return Err(Error::invalid_input(format!(
                "guidance is {guidance}, expected 0 to {MAX_GUIDANCE}"
            )));
        }
        Ok(())
    }
}

/// A callback that receives the number of a step, from 1, the number of steps, and the digits after that step.
pub type OnStep<'a> = dyn FnMut(usize, usize, &[u8]) + 'a;

/// A loaded generator of handwritten digits.
pub struct DigitGenerator {
    unet: DigitUNet,
}

/// Digits that are drawn together.
struct Batch {
    /// The values of the digits, from about -1 to 1; noise at first.
    x: Vec<f32>,
    /// The share of each class in each digit.
    classes: Vec<[f32; CLASSES]>,
    /// The clean digits that the step before predicted.
    before: Option<Vec<f32>>,
}

impl Pretrained for DigitGenerator {
    const FILES: &'static [&'static str] = &[];

    type Config = ();
    type Prepared = ();
    type Network = DigitUNet;

    async fn config(_files: &mut Loading<'_, '_>) -> Result<()> {
        Ok(())
    }

    fn prefixes(_config: &()) -> &'static [&'static str] {
        &[""]
    }

    fn prepare(_config: &(), _file: &LastFile) -> Result<()> {
        Ok(())
    }

    fn network(_config: &(), tensors: &mut Tensors) -> Result<DigitUNet> {
        DigitUNet::new(tensors)
    }

    fn assemble(_config: (), _prepared: (), unet: DigitUNet, _device: &Device) -> Self {
        Self { unet }
    }
}

impl DigitGenerator {
    /// Loads the network from a packed file or an upstream checkpoint.
    ///
    /// *Errors*: as `TextEmbedder::load`.
    pub async fn load(source: &Source<'_>, device: &Device) -> Result<Self> {
        Ok(load::<Self>(source, Dtype::Q8, device).await?.model)
    }

    /// Draws digits and returns them one after the other: 28 rows of 28 grey values each, 0 for paper and 255 for ink, as in
    /// MNIST.
    ///
    /// `on_step` is called after each step, the last one included.
    /// *Errors*: `InvalidInput` naming the option and its range, `Aborted`.
    pub async fn generate(
        &self,
        interpolations: &[Interpolation],
        options: &GenerateOptions,
        mut on_step: Option<&mut OnStep<'_>>,
        scheduler: &dyn Scheduler,
    ) -> Result<Vec<u8>> {
        options.check()?;
        if interpolations.is_empty() || interpolations.len() > MAX_DIGITS {
            return Err(Error::invalid_input(format!(
                "{} digits are asked for, expected 1 to {MAX_DIGITS}",
                interpolations.len()
            )));
        }
        interpolations.iter().try_for_each(Interpolation::check)?;
        let mut batches = Vec::new();
        for interpolations in interpolations.chunks(BATCH) {
            scheduler.yield_now().await?;
            batches.push(Batch {
                x: interpolations
                    .iter()
                    .flat_map(Interpolation::noise)
                    .collect(),
                classes: interpolations.iter().map(Interpolation::classes).collect(),
                before: None,
            });
        }
        let GenerateOptions { steps, guidance } = *options;
        for step in 0..steps {
            for batch in &mut batches {
                self.step(batch, step, steps, guidance, scheduler).await?;
            }
            if let Some(on_step) = on_step.as_deref_mut() {
                on_step(step + 1, steps, &grey(&batches));
            }
        }
        Ok(grey(&batches))
    }

    /// One step of DPM-Solver++(2M) along the straight path from noise to the digit, `x = t · digit + (1 - t) · noise`.
    ///
    /// *Source*: Lu et al., "DPM-Solver++", 2022, algorithm 2.
    async fn step(
        &self,
        batch: &mut Batch,
        step: usize,
        steps: usize,
        guidance: f32,
        scheduler: &dyn Scheduler,
    ) -> Result<()> {
        let [previous, now, next] =
            [step as f64 - 1.0, step as f64, step as f64 + 1.0].map(|step| step / steps as f64);
        let clean = self.clean(batch, now, guidance, scheduler).await?;
        // The solver's time is the logarithm of the ratio of digit to noise, which is infinite at both ends.
        let log = |t: f64| (t / (1.0 - t)).ln();
        let length = log(next) - log(now);
        // Second order: extrapolate the change since the previous step, unless one of the two steps is infinite.
        let ratio = match step > 1 && step + 1 < steps {
            true => length / (2.0 * (log(now) - log(previous))),
            false => 0.0,
        };
        let keep = (1.0 - next) / (1.0 - now);
        let share = -next * (-length).exp_m1();
        let before = batch.before.as_ref().unwrap_or(&clean);
        for ((x, clean), before) in batch.x.iter_mut().zip(&clean).zip(before) {
            let extrapolated = clean + (clean - before) * ratio as f32;
            *x = *x * keep as f32 + extrapolated * share as f32;
        }
        batch.before = Some(clean);
        Ok(())
    }

    /// Predicts the clean digits, guided away from the prediction for no class: `free + guidance · (clean - free)`.
    ///
    /// *Source*: Ho & Salimans, "Classifier-Free Diffusion Guidance", 2022.
    async fn clean(
        &self,
        batch: &Batch,
        time: f64,
        guidance: f32,
        scheduler: &dyn Scheduler,
    ) -> Result<Vec<f32>> {
        let Batch { x, classes, .. } = batch;
        if guidance == 1.0 || !GUIDED.contains(&time) {
            return self
                .unet
                .predict_clean(x.clone(), time as f32, classes, scheduler)
                .await;
        }
        let mut none = [0.0; CLASSES];
        none[NO_CLASS] = 1.0;
        let classes = [classes.clone(), vec![none; classes.len()]].concat();
        let both = self
            .unet
            .predict_clean(x.repeat(2), time as f32, &classes, scheduler)
            .await?;
        let (clean, free) = both.split_at(x.len());
        let pairs = clean.iter().zip(free);
        Ok(pairs
            .map(|(clean, free)| free + guidance * (clean - free))
            .collect())
    }
}

/// Converts values to grey: -1 becomes 0, paper, and 1 becomes 255, ink; values beyond are clamped.
fn grey(batches: &[Batch]) -> Vec<u8> {
    let values = batches.iter().flat_map(|batch| &batch.x);
    // The cast clamps to 0 and 255.
    values.map(|x| ((x + 1.0) * 127.5).round() as u8).collect()
}

#[cfg(test)]
mod tests;
