//! Reading the weights, from one file or from shards, and handing them to the store in their packed form.

use burn::tensor::Device;

use super::checkpoint::{SHARD_INDEX, Shard, packed_name, shards};
use super::opening::{Opened, Opening};
use super::{FRONT, Loading, missing};
use crate::error::Result;
use crate::hub::{Fetch, Host, Verified};
use crate::weights::{self, Needs, Plan, Sink, Tensors};

impl<'a> Loading<'a, '_> {
    /// The weights, of which [`resolve`](Self::resolve) has asked for the front.
    ///
    /// *Errors*: `FetchFailed` where there is no such file.
    pub fn front(&mut self, file: &str) -> Result<Fetch<'a>> {
        self.take_front()?.ok_or_else(|| missing(file))
    }

    fn take_front(&mut self) -> Opened<'a> {
        std::mem::replace(&mut self.weights, Ok(None))
    }

    /// Begins to fetch the weights where they are stored: they come while something else is made.
    pub async fn open_weights(&mut self, file: String) -> Opening<'a> {
        if !self.cached {
            let there = self.take_front();
            return Opening::new(file, async move { there }, false).await;
        }
        let (host, snapshot, name) = (self.host, self.snapshot.clone(), file.clone());
        let retry = self.retry_policy();
        let opening = async move { Fetch::open(host, &snapshot, &name, u64::MAX, retry).await };
        Opening::new(file, opening, true).await
    }

    /// Reads the weights, and hands them to the store in their packed form.
    pub async fn weights(
        &mut self,
        opening: Opening<'a>,
        needs: &Needs<'_>,
        device: &Device,
    ) -> Result<Tensors> {
        let file = opening.file.clone();
        if file == SHARD_INDEX {
            return self.sharded(needs, device).await;
        }
        let there = opening.fetch().await?;
        let target = packed_name(needs.dtype, self.source.part);
        self.file(file, there, target, needs, device).await
    }

    /// Reads the shards one after the other. The store keeps one packed file of each.
    async fn sharded(&mut self, needs: &Needs<'_>, device: &Device) -> Result<Tensors> {
        let shards = self.shards(needs).await?;
        let names = shards.iter().map(|shard| shard.file.as_str());
        let sizes = names.filter_map(|file| self.known(file).size);
        self.total += sizes.sum::<u64>();
        let mut weights = Tensors::none(device);
        for shard in shards {
            let needs = Needs {
                parameters: &shard.parameters,
                ..*needs
            };
            weights.join(self.shard(&shard, &needs, device).await?);
        }
        Ok(weights)
    }

    /// What reading each shard would take.
    pub async fn plan_shards(&mut self, needs: &Needs<'_>) -> Result<Vec<(String, Plan)>> {
        let mut plans = Vec::new();
        for shard in self.shards(needs).await? {
            let needs = Needs {
                parameters: &shard.parameters,
                ..*needs
            };
            let fetch = self.open(&shard.file, FRONT).await?;
            let mut fetch = fetch.ok_or_else(|| missing(&shard.file))?;
            let plan = weights::plan(&shard.file, &mut fetch, &needs).await?;
            plans.push((shard.file, plan));
        }
        Ok(plans)
    }

    async fn shards(&mut self, needs: &Needs<'_>) -> Result<Vec<Shard>> {
        let index = self.required(SHARD_INDEX).await?;
        let mut shards = shards(&index, needs, self.source.part)?;
        for shard in &mut shards {
            if self.snapshot.lists(&shard.packed) {
                shard.file.clone_from(&shard.packed);
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
        let begun = self
            .writer
            .as_ref()
            .and_then(|writer| writer.stored_files(packed));
        let Some(begun) = begun else {
            let there = self.open(&shard.file, FRONT).await?;
            return self
                .file(shard.file.clone(), there, packed.clone(), needs, device)
                .await;
        };
        // An earlier load has stored it.
        let (snapshot, retry) = (begun.snapshot().await?, self.retry_policy());
        let fetch = Fetch::open(&begun, &snapshot, packed, u64::MAX, retry).await?;
        let mut fetch = fetch.ok_or_else(|| missing(packed))?;
        let scheduler = self.source.scheduler;
        let weights =
            weights::load(packed, &mut fetch, needs, device, None, None, scheduler).await?;
        self.loaded += self.known(&shard.file).size.unwrap_or(0);
        // By what it was checked then is not known any more.
        self.verified = self.verified.min(Verified::Length);
        Ok(weights)
    }

    /// Reads one file, from where an earlier load left it.
    async fn file(
        &mut self,
        file: String,
        there: Option<Fetch<'a>>,
        target: String,
        needs: &Needs<'_>,
        device: &Device,
    ) -> Result<Tensors> {
        let (mut resume, mut went_on) = (None, false);
        let mut fetch = there;
        let retry = self.retry_policy();
        if let Some(writer) = self.writer.as_mut() {
            if let Some((state, left)) = writer.resume(&target, &file).await? {
                let resumed = Fetch::resume(self.host, &self.snapshot, &file, state, retry);
                (fetch, resume) = (Some(resumed), Some(left));
                went_on = true;
            } else {
                if fetch.is_none() {
                    fetch = Fetch::open(self.host, &self.snapshot, &file, FRONT, retry).await?;
                }
                writer.begin(&target, &file, &self.snapshot).await?;
            }
        }
        let mut fetch = fetch.ok_or_else(|| missing(&file))?;
        // From here on the file itself tells how much of it is needed.
        self.total -= self.known(&file).size.unwrap_or(0);
        let report = self.reporter(&file);
        if went_on {
            report(fetch.position(), fetch.size().unwrap_or(fetch.position()));
        }
        fetch.on_read(report);
        let sink = self.writer.as_mut().map(|writer| writer as &mut dyn Sink);
        let scheduler = self.source.scheduler;
        let weights =
            weights::load(&file, &mut fetch, needs, device, sink, resume, scheduler).await?;
        self.loaded += fetch.wanted();
        self.total += fetch.wanted();
        if !self.cached {
            self.verified = self.verified.min(fetch.verified());
        }
        self.prepare(&file);
        Ok(weights)
    }
}
