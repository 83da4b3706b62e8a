//! Loading a model: from the store or from the host, with progress, and into the store.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use async_trait::async_trait;
use burn::tensor::Device;

use crate::error::{Error, ErrorKind, Result};
use crate::hub::{self, ByteStream, FileEntry, Host, read_small};
use crate::pace::Pace;
use crate::store::{ModelKey, ModelWriter, Store, StoredModel};
use crate::weights::{self, Dtype, Parameter, Sink, Weights};

const UPSTREAM: &str = "model.safetensors";

/// What the store always keeps, and a host may have.
fn packed_name(dtype: Dtype) -> String {
    format!("pilotlight-{}.safetensors", dtype.name())
}

fn missing(file: &str) -> Error {
    Error::fetch_failed(format!("{file}: the repository has no such file"))
}

/// What loading is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadStatus {
    /// Asking the host what there is.
    Plan,
    /// Bytes arrive.
    Download,
    /// Tokenizer and model are set up.
    Prepare,
    /// Done.
    Ready,
}

/// One step of loading.
#[derive(Clone, Debug)]
pub struct LoadProgress<'a> {
    /// What is being done.
    pub status: LoadStatus,
    /// The file under way.
    pub file: Option<&'a str>,
    /// Bytes so far, over all files.
    pub loaded: u64,
    /// Bytes in all as far as known.
    pub total: u64,
    /// Whether the bytes come from the store.
    pub cached: bool,
}

/// Where a model comes from and where it is kept.
pub struct Source<'a> {
    /// The repository.
    pub host: &'a dyn Host,
    /// Where the packed model is kept, and under which key and nonce.
    pub store: Option<(&'a dyn Store, ModelKey, u64)>,
    /// Called at every step.
    pub progress: &'a dyn Fn(&LoadProgress),
    /// Cancels.
    pub pace: &'a dyn Pace,
}

/// Builds a model from the store where it is whole there, else from the host, and then keeps it.
///
/// *Errors*: those of `build`, `FetchFailed`, `Integrity`, `QuotaExceeded`, `Aborted`; nothing that could be read is left in the
/// store then.
pub async fn load<T>(
    source: &Source<'_>,
    build: impl AsyncFn(&mut Loading<'_, '_>) -> Result<T>,
) -> Result<T> {
    let Some((store, key, nonce)) = &source.store else {
        return Loading::new(source.host, source, false, None)
            .run(&build)
            .await;
    };
    if let Some(stored) = StoredModel::open(*store, key).await? {
        match Loading::new(&stored, source, true, None).run(&build).await {
            // What is stored cannot be used: it goes, and the host is asked.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::Integrity | ErrorKind::InvalidWeights
                ) =>
            {
                stored.delete().await?;
            }
            done => return done,
        }
    }
    let writer = ModelWriter::new(*store, key, *nonce);
    Loading::new(source.host, source, false, Some(writer))
        .run(&build)
        .await
}

/// One way through the files of a repository, from the host or from the store.
pub struct Loading<'a, 's> {
    host: &'a dyn Host,
    source: &'a Source<'s>,
    cached: bool,
    writer: Option<ModelWriter<'s>>,
    listed: Option<HashMap<String, FileEntry>>,
    loaded: u64,
    total: u64,
}

impl<'a, 's> Loading<'a, 's> {
    fn new(
        host: &'a dyn Host,
        source: &'a Source<'s>,
        cached: bool,
        writer: Option<ModelWriter<'s>>,
    ) -> Self {
        Self {
            host,
            source,
            cached,
            writer,
            listed: None,
            loaded: 0,
            total: 0,
        }
    }

    /// Builds the model and makes it readable in the store, or leaves nothing of it there.
    async fn run<T>(
        mut self,
        build: &impl AsyncFn(&mut Loading<'_, '_>) -> Result<T>,
    ) -> Result<T> {
        let mut done = build(&mut self).await;
        if let Some(writer) = &mut self.writer {
            if done.is_ok() {
                done = writer.commit().await.and(done);
            }
            if done.is_err() {
                // The first failure is the one to report; what a failing clean-up leaves cannot be read anyway.
                let _ = writer.abandon().await;
            }
        }
        if done.is_ok() {
            self.report(LoadStatus::Ready, None);
        }
        done
    }

    /// Asks what there is, sums up what is known of the sizes of `files` and the weights, and returns which file has these:
    /// the packed one where the host lists it, else the checkpoint.
    pub async fn plan(&mut self, dtype: Dtype, files: &[&str]) -> Result<String> {
        self.source.pace.breathe().await?;
        self.report(LoadStatus::Plan, None);
        let entries = self.host.list().await?;
        self.listed = entries.map(|list| {
            list.into_iter()
                .map(|entry| (entry.path.clone(), entry))
                .collect()
        });
        let packed = packed_name(dtype);
        let weights = if self.entry(&packed).is_some() {
            packed
        } else {
            UPSTREAM.into()
        };
        let files = files.iter().copied().chain([weights.as_str()]);
        self.total = files.filter_map(|file| self.known_size(file)).sum();
        self.report(LoadStatus::Plan, None);
        Ok(weights)
    }

