//! How each class of model is timed on a GPU and on the CPU: by its first layers and an input of zeros.

use burn::tensor::{Device, Tensor};

use super::clip_towers::{ImageTower, TextTower};
use super::decoder::Decoder;
use super::digit_classifier::DigitClassifier;
use super::digit_generator::DigitGenerator;
use super::load::{Pretrained, SampleInput, Timed};
use super::sequence_classifier::SequenceClassifier;
use super::text_embedder::TextEmbedder;
use crate::error::Result;
use crate::models::{self, Encoder, SentenceEncoder};
use crate::ops::floats;
use crate::scheduler::NoYield;

/// Runs all layers that an encoder has.
async fn encode(encoder: &SentenceEncoder, input: SampleInput) -> Result<Tensor<2>> {
    let ids = vec![0; input.size()];
    let states = encoder.forward(&[&ids], usize::MAX, &NoYield).await;
    states.map(|(states, _)| states)
}

impl Timed for TextEmbedder {
    fn set_layers(config: &mut <Self as Pretrained>::Config, layers: usize) -> usize {
        std::mem::replace(config.encoder.layers(), layers)
    }

    fn sample_input(config: &<Self as Pretrained>::Config) -> SampleInput {
        SampleInput::text(config.max_tokens)
    }

    async fn sample(
        network: &<Self as Pretrained>::Network,
        input: SampleInput,
        _device: &Device,
    ) -> Result<Tensor<2>> {
        encode(network, input).await
    }
}

impl Timed for SequenceClassifier {
    fn set_layers(config: &mut <Self as Pretrained>::Config, layers: usize) -> usize {
        std::mem::replace(config.network.encoder.layers(), layers)
    }

    fn sample_input(config: &<Self as Pretrained>::Config) -> SampleInput {
        SampleInput::text(config.max_tokens())
    }

    async fn sample(
        network: &<Self as Pretrained>::Network,
        input: SampleInput,
        _device: &Device,
    ) -> Result<Tensor<2>> {
        encode(network.encoder(), input).await
    }
}

impl Timed for Decoder {
    fn set_layers(config: &mut <Self as Pretrained>::Config, layers: usize) -> usize {
        std::mem::replace(models::Decoder::layers(config), layers)
    }

    fn sample_input(config: &<Self as Pretrained>::Config) -> SampleInput {
        let [_, longest] = models::Decoder::sizes(config);
        SampleInput::text(longest)
    }

    async fn sample(
        network: &<Self as Pretrained>::Network,
        input: SampleInput,
        device: &Device,
    ) -> Result<Tensor<2>> {
        // The rows of the table may stay in the store.
        let (ids, d) = (vec![0; input.size()], network.hidden_size());
        let rows = floats(vec![0.0; ids.len() * d], [ids.len(), d], device);
        let ids: [&[u32]; 1] = [&ids];
        let states = network.forward_rows(rows, &ids, usize::MAX, &NoYield);
        states.await.map(|(states, _)| states)
    }
}

impl Timed for TextTower {
    fn set_layers(config: &mut <Self as Pretrained>::Config, layers: usize) -> usize {
        std::mem::replace(config.model.text_layers(), layers)
    }

    fn sample_input(config: &<Self as Pretrained>::Config) -> SampleInput {
        SampleInput::text(config.model.max_tokens())
    }

    async fn sample(
        network: &<Self as Pretrained>::Network,
        input: SampleInput,
        _device: &Device,
    ) -> Result<Tensor<2>> {
        // Nothing is computed of tokens after the end token, which in older configs is the largest id.
        let mut ids = vec![0; input.size()];
        if let Some(last) = ids.last_mut() {
            *last = 1;
        }
        network.forward(&[&ids], &NoYield).await
    }
}

impl Timed for ImageTower {
    fn set_layers(config: &mut <Self as Pretrained>::Config, layers: usize) -> usize {
        std::mem::replace(config.model.image_layers(), layers)
    }

    fn sample_input(config: &<Self as Pretrained>::Config) -> SampleInput {
        SampleInput::Image(config.model.image_size())
    }

    async fn sample(
        network: &<Self as Pretrained>::Network,
        input: SampleInput,
        _device: &Device,
    ) -> Result<Tensor<2>> {
        let pixels = vec![0.0; 3 * input.size() * input.size()];
        network.forward(&[&pixels], &NoYield).await
    }
}

// The package takes the CPU for digits, which are drawn in less time than the WebGPU code takes to arrive.
impl Timed for DigitGenerator {}

impl Timed for DigitClassifier {}
