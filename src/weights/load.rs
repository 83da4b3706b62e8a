//! Reads a checkpoint or a packed model from a host, and writes the packed form to the store as it goes.

use std::collections::HashMap;

use async_trait::async_trait;
use burn::tensor::Device;
use pilotlight_kernels::pack::{Float, cast, smoothing};

use super::contents::{Contents, Found};
use super::layout::{PackedTensor, PackedValues, not_finite};
use super::safetensors::{Entry, Header, named};
use super::{Dtype, Parameter, Role, Tensors};
use crate::error::{Error, Result};
use crate::hub::{ByteStream, Digest, Fetch, FetchState, Hasher, Verified};
use crate::ops::{PANEL, group_sums, work};
use crate::scheduler::Scheduler;

/// Most source bytes that are in memory at a time.
const BLOCK: usize = 1 << 20;
/// Multiply-adds that take as long as casting and packing one weight: 19 ns in q8, the slowest.
const PACKING: usize = 400;

/// What is to be loaded.
pub struct Needs<'a> {
    /// The model's tensors.
    pub parameters: &'a [Parameter],
    /// Names may carry one of these in an upstream checkpoint.
    pub prefixes: &'a [&'a str],
    /// How they are to be kept.
    pub dtype: Dtype,
}

/// Where the packed file goes while it is made.
#[async_trait(?Send)]
pub trait Sink {
    /// Takes the source file's header, for going on later.
    async fn head(&mut self, bytes: &[u8]) -> Result<()>;

    /// Takes the next bytes of the packed file.
    async fn write(&mut self, bytes: &[u8]) -> Result<()>;

    /// Says how many bytes the packed file will have.
    fn expected_size(&mut self, bytes: u64);

    /// After so many bytes of the source a checkpoint is due.
    fn interval(&self) -> usize;

    /// Makes durable what was written, and how to go on from here with this source file.
    async fn checkpoint(&mut self, source: &str, at: ResumePoint) -> Result<()>;
}

/// Where loading stands between two blocks of rows.
pub struct ResumePoint {
    /// Of the source file.
    pub state: FetchState,
    /// Which tensor is under way, in the order of the file.
    pub tensor: usize,
    /// Its rows that are packed; of a packed source its bytes that are copied.
    pub done: u64,
    /// What follows the values of the tensor under way in the packed file, as far as it is known.
    pub side_tensors: Vec<u8>,
    /// Of the tensor's bytes, where a lock file has their digest.
    pub tensor_hash: Option<Vec<u8>>,
}

/// What an earlier load left.
pub struct Resume {
    /// As [`Sink::head`] took it.
    pub head: Vec<u8>,
    /// The packed file as far as it was written.
    pub stored: Box<dyn ByteStream>,
    /// As in [`ResumePoint`].
    pub tensor: usize,
    /// As in [`ResumePoint`].
    pub done: u64,
    /// As in [`ResumePoint`].
    pub side_tensors: Vec<u8>,
    /// As in [`ResumePoint`].
    pub tensor_hash: Option<Vec<u8>>,
}

/// What loading a file would take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Tensors that are needed.
    pub tensors: usize,
    /// Bytes of the source file that would be fetched.
    pub fetch: u64,
    /// Bytes of the packed file, and of the tensors in memory.
    pub packed: u64,
}

/// Reads only the header and says what loading would take.
///
/// *Errors*: as [`load`].
pub async fn plan(file: &str, fetch: &mut Fetch<'_>, needs: &Needs<'_>) -> Result<Plan> {
    let head = Header::read(file, fetch).await?;
    let header = Header::check(file, &head, fetch.size())?;
    let contents = Contents::new(file, &header, needs)?;
    fetch.want(contents.ranges(head.len()));
    Ok(Plan {
        tensors: contents.order.len(),
        fetch: fetch.wanted(),
        packed: contents.header(needs)?.len() as u64 + contents.packed_bytes(),
    })
}

