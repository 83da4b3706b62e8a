//! The digit classifier: loads it, and computes the class probabilities of images of handwritten digits.

use burn::tensor::Device;

use super::load::{LastFile, Loading, Pretrained, Source, load};
use crate::error::{Error, Result};
use crate::models::{self, EDGE};
use crate::ops::{floats, read};
use crate::scheduler::Scheduler;
use crate::weights::{Dtype, Tensors};

/// The number of pixels of a digit.
const PIXELS: usize = EDGE * EDGE;

/// The number of digits in a batch, whose largest buffer takes 2.4 MB.
const BATCH: usize = 32;

/// A loaded classifier of handwritten digits.
pub struct DigitClassifier {
    network: models::DigitClassifier,
    device: Device,
}

impl Pretrained for DigitClassifier {
    const FILES: &'static [&'static str] = &[];

    type Config = ();
    type Prepared = ();
    type Network = models::DigitClassifier;

    async fn config(_files: &mut Loading<'_, '_>) -> Result<()> {
        Ok(())
    }

    fn prefixes(_config: &()) -> &'static [&'static str] {
        &[""]
    }

    fn prepare(_config: &(), _file: &LastFile) -> Result<()> {
        Ok(())
    }

    fn network(_config: &(), tensors: &mut Tensors) -> Result<models::DigitClassifier> {
        models::DigitClassifier::new(tensors)
    }

    fn assemble(
        _config: (),
        _prepared: (),
        network: models::DigitClassifier,
        device: &Device,
    ) -> Self {
        Self {
            network,
            device: device.clone(),
        }
    }
}

impl DigitClassifier {
    /// Loads the network from a packed file or an upstream checkpoint.
    ///
    /// *Errors*: as `TextEmbedder::load`.
    pub async fn load(source: &Source<'_>, device: &Device) -> Result<Self> {
        Ok(load::<Self>(source, Dtype::Q8, device).await?.model)
    }

    /// Computes the probability of each of the ten classes, ten values for each image of a digit.
    ///
    /// *Shapes*: `digits`: 28 rows of 28 grey values for each, 0 for paper and 255 for ink. *Errors*: `InvalidInput`, `Aborted`.
    pub async fn read(&self, digits: &[u8], scheduler: &dyn Scheduler) -> Result<Vec<f32>> {
        if digits.is_empty() || !digits.len().is_multiple_of(PIXELS) {
            return Err(Error::invalid_input(format!(
                "digits have {} values, expected {PIXELS} for each",
                digits.len()
            )));
        }
        let mut all = Vec::new();
        for batch in digits.chunks(BATCH * PIXELS) {
            scheduler.yield_now().await?;
            let x = batch.iter().map(|grey| f32::from(*grey) / 127.5 - 1.0);
            let shape = [batch.len() / PIXELS, EDGE, EDGE, 1];
            let logits = self
                .network
                .forward(floats(x.collect(), shape, &self.device));
            for logits in read(logits).await?.chunks_exact(10) {
                let largest = logits.iter().fold(f32::NEG_INFINITY, |a, b| a.max(*b));
                let powers = logits.iter().map(|x| (x - largest).exp());
                let sum: f32 = powers.clone().sum();
                all.extend(powers.map(|power| power / sum));
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;
    use crate::error::ErrorKind;
    use crate::scheduler::NoYield;
    use crate::tasks::goldens::{bytes, host, largest_difference, values, wait};

    fn classifier() -> DigitClassifier {
        let host = host(include_bytes!("../../weights/judge.safetensors"));
        wait(DigitClassifier::load(
            &Source::new(&host, &NoYield),
            &crate::device::cpu(),
        ))
        .unwrap()
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn probabilities_equal_those_of_pytorch() {
        let classifier = classifier();
        let read = wait(classifier.read(bytes("grey"), &NoYield)).unwrap();
        let error = largest_difference(&read, &values("probabilities"));
        // Five convolutions of up to 576 products, and their norms, are summed in another order than in PyTorch.
        assert!(error < 1e-4, "{error:e}");
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn a_digit_is_classified_alike_alone_and_in_a_batch() {
        let classifier = classifier();
        let one = bytes("grey");
        let many = one.repeat(BATCH / 2);
        let alone = wait(classifier.read(&one[..PIXELS], &NoYield)).unwrap();
        let all = wait(classifier.read(&many, &NoYield)).unwrap();
        assert!(all.chunks_exact(30).all(|three| three[..10] == alone));
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn a_wrong_number_of_values_is_refused() {
        for length in [0, 1, PIXELS - 1, PIXELS + 1] {
            let error = wait(classifier().read(&vec![0; length], &NoYield)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains("expected 784"), "{error}");
        }
    }
}
