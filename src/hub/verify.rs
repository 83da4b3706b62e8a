//! Digests of files: a stream that is hashed while it is read, and an error at its end where it is not what the host listed.

use async_trait::async_trait;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::ByteStream;
use crate::error::{Error, ErrorKind, Result};

/// WebAssembly hashes short pieces four times faster than one long one.
const PIECE: usize = 64 << 10;

/// What a file's content must hash to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Digest {
    /// Of the content: what the hub keeps of large files.
    Sha256([u8; 32]),
    /// Git's blob id, of the content's length and the content: what the hub keeps of small files.
    GitBlob([u8; 20]),
}

impl Digest {
    /// From 64 hexadecimal digits.
    pub fn sha256(hex: &str) -> Option<Self> {
        bytes(hex).map(Self::Sha256)
    }

    /// From 40 hexadecimal digits.
    pub fn git_blob(hex: &str) -> Option<Self> {
        bytes(hex).map(Self::GitBlob)
    }
}

fn bytes<const N: usize>(hex: &str) -> Option<[u8; N]> {
    if hex.len() != 2 * N || !hex.is_ascii() {
        return None;
    }
    let mut bytes = [0; N];
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).ok()?;
    }
    Some(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

enum Hasher {
    Sha256(Sha256),
    GitBlob(Sha1),
}

/// A file's bytes, which are all there and right when the stream has ended without an error.
pub struct VerifiedStream {
    file: String,
    stream: Box<dyn ByteStream>,
    expected: Digest,
    hasher: Option<Hasher>,
}

impl VerifiedStream {
    /// `size` is the whole file's, as the host listed it beside the digest.
    pub fn new(file: &str, stream: Box<dyn ByteStream>, expected: Digest, size: u64) -> Self {
        let hasher = match &expected {
            Digest::Sha256(_) => Hasher::Sha256(Sha256::new()),
            Digest::GitBlob(_) => Hasher::GitBlob(Sha1::new_with_prefix(format!("blob {size}\0"))),
        };
        Self {
            file: file.into(),
            stream,
            expected,
            hasher: Some(hasher),
        }
    }

    /// *Errors*: `Integrity` with both digests.
    fn finish(&mut self) -> Result<()> {
        let (name, found, expected) = match (self.hasher.take(), &self.expected) {
            (Some(Hasher::Sha256(hasher)), Digest::Sha256(expected)) => {
                ("sha256", hex(&hasher.finalize()), hex(expected))
            }
            (Some(Hasher::GitBlob(hasher)), Digest::GitBlob(expected)) => {
                ("git blob id", hex(&hasher.finalize()), hex(expected))
            }
            // The end was reached before.
            _ => return Ok(()),
        };
        if found == expected {
            return Ok(());
        }
        let message = format!(
            "{}: what arrived has the {name} {found}, but the host lists {expected}; load again",
            self.file
        );
        Err(Error::new(ErrorKind::Integrity, message))
    }
}

#[async_trait(?Send)]
impl ByteStream for VerifiedStream {
    fn length(&self) -> Option<u64> {
        self.stream.length()
    }

    async fn read(&mut self, to: &mut [u8]) -> Result<usize> {
        let count = self.stream.read(to).await?;
        if count == 0 && !to.is_empty() {
            self.finish()?;
        }
        for piece in to[..count].chunks(PIECE) {
            match &mut self.hasher {
                Some(Hasher::Sha256(hasher)) => hasher.update(piece),
                Some(Hasher::GitBlob(hasher)) => hasher.update(piece),
                None => {}
            }
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::MemoryStream;

    fn read(expected: Option<Digest>, size: u64) -> Result<Vec<u8>> {
        let content: Vec<u8> = (0..100_000u32).map(|i| i as u8).collect();
        let stream = Box::new(MemoryStream::new(content.into()));
        let mut stream = VerifiedStream::new("a.json", stream, expected.unwrap(), size);
        pollster::block_on(async {
            let (mut all, mut piece) = (Vec::new(), vec![0; 70_000]);
            loop {
                match stream.read(&mut piece).await? {
                    0 => return Ok(all),
                    count => all.extend_from_slice(&piece[..count]),
                }
            }
        })
    }

    // Both by `sha256sum` and `git hash-object` of those bytes.
    const SHA256: &str = "db8f1d69251d95e2c88268d3c540533cc5182e0e33065a6f3f322f606a574489";
    const BLOB: &str = "402b1f7d6557f94a5ad2625b0825214432ccbf56";

    #[test]
    fn what_is_as_listed_passes_and_what_is_not_is_an_integrity_error_with_both_digests() {
        assert_eq!(
            read(Digest::sha256(SHA256), 100_000).unwrap().len(),
            100_000
        );
        assert_eq!(
            read(Digest::git_blob(BLOB), 100_000).unwrap().len(),
            100_000
        );
        for (expected, size) in [
            (Digest::sha256(&SHA256.replace('a', "b")), 100_000),
            (Digest::git_blob(BLOB), 99_999),
        ] {
            let error = read(expected, size).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Integrity);
            assert!(error.to_string().starts_with("a.json: "), "{error}");
        }
    }

    #[test]
    fn what_is_no_digest_is_none() {
        for wrong in [
            "",
            "ab",
            &SHA256[1..],
            &format!("{}g", &SHA256[1..]),
            &"é".repeat(32),
        ] {
            assert_eq!(Digest::sha256(wrong), None, "{wrong}");
        }
    }
}
