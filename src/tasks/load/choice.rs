//! The choice of the file that a model's weights are read from.

use super::Loading;
use super::checkpoint::{
    PYTORCH, PYTORCH_INDEX, SHARD_INDEX, UPSTREAM, is_index, packed_name, shard_names,
};
use super::missing;
use super::onnx_files::{self, ONNX, WHOLE};
use crate::error::{Error, Result};
use crate::hub::Snapshot;
use crate::weights::Dtype;

/// The suffix of the name of a GGUF file.
const GGUF: &str = ".gguf";

/// The files that have a checkpoint, from the one that is preferred to the last.
const CHECKPOINTS: [&str; 4] = [UPSTREAM, SHARD_INDEX, PYTORCH, PYTORCH_INDEX];

/// The kinds of GGUF files by their names, from the one with the most bits to the one with the fewest.
const KINDS: [&str; 13] = [
    "F32", "BF16", "F16", "Q8_0", "Q6_K", "Q5_K_M", "Q5_K_S", "Q5_1", "Q5_0", "Q4_K_M", "Q4_K_S",
    "Q4_1", "Q4_0",
];

/// The kinds that come first for `f16`: more bits of a weight would be rounded away.
const BEST_FOR_F16: [&str; 3] = ["F16", "F32", "BF16"];

/// The kinds that come first for `q8`: more bits would be lost again.
const BEST_FOR_Q8: [&str; 2] = ["Q8_0", "Q6_K"];

/// The kinds that come first for `q4`, whose numbers are kept as they are.
const BEST_FOR_Q4: [&str; 4] = ["Q4_1", "Q4_0", "Q4_K_M", "Q4_K_S"];

/// The file that a model's weights are read from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Weights {
    /// A packed file where the host lists one, else a checkpoint in safetensors or of PyTorch, or an ONNX model that is much smaller and
    /// serves the dtype. Where the host lists no checkpoint, a GGUF file, else an ONNX model.
    #[default]
    Auto,
    /// The checkpoint in safetensors, also where there is a packed file.
    Safetensors,
    /// The checkpoint that `torch.save` wrote, also where there are other files.
    Pytorch,
    /// The listed GGUF file that suits the dtype best.
    Gguf,
    /// The ONNX model with the fewest bytes that serves the dtype.
    Onnx,
    /// The file of this name.
    File(String),
}

impl Weights {
    /// Reads the option.
    ///
    /// *Errors*: `InvalidInput` for a name that leads out of the repository.
    pub fn from_name(name: &str) -> Result<Self> {
        let plain = |part: &str| {
            !matches!(part, "" | "." | "..") && !part.contains(['\\', ':', '%', '?', '#'])
        };
        match name {
            "auto" => Ok(Self::Auto),
            "safetensors" => Ok(Self::Safetensors),
            "pytorch" => Ok(Self::Pytorch),
            "gguf" => Ok(Self::Gguf),
            "onnx" => Ok(Self::Onnx),
            name if name.split('/').all(plain) => Ok(Self::File(name.into())),
            name => Err(Error::invalid_input(format!(
                "weights is '{name}', expected 'auto', 'safetensors', 'pytorch', 'gguf', 'onnx' or the name of a file of the repository"
            ))),
        }
    }

