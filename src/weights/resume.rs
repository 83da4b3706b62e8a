//! Resuming a load: the state that is saved at a resume point, and its use by a later load.

use super::Parameter;
use super::layout::PackedTensor;
use crate::error::{Error, Result};
use crate::hub::{ByteStream, FetchState};

/// The state of a load between two blocks, from which a later load can continue.
pub struct ResumePoint {
    /// The state of the source file's download.
    pub state: FetchState,
    /// The index of the tensor that is being read, in the order of the file.
    pub tensor: usize,
    /// The part of that tensor that is done: rows packed if the source is an upstream checkpoint, bytes copied if it is packed.
    pub units_done: u64,
    /// The contents so far of the tensor's side tensors, which follow its values in the packed file.
    pub side_tensors: Vec<u8>,
    /// The state of the tensor's hash, where a lock file has its digest.
    pub tensor_hash: Option<Vec<u8>>,
}

/// A partial download to continue from: the fields of its [`ResumePoint`], and the packed file that was stored up to there.
pub struct Resume {
    /// The source file's header, as [`Sink::keep_header`](super::Sink::keep_header) received it.
    pub header: Vec<u8>,
    /// The packed file up to the resume point.
    pub stored: Box<dyn ByteStream>,
    /// The index of the tensor that was being read, in the order of the file.
    pub tensor: usize,
    /// The part of that tensor that is done: rows packed if the source is an upstream checkpoint, bytes copied if it is packed.
    pub units_done: u64,
    /// The contents so far of the tensor's side tensors.
    pub side_tensors: Vec<u8>,
    /// The state of the tensor's hash, where a lock file has its digest.
    pub tensor_hash: Option<Vec<u8>>,
}

impl Resume {
    /// Reads the packed file's header and compares it with the one that this load would write.
    ///
    /// *Errors*: `Integrity` where they differ.
    pub(super) async fn check_header(&mut self, file: &str, expected: &[u8]) -> Result<()> {
        let mut found = vec![0; expected.len()];
        self.stored.read_exact(&mut found).await?;
        if found != expected {
            return Err(Error::integrity(format!(
                "{file}: the partial download has a different header"
            )));
        }
        Ok(())
    }

    /// Reads a tensor that is complete in the packed file.
    pub(super) async fn read_complete(&mut self, to: &mut PackedTensor) -> Result<()> {
        self.stored.read_exact(to.values.bytes_mut()).await?;
        for side_tensor in to.side_tensors_mut() {
            self.stored.read_exact(side_tensor).await?;
        }
        Ok(())
    }

    /// Reads the tensor at which the earlier load stopped, of which a packed file has `units_done` bytes.
    pub(super) async fn read_partial_bytes(&mut self, to: &mut PackedTensor) -> Result<()> {
        let mut remaining = self.units_done as usize;
        for part in to.parts_mut() {
            let count = remaining.min(part.len());
            self.stored.read_exact(&mut part[..count]).await?;
            remaining -= count;
        }
        Ok(())
    }

    /// Reads the tensor at which the earlier load stopped, of which an upstream checkpoint gave `units_done` rows.
    ///
    /// *Errors*: `Integrity` where the tensor has fewer rows, or a side tensor is missing.
    pub(super) async fn read_partial_rows(
        &mut self,
        parameter: &Parameter,
        to: &mut PackedTensor,
    ) -> Result<()> {
        let ([rows, _], rows_done) = (parameter.matrix(), self.units_done);
        if rows_done > rows as u64 {
            return Err(Error::integrity(format!(
                "tensor '{}': the partial download has {rows_done} rows, expected at most {rows}",
                parameter.name
            )));
        }
        let finished = to.finished_bytes(parameter.role, rows_done as usize, rows);
        self.stored
            .read_exact(&mut to.values.bytes_mut()[..finished])
            .await?;
        if rows_done == 0 {
            return Ok(());
        }
        let mut remaining = self.side_tensors.as_slice();
        for part in to.side_tensors_mut() {
            let (own, others) = remaining.split_at_checked(part.len()).ok_or_else(|| {
                Error::integrity(format!(
                    "tensor '{}': the partial download lacks a side tensor",
                    parameter.name
                ))
            })?;
            part.copy_from_slice(own);
            remaining = others;
        }
        Ok(())
    }
}
