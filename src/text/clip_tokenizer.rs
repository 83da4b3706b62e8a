//! CLIP's tokenizer from `vocab.json` and `merges.txt`, which repositories have that are older than `tokenizer.json`.

use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// The names of the files with the words, and with the pairs of them that are merged.
pub const CLIP_WORDS: [&str; 2] = ["vocab.json", "merges.txt"];

/// The tokens before and after a text; the second is that of unknown words too.
const SPECIAL: [&str; 2] = ["<|startoftext|>", "<|endoftext|>"];

/// Makes the `tokenizer.json` of CLIP from its words and their merges.
///
/// *Errors*: `InvalidWeights` naming the file that is broken or lacks a special token.
/// *Source*: `CLIPTokenizer` of `transformers` 5.23.
pub fn clip_tokenizer(vocabulary: &[u8], merges: &[u8]) -> Result<Vec<u8>> {
    let [words_file, merges_file] = CLIP_WORDS;
    let words: Map<String, Value> = serde_json::from_slice(vocabulary)
        .map_err(|error| Error::invalid_weights(format!("{words_file}: is not valid: {error}")))?;
    let merges = std::str::from_utf8(merges)
        .map_err(|_| Error::invalid_weights(format!("{merges_file}: is not UTF-8")))?;
    // The first line names the version.
    let merges = merges.lines().filter(|line| !line.starts_with("#version"));
    let merges = merges.filter(|line| !line.trim().is_empty());
    let merges: Vec<Value> = merges.map(Value::from).collect();
    let id = |token: &str| {
        words.get(token).cloned().ok_or_else(|| {
            Error::invalid_weights(format!("{words_file}: the token '{token}' is missing"))
        })
    };
    let [first, last] = SPECIAL;
    let (first_id, last_id) = (id(first)?, id(last)?);
    let added = [(first, &first_id), (last, &last_id)].map(|(token, id)| {
        format!(
            r#"{{"id":{id},"content":"{token}","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}}"#
        )
    });
    let (added, words, merges) = (added.join(","), Value::Object(words), Value::Array(merges));
    // Written as text: as values, the same takes several kilobytes of code.
    let file = format!(
        r###"{{"version":"1.0","truncation":null,"padding":null,"added_tokens":[{added}],
        "normalizer":{{"type":"Sequence","normalizers":[{{"type":"NFC"}},
        {{"type":"Replace","pattern":{{"Regex":"\\s+"}},"content":" "}},{{"type":"Lowercase"}}]}},
        "pre_tokenizer":{{"type":"Sequence","pretokenizers":[{{"type":"Split","behavior":"Removed","invert":true,"pattern":{{"Regex":
        "<\\|startoftext\\|>|<\\|endoftext\\|>|'s|'t|'re|'ve|'m|'ll|'d|[\\p{{L}}]+|[\\p{{N}}]|[^\\s\\p{{L}}\\p{{N}}]+"}}}},
        {{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true}}]}},
        "post_processor":{{"type":"RobertaProcessing","sep":["{last}",{last_id}],"cls":["{first}",{first_id}],"trim_offsets":false,"add_prefix_space":false}},
        "decoder":null,
        "model":{{"type":"BPE","dropout":null,"unk_token":"{last}","continuing_subword_prefix":"","end_of_word_suffix":"</w>","fuse_unk":false,
        "vocab":{words},"merges":{merges}}}}}"###
    );
    Ok(file.into_bytes())
}
