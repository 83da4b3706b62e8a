//! Checks that all architectures share: of `config.json`, and of the token ids that go into the models.

use burn::tensor::{Device, Int, Tensor};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::ops::{Activation, activation_from_config, integers};

/// The name of the config file.
pub(super) const FILE: &str = "config.json";

// Limits that keep a hostile config from asking for absurd memory; the largest models here have 24 layers of 1,024.

/// The most layers that a config may ask for.
pub(super) const MAX_LAYERS: usize = 256;
/// The largest width of a layer, in values.
pub(super) const MAX_WIDTH: usize = 1 << 16;
/// The most rows of an embedding table.
pub(super) const MAX_ROWS: usize = 1 << 24;

fn broken(error: serde_json::Error) -> Error {
    Error::invalid_weights(format!("{FILE}: is not valid: {error}"))
}

/// Reads the architecture of a config: its `model_type`, made specific if two architectures share it. It is empty if the config has none.
///
/// *Errors*: `InvalidWeights` where the file is broken.
pub(super) fn architecture(json: &[u8]) -> Result<String> {
    #[derive(Deserialize)]
    struct Kind {
        model_type: Option<String>,
        position_embedding_type: Option<String>,
    }
    let kind: Kind = serde_json::from_slice(json).map_err(broken)?;
    let model_type = kind.model_type.unwrap_or_default();
    // Repositories that bring their own Python code under the name of another model.
    match (model_type.as_str(), kind.position_embedding_type.as_deref()) {
        ("bert", Some("alibi")) => Ok("bert with alibi".into()),
        _ => Ok(model_type),
    }
}

fn check_architecture(json: &[u8], expected: &[&str]) -> Result<()> {
    let found = architecture(json)?;
    match expected.contains(&found.as_str()) {
        true => Ok(()),
        false => Err(Error::unsupported(format!(
            "{FILE}: model_type is '{found}', expected '{}'",
            expected.join("' or '")
        ))),
    }
}

/// The fields of an encoder's config. They are read one by one and not derived, which is a third of the code.
pub(super) struct Fields {
    values: Map<String, Value>,
}

impl Fields {
    /// Reads the config of an encoder of one of some architectures. `defaults` are the values of its config class in `transformers`, as JSON: the
    /// library leaves out of the file the values that are the defaults.
    ///
    /// *Errors*: `UnsupportedModel` for another architecture, a decoder, or weights that were pruned or quantized; `InvalidWeights` where the
    /// file is broken.
    pub fn parse(json: &[u8], expected: &[&str], defaults: &str) -> Result<Self> {
        check_architecture(json, expected)?;
        let mut values: Map<String, Value> = read(json)?;
        let defaults: Map<String, Value> = read(defaults.as_bytes())?;
        for (name, value) in defaults {
            values.entry(name).or_insert(value);
        }
        let fields = Self { values };
        let no = [false.into()];
        fields.only(&[
            // Tokens would not see those after them.
            ("is_decoder", &no),
            ("add_cross_attention", &no),
            ("pruned_heads", &[Value::Object(Map::new())]),
            ("quantization_config", &[]),
        ])?;
        Ok(fields)
    }

