//! The modules of a sentence-transformers repository that follow the encoder: `modules.json`, and what each does to a vector.
//!
//! *Source*: `sentence_transformers/models` and, since release 5.4, `sentence_transformers/base/modules`.

use serde::Deserialize;

use super::load::{Loading, missing};
use super::pooling::normalize;
use crate::error::{Error, Result};
use crate::weights::SmallTensors;

/// The file that lists the modules.
pub(super) const MODULES: &str = "modules.json";

/// The most values of a vector between two modules.
const MAX_WIDTH: usize = 1 << 16;

/// An entry of `modules.json`.
#[derive(Deserialize)]
struct Entry {
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

/// A module in its folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Module {
    /// The kind, which is the last part of the Python class's name.
    pub kind: Kind,
    /// The folder, with a slash at its end; empty for that of the repository.
    pub folder: String,
}

/// The kinds of modules that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Transformer,
    Pooling,
    Dense,
    LayerNorm,
    Normalize,
    StaticEmbedding,
}

const KINDS: [(&str, Kind); 6] = [
    ("Transformer", Kind::Transformer),
    ("Pooling", Kind::Pooling),
    ("Dense", Kind::Dense),
    ("LayerNorm", Kind::LayerNorm),
    ("Normalize", Kind::Normalize),
    ("StaticEmbedding", Kind::StaticEmbedding),
];

/// Reads `modules.json`.
///
/// *Errors*: `InvalidWeights` where the file is broken, `UnsupportedModel` for an unknown module or order.
pub(super) fn modules(json: &[u8]) -> Result<Vec<Module>> {
    let entries: Vec<Entry> = serde_json::from_slice(json)
        .map_err(|error| Error::invalid_weights(format!("{MODULES}: is not valid: {error}")))?;
    let mut list = Vec::with_capacity(entries.len());
    for Entry { path, kind: name } in entries {
        let known = KINDS
            .iter()
            .find(|(kind, _)| name.rsplit('.').next() == Some(kind));
        let Some((_, kind)) = known else {
            return Err(Error::unsupported(format!(
                "{MODULES}: type is '{name}', expected one of {}",
                KINDS.map(|(name, _)| name).join(", ")
            )));
        };
        let folder = match path.as_str() {
            "" | "." => String::new(),
            path if is_inside(path) => format!("{path}/"),
            path => {
                return Err(Error::invalid_weights(format!(
                    "{MODULES}: path is '{path}', expected a folder of the repository"
                )));
            }
        };
        list.push(Module {
            kind: *kind,
            folder,
        });
    }
    let encoder =
        |module: &Module| matches!(module.kind, Kind::Transformer | Kind::StaticEmbedding);
    // Vectors exist from the pooling on, which follows the encoder, or from a static embedding on.
    let in_order = list.iter().enumerate().all(|(place, module)| {
        encoder(module) == (place == 0) && (module.kind != Kind::Pooling || place == 1)
    });
    // The dimensions of a static embedding are known only from its weights, and modules with weights are read before.
    let is_static = is_static_embedding(&list);
    let mut others = list.iter().skip(1).map(|module| module.kind);
    if let Some(other) = others.find(|kind| is_static && *kind != Kind::Normalize) {
        return Err(Error::unsupported(format!(
            "{MODULES}: {other:?} follows StaticEmbedding, expected only Normalize there"
        )));
    }
    match in_order {
        true => Ok(list),
        false => Err(Error::unsupported(format!(
            "{MODULES}: the modules are {:?}, expected an encoder, its pooling, and then others",
            list.iter().map(|module| module.kind).collect::<Vec<_>>()
        ))),
    }
}

/// Whether the modules begin with a static embedding.
pub(super) fn is_static_embedding(list: &[Module]) -> bool {
    list.first()
        .is_some_and(|first| first.kind == Kind::StaticEmbedding)
}

/// Whether a path stays within the repository, both as a URL and in a file system.
fn is_inside(path: &str) -> bool {
    let plain =
        |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', ':', '%', '?', '#']);
    path.split('/').all(plain)
}

/// The steps that are applied to the pooled vector of a text.
#[derive(Clone, Debug, Default)]
pub(super) struct Steps {
    list: Vec<Step>,
}

#[derive(Clone, Debug)]
enum Step {
    Dense(Dense),
    LayerNorm(LayerNorm),
    Normalize,
    /// Keeps the first values, up to this number.
    Truncate(usize),
}

/// A linear layer and its activation.
#[derive(Clone, Debug)]
struct Dense {
    /// `[n, k]`
    weight: Vec<f32>,
    /// `[n]`
    bias: Vec<f32>,
    activation: fn(f32) -> f32,
}

