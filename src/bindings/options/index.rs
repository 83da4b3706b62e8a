//! Options of a vector index and of searching it.

use js_sys::{Array, Function};
use wasm_bindgen::JsValue;

use super::{Options, strings};
use crate::error::{Error, Result};
use crate::index::{IndexMetric, IndexOptions, IndexPrecision};

/// The `VectorIndexOptions` of the TypeScript types.
pub(in crate::bindings) fn index_options(value: &JsValue) -> Result<IndexOptions> {
    let options = Options::new(value)?;
    let dimensions = options.whole("dimensions", 1)?;
    let precision = options.string("precision")?;
    Ok(IndexOptions {
        dimensions: dimensions.ok_or_else(|| {
            Error::invalid_input("dimensions is missing, expected the number of values in a vector")
        })?,
        precision: precision
            .as_deref()
            .map_or(Ok(IndexPrecision::default()), IndexPrecision::from_name)?,
        metric: options
            .string("metric")?
            .as_deref()
            .map_or(Ok(IndexMetric::default()), IndexMetric::from_name)?,
        prefilter: options.boolean("prefilter")?.unwrap_or(false),
        source: options.string("source")?,
    })
}

/// The options of `VectorIndex.search`, as the package passes them on: at most one of `filter` and `tags` is set.
pub(in crate::bindings) struct SearchRequest {
    /// A function that is called with an id and returns whether it may be found.
    pub filter: Option<Function>,
    pub tags: Option<Vec<String>>,
    pub any: bool,
    pub exact: bool,
    pub candidates: Option<usize>,
}

impl SearchRequest {
    /// Reads the options.
    ///
    /// *Errors*: `InvalidInput` naming the option.
    pub fn new(value: &JsValue) -> Result<Self> {
        let options = Options::new(value)?;
        let tags = options.typed::<Array>("tags", "an array of strings")?;
        Ok(Self {
            filter: options.typed("filter", "a function")?,
            tags: tags.map(|tags| strings("tags", &tags)).transpose()?,
            any: options.boolean("any")?.unwrap_or(false),
            exact: options.boolean("exact")?.unwrap_or(false),
            candidates: options.whole("candidates", 1)?,
        })
    }
}