    /// The text of the option; `None` for the default.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Auto => None,
            Self::Safetensors => Some("safetensors"),
            Self::Pytorch => Some("pytorch"),
            Self::Gguf => Some("gguf"),
            Self::Onnx => Some("onnx"),
            Self::File(name) => Some(name),
        }
    }

    /// Returns the part of a stored model's key that stands for this option. `lossy`: whether weights in 8 bits are allowed.
    pub fn key(&self, lossy: bool) -> Option<String> {
        match self {
            Self::Auto if lossy => Some("lossy".into()),
            Self::Onnx if lossy => Some("onnx-lossy".into()),
            _ => self.name().map(Into::into),
        }
    }

    /// Whether the option asks for a GGUF file.
    pub(super) fn is_gguf(&self) -> bool {
        match self {
            Self::Gguf => true,
            Self::File(name) => is_gguf(name),
            Self::Auto | Self::Safetensors | Self::Pytorch | Self::Onnx => false,
        }
    }

    /// The files that may have the checkpoint, the preferred first.
    pub(super) fn checkpoints(&self) -> &'static [&'static str] {
        match self {
            Self::Auto => &CHECKPOINTS,
            Self::Safetensors => &CHECKPOINTS[..2],
            Self::Pytorch => &CHECKPOINTS[2..],
            Self::Onnx => &ONNX,
            Self::Gguf | Self::File(_) => &[],
        }
    }

    /// The GGUF file to read; `None` where another file is read.
    ///
    /// *Errors*: `FetchFailed` where a GGUF file is asked for, and the host lists none or no files at all.
    pub(super) fn gguf_file(&self, snapshot: &Snapshot, dtype: Dtype) -> Result<Option<String>> {
        let best = || {
            let files = snapshot.files.iter().flatten();
            best(files.map(|(name, _)| name.as_str()), dtype)
        };
        match self {
            Self::File(name) => Ok(is_gguf(name).then(|| name.clone())),
            Self::Safetensors | Self::Pytorch | Self::Onnx => Ok(None),
            Self::Auto if CHECKPOINTS.iter().any(|file| snapshot.lists(file)) => Ok(None),
            Self::Auto => Ok(best()),
            Self::Gguf => match (best(), &snapshot.files) {
                (Some(name), _) => Ok(Some(name)),
                (None, Some(_)) => Err(Error::fetch_failed(
                    "weights is 'gguf', but the repository has no GGUF file",
                )),
                (None, None) => Err(Error::fetch_failed(
                    "weights is 'gguf', but the host does not list its files: expected the name of the file",
                )),
            },
        }
    }
}

/// Whether a file is a GGUF file by its name.
pub(super) fn is_gguf(file: &str) -> bool {
    file.to_ascii_lowercase().ends_with(GGUF)
}

/// The GGUF file that suits a dtype best; the first by name among those of the same kind.
fn best<'a>(files: impl Iterator<Item = &'a str>, dtype: Dtype) -> Option<String> {
    // Projectors of images are no models, and of a model in several files none can be loaded alone.
    let is_model =
        |file: &&str| is_gguf(file) && !file.contains("mmproj") && !file.contains("-of-");
    let best = files.filter(is_model).min_by_key(|file| rank(file, dtype));
    best.map(Into::into)
}

/// The place of a file in the order in which a dtype prefers them. A file whose name does not contain its kind comes last.
fn rank(file: &str, dtype: Dtype) -> usize {
    let first: &[&str] = match dtype {
        Dtype::F32 => &[],
        Dtype::F16 => &BEST_FOR_F16,
        Dtype::Q8 => &BEST_FOR_Q8,
        Dtype::Q4 => &BEST_FOR_Q4,
    };
    let name = file.to_ascii_uppercase();
    let is_of = |kind: &&str| {
        let letter = |byte: Option<&u8>| {
            byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        };
        name.match_indices(*kind).any(|(at, _)| {
            let (before, after) = (
                name.as_bytes().get(..at),
                name.as_bytes().get(at + kind.len()),
            );
            !letter(before.and_then(<[u8]>::last)) && !letter(after)
        })
    };
    let kinds = first.iter().chain(&KINDS);
    kinds.clone().position(is_of).unwrap_or(kinds.count())
}

