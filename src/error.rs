//! The one error type: a kind that programs match on, and a message that names the thing, what was expected and what came.

use std::fmt;
use std::time::Duration;

/// The kind of an error, coarse enough to act on. The names are the `code`s that JavaScript sees.
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
    /// Set where trying again may help.
    retry: Option<Retry>,
    /// Whether the host denied access to a file, which it may also do where it has no such file.
    refused: bool,
    /// Whether the GPU failed, so that only a newly opened one can compute again.
    #[cfg(feature = "webgpu")]
    gpu_failed: bool,
    quota: Option<StorageQuota>,
    /// The details are boxed, because every `Result` has the size of an `Error`.
    details: Option<Box<Details>>,
}

/// The fields of a failure beside its kind that programs can read.
#[derive(Clone, Debug, Default)]
struct Details {
    status: Option<u16>,
    reason: Option<FetchReason>,
    file: Option<String>,
    tensor: Option<String>,
}

/// The reason why a file could not be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FetchReason {
    /// No answer came: there is no network, no such host, or the host does not allow this page to ask.
    Unreachable,
    /// The host answered with an HTTP status that is no success, or lists no such file.
    Status,
    /// The host answered with a web page instead of the file.
    Html,
    /// The host sent no byte for as long as the time-out.
    Stalled,
    /// The hub has no repository of this name, or hides a private one.
    NoRepository,
    /// The repository asks its users to accept terms, and the request had no token of one who did.
    Gated,
    /// The repository has no such branch, tag or commit.
    NoRevision,
}

impl FetchReason {
    /// The stable name, as in `PilotlightError.reason`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Status => "status",
            Self::Html => "html",
            Self::Stalled => "stalled",
            Self::NoRepository => "no-repository",
            Self::Gated => "gated",
            Self::NoRevision => "no-revision",
        }
    }
}

/// The properties of a transient failure that matter for another attempt.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Retry {
    /// The least time to wait before another attempt, as the host asked for.
    pub after: Duration,
    /// The time that was spent waiting for a connection that stalled.
    pub stalled: Duration,
}

/// The bytes that a write needed in a full store, and those that were free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageQuota {
    /// Bytes of the whole model in its packed form, or those that saving an index or a classifier had to write.
    pub needed: u64,
    /// Free bytes, if the store can tell.
    pub available: Option<u64>,
}

/// Shorthand for this crate's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Makes an error of a kind with a message for people.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
            retry: None,
            refused: false,
            #[cfg(feature = "webgpu")]
            gpu_failed: false,
            quota: None,
            details: None,
        }
    }

    /// Keeps the failure underneath, which becomes `cause` in JavaScript.
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + 'static>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Puts the name of the thing that the error is about, of several in a call, before the message.
    pub(crate) fn context(mut self, what: &str) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// The kind of the failure.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The bytes that were needed and those that were free; only with `QuotaExceeded`.
    pub fn quota(&self) -> Option<StorageQuota> {
        self.quota
    }

    pub(crate) fn with_quota(mut self, quota: StorageQuota) -> Self {
        self.quota = Some(quota);
        self
    }

    /// The HTTP status that the host answered with; 404 also where its list of files lacks the file.
    pub fn status(&self) -> Option<u16> {
        self.details.as_ref()?.status
    }

    /// The reason why the file could not be fetched, if it is a known one; only with `FetchFailed`.
    pub fn reason(&self) -> Option<FetchReason> {
        self.details.as_ref()?.reason
    }

    /// The file that the failure is about, by its name in the repository.
    pub fn file(&self) -> Option<&str> {
        self.details.as_ref()?.file.as_deref()
    }

    /// The tensor that the failure is about, by its name in the model or in the file.
    pub fn tensor(&self) -> Option<&str> {
        self.details.as_ref()?.tensor.as_deref()
    }

    /// Sets the HTTP status of the host's answer, which is then the reason, too.
    pub fn with_status(mut self, status: u16) -> Self {
        let details = self.details.get_or_insert_default();
        details.status = Some(status);
        details.reason = Some(FetchReason::Status);
        self
    }

    /// Sets why a file could not be fetched.
    pub fn with_reason(mut self, reason: FetchReason) -> Self {
        self.details.get_or_insert_default().reason = Some(reason);
        self
    }

    /// Sets the file that the failure is about, unless one is set already.
    pub fn with_file(mut self, file: &str) -> Self {
        let details = self.details.get_or_insert_default();
        details.file.get_or_insert_with(|| file.into());
        self
    }

    /// Sets the tensor that the failure is about.
    pub fn with_tensor(mut self, tensor: &str) -> Self {
        self.details.get_or_insert_default().tensor = Some(tensor.into());
        self
    }

    /// Copies the details of another error, which this one replaces.
    pub(crate) fn with_details_of(mut self, other: &Self) -> Self {
        self.details.clone_from(&other.details);
        self
    }

    /// Marks a transient failure, of the network or of a busy host. `after` is the least time to wait that the host asked for.
    pub fn transient(mut self, after: Duration) -> Self {
        self.retry = Some(Retry {
            after,
            ..Retry::default()
        });
        self
    }

    /// Marks the transient failure of a connection that sent nothing for the duration `stalled`.
    pub(crate) fn stalled(mut self, stalled: Duration) -> Self {
        self.retry = Some(Retry {
            stalled,
            ..Retry::default()
        });
        self
    }

    /// The properties of a transient failure; `None` where another attempt would not help.
    pub(crate) fn retry(&self) -> Option<Retry> {
        self.retry
    }

    /// Marks a denial of access, by which a host may also say that it has no such file.
    #[cfg(any(target_arch = "wasm32", all(test, feature = "webgpu")))]
    pub(crate) fn refused(mut self) -> Self {
        self.refused = true;
        self
    }

    pub(crate) fn is_refused(&self) -> bool {
        self.refused
    }

    /// Marks a failure of the GPU itself, after which only a newly opened one can compute.
    #[cfg(feature = "webgpu")]
    pub(crate) fn gpu_failed(mut self) -> Self {
        self.gpu_failed = true;
        self
    }

    /// Whether the GPU failed, also where this error only reports the one underneath.
    #[cfg(feature = "webgpu")]
    pub fn is_gpu_failure(&self) -> bool {
        let source = self.source.as_ref().and_then(|error| error.downcast_ref());
        self.gpu_failed || source.is_some_and(Self::is_gpu_failure)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_its_own_reason_and_the_first_file_stays() {
        let error = Error::fetch_failed("a.json: the host answered 404")
            .with_status(404)
            .with_file("a.json")
            .with_file("b.json");
        assert_eq!(error.status(), Some(404));
        assert_eq!(error.reason(), Some(FetchReason::Status));
        assert_eq!(error.file(), Some("a.json"));
        assert_eq!(error.tensor(), None);
    }

    #[test]
    fn an_error_that_replaces_another_keeps_what_programs_read() {
        let inner = Error::invalid_weights("has shape [1], expected [2]").with_tensor("pooler");
        let outer = Error::invalid_weights("model.safetensors: has shape [1], expected [2]")
            .with_details_of(&inner)
            .with_file("model.safetensors");
        assert_eq!(outer.tensor(), Some("pooler"));
        assert_eq!(outer.file(), Some("model.safetensors"));
        assert_eq!((outer.status(), outer.reason()), (None, None));
    }
}
