//! A host with the layout of the Hugging Face hub, over `fetch`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use js_sys::{Array, Function, Promise};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

use super::body::{BodyStream, ByteReader, failure};
use super::{Digest, FileEntry, Host, MAX_FILE, MemoryStream, Opened, Snapshot};
use crate::error::{Error, ErrorKind, FetchReason, Result};

/// Limit of the pages of the list of files; the hub puts 1,000 files on each.
const MAX_PAGES: usize = 100;

#[wasm_bindgen]
extern "C" {
    /// The class `Answer` of `request.ts`: a response.
    type Answer;

    #[wasm_bindgen(method, getter)]
    fn status(this: &Answer) -> u16;

    #[wasm_bindgen(method, getter, js_name = statusText)]
    fn status_text(this: &Answer) -> String;

    #[wasm_bindgen(method, getter)]
    fn ok(this: &Answer) -> bool;

    #[wasm_bindgen(method, getter)]
    fn basic(this: &Answer) -> bool;

    #[wasm_bindgen(method, catch, js_name = header)]
    fn try_header(this: &Answer, name: &str) -> Result<Option<String>, JsValue>;

    #[wasm_bindgen(method, catch)]
    async fn text(this: &Answer) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn open(this: &Answer) -> Result<ByteReader, JsValue>;
}

impl Answer {
    fn header(&self, name: &str) -> Option<String> {
        self.try_header(name).ok().flatten()
    }
}

/// The files of one model at one revision on one host.
#[derive(Debug)]
pub struct HubHost {
    /// The host's address, without a slash at its end.
    host: String,
    model: String,
    revision: String,
    token: Option<String>,
    /// A `Request` of `request.ts`, which sends a request and resolves to an `Answer`.
    request: Function,
    /// Whether to bypass the browser's HTTP cache.
    no_store: bool,
}

#[derive(Deserialize)]
struct Revision {
    sha: String,
}

#[derive(Deserialize)]
struct TreeEntry {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    size: u64,
    /// Git's blob id of the file or, for a file in LFS, of its pointer.
    oid: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    /// SHA-256 of the content, hexadecimal.
    oid: String,
}

impl TreeEntry {
    fn digest(&self) -> Option<Digest> {
        match &self.lfs {
            Some(lfs) => Digest::sha256(&lfs.oid),
            None => Digest::git_blob(self.oid.as_ref()?),
        }
    }
}

impl HubHost {
    /// The files of `model` at `revision`. The token is sent to this host alone, and is in no URL and no message. `stored` says that
    /// the model goes to a store, so that the browser's HTTP cache need not hold a second copy.
    pub fn new(
        host: &str,
        model: &str,
        revision: &str,
        token: Option<String>,
        request: Function,
        stored: bool,
    ) -> Self {
        Self {
            host: host.trim_end_matches('/').into(),
            model: escape(model, true),
            revision: revision.into(),
            token,
            request,
            no_store: stored,
        }
    }

    async fn get(&self, what: &str, url: &str, range: Option<String>) -> Result<Answer> {
        let text = |text: Option<String>| text.map_or(JsValue::UNDEFINED, JsValue::from);
        let token = self.token.as_ref().map(|token| format!("Bearer {token}"));
        let arguments = Array::of4(
            &url.into(),
            &text(range),
            &text(token),
            &self.no_store.into(),
        );
        let answer = async {
            let answer = self.request.apply(&JsValue::UNDEFINED, &arguments)?;
            JsFuture::from(Promise::resolve(&answer)).await
        };
        let answer = answer.await.map_err(|error| {
            let failed = format!("the host cannot be reached at {url}");
            match failure(what, &failed, &error) {
                error if error.kind() == ErrorKind::FetchFailed => error
                    .transient(Duration::ZERO)
                    .with_reason(FetchReason::Unreachable),
                error => error,
            }
        })?;
        // `answerOf` of `request.ts` has made the object, so its class need not be checked.
        Ok(answer.unchecked_into())
    }

    /// Requests JSON of the hub's API. Returns it with the address of the next page, or `None` if the host has no such API.
    async fn ask<T: DeserializeOwned>(&self, url: &str) -> Result<Option<(T, Option<String>)>> {
        let response = self.get("the list of files", url, None).await?;
        if let Some(error) = transient_error(&response) {
            return Err(error("the list of files", url));
        }
        if let Some(error) = self.refusal(&response) {
            return Err(error);
        }
        if !response.ok() || is_html(&response) {
            return Ok(None);
        }
        // `<https://…>; rel="next"`. Another host is not asked, because the token would be sent to it.
        let next = response.header("link").and_then(|link| {
            let (url, rest) = link.strip_prefix('<')?.split_once('>')?;
            let own = url.strip_prefix(&self.host)?.starts_with('/');
            (own && rest.contains("rel=\"next\"")).then(|| url.to_string())
        });
        // Any other content comes from a host without the API, such as a plain bucket.
        let text = response.text().await.ok().and_then(|text| text.as_string());
        Ok(text
            .and_then(|text| serde_json::from_str(&text).ok())
            .map(|answer| (answer, next)))
    }

