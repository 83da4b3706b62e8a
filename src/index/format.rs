//! The file format of an index, little-endian.
//!
//! ```text
//! "PLVECIDX", version u32, length of the header u32, the header as JSON
//! segments, each with the rows of one block
//! BLAKE3 of everything before, 32 bytes
//! ```
//!
//! A segment is self-contained, because a store keeps each in a chunk:
//!
//! ```text
//! number of rows u32, number of sets of tags u32
//! each set: number of tags u32, each tag: length u32, UTF-8
//! each row's id: 0 and an i64, or 1, length u32 and UTF-8
//! the set of each row u32, if there are sets: 0 for no tags, else the number of the set from 1
//! the values of each row: f32, i8, or sign bits from the lowest on; for dot products after i8 the f32 that 1 stands for
//! ```
//!
//! Signs, factors and slots are not written but computed from the values when reading, so that a file cannot contradict itself.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::blocks::Block;
use super::row::{EncodedRow, LARGE, RowLayout, out_of_memory, zeros};
use super::tags::{NONE, REMOVED, TagSets};
use super::{Id, IndexMetric, IndexOptions, IndexPrecision, VectorIndex};
use crate::error::{Error, ErrorKind, Result};
use crate::memory::try_vec;
use crate::store::Chunk;
use pilotlight_kernels::scan::{largest, square_f32};

const MAGIC: &[u8; 8] = b"PLVECIDX";

/// The version of the format, increased with every change of it.
const VERSION: u32 = 1;

const DIGEST: usize = blake3::OUT_LEN;

/// Bytes that are read from the chunk at a time.
const BUFFER: usize = 64 << 10;

/// The largest difference of a stored f32 vector's squared length from 1.
const LENGTH_TOLERANCE: f64 = 1e-3;

#[derive(Serialize, Deserialize)]
struct Header {
    dimensions: usize,
    precision: String,
    /// The metric; absent for cosines, as in files written before other metrics existed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metric: Option<String>,
    prefilter: bool,
    source: Option<String>,
}

impl VectorIndex {
    /// The header of the file, from which [`from_header`](Self::from_header) makes an empty index.
    pub(super) fn header(&self) -> Result<String> {
        let layout = self.rows.layout();
        let header = Header {
            dimensions: layout.dimensions,
            precision: layout.precision.name().into(),
            metric: layout.is_dot().then(|| layout.metric.name().into()),
            prefilter: layout.prefilter,
            source: self.source.as_deref().map(String::from),
        };
        serde_json::to_string(&header)
            .map_err(|error| Error::internal(format!("the header: {error}")))
    }

    pub(super) fn from_header(header: &str) -> Result<Self> {
        let header: Header = serde_json::from_str(header)
            .map_err(|error| Error::invalid_input(format!("bytes: the header: {error}")))?;
        Self::new(IndexOptions {
            dimensions: header.dimensions,
            precision: IndexPrecision::from_name(&header.precision)?,
            metric: header
                .metric
                .as_deref()
                .map_or(Ok(IndexMetric::Cosine), IndexMetric::from_name)?,
            prefilter: header.prefilter,
            source: header.source,
        })
    }

    /// The number of bytes that [`write_to`](Self::write_to) writes.
    pub fn byte_length(&self) -> Result<u64> {
        let mut count = 0;
        self.parts(&mut |part| {
            count += part.len() as u64;
            Ok(())
        })?;
        Ok(count + DIGEST as u64)
    }

    /// Passes the bytes of the index to `take`, part by part. Equal indexes have equal bytes.
    ///
    /// *Errors*: those of `take`.
    pub fn write_to(&self, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut hasher = blake3::Hasher::new();
        self.parts(&mut |part| {
            hasher.update(part);
            take(part)
        })?;
        take(hasher.finalize().as_bytes())
    }

