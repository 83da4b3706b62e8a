//! The layout of a store: how the key of every entry is formed. `docs/store-layout.md` has the order of writes.
//!
//! ```text
//! pilotlight/3/{host}/{model}#ref/{variant}/{revision}       the commit that a branch or tag points to
//!                            #manifest/{variant}/{commit}    a complete model
//!                            #partial/{variant}              a partial download
//!                            #used/{variant}                 the time of the last load
//!                            #chunk/{write_id}/{file}/{n}    bytes of a file, under the id of the load that wrote them
//!                            #chunk/{write_id}/head          the header of the weights file, for resuming
//!                            #chunk/{write_id}/tokenizer     the packed form of the tokenizer
//!
//! pilotlight-index/1/{name}#manifest                         a complete vector index
//!                          #chunk/{digest}                   bytes of the index
//! pilotlight-classifier/1/{name}#manifest                    a complete classifier
//!                               #chunk/{digest}              bytes of its JSON
//! pilotlight-detector/1/{name}#…                             the same for a detector
//! pilotlight-history/1/{id}#…                                the same for a record of a detector's history
//! ```

use std::borrow::Cow;

use crate::error::{Error, Result};
use crate::store::Store;
use crate::weights::Dtype;

/// Version of the keys and rows of models. Entries of other versions are never read, and a sweep deletes them.
const VERSION: u32 = 3;

/// Prefix of the keys of models, whatever their version.
pub(super) const MODELS: &str = "pilotlight/";

/// The kind of a value that is stored under a name of the caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Named {
    Index,
    Classifier,
    Detector,
    Record,
}

impl Named {
    pub const ALL: [Self; 4] = [Self::Index, Self::Classifier, Self::Detector, Self::Record];

    /// Prefix of the keys, with the version of keys, manifests and chunks. It differs from [`MODELS`], so that listing models lists
    /// nothing else.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Index => "pilotlight-index/1/",
            Self::Classifier => "pilotlight-classifier/1/",
            Self::Detector => "pilotlight-detector/1/",
            Self::Record => "pilotlight-history/1/",
        }
    }

    /// The word for messages.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Classifier => "classifier",
            Self::Detector => "detector",
            Self::Record => "record",
        }
    }
}

const REFERENCE: &str = "ref";
const MANIFEST: &str = "manifest";
const PARTIAL: &str = "partial";
const USED: &str = "used";
const CHUNK: &str = "chunk";
const HEAD: &str = "head";
const TOKENIZER: &str = "tokenizer";

