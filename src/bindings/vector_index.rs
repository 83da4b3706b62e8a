//! `VectorIndexHandle`: what `VectorIndex` of the npm package calls.

use std::cell::RefCell;
use std::rc::Rc;

use js_sys::{Array, Float32Array, Function, Promise, Uint8Array};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};

use super::error::to_js;
use super::options::{FindOptions, StoreOptions, index_options, kind, strings};
use super::store;
use crate::error::{Error, Result};
use crate::index::{Filter, Hit, Id, SavedIndex, SearchOptions, Tags, VectorIndex, Vectors};
use crate::interop::object;
use crate::store::{Chunk, IndexKey, LockGuard, Locks, Store};

/// An index. Calls are synchronous but for those that go to a store.
#[wasm_bindgen]
pub struct VectorIndexHandle {
    index: Rc<RefCell<VectorIndex>>,
}

/// The caller's array, copied piece by piece: all of it would be four times what an index of bytes takes.
struct Floats(Float32Array);

impl Vectors for Floats {
    fn len(&self) -> usize {
        self.0.length() as usize
    }

    fn copy_to(&self, from: usize, to: &mut [f32]) {
        let end = from + to.len();
        self.0.subarray(from as u32, end as u32).copy_to(to);
    }
}

/// Tags as they came.
enum OwnTags {
    Same(Vec<String>),
    Each(Vec<Vec<String>>),
}

impl OwnTags {
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
    /// An empty one; `options` are `VectorIndexOptions` of the types.
    ///
    /// *Errors*: `INVALID_INPUT`.
    #[wasm_bindgen(constructor)]
    pub fn new(options: JsValue) -> Result<VectorIndexHandle, JsValue> {
        let index = index_options(&options).and_then(VectorIndex::new);
        index.map(Self::of).map_err(to_js)
    }

    /// Of what `write` wrote.
    ///
    /// *Errors*: `INVALID_INPUT`, `INTEGRITY`, `RESOURCE_LIMIT`.
    #[wasm_bindgen(js_name = fromBytes)]
    pub fn from_bytes(bytes: Uint8Array) -> Result<VectorIndexHandle, JsValue> {
        let index = VectorIndex::from_bytes(&Chunk::from(bytes));
        index.map(Self::of).map_err(to_js)
    }

    fn of(index: VectorIndex) -> Self {
        Self {
            index: Rc::new(RefCell::new(index)),
        }
    }

    /// `work` calls nothing of JavaScript that could ask the index meanwhile: it is converted before.
    fn change<T>(&self, work: impl FnOnce(&mut VectorIndex) -> Result<T>) -> Result<T, JsValue> {
        let busy = || Error::invalid_input("a filter may not change the index that is searched");
        let mut index = self.index.try_borrow_mut().map_err(|_| to_js(busy()))?;
        work(&mut index).map_err(to_js)
    }

    /// Adds vectors; `ids` are strings and safe integers.
    ///
    /// *Errors*: `INVALID_INPUT`, `RESOURCE_LIMIT`.
    pub fn add(&self, ids: Array, vectors: Float32Array, tags: JsValue) -> Result<(), JsValue> {
        let (ids, tags) = (to_ids(&ids), OwnTags::new(&tags).map_err(to_js)?);
        let tags = tags.as_ref().map(OwnTags::borrow);
        self.change(|index| index.add(&ids, &Floats(vectors), tags))
    }

    /// Replaces vectors, and tags where there are any.
    ///
    /// *Errors*: as `add`.
    pub fn update(&self, ids: Array, vectors: Float32Array, tags: JsValue) -> Result<(), JsValue> {
        let (ids, tags) = (to_ids(&ids), OwnTags::new(&tags).map_err(to_js)?);
        let tags = tags.as_ref().map(OwnTags::borrow);
        self.change(|index| index.update(&ids, &Floats(vectors), tags))
    }

    /// How many were removed.
    ///
    /// *Errors*: `RESOURCE_LIMIT`.
    pub fn remove(&self, ids: Array) -> Result<usize, JsValue> {
        let ids = to_ids(&ids);
        self.change(|index| index.remove(&ids))
    }

