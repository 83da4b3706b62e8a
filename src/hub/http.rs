//! A host in the Hugging Face hub's layout, by `fetch`.

use async_trait::async_trait;
use gloo_net::http::{Request, RequestBuilder, Response};
use serde::Deserialize;
use web_sys::AbortSignal;

use super::body::{BodyStream, failure};
use super::{ByteStream, Digest, FileEntry, Host};
use crate::error::{Error, Result};

/// The files of one model at one revision on one host.
#[derive(Debug)]
pub struct HubHost {
    /// `{host}/{model}/resolve/{revision}`
    files: String,
    /// `{host}/api/models/{model}/tree/{revision}`
    tree: String,
    token: Option<String>,
    signal: Option<AbortSignal>,
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
    /// The token is sent to this host alone and stands in no URL and no message.
    pub fn new(
        host: &str,
        model: &str,
        revision: &str,
        token: Option<String>,
        signal: Option<AbortSignal>,
    ) -> Self {
        let host = host.trim_end_matches('/');
        let (model, revision) = (escape(model, true), escape(revision, false));
        Self {
            files: format!("{host}/{model}/resolve/{revision}"),
            tree: format!("{host}/api/models/{model}/tree/{revision}?recursive=true"),
            token,
            signal,
        }
    }

    async fn get(&self, file: &str, url: &str) -> Result<Response> {
        let mut request: RequestBuilder = Request::get(url).abort_signal(self.signal.as_ref());
        if let Some(token) = &self.token {
            request = request.header("Authorization", &format!("Bearer {token}"));
        }
        request.send().await.map_err(|error| match error {
            gloo_net::Error::JsError(error) if error.name == "AbortError" => Error::aborted(),
            error => Error::fetch_failed(format!(
                "{file}: the host cannot be reached at {url}: {error}"
            )),
        })
    }
}

#[async_trait(?Send)]
impl Host for HubHost {
    async fn list(&self) -> Result<Option<Vec<FileEntry>>> {
        let response = self.get("the list of files", &self.tree).await?;
        if !response.ok() || is_html(&response) {
            return Ok(None);
        }
        // Whatever is not the hub's list means a host that has no such list, a plain bucket for one.
        let Ok(text) = response.text().await else {
            return Ok(None);
        };
        let Ok(entries) = serde_json::from_str::<Vec<TreeEntry>>(&text) else {
            return Ok(None);
        };
        let files = entries.into_iter().filter(|entry| entry.kind == "file");
        Ok(Some(
            files
                .map(|entry| FileEntry {
                    digest: entry.digest(),
                    path: entry.path,
                    size: Some(entry.size),
                })
                .collect(),
        ))
    }

    async fn open(&self, file: &str) -> Result<Option<Box<dyn ByteStream>>> {
        let url = format!("{}/{}", self.files, escape(file, true));
        let response = self.get(file, &url).await?;
        if response.status() == 404 {
            return Ok(None);
        }
        if !response.ok() {
            let status = format!("{} {}", response.status(), response.status_text());
            return Err(Error::fetch_failed(format!(
                "{file}: the host answered {} for {url}",
                status.trim_end()
            )));
        }
        if is_html(&response) {
            return Err(Error::fetch_failed(format!(
                "{file}: the host answered with an HTML page for {url}"
            )));
        }
        // A compressed body is longer than its Content-Length.
        let plain = response
            .headers()
            .get("content-encoding")
            .is_none_or(|encoding| encoding == "identity");
        let length = response
            .headers()
            .get("content-length")
            .filter(|_| plain)
            .and_then(|length| length.parse().ok());
        let body = response
            .body()
            .ok_or_else(|| failure(file, "the host sent no body", &wasm_bindgen::JsValue::NULL))?;
        Ok(Some(Box::new(BodyStream::new(file, body, length)?)))
    }
}

fn is_html(response: &Response) -> bool {
    response
        .headers()
        .get("content-type")
        .is_some_and(|kind| kind.starts_with("text/html"))
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
