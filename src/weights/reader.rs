//! Reads the tensors of one file through one block of memory, and writes them to the store.

use std::ops::Range;

use pilotlight_kernels::blocks::{Format, cast};
use pilotlight_kernels::pack::smoothing;

use super::contents::Found;
use super::header::{Entry, named};
use super::layout::{PackedTensor, PackedValues, beyond_f16, not_finite};
use super::pytorch;
use super::row_order::{RowOrder, lcm};
use super::stored_rows::StoredRows;
use super::{Parameter, ResumePoint, Sink};
use crate::error::{Error, Result};
use crate::hub::{ByteStream, Digest, Fetch, Hasher, Verified};
use crate::memory::out_of_memory;
use crate::ops::{Groups, PANEL, group_sums, work};
use crate::scheduler::Scheduler;

/// The most bytes of the source file that are in memory at a time.
const BLOCK: usize = 1 << 20;
/// Multiply-adds that take as long as casting and packing one weight: 19 ns in q8, the slowest dtype.
const PACKING: usize = 400;

/// A reader of one file's tensors, one after the other.
pub(super) struct Reader<'a, 'h, 's> {
    file: &'a str,
    fetch: &'a mut Fetch<'h>,
    /// The byte of the file at which the tensors begin.
    data_start: u64,
    sink: Option<&'a mut (dyn Sink + 's)>,
    scheduler: &'a dyn Scheduler,
    block: Vec<u8>,
    block_size: usize,
    /// The place of the tensor that the block has whole, and whether the next tensor has the same bytes.
    kept: Option<Range<u64>>,
    keeps_block: bool,
    /// The most bytes of the source file between two resume points.
    interval: u64,
    /// The byte of the source file at which a resumed load would continue.
    durable: u64,
    /// Whether the source file is packed already.
    packed: bool,
    /// The index of the current tensor, in the order of the file.
    tensor: usize,
    /// The byte at which the header of the current member of a zip archive ends.
    member: u64,
    /// The current tensor's hash and expected digest, where the lock file has a digest for each tensor.
    hasher: Option<(Hasher, Digest)>,
    /// The state of the current tensor's hash when an earlier load stopped in it.
    resumed_hash: Option<Vec<u8>>,
    verified: Verified,
}

