//! `VectorIndexHandle`, on which the npm package builds its `VectorIndex`.

use std::cell::RefCell;
use std::rc::Rc;

use js_sys::{Array, Float32Array, Function, Promise, Uint8Array};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};

use super::caller::promise;
use super::error::to_js;
use super::named::{open, with_lock};
use super::options::{SearchRequest, index_options, kind, strings};
use crate::error::{Error, Result};
use crate::index::{Filter, Hit, Id, SavedIndex, SearchOptions, Tags, VectorIndex, Vectors};
use crate::interop::object;
use crate::store::{Chunk, NamedKey};

/// A vector index. Calls are synchronous, except for those that use a store.
#[wasm_bindgen]
pub struct VectorIndexHandle {
    index: Rc<RefCell<VectorIndex>>,
}

/// Vectors in the caller's array. They are copied in pieces: a whole copy would take four times the memory of an int8 index.
struct JsVectors(Float32Array);

impl Vectors for JsVectors {
    fn len(&self) -> usize {
        self.0.length() as usize
    }

    fn copy_to(&self, from: usize, to: &mut [f32]) {
        let end = from + to.len();
        self.0.subarray(from as u32, end as u32).copy_to(to);
    }
}

/// The argument `tags` of `add` and `update`.
enum OwnTags {
    Same(Vec<String>),
    Each(Vec<Vec<String>>),
}

impl OwnTags {
    /// *Errors*: `InvalidInput` naming the entry that is not a string.
    fn new(tags: &JsValue) -> Result<Option<Self>> {
        let Some(list) = tags.dyn_ref::<Array>() else {
            return Ok(None);
        };
        if !list.iter().any(|entry| Array::is_array(&entry)) {
            return Ok(Some(Self::Same(strings("tags", list)?)));
        }
        let entry = |(i, entry): (usize, JsValue)| {
            let name = format!("tags[{i}]");
            match entry.dyn_ref::<Array>() {
                Some(entry) => strings(&name, entry),
                None => Err(Error::invalid_input(format!(
                    "{name} is {}, expected an array of strings",
                    kind(&entry)
                ))),
            }
        };
        let lists: Result<_> = list.iter().enumerate().map(entry).collect();
        Ok(Some(Self::Each(lists?)))
    }

    fn borrow(&self) -> Tags<'_> {
        match self {
            Self::Same(tags) => Tags::Same(tags),
            Self::Each(tags) => Tags::Each(tags),
        }
    }
}

#[wasm_bindgen]
impl VectorIndexHandle {
    /// Makes an empty index. `options` are the `VectorIndexOptions` of the types.
    ///
    /// *Errors*: `INVALID_INPUT`.
    #[wasm_bindgen(constructor)]
    pub fn new(options: JsValue) -> Result<VectorIndexHandle, JsValue> {
        let index = index_options(&options).and_then(VectorIndex::new);
        index.map(Self::wrap).map_err(to_js)
    }

    /// Reads an index from bytes that `write` wrote.
    ///
    /// *Errors*: `INVALID_INPUT`, `INTEGRITY`, `RESOURCE_LIMIT`.
    #[wasm_bindgen(js_name = fromBytes)]
    pub fn from_bytes(bytes: Uint8Array) -> Result<VectorIndexHandle, JsValue> {
        let index = VectorIndex::from_bytes(&Chunk::from(bytes));
        index.map(Self::wrap).map_err(to_js)
    }

    fn wrap(index: VectorIndex) -> Self {
        Self {
            index: Rc::new(RefCell::new(index)),
        }
    }

    /// Changes the index. `work` must not call into JavaScript, which could use the index meanwhile: arguments are converted before.
    ///
    /// *Errors*: `INVALID_INPUT` during a search; those of `work`.
    fn change<T>(&self, work: impl FnOnce(&mut VectorIndex) -> Result<T>) -> Result<T, JsValue> {
        let busy =
            || Error::invalid_input("a filter may not change the index that is being searched");
        let mut index = self.index.try_borrow_mut().map_err(|_| to_js(busy()))?;
        work(&mut index).map_err(to_js)
    }

