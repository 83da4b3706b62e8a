//! Loads tensors: reads a checkpoint or a packed model from a host, and writes the packed form to the store at the same time.

use std::collections::HashMap;

use burn::tensor::Device;

use super::contents::Contents;
use super::header::Header;
use super::layout::{PackedTensor, PackedValues};
use super::reader::Reader;
use super::{Dtype, Parameter, Presence, Resume, Sink, Tensors};
use crate::error::Result;
use crate::hub::Fetch;
use crate::scheduler::Scheduler;

/// The tensors that are to be loaded from one file, or from the shards of one checkpoint.
pub struct Needs<'a> {
    /// The model's tensors.
    pub parameters: &'a [Parameter],
    /// Prefixes that tensor names may have in an upstream checkpoint.
    pub prefixes: &'a [&'a str],
    /// Returns the name of a tensor in a GGUF file; `None` where the model has no such name.
    pub gguf_name: fn(&str) -> Option<String>,
    /// The precision in which large matrices are kept.
    pub dtype: Dtype,
}

impl Needs<'_> {
    /// The names that a parameter may have in an upstream checkpoint, the likeliest first. Those with `gamma` and `beta` are of checkpoints
    /// that were converted from TensorFlow before 2019.
    pub(crate) fn names(&self, parameter: &Parameter) -> impl Iterator<Item = String> {
        let name = parameter.name.as_str();
        let converted = [
            ("LayerNorm.weight", "LayerNorm.gamma"),
            ("LayerNorm.bias", "LayerNorm.beta"),
        ];
        let old = converted.iter().find_map(|(now, then)| {
            let module = name.strip_suffix(now)?;
            Some(format!("{module}{then}"))
        });
        let alias = parameter.alias.map(str::to_string);
        // A tower of CLIP or SigLIP that was saved alone by `transformers` 5.
        let alone = ["text_model.", "vision_model."];
        let alone = alone.iter().find_map(|tower| name.strip_prefix(tower));
        let alone = alone.map(str::to_string);
        let names = [Some(name.to_string()), old, alias, alone];
        names.into_iter().flatten().flat_map(|name| {
            let prefixes = self.prefixes.iter();
            prefixes.map(move |prefix| format!("{prefix}{name}"))
        })
    }
}

/// The cost of loading a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The number of tensors that are needed.
    pub tensors: usize,
    /// Bytes of the source file that would be fetched.
    pub fetch: u64,
    /// Bytes of the packed file, which are also those of the tensors in memory, but for those that stay in the store.
    pub packed: u64,
    /// Bytes of the tensors whose values stay in the store.
    pub in_store: u64,
    /// Whether the file has weights in 8 bits or fewer.
    pub lossy: bool,
}

/// Computes the cost of loading a file from its header alone. `header`: its bytes, if they were read from `fetch` already.
///
/// *Errors*: as [`load`].
pub async fn plan(
    file: &str,
    fetch: &mut Fetch<'_>,
    header: Option<Vec<u8>>,
    needs: &Needs<'_>,
) -> Result<Plan> {
    let header_bytes = match header {
        Some(bytes) => bytes,
        None => Header::read(file, fetch).await?,
    };
    let header = Header::check(file, &header_bytes, fetch.size())?;
    let contents = Contents::new(file, &header, needs)?;
    fetch.want(contents.ranges(&header));
    Ok(Plan {
        tensors: contents.order.len(),
        fetch: fetch.wanted(),
        packed: contents.header(needs)?.len() as u64 + contents.packed_bytes(),
        in_store: contents.bytes_in_store(),
        lossy: contents.is_lossy(),
    })
}

/// The properties of a file that was checked.
pub struct Checked {
    /// Whether it has weights in 8 bits or fewer.
    pub is_lossy: bool,
    /// Whether it has tensors that the model can do without.
    pub has_optional: bool,
}

/// Checks by its header that a file has the tensors that are needed, in a form that is read.
///
/// *Errors*: as [`load`].
pub fn check(file: &str, header: &[u8], needs: &Needs<'_>) -> Result<Checked> {
    let header = Header::check(file, header, None)?;
    let contents = Contents::new(file, &header, needs)?;
    let mut found = contents.order.iter();
    Ok(Checked {
        is_lossy: contents.is_lossy(),
        has_optional: found.any(|found| found.parameter.presence != Presence::Required),
    })
}