    /// `[{ id, score }]`, the best first; `options` has `filter` or `tags` and `any`, `exact` and `candidates`.
    ///
    /// *Errors*: `INVALID_INPUT`, `RESOURCE_LIMIT`.
    pub fn search(
        &self,
        query: Float32Array,
        k: usize,
        options: JsValue,
    ) -> Result<Array, JsValue> {
        let search = || {
            let options = FindOptions::new(&options)?;
            let ask = |filter: &Function, id: &Id| {
                let passes = filter.call1(&JsValue::NULL, &id_to_js(id));
                passes.is_ok_and(|passes| passes.is_truthy())
            };
            let mut by_id = options
                .filter
                .as_ref()
                .map(|filter| |id: &Id| ask(filter, id));
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

    /// Whether there is a vector of this id.
    pub fn has(&self, id: JsValue) -> bool {
        to_id(&id).is_some_and(|id| self.index.borrow().has(&id))
    }

    /// All ids in the order in which they were added.
    pub fn ids(&self) -> Array {
        self.index.borrow().ids().map(id_to_js).collect()
    }

    /// How many vectors there are.
    #[wasm_bindgen(getter)]
    pub fn size(&self) -> usize {
        self.index.borrow().len()
    }

    /// Values of a vector.
    #[wasm_bindgen(getter)]
    pub fn dimensions(&self) -> usize {
        self.index.borrow().dimensions()
    }

    /// How they are kept.
    #[wasm_bindgen(getter)]
    pub fn precision(&self) -> String {
        self.index.borrow().precision().name().into()
    }

    /// Whether signs are kept beside them.
    #[wasm_bindgen(getter)]
    pub fn prefilter(&self) -> bool {
        self.index.borrow().has_prefilter()
    }

    /// What made the vectors.
    #[wasm_bindgen(getter)]
    pub fn source(&self) -> Option<String> {
        self.index.borrow().source().map(Into::into)
    }

    /// About how much memory it takes.
    #[wasm_bindgen(getter, js_name = memoryBytes)]
    pub fn memory_bytes(&self) -> usize {
        self.index.borrow().memory_bytes()
    }

    /// How long an array `write` fills.
    #[wasm_bindgen(getter, js_name = byteLength)]
    pub fn byte_length(&self) -> Result<f64, JsValue> {
        let length = self.index.borrow().byte_length();
        length.map(|length| length as f64).map_err(to_js)
    }

    /// Writes the index to an array of `byteLength` bytes: the caller's, so that it is in memory once.
    pub fn write(&self, to: Uint8Array) -> Result<(), JsValue> {
        let mut at = 0;
        // Each part crosses over to JavaScript, and most are a few bytes.
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

    /// Saves it as it is now; it may change meanwhile. `options` has `store` and `locks`.
    ///
    /// *Errors*: `INVALID_INPUT`, `QUOTA_EXCEEDED`, and those of the store.
    pub fn save(&self, name: String, options: JsValue) -> Promise {
        let snapshot = self.index.borrow().snapshot();
        wasm_bindgen_futures::future_to_promise(async move {
            let save = with_turn(&name, &options, async |saved, guard| {
                saved.save(&snapshot, guard).await
            });
            save.await.map(|()| JsValue::UNDEFINED).map_err(to_js)
        })
    }

    /// What was saved under a name, or nothing.
    ///
    /// *Errors*: `INTEGRITY`, `RESOURCE_LIMIT`, and those of the store.
    pub async fn load(
        name: String,
        options: JsValue,
    ) -> Result<Option<VectorIndexHandle>, JsValue> {
        let load = async {
            let key = IndexKey::new(&name)?;
            let (store, _) = open(&options).await?;
            SavedIndex::new(store.as_ref(), &key).load().await
        };
        let index = load.await.map_err(to_js)?;
        Ok(index.map(Self::of))
    }

    /// Removes what was saved under a name; false where there is nothing.
    pub async fn delete(name: String, options: JsValue) -> Result<bool, JsValue> {
        let delete = with_turn(&name, &options, async |saved, _| saved.delete().await);
        delete.await.map_err(to_js)
    }
}

/// Bytes that go to JavaScript at a time.
const BUFFER: usize = 64 << 10;

async fn open(options: &JsValue) -> Result<(Box<dyn Store>, Box<dyn Locks>)> {
    let StoreOptions { store, locks } = StoreOptions::new(options)?;
    let Some(store) = store::open(store).await? else {
        return Err(Error::invalid_input(
            "store is false, expected where the index is to be kept",
        ));
    };
    Ok((store, store::locks(locks)))
}

/// For those who write: waits for the name's turn.
async fn with_turn<T>(
    name: &str,
    options: &JsValue,
    work: impl AsyncFnOnce(SavedIndex<'_>, &dyn LockGuard) -> Result<T>,
) -> Result<T> {
    let key = IndexKey::new(name)?;
    let (store, locks) = open(options).await?;
    let guard = locks.take(key.lock_name()).await?;
    work(SavedIndex::new(store.as_ref(), &key), guard.as_ref()).await
}

fn to_id(value: &JsValue) -> Option<Id> {
    match value.as_f64() {
        Some(number) => (number.trunc() == number).then_some(Id::Integer(number as i64)),
        None => value.as_string().map(|text| Id::from(text.as_str())),
    }
}

/// The package has checked that they are ids.
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
