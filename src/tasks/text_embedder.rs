//! Text embedding: loads a sentence encoder, and encodes lists of texts as vectors.

use std::borrow::Cow;

use burn::tensor::Device;

use super::embeddings::{EmbedOptions, Embeddings, truncate_and_normalize, try_reserve};
use super::first_layers::{self, Layered};
use super::hidden_states::{HiddenStatesOptions, each_pooled, hidden_states};
use super::load::{LastFile, LoadPlan, Loading, Pretrained, Source};
use super::modules::Steps;
use super::pooling::PoolingConfig;
use super::prompts::Prompts;
use super::sentence_transformers::{CONFIG, FILES, SentenceTransformerConfig, cut, tokenizer_file};
use crate::error::Result;
use crate::models::{SentenceEncoder, SentenceEncoderConfig};
use crate::scheduler::Scheduler;
use crate::text::{TextTokenizer, VOCABULARY, batches, encode};
use crate::weights::{Dtype, Tensors};

/// A loaded sentence encoder with its tokenizer and pooling.
pub struct TextEmbedder {
    encoder: SentenceEncoder,
    tokenizer: TextTokenizer,
    pooling: PoolingConfig,
    /// The modules that follow the pooling.
    steps: Steps,
    prompts: Prompts,
    dimensions: usize,
    /// The number of values of a hidden state.
    hidden_size: usize,
    max_tokens: usize,
    layers: usize,
    is_cut: bool,
    commit: String,
}

impl Pretrained for TextEmbedder {
    const FILES: &'static [&'static str] = FILES;
    const INSTEAD: &'static [&'static [&'static str]] = &[&[VOCABULARY]];

    type Config = SentenceTransformerConfig;
    type Prepared = TextTokenizer;
    type Network = SentenceEncoder;

    async fn config(files: &mut Loading<'_, '_>) -> Result<Self::Config> {
        SentenceTransformerConfig::read(files).await
    }

    fn prefixes(config: &Self::Config) -> &'static [&'static str] {
        config.encoder.prefixes()
    }

    fn gguf_name(config: &Self::Config) -> fn(&str) -> Option<String> {
        config.encoder.gguf_name()
    }

    fn prepare(config: &Self::Config, file: &LastFile) -> Result<TextTokenizer> {
        match config.encoder.as_static().map(|own| own.model2vec) {
            Some(Some(own)) => {
                let (longest, median) = (own.max_length, own.median_token_length);
                return TextTokenizer::for_model2vec(&file.bytes()?, longest, median);
            }
            Some(None) => return TextTokenizer::for_static_embedding(&file.bytes()?),
            None => {}
        }
        let mut tokenizer = file.tokenizer(config.max_tokens, config.lowercase)?;
        tokenizer.heed(&config.tokenizer).map(|()| tokenizer)
    }

    fn tokenizer(tokenizer: &TextTokenizer) -> Option<&TextTokenizer> {
        Some(tokenizer)
    }

    async fn last(
        files: &mut Loading<'_, '_>,
        file: &str,
        config: &Self::Config,
    ) -> Result<Vec<u8>> {
        tokenizer_file(files, file, &config.tokenizer).await
    }

    fn network(config: &Self::Config, tensors: &mut Tensors) -> Result<SentenceEncoder> {
        SentenceEncoder::new(&config.encoder, tensors)
    }

    fn assemble(
        mut config: Self::Config,
        tokenizer: TextTokenizer,
        encoder: SentenceEncoder,
        _device: &Device,
    ) -> Self {
        let [hidden_size, _] = config.encoder.sizes();
        let table = encoder.as_static();
        let hidden_size = table.map_or(hidden_size, |table| table.dimensions());
        Self {
            encoder,
            max_tokens: tokenizer.max_tokens(),
            tokenizer,
            dimensions: config.steps.width(hidden_size * config.pooling.modes.len()),
            pooling: config.pooling,
            steps: config.steps,
            prompts: config.prompts,
            hidden_size,
            layers: *config.encoder.layers(),
            is_cut: config.is_cut,
            commit: String::new(),
        }
    }
}

impl Layered for TextEmbedder {
    const CONFIG: &'static str = CONFIG;