    /// The error for an answer in which the hub says, by a header of its own, that it refuses more than one file.
    fn refusal(&self, response: &Answer) -> Option<Error> {
        let (reason, what) = match response.header("x-error-code")?.as_str() {
            "RepoNotFound" => (
                FetchReason::NoRepository,
                "has no such repository, or it is private: check the name, or pass a token".into(),
            ),
            "GatedRepo" => (
                FetchReason::Gated,
                "gives this repository only to those who accepted its terms: accept them there, and pass a token"
                    .into(),
            ),
            "RevisionNotFound" => (
                FetchReason::NoRevision,
                format!("has no revision '{}' of this repository", self.revision),
            ),
            _ => return None,
        };
        let (model, host) = (&self.model, &self.host);
        let error = Error::fetch_failed(format!(
            "{model}: {host} {what} (it answered {})",
            status(response)
        ));
        Some(error.with_status(response.status()).with_reason(reason))
    }

    async fn files(&self, commit: &str) -> Result<Option<BTreeMap<String, FileEntry>>> {
        let mut url = format!(
            "{}/api/models/{}/tree/{commit}?recursive=true",
            self.host, self.model
        );
        let mut files = BTreeMap::new();
        for _ in 0..MAX_PAGES {
            let Some((entries, next)) = self.ask::<Vec<TreeEntry>>(&url).await? else {
                return Ok(None);
            };
            let entries = entries.into_iter().filter(|entry| entry.kind == "file");
            files.extend(entries.map(|entry| {
                let found = FileEntry {
                    size: Some(entry.size).filter(|size| *size <= MAX_FILE),
                    digest: entry.digest(),
                    ..FileEntry::default()
                };
                (entry.path, found)
            }));
            match next {
                Some(next) => url = next,
                None => return Ok(Some(files)),
            }
        }
        Err(Error::fetch_failed(format!(
            "the list of files: expected at most {MAX_PAGES} pages, but there are more"
        )))
    }
}

#[async_trait(?Send)]
impl Host for HubHost {
    async fn snapshot(&self) -> Result<Snapshot> {
        let url = format!(
            "{}/api/models/{}/revision/{}",
            self.host,
            self.model,
            escape(&self.revision, false)
        );
        let commit = match self.ask::<Revision>(&url).await? {
            Some((Revision { sha }, _)) if is_commit(&sha) => sha,
            _ => return Ok(Snapshot::default()),
        };
        Ok(Snapshot {
            files: self.files(&commit).await?,
            commit: Some(commit),
            pinned: true,
        })
    }

    async fn open(
        &self,
        commit: Option<&str>,
        file: &str,
        range: Range<u64>,
    ) -> Result<Option<Opened>> {
        let revision = escape(commit.unwrap_or(&self.revision), false);
        let url = format!(
            "{}/{}/resolve/{revision}/{}",
            self.host,
            self.model,
            escape(file, true)
        );
        let whole = range == (0..u64::MAX);
        let last = match range.end {
            u64::MAX => String::new(),
            end => (end - 1).to_string(),
        };
        let header = (!whole).then(|| format!("bytes={}-{last}", range.start));
        let response = self.get(file, &url, header).await?;
        let failed = |what: String| Error::fetch_failed(format!("{file}: {what} for {url}"));
        if let Some(error) = self.refusal(&response) {
            return Err(error.with_file(file));
        }
        match response.status() {
            404 => return Ok(None),
            // 416: the offset is the end of the file; expected where the size was unknown.
            416 => return Ok(Some(end_of_file(&response, range.start))),
            _ => {}
        }
        if let Some(error) = transient_error(&response) {
            return Err(error(file, &url).with_file(file));
        }
        if !response.ok() {
            let error = failed(format!("the host answered {}", status(&response)))
                .with_status(response.status())
                .with_file(file);
            // S3 returns 403 for a missing key to callers without ListBucket permission.
            return Err(if response.status() == 403 {
                error.refused()
            } else {
                error
            });
        }
        if is_html(&response) {
            return Err(failed("the host answered with an HTML page".into())
                .with_reason(FetchReason::Html)
                .with_file(file));
        }
        let part = (response.status() == 206)
            .then(|| Part::new(&response, &range))
            .transpose()
            .map_err(|InvalidRange(header)| {
                failed(format!("the host answered with the range '{header}'"))
            })?;
        let header = |name| response.header(name);
        let length = header("content-length").and_then(size);
        // A compressed body is longer than its Content-Length, and a response of another origin hides that it is compressed.
        let uncompressed = header("content-encoding").is_none_or(|encoding| encoding == "identity");
        let exact = uncompressed && response.basic();
        let reader = response
            .open()
            .map_err(|error| failure(file, "the host's answer cannot be read", &error))?;
        let min_bytes = length.filter(|_| exact || part.is_some()).unwrap_or(0);
        Ok(Some(Opened {
            stream: Box::new(BodyStream::new(file, reader, min_bytes, true)),
            start: part.as_ref().map_or(0, |part| part.start),
            end: part.as_ref().map_or(u64::MAX, |part| part.end),
            size: match part {
                Some(part) => part.size,
                None => length.filter(|_| exact),
            },
            validator: header("etag").or_else(|| header("last-modified")),
        }))
    }
}