/// Reads the tensors that a model needs, casts or quantizes them by blocks of rows, and hands the packed file to `sink`.
///
/// Tensors that are not needed are not fetched, or passed over where they are small.
/// *Errors*: `InvalidWeights` naming the file and the tensor, `ResourceLimit` where memory is short, and the stream's own.
pub async fn load<'s>(
    file: &str,
    fetch: &mut Fetch<'_>,
    needs: &Needs<'_>,
    device: &Device,
    mut sink: Option<&mut (dyn Sink + 's)>,
    resume: Option<Resume>,
    scheduler: &dyn Scheduler,
) -> Result<Tensors> {
    let head = match &resume {
        Some(resume) => resume.head.clone(),
        None => Header::read(file, fetch).await?,
    };
    let header = Header::check(file, &head, fetch.size())?;
    let contents = Contents::new(file, &header, needs)?;
    fetch.want(contents.ranges(head.len()));
    let packed_head = contents.header(needs)?;
    if let Some(sink) = sink.as_deref_mut() {
        sink.expected_size(packed_head.len() as u64 + contents.packed_bytes());
        if resume.is_none() {
            sink.head(&head).await?;
            sink.write(&packed_head).await?;
        }
    }
    let interval = sink.as_deref().map_or(usize::MAX, |sink| sink.interval());
    let mut reader = Reader {
        file,
        data: head.len() as u64,
        // A checkpoint is between two blocks, and no further from the last one than the interval.
        block_size: BLOCK.min(interval / 4).max(1),
        interval: interval as u64,
        durable: fetch.position(),
        fetch,
        sink,
        scheduler,
        block: Vec::new(),
        packed: contents.packed,
        tensor: 0,
        hasher: None,
        resumed_hash: None,
        verified: Verified::Lock,
    };
    let mut resumed = match resume {
        Some(resume) => Some(Resumed::new(file, resume, &packed_head).await?),
        None => None,
    };
    let mut tensors = HashMap::new();
    for (tensor, found) in contents.order.iter().enumerate() {
        let parameter = &needs.parameters[found.index];
        let mut loaded = contents.layouts[found.index].allocate(&parameter.name)?;
        if let Some(resumed) = resumed.as_mut().filter(|resumed| tensor < resumed.tensor) {
            scheduler.yield_now().await?;
            resumed.whole(&mut loaded).await?;
        } else {
            reader.tensor = tensor;
            let mut done = 0;
            if let Some(mut resumed) = resumed.take() {
                done = resumed
                    .begun(parameter, contents.packed, &mut loaded)
                    .await?;
                reader.resumed_hash = resumed.tensor_hash;
            }
            if contents.packed {
                reader.copy(found, &mut loaded, done).await?;
            } else {
                let norm = norm_of(parameter, &tensors);
                reader
                    .rows(found.entry, parameter, norm, &mut loaded, done as usize)
                    .await?;
            }
        }
        if contents.packed {
            loaded.check_finite(file, &parameter.name)?;
        }
        tensors.insert(parameter.name.clone(), loaded);
    }
    reader.end(head.len() as u64 + header.data()).await?;
    Ok(Tensors::loaded(tensors, device.clone()))
}

/// `gamma` and `beta` of the norm whose output a linear layer takes, where they stand before it in the file.
fn norm_of<'a>(
    parameter: &Parameter,
    tensors: &'a HashMap<String, PackedTensor>,
) -> Option<(&'a [f32], &'a [f32])> {
    let norm = parameter.preceding_norm.as_ref()?;
    let get = |part| match &tensors.get(&format!("{norm}.{part}"))?.values {
        PackedValues::F32(values) => Some(values.as_slice()),
        PackedValues::Q8(_) | PackedValues::Q4(_) => None,
    };
    Some((get("weight")?, get("bias")?))
}

/// The packed file as far as an earlier load wrote it.
struct Resumed {
    stored: Box<dyn ByteStream>,
    tensor: usize,
    done: u64,
    side_tensors: Vec<u8>,
    tensor_hash: Option<Vec<u8>>,
}

impl Resumed {
    /// *Errors*: `Integrity` where what is stored is the beginning of something else.
    async fn new(file: &str, resume: Resume, head: &[u8]) -> Result<Self> {
        let Resume {
            mut stored,
            tensor,
            done,
            side_tensors,
            tensor_hash,
            ..
        } = resume;
        let mut found = vec![0; head.len()];
        stored.read_exact(&mut found).await?;
        if found != head {
            let message = format!("{file}: what is stored was begun in another way");
            return Err(Error::integrity(message));
        }
        Ok(Self {
            stored,
            tensor,
            done,
            side_tensors,
            tensor_hash,
        })
    }

    /// Takes a tensor that was complete.
    async fn whole(&mut self, to: &mut PackedTensor) -> Result<()> {
        self.stored.read_exact(to.values.bytes_mut()).await?;
        for side_tensor in to.companions_mut() {
            self.stored.read_exact(side_tensor).await?;
        }
        Ok(())
    }

