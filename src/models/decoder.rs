//! Decoders: Qwen2, Qwen3 and Llama, of which SmolLM2 is one.
//!
//! *Source*: Touvron et al., "LLaMA", 2023; Qwen Team, "Qwen2.5 Technical Report", 2024, and "Qwen3 Technical Report", 2025; and
//! `transformers`, `models/{llama,qwen2,qwen3}`, whose module names the fields have.

use std::ops::Range;

use burn::tensor::{Device, Tensor};
use pilotlight_kernels::statistics::{Prediction, TokenStatistics};

use super::config::{check_sequences, token_ids};
use super::decoder_config::DecoderConfig;
use super::gguf_names;
use super::sentence_encoder::Encoder;
use crate::device::is_cpu;
use crate::error::{Error, Result};
use crate::ops::{
    Activation, Embedding, Linear, PANEL, QUERY_BLOCK, RmsNorm, Rotary, Spans, attention, gated,
    part, read,
};
use crate::scheduler::Scheduler;
use crate::weights::{StoredTable, Tensors};

/// Rows that go through the linear layers of a block together. That keeps the time between yields short, and the two buffers of the
/// feed-forward layer small. Kernels quantize as many rows at a time, so that larger blocks would not be faster.
const ROWS: usize = 120;

/// Rows whose logits are in memory together.
const HEAD_ROWS: usize = 512;

/// The most multiply-adds of attention between yields, beyond which a text's rows are computed in parts: of SmolLM2-135M with 8,000 tokens, 72
/// rows, which take about 25 ms.
const ATTENTION_STEP: usize = 1 << 29;

/// Panels of the vocabulary whose logits are in memory together: 1,024 tokens.
const PANELS: usize = 128;

/// A decoder, or the first layers of one.
pub struct Decoder {
    config: DecoderConfig,
    embed_tokens: Table,
    layers: Vec<Layer>,
    /// The norm after the last layer; absent where only the first layers were loaded.
    norm: Option<RmsNorm>,
    /// `[v, d]`
    lm_head: Option<Linear>,
    device: Device,
}

/// The embedding table, `[v, d]`.
enum Table {
    Memory(Embedding),
    Store(StoredTable),
}

struct Layer {
    input_layernorm: RmsNorm,
    /// `[heads * head_dim, d]`
    q_proj: Linear,
    /// `[key_heads * head_dim, d]` each
    k_proj: Linear,
    v_proj: Linear,
    /// Norms of each head of queries and keys, in Qwen3.
    q_norm: Option<RmsNorm>,
    k_norm: Option<RmsNorm>,
    /// `[d, heads * head_dim]`
    o_proj: Linear,
    post_attention_layernorm: RmsNorm,
    /// `[inner, d]` each
    gate_proj: Linear,
    up_proj: Linear,
    /// `[d, inner]`
    down_proj: Linear,
}

impl Encoder for Decoder {
    type Config = DecoderConfig;

    const PREFIXES: &'static [&'static str] = &["model.", ""];

    fn config(json: &[u8]) -> Result<DecoderConfig> {
        DecoderConfig::from_json(json)
    }

    fn sizes(config: &DecoderConfig) -> [usize; 2] {
        [config.hidden_size, config.positions()]
    }

    fn layers(config: &mut DecoderConfig) -> &mut usize {
        &mut config.num_hidden_layers
    }

    fn gguf_name(name: &str) -> Option<String> {
        gguf_names::decoder(name)
    }

    /// Takes no head, unless that is the embedding table.
    fn new(config: &DecoderConfig, tensors: &mut Tensors) -> Result<Self> {
        Self::build(config, false, tensors)
    }

    /// With all layers of the checkpoint, the states after the last one are those after the final norm.
    async fn forward(
        &self,
        sequences: &[&[u32]],
        layers: usize,
        scheduler: &dyn Scheduler,
    ) -> Result<(Tensor<2>, Spans)> {
        self.check(sequences)?;
        let Table::Memory(embed_tokens) = &self.embed_tokens else {
            return Err(Error::internal("the embedding table is not in memory"));
        };
        let rows = embed_tokens.forward(token_ids(sequences, &self.device));
        self.forward_rows(rows, sequences, layers, scheduler).await
    }
}

impl Decoder {
    /// Checks that the model has a row and a position for each token.
    ///
    /// *Errors*: as [`Encoder::forward`].
    pub fn check(&self, sequences: &[&[u32]]) -> Result<()> {
        let config = &self.config;
        check_sequences(sequences, config.vocab_size, config.positions())
    }

