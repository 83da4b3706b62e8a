//! Checkpoints of `torch.save`: a zip archive with a pickle that describes the tensors, and their values as members without
//! compression.
//!
//! The directory of the archive is at the end of the file, so it is read first, by a request of its own, then the pickle. Both are
//! turned into a [`Table`] of tensors with their places in the file, which is the header that the loader keeps and resumes from.

mod globals;
mod pickle;
mod state_dict;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod zip;

use std::collections::HashMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::header::{Entry, FileFormat, Header, named};
use super::safetensors::element_bytes;
use crate::error::{Error, Result};
use crate::hub::{ByteStream, Fetch};
use state_dict::Tensor;
use zip::{End, Member};

pub(super) use zip::check_local;

/// The first bytes of a header that was made of a checkpoint; no file begins with them.
const TABLE: &[u8; 8] = b"PYTORCH\0";

/// Bytes of the end of the file that are read first: the directory of a few hundred tensors fits.
const TAIL: u64 = 64 << 10;

/// The longest directory, and the longest pickle, in bytes. 10,000 tensors take about 1 MB in each.
const MAX_PART: u64 = 16 << 20;

/// The most bytes that are allocated before they are read, so that memory grows with what has arrived.
const PIECE: usize = 1 << 20;

/// The suffix of the name of the member that has the pickle.
const PICKLE: &str = "data.pkl";

/// The size in bytes of the member `byteorder` if it says `big`.
const BIG: u64 = 3;

/// The instruction for making a file that can be read.
const CONVERT: &str =
    "load it in Python and save it again with save_pretrained(safe_serialization=True)";

/// Whether a file begins as a zip archive does.
pub(super) fn is_archive(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06")
}

/// Whether a header was made of a checkpoint.
pub(super) fn is_table(bytes: &[u8]) -> bool {
    bytes.starts_with(TABLE)
}

/// The error for a file that is no archive, by its first bytes; `None` where these are not those of any known file.
pub(super) fn refusal(file: &str, bytes: &[u8]) -> Option<Error> {
    if bytes.starts_with(b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46") {
        // The first value is 0x1950a86a20f9469cfc6c.
        return Some(Error::unsupported(format!(
            "{file}: is in the format of PyTorch before 1.6, expected the zip archive of later versions: {CONVERT}"
        )));
    }
    if matches!(bytes, [0x80, 2..=5, ..]) {
        return Some(Error::unsupported(format!(
            "{file}: is a bare pickle, expected the zip archive that torch.save writes: {CONVERT}"
        )));
    }
    file.ends_with(".bin").then(|| {
        Error::invalid_weights(format!(
            "{file}: does not begin as a zip archive, as a checkpoint of PyTorch does"
        ))
    })
}

/// The tensors of a checkpoint.
#[derive(Deserialize, Serialize)]
struct Table {
    /// Bytes of the file.
    size: u64,
    /// Bytes at the start of the file that were read to make the table.
    front: u64,
    /// The tensors in the order of their bytes.
    tensors: Vec<Row>,
}

/// A tensor of a checkpoint.
#[derive(Deserialize, Serialize)]
struct Row {
    name: String,
    dtype: String,
    shape: Vec<u64>,
    /// The bytes of the tensor in the file.
    range: Range<u64>,
    /// The bytes of the header before the member that has the tensor.
    member: Range<u64>,
}

/// Reads the directory and the pickle of an archive of which `first` has the first bytes, and makes the header of them.
///
/// *Errors*: `InvalidWeights` for a damaged archive or pickle; `UnsupportedModel` for one that is not of a state dict; `InvalidInput` for a
/// stream.
pub(super) async fn read(file: &str, fetch: &mut Fetch<'_>, first: &[u8]) -> Result<Vec<u8>> {
    let table = read_table(fetch, first).await;
    let table = table.map_err(|error| named(file, error))?;
    let mut bytes = TABLE.to_vec();
    serde_json::to_writer(&mut bytes, &table)
        .map_err(|error| Error::internal(format!("{file}: its table: {error}")))?;
    Ok(bytes)
}