/// One entry of a stored model: the part of its key after `#`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StoreKey<'a> {
    /// The commit that a branch or tag points to.
    Reference {
        variant: &'a str,
        revision: Cow<'a, str>,
    },
    /// A complete model.
    Manifest {
        variant: &'a str,
        commit: Cow<'a, str>,
    },
    /// A partial download.
    Partial { variant: &'a str },
    /// The time of the last load.
    Used { variant: &'a str },
    /// The header of the weights file, for resuming a partial download.
    Head { write_id: Cow<'a, str> },
    /// The packed form of the tokenizer of a complete model.
    Tokenizer { write_id: Cow<'a, str> },
    /// The bytes of one chunk of a file.
    Chunk {
        write_id: Cow<'a, str>,
        file: &'a str,
        index: usize,
    },
}

impl<'a> StoreKey<'a> {
    /// The whole key of this entry, for a model whose keys start with `base`.
    pub fn format(&self, base: &str) -> String {
        match self {
            Self::Reference { variant, revision } => {
                format!("{base}{REFERENCE}/{variant}/{}", escape(revision))
            }
            Self::Manifest { variant, commit } => {
                format!("{base}{MANIFEST}/{variant}/{}", escape(commit))
            }
            Self::Partial { variant } => format!("{base}{PARTIAL}/{variant}"),
            Self::Used { variant } => format!("{base}{USED}/{variant}"),
            Self::Head { write_id } => format!("{base}{CHUNK}/{}/{HEAD}", escape(write_id)),
            Self::Tokenizer { write_id } => {
                format!("{base}{CHUNK}/{}/{TOKENIZER}", escape(write_id))
            }
            Self::Chunk {
                write_id,
                file,
                index,
            } => format!("{base}{CHUNK}/{}/{file}/{index}", escape(write_id)),
        }
    }

    /// Returns the entry of a key; `None` if it is not a key of a model in the current version.
    pub fn parse(key: &'a str) -> Option<Self> {
        let base = model_base(key)?;
        let (kind, rest) = key.strip_prefix(base)?.split_once('/')?;
        Some(match kind {
            REFERENCE => {
                let (variant, revision) = rest.split_once('/')?;
                let revision = unescape(revision);
                Self::Reference { variant, revision }
            }
            MANIFEST => {
                let (variant, commit) = rest.split_once('/')?;
                let commit = unescape(commit);
                Self::Manifest { variant, commit }
            }
            PARTIAL => Self::Partial { variant: rest },
            USED => Self::Used { variant: rest },
            CHUNK => {
                let (write_id, rest) = rest.split_once('/')?;
                let write_id = unescape(write_id);
                match rest {
                    HEAD => return Some(Self::Head { write_id }),
                    TOKENIZER => return Some(Self::Tokenizer { write_id }),
                    _ => {}
                }
                let (file, index) = rest.rsplit_once('/')?;
                Self::Chunk {
                    write_id,
                    file,
                    index: index.parse().ok()?,
                }
            }
            _ => return None,
        })
    }
}

/// Identifies a stored model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelKey {
    pub(super) host: String,
    pub(super) model: String,
    pub(super) revision: String,
    /// The dtype, the part of the model if it is loaded in parts, the version of the packed form, and the option `weights` unless it is
    /// the default: `q8-text.4`, `q8.4.model.Q4_1.gguf`.
    pub(super) variant: String,
    base: String,
}

impl ModelKey {
    /// The key of a model on a host, at a revision, with weights of a dtype.
    pub fn new(host: &str, model: &str, revision: &str, dtype: Dtype) -> Self {
        let variant = format!("{}.{}", dtype.name(), crate::weights::PACK_VERSION);
        Self::of(host.trim_end_matches('/'), model, revision, &variant)
    }

    /// The key of this model from a file other than the default; the argument is the value of the option `weights`.
    pub fn weights(&self, weights: &str) -> Self {
        // A key has the variant between slashes.
        let weights = escape(weights).replace('/', "%2F");
        let variant = format!("{}.{weights}", self.variant);
        Self::of(&self.host, &self.model, &self.revision, &variant)
    }

    /// The key of one part of this model, such as the text tower or the first layers, which is stored separately.
    pub fn part(&self, part: &str) -> Self {
        let variant = self.variant.replacen('.', &format!("-{part}."), 1);
        Self::of(&self.host, &self.model, &self.revision, &variant)
    }

    /// The dtype's name, and the part of the model if this is the key of a part.
    pub(super) fn dtype_and_part(&self) -> (&str, Option<&str>) {
        let name = self.variant.split('.').next().unwrap_or_default();
        match name.split_once('-') {
            Some((dtype, part)) => (dtype, Some(part)),
            None => (name, None),
        }
    }

    /// The option `weights` of the load, unless it was the default.
    pub(super) fn weights_option(&self) -> Option<String> {
        let name = self.variant.splitn(3, '.').nth(2)?;
        Some(unescape(&name.replace("%2F", "/")).into_owned())
    }

    /// The id under which one load writes its chunks. Parts of a model, and commits of a part, get different ids, because one
    /// load may write several of them and each can be deleted alone.
    pub(super) fn write_id(&self, owner: &str, commit: &str) -> String {
        match self.dtype_and_part() {
            (_, Some(part)) => {
                let commit = blake3::hash(commit.as_bytes()).to_hex();
                format!("{owner}-{part}-{commit:.8}")
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
            base: format!("{}{}/{}#", current_models(), escape(host), escape(model)),
        }
    }

    /// The name of the lock that a writer of this model holds; all variants and revisions share it.
    pub fn lock_name(&self) -> &str {
        &self.base
    }

    pub(super) fn reference(&self) -> String {
        self.reference_to(&self.revision)
    }

    /// Prefix of the keys of all references of this variant.
    pub(super) fn references(&self) -> String {
        self.reference_to("")
    }

    fn reference_to(&self, revision: &str) -> String {
        let (variant, revision) = (self.variant.as_str(), revision.into());
        StoreKey::Reference { variant, revision }.format(&self.base)
    }

    pub(super) fn manifest(&self, commit: &str) -> String {
        let (variant, commit) = (self.variant.as_str(), commit.into());
        StoreKey::Manifest { variant, commit }.format(&self.base)
    }

    /// Prefix of the keys of all manifests of this variant.
    pub(super) fn manifests(&self) -> String {
        self.manifest("")
    }

    pub(super) fn partial(&self) -> String {
        let variant = &self.variant;
        StoreKey::Partial { variant }.format(&self.base)
    }

    pub(super) fn used(&self) -> String {
        let variant = &self.variant;
        StoreKey::Used { variant }.format(&self.base)
    }

    /// Prefix of the keys of all chunks that one load wrote.
    pub(super) fn chunks(&self, write_id: &str) -> String {
        format!("{}{CHUNK}/{}/", self.base, escape(write_id))
    }

    pub(super) fn chunk(&self, write_id: &str, file: &str, index: usize) -> String {
        let write_id = write_id.into();
        StoreKey::Chunk {
            write_id,
            file,
            index,
        }
        .format(&self.base)
    }

    pub(super) fn head(&self, write_id: &str) -> String {
        let write_id = write_id.into();
        StoreKey::Head { write_id }.format(&self.base)
    }

    pub(super) fn tokenizer(&self, write_id: &str) -> String {
        let write_id = write_id.into();
        StoreKey::Tokenizer { write_id }.format(&self.base)
    }
}

/// One entry of a value that is stored under a name: the part of its key after `#`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NamedEntry<'a> {
    /// The manifest, which only a complete value has.
    Manifest,
    /// The bytes of the chunk with this digest.
    Chunk(&'a str),
}

/// Identifies an object that is stored under a name: an index, or a classifier, a detector or a record as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NamedKey {
    pub(super) kind: Named,
    base: String,
}

impl NamedKey {
    /// The key of the index with this name.
    ///
    /// *Errors*: `InvalidInput` if the name is empty.
    pub fn index(name: &str) -> Result<Self> {
        Self::new(Named::Index, name)
    }

    /// The key of the JSON with this name, of the kind `'classifier'`, `'detector'` or `'record'`.
    ///
    /// *Errors*: `InvalidInput` if the name is empty, or the kind is another one.
    pub fn text(kind: &str, name: &str) -> Result<Self> {
        Self::new(Self::text_kind(kind)?, name)
    }

    fn text_kind(kind: &str) -> Result<Named> {
        let mut kinds = Named::ALL.into_iter().filter(|one| *one != Named::Index);
        kinds.find(|one| one.noun() == kind).ok_or_else(|| {
            Error::invalid_input(format!(
                "kind is '{kind}', expected 'classifier', 'detector' or 'record'"
            ))
        })
    }

    /// The names of all complete JSON texts of a kind, in the order of their bytes.
    ///
    /// *Errors*: `InvalidInput` for another kind, and those of the store.
    pub async fn names(kind: &str, store: &dyn Store) -> Result<Vec<String>> {
        let kind = Self::text_kind(kind)?;
        let keys = store.keys(kind.prefix()).await?;
        let mut names: Vec<String> = keys
            .iter()
            .filter_map(|key| match Self::parse(kind, key)? {
                (own, NamedEntry::Manifest) => {
                    let name = own.base.strip_prefix(kind.prefix())?.strip_suffix('#')?;
                    Some(unescape(name).into_owned())
                }
                (_, NamedEntry::Chunk(_)) => None,
            })
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    fn new(kind: Named, name: &str) -> Result<Self> {
        if name.is_empty() {
            return Err(Error::invalid_input("name is empty"));
        }
        let base = format!("{}{}#", kind.prefix(), escape(name));
        Ok(Self { kind, base })
    }

    /// Parses the key of an entry; `None` where no value of this kind has an entry with such a key.
    pub(super) fn parse(kind: Named, key: &str) -> Option<(Self, NamedEntry<'_>)> {
        let (name, entry) = key.strip_prefix(kind.prefix())?.split_once('#')?;
        let entry = match entry.split_once('/') {
            None if entry == MANIFEST => NamedEntry::Manifest,
            Some((CHUNK, digest)) => NamedEntry::Chunk(digest),
            _ => return None,
        };
        let base = format!("{}{name}#", kind.prefix());
        Some((Self { kind, base }, entry))
    }

    /// The name of the lock that a writer holds.
    pub fn lock_name(&self) -> &str {
        &self.base
    }

    pub(super) fn manifest(&self) -> String {
        format!("{}{MANIFEST}", self.base)
    }

    /// Prefix of the keys of all chunks.
    pub(super) fn chunks(&self) -> String {
        self.chunk("")
    }

    pub(super) fn chunk(&self, digest: &str) -> String {
        format!("{}{CHUNK}/{digest}", self.base)
    }
}

/// Prefix of the keys of models in the current version.
pub(super) fn current_models() -> String {
    format!("{MODELS}{VERSION}/")
}

/// The part of a key that all entries of its model share, which ends with `#`; `None` where the key is not a model's, or is of
/// another version.
pub(super) fn model_base(key: &str) -> Option<&str> {
    let base = key.split_inclusive('#').next()?;
    (base.ends_with('#') && base.starts_with(&current_models())).then_some(base)
}

/// Escapes `#`, which ends the name of a model, an index or a classifier, so that no name is the prefix of another one's keys.
fn escape(text: &str) -> String {
    text.replace('%', "%25").replace('#', "%23")
}

fn unescape(text: &str) -> Cow<'_, str> {
    if text.contains('%') {
        text.replace("%23", "#").replace("%25", "%").into()
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests;