    /// The embedding table, where its rows stay in the store.
    pub fn stored_table(&self) -> Option<&StoredTable> {
        match &self.embed_tokens {
            Table::Memory(_) => None,
            Table::Store(table) => Some(table),
        }
    }

    /// Computes as [`forward`](Encoder::forward), from the rows of the embedding table, of sequences that were [checked](Self::check).
    ///
    /// *Shapes*: `rows`: `[t, d]`.
    pub async fn forward_rows(
        &self,
        rows: Tensor<2>,
        sequences: &[&[u32]],
        layers: usize,
        scheduler: &dyn Scheduler,
    ) -> Result<(Tensor<2>, Spans)> {
        let config = &self.config;
        let spans = Spans::from_lengths(sequences.iter().map(|ids| ids.len()));
        let spans = if config.is_causal {
            spans.causal()
        } else {
            spans
        };
        let rotary = Rotary::new(&spans, config.head_dim(), config.rope_theta(), &self.device);
        let mut x = rows;
        for layer in self.layers.iter().take(layers) {
            x = layer.forward(x, &spans, &rotary, config, scheduler).await?;
        }
        if let Some(norm) = self.norm.as_ref().filter(|_| layers >= self.layers.len()) {
            x = norm.forward(x);
        }
        Ok((x, spans))
    }

    /// Takes the decoder's tensors, and those of its head if it has all layers.
    pub fn with_head(config: &DecoderConfig, tensors: &mut Tensors) -> Result<Self> {
        Self::build(config, !config.is_cut(), tensors)
    }

    fn build(config: &DecoderConfig, with_head: bool, tensors: &mut Tensors) -> Result<Self> {
        // Likelihoods show each token's error, which the pooling of a sentence encoder averages.
        tensors.set_fine_groups();
        let (v, d) = (config.vocab_size, config.hidden_size);
        // A tied table has the layout of a head in any case, so that one stored model serves every use.
        let is_tied = config.tie_word_embeddings;
        let (embed_tokens, mut lm_head) = if config.table_in_store {
            let table = tensors.stored_table("embed_tokens", [v, d], is_tied)?;
            (Table::Store(table), None)
        } else if is_tied {
            let (table, head) = tensors.tied_embedding("embed_tokens", [v, d])?;
            (Table::Memory(table), Some(head).filter(|_| with_head))
        } else {
            let table = tensors.embedding("embed_tokens", [v, d])?;
            (Table::Memory(table), None)
        };
        let layers = (0..config.num_hidden_layers).map(|index| Layer::new(config, index, tensors));
        let layers = layers.collect::<Result<_>>()?;
        let norm = match config.is_cut() {
            true => None,
            false => Some(tensors.rms_norm("norm", d, config.rms_norm_eps)?),
        };
        if with_head && !is_tied {
            lm_head = Some(tensors.head("lm_head", [v, d])?);
        }
        Ok(Self {
            config: config.clone(),
            embed_tokens,
            layers,
            norm,
            lm_head,
            device: tensors.device().clone(),
        })
    }

    /// Whether there is a head in memory.
    pub fn has_head(&self) -> bool {
        self.lm_head.is_some()
    }

    /// Computes how the model predicts each of `targets` from the last hidden state before it. The logits of a block of the vocabulary
    /// at a time are in memory.
    ///
    /// *Shapes*: `hidden`: `[m, d]`, as [`forward`](Encoder::forward) returns it after all layers; `m` targets.
    /// *Errors*: `InvalidInput` where there is no head in memory, `Aborted`.
    pub async fn predictions(
        &self,
        hidden: Tensor<2>,
        targets: &[u32],
        scheduler: &dyn Scheduler,
    ) -> Result<Vec<TokenStatistics>> {
        let head = self.lm_head.as_ref().ok_or_else(|| {
            Error::invalid_input(
                "likelihoods need all layers of the model, and its embedding table in memory where that is the vocabulary head too",
            )
        })?;
        let mut statistics = Vec::with_capacity(targets.len());
        for (index, targets) in targets.chunks(HEAD_ROWS).enumerate() {
            let first = index * HEAD_ROWS;
            let rows = part(&hidden, first..first + targets.len());
            statistics.extend(predictions(head, rows, targets, scheduler).await?);
        }
        Ok(statistics)
    }
}

