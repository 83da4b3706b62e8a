//! A host in the Hugging Face hub's layout, by `fetch`.

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

/// Pages of the list of files that are read at most; the hub puts 1,000 files on each.
const MAX_PAGES: usize = 100;

#[wasm_bindgen]
extern "C" {
    /// `Answer` of `request.ts`.
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
    /// Without a slash at its end.
    host: String,
    model: String,
    revision: String,
    token: Option<String>,
    /// `Request` of `request.ts`.
    request: Function,
    /// Whether the browser's cache is to be left out.
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
    /// Git's blob id; of a large file that of its pointer.
    oid: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    /// The content's sha256.
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
    /// The token is sent to this host alone and stands in no URL and no message. `request` is how a host is asked. `kept`: the
    /// model stays in the browser's store, so its cache need not have it too.
    pub fn new(
        host: &str,
        model: &str,
        revision: &str,
        token: Option<String>,
        request: Function,
        kept: bool,
    ) -> Self {
        Self {
            host: host.trim_end_matches('/').into(),
            model: escape(model, true),
            revision: revision.into(),
            token,
            request,
            no_store: kept,
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
        // Of the entry's own making: see `answerOf`.
        Ok(answer.unchecked_into())
    }

    /// The hub's answer to a question, and the address of its next page; `None` from a host that has no such list.
    async fn ask<T: DeserializeOwned>(&self, url: &str) -> Result<Option<(T, Option<String>)>> {
        let response = self.get("the list of files", url, None).await?;
        if let Some(error) = passing(&response) {
            return Err(error("the list of files", url));
        }
        if !response.ok() || is_html(&response) {
            return Ok(None);
        }
        // `<https://…>; rel="next"`. Only this very host is asked: the token goes with it.
        let next = response.header("link").and_then(|link| {
            let (url, rest) = link.strip_prefix('<')?.split_once('>')?;
            let own = url.strip_prefix(&self.host)?.starts_with('/');
            (own && rest.contains("rel=\"next\"")).then(|| url.to_string())
        });
        // Whatever is not the hub's answer means a host that has none, a plain bucket for one.
        let text = response.text().await.ok().and_then(|text| text.as_string());
        Ok(text
            .and_then(|text| serde_json::from_str(&text).ok())
            .map(|answer| (answer, next)))
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
            "the list of files: it does not end after {MAX_PAGES} pages"
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
        match response.status() {
            404 => return Ok(None),
            // Nothing is behind the end: that is how a file ends of which nobody knew the size.
            416 => return Ok(Some(end_of_file(&response, range.start))),
            _ => {}
        }
        if let Some(error) = passing(&response) {
            return Err(error(file, &url).with_file(file));
        }
        if !response.ok() {
            let error = failed(format!("the host answered {}", status(&response)))
                .with_status(response.status())
                .with_file(file);
            // S3 answers so for what is not there, to whoever may not list.
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
            .map_err(failed)?;
        let header = |name| response.header(name);
        let length = header("content-length").and_then(size);
        // A compressed body is longer than its Content-Length; of another origin one sees not even that it is compressed.
        let plain = header("content-encoding").is_none_or(|encoding| encoding == "identity");
        let exact = plain && response.basic();
        let reader = response
            .open()
            .map_err(|error| failure(file, "the host's answer cannot be read", &error))?;
        let least = length.filter(|_| exact || part.is_some()).unwrap_or(0);
        Ok(Some(Opened {
            stream: Box::new(BodyStream::new(file, reader, least, true)),
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

fn end_of_file(response: &Answer, start: u64) -> Opened {
    let told = response.header("content-range");
    Opened {
        stream: Box::new(MemoryStream::new([].into())),
        start,
        end: u64::MAX,
        size: told.and_then(|told| size(told.strip_prefix("bytes */")?)),
        validator: None,
    }
}

/// What a 206 says that it is.
struct Part {
    start: u64,
    end: u64,
    size: Option<u64>,
}

impl Part {
    /// Of another origin the header may be hidden: then it is what was asked for, and digests tell if it is not.
    fn new(response: &Answer, asked: &Range<u64>) -> Result<Self, String> {
        let Some(header) = response.header("content-range") else {
            return Ok(Self {
                start: asked.start,
                end: asked.end,
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
        parse().ok_or_else(|| format!("the host answered with the range '{header}'"))
    }
}

/// A number of bytes in a header.
fn size(digits: impl AsRef<str>) -> Option<u64> {
    let size = digits.as_ref().trim().parse().ok();
    size.filter(|size| *size <= MAX_FILE)
}

/// The error of an answer that another try may better: too many requests, or trouble on the host's side.
fn passing(response: &Answer) -> Option<impl Fn(&str, &str) -> Error> {
    let (code, words) = (response.status(), status(response));
    // In seconds; dates are not looked at, because clocks differ.
    let after = response
        .header("retry-after")
        .and_then(|seconds| seconds.trim().parse::<u32>().ok())
        .unwrap_or(0);
    matches!(code, 408 | 425 | 429 | 500 | 502 | 503 | 504).then_some(
        move |what: &str, url: &str| {
            Error::fetch_failed(format!("{what}: the host answered {words} for {url}"))
                .transient(Duration::from_secs(after.into()))
                .with_status(code)
        },
    )
}

fn status(response: &Answer) -> String {
    let words = format!("{} {}", response.status(), response.status_text());
    words.trim_end().into()
}

fn is_html(response: &Answer) -> bool {
    response
        .header("content-type")
        .is_some_and(|kind| kind.starts_with("text/html"))
}

/// Part of a URL's path, so nothing but digits and letters.
fn is_commit(text: &str) -> bool {
    (7..=64).contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_alphanumeric())
}

/// Percent-encodes a path or, with its slashes too, one segment of it.
fn escape(text: &str, keep_slashes: bool) -> String {
    let text = String::from(js_sys::encode_uri_component(text));
    if keep_slashes {
        text.replace("%2F", "/")
    } else {
        text
    }
}
