//! Under which keys a model lies in a store.
//!
//! ```text
//! pilotlight/3/{host}/{model}#ref/{variant}/{revision}       which commit a branch stands for
//!                            #manifest/{variant}/{commit}    a model that is whole
//!                            #partial/{variant}              one that is on its way
//!                            #used/{variant}                 when it was loaded last
//!                            #chunk/{writing}/{file}/{n}     bytes, each writing's under a name of its own
//! ```

use crate::weights::Dtype;

/// Changes with the layout of keys and rows; what has another version is not looked at, and swept away in time.
pub(super) const VERSION: u32 = 3;

/// In front of every key.
pub(super) const EVERYTHING: &str = "pilotlight/";

/// What a stored model is found by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelKey {
    pub(super) host: String,
    pub(super) model: String,
    pub(super) revision: String,
    /// What of the model, and how: its dtype, which part of it, and the version of the packed form.
    pub(super) variant: String,
    base: String,
}

impl ModelKey {
    /// A model of a host at a revision, in a precision.
    pub fn new(host: &str, model: &str, revision: &str, dtype: Dtype) -> Self {
        let variant = format!("{}.{}", dtype.name(), crate::weights::PACK_VERSION);
        Self::of(host.trim_end_matches('/'), model, revision, &variant)
    }

    /// A part of the model that is loaded and kept by itself.
    pub fn part(&self, part: &str) -> Self {
        let variant = self.variant.replacen('.', &format!("-{part}."), 1);
        Self::of(&self.host, &self.model, &self.revision, &variant)
    }

    /// The precision, and which part of the model it is.
    pub(super) fn dtype_and_part(&self) -> (&str, Option<&str>) {
        let what = self.variant.split('.').next().unwrap_or_default();
        match what.split_once('-') {
            Some((dtype, part)) => (dtype, Some(part)),
            None => (what, None),
        }
    }

    /// What one load calls its chunks. It may write several parts, and a part of several commits, which are deleted one by one.
    pub(super) fn writing(&self, owner: &str, commit: &str) -> String {
        match self.dtype_and_part() {
            (_, Some(part)) => {
                let commit = blake3::hash(commit.as_bytes()).to_hex();
                format!("{owner}-{part}-{}", &commit[..8])
            }
            (_, None) => owner.into(),
        }
    }

    pub(super) fn of(host: &str, model: &str, revision: &str, variant: &str) -> Self {
        Self {
            host: host.into(),
            model: model.into(),
            revision: revision.into(),
            variant: variant.into(),
            base: format!("{}/{}/{}#", current(), escape(host), escape(model)),
        }
    }

    /// What only one tab at a time may write.
    pub fn lock_name(&self) -> &str {
        &self.base
    }

    pub(super) fn reference(&self) -> String {
        format!("{}{}", self.references(), escape(&self.revision))
    }

    pub(super) fn references(&self) -> String {
        format!("{}ref/{}/", self.base, self.variant)
    }

    pub(super) fn manifest(&self, commit: &str) -> String {
        format!("{}{}", self.manifests(), escape(commit))
    }

    pub(super) fn manifests(&self) -> String {
        format!("{}manifest/{}/", self.base, self.variant)
    }

    pub(super) fn partial(&self) -> String {
        format!("{}partial/{}", self.base, self.variant)
    }

    pub(super) fn used(&self) -> String {
        format!("{}used/{}", self.base, self.variant)
    }

    pub(super) fn chunks(&self, writing: &str) -> String {
        format!("{}chunk/{}/", self.base, escape(writing))
    }

    pub(super) fn chunk(&self, writing: &str, file: &str, index: usize) -> String {
        format!("{}{file}/{index}", self.chunks(writing))
    }
}

/// In front of every key of this version.
pub(super) fn current() -> String {
    format!("{EVERYTHING}{VERSION}")
}

/// `#` ends a model's or an index's part of the key, so no other's key may start alike.
pub(super) fn escape(text: &str) -> String {
    text.replace('%', "%25").replace('#', "%23")
}