async fn predictions(
    head: &Linear,
    hidden: Tensor<2>,
    targets: &[u32],
    scheduler: &dyn Scheduler,
) -> Result<Vec<TokenStatistics>> {
    let [v] = head.bias.dims();
    let panels = v.div_ceil(PANEL);
    // The targets' own logits come first, because ranks count the logits above them. Each is an output of one panel, transposed so that
    // those of panels with fewer outputs, the vocabulary's last, can follow others: [8, 1] each.
    let mut lanes = Vec::with_capacity(targets.len());
    let mut next = 0;
    let own = targets.iter().enumerate().map(|(row, target)| {
        let panel = *target as usize / PANEL;
        let head = head.panels(panel..panel + 1);
        let [outputs] = head.bias.dims();
        lanes.push(next + *target as usize % PANEL);
        next += outputs;
        let logits = head.forward(part(&hidden, row..row + 1), Activation::Identity);
        logits.reshape([outputs, 1])
    });
    let own = read(Tensor::cat(own.collect(), 0)).await?;
    let own: Option<Vec<f32>> = lanes.iter().map(|lane| own.get(*lane).copied()).collect();
    let own = own.ok_or_else(|| Error::internal("the head gave too few logits"))?;
    let mut predictions: Vec<_> = own.into_iter().map(Prediction::new).collect();
    for first in (0..panels).step_by(PANELS) {
        scheduler.yield_now().await?;
        let block = head.panels(first..panels.min(first + PANELS));
        let [width] = block.bias.dims();
        let logits = read(block.forward(hidden.clone(), Activation::Identity)).await?;
        let rows = logits.chunks_exact(width).zip(targets);
        for (prediction, (logits, target)) in predictions.iter_mut().zip(rows) {
            let at = (*target as usize).checked_sub(first * PANEL);
            prediction.add(logits, at.filter(|at| *at < width));
        }
    }
    Ok(predictions.iter().map(Prediction::statistics).collect())
}

impl Layer {
    fn new(config: &DecoderConfig, index: usize, tensors: &mut Tensors) -> Result<Self> {
        let part = |part: &str| format!("layers.{index}.{part}");
        let (d, inner, epsilon) = (
            config.hidden_size,
            config.intermediate_size,
            config.rms_norm_eps,
        );
        let head = config.head_dim();
        let (queries, keys) = (config.num_attention_heads * head, config.key_heads() * head);
        let (before, between) = (part("input_layernorm"), part("post_attention_layernorm"));
        let mut projection = |name: &str, n: usize| {
            let name = part(&format!("self_attn.{name}"));
            match config.has_bias() {
                true => tensors.linear(&name, [n, d], Some(&before)),
                false => tensors.linear_without_bias(&name, &[n, d], Some(&before)),
            }
        };
        let (q_proj, k_proj, v_proj) = (
            projection("q_proj", queries)?,
            projection("k_proj", keys)?,
            projection("v_proj", keys)?,
        );
        let mut head_norm = |name: &str| match config.has_head_norms() {
            true => {
                let name = part(&format!("self_attn.{name}"));
                tensors.rms_norm(&name, head, epsilon).map(Some)
            }
            false => Ok(None),
        };
        let (q_norm, k_norm) = (head_norm("q_norm")?, head_norm("k_norm")?);
        let mut linear = |name: &str, n: usize, k: usize, norm: Option<&str>| {
            tensors.linear_without_bias(&part(name), &[n, k], norm)
        };
        let (o_proj, gate_proj, up_proj, down_proj) = (
            linear("self_attn.o_proj", d, queries, None)?,
            linear("mlp.gate_proj", inner, d, Some(&between))?,
            linear("mlp.up_proj", inner, d, Some(&between))?,
            linear("mlp.down_proj", d, inner, None)?,
        );
        Ok(Self {
            input_layernorm: tensors.rms_norm(&before, d, epsilon)?,
            q_proj,
            k_proj,
            v_proj,
            q_norm,
            k_norm,
            o_proj,
            post_attention_layernorm: tensors.rms_norm(&between, d, epsilon)?,
            gate_proj,
            up_proj,
            down_proj,
        })
    }

