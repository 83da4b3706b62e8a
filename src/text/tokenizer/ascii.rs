//! WordPiece of texts in plain ASCII, which most texts are: the same ids as those of the `tokenizers` crate in a small part of its time. The
//! crate makes several copies of each text and of each token, with the place of each character; here only ids are made.

use tokenizers::models::wordpiece::WordPiece;
use tokenizers::{Model, ModelWrapper, NormalizerWrapper, PreTokenizerWrapper, Tokenizer};

/// A tokenizer for texts of printable ASCII characters, blanks and line breaks. Other texts are left to the `tokenizers` crate, and so are
/// texts that may contain a token of `added_tokens`.
pub(super) struct Ascii {
    lowercase: bool,
    /// The special tokens before a text and after it.
    before: Vec<u32>,
    after: Vec<u32>,
    /// The tokens that are found in a text before it is split, in bytes.
    added: Vec<Box<[u8]>>,
    /// For each byte, whether one of the `added` tokens begins with it, in either case.
    begins: [bool; 128],
}

impl Ascii {
    /// Returns the ASCII form of a tokenizer; `None` if it is not one of BERT's kind. `lowercase`: whether texts are lower-cased first.
    pub(super) fn of(tokenizer: &Tokenizer, lowercase: bool) -> Option<Self> {
        let Some(NormalizerWrapper::BertNormalizer(normalizer)) = tokenizer.get_normalizer() else {
            return None;
        };
        let Some(PreTokenizerWrapper::BertPreTokenizer(_)) = tokenizer.get_pre_tokenizer() else {
            return None;
        };
        wordpiece(tokenizer)?;
        let (before, after) = special_tokens(tokenizer)?;
        let mut own = Self {
            lowercase: lowercase || normalizer.lowercase,
            before,
            after,
            added: Vec::new(),
            begins: [false; 128],
        };
        for token in tokenizer
            .get_added_vocabulary()
            .get_added_tokens_decoder()
            .values()
        {
            let content = token.content.as_bytes();
            // It may be found in other ASCII texts than itself: without its accents, or with other blanks.
            if token.normalized && !content.iter().all(u8::is_ascii_graphic) {
                return None;
            }
            let Some(first) = content.first().filter(|_| content.is_ascii()) else {
                continue;
            };
            for first in [first.to_ascii_lowercase(), first.to_ascii_uppercase()] {
                own.begins[usize::from(first)] = true;
            }
            own.added.push(content.into());
        }
        Some(own)
    }

