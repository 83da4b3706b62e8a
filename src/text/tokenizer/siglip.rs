//! The tokenizers of SigLIP, whose texts are lower-cased and padded.

use tokenizers::NormalizerWrapper;
use tokenizers::normalizers::{Lowercase, Sequence};

use super::super::tokenizer_config::TOKENIZER_CONFIG;
use super::{TextTokenizer, TokenizerConfig, broken};
use crate::error::{Error, Result};

impl TextTokenizer {
    /// Reads `tokenizer.json` for a text tower of SigLIP. Returns the id of padding too, which only `tokenizer_config.json` names: it is that
    /// of the end token in the first SigLIP, and one of its own in SigLIP 2.
    ///
    /// The model was trained on lower case, which the file of SigLIP 2 does not say: texts are lower-cased first unless `do_lower_case` is
    /// false. Of punctuation, the file's own rules remove what the model was trained without.
    ///
    /// *Errors*: `InvalidWeights` if the file is not a tokenizer, or has no token of the name of the padding.
    /// *Source*: `SiglipTokenizer` and `Siglip2Tokenizer` of `transformers` 5.23.
    pub fn for_siglip(
        json: &[u8],
        max_tokens: usize,
        config: &TokenizerConfig,
    ) -> Result<(Self, u32)> {
        let mut own = Self::from_json(json, max_tokens, false)?;
        if config.flag("do_lower_case") != Some(false) {
            let rules = own.tokenizer.get_normalizer().cloned();
            let rules = [NormalizerWrapper::Lowercase(Lowercase)]
                .into_iter()
                .chain(rules);
            let rules = Sequence::new(rules.collect());
            let changed = own.tokenizer.with_normalizer(Some(rules));
            changed.map_err(broken)?;
        }
        let padding = config.token("pad_token", "</s>");
        let id = own.id(padding).ok_or_else(|| {
            Error::invalid_weights(format!(
                "{TOKENIZER_CONFIG}: pad_token is '{padding}', expected a token of tokenizer.json"
            ))
        })?;
        Ok((own, id))
    }
}
