//! Streams that can be read once, and digests that the platform computes.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "support/tiny_bert.rs"]
mod tiny_bert;

use std::cell::Cell;
use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use pilotlight::{
    ByteStream, Digest, Dtype, Error, ErrorKind, Host, LoadProgress, MemoryHost, NoYield, Opened,
    PlatformHash, Result, Snapshot, Source, TextEmbedder, Verified,
};
use pollster::block_on;
use sha2::{Digest as _, Sha256};
use tiny_bert::files;

/// A host that lists digests, and whose weights are a stream that can be read once and that the platform hashes.
struct Hashed {
    files: MemoryHost,
    /// The stream's answer to the request to hash its bytes.
    hash: PlatformHash,
    /// The digest that the stream gives at its end.
    sha256: [u8; 32],
    /// The number of bytes after which the stream breaks.
    breaks: Option<usize>,
    /// The number of times that the weights were opened.
    opened: Cell<usize>,
}

struct HashedStream {
    inner: Box<dyn ByteStream>,
    hash: PlatformHash,
    sha256: [u8; 32],
    left: usize,
}

const WEIGHTS: &str = "model.safetensors";

fn sha256(file: &str) -> [u8; 32] {
    Sha256::digest(&files()[file]).into()
}

#[async_trait(?Send)]
impl Host for Hashed {
    async fn snapshot(&self) -> Result<Snapshot> {
        let mut snapshot = self.files.snapshot().await?;
        for (file, entry) in snapshot.files.as_mut().unwrap() {
            entry.digest = Some(Digest::Sha256(sha256(file)));
            entry.once = file == WEIGHTS;
        }
        Ok(snapshot)
    }

    async fn open(&self, _: Option<&str>, file: &str, range: Range<u64>) -> Result<Option<Opened>> {
        let opened = self.files.open(None, file, range).await?;
        if file != WEIGHTS {
            return Ok(opened);
        }
        self.opened.set(self.opened.get() + 1);
        Ok(opened.map(|opened| Opened {
            stream: Box::new(HashedStream {
                inner: opened.stream,
                hash: self.hash,
                sha256: self.sha256,
                left: self.breaks.unwrap_or(usize::MAX),
            }),
            ..opened
        }))
    }
}

#[async_trait(?Send)]
impl ByteStream for HashedStream {
    async fn read(&mut self, to: &mut [u8]) -> Result<usize> {
        if self.left == 0 {
            let error = Error::new(ErrorKind::FetchFailed, "it broke");
            return Err(error.transient(Duration::ZERO));
        }
        let count = to.len().min(self.left).min(10_007);
        let count = self.inner.read(&mut to[..count]).await?;
        self.left -= count;
        Ok(count)
    }

    async fn hash(&mut self) -> Result<PlatformHash> {
        Ok(self.hash)
    }

    async fn sha256(&mut self) -> Result<[u8; 32]> {
        Ok(self.sha256)
    }
}

#[test]
fn a_digest_of_the_platform_counts_as_one_of_this_crate() {
    let right = sha256(WEIGHTS);
    let wrong = right.map(|byte| byte ^ 1);
    for (hash, at_end, passes) in [
        (PlatformHash::None, wrong, true),
        (PlatformHash::Known(right), wrong, true),
        (PlatformHash::AtEnd, right, true),
        (PlatformHash::Known(wrong), right, false),
        (PlatformHash::AtEnd, wrong, false),
    ] {
        let host = Hashed {
            files: MemoryHost::new(files()),
            hash,
            sha256: at_end,
            breaks: None,
            opened: Cell::new(0),
        };
        let verified = Cell::new(None);
        let progress = |event: &LoadProgress| verified.set(event.verified.or(verified.get()));
        let source = Source {
            progress: &progress,
            ..Source::new(&host, &NoYield)
        };
        let loaded = block_on(TextEmbedder::load(&source, Dtype::F32, &pilotlight::cpu()));
        match loaded {
            Ok(_) => assert!(passes, "{hash:?} passed"),
            Err(error) => {
                assert_eq!((error.kind(), passes), (ErrorKind::Integrity, false));
                assert!(error.to_string().contains(WEIGHTS), "{error}");
            }
        }
        assert_eq!(verified.get(), passes.then_some(Verified::Sha256));
    }
}

#[test]
fn what_can_be_read_once_is_not_asked_for_again() {
    let host = Hashed {
        files: MemoryHost::new(files()),
        hash: PlatformHash::AtEnd,
        sha256: [0; 32],
        breaks: Some(50_000),
        opened: Cell::new(0),
    };
    let source = Source::new(&host, &NoYield);
    let loaded = block_on(TextEmbedder::load(&source, Dtype::F32, &pilotlight::cpu()));
    let error = loaded.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::FetchFailed);
    assert!(error.to_string().contains("it broke"), "{error}");
    assert_eq!(host.opened.get(), 1);
}