/// A layer norm, with PyTorch's default epsilon, as the module has it.
#[derive(Clone, Debug)]
struct LayerNorm {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

const EPSILON: f32 = 1e-5;

/// The contents of a Dense module's `config.json`.
#[derive(Deserialize)]
struct DenseConfig {
    in_features: usize,
    out_features: usize,
    #[serde(default = "yes")]
    bias: bool,
    activation_function: Option<String>,
    module_input_name: Option<String>,
    module_output_name: Option<String>,
}

/// The contents of a LayerNorm module's `config.json`.
#[derive(Deserialize)]
struct NormConfig {
    dimension: usize,
}

fn yes() -> bool {
    true
}

/// The name of the one vector of a text that modules hand on.
const VECTOR: &str = "sentence_embedding";

impl Steps {
    /// Reads the files of modules that take vectors of `width` values, and follow the pooling.
    ///
    /// *Errors*: `FetchFailed`, `InvalidWeights` naming the file, `UnsupportedModel`.
    pub async fn read(
        files: &mut Loading<'_, '_>,
        modules: &[Module],
        width: usize,
    ) -> Result<Self> {
        let (mut list, mut width) = (Vec::new(), width);
        for Module { kind, folder } in modules {
            let config = format!("{folder}config.json");
            match kind {
                Kind::Dense | Kind::LayerNorm => {
                    let json = files.required(&config).await?;
                    let (weights, bytes) = weights_of(files, folder).await?;
                    let tensors =
                        SmallTensors::read(&weights, &bytes, files.retry_policy()).await?;
                    if *kind == Kind::Dense {
                        let dense = Dense::new(&config, &json, &tensors, width)?;
                        width = dense.bias.len();
                        list.push(Step::Dense(dense));
                    } else {
                        let norm = LayerNorm::new(&config, &json, &tensors, width)?;
                        list.push(Step::LayerNorm(norm));
                    }
                }
                Kind::Normalize => list.push(Step::Normalize),
                Kind::Transformer | Kind::Pooling | Kind::StaticEmbedding => {}
            }
        }
        Ok(Self { list })
    }

    /// Steps that give vectors the length 1, or leave them as they are.
    pub fn normalizing(normalize: bool) -> Self {
        Self {
            list: normalize.then_some(Step::Normalize).into_iter().collect(),
        }
    }

    /// Appends the step that keeps the first `most` values of a vector.
    pub fn truncate(&mut self, most: usize) {
        self.list.push(Step::Truncate(most));
    }

    /// Appends the step that gives vectors the length 1.
    pub fn normalize(&mut self) {
        self.list.push(Step::Normalize);
    }

    /// The number of values after the last step, of vectors of `width` values before the first.
    pub fn width(&self, width: usize) -> usize {
        self.list.iter().fold(width, |width, step| match step {
            Step::Dense(dense) => dense.bias.len(),
            Step::Truncate(most) => width.min(*most),
            Step::LayerNorm(_) | Step::Normalize => width,
        })
    }

    /// Applies all steps to the vector of a text.
    pub fn apply(&self, vector: &mut Vec<f32>) {
        for step in &self.list {
            match step {
                Step::Dense(dense) => *vector = dense.forward(vector),
                Step::LayerNorm(norm) => norm.forward(vector),
                Step::Normalize => normalize(vector),
                Step::Truncate(most) => vector.truncate(*most),
            }
        }
    }
}

/// Reads the weights of the module in a folder. Returns the name of their file as well.
///
/// *Errors*: `FetchFailed` where the folder has neither a safetensors file nor a checkpoint of PyTorch.
async fn weights_of(files: &mut Loading<'_, '_>, folder: &str) -> Result<(String, Vec<u8>)> {
    let [own, other] =
        ["model.safetensors", "pytorch_model.bin"].map(|name| format!("{folder}{name}"));
    if let Some(bytes) = files.optional(&own).await? {
        return Ok((own, bytes));
    }
    match files.optional(&other).await? {
        Some(bytes) => Ok((other, bytes)),
        None => Err(missing(&own)),
    }
}

impl Dense {
    fn new(config: &str, json: &[u8], tensors: &SmallTensors<'_>, width: usize) -> Result<Self> {
        let DenseConfig {
            in_features: k,
            out_features: n,
            bias,
            activation_function,
            module_input_name,
            module_output_name,
        } = parse(config, json)?;
        if k != width || n == 0 || n > MAX_WIDTH {
            return Err(Error::invalid_weights(format!(
                "{config}: in_features is {k} and out_features {n}, expected {width} and 1 to {MAX_WIDTH}"
            )));
        }
        for name in [module_input_name, module_output_name]
            .into_iter()
            .flatten()
        {
            if name != VECTOR {
                return Err(Error::unsupported(format!(
                    "{config}: reads or writes '{name}', expected '{VECTOR}'"
                )));
            }
        }
        Ok(Self {
            weight: tensors.take("linear.weight", &[n, k])?,
            bias: match bias {
                true => tensors.take("linear.bias", &[n])?,
                false => vec![0.0; n],
            },
            activation: activation(config, activation_function.as_deref())?,
        })
    }

