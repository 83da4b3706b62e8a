//! The tensors that a model needs from a file, checked against the shapes and dtypes that the model expects.

use std::collections::HashMap;
use std::ops::Range;

use super::header::{Entry, FileFormat, Header};
use super::layout::{
    Layout, OFFSET, PACK, PACK_DTYPE, PACK_VERSION, SHAPE, SideTensor, has_minimum, packed_header,
};
use super::{ANY, Dtype, Needs, Parameter, Presence, onnx};
use crate::error::{Error, Result};

/// The largest size of a dimension that only the file determines. Up to it, f32 has all integers, so that an index of a row is exact.
const MAX_SIZE: usize = 1 << 24;

/// The needed tensors of one file.
pub(super) struct Contents<'a> {
    /// Whether the file is a packed model.
    pub packed: bool,
    /// The needed tensors in the order of the file.
    pub order: Vec<Found<'a>>,
}

/// The place of a parameter in a file.
pub(super) struct Found<'a> {
    /// The parameter, with all sizes of its shape.
    pub parameter: Parameter,
    /// Whether only the file determines some size.
    pub of_any_size: bool,
    /// The layout in the packed file.
    pub layout: Layout,
    /// The header's entry for it.
    pub entry: &'a Entry,
    /// The entries of its side tensors, which only a packed file has.
    pub side_tensors: Vec<&'a Entry>,
}

impl<'a> Contents<'a> {
    /// Finds the needed tensors in a file by its header.
    ///
    /// *Errors*: `InvalidWeights` naming the file and the tensor; `ResourceLimit`.
    pub fn new(file: &str, header: &'a Header, needs: &Needs<'_>) -> Result<Self> {
        let packed = is_packed(file, header, needs.dtype)?;
        let order = file_order(file, header, needs, packed)?;
        Ok(Self { packed, order })
    }

    /// The byte ranges of the file that have to be fetched, the header and those of members included, in the order in which they are read.
    pub fn ranges(&self, header: &Header) -> Vec<Range<u64>> {
        let mut ranges: Vec<_> = std::iter::once(0..header.front).collect();
        let mut member_before = None;
        let mut before: Option<&Entry> = None;
        for found in &self.order {
            let entry = found.entry;
            let is_held = entry
                .stored
                .as_ref()
                .is_some_and(|stored| stored.held.is_some());
            let is_kept = before
                .replace(entry)
                .is_some_and(|before| before.shares_block(entry));
            if is_held || is_kept {
                continue;
            }
            let member = found.entry.member.as_ref();
            // Several tensors may be views of one member.
            if member.is_some() && member != member_before {
                ranges.extend(member.cloned());
                member_before = member;
            }
            let all = std::iter::once(found.entry).chain(found.side_tensors.iter().copied());
            ranges.extend(all.map(|entry| {
                header.data_start + entry.range.start..header.data_start + entry.range.end
            }));
        }
        ranges
    }

    /// Makes the header of the packed file.
    pub fn header(&self, needs: &Needs<'_>) -> Result<Vec<u8>> {
        packed_header(&self.order, needs.dtype)
    }

    /// Bytes of the tensors whose values stay in the store.
    pub fn bytes_in_store(&self) -> u64 {
        let in_store = self.order.iter().filter(|found| found.parameter.in_store);
        in_store.map(|found| found.layout.bytes()).sum()
    }

    /// Whether the file has weights in 8 bits or fewer.
    pub fn is_lossy(&self) -> bool {
        !self.packed && self.order.iter().any(|found| found.entry.is_lossy())
    }

    /// Bytes of the packed file without its header.
    pub fn packed_bytes(&self) -> u64 {
        self.order.iter().map(|found| found.layout.bytes()).sum()
    }
}

