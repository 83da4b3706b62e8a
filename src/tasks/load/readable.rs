//! The file of weights that can be read, of those that were chosen.

use super::checkpoint::is_index;
use super::choice::Weights;
use super::onnx_files::is_tower;
use super::{FRONT, Loading, missing};
use crate::error::{Error, ErrorKind, Result};
use crate::hub::Fetch;
use crate::weights::{self, Needs, Plan, data_file, is_onnx, read_header};

/// A file of weights that can be read.
pub(super) struct Readable<'a> {
    /// The name of the file, or of the index of several.
    pub file: String,
    /// The file that has the values, which may be another one.
    pub data: String,
    /// The download of the file with the values, if its first bytes were requested already.
    pub front: Option<Fetch<'a>>,
    /// The header, if it was read from the file.
    pub header: Option<Vec<u8>>,
    /// Bytes that were downloaded of the file, where another one has the values.
    pub described: u64,
}

impl<'a> Readable<'a> {
    /// A file of which nothing was read.
    pub fn unread(file: String, front: Option<Fetch<'a>>) -> Self {
        Self {
            data: file.clone(),
            file,
            front,
            header: None,
            described: 0,
        }
    }
}

impl<'a> Loading<'a, '_> {
    /// Reads the header of an ONNX file, and takes the next file instead if it lacks a needed tensor: its graph may not have the names of the
    /// weights. Files of other formats are not checked. `front`: the download of the file, if its first bytes were requested already.
    ///
    /// *Errors*: `FetchFailed` where there is no such file; that of the first file where none can be read.
    pub(super) async fn readable(
        &mut self,
        mut file: String,
        mut front: Option<Fetch<'a>>,
        needs: &Needs<'_>,
    ) -> Result<Readable<'a>> {
        let mut first = None;
        loop {
            let writer = self.writer.as_ref();
            let is_resumed = writer.is_some_and(|writer| writer.resumes(&file));
            if self.cached || is_resumed || !is_onnx(&file) {
                return Ok(Readable::unread(file, front));
            }
            let error = match self.onnx(&file, front, needs).await {
                Ok(readable) => return Ok(readable),
                Err(error) => error,
            };
            let is_unreadable = matches!(
                error.kind(),
                ErrorKind::InvalidWeights | ErrorKind::UnsupportedModel
            );
            match self.others.pop_front() {
                Some(other) if is_unreadable => {
                    first = first.or(Some(error));
                    self.bytes.total -= self.known(&file).size.unwrap_or(0);
                    self.bytes.total += self.known(&other).size.unwrap_or(0);
                    front = match is_index(&other) {
                        true => None,
                        false => self.open(&other, FRONT).await?,
                    };
                    file = other;
                }
                _ => return Err(first.unwrap_or(error)),
            }
        }
    }

    /// Reads the header of an ONNX file, and opens the file that has its values.
    async fn onnx(
        &self,
        file: &str,
        front: Option<Fetch<'a>>,
        needs: &Needs<'_>,
    ) -> Result<Readable<'a>> {
        // No file was opened if an interrupted load had begun another one.
        let front = match front {
            Some(front) => Some(front),
            None => self.open(file, FRONT).await?,
        };
        let mut fetch = front.ok_or_else(|| missing(file))?;
        let header = read_header(file, &mut fetch).await?;
        let found = weights::check(file, &header, needs)?;
        // For both towers, a file without the scale of scores is only read if there is no other.
        let may_give_way = !is_tower(file) && !self.others.is_empty();
        if self.source.prefers_whole() && may_give_way && !found.has_optional {
            return Err(Error::unsupported(format!(
                "{file}: lacks the tensors that the model can do without, which another file may have"
            ))
            .with_file(file));
        }
        if found.is_lossy && !self.source.lossy && !matches!(self.source.weights, Weights::File(_))
        {
            return Err(Error::unsupported(format!(
                "{file}: has weights in 8 bits or fewer, expected lossy: true or the name of the file in the option weights"
            ))
            .with_file(file));
        }
        let data = data_file(file, &header)?;
        let described = data.as_ref().map_or(0, |_| fetch.fetched());
        if let Some(data) = &data {
            let opened = self.open(data, FRONT).await?;
            fetch = opened.ok_or_else(|| {
                Error::unsupported(format!(
                    "{file}: has its weights in '{data}', which the repository lacks"
                ))
                .with_file(file)
            })?;
        }
        Ok(Readable {
            file: file.into(),
            data: data.unwrap_or_else(|| file.into()),
            front: Some(fetch),
            header: Some(header),
            described,
        })
    }

    /// Computes the cost of reading a file, and that of its description where that is another file.
    pub(super) async fn plan_readable(
        &self,
        readable: Readable<'a>,
        needs: &Needs<'_>,
    ) -> Result<Vec<(String, Plan)>> {
        let Readable {
            file,
            data,
            front,
            header,
            described,
        } = readable;
        let mut fetch = front.ok_or_else(|| missing(&file))?;
        let header = header.or_else(|| self.source.copy_header(&file));
        let plan = weights::plan(&file, &mut fetch, header, needs).await?;
        let description = Plan {
            fetch: described,
            ..Plan::default()
        };
        let is_apart = data != file;
        let description = is_apart.then_some((file, description));
        Ok(description.into_iter().chain([(data, plan)]).collect())
    }
}
