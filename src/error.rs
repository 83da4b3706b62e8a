//! The one error type: a kind that programs match on, and a message that names the thing, what was expected and what came.

use std::fmt;
use std::time::Duration;

/// What went wrong, coarse enough to act on. The names are the `code`s that JavaScript sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An argument is of the wrong type or out of range.
    InvalidInput,
    /// A weight, tokenizer or config file is damaged or does not fit the model.
    InvalidWeights,
    /// The model's architecture or an option in its files is not supported.
    UnsupportedModel,
    /// Memory or another limit would be exceeded.
    ResourceLimit,
    /// The host could not be reached or did not answer with the file.
    FetchFailed,
    /// Stored or fetched bytes are not the ones that were promised.
    Integrity,
    /// The store is full.
    QuotaExceeded,
    /// The wanted backend cannot run here.
    BackendUnavailable,
    /// The caller cancelled.
    Aborted,
    /// A defect of this library or of the platform.
    Internal,
}

impl ErrorKind {
    /// The stable name, as in `PilotlightError.code`.
    pub fn code(self) -> &'static str {
        match self {
            Self::InvalidInput => "INVALID_INPUT",
            Self::InvalidWeights => "INVALID_WEIGHTS",
            Self::UnsupportedModel => "UNSUPPORTED_MODEL",
            Self::ResourceLimit => "RESOURCE_LIMIT",
            Self::FetchFailed => "FETCH_FAILED",
            Self::Integrity => "INTEGRITY",
            Self::QuotaExceeded => "QUOTA_EXCEEDED",
            Self::BackendUnavailable => "BACKEND_UNAVAILABLE",
            Self::Aborted => "ABORTED",
            Self::Internal => "INTERNAL",
        }
    }
}

/// Any failure of this crate.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn std::error::Error + 'static>>,
    /// Trying again may help.
    retry: Option<Retry>,
    /// The host does not show the thing, or does not have it.
    refused: bool,
    quota: Option<StorageQuota>,
}

/// A failure that may pass by itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Retry {
    /// No sooner than after this.
    pub after: Duration,
    /// What was waited for already.
    pub stalled: Duration,
}

/// How many bytes a store was to take, and how many it could have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageQuota {
    /// Of the whole model in the form in which it is kept.
    pub needed: u64,
    /// What the store says is left, where it says so.
    pub available: Option<u64>,
}

/// Shorthand for this crate's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of a kind with a message for people.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
            retry: None,
            refused: false,
            quota: None,
        }
    }

    /// Keeps the failure underneath, which becomes `cause` in JavaScript.
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + 'static>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Says of which of many things it is.
    #[cfg(target_arch = "wasm32")]
    pub(crate) fn context(mut self, what: &str) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Of `QuotaExceeded`: what was needed and what there was.
    pub fn quota(&self) -> Option<StorageQuota> {
        self.quota
    }

    pub(crate) fn with_quota(mut self, quota: StorageQuota) -> Self {
        self.quota = Some(quota);
        self
    }

    /// Marks a failure that may pass by itself: the network, a busy host. `after`: no sooner than the host said.
    pub fn transient(mut self, after: Duration) -> Self {
        self.retry = Some(Retry {
            after,
            ..Retry::default()
        });
        self
    }

    /// Marks a failure that took so long.
    pub(crate) fn stalled(mut self, stalled: Duration) -> Self {
        self.retry = Some(Retry {
            stalled,
            ..Retry::default()
        });
        self
    }

    /// Whether and when to try again.
    pub(crate) fn retry(&self) -> Option<Retry> {
        self.retry
    }

    /// Marks an answer by which a host may also say that it has no such thing.
    #[cfg(target_arch = "wasm32")]
    pub(crate) fn refused(mut self) -> Self {
        self.refused = true;
        self
    }

    pub(crate) fn is_refused(&self) -> bool {
        self.refused
    }

    pub(crate) fn integrity(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Integrity, message)
    }

    pub(crate) fn invalid_input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }

    pub(crate) fn invalid_weights(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidWeights, message)
    }

    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::UnsupportedModel, message)
    }

    pub(crate) fn fetch_failed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::FetchFailed, message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    #[cfg(target_arch = "wasm32")]
    pub(crate) fn aborted() -> Self {
        Self::new(ErrorKind::Aborted, "the call was aborted by its signal")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref()
    }
}
