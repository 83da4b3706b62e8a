//! Tests that ids are those of the `tokenizers` crate, from `tokenizer.json` and from its packed form.

use super::super::{PackedTokenizer, TextTokenizer, TokenizerConfig};
use crate::text::transformers_ids::WORD_PIECE;
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

/// Parts of texts that are normalized: accents, letters whose other case is longer, scripts that are split, marks, and blanks.
const FOREIGN: &[&str] = &[
    "\u{e9}t\u{e9}",
    "Cafe\u{301}",
    "\u{130}stanbul",
    "stra\u{df}e",
    "\u{39f}\u{3a3}",
    "\u{4e2d}\u{6587}",
    "\u{1f600}",
    "\u{2019}s",
    "\u{3000}",
    "\u{200d}",
    "\u{feff}",
    "\u{2028}",
    "\u{fffd}",
    "[S\u{c9}P]",
    "[M\u{200d}ASK]",
    "\u{421}\u{43b}\u{43e}\u{432}\u{43e}",
];

fn text(random: &mut Random) -> String {
    let mut text = String::new();
    let foreign = random.below(2) == 0;
    for _ in 0..random.below(30) {
        match random.below(40) {
            0 => text += &"ab".repeat(48 + random.below(4)),
            1 if random.below(4) == 0 => text += ODD[random.below(ODD.len())],
            2 if random.below(40) == 0 => text += &"long words of no end ".repeat(500),
            3 if random.below(200) == 0 => text += &"q,Z".repeat(30_000),
            4..10 if foreign => text += FOREIGN[random.below(FOREIGN.len())],
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

/// Compares all ways on random texts, as many for each of four lengths, and returns how many of them the faster one took.
fn compare(
    name: &str,
    json: &str,
    config: Option<&str>,
    lowercase: bool,
    texts: usize,
    random: &mut Random,
) -> usize {
    let mut fast = 0;
    let config = match config {
        Some(config) => TokenizerConfig::new(Some(config.as_bytes()), b"{}").unwrap(),
        // A `tokenizer_config.json` whose class is unknown.
        None => TokenizerConfig::from_json(br#"{"tokenizer_class":"none"}"#).unwrap(),
    };
    for most in [3, 4, 24, usize::MAX] {
        let load = || {
            let mut own = TextTokenizer::from_json(json.as_bytes(), most, lowercase).unwrap();
            own.heed(&config).unwrap();
            own
        };
        let (own, mut crates) = (load(), load());
        crates.word_piece = None;
        let packed = own.pack(json.as_bytes()).map(|packed| {
            let packed = PackedTokenizer::from_bytes(packed).unwrap();
            let mut own = TextTokenizer::from_packed(packed.into(), most, lowercase).unwrap();
            own.heed(&config).unwrap();
            own
        });
        assert_eq!(packed.is_some(), own.word_piece.is_some(), "{name}");
        for _ in 0..texts {
            let text = text(random);
            let (got, expected) = (own.encode(&text).unwrap(), crates.encode(&text).unwrap());
            assert_eq!(got, expected, "{name}, at most {most}: {text:?}");
            if let Some(packed) = &packed {
                let got = packed.encode(&text).unwrap();
                assert_eq!(got, expected, "{name}, packed, at most {most}: {text:?}");
            }
            fast += usize::from(own.fast_ids(&text).is_some());
        }
        if let Some(packed) = &packed {
            // The crate keeps what it cuts of both texts in all combinations, which takes gigabytes for long ones.
            let short = |text: String| text.chars().take(100).collect::<String>();
            let [one, other] = [short(text(random)), short(text(random))];
            let pair = |own: &TextTokenizer| own.encode_pair(&one, &other).ok();
            assert_eq!(pair(packed), pair(&crates), "{name}: {one:?}, {other:?}");
            let length = |own: &TextTokenizer| own.prompt_length(&one).ok();
            assert_eq!(length(packed), length(&crates), "{name}: {one:?}");
            let located = |own: &TextTokenizer| own.locate(&one, most).ok();
            assert_eq!(located(packed), located(&crates), "{name}: {one:?}");
            for token in ["[SEP]", "</s>", "the", "none at all"] {
                assert_eq!(packed.id(token), crates.id(token), "{name}: {token}");
            }
        }
    }
    fast
}

#[test]
fn ids_are_those_of_the_crate() {
    let mut random = Random::new(15);
    for name in WORD_PIECE {
        let (json, config) = (
            read(name, "tokenizer.json"),
            read(name, "tokenizer_config.json"),
        );
        for lowercase in [false, true] {
            let fast = compare(name, &json, Some(&config), lowercase, 100, &mut random);
            assert!((80..400).contains(&fast), "{name}: {fast} of 400 texts");
        }
        // Tokens of other kinds than BERT's are found before a text is split, or in the middle of words.
        for (content, flag) in [
            ("york", "single_word"),
            ("YO", "rstrip"),
            ("a_b", "lstrip"),
            ("New York", "normalized"),
            ("\n", "special"),
            (" new", "special"),
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
        assert!(own.word_piece.is_none(), "{name}");
        assert!(own.pack(json.as_bytes()).is_none(), "{name}");
    }
}