    fn forward(&self, x: &[f32]) -> Vec<f32> {
        let rows = self.weight.chunks_exact(x.len()).zip(&self.bias);
        rows.map(|(row, bias)| {
            let dot: f32 = row.iter().zip(x).map(|(w, x)| w * x).sum();
            (self.activation)(dot + bias)
        })
        .collect()
    }
}

impl LayerNorm {
    fn new(config: &str, json: &[u8], tensors: &SmallTensors<'_>, width: usize) -> Result<Self> {
        let NormConfig { dimension } = parse(config, json)?;
        if dimension != width {
            return Err(Error::invalid_weights(format!(
                "{config}: dimension is {dimension}, expected {width}"
            )));
        }
        Ok(Self {
            weight: tensors.take("norm.weight", &[width])?,
            bias: tensors.take("norm.bias", &[width])?,
        })
    }

    fn forward(&self, x: &mut [f32]) {
        let mean = x.iter().sum::<f32>() / x.len() as f32;
        let variance = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / x.len() as f32;
        let scale = 1.0 / (variance + EPSILON).sqrt();
        for ((x, weight), bias) in x.iter_mut().zip(&self.weight).zip(&self.bias) {
            *x = (*x - mean) * scale * weight + bias;
        }
    }
}

fn parse<'a, T: Deserialize<'a>>(file: &str, json: &'a [u8]) -> Result<T> {
    serde_json::from_slice(json)
        .map_err(|error| Error::invalid_weights(format!("{file}: is not valid: {error}")))
}

/// The activation of a Dense module, by the path of its Python class; the identity where none is named, as sentence-transformers has it.
fn activation(file: &str, path: Option<&str>) -> Result<fn(f32) -> f32> {
    match path.map(|path| path.rsplit('.').next().unwrap_or(path)) {
        None | Some("Identity") => Ok(|x| x),
        Some("Tanh") => Ok(f32::tanh),
        Some("ReLU") => Ok(|x| x.max(0.0)),
        Some("Sigmoid") => Ok(|x| 1.0 / (1.0 + (-x).exp())),
        Some(other) => Err(Error::unsupported(format!(
            "{file}: activation_function is '{other}', expected Identity, Tanh, ReLU or Sigmoid"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_path_that_leads_out_of_the_repository_is_an_error_that_names_it() {
        for path in [
            "..",
            "../x",
            "a/../../b",
            "/etc",
            "a//b",
            "C:\\\\x",
            "%2e%2e",
            "a?b",
        ] {
            let json = format!(
                r#"[{{"path":"","type":"models.Transformer"}},{{"path":"{path}","type":"models.Pooling"}}]"#
            );
            let error = modules(json.as_bytes()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidWeights, "{path}");
            assert!(error.to_string().contains("modules.json: path"), "{error}");
        }
    }

    #[test]
    fn an_unknown_module_or_order_is_an_error_that_names_it() {
        let list = |kinds: &[&str]| {
            let entry = |kind: &&str| {
                format!(r#"{{"path":"","type":"sentence_transformers.models.{kind}"}}"#)
            };
            modules(
                format!(
                    "[{}]",
                    kinds.iter().map(entry).collect::<Vec<_>>().join(",")
                )
                .as_bytes(),
            )
        };
        assert_eq!(
            list(&[
                "Transformer",
                "Pooling",
                "Dense",
                "LayerNorm",
                "Dense",
                "Normalize"
            ])
            .unwrap()
            .len(),
            6
        );
        assert_eq!(list(&["StaticEmbedding", "Normalize"]).unwrap().len(), 2);
        for (kinds, what) in [
            (&["Transformer", "LSTM"][..], "models.LSTM"),
            (
                &["Transformer", "Dense", "Pooling"],
                "[Transformer, Dense, Pooling]",
            ),
            (&["Pooling"], "[Pooling]"),
            (
                &["StaticEmbedding", "Pooling"],
                "Pooling follows StaticEmbedding",
            ),
            (
                &["StaticEmbedding", "Dense"],
                "Dense follows StaticEmbedding",
            ),
            (
                &["Transformer", "StaticEmbedding"],
                "[Transformer, StaticEmbedding]",
            ),
        ] {
            let error = list(kinds).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnsupportedModel, "{kinds:?}");
            assert!(error.to_string().contains(what), "{error}");
        }
    }
}