impl Loading<'_, '_> {
    /// The files that may have the weights, of those that the host lists and the source asks for, the preferred one first. The next one is
    /// for where a file turns out to be none that can be read.
    ///
    /// *Errors*: `FetchFailed` where there is no such file.
    pub(super) fn choose(&self, dtype: Dtype) -> Result<Vec<String>> {
        // A stored model has one file, or the index of several, whichever file it was made from.
        let weights = match self.cached {
            true => &Weights::Auto,
            false => &self.source.weights,
        };
        if *weights == Weights::Auto {
            let packed = packed_name(dtype, self.source.part);
            let whole = packed_name(dtype, None);
            if self.snapshot.lists(&packed) {
                return Ok(vec![packed]);
            }
            // The packed file of the whole model has the first layers too.
            if self.layers().is_some() && self.snapshot.lists(&whole) {
                return Ok(vec![whole]);
            }
        }
        if let Weights::File(name) = weights {
            return match self.snapshot.lacks(name) {
                true => Err(missing(name)),
                false => Ok(vec![name.clone()]),
            };
        }
        if let Some(gguf) = weights.gguf_file(&self.snapshot, dtype)? {
            return Ok(vec![gguf]);
        }
        let files = weights.checkpoints();
        let checkpoint = files.iter().find(|file| self.snapshot.lists(file));
        let first = files.first().copied().unwrap_or(UPSTREAM);
        if !matches!(weights, Weights::Auto | Weights::Onnx) || self.cached {
            return Ok(vec![checkpoint.copied().unwrap_or(first).into()]);
        }
        let serving = |stems| onnx_files::serving(&self.snapshot, stems, dtype, self.source.lossy);
        let onnx = match self.source.prefers_whole() {
            false => serving(self.source.onnx),
            // Behind a checkpoint, a file of the part alone would not be read.
            true if checkpoint.is_some() && *weights == Weights::Auto => serving(WHOLE),
            true => {
                let mut whole = serving(WHOLE);
                whole.extend(serving(self.source.onnx.get(1..).unwrap_or_default()));
                whole
            }
        };
        let mut chosen: Vec<_> = match (weights, checkpoint) {
            (Weights::Auto, Some(file)) => {
                let limit = checkpoint_bytes(&self.snapshot, file);
                let is_smaller = |name: &String| {
                    let bytes = onnx_files::bytes_of_all(&self.snapshot, name);
                    bytes
                        .zip(limit)
                        .is_some_and(|(own, other)| own < other / 4 * 3)
                };
                let smaller = onnx.into_iter().filter(is_smaller);
                // For dtype f32, no file with fewer bits is read unless `lossy` allows it. For f16, one in f16 has all of its bits.
                let smaller = smaller.filter(|_| dtype != Dtype::F32 || self.source.lossy);
                smaller.chain([(*file).to_string()]).collect()
            }
            _ => onnx,
        };
        if chosen.is_empty() {
            chosen.push(first.into());
        }
        Ok(chosen)
    }
}

/// The bytes of a checkpoint, all shards included.
fn checkpoint_bytes(snapshot: &Snapshot, file: &str) -> Option<u64> {
    if !is_index(file) {
        return snapshot.entry(file).size;
    }
    let (start, end) = shard_names(file);
    let files = snapshot.files.iter().flatten();
    let shards = files.filter(|(name, _)| name.starts_with(start) && name.ends_with(end));
    shards.map(|(_, entry)| entry.size).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dtype_has_the_file_that_suits_it_best() {
        let files = [
            "model-IQ2_M.gguf",
            "mmproj-F32.gguf",
            "Model.F16.gguf",
            "model-bf16.gguf",
            "model.Q4_1.gguf",
            "model-q4_k_m.gguf",
            "model-Q8_0-00001-of-00002.gguf",
            "deep/model.Q8_0.gguf",
            "model.Q6_K.gguf",
            "README.md",
        ];
        for (dtype, files, expected) in [
            (Dtype::F32, &files[..], Some("model-bf16.gguf")),
            (Dtype::Q8, &files, Some("deep/model.Q8_0.gguf")),
            (Dtype::Q4, &files, Some("model.Q4_1.gguf")),
            (Dtype::Q4, &files[5..], Some("model-q4_k_m.gguf")),
            (Dtype::Q4, &files[6..], Some("deep/model.Q8_0.gguf")),
            (Dtype::F16, &files, Some("Model.F16.gguf")),
            (Dtype::F16, &files[3..], Some("model-bf16.gguf")),
            (Dtype::F32, &files[..1], Some("model-IQ2_M.gguf")),
            (Dtype::Q8, &files[1..4], Some("model-bf16.gguf")),
            (Dtype::Q8, &files[9..], None),
        ] {
            let found = best(files.iter().copied(), dtype);
            assert_eq!(found.as_deref(), expected, "{dtype:?} {files:?}");
        }
    }

    #[test]
    fn a_name_that_leads_out_of_the_repository_is_refused() {
        assert_eq!(Weights::from_name("auto").unwrap(), Weights::Auto);
        let name = "gguf/model.Q4_1.gguf";
        assert_eq!(
            Weights::from_name(name).unwrap(),
            Weights::File(name.into())
        );
        for name in ["", "../x.gguf", "/x.gguf", "a//b.gguf", "a?b", "C:\\x"] {
            let error = Weights::from_name(name).unwrap_err();
            assert!(error.to_string().starts_with("weights is '"), "{error}");
        }
    }
}
