//! The packed form of a WordPiece tokenizer, which is read in a small part of the time of `tokenizer.json`: the words lie in one run of
//! bytes and are looked up there, so that no map of them is built.
//!
//! It is a line of JSON ([`Head`]), then all words, those of each length together and in order, then the id of each as a `u32` in little
//! endian. The rest of `tokenizer.json` is in the head, from which the whole file can be made again.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use tokenizers::{Model, Tokenizer};

use super::broken;
use super::word_piece::{Settings, wordpiece};
use crate::error::Result;

/// The version of the layout and of [`Settings`], also of how these are found. A row of another version is ignored and written anew.
const VERSION: u32 = 1;

/// Words are no longer than this many bytes; a tokenizer with a longer one has no packed form.
const LONGEST: usize = 1 << 10;

const ID: usize = size_of::<u32>();

#[derive(Serialize, Deserialize)]
struct Head {
    version: u32,
    /// The text of `tokenizer.json` before the value of its vocabulary and after it.
    around: [String; 2],
    /// The number of special tokens of a text.
    special: usize,
    /// Whether a text may be tokenized piece by piece.
    in_pieces: bool,
    settings: Settings,
    /// Lengths of words in bytes, in ascending order, each with the number of words.
    lengths: Vec<[usize; 2]>,
}

/// The words of one length.
#[derive(Clone, Default)]
struct Words {
    /// The offset in bytes of the first word.
    start: usize,
    /// The number of words before the first one.
    first: usize,
    count: usize,
}

/// A tokenizer in its packed form.
pub struct PackedTokenizer {
    head: Head,
    bytes: Vec<u8>,
    /// The words of each length.
    words: Vec<Words>,
    /// The offset of the ids in bytes.
    ids: usize,
}

impl PackedTokenizer {
    /// Reads the packed form; `None` if it is of another version or broken.
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let head: Head = serde_json::from_slice(&bytes[..end]).ok()?;
        if head.version != VERSION {
            return None;
        }
        let (mut words, mut start, mut first) = (Vec::new(), end + 1, 0_usize);
        for &[length, count] in &head.lengths {
            if length > LONGEST || length < words.len() {
                return None;
            }
            words.resize(length, Words::default());
            words.push(Words {
                start,
                first,
                count,
            });
            start = length.checked_mul(count)?.checked_add(start)?;
            first = first.checked_add(count)?;
        }
        let whole = first.checked_mul(ID)?.checked_add(start)? == bytes.len();
        whole.then_some(Self {
            head,
            bytes,
            words,
            ids: start,
        })
    }

    /// The packed form of a tokenizer that was read from `json`; `None` where it cannot be packed.
    pub(super) fn pack(
        json: &[u8],
        tokenizer: &Tokenizer,
        settings: &Settings,
        special: usize,
        in_pieces: bool,
    ) -> Option<Vec<u8>> {
        let cut = vocabulary(json)?;
        let text =
            |range: Range<usize>| Some(std::str::from_utf8(json.get(range)?).ok()?.to_owned());
        let around = [text(0..cut.start)?, text(cut.end..json.len())?];
        let mut words: Vec<(String, u32)> = wordpiece(tokenizer)?.get_vocab().into_iter().collect();
        words.sort_unstable_by(|(one, _), (other, _)| {
            (one.len(), one.as_bytes()).cmp(&(other.len(), other.as_bytes()))
        });
        let mut lengths: Vec<[usize; 2]> = Vec::new();
        for (word, _) in &words {
            match lengths.last_mut() {
                Some([length, count]) if *length == word.len() => *count += 1,
                _ => lengths.push([word.len(), 1]),
            }
        }
        if lengths.last().is_some_and(|[length, _]| *length > LONGEST) {
            return None;
        }
        let head = Head {
            version: VERSION,
            around,
            special,
            in_pieces,
            settings: settings.clone(),
            lengths,
        };
        let mut bytes = serde_json::to_vec(&head).ok()?;
        bytes.push(b'\n');
        for (word, _) in &words {
            bytes.extend_from_slice(word.as_bytes());
        }
        for (_, id) in &words {
            bytes.extend_from_slice(&id.to_le_bytes());
        }
        Some(bytes)
    }

    /// The settings that tokenizing needs beside the vocabulary.
    pub(super) fn settings(&self) -> &Settings {
        &self.head.settings
    }

    /// The number of special tokens of a text.
    pub(super) fn special(&self) -> usize {
        self.head.special
    }

    /// Whether a text may be tokenized piece by piece.
    pub(super) fn in_pieces(&self) -> bool {
        self.head.in_pieces
    }

    /// The id of a word of the vocabulary.
    pub(super) fn id(&self, word: &str) -> Option<u32> {
        let words = self.words.get(word.len())?;
        let (mut low, mut high) = (0, words.count);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.word(words, word.len(), middle)?.cmp(word.as_bytes()) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return self.number(words.first + middle),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    fn word(&self, words: &Words, length: usize, index: usize) -> Option<&[u8]> {
        let start = words.start + length * index;
        self.bytes.get(start..start + length)
    }

    /// The id of the word with this number.
    fn number(&self, index: usize) -> Option<u32> {
        let bytes = self.bytes.get(self.ids + ID * index..)?.first_chunk()?;
        Some(u32::from_le_bytes(*bytes))
    }

    /// Makes `tokenizer.json` again, with the words in another order.
    ///
    /// *Errors*: `InvalidWeights` if a word is not UTF-8.
    pub fn json(&self) -> Result<Vec<u8>> {
        let [before, after] = &self.head.around;
        let mut json = before.clone().into_bytes();
        let mut separator = b'{';
        for (length, words) in self.words.iter().enumerate() {
            for index in 0..words.count {
                let word = self.word(words, length, index).unwrap_or_default();
                let word = std::str::from_utf8(word).map_err(broken)?;
                json.push(separator);
                serde_json::to_writer(&mut json, word).map_err(broken)?;
                let id = self.number(words.first + index).unwrap_or_default();
                json.extend_from_slice(format!(":{id}").as_bytes());
                separator = b',';
            }
        }
        if separator == b'{' {
            json.push(b'{');
        }
        json.push(b'}');
        json.extend_from_slice(after.as_bytes());
        Ok(json)
    }
}

