//! Tokenizes by `tokenizer.json` or its packed form, with a truncation of our own. What `word_piece` does not do, the `tokenizers` crate does.

mod packed;
mod parse;
mod siglip;
mod static_embedding;
mod word_piece;

use std::sync::{Arc, OnceLock};

use tokenizers::utils::truncation::truncate_encodings;
use tokenizers::{Encoding, Model, PaddingParams, PostProcessor, Tokenizer, TruncationParams};

pub use self::packed::PackedTokenizer;
use self::parse::parse;
use self::word_piece::{FastWordPiece, wordpiece};
use super::tokenizer_config::TokenizerConfig;
use crate::error::{Error, Result};

const FILE: &str = "tokenizer.json";

/// Bytes that are tokenized at a time. The crate allocates about 50 times the size of a text, most of which truncation would drop.
const PIECE: usize = 8 << 10;

/// The kind of normalizer that puts something before a text.
const PREPEND: &[u8] = b"\"Prepend\"";

/// The longest run without whitespace that is tokenized as a whole; no word of a language is nearly as long.
const MAX_WORD: usize = 64 << 10;

/// The ids of one text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// The ids after truncation, including special tokens.
    pub ids: Vec<u32>,
    /// Whether the text had more tokens than the model takes.
    pub truncated: bool,
}

/// The ids of a pair of texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairTokens {
    /// The ids of both after truncation, including special tokens.
    pub tokens: Tokens,
    /// The number of tokens before those of the second text, by the tokenizer's types; all where it makes no difference.
    pub first: usize,
}

/// The ids of one text without special tokens, and where in the text they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocatedTokens {
    /// The ids after truncation.
    pub ids: Vec<u32>,
    /// The index of each token's first character in the text, in UTF-16 code units.
    pub starts: Vec<u32>,
    /// Whether the text had more tokens.
    pub truncated: bool,
}

/// A tokenizer that truncates at the maximum length of a model and does not pad.
pub struct TextTokenizer {
    /// The tokenizer of the crate. If the tokenizer was read packed, it is made when it is first needed.
    whole: OnceLock<Tokenizer>,
    packed: Option<Arc<PackedTokenizer>>,
    /// The maximum number of tokens without special ones, and the number of these.
    max_text_tokens: usize,
    special: usize,
    lowercase: bool,
    /// The characters of a text that are tokenized at most; the rest is cut.
    max_characters: usize,
    /// The id that is left out of the ids of a text.
    dropped: Option<u32>,
    /// Bytes that are tokenized at a time.
    piece: usize,
    /// The faster WordPiece tokenizer, if this tokenizer has one.
    word_piece: Option<FastWordPiece>,
}

impl TextTokenizer {
    /// Reads `tokenizer.json`. Its settings for truncation and padding are ignored; `max_tokens` is the maximum length of the model.
    ///
    /// *Errors*: `InvalidWeights` if the file is not a tokenizer, or if its special tokens alone fill `max_tokens`.
    pub fn from_json(json: &[u8], max_tokens: usize, lowercase: bool) -> Result<Self> {
        Self::new(parse(json)?, json, max_tokens, lowercase)
    }

    fn new(
        mut tokenizer: Tokenizer,
        json: &[u8],
        max_tokens: usize,
        lowercase: bool,
    ) -> Result<Self> {
        drop_limits(&mut tokenizer)?;
        let special = tokenizer.encode("", true).map_err(broken)?.len();
        Ok(Self {
            word_piece: FastWordPiece::of(&tokenizer, lowercase),
            whole: tokenizer.into(),
            packed: None,
            max_text_tokens: text_tokens(max_tokens, special)?,
            special,
            lowercase,
            max_characters: usize::MAX,
            dropped: None,
            // Tokenizers that put something before each text would put it before each piece.
            piece: match json.windows(PREPEND.len()).any(|bytes| bytes == PREPEND) {
                true => usize::MAX,
                false => PIECE,
            },
        })
    }

    /// The tokenizer of a packed form, with the same ids as [`from_json`](Self::from_json) gives.
    ///
    /// *Errors*: `InvalidWeights` if its special tokens alone fill `max_tokens`.
    pub fn from_packed(
        packed: Arc<PackedTokenizer>,
        max_tokens: usize,
        lowercase: bool,
    ) -> Result<Self> {
        let special = packed.special();
        Ok(Self {
            whole: OnceLock::new(),
            word_piece: Some(FastWordPiece::new(packed.settings().clone(), lowercase)),
            max_text_tokens: text_tokens(max_tokens, special)?,
            special,
            lowercase,
            max_characters: usize::MAX,
            dropped: None,
            piece: match packed.in_pieces() {
                true => PIECE,
                false => usize::MAX,
            },
            packed: Some(packed),
        })
    }