    /// Adds vectors; `ids` are strings and safe integers.
    ///
    /// *Errors*: `INVALID_INPUT`, `RESOURCE_LIMIT`.
    pub fn add(&self, ids: Array, vectors: Float32Array, tags: JsValue) -> Result<(), JsValue> {
        let (ids, tags) = (to_ids(&ids), OwnTags::new(&tags).map_err(to_js)?);
        let tags = tags.as_ref().map(OwnTags::borrow);
        self.change(|index| index.add(&ids, &JsVectors(vectors), tags))
    }

    /// Replaces the vectors of these ids, and their tags if `tags` is given.
    ///
    /// *Errors*: as `add`.
    pub fn update(&self, ids: Array, vectors: Float32Array, tags: JsValue) -> Result<(), JsValue> {
        let (ids, tags) = (to_ids(&ids), OwnTags::new(&tags).map_err(to_js)?);
        let tags = tags.as_ref().map(OwnTags::borrow);
        self.change(|index| index.update(&ids, &JsVectors(vectors), tags))
    }

    /// Removes vectors and returns how many there were.
    ///
    /// *Errors*: `RESOURCE_LIMIT`.
    pub fn remove(&self, ids: Array) -> Result<usize, JsValue> {
        let ids = to_ids(&ids);
        self.change(|index| index.remove(&ids))
    }

    /// Searches the `k` nearest vectors: `[{ id, score }]`, the best first. `options` has `filter`, or `tags` and `any`; `exact` and
    /// `candidates`.
    ///
    /// *Errors*: `INVALID_INPUT`, `RESOURCE_LIMIT`.
    pub fn search(
        &self,
        query: Float32Array,
        k: usize,
        options: JsValue,
    ) -> Result<Array, JsValue> {
        let search = || {
            let options = SearchRequest::new(&options)?;
            let passes_filter = |filter: &Function, id: &Id| {
                let passes = filter.call1(&JsValue::NULL, &id_to_js(id));
                passes.is_ok_and(|passes| passes.is_truthy())
            };
            let mut by_id = options
                .filter
                .as_ref()
                .map(|filter| |id: &Id| passes_filter(filter, id));
            let filter = match (&mut by_id, &options.tags) {
                (Some(by_id), _) => Some(Filter::Ids(by_id)),
                (None, Some(tags)) => Some(Filter::Tags {
                    tags,
                    any: options.any,
                }),
                (None, None) => None,
            };
            let options = SearchOptions {
                filter,
                exact: options.exact,
                candidates: options.candidates,
            };
            self.index.borrow().search(&query.to_vec(), k, options)
        };
        let hits = search().map_err(to_js)?;
        let hit = |Hit { id, score }: &Hit| {
            object([("id", id_to_js(id)), ("score", f64::from(*score).into())])
        };
        Ok(hits.iter().map(hit).collect())
    }

    /// Whether the index has a vector with this id.
    pub fn has(&self, id: JsValue) -> bool {
        to_id(&id).is_some_and(|id| self.index.borrow().has(&id))
    }

    /// All ids in the order in which they were added.
    pub fn ids(&self) -> Array {
        self.index.borrow().ids().map(id_to_js).collect()
    }

    /// The number of vectors.
    #[wasm_bindgen(getter)]
    pub fn size(&self) -> usize {
        self.index.borrow().len()
    }

    /// The number of values in a vector.
    #[wasm_bindgen(getter)]
    pub fn dimensions(&self) -> usize {
        self.index.borrow().dimensions()
    }

    /// The precision in which the vectors are kept.
    #[wasm_bindgen(getter)]
    pub fn precision(&self) -> String {
        self.index.borrow().precision().name().into()
    }

    /// The measure by which vectors are compared.
    #[wasm_bindgen(getter)]
    pub fn metric(&self) -> String {
        self.index.borrow().metric().name().into()
    }

    /// Whether the sign bits of the vectors are kept for a prefilter.
    #[wasm_bindgen(getter)]
    pub fn prefilter(&self) -> bool {
        self.index.borrow().has_prefilter()
    }