fn is_packed(file: &str, header: &Header, dtype: Dtype) -> Result<bool> {
    let Some(version) = header.metadata.get(PACK) else {
        return Ok(false);
    };
    let found = header.metadata.get(PACK_DTYPE).map_or("", String::as_str);
    if version != PACK_VERSION || found != dtype.name() {
        return Err(Error::invalid_weights(format!(
            "{file}: is a packed model of version {version} and dtype '{found}', expected version {PACK_VERSION} and '{}'",
            dtype.name()
        )));
    }
    Ok(true)
}

/// Finds the parameters in the file, checks each against what the model expects, and sorts them by their place in the file.
fn file_order<'a>(
    file: &str,
    header: &'a Header,
    needs: &Needs<'_>,
    packed: bool,
) -> Result<Vec<Found<'a>>> {
    let by_name: HashMap<_, _> = header
        .entries
        .iter()
        .map(|entry| (entry.name.as_str(), entry))
        .collect();
    let mut order = Vec::with_capacity(needs.parameters.len());
    for parameter in needs.parameters {
        let name = &parameter.name;
        let find = |name: &str| by_name.get(name).copied();
        let (entry, name_in_file) = match (packed, header.format) {
            (true, _) => (find(name), name.clone()),
            (_, FileFormat::Gguf) => {
                let name = gguf_name(file, name, needs)?;
                (find(&name), name)
            }
            _ => {
                let mut names = needs.names(parameter);
                (names.find_map(|name| find(&name)), name.clone())
            }
        };
        let Some(entry) = entry else {
            let may_lack = match parameter.presence {
                Presence::Required => false,
                Presence::InCheckpoint => packed || header.format == FileFormat::Onnx,
                Presence::Optional => true,
            };
            match may_lack {
                true => continue,
                false => return Err(missing(file, &name_in_file)),
            }
        };
        let of_any_size = parameter.shape.contains(&ANY);
        let sized = match of_any_size {
            true => Some(sized(file, header, entry, parameter, packed)?),
            false => None,
        };
        let parameter = sized.unwrap_or_else(|| parameter.clone());
        let offsets = match packed {
            true => by_name.contains_key(format!("{name}_{OFFSET}").as_str()),
            false => has_minimum(&entry.dtype),
        };
        let layout = Layout::of(&parameter, needs.dtype, offsets)?;
        if !packed {
            // Parsing a GGUF header lets only the types pass that are read.
            let dtypes = match header.format {
                FileFormat::Gguf => &[entry.dtype.as_str()] as &[&str],
                // The numbers of an ONNX file were checked when its table was made.
                _ if entry.is_lossy() && parameter.dtypes.contains(&"F32") => {
                    &[entry.dtype.as_str()]
                }
                _ => parameter.dtypes,
            };
            onnx::check_values(file, entry)?;
            check(file, entry, &parameter.shape, dtypes)?;
        }
        let side_tensors = match packed {
            true => packed_parts(file, entry, name, &layout, &by_name)?,
            false => Vec::new(),
        };
        order.push(Found {
            parameter,
            of_any_size,
            layout,
            entry,
            side_tensors,
        });
    }
    // Tensors whose values are in the header come first: they have no bytes in the file.
    order.sort_by_key(|found| (found.entry.range.start, found.entry.range.end));
    // Side tensors must follow their tensor at once, because the stream goes back only for a tensor that has the bytes of another.
    for pair in order.windows(2) {
        let ranges = [&pair[0].entry.range, &pair[1].entry.range];
        let may_share = matches!(header.format, FileFormat::Pytorch | FileFormat::Onnx);
        if may_share && ranges[0] == ranges[1] {
            continue;
        }
        let end = pair[0]
            .side_tensors
            .last()
            .unwrap_or(&pair[0].entry)
            .range
            .end;
        if end > pair[1].entry.range.start {
            return Err(Error::invalid_weights(format!(
                "{file}: tensor '{}' is out of order: it begins before the end of '{}'",
                pair[1].entry.name, pair[0].entry.name
            ))
            .with_file(file)
            .with_tensor(&pair[1].entry.name));
        }
    }
    Ok(order)
}

