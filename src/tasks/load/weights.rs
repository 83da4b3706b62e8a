//! Loading the weights from one file or from shards, while the store receives them in packed form.

use burn::tensor::Device;

use super::checkpoint::{Shard, is_index, packed_name, shards};
use super::choice::Weights;
use super::opening::{OpenResult, Opening};
use super::readable::Readable;
use super::{FRONT, Loading, missing};
use crate::error::Result;
use crate::hub::{Fetch, Host, Verified};
use crate::weights::{self, Needs, Plan, Sink, Tensors, data_file};

impl<'a> Loading<'a, '_> {
    /// Returns the weights' download, which [`resolve`](Self::resolve) has started with a request for the first bytes.
    ///
    /// *Errors*: `FetchFailed` where there is no such file.
    pub fn front(&mut self, file: &str) -> Result<Fetch<'a>> {
        self.take_front()?.ok_or_else(|| missing(file))
    }

    fn take_front(&mut self) -> OpenResult<'a> {
        std::mem::replace(&mut self.front, Ok(None))
    }

    /// Returns an [`Opening`] of the stored weights; nothing is read until it is started.
    pub(super) fn opening(&self, file: String) -> Opening<'a> {
        let (host, snapshot, retry) = (self.host, self.snapshot.clone(), self.retry_policy());
        Opening::new(async move { Fetch::open(host, &snapshot, &file, u64::MAX, retry).await })
    }

    /// Reads the weights from `file`, and writes them to the store in packed form.
    pub async fn weights(
        &mut self,
        file: String,
        needs: &Needs<'_>,
        device: &Device,
    ) -> Result<Tensors> {
        if is_index(&file) {
            return self.sharded(&file, needs, device).await;
        }
        let front = match self.opening.take() {
            Some(opening) => opening.fetch().await?,
            None => self.take_front()?,
        };
        let readable = self.readable(file, front, needs).await?;
        if is_index(&readable.file) {
            return self.sharded(&readable.file, needs, device).await;
        }
        let target = packed_name(needs.dtype, self.source.part);
        self.file(readable, target, needs, device).await
    }

    /// Reads the shards one after the other. The store keeps one packed file for each.
    async fn sharded(
        &mut self,
        index: &str,
        needs: &Needs<'_>,
        device: &Device,
    ) -> Result<Tensors> {
        let shards = self.shards(index, needs).await?;
        let names = shards.iter().map(|shard| shard.file.as_str());
        let sizes = names.filter_map(|file| self.known(file).size);
        self.bytes.total += sizes.sum::<u64>();
        let mut tensors = Tensors::none(device);
        for shard in shards {
            let needs = Needs {
                parameters: &shard.parameters,
                ..*needs
            };
            tensors.join(self.shard(&shard, &needs, device).await?);
        }
        Ok(tensors)
    }

    /// Computes the cost of reading each shard.
    pub async fn plan_shards(
        &mut self,
        index: &str,
        needs: &Needs<'_>,
    ) -> Result<Vec<(String, Plan)>> {
        let mut plans = Vec::new();
        for shard in self.shards(index, needs).await? {
            let needs = Needs {
                parameters: &shard.parameters,
                ..*needs
            };
            let fetch = self.open(&shard.file, FRONT).await?;
            let mut fetch = fetch.ok_or_else(|| missing(&shard.file))?;
            let plan = weights::plan(&shard.file, &mut fetch, None, &needs).await?;
            plans.push((shard.file, plan));
        }
        Ok(plans)
    }

    async fn shards(&mut self, file: &str, needs: &Needs<'_>) -> Result<Vec<Shard>> {
        let index = self.required(file).await?;
        let mut shards = shards(file, &index, needs, self.source.part)?;
        // Stored shards are packed. Packed shards of a host are taken only if the loader chooses the weights.
        if !self.cached && self.source.weights != Weights::Auto {
            return Ok(shards);
        }
        for shard in &mut shards {
            if self.snapshot.lists(&shard.packed) {
                shard.file.clone_from(&shard.packed);
            } else if self.layers().is_some() && self.snapshot.lists(&shard.packed_whole) {
                shard.file.clone_from(&shard.packed_whole);
            }
        }
        Ok(shards)
    }

    async fn shard(
        &mut self,
        shard: &Shard,
        needs: &Needs<'_>,
        device: &Device,
    ) -> Result<Tensors> {
        let packed = &shard.packed;
        let stored = self
            .writer
            .as_ref()
            .and_then(|writer| writer.stored_files(packed));
        let Some(stored) = stored else {
            let front = self.open(&shard.file, FRONT).await?;
            let readable = Readable::unread(shard.file.clone(), front);
            return self.file(readable, packed.clone(), needs, device).await;
        };
        // An earlier load has stored this shard.
        let (snapshot, retry) = (stored.snapshot().await?, self.retry_policy());
        let fetch = Fetch::open(&stored, &snapshot, packed, u64::MAX, retry).await?;
        let mut fetch = fetch.ok_or_else(|| missing(packed))?;
        let scheduler = self.source.scheduler;
        let tensors = weights::load(
            packed, &mut fetch, None, needs, device, None, None, scheduler,
        )
        .await?;
        self.bytes.loaded += self.known(&shard.file).size.unwrap_or(0);
        // The level at which a stored shard was verified is not recorded: report the weakest one.
        self.verified = self.verified.min(Verified::Length);
        Ok(tensors.packed_as(packed))
    }

    /// Reads one file, and writes its packed form to the store as `target`. A partial download of it is resumed.
    async fn file(
        &mut self,
        readable: Readable<'a>,
        target: String,
        needs: &Needs<'_>,
        device: &Device,
    ) -> Result<Tensors> {
        let Readable {
            file,
            mut data,
            front: mut fetch,
            header,
            described,
        } = readable;
        let mut resume = None;
        let header = header.or_else(|| self.source.take_header(&file));
        let retry = self.retry_policy();
        if let Some(writer) = self.writer.as_mut() {
            if let Some((state, partial)) = writer.resume(&target, &file).await? {
                data = data_file(&file, &partial.header)?.unwrap_or(data);
                let resumed = Fetch::resume(self.host, &self.snapshot, &data, state, retry);
                (fetch, resume) = (Some(resumed), Some(partial));
            } else {
                if fetch.is_none() {
                    fetch = Fetch::open(self.host, &self.snapshot, &file, FRONT, retry).await?;
                }
                writer.begin(&target, &file, &self.snapshot).await?;
                if data != file {
                    writer.depends(&data, &self.snapshot);
                }
            }
        }
        let mut fetch = fetch.ok_or_else(|| missing(&file))?;
        // The file's header determines how much of it is read, so its whole size no longer counts.
        self.bytes.total -= self.known(&file).size.unwrap_or(0);
        self.bytes.loaded += described;
        self.bytes.total += described;
        let report = self.reporter(&data);
        if resume.is_some() {
            report(fetch.position(), fetch.size().unwrap_or(fetch.position()));
        }
        fetch.on_read(report);
        let sink = self.writer.as_mut().map(|writer| writer as &mut dyn Sink);
        let scheduler = self.source.scheduler;
        let tensors = weights::load(
            &file, &mut fetch, header, needs, device, sink, resume, scheduler,
        )
        .await?;
        self.bytes.loaded += fetch.wanted();
        self.bytes.total += fetch.wanted();
        if !self.cached {
            self.verified = self.verified.min(fetch.verified());
            if data != file {
                // The graph, which has the places of the tensors, was read in parts.
                self.verified = self.verified.min(Verified::Length);
            }
        }
        self.prepare(&file);
        Ok(tensors.packed_as(&target))
    }
}
