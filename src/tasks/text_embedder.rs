//! Text embedding: loads a sentence encoder, and encodes lists of texts as vectors.

use burn::tensor::Device;

use super::embeddings::{EmbedOptions, Embeddings, truncate_and_normalize, try_reserve};
use super::load::{LoadPlan, Loading, Pretrained, Source, load, plan};
use super::pooling::{Pooling, normalize};
use super::sentence_transformers::{FILES, SentenceTransformerConfig};
use crate::error::Result;
use crate::models::SentenceEncoder;
use crate::ops::read;
use crate::scheduler::Scheduler;
use crate::text::{TextTokenizer, Tokens, batches, encode};
use crate::weights::{Dtype, Tensors};

/// A loaded sentence encoder with its tokenizer and pooling.
pub struct TextEmbedder {
    encoder: SentenceEncoder,
    tokenizer: TextTokenizer,
    pooling: Pooling,
    normalize: bool,
    dimensions: usize,
    max_tokens: usize,
    commit: String,
}

impl Pretrained for TextEmbedder {
    const FILES: &'static [&'static str] = FILES;

    type Config = SentenceTransformerConfig;
    type Prepared = TextTokenizer;
    type Network = SentenceEncoder;

    async fn config(files: &mut Loading<'_, '_>) -> Result<Self::Config> {
        SentenceTransformerConfig::read(files).await
    }

    fn prefixes(config: &Self::Config) -> &'static [&'static str] {
        config.encoder.prefixes()
    }

    fn prepare(config: &Self::Config, tokenizer: &[u8]) -> Result<TextTokenizer> {
        TextTokenizer::from_json(tokenizer, config.max_tokens, config.lowercase)
    }

    fn network(config: &Self::Config, tensors: &mut Tensors) -> Result<SentenceEncoder> {
        SentenceEncoder::new(&config.encoder, tensors)
    }

    fn assemble(
        config: Self::Config,
        tokenizer: TextTokenizer,
        encoder: SentenceEncoder,
        _device: &Device,
    ) -> Self {
        Self {
            encoder,
            tokenizer,
            pooling: config.pooling,
            normalize: config.normalize,
            dimensions: config.encoder.sizes()[0],
            max_tokens: config.max_tokens,
            commit: String::new(),
        }
    }
}

impl TextEmbedder {
    /// Loads the model from the store if it is complete there, else from the host, and stores it.
    ///
    /// *Errors*: `FetchFailed`, `Integrity`, `InvalidWeights`, `UnsupportedModel`, `ResourceLimit`, `QuotaExceeded`, `Aborted`.
    /// The store then holds a partial download that can be resumed, or nothing; never a readable model.
    pub async fn load(source: &Source<'_>, dtype: Dtype, device: &Device) -> Result<Self> {
        let loaded = load::<Self>(source, dtype, device).await?;
        Ok(Self {
            commit: loaded.commit,
            ..loaded.model
        })
    }

    /// Computes the cost of loading the model.
    ///
    /// *Errors*: as [`load`](Self::load).
    pub async fn plan(source: &Source<'_>, dtype: Dtype) -> Result<LoadPlan> {
        plan::<Self>(source, dtype).await
    }

    /// The commit of the model's files, or what stands for one.
    pub fn commit(&self) -> &str {
        &self.commit
    }

    /// The number of values of one vector.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// The longest text in tokens, special tokens included; longer texts are truncated.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// Embeds texts. The same text gives the same vector whatever else is in the list.
    ///
    /// *Errors*: `InvalidInput` naming the option, `Aborted`.
    pub async fn embed(
        &self,
        texts: &[String],
        options: &EmbedOptions,
        scheduler: &dyn Scheduler,
    ) -> Result<Embeddings> {
        let width = options.output_dimensions(self.dimensions)?;
        let tokens = encode(&self.tokenizer, texts, scheduler).await?;
        let mut vectors = try_reserve(texts.len(), width)?;
        for batch in batches(&tokens) {
            self.embed_batch(batch, width, &mut vectors, scheduler)
                .await?;
        }
        Ok(Embeddings::new(vectors, width, options.precision, &tokens))
    }