    /// The value of a field; `None` where the file has none, or null.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name).filter(|value| !value.is_null())
    }

    /// A size of 1 to `most`.
    ///
    /// *Errors*: `InvalidWeights` naming the field.
    pub fn size(&self, name: &str, most: usize) -> Result<usize> {
        let size = self.get(name).and_then(Value::as_u64);
        match size.filter(|size| (1..=most as u64).contains(size)) {
            Some(size) => Ok(size as usize),
            None => Err(self.wrong(name, &format!("1 to {most}"))),
        }
    }

    /// A number from 0 to less than `end`.
    ///
    /// *Errors*: `InvalidWeights` naming the field.
    pub fn index(&self, name: &str, end: usize) -> Result<usize> {
        let index = self.get(name).and_then(Value::as_u64);
        match index.filter(|index| *index < end as u64) {
            Some(index) => Ok(index as usize),
            None => Err(self.wrong(name, &format!("0 to {}", end - 1))),
        }
    }

    /// The constant that norms add to the variance.
    ///
    /// *Errors*: `InvalidWeights` naming the field.
    pub fn epsilon(&self, name: &str) -> Result<f32> {
        match self.number(name)? {
            Some(epsilon) if epsilon >= 0.0 => Ok(epsilon),
            _ => Err(self.wrong(name, "0 or more")),
        }
    }

    /// A finite number; `None` where the file has none.
    ///
    /// *Errors*: `InvalidWeights` naming the field.
    pub fn number(&self, name: &str) -> Result<Option<f32>> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let number = value.as_f64().map(|number| number as f32);
        match number.filter(|number| number.is_finite()) {
            Some(number) => Ok(Some(number)),
            None => Err(self.wrong(name, "a number")),
        }
    }

    /// A text; `None` where the file has none.
    ///
    /// *Errors*: `InvalidWeights` naming the field.
    pub fn text(&self, name: &str) -> Result<Option<&str>> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(name, "a text")),
        }
    }

    /// Whether the file has the field, be it null.
    pub fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// The base of rotary wavelengths that `rope_parameters` has, for a kind of layers where these differ; `None` where there is none.
    ///
    /// *Errors*: `UnsupportedModel` for another rotation than the plain one, or one that is written in another way.
    pub fn rope_theta(&self, kind: Option<&str>) -> Result<Option<f32>> {
        self.only(&[
            ("rope_scaling", &[]),
            ("partial_rotary_factor", &[1.into(), 1.0.into()]),
        ])?;
        let Some(all) = self.get("rope_parameters") else {
            return Ok(None);
        };
        let rope = match kind {
            None => Some(all),
            Some(kind) => all.get(kind),
        };
        let is_plain = |rope: &Value| {
            let kind = rope.get("rope_type").and_then(Value::as_str);
            matches!(kind, None | Some("default")) && rope.get("factor").is_none()
        };
        let theta = rope
            .filter(|rope| is_plain(rope))
            .and_then(|rope| rope.get("rope_theta")?.as_f64());
        match theta {
            Some(theta) => Ok(Some(theta as f32)),
            None => Err(Error::unsupported(format!(
                "{FILE}: rope_parameters is {all}, expected a rope_theta and the rope_type 'default'{}",
                kind.map_or(String::new(), |kind| format!(" for {kind}"))
            ))),
        }
    }

    /// The activation of this field.
    ///
    /// *Errors*: `UnsupportedModel` for an unknown one, `InvalidWeights` where there is none.
    pub fn activation(&self, name: &str) -> Result<Activation> {
        match self.text(name)? {
            Some(text) => activation_from_config(name, text),
            None => Err(self.wrong(name, "a text")),
        }
    }

    /// Refuses fields whose value is not among those that are computed here; a field that the file does not have is at its default.
    ///
    /// *Errors*: `UnsupportedModel` naming the field.
    pub fn only(&self, fields: &[(&str, &[Value])]) -> Result<()> {
        for (name, expected) in fields {
            if let Some(value) = self.get(name).filter(|value| !expected.contains(value)) {
                let all: Vec<_> = expected.iter().map(Value::to_string).collect();
                return Err(Error::unsupported(format!(
                    "{FILE}: {name} is {}, expected {}",
                    shown(value),
                    match expected {
                        [] => "none".into(),
                        _ => all.join(" or "),
                    }
                )));
            }
        }
        Ok(())
    }

    fn wrong(&self, name: &str, expected: &str) -> Error {
        let found = self.get(name).map_or("missing".into(), shown);
        Error::invalid_weights(format!("{FILE}: {name} is {found}, expected {expected}"))
    }
}

/// A value as messages show it: a text in single quotes.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("'{text}'"),
        other => other.to_string(),
    }
}

/// Reads a config whose `model_type` was checked.
///
/// *Errors*: `InvalidWeights` where the file is broken.
pub(super) fn read<T: DeserializeOwned>(json: &[u8]) -> Result<T> {
    serde_json::from_slice(json).map_err(broken)
}

/// Checks that each size is at least 1, and at most the limit beside it.
///
/// *Errors*: `InvalidWeights` naming the field.
pub(super) fn check_sizes(sizes: &[(&str, usize, usize)]) -> Result<()> {
    match sizes
        .iter()
        .find(|(_, value, most)| *value == 0 || value > most)
    {
        Some((name, value, most)) => Err(Error::invalid_weights(format!(
            "{FILE}: {name} is {value}, expected 1 to {most}"
        ))),
        None => Ok(()),
    }
}