    /// Takes the tensor that was under way and returns how much of it is done.
    async fn begun(
        &mut self,
        parameter: &Parameter,
        packed: bool,
        to: &mut PackedTensor,
    ) -> Result<u64> {
        if packed {
            let mut rest = self.done as usize;
            for part in to.parts_mut() {
                let count = rest.min(part.len());
                self.stored.read_exact(&mut part[..count]).await?;
                rest -= count;
            }
            return Ok(self.done);
        }
        let [rows, _] = parameter.matrix();
        if self.done > rows as u64 {
            let message = format!("tensor '{}': its stored part is too long", parameter.name);
            return Err(Error::integrity(message));
        }
        let finished = to.finished_bytes(parameter.role, self.done as usize, rows);
        self.stored
            .read_exact(&mut to.values.bytes_mut()[..finished])
            .await?;
        if self.done > 0 {
            let mut rest = self.side_tensors.as_slice();
            for part in to.companions_mut() {
                let (own, others) = rest.split_at_checked(part.len()).ok_or_else(|| {
                    Error::integrity(format!(
                        "tensor '{}': a stored part is missing",
                        parameter.name
                    ))
                })?;
                part.copy_from_slice(own);
                rest = others;
            }
        }
        Ok(self.done)
    }
}

/// Reads tensors one after the other through one block of memory, and writes them to the store.
struct Reader<'a, 'h, 's> {
    file: &'a str,
    fetch: &'a mut Fetch<'h>,
    /// Where the tensors begin in the file.
    data: u64,
    sink: Option<&'a mut (dyn Sink + 's)>,
    scheduler: &'a dyn Scheduler,
    block: Vec<u8>,
    block_size: usize,
    /// Bytes of the source after which a checkpoint is due.
    interval: u64,
    /// Of the source: what the store would go on from.
    durable: u64,
    /// Whether the file is packed already.
    packed: bool,
    /// Which one is under way.
    tensor: usize,
    /// Of the tensor under way, where its digest is what there is to check.
    hasher: Option<(Hasher, Digest)>,
    /// The same, of the tensor that an earlier load had under way.
    resumed_hash: Option<Vec<u8>>,
    verified: Verified,
}