    async fn embed_batch(
        &self,
        batch: &[Tokens],
        width: usize,
        to: &mut Vec<f32>,
        scheduler: &dyn Scheduler,
    ) -> Result<()> {
        let sequences: Vec<&[u32]> = batch.iter().map(|tokens| tokens.ids.as_slice()).collect();
        let (hidden, spans) = self
            .encoder
            .forward(&sequences, &mut |_| {}, scheduler)
            .await?;
        let hidden = read(hidden).await?;
        let mut vector = vec![0.0; self.dimensions];
        for rows in spans.iter() {
            self.pooling.pool(
                &hidden[rows.start * self.dimensions..rows.end * self.dimensions],
                &mut vector,
            );
            if self.normalize {
                normalize(&mut vector);
            }
            to.extend_from_slice(truncate_and_normalize(&mut vector, width));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;
    use crate::hub::MemoryHost;
    use crate::scheduler::NoYield;
    use crate::tasks::goldens::{largest_difference, values_in, wait};

    macro_rules! repository {
        ($name:literal) => {
            [
                "config.json",
                "modules.json",
                "1_Pooling/config.json",
                "sentence_bert_config.json",
                "tokenizer.json",
                "model.safetensors",
            ]
            .into_iter()
            .zip([
                include_bytes!(concat!("../../tests/goldens/", $name, "/config.json")).as_slice(),
                include_bytes!(concat!("../../tests/goldens/", $name, "/modules.json")),
                include_bytes!(concat!(
                    "../../tests/goldens/",
                    $name,
                    "/1_Pooling/config.json"
                )),
                include_bytes!(concat!(
                    "../../tests/goldens/",
                    $name,
                    "/sentence_bert_config.json"
                )),
                include_bytes!(concat!("../../tests/goldens/", $name, "/tokenizer.json")),
                include_bytes!(concat!("../../tests/goldens/", $name, "/model.safetensors")),
            ])
        };
    }

    /// Fails with the number of the first layer that differs, where 0 is the input of the first layer. See
    /// docs/debugging-embeddings.md.
    fn each_layer_equals_pytorch(
        repository: impl Iterator<Item = (&'static str, &'static [u8])>,
        hidden_states: &[u8],
    ) {
        let files = repository.map(|(name, bytes)| (name.to_owned(), bytes.to_vec()));
        let host = MemoryHost::new(files);
        let source = Source::new(&host, &NoYield);
        let device = crate::device::cpu();
        let embedder = wait(TextEmbedder::load(&source, Dtype::F32, &device)).unwrap();
        let tokens = embedder
            .tokenizer
            .encode("The pilot light is warm.")
            .unwrap();
        let mut layers = Vec::new();
        wait(embedder.encoder.forward(
            &[&tokens.ids],
            &mut |hidden| layers.push(hidden.clone()),
            &NoYield,
        ))
        .unwrap();
        assert_eq!(layers.len(), 3);
        for (layer, hidden) in layers.into_iter().enumerate() {
            let expected = values_in(hidden_states, &format!("hidden_states.{layer}"));
            let error = largest_difference(&wait(read(hidden)).unwrap(), &expected);
            // Values up to 4 or so, whose sums run in another order than PyTorch's.
            assert!(error < 2e-5, "hidden_states.{layer}: {error:e}");
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn each_layer_of_bert_equals_pytorch() {
        each_layer_equals_pytorch(
            repository!("bert-tiny-mean"),
            include_bytes!("../../tests/goldens/bert-tiny-mean/hidden_states.safetensors"),
        );
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn each_layer_of_distilbert_equals_pytorch() {
        each_layer_equals_pytorch(
            repository!("distilbert-tiny-mean"),
            include_bytes!("../../tests/goldens/distilbert-tiny-mean/hidden_states.safetensors"),
        );
    }
}