    /// The packed form of this tokenizer, which was read from `json`; `None` where it has none.
    pub fn pack(&self, json: &[u8]) -> Option<Vec<u8>> {
        // Static embeddings, which have no special tokens, need more of the file than its words.
        if self.special == 0 {
            return None;
        }
        let in_pieces = self.piece == PIECE;
        let settings = self.word_piece.as_ref()?.settings();
        PackedTokenizer::pack(json, self.whole.get()?, settings, self.special, in_pieces)
    }

    /// Returns the tokenizer of the crate, made from the packed form if it was not needed before.
    ///
    /// *Errors*: `InvalidWeights` if the packed form contains no valid tokenizer.
    fn whole(&self) -> Result<&Tokenizer> {
        if let (None, Some(packed)) = (self.whole.get(), &self.packed) {
            let mut tokenizer = parse(&packed.json()?)?;
            drop_limits(&mut tokenizer)?;
            if let Some(word_piece) = &self.word_piece {
                let normalizer = word_piece.settings().normalizer();
                let changed = tokenizer.with_normalizer(Some(normalizer));
                changed.map_err(broken)?;
            }
            // Nothing else has made it meanwhile.
            let _ = self.whole.set(tokenizer);
        }
        let missing = || Error::internal("a tokenizer has neither form");
        self.whole.get().ok_or_else(missing)
    }

    /// The id of a word of a WordPiece vocabulary.
    fn word(&self, word: &str) -> Option<u32> {
        match &self.packed {
            Some(packed) => packed.id(word),
            None => wordpiece(self.whole.get()?)?.token_to_id(word),
        }
    }

    /// Follows the settings of `tokenizer_config.json` that `tokenizer.json` may have otherwise.
    ///
    /// *Errors*: `InvalidWeights` where a special token cannot be found any more.
    pub fn heed(&mut self, config: &TokenizerConfig) -> Result<()> {
        if let Some(word_piece) = &mut self.word_piece {
            word_piece.heed(config);
        }
        let Some(whole) = self.whole.get_mut() else {
            return Ok(());
        };
        let normalizer = whole.get_normalizer();
        if let Some(normalizer) = normalizer.and_then(|own| config.normalizer(own)) {
            whole.with_normalizer(Some(normalizer)).map_err(broken)?;
        }
        let splitting = whole.get_pre_tokenizer();
        if let Some(splitting) = splitting.and_then(|own| config.pre_tokenizer(own)) {
            whole.with_pre_tokenizer(Some(splitting));
        }
        Ok(())
    }

    /// The longest text in tokens, special tokens included; `usize::MAX` where no text is too long.
    pub fn max_tokens(&self) -> usize {
        self.max_text_tokens.saturating_add(self.special)
    }

    /// Tokenizes a text, piece by piece until the maximum length is exceeded.
    ///
    /// *Errors*: `InvalidInput` if the tokenizer cannot represent the text.
    pub fn encode(&self, text: &str) -> Result<Tokens> {
        // A text has no more characters than bytes.
        let cut = match text.len() > self.max_characters {
            true => text.char_indices().nth(self.max_characters),
            false => None,
        };
        let (text, rest) = text.split_at(cut.map_or(text.len(), |(at, _)| at));
        let (mut ids, truncated) = match self.fast_ids(text) {
            Some(tokens) => tokens,
            None => {
                let (encoding, truncated) = self.encoding(text)?;
                (encoding.get_ids().to_vec(), truncated)
            }
        };
        if let Some(dropped) = self.dropped {
            ids.retain(|id| *id != dropped);
        }
        Ok(Tokens {
            ids,
            truncated: truncated || !rest.trim().is_empty(),
        })
    }

    /// The number of tokens that a prompt takes before a text, with the special tokens before it and without the one after it, as
    /// sentence-transformers counts them.
    ///
    /// *Errors*: `InvalidInput` if the tokenizer cannot represent the prompt.
    pub fn prompt_length(&self, prompt: &str) -> Result<usize> {
        let (encoding, _) = self.encoding(prompt)?;
        let ends_specially = encoding.get_special_tokens_mask().last() == Some(&1);
        Ok(encoding.len() - usize::from(ends_specially))
    }

