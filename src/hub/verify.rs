//! Digests of files and tensors, and hashers whose state can be saved and restored by a later load.

use std::fmt;

use sha1::Sha1;
use sha2::digest::common::hazmat::SerializableState;
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};

/// Bytes that are hashed in one call. WebAssembly hashes in short calls four times faster than in one long call.
const HASH_PIECE: usize = 64 << 10;

/// The expected digest of some content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Digest {
    /// SHA-256 of the content, which the hub lists of large files.
    Sha256([u8; 32]),
    /// Git's blob id, the SHA-1 of the content's length and the content, which the hub lists of small files.
    GitBlob([u8; 20]),
}

impl Digest {
    /// Parses a SHA-256 of 64 hexadecimal digits.
    pub fn sha256(hex: &str) -> Option<Self> {
        bytes(hex).map(Self::Sha256)
    }

    /// Parses a blob id of 40 hexadecimal digits.
    pub fn git_blob(hex: &str) -> Option<Self> {
        bytes(hex).map(Self::GitBlob)
    }

    /// Compares the digest of the downloaded bytes with this one.
    ///
    /// *Errors*: `Integrity` naming `what`, with both digests.
    pub fn check(&self, what: &str, found: &Self) -> Result<()> {
        if found == self {
            return Ok(());
        }
        Err(Error::integrity(format!(
            "{what}: expected the {self} that the host lists, but the download has the {found}; load again"
        )))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, bytes): (_, &[u8]) = match self {
            Self::Sha256(bytes) => ("sha256", bytes),
            Self::GitBlob(bytes) => ("git blob id", bytes),
        };
        write!(f, "{name} ")?;
        bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Parses exactly `N` bytes in hexadecimal.
fn bytes<const N: usize>(hex: &str) -> Option<[u8; N]> {
    let (pairs, []) = hex.as_bytes().as_chunks::<2>() else {
        return None;
    };
    let digit = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
    let bytes: Option<Vec<u8>> = pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?))
        .collect();
    bytes?.try_into().ok()
}

/// The level at which the bytes of a model were verified against its host, from the weakest to the strongest; the weakest of its files counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verified {
    /// The lengths were compared and, if the host sends ETags, the ETag stayed the same.
    Length,
    /// The digests of tensors were compared with the repository's lock file.
    Lock,
    /// The digests of whole files were compared.
    Sha256,
}

impl Verified {
    /// The name of the level in JavaScript.
    pub fn name(self) -> &'static str {
        match self {
            Self::Length => "length",
            Self::Lock => "lock",
            Self::Sha256 => "sha256",
        }
    }

    /// The level with this name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Length, Self::Lock, Self::Sha256]
            .into_iter()
            .find(|verified| verified.name() == name)
    }
}

/// Computes the digest of content that arrives in pieces.
#[derive(Clone)]
pub enum Hasher {
    /// Computes a [`Digest::Sha256`].
    Sha256(Sha256),
    /// Computes a [`Digest::GitBlob`].
    GitBlob(Sha1),
}

impl Hasher {
    /// A hasher for the kind of this digest. A blob id covers `size`, the content's length, too.
    pub fn of(digest: &Digest, size: u64) -> Self {
        match digest {
            Digest::Sha256(_) => Self::Sha256(Sha256::new()),
            Digest::GitBlob(_) => Self::GitBlob(Sha1::new_with_prefix(format!("blob {size}\0"))),
        }
    }

    /// Adds the next bytes of the content.
    pub fn update(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(HASH_PIECE) {
            match self {
                Self::Sha256(hasher) => hasher.update(piece),
                Self::GitBlob(hasher) => hasher.update(piece),
            }
        }
    }

    /// The digest of all bytes that were added.
    pub fn finish(self) -> Digest {
        match self {
            Self::Sha256(hasher) => Digest::Sha256(hasher.finalize().into()),
            Self::GitBlob(hasher) => Digest::GitBlob(hasher.finalize().into()),
        }
    }

    /// The state of the hasher, for [`restore`](Self::restore). `None` for a blob id: its files are small and not resumed.
    pub fn save(&self) -> Option<Vec<u8>> {
        match self {
            Self::Sha256(hasher) => Some(hasher.serialize().to_vec()),
            Self::GitBlob(_) => None,
        }
    }

    /// A hasher with a saved state; `None` if the state is damaged.
    pub fn restore(saved: &[u8]) -> Option<Self> {
        let hasher = Sha256::deserialize(saved.try_into().ok()?).ok()?;
        Some(Self::Sha256(hasher))
    }

    /// Compares the digest of all bytes that were added with the expected one.
    ///
    /// *Errors*: `Integrity` naming `what`, with both digests.
    pub fn check(self, what: &str, expected: &Digest) -> Result<()> {
        expected.check(what, &self.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    // Both by `sha256sum` and `git hash-object` of these bytes.
    const SHA256: &str = "db8f1d69251d95e2c88268d3c540533cc5182e0e33065a6f3f322f606a574489";
    const BLOB: &str = "402b1f7d6557f94a5ad2625b0825214432ccbf56";

    fn content() -> Vec<u8> {
        (0..100_000u32).map(|i| i as u8).collect()
    }

    fn check(expected: Option<Digest>, size: u64) -> Result<()> {
        let expected = expected.unwrap();
        let mut hasher = Hasher::of(&expected, size);
        content()
            .chunks(70_000)
            .for_each(|piece| hasher.update(piece));
        hasher.check("a.json", &expected)
    }

    #[test]
    fn what_is_as_listed_passes_and_what_is_not_is_an_integrity_error_with_both_digests() {
        check(Digest::sha256(SHA256), 100_000).unwrap();
        check(Digest::git_blob(BLOB), 100_000).unwrap();
        for (expected, size) in [
            (Digest::sha256(&SHA256.replace('a', "b")), 100_000),
            (Digest::git_blob(BLOB), 99_999),
        ] {
            let error = check(expected, size).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Integrity);
            assert!(error.to_string().starts_with("a.json: "), "{error}");
        }
    }

    #[test]
    fn hashing_goes_on_from_what_was_saved_at_any_place() {
        let (expected, content) = (Digest::sha256(SHA256).unwrap(), content());
        for at in [0, 1, 63, 64, 65, 99_999] {
            let mut first = Hasher::of(&expected, 0);
            first.update(&content[..at]);
            let saved = first.save().unwrap();
            let mut second = Hasher::restore(&saved).unwrap();
            second.update(&content[at..]);
            assert_eq!(second.finish(), expected, "{at}");
            assert!(Hasher::restore(&saved[1..]).is_none());
        }
    }

    #[test]
    fn what_is_no_digest_is_none() {
        for wrong in [
            "",
            "ab",
            SHA256.split_at(1).1,
            &format!("{}g", SHA256.split_at(1).1),
            &format!("+{}", SHA256.split_at(1).1),
            &"é".repeat(32),
        ] {
            assert_eq!(Digest::sha256(wrong), None, "{wrong}");
        }
    }
}