    /// Appends the ids of a text without special tokens, or returns `None` where the text is one for the crate.
    pub(super) fn read(&self, tokenizer: &Tokenizer, text: &str, ids: &mut Vec<u32>) -> Option<()> {
        let model = wordpiece(tokenizer)?;
        let bytes = text.as_bytes();
        let mut word = Word::new(model);
        for (at, &byte) in bytes.iter().enumerate() {
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' => word.end(ids)?,
                b'!'..=b'~' => {
                    if self.begins[usize::from(byte)] && self.is_added(&bytes[at..]) {
                        return None;
                    }
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
        let begins = |token: &[u8]| {
            let start = text.get(..token.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(token))
        };
        self.added.iter().any(|token| begins(token))
    }

    /// The special tokens before a text.
    pub(super) fn before(&self) -> &[u32] {
        &self.before
    }

    /// The special tokens after a text.
    pub(super) fn after(&self) -> &[u32] {
        &self.after
    }
}

fn wordpiece(tokenizer: &Tokenizer) -> Option<&WordPiece> {
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

/// The word that is being read.
struct Word<'a> {
    model: &'a WordPiece,
    /// The mark of a piece that continues a word, then the characters so far.
    text: String,
    /// The bytes of the mark.
    mark: usize,
}

impl<'a> Word<'a> {
    fn new(model: &'a WordPiece) -> Self {
        let text = model.continuing_subword_prefix.clone();
        Self {
            model,
            mark: text.len(),
            text,
        }
    }

    fn push(&mut self, byte: u8) {
        self.text.push(char::from(byte));
    }

    /// Appends the ids of the word's pieces, of which each is the longest that the vocabulary has, and begins the next word.
    fn end(&mut self, ids: &mut Vec<u32>) -> Option<()> {
        let length = self.text.len() - self.mark;
        if length == 0 {
            return Some(());
        }
        let first = ids.len();
        if length > self.model.max_input_chars_per_word || !self.pieces(ids) {
            ids.truncate(first);
            ids.push(self.model.token_to_id(&self.model.unk_token)?);
        }
        self.text.truncate(self.mark);
        Some(())
    }

    /// Whether all of the word consists of pieces, whose ids are appended.
    fn pieces(&mut self, ids: &mut Vec<u32>) -> bool {
        // The first piece has no mark.
        let mut from = self.mark;
        loop {
            let ends = (self.mark + 1..=self.text.len()).rev();
            let mut known = ends.filter_map(|end| {
                let id = self.model.token_to_id(self.text.get(from..end)?)?;
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
            self.text.drain(self.mark..end);
            from = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{TextTokenizer, TokenizerConfig};
    use pilotlight_kernels::testing::Random;

    /// The parts of the tested texts: among others tokens that are found before a text is split, in both cases and in halves, controls of
    /// several kinds, and words as long as the longest that is split.
    const PARTS: &[&str] = &[
        " ",
        " ",
        " ",
        "  ",
        "\t",
        "\n",
        "\r\n",
        "a",
        "the",
        "The",
        "unaffable",
        "playing",
        "##ing",
        "don't",
        "3.14",
        "[SEP]",
        "[sep]",
        "[SE",
        "P]",
        "[MASK]",
        "<mask>",
        "<MASK>",
        "</s>",
        "<s",
        "[UNK]",
        "[PAD]",
        "[",
        "]",
        "<",
        "!",
        "?!...",
        "--",
        "a_b",
        "x@y.z",
        "#",
        "\"",
        "~",
        "New York",
        "new",
        "york",
        "NEWYORK",
        "e",
        "xyzzyq",
    ];
    const ODD: &[&str] = &[
        "\0", "\u{1}", "\u{b}", "\u{c}", "\u{7f}", "\u{1c}", "\u{e9}", "\u{a0}", "\u{4e2d}",
    ];

    fn text(random: &mut Random) -> String {
        let mut text = String::new();
        for _ in 0..random.below(30) {
            match random.below(40) {
                0 => text += &"ab".repeat(48 + random.below(4)),
                1 if random.below(4) == 0 => text += ODD[random.below(ODD.len())],
                2 if random.below(40) == 0 => text += &"long words of no end ".repeat(500),
                3 if random.below(200) == 0 => text += &"q,Z".repeat(30_000),
                4..16 => text.push(char::from(b' ' + random.below(95) as u8)),
                _ => text += PARTS[random.below(PARTS.len())],
            }
        }
        text
    }

    fn read(name: &str, file: &str) -> String {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/tokenizers");
        std::fs::read_to_string(format!("{folder}/{name}/{file}")).unwrap()
    }

    /// Compares both ways on random texts, as many for each of four lengths, and returns how many of them the faster one took.
    fn compare(
        name: &str,
        json: &str,
        config: Option<&str>,
        lowercase: bool,
        texts: usize,
        random: &mut Random,
    ) -> usize {
        let mut fast = 0;
        for most in [3, 4, 24, usize::MAX] {
            let load = || {
                let mut own = TextTokenizer::from_json(json.as_bytes(), most, lowercase).unwrap();
                if let Some(config) = config {
                    let config = TokenizerConfig::new(Some(config.as_bytes()), b"{}").unwrap();
                    own.heed(&config).unwrap();
                }
                own
            };
            let (own, mut crates) = (load(), load());
            crates.ascii = None;
            for _ in 0..texts {
                let text = text(random);
                let (got, expected) = (own.encode(&text).unwrap(), crates.encode(&text).unwrap());
                assert_eq!(got, expected, "{name}, at most {most}: {text:?}");
                fast += usize::from(own.ascii_ids(&text).is_some());
            }
        }
        fast
    }

    #[test]
    fn ids_are_those_of_the_crate() {
        let mut random = Random::new(15);
        for name in [
            "bert",
            "bert-accents",
            "bert-cased",
            "bert-no-chinese",
            "mpnet",
        ] {
            let (json, config) = (
                read(name, "tokenizer.json"),
                read(name, "tokenizer_config.json"),
            );
            for lowercase in [false, true] {
                let fast = compare(name, &json, Some(&config), lowercase, 100, &mut random);
                assert!((80..380).contains(&fast), "{name}: {fast} of 400 texts");
            }
            // Tokens of other kinds than BERT's are found before a text is split, or in the middle of words.
            for (content, flag) in [
                ("york", "single_word"),
                ("YO", "rstrip"),
                ("a_b", "lstrip"),
                ("New York", "normalized"),
            ] {
                for normalized in [false, true] {
                    let mut file: serde_json::Value = serde_json::from_str(&json).unwrap();
                    let id = file["model"]["vocab"].as_object().unwrap().len();
                    let mut token = serde_json::json!({ "id": id, "content": content, "single_word": false, "lstrip": false,
                        "rstrip": false, "normalized": normalized, "special": false });
                    token[flag] = (flag != "normalized" || normalized).into();
                    file["added_tokens"].as_array_mut().unwrap().push(token);
                    compare(
                        &format!("{name} with {content}"),
                        &file.to_string(),
                        None,
                        false,
                        10,
                        &mut random,
                    );
                }
            }
        }
    }

    #[test]
    fn other_tokenizers_are_left_to_the_crate() {
        for name in ["roberta", "xlm-roberta"] {
            let json = read(name, "tokenizer.json");
            let own = TextTokenizer::from_json(json.as_bytes(), 24, false).unwrap();
            assert!(own.ascii.is_none(), "{name}");
        }
    }
}