    /// The ids of a text after truncation, and whether there were more, by the faster way; `None` where the text is one for the crate.
    fn fast_ids(&self, text: &str) -> Option<(Vec<u32>, bool)> {
        let word_piece = self.word_piece.as_ref()?;
        let mut ids = word_piece.before().to_vec();
        let most = self.max_text_tokens.saturating_add(ids.len());
        for piece in self.pieces(text) {
            word_piece.read(&|word| self.word(word), piece, &mut ids)?;
            if ids.len() > most {
                break;
            }
        }
        let truncated = ids.len() > most;
        ids.truncate(most);
        ids.extend(word_piece.after());
        Some((ids, truncated))
    }

    fn pieces<'a>(&self, text: &'a str) -> Pieces<'a> {
        Pieces {
            rest: text,
            size: self.piece,
        }
    }

    /// The tokens of a text after truncation, and whether there were more.
    fn encoding(&self, text: &str) -> Result<(Encoding, bool)> {
        let (encoding, truncated) = self.words(text, self.max_text_tokens)?;
        let encoding = self.whole()?.post_process(encoding, None, true);
        let encoding = encoding.map_err(|error| {
            Error::invalid_input(format!("the text cannot be tokenized: {error}"))
        })?;
        Ok((encoding, truncated))
    }

    /// The tokens of each piece of a text, without special ones.
    fn encodings(&self, text: &str) -> impl Iterator<Item = Result<Encoding>> {
        self.pieces(text).map(|piece| {
            let lowered = match self.lowercase {
                true => Some(piece.to_lowercase()),
                false => None,
            };
            let piece = lowered.as_deref().unwrap_or(piece);
            self.whole()?.encode_fast(piece, false).map_err(|error| {
                Error::invalid_input(format!("the text cannot be tokenized: {error}"))
            })
        })
    }

    /// The first `most` tokens of a text without special ones, and whether there were more.
    fn words(&self, text: &str, most: usize) -> Result<(Encoding, bool)> {
        let mut encoding = Encoding::default();
        for piece in self.encodings(text) {
            encoding.merge_with(piece?, false);
            if encoding.len() > most {
                break;
            }
        }
        let truncated = encoding.len() > most;
        encoding.truncate(most, 0, tokenizers::TruncationDirection::Right);
        Ok((encoding, truncated))
    }

    /// The number of tokens of a text without special ones; of a text with more than `enough`, some number above that.
    fn count(&self, text: &str, enough: usize) -> Result<usize> {
        let mut count = 0;
        for piece in self.encodings(text) {
            count += piece?.len();
            if count > enough {
                break;
            }
        }
        Ok(count)
    }

    /// Tokenizes a pair of texts, of which the longer one is truncated first.
    ///
    /// *Errors*: `InvalidInput` if the tokenizer cannot represent a text, or its special tokens alone fill the maximum length.
    pub fn encode_pair(&self, first: &str, second: &str) -> Result<PairTokens> {
        let failed = |error: tokenizers::Error| {
            Error::invalid_input(format!("the texts cannot be tokenized: {error}"))
        };
        let whole = self.whole()?;
        let special = whole
            .get_post_processor()
            .map_or(0, |own| own.added_tokens(true));
        let most = (self.max_text_tokens + self.special).saturating_sub(special);
        let texts = [first, second];
        let (mut first, first_cut) = self.words(first, most.max(1))?;
        let (mut second, second_cut) = self.words(second, most.max(1))?;
        let params = TruncationParams {
            max_length: most,
            ..TruncationParams::default()
        };
        let truncated = first_cut || second_cut || first.len() + second.len() > most;
        // Of two texts that both lose tokens, the longer one keeps one more if the number of tokens is odd. The crate takes the second one for
        // it where both are as long.
        let swapped = first_cut
            && first.len() == second.len()
            && (!second_cut
                || most % 2 == 1 && {
                    let length = self.count(texts[1], usize::MAX)?;
                    self.count(texts[0], length)? > length
                });
        if swapped {
            std::mem::swap(&mut first, &mut second);
        }
        let (first, second) = truncate_encodings(first, Some(second), &params).map_err(failed)?;
        let (first, second) = match second {
            Some(second) if swapped => (second, Some(first)),
            second => (first, second),
        };
        let both = whole.post_process(first, second, true).map_err(failed)?;
        let types = both.get_type_ids();
        Ok(PairTokens {
            first: types.iter().take_while(|kind| **kind == 0).count(),
            tokens: Tokens {
                ids: both.get_ids().to_vec(),
                truncated,
            },
        })
    }

    /// The id of a token that the vocabulary has.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.whole().ok()?.token_to_id(token)
    }

    /// Tokenizes a text without special tokens, up to `longest` tokens, and returns the place of each token.
    ///
    /// *Errors*: `InvalidInput` if the tokenizer cannot represent the text.
    pub fn locate(&self, text: &str, longest: usize) -> Result<LocatedTokens> {
        let mut located = LocatedTokens {
            ids: Vec::new(),
            starts: Vec::new(),
            truncated: false,
        };
        let mut base = 0;
        for piece in self.pieces(text) {
            let encoding = self.whole()?.encode(piece, false).map_err(|error| {
                Error::invalid_input(format!("the text cannot be tokenized: {error}"))
            })?;
            located.ids.extend(encoding.get_ids());
            let mut units = Units::new(piece, base);
            let offsets = encoding.get_offsets().iter();
            located
                .starts
                .extend(offsets.map(|(start, _)| units.at(*start)));
            base = units.end();
            if located.ids.len() > longest {
                located.ids.truncate(longest);
                located.starts.truncate(longest);
                located.truncated = true;
                break;
            }
        }
        Ok(located)
    }
}