    /// Writes the index to a vector of bytes.
    ///
    /// *Errors*: `ResourceLimit`.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let length = self.byte_length()? as usize;
        let mut bytes = try_vec(length).map_err(out_of_memory)?;
        self.write_to(&mut |part| {
            bytes.extend_from_slice(part);
            Ok(())
        })?;
        Ok(bytes)
    }

    fn parts(&self, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let header = self.header()?;
        take(MAGIC)?;
        take(&VERSION.to_le_bytes())?;
        take(&(header.len() as u32).to_le_bytes())?;
        take(header.as_bytes())?;
        // Segments are formed from the remaining rows and not from the blocks, so that removed rows leave no trace.
        let layout = self.rows.layout();
        let mut rows = Vec::new();
        for slot in 0..self.rows.slots() {
            let (block, at) = self.rows.place(slot);
            if block.sets[at] != REMOVED {
                rows.push((block, at));
            }
            if rows.len() == layout.block_rows() {
                segment(layout, &rows, &self.tags, take)?;
                rows.clear();
            }
        }
        segment(layout, &rows, &self.tags, take)
    }

    /// Reads an index that [`write_to`](Self::write_to) wrote.
    ///
    /// *Errors*: `InvalidInput` if the bytes are not those of an index, `Integrity` if they do not match their digest, `ResourceLimit`.
    pub fn from_bytes(bytes: &Chunk) -> Result<Self> {
        let mut reader = Reader::new(bytes, bytes.len());
        let mut magic = [0; MAGIC.len()];
        if reader.rest() < magic.len() + 8 + DIGEST {
            return Err(Error::invalid_input("bytes: too short for an index"));
        }
        reader.read(&mut magic)?;
        if &magic != MAGIC {
            return Err(Error::invalid_input("bytes: not those of an index"));
        }
        let version = reader.u32()?;
        if version != VERSION as usize {
            return Err(Error::invalid_input(format!(
                "bytes: version {version} of the format, expected {VERSION}"
            )));
        }
        let end = bytes.len() - DIGEST;
        let mut digest = [0; DIGEST];
        bytes.copy_to(end, &mut digest);
        if digest_of(bytes, end)? != digest {
            return Err(Error::integrity(
                "bytes: altered or cut off since they were written",
            ));
        }
        let mut reader = Reader::new(bytes, end);
        reader.skip(MAGIC.len() + 4);
        let length = reader.u32()?;
        let mut index = Self::from_header(&reader.text(length)?)?;
        while reader.rest() > 0 {
            index.read_segment(&mut reader)?;
        }
        Ok(index)
    }

    /// Appends the rows of a stored chunk as a block of their own, so that the next save writes only the chunks that changed.
    pub(super) fn take_chunk(&mut self, chunk: &Chunk) -> Result<()> {
        self.rows.end_block()?;
        let mut reader = Reader::new(chunk, chunk.len());
        self.read_segment(&mut reader)?;
        match reader.rest() {
            0 => Ok(()),
            rest => Err(Error::invalid_input(format!(
                "bytes: {rest} more after the rows"
            ))),
        }
    }

    /// Appends the rows of a segment. After an error the index must be dropped.
    fn read_segment(&mut self, reader: &mut Reader) -> Result<()> {
        let layout = self.rows.layout();
        let (rows, sets) = (reader.u32()?, reader.u32()?);
        // An id takes at least five bytes and a set four. Compare that with the bytes left before allocating for the announced numbers.
        let least = rows.saturating_mul(5 + layout.value_bytes());
        if least.saturating_add(sets.saturating_mul(4)) > reader.rest() || rows == 0 {
            return Err(Error::invalid_input(format!(
                "bytes: {rows} rows and {sets} sets of tags in {} bytes",
                reader.rest()
            )));
        }
        let tags = Rc::make_mut(&mut self.tags);
        let mut numbers = zeros(sets)?;
        for number in &mut numbers {
            let count = reader.u32()?;
            let mut names = Vec::new();
            for _ in 0..count {
                let length = reader.u32()?;
                names.try_reserve(1).map_err(out_of_memory)?;
                names.push(reader.text(length)?);
            }
            *number = tags.set_of(&names)?;
        }
        let mut ids = try_vec(rows).map_err(out_of_memory)?;
        for _ in 0..rows {
            let mut kind = [0];
            reader.read(&mut kind)?;
            let id = match kind {
                [0] => {
                    let mut integer = [0; 8];
                    reader.read(&mut integer)?;
                    Id::Integer(i64::from_le_bytes(integer))
                }
                [1] => {
                    let length = reader.u32()?;
                    Id::Text(reader.text(length)?.into())
                }
                [other] => {
                    return Err(Error::invalid_input(format!(
                        "bytes: an id of kind {other}"
                    )));
                }
            };
            id.check(|| "bytes: an id".into())?;
            ids.push(id);
        }
        let mut of_rows = zeros(rows)?;
        if sets > 0 {
            for set in &mut of_rows {
                let number = reader.u32()?;
                *set = match number.checked_sub(1) {
                    None => NONE,
                    Some(number) => *numbers.get(number).ok_or_else(|| {
                        Error::invalid_input(format!("bytes: set {number} of {sets}"))
                    })?,
                };
            }
        }
        self.slots.try_reserve(rows).map_err(out_of_memory)?;
        let mut row = EncodedRow::new(layout)?;
        let mut values = zeros(layout.value_bytes())?;
        for (i, (id, set)) in ids.into_iter().zip(of_rows).enumerate() {
            reader.read(&mut values)?;
            row.read(layout, &values)?;
            let slot = self.rows.slots();
            if slot >= REMOVED as usize {
                return Err(Error::invalid_input(
                    "bytes: more rows than an index can number",
                ));
            }
            if self.slots.insert(id.clone(), slot as u32).is_some() {
                return Err(Error::invalid_input("bytes: an id comes twice"));
            }
            self.rows.push(id, set, &row, rows - i)?;
        }
        Ok(())
    }
}