/// Checks that the heads divide the width evenly.
///
/// *Errors*: `InvalidWeights` where they do not.
pub(super) fn check_heads(hidden_size: usize, num_attention_heads: usize) -> Result<()> {
    if hidden_size.is_multiple_of(num_attention_heads) {
        return Ok(());
    }
    Err(Error::invalid_weights(format!(
        "{FILE}: hidden_size {hidden_size} is not a multiple of num_attention_heads {num_attention_heads}"
    )))
}

/// Checks the constant that a norm adds to the variance.
///
/// *Errors*: `InvalidWeights` where it is negative or not finite.
pub(super) fn check_epsilon(name: &str, epsilon: f32) -> Result<()> {
    if epsilon.is_finite() && epsilon >= 0.0 {
        return Ok(());
    }
    Err(Error::invalid_weights(format!(
        "{FILE}: {name} is {epsilon}, expected 0 or more"
    )))
}

/// Checks that the token ids are in the vocabulary of `v` ids, and that each text has 1 to `longest` tokens.
///
/// *Errors*: `InvalidInput` for an empty or too long sequence, `InvalidWeights` for an id past the vocabulary.
pub(super) fn check_sequences(sequences: &[&[u32]], v: usize, longest: usize) -> Result<()> {
    for ids in sequences {
        if ids.is_empty() || ids.len() > longest {
            return Err(Error::invalid_input(format!(
                "a text has {} tokens, expected 1 to {longest}",
                ids.len()
            )));
        }
        check_ids(ids, v)?;
    }
    Ok(())
}

/// Checks that the token ids are in the vocabulary of `v` ids.
///
/// *Errors*: `InvalidWeights` for an id past the vocabulary.
pub(super) fn check_ids(ids: &[u32], v: usize) -> Result<()> {
    match ids.iter().find(|&&id| id as usize >= v) {
        Some(id) => Err(Error::invalid_weights(format!(
            "tokenizer.json: yields the id {id}, but the model has {v} embeddings"
        ))),
        None => Ok(()),
    }
}

/// Makes the tensor of all sequences' ids, one after the other: `[t]`.
pub(super) fn token_ids(sequences: &[&[u32]], device: &Device) -> Tensor<1, Int> {
    let ids = sequences.iter().flat_map(|ids| ids.iter());
    indices(ids.map(|&id| id as i32).collect(), device)
}

/// Makes the tensor of each token's position in its own sequence: `[t]`.
pub(super) fn positions_of(sequences: &[&[u32]], device: &Device) -> Tensor<1, Int> {
    let positions = sequences.iter().flat_map(|ids| 0..ids.len() as i32);
    indices(positions.collect(), device)
}

/// Makes the tensor of each token's position in its own sequence, counted from the id of the padding on, which is the position of the
/// padding itself, also where a text has that word: `[t]`.
pub(super) fn positions_after(
    padding: u32,
    sequences: &[&[u32]],
    device: &Device,
) -> Tensor<1, Int> {
    let mut positions = Vec::new();
    for ids in sequences {
        let mut last = padding;
        positions.extend(ids.iter().map(|&id| {
            last += u32::from(id != padding);
            let position = if id == padding { padding } else { last };
            position as i32
        }));
    }
    indices(positions, device)
}

/// Makes the tensor of each token's type: 0, and 1 from the number in `firsts` on. It is 0 for all where there are no `firsts`: `[t]`.
pub(super) fn types_of(sequences: &[&[u32]], firsts: &[usize], device: &Device) -> Tensor<1, Int> {
    let firsts = firsts.iter().copied().chain(std::iter::repeat(usize::MAX));
    let types = sequences.iter().zip(firsts);
    let types = types.flat_map(|(ids, first)| (0..ids.len()).map(move |at| i32::from(at >= first)));
    indices(types.collect(), device)
}

/// Makes a tensor of row indices into a table: `[t]`.
pub(super) fn indices(rows: Vec<i32>, device: &Device) -> Tensor<1, Int> {
    let length = rows.len();
    integers(rows, [length], device)
}