impl Reader<'_, '_, '_> {
    /// Copies a tensor of a packed file to its place, and what follows it, from byte `done` of all that on.
    async fn copy(&mut self, found: &Found<'_>, to: &mut PackedTensor, done: u64) -> Result<()> {
        let entries = std::iter::once(found.entry).chain(found.side_tensors.iter().copied());
        let mut passed = 0;
        for (part, entry) in entries.enumerate() {
            let size = entry.range.end - entry.range.start;
            let mut from = done.saturating_sub(passed).min(size) as usize;
            passed += size;
            if from as u64 == size && size > 0 {
                continue;
            }
            self.begin(entry, from as u64).await?;
            while from < size as usize {
                let end = (from + self.block_size).min(size as usize);
                self.scheduler.yield_now().await?;
                let Some(place) = to.parts_mut().nth(part) else {
                    return Err(Error::internal("a part has no place"));
                };
                let place = &mut place[from..end];
                let read = self.fetch.read_exact(place).await;
                read.map_err(|error| named(self.file, error))?;
                if let Some((hasher, _)) = &mut self.hasher {
                    hasher.update(place);
                }
                if let Some(sink) = self.sink.as_deref_mut() {
                    sink.write(place).await?;
                }
                let before = passed - size + end as u64;
                from = end;
                if from as u64 == size {
                    self.check(entry)?;
                }
                self.checkpoint(before, to, self.block_size).await?;
            }
        }
        Ok(())
    }

    /// Casts an upstream tensor to f32 and packs it, a block of rows at a time, from row `done` on.
    ///
    /// `norm` is what the inputs of a linear layer come from, for smoothing.
    async fn rows(
        &mut self,
        entry: &Entry,
        parameter: &Parameter,
        norm: Option<(&[f32], &[f32])>,
        to: &mut PackedTensor,
        done: usize,
    ) -> Result<()> {
        let [count, length] = parameter.matrix();
        if length == 0 {
            return Err(Error::invalid_weights(format!(
                "{}: tensor '{}' is empty",
                self.file, entry.name
            )));
        }
        // `Contents` lets only these three pass.
        let (float, width) = match entry.dtype.as_str() {
            "F32" => (Float::F32, 4),
            "F16" => (Float::F16, 2),
            _ => (Float::Bf16, 2),
        };
        let row_bytes = length * width;
        let role = parameter.role;
        // Whole panels of rows, which no later row changes.
        let rows_at_once = match self.block_size / row_bytes {
            rows @ 0..PANEL => rows.max(1),
            rows => rows / PANEL * PANEL,
        };
        let (mut row, mut bytes) = (vec![0.0; length], vec![0; length]);
        self.begin(entry, (done * row_bytes) as u64).await?;
        let mut first = done;
        while first < count {
            let rows = rows_at_once.min(count - first);
            self.next_block(rows * row_bytes).await?;
            work::count(rows, length, PACKING);
            if let (0, Some((gamma, beta)), false) = (first, norm, to.smooth.is_empty()) {
                let mut block = vec![0.0; rows * length];
                cast(&self.block, float, &mut block);
                to.smooth = smoothing(gamma, beta, &block);
            }
            for (index, source) in (first..).zip(self.block.chunks_exact(row_bytes)) {
                if !cast(source, float, &mut row) {
                    return Err(not_finite(self.file, &entry.name));
                }
                to.set_row(role, index, &mut row, &mut bytes);
            }
            let finished =
                to.finished_bytes(role, first, count)..to.finished_bytes(role, first + rows, count);
            first += rows;
            if let Some(sink) = self.sink.as_deref_mut() {
                sink.write(&to.values.bytes()[finished]).await?;
            }
            if first < count && (role != Role::Panels || first.is_multiple_of(PANEL)) {
                let panel = if role == Role::Panels { PANEL } else { 1 };
                let next = (rows_at_once.max(panel)) * row_bytes;
                self.checkpoint(first as u64, to, next).await?;
            }
        }
        self.check(entry)?;
        if let (PackedValues::Q8(values), false) = (&to.values, to.sums.is_empty()) {
            to.sums = group_sums(values, to.smooth.len());
        }
        if let Some(sink) = self.sink.as_deref_mut() {
            for side_tensor in to.side_tensors() {
                sink.write(side_tensor).await?;
            }
        }
        self.tensor += 1;
        self.checkpoint(0, to, self.block_size).await
    }

    /// Goes to byte `from` of a tensor.
    async fn begin(&mut self, entry: &Entry, from: u64) -> Result<()> {
        let position = self.data + entry.range.start + from;
        self.skip_to(position).await?;
        if self.fetch.position() != position {
            return Err(Error::integrity(format!(
                "{}: the download stands at byte {} instead of {position}",
                self.file,
                self.fetch.position()
            )));
        }
        let hashed = self.fetch.is_hashed();
        let digest = self.fetch.tensor_digest(&entry.name).filter(|_| !hashed);
        if digest.is_none() && !hashed {
            self.verified = Verified::Length;
        }
        let resumed = self.resumed_hash.take().filter(|_| from > 0);
        self.hasher = digest.cloned().and_then(|digest| {
            // A tensor that was begun without its hash cannot be checked.
            let begun = resumed.as_deref().and_then(Hasher::restore);
            let hasher = match from {
                0 => Some(Hasher::of(&digest, 0)),
                _ => begun,
            };
            Some((hasher?, digest))
        });
        Ok(())
    }

    /// *Errors*: `Integrity` where a tensor is not what the lock file says.
    fn check(&mut self, entry: &Entry) -> Result<()> {
        match self.hasher.take() {
            Some((hasher, digest)) => {
                hasher.check(&format!("{}: tensor '{}'", self.file, entry.name), &digest)
            }
            None => Ok(()),
        }
    }

    /// Makes durable what was written, where the next bytes would be too far from what is.
    async fn checkpoint(&mut self, done: u64, loaded: &PackedTensor, next: usize) -> Result<()> {
        let position = self.fetch.position();
        let Some(sink) = self.sink.as_deref_mut() else {
            return Ok(());
        };
        if position - self.durable + (next as u64) <= self.interval {
            return Ok(());
        }
        let hash = self.hasher.as_ref();
        let at = ResumePoint {
            state: self.fetch.state(),
            tensor: self.tensor,
            done,
            side_tensors: match (done, self.packed) {
                (0, _) | (_, true) => Vec::new(),
                _ => loaded.side_tensors().collect::<Vec<_>>().concat(),
            },
            tensor_hash: hash.and_then(|(hasher, _)| hasher.save()),
        };
        sink.checkpoint(self.file, at).await?;
        self.durable = position;
        Ok(())
    }

    /// Passes over what is not needed.
    async fn skip_to(&mut self, position: u64) -> Result<()> {
        self.scheduler.yield_now().await?;
        let skipped = self.fetch.skip_to(position).await;
        skipped.map_err(|error| named(self.file, error))
    }

    /// To the very end of a file that is read whole, so that its digest is known.
    async fn end(&mut self, end: u64) -> Result<()> {
        if self.fetch.is_whole() {
            self.skip_to(end).await?;
        }
        self.fetch.finish(self.verified).await
    }

    async fn next_block(&mut self, length: usize) -> Result<()> {
        self.scheduler.yield_now().await?;
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