/// Reads the tensors that a model needs, casts or quantizes them by blocks of rows, and writes the packed file to `sink`.
///
/// `header`: the bytes of the file's header, if they were read from `fetch` already.
/// Tensors that are not needed are not fetched, except small ones between needed ones, which are downloaded and discarded.
/// *Errors*: `InvalidWeights` naming the file and the tensor, `ResourceLimit` where memory is short, and those of the stream.
pub async fn load<'s>(
    file: &str,
    fetch: &mut Fetch<'_>,
    header: Option<Vec<u8>>,
    needs: &Needs<'_>,
    device: &Device,
    mut sink: Option<&mut (dyn Sink + 's)>,
    mut resume: Option<Resume>,
    scheduler: &dyn Scheduler,
) -> Result<Tensors> {
    let header_bytes = match (&resume, header) {
        (Some(resume), _) => resume.header.clone(),
        (None, Some(bytes)) => bytes,
        (None, None) => Header::read(file, fetch).await?,
    };
    let header = Header::check(file, &header_bytes, fetch.size())?;
    let contents = Contents::new(file, &header, needs)?;
    fetch.want(contents.ranges(&header));
    let packed_header = contents.header(needs)?;
    let is_written = sink.is_some();
    if let Some(sink) = sink.as_deref_mut() {
        sink.expected_size(packed_header.len() as u64 + contents.packed_bytes());
        if resume.is_none() {
            sink.keep_header(&header_bytes).await?;
            sink.write(&packed_header).await?;
        }
    }
    let data_start = header.data_start;
    let mut reader = Reader::new(file, fetch, data_start, contents.packed, sink, scheduler);
    if let Some(resume) = &mut resume {
        resume.check_header(file, &packed_header).await?;
    }
    let mut tensors = HashMap::new();
    let mut start = packed_header.len() as u64;
    for (index, found) in contents.order.iter().enumerate() {
        let parameter = &found.parameter;
        let mut tensor = found.layout.allocate(&parameter.name)?;
        if let Some(resume) = resume.as_mut().filter(|resume| index < resume.tensor) {
            scheduler.yield_now().await?;
            resume.read_complete(&mut tensor).await?;
        } else {
            let mut units_done = 0;
            let mut tensor_hash = None;
            if let Some(mut resume) = resume.take() {
                match contents.packed {
                    true => resume.read_partial_bytes(&mut tensor).await?,
                    false => resume.read_partial_rows(parameter, &mut tensor).await?,
                }
                (units_done, tensor_hash) = (resume.units_done, resume.tensor_hash);
            }
            let next = contents.order.get(index + 1);
            let entries = [Some(found), next].map(|found| found.map(|found| found.entry));
            reader.start_tensor(index, tensor_hash, entries);
            if contents.packed {
                reader.copy(found, &mut tensor, units_done).await?;
            } else {
                let norm = preceding_norm(parameter, &tensors);
                reader
                    .pack_rows(
                        found.entry,
                        parameter,
                        norm,
                        &mut tensor,
                        units_done as usize,
                    )
                    .await?;
            }
        }
        if contents.packed {
            tensor.check_finite(file, &parameter.name)?;
        }
        if parameter.in_store {
            // A file that the store has already may have more tensors than are needed.
            let own = data_start + found.entry.range.start;
            tensor.leave_in_store(if is_written { start } else { own });
        }
        start += found.layout.bytes();
        tensors.insert(parameter.name.clone(), tensor);
    }
    reader.finish(header.end, header.padding).await?;
    Ok(Tensors::loaded(tensors, device.clone()))
}

/// Returns `gamma` and `beta` of the norm whose output a linear layer takes, if it comes before the layer in the file. `beta` is empty for
/// a norm without offsets.
fn preceding_norm<'a>(
    parameter: &Parameter,
    tensors: &'a HashMap<String, PackedTensor>,
) -> Option<(&'a [f32], &'a [f32])> {
    let norm = parameter.preceding_norm.as_ref()?;
    let get = |part| match &tensors.get(&format!("{norm}.{part}"))?.values {
        PackedValues::F32(values) => Some(values.as_slice()),
        PackedValues::F16(_) | PackedValues::Q8(_) | PackedValues::Q4(_) => None,
    };
    Some((get("weight")?, get("bias").unwrap_or_default()))
}