    fn cut(config: &[u8], layers: usize) -> Result<bool> {
        cut(&mut SentenceEncoderConfig::from_json(config)?, layers)
    }

    fn layers(&self) -> usize {
        self.layers
    }
}

impl TextEmbedder {
    /// Loads the model, or the first [`layers`](Source::layers) of it, from the store if it is complete there, else from the host,
    /// and stores it.
    ///
    /// *Errors*: `InvalidInput` for no layers or more than the model has, `FetchFailed`, `Integrity`, `InvalidWeights`,
    /// `UnsupportedModel`, `ResourceLimit`, `QuotaExceeded`, `Aborted`. The store then holds a partial download that can be resumed, or
    /// nothing; never a readable model.
    pub async fn load(source: &Source<'_>, dtype: Dtype, device: &Device) -> Result<Self> {
        let loaded = first_layers::load::<Self>(source, dtype, device).await?;
        Ok(Self {
            commit: loaded.commit,
            ..loaded.model
        })
    }

    /// Computes the cost of loading the model, or the first layers of it.
    ///
    /// *Errors*: as [`load`](Self::load).
    pub async fn plan(source: &Source<'_>, dtype: Dtype) -> Result<LoadPlan> {
        first_layers::plan::<Self>(source, dtype).await
    }

    /// Asks the host for the current commit, which the next load reads, and records that the model, or its part, was used.
    ///
    /// *Errors*: `FetchFailed`, `Aborted`; where [`layers`](Source::layers) is set, also `InvalidInput` for more than the model has, and
    /// those of reading its `config.json`.
    pub async fn refresh(source: &Source<'_>) -> Result<()> {
        first_layers::refresh::<Self>(source).await
    }

    /// The commit of the model's files, or its stand-in if they come from no commit.
    pub fn commit(&self) -> &str {
        &self.commit
    }

    /// The number of values of one vector.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// The longest text in tokens, special tokens included; longer texts are truncated. It is `usize::MAX` where no text is too long.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// The prompts of the repository.
    pub fn prompts(&self) -> &Prompts {
        &self.prompts
    }

    /// The number of loaded layers.
    pub fn layers(&self) -> usize {
        self.layers
    }

