//! Small files of tensors, read whole: those of the modules after an encoder.

use super::header::{Header, named};
use crate::error::{Error, Result};
use crate::hub::{Fetch, MemoryHost, RetryPolicy, Snapshot};

/// A small file of tensors in memory: safetensors, or a checkpoint of PyTorch.
pub struct SmallTensors<'a> {
    file: &'a str,
    header: Header,
    data: &'a [u8],
}

impl<'a> SmallTensors<'a> {
    /// Reads the header.
    ///
    /// *Errors*: `InvalidWeights` naming the file, and the tensor where one is wrong; `UnsupportedModel` for another format.
    pub async fn read(file: &'a str, bytes: &'a [u8], retry: RetryPolicy<'_>) -> Result<Self> {
        let host = MemoryHost::new([(file.to_string(), bytes.to_vec())]);
        let fetch = Fetch::open(&host, &Snapshot::default(), file, u64::MAX, retry).await?;
        let mut fetch = fetch.ok_or_else(|| Error::internal(format!("{file}: is not there")))?;
        let header = Header::read(file, &mut fetch).await?;
        let header = Header::check(file, &header, Some(bytes.len() as u64));
        let header = header.map_err(|error| named(file, error))?;
        Ok(Self {
            file,
            data: bytes.get(header.data_start as usize..).unwrap_or_default(),
            header,
        })
    }

    /// The values of the tensor of this name and shape; `None` where there is none of this name.
    ///
    /// *Errors*: `InvalidWeights` for another shape or dtype.
    pub fn find(&self, name: &str, shape: &[usize]) -> Result<Option<Vec<f32>>> {
        let Some(entry) = self.header.entries.iter().find(|entry| entry.name == name) else {
            return Ok(None);
        };
        if entry.shape != shape {
            return Err(self.wrong(
                name,
                format!("has shape {:?}, expected {shape:?}", entry.shape),
            ));
        }
        let range = entry.range.start as usize..entry.range.end as usize;
        let bytes = self.data.get(range).unwrap_or_default();
        let two = |of: fn([u8; 2]) -> f32| {
            bytes
                .as_chunks::<2>()
                .0
                .iter()
                .map(|bytes| of(*bytes))
                .collect()
        };
        let values: Vec<f32> = match entry.dtype.as_str() {
            "F32" => bytes
                .as_chunks::<4>()
                .0
                .iter()
                .map(|bytes| f32::from_le_bytes(*bytes))
                .collect(),
            "F64" => bytes
                .as_chunks::<8>()
                .0
                .iter()
                .map(|bytes| f64::from_le_bytes(*bytes) as f32)
                .collect(),
            "F16" => two(|bytes| half::f16::from_le_bytes(bytes).to_f32()),
            "BF16" => two(|bytes| half::bf16::from_le_bytes(bytes).to_f32()),
            other => {
                return Err(self.wrong(
                    name,
                    format!("has dtype '{other}', expected F32, F64, F16 or BF16"),
                ));
            }
        };
        match values.iter().all(|value| value.is_finite()) {
            true => Ok(Some(values)),
            false => Err(self.wrong(name, "has a value that is not finite".into())),
        }
    }

    /// The values of a tensor that must be there.
    ///
    /// *Errors*: `InvalidWeights` where it is missing, or of another shape or dtype.
    pub fn take(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let found = self.find(name, shape)?;
        found.ok_or_else(|| self.wrong(name, "is missing".into()))
    }

    fn wrong(&self, name: &str, what: String) -> Error {
        let file = self.file;
        Error::invalid_weights(format!("{file}: tensor '{name}' {what}"))
            .with_file(file)
            .with_tensor(name)
    }
}