/// The parameter with the sizes that the file has.
///
/// *Errors*: `InvalidWeights` where it has other dimensions, or one of no size or of more than `MAX_SIZE`.
fn sized(
    file: &str,
    header: &Header,
    entry: &Entry,
    parameter: &Parameter,
    packed: bool,
) -> Result<Parameter> {
    let noted = || {
        let shape = header.metadata.get(&format!("{SHAPE}{}", parameter.name))?;
        serde_json::from_str(shape).ok()
    };
    let shape: Vec<usize> = match packed {
        true => noted().unwrap_or_default(),
        false => entry.shape.clone(),
    };
    let fits = |(expected, found): (&usize, &usize)| {
        found == expected || *expected == ANY && (1..=MAX_SIZE).contains(found)
    };
    if shape.len() != parameter.shape.len() || !parameter.shape.iter().zip(&shape).all(fits) {
        let sizes = parameter.shape.iter().map(|size| match *size {
            ANY => format!("1 to {MAX_SIZE}"),
            size => size.to_string(),
        });
        return Err(Error::invalid_weights(format!(
            "{file}: tensor '{}' has shape {shape:?}, expected [{}]",
            entry.name,
            sizes.collect::<Vec<_>>().join(", ")
        ))
        .with_file(file)
        .with_tensor(&entry.name));
    }
    Ok(Parameter {
        shape,
        ..parameter.clone()
    })
}

fn missing(file: &str, name: &str) -> Error {
    Error::invalid_weights(format!("{file}: tensor '{name}' is missing"))
        .with_file(file)
        .with_tensor(name)
}

/// The name of a parameter in a GGUF file.
///
/// *Errors*: `UnsupportedModel` for a model whose names in GGUF files are not known.
fn gguf_name(file: &str, name: &str, needs: &Needs<'_>) -> Result<String> {
    (needs.gguf_name)(name).ok_or_else(|| {
        let message = format!(
            "{file}: a GGUF file of this architecture cannot be read: the name of '{name}' in it is unknown"
        );
        Error::unsupported(message)
            .with_file(file)
            .with_tensor(name)
    })
}

/// Checks a tensor of a packed file, and finds its side tensors, which must follow it.
fn packed_parts<'a>(
    file: &str,
    entry: &Entry,
    name: &str,
    layout: &Layout,
    by_name: &HashMap<&str, &'a Entry>,
) -> Result<Vec<&'a Entry>> {
    check(file, entry, &layout.shape, &[layout.dtype])?;
    let mut end = entry.range.end;
    let mut side_tensors = Vec::new();
    for SideTensor { kind, dtype, shape } in &layout.side_tensors {
        let name = format!("{name}_{kind}");
        let side_tensor = *by_name
            .get(name.as_str())
            .ok_or_else(|| missing(file, &name))?;
        check(file, side_tensor, shape, &[dtype])?;
        if side_tensor.range.start < end {
            return Err(Error::invalid_weights(format!(
                "{file}: tensor '{}' is out of order",
                side_tensor.name
            ))
            .with_file(file)
            .with_tensor(&side_tensor.name));
        }
        end = side_tensor.range.end;
        side_tensors.push(side_tensor);
    }
    Ok(side_tensors)
}

fn check(file: &str, entry: &Entry, shape: &[usize], dtypes: &[&str]) -> Result<()> {
    let bad = |what: String| {
        Err(
            Error::invalid_weights(format!("{file}: tensor '{}' has {what}", entry.name))
                .with_file(file)
                .with_tensor(&entry.name),
        )
    };
    if entry.shape != shape {
        return bad(format!("shape {:?}, expected {shape:?}", entry.shape));
    }
    if !dtypes.contains(&entry.dtype.as_str()) {
        return bad(format!(
            "dtype {}, expected {}",
            entry.dtype,
            dtypes.join(" or ")
        ));
    }
    Ok(())
}
