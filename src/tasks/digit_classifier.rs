//! Images of handwritten digits to the digits: loading the classifier, and reading with it.

use burn::tensor::Device;

use super::load::{Loading, Pretrained, Source, load};
use crate::error::{Error, Result};
use crate::models::{self, EDGE};
use crate::ops::{floats, read};
use crate::scheduler::Scheduler;
use crate::weights::{Dtype, Tensors};

/// Pixels of a picture.
const PIXELS: usize = EDGE * EDGE;

/// Pictures that go through the network together (the largest buffer takes 2.4 MB then).
const AT_ONCE: usize = 32;

/// Reads handwritten digits.
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

    fn prepare(_config: &(), _file: &[u8]) -> Result<()> {
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
    /// Loads the network, packed or as it was trained.
    ///
    /// *Errors*: as `TextEmbedder::load`.
    pub async fn load(source: &Source<'_>, device: &Device) -> Result<Self> {
        Ok(load::<Self>(source, Dtype::Q8, device).await?.model)
    }

    /// The probability of each of the ten digits, ten values a picture.
    ///
    /// *Shapes*: `pictures`: 28 rows of 28 grey values each, 0 paper and 255 ink. *Errors*: `InvalidInput`, `Aborted`.
    pub async fn read(&self, pictures: &[u8], scheduler: &dyn Scheduler) -> Result<Vec<f32>> {
        if pictures.is_empty() || !pictures.len().is_multiple_of(PIXELS) {
            return Err(Error::invalid_input(format!(
                "pictures have {} values, expected {PIXELS} for each",
                pictures.len()
            )));
        }
        let mut all = Vec::new();
        for batch in pictures.chunks(AT_ONCE * PIXELS) {
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

    fn judge() -> DigitClassifier {
        let host = host(include_bytes!("../../weights/judge.safetensors"));
        wait(DigitClassifier::load(
            &Source::new(&host, &NoYield),
            &crate::device::cpu(),
        ))
        .unwrap()
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn the_judge_reads_as_it_reads_in_pytorch() {
        let judge = judge();
        let read = wait(judge.read(bytes("grey"), &NoYield)).unwrap();
        let error = largest_difference(&read, &values("probabilities"));
        // Five convolutions of up to 576 products and their norms, in another order than PyTorch's.
        assert!(error < 1e-4, "{error:e}");
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn a_picture_is_read_alike_alone_and_among_others() {
        let judge = judge();
        let one = bytes("grey");
        let many = one.repeat(AT_ONCE / 2);
        let alone = wait(judge.read(&one[..PIXELS], &NoYield)).unwrap();
        let all = wait(judge.read(&many, &NoYield)).unwrap();
        assert!(all.chunks_exact(30).all(|three| three[..10] == alone));
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn what_is_no_picture_is_refused() {
        for length in [0, 1, PIXELS - 1, PIXELS + 1] {
            let error = wait(judge().read(&vec![0; length], &NoYield)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains("expected 784"), "{error}");
        }
    }
}
