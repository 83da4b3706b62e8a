//! Tokenizes texts without added tokens by WordPiece, with the same ids as the `tokenizers` crate. That crate records the place of each character
//! and copies texts several times; this code makes ids alone. Texts that are not plain ASCII are normalized and split by the crate first.

use serde::{Deserialize, Serialize};
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{
    Model, ModelWrapper, NormalizedString, Normalizer, NormalizerWrapper, OffsetReferential,
    OffsetType, PreTokenizedString, PreTokenizer, PreTokenizerWrapper, Tokenizer,
};

use super::TokenizerConfig;

/// The settings of a BERT-type tokenizer: all that tokenizing by [`FastWordPiece`] needs, apart from the vocabulary.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Settings {
    /// The settings of BERT's normalizer: to drop controls, to split Chinese characters, to strip accents, and to lower-case.
    normalizer: (bool, bool, Option<bool>, bool),
    /// The special tokens before a text.
    before: Vec<u32>,
    /// The special tokens after a text.
    after: Vec<u32>,
    /// The tokens in ASCII that are found in a text before it is split.
    added: Vec<String>,
    /// Whether there are added tokens that are not ASCII.
    others: bool,
    /// The mark of a piece that continues a word.
    mark: String,
    /// The most characters of a word that is split into pieces.
    longest: usize,
    /// The id of unknown words; `None` if the vocabulary has none.
    unknown: Option<u32>,
}

impl Settings {
    /// Reads the settings of a tokenizer; `None` if it is not a BERT-type one, or if an added token may match an ASCII text that differs from it by more
    /// than case.
    fn of(tokenizer: &Tokenizer) -> Option<Self> {
        let Some(NormalizerWrapper::BertNormalizer(normalizer)) = tokenizer.get_normalizer() else {
            return None;
        };
        let Some(PreTokenizerWrapper::BertPreTokenizer(_)) = tokenizer.get_pre_tokenizer() else {
            return None;
        };
        let model = wordpiece(tokenizer)?;
        let (before, after) = special_tokens(tokenizer)?;
        let (mut added, mut others) = (Vec::new(), false);
        for token in tokenizer
            .get_added_vocabulary()
            .get_added_tokens_decoder()
            .values()
        {
            // The crate looks for such a token in normalized texts, and so finds it without its accents, or with other blanks.
            if token.normalized && !token.content.bytes().all(|byte| byte.is_ascii_graphic()) {
                return None;
            }
            if !token.content.is_ascii() {
                others = true;
            } else if !token.content.is_empty() {
                added.push(token.content.clone());
            }
        }
        // The crate has them in the order of a random hash.
        added.sort_unstable();
        Some(Self {
            normalizer: flags(normalizer),
            before,
            after,
            added,
            others,
            mark: model.continuing_subword_prefix.clone(),
            longest: model.max_input_chars_per_word,
            unknown: model.token_to_id(&model.unk_token),
        })
    }

    /// The normalizer.
    pub(super) fn normalizer(&self) -> BertNormalizer {
        let (clean, chinese, accents, lowercase) = self.normalizer;
        BertNormalizer::new(clean, chinese, accents, lowercase)
    }
}

fn flags(own: &BertNormalizer) -> (bool, bool, Option<bool>, bool) {
    let BertNormalizer {
        clean_text,
        handle_chinese_chars,
        strip_accents,
        lowercase,
        ..
    } = *own;
    (clean_text, handle_chinese_chars, strip_accents, lowercase)
}

/// A tokenizer for texts that contain no added token. Texts with one are left to the `tokenizers` crate.
pub(super) struct FastWordPiece {
    settings: Settings,
    /// Whether texts are lower-cased before they are normalized.
    lowers_first: bool,
    /// Whether texts are lower-cased, before they are normalized or by it.
    lowercase: bool,
    /// For each byte, whether one of the added tokens begins with it, in either case.
    begins: [bool; 128],
}

impl FastWordPiece {
    /// Returns the faster form of a tokenizer; `None` if it is not a BERT-type one. `lowercase`: whether texts are lower-cased first.
    pub(super) fn of(tokenizer: &Tokenizer, lowercase: bool) -> Option<Self> {
        Settings::of(tokenizer).map(|settings| Self::new(settings, lowercase))
    }