async fn read_table(fetch: &mut Fetch<'_>, first: &[u8]) -> Result<Table> {
    fetch.check_repeatable()?;
    let size = fetch.size().ok_or_else(|| {
        Error::fetch_failed(
            "the host does not say how long the file is, and the directory of a checkpoint of PyTorch is at its end",
        )
    })?;
    let start = size.saturating_sub(TAIL);
    let tail = fetch.read_aside(start..size).await?;
    let directory = match zip::end(&tail, start)? {
        End::Directory(directory) => directory,
        End::Record(at) => {
            let range = at..at.saturating_add(zip::END_64 as u64);
            let record = part(fetch, &tail, start, range).await?;
            zip::end_64(&record, at)?
        }
    };
    let bytes = part(fetch, &tail, start, directory.range.clone()).await?;
    let members = zip::members(&bytes, &directory)?;
    let pickle = pickle_of(&members)?;
    let range = pickle.header.start..pickle.data.end;
    check_length("pickle", &range)?;
    // The writer of PyTorch puts the pickle first, where the first request has its bytes already.
    let (bytes, front) = match range.start {
        0 => (read_on(fetch, first, range.end).await?, range.end),
        _ => (fetch.read_aside(range.clone()).await?, first.len() as u64),
    };
    let (header, data) = bytes.split_at((pickle.data.start - range.start) as usize);
    check_local(header)?;
    let root = pickle.name.strip_suffix(PICKLE).unwrap_or_default();
    let tensors = rows(state_dict::tensors(data)?, &members, root)?;
    Ok(Table {
        size,
        front,
        tensors,
    })
}

/// Reads a part of the file that may be in its tail, which begins at byte `start`.
async fn part(
    fetch: &mut Fetch<'_>,
    tail: &[u8],
    start: u64,
    range: Range<u64>,
) -> Result<Vec<u8>> {
    let end = start + tail.len() as u64;
    if range.end > end {
        return Err(Error::invalid_weights(format!(
            "the zip archive has its directory up to byte {}, but the file has {end}",
            range.end
        )));
    }
    check_length("directory", &range)?;
    match range.start.checked_sub(start) {
        Some(from) => Ok(tail[from as usize..(range.end - start) as usize].to_vec()),
        None => fetch.read_aside(range).await,
    }
}

fn check_length(what: &str, range: &Range<u64>) -> Result<()> {
    let length = range.end - range.start;
    if length <= MAX_PART {
        return Ok(());
    }
    Err(Error::unsupported(format!(
        "the {what} of the archive has {length} bytes, more than the limit of {MAX_PART}"
    )))
}

/// Reads the file from its start, of which `first` was read already, up to byte `end`.
async fn read_on(fetch: &mut Fetch<'_>, first: &[u8], end: u64) -> Result<Vec<u8>> {
    let (mut bytes, end) = (first.to_vec(), end as usize);
    while bytes.len() < end {
        let from = bytes.len();
        bytes.resize(end.min(from + PIECE), 0);
        fetch.read_exact(&mut bytes[from..]).await?;
    }
    bytes.truncate(end);
    Ok(bytes)
}

/// Finds the pickle of an archive: `data.pkl` in its only folder.
fn pickle_of(members: &[Member]) -> Result<&Member> {
    let is_pickle = |member: &&Member| match member.name.strip_suffix(PICKLE) {
        Some(root) => root
            .strip_suffix('/')
            .is_some_and(|root| !root.contains('/')),
        None => false,
    };
    let pickle = members.iter().find(is_pickle).ok_or_else(|| {
        Error::invalid_weights(
            "is a zip archive without 'data.pkl', so it is no checkpoint that torch.save wrote",
        )
    })?;
    pickle.check()?;
    Ok(pickle)
}

