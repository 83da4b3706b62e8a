//! The directory of a zip archive: the place of each member, which PyTorch stores without compression.
//!
//! *Source*: PKWARE, "APPNOTE.TXT: .ZIP File Format Specification", 4.3 to 4.5; miniz, `miniz_zip.c`, whose writer PyTorch uses.

use std::ops::Range;

use crate::error::{Error, Result};

/// Bytes of the record at the end of the archive, without its comment.
const END: usize = 22;

/// Bytes of the record that says where a 64-bit archive has its own end record, and bytes of that one.
const LOCATOR: usize = 20;
pub(super) const END_64: usize = 56;

/// Bytes of a member's entry in the directory, and of the header before its data, both without the name and the extra fields.
const ENTRY: usize = 46;
const LOCAL: usize = 30;

/// The most bytes of the header before a member's data.
pub(super) const MAX_LOCAL: u64 = LOCAL as u64 + 2 * u16::MAX as u64;

/// The flags of a member: it is encrypted, or its size and checksum follow its data.
const ENCRYPTED: u16 = 1;
const DESCRIBED_AFTER: u16 = 1 << 3;

/// The place of the directory.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Directory {
    /// The bytes of the file.
    pub range: Range<u64>,
    /// The number of members.
    pub members: u64,
}

/// The place of the directory, as far as the end of the file has it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The place of the directory.
    Directory(Directory),
    /// The place of the end record of a 64-bit archive, which has that of the directory.
    Record(u64),
}