    /// Adds what each row attends to, then the gated feed-forward layer. *Shapes*: `x`, result: `[t, d]`.
    async fn forward(
        &self,
        x: Tensor<2>,
        spans: &Spans,
        rotary: &Rotary,
        config: &DecoderConfig,
        scheduler: &dyn Scheduler,
    ) -> Result<Tensor<2>> {
        let [t, _] = x.dims();
        let blocks = || parts(0..t, ROWS).collect();
        // Queries, keys and values are not needed any longer than this.
        let context = {
            let [mut query, mut key, mut value] = [const { Vec::new() }; 3];
            let mut project = |rows| {
                let h = self.input_layernorm.forward(part(&x, rows));
                // [rows, d] → [rows, heads * head_dim], and [rows, key_heads * head_dim] for keys and values
                query.push(self.q_proj.forward(h.clone(), Activation::Identity));
                key.push(self.k_proj.forward(h.clone(), Activation::Identity));
                value.push(self.v_proj.forward(h, Activation::Identity));
            };
            for_each(blocks(), &mut project, scheduler).await?;
            let query = rotary.forward(each_head(joined(query), self.q_norm.as_ref()));
            let key = rotary.forward(each_head(joined(key), self.k_norm.as_ref()));
            let value = joined(value);
            let heads = config.num_attention_heads;
            let mut contexts = Vec::new();
            let mut attend = |rows| contexts.push(attend(&query, &key, &value, spans, rows, heads));
            let ranges = query_ranges(&query, spans);
            for_each(ranges, &mut attend, scheduler).await?;
            joined(contexts)
        };
        let mut outputs = Vec::new();
        let mut feed_forward = |rows: Range<usize>| {
            let context = part(&context, rows.clone());
            let x = part(&x, rows) + self.o_proj.forward(context, Activation::Identity);
            let h = self.post_attention_layernorm.forward(x.clone());
            // [rows, d] → [rows, inner] → [rows, d]
            let gate = self.gate_proj.forward(h.clone(), Activation::Identity);
            let up = self.up_proj.forward(h, Activation::Identity);
            let inner = gated(gate, up, Activation::Silu);
            outputs.push(x + self.down_proj.forward(inner, Activation::Identity));
        };
        for_each(blocks(), &mut feed_forward, scheduler).await?;
        Ok(joined(outputs))
    }
}

/// The parts of a range, of `step` each and the rest.
fn parts(range: Range<usize>, step: usize) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    range
        .step_by(step)
        .map(move |first| first..end.min(first + step))
}

/// Computes each range of rows, yielding before each.
async fn for_each(
    ranges: Vec<Range<usize>>,
    compute: &mut dyn FnMut(Range<usize>),
    scheduler: &dyn Scheduler,
) -> Result<()> {
    for rows in ranges {
        scheduler.yield_now().await?;
        compute(rows);
    }
    Ok(())
}

/// The rows whose attention is computed at once: all of them, or parts of each text if one is long. A GPU does all, because nothing waits
/// for it.
fn query_ranges(query: &Tensor<2>, spans: &Spans) -> Vec<Range<usize>> {
    let [t, width] = query.dims();
    let longest = spans.iter().map(|rows| rows.len()).max().unwrap_or(0);
    let most = ATTENTION_STEP / (2 * width * longest).max(1);
    if longest <= most || !is_cpu(&query.device()) {
        return std::iter::once(0..t).collect();
    }
    let step = most.max(1).next_multiple_of(QUERY_BLOCK);
    spans.iter().flat_map(|text| parts(text, step)).collect()
}

/// Self-attention of all texts, or of some rows of one of them.
fn attend(
    query: &Tensor<2>,
    key: &Tensor<2>,
    value: &Tensor<2>,
    spans: &Spans,
    rows: Range<usize>,
    heads: usize,
) -> Tensor<2> {
    let [t, _] = query.dims();
    if rows == (0..t) {
        return attention(query.clone(), key.clone(), value.clone(), spans, heads);
    }
    // Without a mask, it does not matter which rows the queries are.
    let mut keys = spans
        .iter()
        .find(|text| text.contains(&rows.start))
        .unwrap_or(0..t);
    if spans.is_causal() {
        // No query looks further than the last.
        keys.end = rows.end;
    }
    let text = spans.of(keys.len());
    attention(
        part(query, rows),
        part(key, keys.clone()),
        part(value, keys),
        &text,
        heads,
    )
}

/// Puts blocks of rows one after the other.
fn joined(mut blocks: Vec<Tensor<2>>) -> Tensor<2> {
    match blocks.len() {
        1 => blocks.swap_remove(0),
        _ => Tensor::cat(blocks, 0),
    }
}

/// Normalizes the values of each head. *Shapes*: `x`, result: `[t, heads * head_dim]`.
fn each_head(x: Tensor<2>, norm: Option<&RmsNorm>) -> Tensor<2> {
    let Some(norm) = norm else { return x };
    let ([t, width], [head]) = (x.dims(), norm.weight.dims());
    let rows = x.reshape([t * width / head.max(1), head]);
    norm.forward(rows).reshape([t, width])
}