/// Has a tokenizer neither truncate nor pad.
fn drop_limits(tokenizer: &mut Tokenizer) -> Result<()> {
    tokenizer.with_padding(None::<PaddingParams>);
    let changed = tokenizer.with_truncation(None::<TruncationParams>);
    changed.map(|_| ()).map_err(broken)
}

/// The maximum number of tokens of a text without special ones.
///
/// *Errors*: `InvalidWeights` if the special ones alone fill `max_tokens`.
fn text_tokens(max_tokens: usize, special: usize) -> Result<usize> {
    max_tokens
        .checked_sub(special)
        .filter(|most| *most > 0)
        .ok_or_else(|| {
            Error::invalid_weights(format!(
                "{FILE}: adds {special} special tokens, but the model takes {max_tokens} in all"
            ))
        })
}

fn broken(error: impl std::fmt::Display) -> Error {
    Error::invalid_weights(format!("{FILE}: is not valid: {error}"))
}

/// Converts offsets in bytes, which grow, to those in UTF-16 code units.
struct Units<'a> {
    characters: std::str::CharIndices<'a>,
    units: u32,
}

impl<'a> Units<'a> {
    fn new(text: &'a str, base: u32) -> Self {
        Self {
            characters: text.char_indices(),
            units: base,
        }
    }

    /// The offset of the character that begins at this byte, or of the first one after it.
    fn at(&mut self, byte: usize) -> u32 {
        while self.characters.offset() < byte
            && let Some((_, character)) = self.characters.next()
        {
            self.units += character.len_utf16() as u32;
        }
        self.units
    }

    fn end(mut self) -> u32 {
        self.at(usize::MAX)
    }
}

/// Pieces of a text of about [`PIECE`] bytes, split before a blank between two words, where every tokenizer splits too.
struct Pieces<'a> {
    rest: &'a str,
    /// About how many bytes a piece has.
    size: usize,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        let from = self.rest.floor_char_boundary(self.size);
        // The search ends after the longest word: else the rest of a text without blanks would be searched for each of its pieces.
        let (near, _) = self
            .rest
            .split_at(self.rest.floor_char_boundary(from.saturating_add(MAX_WORD)));
        let cut = blank_between_words(near, from).unwrap_or(near.len());
        let (piece, rest) = self.rest.split_at(cut);
        self.rest = rest;
        Some(piece)
    }
}

/// The first blank from byte `from` on that has a letter or digit on both sides. Tokenizers differ in what they make of several blanks, and
/// of punctuation before one.
fn blank_between_words(text: &str, from: usize) -> Option<usize> {
    let (mut last, mut blank) = ('.', None);
    for (at, character) in text.char_indices().skip_while(|(at, _)| *at < from) {
        if blank.is_some() && character.is_alphanumeric() {
            return blank;
        }
        blank = (character == ' ' && last.is_alphanumeric()).then_some(at);
        last = character;
    }
    None
}

#[cfg(test)]
mod tests;
