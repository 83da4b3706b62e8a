//! Text to vectors: loading a sentence encoder, and running it over lists of texts.

use burn::tensor::Device;

use super::embeddings::{EmbedOptions, Embeddings, truncate_and_normalize, try_reserve};
use super::load::{Loading, Pretrained, Source, load};
use super::pooling::{Pooling, normalize};
use super::sentence_transformers::{FILES, SentenceTransformerConfig};
use crate::error::Result;
use crate::models::SentenceEncoder;
use crate::ops::read;
use crate::scheduler::Scheduler;
use crate::text::{TextTokenizer, Tokens, batches, encode};
use crate::weights::{Dtype, Tensors};

/// A sentence encoder, ready to embed.
pub struct TextEmbedder {
    encoder: SentenceEncoder,
    tokenizer: TextTokenizer,
    pooling: Pooling,
    normalize: bool,
    dimensions: usize,
    max_tokens: usize,
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
            dimensions: config.encoder.dimensions(),
            max_tokens: config.max_tokens,
        }
    }
}

impl TextEmbedder {
    /// Loads from the store where the model is whole there, else from the host, and then keeps it.
    ///
    /// *Errors*: `FetchFailed`, `Integrity`, `InvalidWeights`, `UnsupportedModel`, `ResourceLimit`, `QuotaExceeded`, `Aborted`. The
    /// store then holds a partial download that can be resumed, or nothing; never a readable model.
    pub async fn load(source: &Source<'_>, dtype: Dtype, device: &Device) -> Result<Self> {
        Ok(load::<Self>(source, dtype, device).await?.model)
    }

    /// Values of one vector.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// Longest text in tokens.
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