/// An empty stream at the end of the file, with the size that the host states.
fn end_of_file(response: &Answer, start: u64) -> Opened {
    let range = response.header("content-range");
    Opened {
        stream: Box::new(MemoryStream::new([].into())),
        start,
        end: u64::MAX,
        size: range.and_then(|range| size(range.strip_prefix("bytes */")?)),
        validator: None,
    }
}

/// A header `Content-Range` that is not valid.
struct InvalidRange(String);

/// The range of a response with status 206, partial content.
struct Part {
    start: u64,
    end: u64,
    size: Option<u64>,
}

impl Part {
    /// Reads the header `Content-Range`. A response of another origin may hide it: then the requested range is assumed, and the
    /// digests show if it is another one.
    ///
    /// *Errors*: the invalid header.
    fn new(response: &Answer, requested: &Range<u64>) -> Result<Self, InvalidRange> {
        let Some(header) = response.header("content-range") else {
            return Ok(Self {
                start: requested.start,
                end: requested.end,
                size: None,
            });
        };
        // `bytes 0-99/1000` or `bytes 0-99/*`
        let parse = || {
            let (range, whole) = header.strip_prefix("bytes ")?.split_once('/')?;
            let (first, last) = range.split_once('-')?;
            let whole = match whole {
                "*" => None,
                known => Some(size(known)?),
            };
            Some(Self {
                start: size(first)?,
                end: size(last)? + 1,
                size: whole,
            })
        };
        parse().ok_or(InvalidRange(header))
    }
}

/// Parses a number of bytes in a header; `None` if it is no number, or more than any file has.
fn size(digits: impl AsRef<str>) -> Option<u64> {
    let size = digits.as_ref().trim().parse().ok();
    size.filter(|size| *size <= MAX_FILE)
}

/// The error for a status after which another attempt may succeed: too many requests, or a failure of the host.
fn transient_error(response: &Answer) -> Option<impl Fn(&str, &str) -> Error> {
    let status = status(response);
    // Seconds only: a date would be compared with this machine's clock, which may be wrong.
    let after = response
        .header("retry-after")
        .and_then(|seconds| seconds.trim().parse::<u32>().ok())
        .unwrap_or(0);
    let code = response.status();
    matches!(code, 408 | 425 | 429 | 500 | 502 | 503 | 504).then_some(
        move |what: &str, url: &str| {
            Error::fetch_failed(format!("{what}: the host answered {status} for {url}"))
                .with_status(code)
                .transient(Duration::from_secs(after.into()))
        },
    )
}

/// The status code and its text.
fn status(response: &Answer) -> String {
    let status = format!("{} {}", response.status(), response.status_text());
    status.trim_end().into()
}

fn is_html(response: &Answer) -> bool {
    response
        .header("content-type")
        .is_some_and(|kind| kind.starts_with("text/html"))
}

/// Whether a text is a commit id. It becomes a part of a URL, so only ASCII digits and letters are accepted.
fn is_commit(text: &str) -> bool {
    (7..=64).contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_alphanumeric())
}

/// Percent-encodes a path, or one segment of it, whose slashes are encoded too.
fn escape(text: &str, keep_slashes: bool) -> String {
    let text = String::from(js_sys::encode_uri_component(text));
    if keep_slashes {
        text.replace("%2F", "/")
    } else {
        text
    }
}