    /// Begins to fetch the weights where they are stored: they come while something else is made.
    pub async fn open_weights(&self, file: String) -> Opening<'a> {
        let (host, entry, name) = (self.host, self.entry(&file), file.clone());
        let opened = async move { hub::open(host, &name, entry).await };
        Opening::new(file, opened, self.cached).await
    }

    /// Reads the weights, and hands them to the store in their packed form.
    pub async fn weights(
        &mut self,
        opening: Opening<'a>,
        parameters: &[Parameter],
        prefixes: &[&str],
        dtype: Dtype,
        device: &Device,
    ) -> Result<Weights> {
        let file = opening.file.clone();
        let mut stream = opening.stream().await?.ok_or_else(|| missing(&file))?;
        if self.known_size(&file).is_none() {
            self.total += stream.length().unwrap_or(0);
        }
        if let Some(writer) = self.writer.as_mut() {
            writer.begin(&packed_name(dtype)).await?;
        }
        let before = self.loaded;
        let mut counted = Counted {
            stream: stream.as_mut(),
            received: 0,
            report: &|received| {
                self.source.report(
                    LoadStatus::Download,
                    Some(&file),
                    before + received,
                    self.total,
                    self.cached,
                )
            },
        };
        let sink = self.writer.as_mut().map(|writer| writer as &mut dyn Sink);
        let pace = self.source.pace;
        let weights = weights::load(
            &file,
            &mut counted,
            parameters,
            prefixes,
            dtype,
            device,
            sink,
            pace,
        )
        .await?;
        self.loaded += counted.received;
        self.prepare(&file);
        Ok(weights)
    }

    /// Says that something is made of a file now.
    pub fn prepare(&self, file: &str) {
        self.report(LoadStatus::Prepare, Some(file));
    }

    /// A config file that must be there.
    pub async fn required(&mut self, file: &str) -> Result<Vec<u8>> {
        self.small(file).await?.ok_or_else(|| missing(file))
    }

    /// A config file, or `None` where there is none; it is stored on the way.
    pub async fn small(&mut self, file: &str) -> Result<Option<Vec<u8>>> {
        if self
            .listed
            .as_ref()
            .is_some_and(|listed| !listed.contains_key(file))
        {
            return Ok(None);
        }
        self.source.pace.breathe().await?;
        let Some(stream) = hub::open(self.host, file, self.entry(file)).await? else {
            return Ok(None);
        };
        let bytes = read_small(file, stream).await?;
        if bytes.trim_ascii_start().starts_with(b"<") {
            return Err(Error::fetch_failed(format!(
                "{file}: the host answered with an HTML page instead of the file"
            )));
        }
        if let Some(writer) = self.writer.as_mut() {
            writer.begin(file).await?;
            writer.write(&bytes).await?;
        }
        self.loaded += bytes.len() as u64;
        if self.known_size(file).is_none() {
            self.total += bytes.len() as u64;
        }
        self.report(LoadStatus::Download, Some(file));
        Ok(Some(bytes))
    }

    /// What the host's list says of a file.
    fn entry(&self, file: &str) -> Option<FileEntry> {
        self.listed.as_ref()?.get(file).cloned()
    }

    fn known_size(&self, file: &str) -> Option<u64> {
        self.entry(file)?.size
    }

    fn report(&self, status: LoadStatus, file: Option<&str>) {
        self.source.report(
            status,
            file,
            self.loaded,
            self.total.max(self.loaded),
            self.cached,
        );
    }
}

impl Source<'_> {
    fn report(
        &self,
        status: LoadStatus,
        file: Option<&str>,
        loaded: u64,
        total: u64,
        cached: bool,
    ) {
        (self.progress)(&LoadProgress {
            status,
            file,
            loaded,
            total: total.max(loaded),
            cached,
        });
    }
}

type Opened = Result<Option<Box<dyn ByteStream>>>;

/// A file that is being opened while something else is done.
pub struct Opening<'a> {
    file: String,
    future: Pin<Box<dyn Future<Output = Opened> + 'a>>,
    done: Poll<Opened>,
}

impl<'a> Opening<'a> {
    /// `early`: it begins now, and else when the stream is wanted.
    async fn new(file: String, future: impl Future<Output = Opened> + 'a, early: bool) -> Self {
        let mut future: Pin<Box<dyn Future<Output = Opened> + 'a>> = Box::pin(future);
        let done = if early {
            poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
        } else {
            Poll::Pending
        };
        Self { file, future, done }
    }

    async fn stream(self) -> Opened {
        match self.done {
            Poll::Ready(opened) => opened,
            Poll::Pending => self.future.await,
        }
    }
}

/// Counts the bytes that pass.
struct Counted<'a> {
    stream: &'a mut dyn ByteStream,
    received: u64,
    report: &'a dyn Fn(u64),
}

/// Progress is reported at most once in so many bytes: a Worker's stream comes in pieces of 4 KiB.
const REPORT_EVERY: u64 = 256 << 10;

#[async_trait(?Send)]
impl ByteStream for Counted<'_> {
    fn length(&self) -> Option<u64> {
        self.stream.length()
    }

    async fn read(&mut self, to: &mut [u8]) -> Result<usize> {
        let count = self.stream.read(to).await?;
        let before = self.received;
        self.received += count as u64;
        if count == 0 || before / REPORT_EVERY != self.received / REPORT_EVERY {
            (self.report)(self.received);
        }
        Ok(count)
    }
}