    /// The name of the source of the vectors, such as a model.
    #[wasm_bindgen(getter)]
    pub fn source(&self) -> Option<String> {
        self.index.borrow().source().map(Into::into)
    }

    /// The approximate memory of the index in bytes.
    #[wasm_bindgen(getter, js_name = memoryBytes)]
    pub fn memory_bytes(&self) -> usize {
        self.index.borrow().memory_bytes()
    }

    /// The length of the array that `write` fills, in bytes.
    #[wasm_bindgen(getter, js_name = byteLength)]
    pub fn byte_length(&self) -> Result<f64, JsValue> {
        let length = self.index.borrow().byte_length();
        length.map(|length| length as f64).map_err(to_js)
    }

    /// Writes the index to the caller's array of `byteLength` bytes, so that no second copy is in linear memory.
    pub fn write(&self, to: Uint8Array) -> Result<(), JsValue> {
        let mut at = 0;
        // Most parts have a few bytes, and each copy to JavaScript has a cost of its own.
        let mut buffer = Vec::with_capacity(BUFFER);
        let mut flush = |buffer: &mut Vec<u8>| {
            let end = at + buffer.len() as u32;
            to.subarray(at, end).copy_from(buffer);
            at = end;
            buffer.clear();
        };
        let written = self.index.borrow().write_to(&mut |mut part| {
            while !part.is_empty() {
                let (now, later) = part.split_at(part.len().min(BUFFER - buffer.len()));
                buffer.extend_from_slice(now);
                part = later;
                if buffer.len() == BUFFER {
                    flush(&mut buffer);
                }
            }
            Ok(())
        });
        flush(&mut buffer);
        written.map_err(to_js)
    }

    /// Saves the current state of the index, which may change meanwhile. `options` has `store` and `locks`.
    ///
    /// *Errors*: `INVALID_INPUT`, `QUOTA_EXCEEDED`, and those of the store.
    pub fn save(&self, name: String, options: JsValue) -> Promise {
        let snapshot = self.index.borrow().snapshot();
        promise(async move {
            let save = async {
                let key = NamedKey::index(&name)?;
                with_lock(&key, &options, async |store, guard| {
                    SavedIndex::new(store, &key).save(&snapshot, guard).await
                })
                .await
            };
            save.await.map(|()| JsValue::UNDEFINED).map_err(to_js)
        })
    }

    /// Loads the index that was saved under a name; `undefined` if there is none.
    ///
    /// *Errors*: `INTEGRITY`, `RESOURCE_LIMIT`, and those of the store.
    pub async fn load(
        name: String,
        options: JsValue,
    ) -> Result<Option<VectorIndexHandle>, JsValue> {
        let load = async {
            let key = NamedKey::index(&name)?;
            let (store, _) = open(&options).await?;
            SavedIndex::new(store.as_ref(), &key).load().await
        };
        let index = load.await.map_err(to_js)?;
        Ok(index.map(Self::wrap))
    }

    /// Deletes the index that was saved under a name. Returns false if there is none.
    pub async fn delete(name: String, options: JsValue) -> Result<bool, JsValue> {
        let delete = async {
            let key = NamedKey::index(&name)?;
            with_lock(&key, &options, async |store, _| {
                SavedIndex::new(store, &key).delete().await
            })
            .await
        };
        delete.await.map_err(to_js)
    }
}

/// Bytes that are copied to JavaScript at a time.
const BUFFER: usize = 64 << 10;

fn to_id(value: &JsValue) -> Option<Id> {
    match value.as_f64() {
        Some(number) => (number.trunc() == number).then_some(Id::Integer(number as i64)),
        None => value.as_string().map(|text| Id::from(text.as_str())),
    }
}

/// Converts ids, whose types the package has checked.
fn to_ids(ids: &Array) -> Vec<Id> {
    let id = |id| to_id(&id).unwrap_or_else(|| Id::from(""));
    ids.iter().map(id).collect()
}

fn id_to_js(id: &Id) -> JsValue {
    match id {
        Id::Integer(integer) => (*integer as f64).into(),
        Id::Text(text) => (&**text).into(),
    }
}