/// A member of the archive.
#[derive(Debug)]
pub(super) struct Member {
    pub name: String,
    /// The bytes of the header before the data.
    pub header: Range<u64>,
    /// The bytes of the data.
    pub data: Range<u64>,
    /// The reason why the data cannot be read.
    refusal: Option<String>,
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N]> {
    let field = bytes.get(at..).and_then(|bytes| bytes.first_chunk());
    field.copied().ok_or_else(|| {
        Error::invalid_weights("the directory of the zip archive ends within a field")
    })
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16> {
    field(bytes, at).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32> {
    field(bytes, at).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Result<u64> {
    field(bytes, at).map(u64::from_le_bytes)
}

/// Finds the end record in the last bytes of a file, of which the first is byte `start` of the file.
///
/// *Errors*: `InvalidWeights` where there is none, as in a truncated file.
pub(super) fn end(tail: &[u8], start: u64) -> Result<End> {
    let is_end = |at: &usize| {
        let comment = u16_at(tail, at + 20).map_or(usize::MAX, usize::from);
        tail[*at..].starts_with(b"PK\x05\x06") && at.saturating_add(END + comment) == tail.len()
    };
    let last = tail.len().checked_sub(END);
    let at = last.and_then(|last| (0..=last).rev().find(is_end));
    let at = at.ok_or_else(|| {
        Error::invalid_weights("is a zip archive without its end: the file is truncated")
    })?;
    let members = u16_at(tail, at + 10)?;
    let (size, offset) = (u32_at(tail, at + 12)?, u32_at(tail, at + 16)?);
    if members == u16::MAX || size == u32::MAX || offset == u32::MAX {
        let locator = at.checked_sub(LOCATOR);
        return match locator.filter(|at| tail[*at..].starts_with(b"PK\x06\x07")) {
            Some(at) => Ok(End::Record(u64_at(tail, at + 8)?)),
            None => Err(Error::invalid_weights(
                "is a zip archive of 64 bits without its second end record",
            )),
        };
    }
    directory(
        members.into(),
        size.into(),
        offset.into(),
        start + at as u64,
    )
    .map(End::Directory)
}

/// Reads the end record of a 64-bit archive, which begins at byte `start` of the file.
pub(super) fn end_64(record: &[u8], start: u64) -> Result<Directory> {
    if !record.starts_with(b"PK\x06\x06") {
        return Err(Error::invalid_weights(
            "is a zip archive of 64 bits whose second end record is not where it should be",
        ));
    }
    let [members, size, offset] = [32, 40, 48].map(|at| u64_at(record, at));
    directory(members?, size?, offset?, start)
}

/// Checks the place of the directory, after which the end record begins at byte `end` of the file.
fn directory(members: u64, size: u64, offset: u64, end: u64) -> Result<Directory> {
    let range = offset..offset.saturating_add(size);
    if range.end > end || members > size / ENTRY as u64 {
        return Err(Error::invalid_weights(format!(
            "the directory of the zip archive has {members} members in {size} bytes from {offset} on, which do not fit before {end}"
        )));
    }
    Ok(Directory { range, members })
}

/// Reads the directory, and finds the data of each member: they end where the next member begins, before a descriptor if there is one.
/// The headers before them are not read for that; [`check_local`] compares each when its bytes arrive.
pub(super) fn members(bytes: &[u8], directory: &Directory) -> Result<Vec<Member>> {
    // For each entry, the member without its data, the size of the data, and the size of the descriptor.
    let (mut entries, mut at) = (Vec::new(), 0);
    for _ in 0..directory.members {
        let entry = bytes.get(at..).unwrap_or_default();
        if !entry.starts_with(b"PK\x01\x02") {
            return Err(Error::invalid_weights(format!(
                "the directory of the zip archive has {} members, expected {}",
                entries.len(),
                directory.members
            )));
        }
        let (flags, method) = (u16_at(entry, 8)?, u16_at(entry, 10)?);
        let lengths = [28, 30, 32].map(|at| u16_at(entry, at).map(usize::from));
        let [name, extra, comment] = lengths;
        let (name, extra) = (name?, extra?);
        let end = ENTRY + name + extra;
        let texts = entry.get(ENTRY..end);
        let (name, extra) = texts.map(|texts| texts.split_at(name)).ok_or_else(|| {
            Error::invalid_weights("the directory of the zip archive ends within a name")
        })?;
        let name = String::from_utf8_lossy(name).into_owned();
        let (size, header, is_64) = sizes(entry, extra)?;
        let refusal = match (flags & ENCRYPTED, method) {
            (0, 0) => None,
            (0, method) => Some(format!(
                "is compressed (method {method}), expected members that are stored as they are, as torch.save writes them"
            )),
            _ => Some("is encrypted".into()),
        };
        let descriptor = match (flags & DESCRIBED_AFTER, is_64) {
            (0, _) => 0,
            (_, false) => 16,
            (_, true) => 24,
        };
        let least = header.saturating_add((LOCAL + name.len()) as u64);
        entries.push((header, least, size, descriptor, name, refusal));
        at += end + comment?;
    }
    entries.sort_by_key(|(header, ..)| *header);
    let starts = entries.iter().skip(1).map(|(header, ..)| *header);
    let ends: Vec<_> = starts.chain([directory.range.start]).collect();
    let mut members = Vec::with_capacity(entries.len());
    for ((header, least, size, descriptor, name, refusal), end) in entries.into_iter().zip(ends) {
        let end = end.saturating_sub(descriptor);
        let start = end.checked_sub(size).filter(|start| {
            *start >= least && *start - header <= MAX_LOCAL && end <= directory.range.start
        });
        let start = start.ok_or_else(|| {
            Error::invalid_weights(format!(
                "member '{}' of the zip archive has {size} bytes, which do not lie between byte {header} and byte {end}",
                shortened(&name)
            ))
        })?;
        members.push(Member {
            name,
            header: header..start,
            data: start..end,
            refusal,
        });
    }
    Ok(members)
}

/// The size of a member's data, the byte at which its header begins, and whether it has numbers of 64 bits.
fn sizes(entry: &[u8], mut extra: &[u8]) -> Result<(u64, u64, bool)> {
    let fields = [24, 20, 42].map(|at| u32_at(entry, at));
    let [whole, stored, header] = fields;
    let mut numbers = [whole?, stored?, header?].map(u64::from);
    let mut is_64 = false;
    while let Ok(id) = u16_at(extra, 0) {
        let length = usize::from(u16_at(extra, 2)?);
        let content = extra.get(4..4 + length).ok_or_else(|| {
            Error::invalid_weights("the directory of the zip archive ends within an extra field")
        })?;
        if id == 1 && !is_64 {
            is_64 = true;
            let mut at = 0;
            for number in &mut numbers {
                if *number == u64::from(u32::MAX) {
                    *number = u64_at(content, at)?;
                    at += 8;
                }
            }
        }
        extra = &extra[4 + length..];
    }
    let [_, stored, header] = numbers;
    Ok((stored, header, is_64))
}

impl Member {
    /// Checks that the data can be read.
    ///
    /// *Errors*: `UnsupportedModel` for a member that is compressed or encrypted.
    pub fn check(&self) -> Result<()> {
        match &self.refusal {
            None => Ok(()),
            Some(why) => Err(Error::unsupported(format!(
                "member '{}' of the zip archive {why}",
                shortened(&self.name)
            ))),
        }
    }
}

/// Checks that the bytes before a member's data are a header and nothing else.
pub fn check_local(bytes: &[u8]) -> Result<()> {
    let known = bytes.len() >= LOCAL && bytes.starts_with(b"PK\x03\x04");
    let length = match known {
        true => LOCAL + usize::from(u16_at(bytes, 26)?) + usize::from(u16_at(bytes, 28)?),
        false => 0,
    };
    if length == bytes.len() && u16_at(bytes, 6)? & ENCRYPTED == 0 && u16_at(bytes, 8)? == 0 {
        return Ok(());
    }
    Err(Error::invalid_weights(format!(
        "a member of the zip archive does not have the header of {} bytes that the directory leaves for it",
        bytes.len()
    )))
}

/// The first characters of a name, for messages.
pub(super) fn shortened(name: &str) -> String {
    let is_plain = |letter: char| !letter.is_control();
    let letters = name.chars().take(80);
    letters.map(|x| if is_plain(x) { x } else { '?' }).collect()
}