/// Writes a segment with these rows, or nothing if there are none.
pub(super) fn segment(
    layout: RowLayout,
    rows: &[(&Block, usize)],
    tags: &TagSets,
    take: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    // The sets of this segment, in the order in which they occur in it.
    let mut sets: Vec<u32> = Vec::new();
    let mut numbers = zeros::<u32>(tags.len())?;
    for (block, at) in rows {
        let set = block.sets[*at];
        if set != NONE && numbers[set as usize] == 0 {
            sets.push(set);
            numbers[set as usize] = sets.len() as u32;
        }
    }
    let text = |text: &str, take: &mut dyn FnMut(&[u8]) -> Result<()>| {
        take(&(text.len() as u32).to_le_bytes())?;
        take(text.as_bytes())
    };
    take(&(rows.len() as u32).to_le_bytes())?;
    take(&(sets.len() as u32).to_le_bytes())?;
    for set in &sets {
        // Sorted, so that the bytes do not depend on which tag was added first.
        let mut names: Vec<_> = tags.names(*set).collect();
        names.sort_unstable();
        take(&(names.len() as u32).to_le_bytes())?;
        for name in names {
            text(name, take)?;
        }
    }
    for (block, at) in rows {
        match &block.ids[*at] {
            Id::Integer(integer) => {
                take(&[0])?;
                take(&integer.to_le_bytes())?;
            }
            Id::Text(id) => {
                take(&[1])?;
                text(id, take)?;
            }
        }
    }
    if !sets.is_empty() {
        for (block, at) in rows {
            take(&numbers[block.sets[*at] as usize].to_le_bytes())?;
        }
    }
    let mut row = EncodedRow::new(layout)?;
    for (block, at) in rows {
        block.get(*at, &mut row);
        let d = layout.dimensions;
        match layout.precision {
            // All supported targets are little-endian.
            IndexPrecision::Float32 => take(bytemuck::cast_slice(&row.floats[..d]))?,
            IndexPrecision::Int8 => {
                take(bytemuck::cast_slice(&row.bytes[..d]))?;
                if layout.is_dot() {
                    take(&row.factor.to_le_bytes())?;
                }
            }
            IndexPrecision::Binary => take(&row.signs)?,
        }
    }
    Ok(())
}

