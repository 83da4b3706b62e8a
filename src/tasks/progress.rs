//! What loading tells of itself.

use crate::hub::Verified;

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
    /// By what they were checked, once all is ready.
    pub verified: Option<Verified>,
}