/// Finds the bytes of each tensor, and sorts the tensors by them.
fn rows(tensors: Vec<Tensor<'_>>, members: &[Member], root: &str) -> Result<Vec<Row>> {
    let by_name: HashMap<_, _> = members
        .iter()
        .filter_map(|member| Some((member.name.strip_prefix(root)?, member)))
        .collect();
    if by_name
        .get("byteorder")
        .is_some_and(|member| member.data.end - member.data.start == BIG)
    {
        return Err(Error::unsupported(format!(
            "the tensors have their bytes in the order of big-endian machines: {CONVERT} on a little-endian one"
        )));
    }
    let mut rows = Vec::with_capacity(tensors.len());
    for tensor in tensors {
        let storage = &tensor.storage;
        let bad = |what: String| {
            let name = zip::shortened(tensor.name);
            Error::invalid_weights(format!("tensor '{name}' {what}")).with_tensor(&name)
        };
        let key = zip::shortened(storage.key);
        let member = by_name.get(format!("data/{}", storage.key).as_str());
        let member = member.ok_or_else(|| {
            bad(format!(
                "has its values in 'data/{key}', which is not there"
            ))
        })?;
        member.check()?;
        let expected = storage.elements.checked_mul(storage.element.bytes);
        let found = member.data.end - member.data.start;
        if expected != Some(found) {
            return Err(bad(format!(
                "has its values in 'data/{key}', which has {found} bytes, expected {} values of {}",
                storage.elements, storage.element.dtype
            )));
        }
        // The tensor lies in its storage, which is no longer than the member.
        let start = member.data.start + tensor.start.min(found);
        let range = start..start + tensor.bytes;
        rows.push(Row {
            name: tensor.name.into(),
            dtype: tensor.dtype,
            shape: tensor.shape,
            range,
            member: member.header.clone(),
        });
    }
    rows.sort_by_key(|row| (row.range.start, row.range.end));
    Ok(rows)
}

/// Parses a header that [`read`] made.
///
/// *Errors*: `InvalidWeights` for one that was damaged in the store.
pub(super) fn parse(file: &str, bytes: &[u8]) -> Result<Header> {
    let damaged = |what: &dyn std::fmt::Display| {
        Error::invalid_weights(format!(
            "{file}: the table of its tensors is not valid: {what}"
        ))
    };
    let json = bytes.strip_prefix(TABLE).unwrap_or_default();
    let table: Table = serde_json::from_slice(json).map_err(|error| damaged(&error))?;
    let (mut entries, mut before) = (Vec::with_capacity(table.tensors.len()), 0);
    for row in table.tensors {
        let Row {
            name,
            dtype,
            shape,
            range,
            member,
        } = row;
        let inside = before <= range.start && range.start <= range.end && range.end <= table.size;
        let after = member.start <= member.end
            && member.end <= range.start
            && member.end - member.start <= zip::MAX_LOCAL;
        let elements = shape.iter().try_fold(1u64, |n, dim| n.checked_mul(*dim));
        let bytes = range.end.saturating_sub(range.start);
        let fits = match (element_bytes(&dtype), elements) {
            (Some(width), Some(elements)) => elements.checked_mul(width) == Some(bytes),
            (None, _) => true,
            (_, None) => false,
        };
        if !(inside && after && fits) {
            return Err(damaged(&format!("the place of tensor '{name}'")));
        }
        before = range.start;
        let shape = shape.into_iter().map(|dim| dim as usize).collect();
        entries.push(Entry {
            name,
            dtype,
            shape,
            range,
            interleaved_heads: None,
            stored: None,
            member: Some(member),
        });
    }
    if table.front > table.size {
        return Err(damaged(&"its front"));
    }
    Ok(Header {
        entries,
        format: FileFormat::Pytorch,
        front: table.front,
        end: table.size,
        ..Header::default()
    })
}