impl EncodedRow {
    /// Decodes the values of a row.
    ///
    /// *Errors*: `InvalidInput` for values that the encoder never writes.
    fn read(&mut self, layout: RowLayout, values: &[u8]) -> Result<()> {
        let d = layout.dimensions;
        let valid = match layout.precision {
            IndexPrecision::Float32 => {
                for (to, value) in self.floats.iter_mut().zip(values.as_chunks().0) {
                    *to = f32::from_le_bytes(*value);
                }
                if layout.is_dot() {
                    largest(&self.floats[..d]) <= LARGE
                } else {
                    (square_f32(&self.floats[..d]) - 1.0).abs() < LENGTH_TOLERANCE
                }
            }
            IndexPrecision::Int8 => {
                let (values, factor) = values.split_at(d);
                self.bytes[..d].copy_from_slice(bytemuck::cast_slice(values));
                let most = self.bytes[..d].iter().map(|value| value.unsigned_abs());
                let most = most.max();
                if let Ok(factor) = factor.try_into() {
                    self.factor = f32::from_le_bytes(factor);
                    let zeros = most == Some(0) && self.factor == 0.0;
                    zeros || (most == Some(127) && self.factor > 0.0 && self.factor <= LARGE)
                } else {
                    most == Some(127)
                }
            }
            IndexPrecision::Binary => {
                self.signs.copy_from_slice(values);
                let padding = match d % 8 {
                    0 => 0,
                    used => 0xff << used,
                };
                values.last().is_none_or(|last| last & padding == 0)
            }
        };
        if !valid {
            return Err(Error::invalid_input("bytes: invalid vector values"));
        }
        self.finish(d);
        Ok(())
    }
}

fn digest_of(bytes: &Chunk, end: usize) -> Result<[u8; DIGEST]> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = zeros(BUFFER.min(end))?;
    for from in (0..end).step_by(BUFFER) {
        let part = &mut buffer[..BUFFER.min(end - from)];
        bytes.copy_to(from, part);
        hasher.update(part);
    }
    Ok(*hasher.finalize().as_bytes())
}

/// Reads a chunk from the front up to `end`. It copies pieces to a buffer, because the bytes may lie in the memory of JavaScript.
struct Reader<'a> {
    bytes: &'a Chunk,
    at: usize,
    end: usize,
    buffer: Vec<u8>,
    /// The number of bytes of the buffer that were read.
    used: usize,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a Chunk, end: usize) -> Self {
        Self {
            bytes,
            at: 0,
            end,
            buffer: Vec::new(),
            used: 0,
        }
    }

    fn rest(&self) -> usize {
        self.end - self.at + self.buffer.len() - self.used
    }

    /// Skips bytes. To be called before the first read.
    fn skip(&mut self, count: usize) {
        self.at = (self.at + count).min(self.end);
    }

    fn read(&mut self, mut to: &mut [u8]) -> Result<()> {
        if to.len() > self.rest() {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!(
                    "bytes: expected {} more, but {} are left",
                    to.len(),
                    self.rest()
                ),
            ));
        }
        while !to.is_empty() {
            if self.used == self.buffer.len() {
                let count = BUFFER.min(self.end - self.at);
                self.buffer.resize(count, 0);
                self.bytes.copy_to(self.at, &mut self.buffer);
                self.at += count;
                self.used = 0;
            }
            let count = to.len().min(self.buffer.len() - self.used);
            let (now, later) = to.split_at_mut(count);
            now.copy_from_slice(&self.buffer[self.used..self.used + count]);
            self.used += count;
            to = later;
        }
        Ok(())
    }

    fn u32(&mut self) -> Result<usize> {
        let mut number = [0; 4];
        self.read(&mut number)?;
        Ok(u32::from_le_bytes(number) as usize)
    }

    fn text(&mut self, length: usize) -> Result<String> {
        if length > self.rest() {
            return Err(Error::invalid_input(format!(
                "bytes: expected a text of {length} bytes, but {} are left",
                self.rest()
            )));
        }
        let mut text = zeros(length)?;
        self.read(&mut text)?;
        String::from_utf8(text).map_err(|_| Error::invalid_input("bytes: a text is not UTF-8"))
    }
}