    /// The tokenizer with these settings.
    pub(super) fn new(settings: Settings, lowercase: bool) -> Self {
        let mut begins = [false; 128];
        for first in settings
            .added
            .iter()
            .filter_map(|token| token.bytes().next())
        {
            for first in [first.to_ascii_lowercase(), first.to_ascii_uppercase()] {
                if let Some(begins) = begins.get_mut(usize::from(first)) {
                    *begins = true;
                }
            }
        }
        Self {
            lowers_first: lowercase,
            lowercase: lowercase || settings.normalizer.3,
            settings,
            begins,
        }
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Follows the settings of `tokenizer_config.json`.
    pub(super) fn heed(&mut self, config: &TokenizerConfig) {
        let changed = config.normalizer(&self.settings.normalizer().into());
        if let Some(NormalizerWrapper::BertNormalizer(normalizer)) = changed {
            self.settings.normalizer = flags(&normalizer);
            self.lowercase = self.lowers_first || normalizer.lowercase;
        }
    }

    /// Appends the ids of a text without special tokens, or returns `None` where the crate has to tokenize it. `id` looks a word up in the vocabulary.
    pub(super) fn read(&self, id: Lookup<'_>, text: &str, ids: &mut Vec<u32>) -> Option<()> {
        let before = ids.len();
        if self.read_ascii(id, text, ids).is_none() {
            ids.truncate(before);
            self.read_any(id, text, ids)?;
        }
        Some(())
    }

    /// Reads a text of any characters, which the crate normalizes and splits into words.
    fn read_any(&self, id: Lookup<'_>, text: &str, ids: &mut Vec<u32>) -> Option<()> {
        let mut text = match self.lowers_first {
            true => NormalizedString::from(text.to_lowercase()),
            false => NormalizedString::from(text),
        };
        // Some added tokens are looked for before a text is normalized, others after, so that both texts are searched.
        if self.settings.others || self.has_added(text.get()) {
            return None;
        }
        self.settings.normalizer().normalize(&mut text).ok()?;
        if self.has_added(text.get()) {
            return None;
        }
        let mut words = PreTokenizedString::from(text);
        BertPreTokenizer.pre_tokenize(&mut words).ok()?;
        let mut word = Word::new(&self.settings, id);
        for (text, ..) in words.get_splits(OffsetReferential::Normalized, OffsetType::None) {
            word.text.push_str(text);
            word.end(ids)?;
        }
        Some(())
    }

    /// Whether a text contains one of the added tokens, in upper or lower case.
    fn has_added(&self, text: &str) -> bool {
        let bytes = text.as_bytes();
        bytes.iter().enumerate().any(|(at, byte)| {
            self.begins.get(usize::from(*byte)) == Some(&true) && self.is_added(&bytes[at..])
        })
    }

    /// Reads a text of printable ASCII characters, blanks and line breaks; `None` for other texts, and for those with an added token.
    fn read_ascii(&self, id: Lookup<'_>, text: &str, ids: &mut Vec<u32>) -> Option<()> {
        let bytes = text.as_bytes();
        let mut word = Word::new(&self.settings, id);
        for (at, &byte) in bytes.iter().enumerate() {
            if *self.begins.get(usize::from(byte))? && self.is_added(&bytes[at..]) {
                return None;
            }
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' => word.end(ids)?,
                b'!'..=b'~' => {
                    if byte.is_ascii_punctuation() {
                        word.end(ids)?;
                        word.push(byte);
                        word.end(ids)?;
                    } else if self.lowercase {
                        word.push(byte.to_ascii_lowercase());
                    } else {
                        word.push(byte);
                    }
                }
                _ => return None,
            }
        }
        word.end(ids)
    }

    /// Whether a text begins with one of the added tokens, in upper or lower case.
    fn is_added(&self, text: &[u8]) -> bool {
        let begins = |token: &String| {
            let start = text.get(..token.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(token.as_bytes()))
        };
        self.settings.added.iter().any(begins)
    }

    /// The special tokens before a text.
    pub(super) fn before(&self) -> &[u32] {
        &self.settings.before
    }

    /// The special tokens after a text.
    pub(super) fn after(&self) -> &[u32] {
        &self.settings.after
    }
}

/// The model of a tokenizer, if it is WordPiece.
pub(super) fn wordpiece(tokenizer: &Tokenizer) -> Option<&WordPiece> {
    match tokenizer.get_model() {
        ModelWrapper::WordPiece(model) => Some(model),
        _ => None,
    }
}

/// The special tokens before and after a text, found with a text of one token.
fn special_tokens(tokenizer: &Tokenizer) -> Option<(Vec<u32>, Vec<u32>)> {
    let text = tokenizer.encode_fast("a", false).ok()?;
    let [id] = *text.get_ids() else { return None };
    let all = tokenizer.post_process(text, None, true).ok()?;
    let mut parts = all.get_ids().split(|other| *other == id);
    match (parts.next(), parts.next(), parts.next()) {
        (Some(before), Some(after), None) => Some((before.to_vec(), after.to_vec())),
        _ => None,
    }
}

/// The id of a word of the vocabulary.
type Lookup<'a> = &'a dyn Fn(&str) -> Option<u32>;

/// The word that is being read.
struct Word<'a> {
    settings: &'a Settings,
    id: Lookup<'a>,
    /// The mark of a piece that continues a word, followed by the characters read so far.
    text: String,
}

impl<'a> Word<'a> {
    fn new(settings: &'a Settings, id: Lookup<'a>) -> Self {
        Self {
            settings,
            id,
            text: settings.mark.clone(),
        }
    }

    fn push(&mut self, byte: u8) {
        self.text.push(char::from(byte));
    }

    /// Appends the ids of the word's pieces, of which each is the longest that the vocabulary has, and begins the next word.
    fn end(&mut self, ids: &mut Vec<u32>) -> Option<()> {
        let mark = self.settings.mark.len();
        let length = self.text.len() - mark;
        if length == 0 {
            return Some(());
        }
        let first = ids.len();
        if self.is_too_long(length) || !self.pieces(ids) {
            ids.truncate(first);
            ids.push(self.settings.unknown?);
        }
        self.text.truncate(mark);
        Some(())
    }

    /// Whether the word, of `length` bytes, is not split into pieces.
    fn is_too_long(&self, length: usize) -> bool {
        let (longest, word) = (self.settings.longest, self.text.chars());
        length > longest && word.count() - self.settings.mark.chars().count() > longest
    }

    /// Whether all of the word consists of pieces, whose ids are appended.
    fn pieces(&mut self, ids: &mut Vec<u32>) -> bool {
        let mark = self.settings.mark.len();
        // The first piece has no mark.
        let mut from = mark;
        loop {
            let ends = (mark + 1..=self.text.len()).rev();
            let mut known = ends.filter_map(|end| {
                let id = (self.id)(self.text.get(from..end)?)?;
                Some((end, id))
            });
            let Some((end, id)) = known.next() else {
                return false;
            };
            ids.push(id);
            if end == self.text.len() {
                return true;
            }
            // Now the mark stands right before the rest.
            self.text.drain(mark..end);
            from = 0;
        }
    }
}

#[cfg(test)]
mod tests;
