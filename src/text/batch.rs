//! Lists of texts: their tokens, and which of them go through a model together.

use super::{TextTokenizer, Tokens};
use crate::error::Result;
use crate::scheduler::Scheduler;

/// The most tokens that go through the model together: enough to fill the kernels, few enough to keep buffers small
/// (one feed-forward buffer of MiniLM takes 3 MB then).
const TOKENS_AT_ONCE: usize = 512;

/// The tokens of each text.
///
/// *Errors*: `InvalidWeights` where the tokenizer fails, `Aborted`.
pub async fn encode(
    tokenizer: &TextTokenizer,
    texts: &[String],
    scheduler: &dyn Scheduler,
) -> Result<Vec<Tokens>> {
    let mut tokens = Vec::with_capacity(texts.len());
    for text in texts {
        scheduler.yield_now().await?;
        tokens.push(tokenizer.encode(text)?);
    }
    Ok(tokens)
}

/// Runs of neighbouring texts that have at most 512 tokens together; a longer text is a batch by itself.
pub fn batches(mut tokens: &[Tokens]) -> impl Iterator<Item = &[Tokens]> {
    std::iter::from_fn(move || {
        let mut sum = 0;
        let fitting = tokens.iter().take_while(|text| {
            sum += text.ids.len();
            sum <= TOKENS_AT_ONCE
        });
        let count = fitting.count().max(1).min(tokens.len());
        let (batch, rest) = tokens.split_at(count);
        tokens = rest;
        (!batch.is_empty()).then_some(batch)
    })
}