    /// Whether the model has more layers than were loaded.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Embeds texts, each after the prompt. The same text gives the same vector whatever else is in the list.
    ///
    /// *Errors*: `InvalidInput` naming the option, `Aborted`.
    pub async fn embed(
        &self,
        texts: &[String],
        options: &EmbedOptions,
        scheduler: &dyn Scheduler,
    ) -> Result<Embeddings> {
        let width = options.output_dimensions(self.dimensions)?;
        let prompt = self.prompts.text(options.prompt.as_deref());
        let prompted = texts.iter().map(|text| format!("{prompt}{text}"));
        let prompted: Cow<'_, [String]> = match prompt {
            "" => texts.into(),
            _ => prompted.collect::<Vec<_>>().into(),
        };
        let tokens = encode(&self.tokenizer, &prompted, scheduler).await?;
        let skipped = match self.pooling.include_prompt || prompt.is_empty() {
            true => 0,
            false => self.tokenizer.prompt_length(prompt)?,
        };
        let mut vectors = try_reserve(texts.len(), width)?;
        let mut vector = Vec::new();
        let mut keep = |vector: &mut Vec<f32>| {
            self.steps.apply(vector);
            vectors.extend_from_slice(truncate_and_normalize(vector, width));
        };
        if let Some(table) = self.encoder.as_static() {
            for batch in batches(&tokens) {
                scheduler.yield_now().await?;
                for text in batch {
                    // A step may have cut the vector of the text before.
                    vector.resize(self.hidden_size, 0.0);
                    table.mean(&text.ids, &mut vector)?;
                    keep(&mut vector);
                }
            }
            return Ok(Embeddings::new(vectors, width, options.precision, &tokens));
        }
        let forward = async |sequences: &[&[u32]]| {
            let layers = self.layers;
            self.encoder.forward(sequences, layers, scheduler).await
        };
        let modes = (self.pooling.modes.as_slice(), skipped);
        let mut take = |pooled: &[f32]| {
            vector.clear();
            vector.extend_from_slice(pooled);
            keep(&mut vector);
        };
        each_pooled(
            &tokens,
            self.hidden_size,
            modes,
            forward,
            &mut take,
            scheduler,
        )
        .await?;
        Ok(Embeddings::new(vectors, width, options.precision, &tokens))
    }

    /// The ids of the tokens of texts as [`embed`](Self::embed) reads them, after truncation and with special tokens.
    ///
    /// *Errors*: `InvalidInput` for a text that cannot be tokenized, `Aborted`.
    pub async fn tokens(
        &self,
        texts: &[String],
        scheduler: &dyn Scheduler,
    ) -> Result<Vec<Vec<u32>>> {
        let tokens = encode(&self.tokenizer, texts, scheduler).await?;
        Ok(tokens.into_iter().map(|tokens| tokens.ids).collect())
    }

    /// Computes the hidden states after a layer, and none of the layers that follow it. They are neither normalized nor changed by
    /// any module after the encoder. The same text gives the same states whatever else is in the list.
    ///
    /// *Shapes*: a row of `d` values for each text, or without pooling for each token, special tokens included, one text after the
    /// other.
    /// *Errors*: `InvalidInput` naming the option, `ResourceLimit`, `Aborted`.
    pub async fn hidden_states(
        &self,
        texts: &[String],
        options: &HiddenStatesOptions,
        scheduler: &dyn Scheduler,
    ) -> Result<Embeddings> {
        let tokens = encode(&self.tokenizer, texts, scheduler).await?;
        hidden_states(
            &tokens,
            options,
            [self.layers, self.hidden_size],
            async |sequences, layers| self.encoder.forward(sequences, layers, scheduler).await,
            scheduler,
        )
        .await
    }
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::super::pooling::Pooling;
    use super::*;
    use crate::hub::MemoryHost;
    use crate::scheduler::NoYield;
    use crate::tasks::Values;
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

    /// Compares all hidden states and both ways to pool them, and fails with the number of the first layer that differs, where 0 is
    /// the input of the first layer. See docs/debugging-embeddings.md.
    fn each_layer_equals_pytorch(
        repository: impl Iterator<Item = (&'static str, &'static [u8])>,
        hidden_states: &[u8],
    ) {
        let files = repository.map(|(name, bytes)| (name.to_owned(), bytes.to_vec()));
        let host = MemoryHost::new(files);
        let source = Source::new(&host, &NoYield);
        let device = crate::device::cpu();
        let embedder = wait(TextEmbedder::load(&source, Dtype::F32, &device)).unwrap();
        assert_eq!(embedder.layers(), 2);
        let states = |layer, pooling| {
            let options = HiddenStatesOptions { layer, pooling };
            let texts = ["light".into(), "The pilot light is warm.".into()];
            let states = wait(embedder.hidden_states(&texts, &options, &NoYield)).unwrap();
            let Values::Float32(values) = states.values else {
                panic!("hidden states are float32")
            };
            assert_eq!(states.dims[0] * states.dims[1], values.len());
            // The last text's rows, of which there is one if they are pooled.
            let rows = pooling.map_or(states.tokens[1], |_| 1);
            values[values.len() - rows * states.dims[1]..].to_vec()
        };
        for layer in 0..=2 {
            let name = format!("hidden_states.{layer}");
            let expected = values_in(hidden_states, &name);
            let d = embedder.hidden_size;
            let t = (expected.len() / d) as f64;
            let column = |i| expected.iter().skip(i).step_by(d).copied().map(f64::from);
            let mean: Vec<f32> = (0..d)
                .map(|i| (column(i).sum::<f64>() / t) as f32)
                .collect();
            let first = &expected[..d];
            for (pooling, expected) in [
                (None, expected.as_slice()),
                (Some(Pooling::Mean), &mean),
                (Some(Pooling::Cls), first),
            ] {
                let error = largest_difference(&states(Some(layer), pooling), expected);
                // Values up to 4 or so, whose sums run in another order than PyTorch's.
                assert!(error < 2e-5, "{name}, {pooling:?}: {error:e}");
            }
        }
        // The last layer is the default.
        assert_eq!(states(None, None), states(Some(2), None));
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