impl<'a, 'h, 's> Reader<'a, 'h, 's> {
    /// Makes a reader of a file whose tensors begin at byte `data_start`; `packed`: whether it is a packed model.
    pub fn new(
        file: &'a str,
        fetch: &'a mut Fetch<'h>,
        data_start: u64,
        packed: bool,
        sink: Option<&'a mut (dyn Sink + 's)>,
        scheduler: &'a dyn Scheduler,
    ) -> Self {
        let interval = sink.as_deref().map_or(usize::MAX, |sink| sink.interval());
        Self {
            file,
            data_start,
            // Resume points lie between blocks, so a block must be much shorter than the interval.
            block_size: BLOCK.min(interval / 4).max(1),
            interval: interval as u64,
            durable: fetch.position(),
            fetch,
            sink,
            scheduler,
            block: Vec::new(),
            kept: None,
            keeps_block: false,
            packed,
            tensor: 0,
            member: 0,
            hasher: None,
            resumed_hash: None,
            verified: Verified::Lock,
        }
    }

    /// Makes the tensor at `index` the current one; `resumed_hash`: its hash's state where an earlier load stopped in it.
    /// `next`: the entry of the tensor after it.
    pub fn start_tensor(
        &mut self,
        index: usize,
        resumed_hash: Option<Vec<u8>>,
        [entry, next]: [Option<&Entry>; 2],
    ) {
        self.tensor = index;
        self.keeps_block = entry
            .zip(next)
            .is_some_and(|(entry, next)| entry.shares_block(next));
        if resumed_hash.is_some() {
            self.resumed_hash = resumed_hash;
        }
    }

    /// Copies a tensor of a packed file and its side tensors, of which the first `bytes_done` are there already.
    pub async fn copy(
        &mut self,
        found: &Found<'_>,
        to: &mut PackedTensor,
        bytes_done: u64,
    ) -> Result<()> {
        let entries = std::iter::once(found.entry).chain(found.side_tensors.iter().copied());
        let mut part_end = 0;
        for (part, entry) in entries.enumerate() {
            let size = entry.range.end - entry.range.start;
            let mut from = bytes_done.saturating_sub(part_end).min(size) as usize;
            part_end += size;
            if from as u64 == size && size > 0 {
                continue;
            }
            self.seek(entry, from as u64).await?;
            while from < size as usize {
                let end = (from + self.block_size).min(size as usize);
                self.scheduler.yield_now().await?;
                let Some(buffer) = to.parts_mut().nth(part) else {
                    return Err(Error::internal(format!(
                        "tensor '{}' has no buffer for its part {part}",
                        found.entry.name
                    )));
                };
                let buffer = &mut buffer[from..end];
                let read = self.fetch.read_exact(buffer).await;
                read.map_err(|error| named(self.file, error))?;
                if let Some((hasher, _)) = &mut self.hasher {
                    hasher.update(buffer);
                }
                if let Some(sink) = self.sink.as_deref_mut() {
                    sink.write(buffer).await?;
                }
                let bytes_done = part_end - size + end as u64;
                from = end;
                if from as u64 == size {
                    self.check_digest(entry)?;
                }
                self.checkpoint(bytes_done, to, self.block_size).await?;
            }
        }
        Ok(())
    }

    /// Casts an upstream tensor to f32 and packs it in blocks of rows, of which the first `rows_done` are packed already.
    ///
    /// `norm`: `gamma` and `beta` of the norm whose output a linear layer takes, for smoothing.
    pub async fn pack_rows(
        &mut self,
        entry: &Entry,
        parameter: &Parameter,
        norm: Option<(&[f32], &[f32])>,
        to: &mut PackedTensor,
        rows_done: usize,
    ) -> Result<()> {
        let [count, length] = parameter.matrix();
        if length == 0 {
            return Err(Error::invalid_weights(format!(
                "{}: tensor '{}' is empty",
                self.file, entry.name
            ))
            .with_file(self.file)
            .with_tensor(&entry.name));
        }
        let format = Format::from_safetensors(&entry.dtype);
        let layout = format.and_then(|format| Some((format, format.row_bytes(length)?)));
        let Some((format, row_bytes)) = layout else {
            return Err(Error::invalid_weights(format!(
                "{}: tensor '{}' has rows of {length} values, which are no whole blocks of {}",
                self.file, entry.name, entry.dtype
            ))
            .with_file(self.file)
            .with_tensor(&entry.name));
        };
        let role = parameter.role;
        let (order, values) = RowOrder::of(entry);
        let stored = entry.stored.as_deref();
        // If the file has columns, no row is complete before the last byte.
        let is_columns = stored.is_some_and(|stored| stored.columns.is_some());
        let unit = match is_columns {
            true => count.max(1),
            false => order.unit(),
        };
        if !rows_done.is_multiple_of(unit) {
            return Err(Error::integrity(format!(
                "{}: tensor '{}': the partial download has {rows_done} rows, expected a multiple of {unit}",
                self.file, entry.name
            )));
        }
        // A block is a number of whole panels, because a panel is final once its last row is packed, and of whole heads, whose rows are
        // packed in another order than they arrive in.
        let panel = match role.is_panels() {
            true => lcm(PANEL, order.unit()),
            false => order.unit(),
        };
        let rows_at_once = match self.block_size / row_bytes {
            rows if rows < panel => rows / order.unit() * order.unit(),
            rows => rows / panel * panel,
        };
        let rows_at_once = rows_at_once.max(order.unit());
        // Smoothing sees the rows that the first block of a matrix by rows has.
        let sample = rows_at_once.min(count);
        let rows_at_once = rows_at_once.max(unit);
        let mut stored_rows = StoredRows::new(stored, [count, length], row_bytes);
        let keeps = to.keeps(format);
        let (mut row, mut bytes) = (vec![0.0; length], vec![0; length]);
        let held = stored.and_then(|stored| stored.held.as_ref());
        let is_kept = is_columns && self.kept.as_ref() == Some(&entry.range);
        if !is_kept {
            self.kept = None;
        }
        if held.is_some() || is_kept {
            self.scheduler.yield_now().await?;
            self.note_unhashed();
        } else {
            let from = stored_rows.bytes_before(rows_done);
            self.seek(entry, from as u64).await?;
        }
        let mut first = rows_done;
        while first < count {
            let rows = rows_at_once.min(count - first);
            let part = stored_rows.bytes_before(first)..stored_rows.bytes_before(first + rows);
            match held {
                Some(held) => {
                    self.block.clear();
                    self.block
                        .extend_from_slice(held.bytes().get(part).unwrap_or_default());
                }
                None if is_kept => {}
                None => self.read_block(part.len()).await?,
            }
            work::count(rows, length, PACKING);
            if let (0, Some((gamma, beta)), false) = (first, norm, to.smooth.is_empty()) {
                let mut block = vec![0.0; sample.min(rows) * length];
                for (index, row) in block.chunks_exact_mut(length).enumerate() {
                    cast(stored_rows.row(&self.block, 0, index), format, row);
                }
                to.smooth = smoothing(gamma, beta, &block);
            }
            for index in first..first + rows {
                let source = stored_rows.row(&self.block, first, index);
                if !cast(source, format, &mut row) {
                    return Err(not_finite(self.file, &entry.name));
                }
                if !to.holds(&row) {
                    return Err(beyond_f16(self.file, &entry.name));
                }
                if values.unit() > 1 {
                    let stored = row.clone();
                    for (index, value) in stored.into_iter().enumerate() {
                        row[values.row(index)] = value;
                    }
                }
                match (keeps, order.row(index)) {
                    (true, index) => to.set_blocks(index, source, format),
                    (false, index) => to.set_row(role, index, &mut row, &mut bytes),
                }
            }
            let finished =
                to.finished_bytes(role, first, count)..to.finished_bytes(role, first + rows, count);
            first += rows;
            if let Some(sink) = self.sink.as_deref_mut() {
                sink.write(&to.values.bytes()[finished]).await?;
            }
            if first < count && (!role.is_panels() || first.is_multiple_of(PANEL)) {
                let next = rows_at_once.max(panel) * row_bytes;
                self.checkpoint(first as u64, to, next).await?;
            }
        }
        self.check_digest(entry)?;
        self.kept = is_columns.then(|| entry.range.clone());
        if keeps {
            // A scale may be too large for f16, though the scales that it is the product of are not.
            to.check_finite(self.file, &entry.name)?;
        }
        if let (PackedValues::Q8(values), false) = (&to.values, to.sums.is_empty()) {
            to.sums = group_sums(values, Groups::of(to.smooth.len()));
        }
        if let Some(sink) = self.sink.as_deref_mut() {
            for side_tensor in to.side_tensors() {
                sink.write(side_tensor).await?;
            }
        }
        self.tensor += 1;
        if self.keeps_block {
            return Ok(());
        }
        self.checkpoint(0, to, self.block_size).await
    }

    /// Moves to byte `from` of a tensor. Only a tensor that has the bytes of the one before lies behind the current position.
    async fn seek(&mut self, entry: &Entry, from: u64) -> Result<()> {
        let position = self.data_start + entry.range.start + from;
        if let (Some(member), 0) = (&entry.member, from) {
            self.check_member(member).await?;
        }
        if position < self.fetch.position() {
            self.fetch.go_back(position)?;
            self.durable = self.durable.min(position);
        }
        self.skip_to(position).await?;
        if self.fetch.position() != position {
            return Err(Error::integrity(format!(
                "{}: the download is at byte {}, expected {position}",
                self.file,
                self.fetch.position()
            )));
        }
        let hashed = self.fetch.is_hashed();
        let digest = self
            .fetch
            .tensor_digest(&entry.name)
            .filter(|_| !hashed)
            .cloned();
        if digest.is_none() {
            self.note_unhashed();
        }
        let resumed = self.resumed_hash.take().filter(|_| from > 0);
        self.hasher = digest.and_then(|digest| {
            // The digest of a tensor cannot be checked if its first bytes were read without hashing them.
            let restored = resumed.as_deref().and_then(Hasher::restore);
            let hasher = match from {
                0 => Some(Hasher::of(&digest, 0)),
                _ => restored,
            };
            Some((hasher?, digest))
        });
        Ok(())
    }

    /// Records that no digest of a tensor can be compared.
    fn note_unhashed(&mut self) {
        if !self.fetch.is_hashed() {
            self.verified = Verified::Length;
        }
    }

    /// Checks the header of a member of a zip archive, unless an earlier tensor was a view of the same member.
    ///
    /// *Errors*: `InvalidWeights` where the bytes are no header.
    async fn check_member(&mut self, header: &Range<u64>) -> Result<()> {
        if header.end <= self.member {
            return Ok(());
        }
        self.member = header.end;
        if header.start < self.fetch.position() {
            // An earlier load has stopped between two views of the member, or has begun with one that is read again.
            if header.end <= self.fetch.position() {
                return Ok(());
            }
            self.fetch.go_back(header.start)?;
        }
        self.skip_to(header.start).await?;
        let mut bytes = vec![0; (header.end - header.start) as usize];
        let read = self.fetch.read_exact(&mut bytes).await;
        let checked = read.and_then(|()| pytorch::check_local(&bytes));
        checked.map_err(|error| named(self.file, error))
    }

    /// Compares a tensor's digest with that of the lock file.
    ///
    /// *Errors*: `Integrity` where they differ.
    fn check_digest(&mut self, entry: &Entry) -> Result<()> {
        match self.hasher.take() {
            Some((hasher, digest)) => {
                hasher.check(&format!("{}: tensor '{}'", self.file, entry.name), &digest)
            }
            None => Ok(()),
        }
    }

    /// Saves a resume point if the next one, `next` bytes on, would be too far from the last; `units_done` as in [`ResumePoint`].
    async fn checkpoint(
        &mut self,
        units_done: u64,
        tensor: &PackedTensor,
        next: usize,
    ) -> Result<()> {
        let position = self.fetch.position();
        let Some(sink) = self.sink.as_deref_mut() else {
            return Ok(());
        };
        if position.saturating_sub(self.durable) + (next as u64) <= self.interval {
            return Ok(());
        }
        let hash = self.hasher.as_ref();
        let at = ResumePoint {
            state: self.fetch.state(),
            tensor: self.tensor,
            units_done,
            side_tensors: match (units_done, self.packed) {
                (0, _) | (_, true) => Vec::new(),
                _ => tensor.side_tensors().collect::<Vec<_>>().concat(),
            },
            tensor_hash: hash.and_then(|(hasher, _)| hasher.save()),
        };
        sink.checkpoint(self.file, at).await?;
        self.durable = position;
        Ok(())
    }

    /// Skips bytes that are not needed, up to `position`.
    async fn skip_to(&mut self, position: u64) -> Result<()> {
        self.scheduler.yield_now().await?;
        let skipped = self.fetch.skip_to(position).await;
        skipped.map_err(|error| named(self.file, error))
    }

    /// Ends the download; a file that is downloaded whole is read to its end, so that its digest can be verified. `padding`: the most bytes
    /// after the last tensor.
    pub async fn finish(&mut self, end: u64, padding: u64) -> Result<()> {
        if self.fetch.is_whole() {
            self.skip_to(end).await?;
            let mut rest = vec![0; padding as usize];
            while !rest.is_empty() {
                match self.fetch.read(&mut rest).await? {
                    0 => break,
                    count => rest.truncate(rest.len() - count),
                }
            }
        }
        self.fetch.finish(self.verified).await
    }

    /// Reads the next `length` bytes into the block.
    async fn read_block(&mut self, length: usize) -> Result<()> {
        self.scheduler.yield_now().await?;
        let more = length.saturating_sub(self.block.len());
        self.block.try_reserve_exact(more).map_err(|error| {
            let message = format!(
                "{}: a matrix of {length} bytes does not fit into memory",
                self.file
            );
            out_of_memory(message, error).with_file(self.file)
        })?;
        self.block.resize(length, 0);
        self.fetch
            .read_exact(&mut self.block)
            .await
            .map_err(|error| named(self.file, error))?;
        if let Some((hasher, _)) = &mut self.hasher {
            hasher.update(&self.block);
        }
        Ok(())
    }
}