/// The place of the vocabulary in the text of a valid `tokenizer.json`.
fn vocabulary(json: &[u8]) -> Option<Range<usize>> {
    let model = member(json, b"model")?;
    let vocabulary = member(json.get(model.clone())?, b"vocab")?;
    Some(model.start + vocabulary.start..model.start + vocabulary.end)
}

/// The place of a member's value in the text of a valid JSON object; `None` where there is no such member, or more than one.
fn member(object: &[u8], name: &[u8]) -> Option<Range<usize>> {
    let (mut depth, mut at) = (0_usize, 0);
    let (mut value, mut found) = (None, None);
    while let Some(byte) = object.get(at) {
        match byte {
            b'"' => {
                let start = at + 1;
                at = string_end(object, start)?;
                let rest = object.get(at + 1..)?.trim_ascii_start();
                if depth == 1 && rest.starts_with(b":") && object.get(start..at)? == name {
                    if found.is_some() {
                        return None;
                    }
                    value = Some(object.len() - rest.len() + 1);
                }
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' | b',' => {
                if depth == 1
                    && let Some(start) = value.take()
                {
                    found = Some(start..at);
                }
                if *byte != b',' {
                    depth = depth.checked_sub(1)?;
                }
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// The place of the quotation mark that ends a string.
fn string_end(json: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match json.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::TextTokenizer;
    use super::*;
    use pilotlight_kernels::testing::Random;

    fn json(name: &str) -> Vec<u8> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/tokenizers");
        std::fs::read(format!("{folder}/{name}/tokenizer.json")).unwrap()
    }

    fn packed(json: &[u8]) -> Vec<u8> {
        let tokenizer = TextTokenizer::from_json(json, 24, false).unwrap();
        tokenizer.pack(json).unwrap()
    }

    #[test]
    fn the_file_that_is_made_again_is_the_same_tokenizer() {
        for name in ["bert", "bert-accents", "bert-cased", "mpnet"] {
            let json = json(name);
            let own = PackedTokenizer::from_bytes(packed(&json)).unwrap();
            let parsed = |json: &[u8]| serde_json::from_slice::<serde_json::Value>(json).unwrap();
            let (made, file) = (parsed(&own.json().unwrap()), parsed(&json));
            assert_eq!(made, file, "{name}");
            let words = file["model"]["vocab"].as_object().unwrap();
            assert!(words.len() > 20, "{name}");
            for (word, id) in words {
                assert_eq!(own.id(word).map(u64::from), id.as_u64(), "{name}: {word}");
                let longer = format!("{word}\u{1}");
                assert_eq!(own.id(&longer), None, "{name}: {longer}");
            }
        }
    }

    #[test]
    fn odd_words_are_found_and_written_as_they_were() {
        let mut file: serde_json::Value = serde_json::from_slice(&json("bert")).unwrap();
        let words = file["model"]["vocab"].as_object_mut().unwrap();
        let odd = ["", "\"", "a\"\\,}", "\u{1}", "\u{1f600}", "model", "vocab"];
        for (index, word) in odd.into_iter().enumerate() {
            words.insert(word.into(), (100_000 + index).into());
        }
        // A string that looks like the model, before it.
        let token = serde_json::json!({ "id": 200_000, "content": r#""model":{"vocab":{},"#, "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false, "special": false });
        file["added_tokens"].as_array_mut().unwrap().push(token);
        let text = file.to_string();
        let own = PackedTokenizer::from_bytes(packed(text.as_bytes())).unwrap();
        for (index, word) in odd.into_iter().enumerate() {
            assert_eq!(own.id(word), Some(100_000 + index as u32), "{word:?}");
        }
        let made: serde_json::Value = serde_json::from_slice(&own.json().unwrap()).unwrap();
        assert_eq!(made["model"], file["model"]);
        // A file with two models is read, but not packed.
        let twice = text.replacen('{', r#"{"model":{"type":"WordPiece","vocab":{}},"#, 1);
        if let Ok(tokenizer) = TextTokenizer::from_json(twice.as_bytes(), 24, false) {
            assert_eq!(tokenizer.pack(twice.as_bytes()), None);
        }
        assert_eq!(vocabulary(twice.as_bytes()), None);
    }

    #[test]
    fn a_word_that_is_too_long_leaves_a_tokenizer_unpacked() {
        let mut file: serde_json::Value = serde_json::from_slice(&json("bert")).unwrap();
        for (length, fits) in [(LONGEST, true), (LONGEST + 1, false)] {
            file["model"]["vocab"]["a".repeat(length)] = 7.into();
            let json = file.to_string();
            let tokenizer = TextTokenizer::from_json(json.as_bytes(), 24, false).unwrap();
            assert_eq!(tokenizer.pack(json.as_bytes()).is_some(), fits, "{length}");
        }
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let whole = packed(&json("bert"));
        let head = whole.iter().position(|byte| *byte == b'\n').unwrap();
        assert!(
            (0..whole.len())
                .all(|end| { PackedTokenizer::from_bytes(whole[..end].to_vec()).is_none() })
        );
        let mut random = Random::new(3);
        let mut read = 0;
        for run in 0..2000 {
            let mut bytes = whole.clone();
            for _ in 0..1 + random.below(3) {
                // Half of the changes are digits of the head, which say where words and ids are.
                let at = random.below(if run % 2 == 0 { head } else { whole.len() });
                bytes[at] = match bytes[at] {
                    digit if digit.is_ascii_digit() => b'0' + random.below(10) as u8,
                    _ => random.below(256) as u8,
                };
            }
            let Some(own) = PackedTokenizer::from_bytes(bytes) else {
                continue;
            };
            read += 1;
            // What comes out is that of another tokenizer, or an error.
            let _ = own.json();
            let Ok(own) = TextTokenizer::from_packed(Arc::new(own), 24, false) else {
                continue;
            };
            for text in ["the cats play", "\u{e9}t\u{e9}"] {
                let _ = own.encode(text);
            }
        }
        assert!(read > 100, "{read} of 2000 were read");
    }
}
