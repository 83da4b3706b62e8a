//! The bytes of one entry of a store. In the browser they are in JavaScript's memory, not in WebAssembly's.

#[cfg(target_arch = "wasm32")]
type Bytes = js_sys::Uint8Array;
#[cfg(not(target_arch = "wasm32"))]
type Bytes = std::rc::Rc<[u8]>;

/// Immutable bytes that are cheap to clone.
#[derive(Clone, Debug)]
pub struct Chunk(pub(super) Bytes);

impl Chunk {
    /// The number of bytes.
    pub fn len(&self) -> usize {
        #[cfg(target_arch = "wasm32")]
        return self.0.length() as usize;
        #[cfg(not(target_arch = "wasm32"))]
        return self.0.len();
    }

    /// Whether the chunk has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies the bytes from `offset` on into all of `to`; the chunk must have at least `offset + to.len()` bytes.
    pub fn copy_to(&self, offset: usize, to: &mut [u8]) {
        #[cfg(target_arch = "wasm32")]
        self.0
            .subarray(offset as u32, (offset + to.len()) as u32)
            .copy_to(to);
        #[cfg(not(target_arch = "wasm32"))]
        to.copy_from_slice(&self.0[offset..offset + to.len()]);
    }

    /// A copy of all bytes.
    pub fn to_vec(&self) -> Vec<u8> {
        self.0.to_vec()
    }
}

impl From<&[u8]> for Chunk {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

#[cfg(target_arch = "wasm32")]
impl From<js_sys::Uint8Array> for Chunk {
    fn from(bytes: js_sys::Uint8Array) -> Self {
        Self(bytes)
    }
}

/// Collects bytes until they fill a chunk.
pub(super) struct ChunkBuilder {
    #[cfg(target_arch = "wasm32")]
    bytes: js_sys::Uint8Array,
    #[cfg(target_arch = "wasm32")]
    filled: usize,
    #[cfg(not(target_arch = "wasm32"))]
    bytes: Vec<u8>,
    size: usize,
}

impl ChunkBuilder {
    pub fn new(size: usize) -> Self {
        #[cfg(target_arch = "wasm32")]
        return Self {
            bytes: js_sys::Uint8Array::new_with_length(size as u32),
            filled: 0,
            size,
        };
        #[cfg(not(target_arch = "wasm32"))]
        return Self {
            bytes: Vec::new(),
            size,
        };
    }

    /// Takes bytes until the chunk is full, and returns how many it took.
    pub fn push(&mut self, bytes: &[u8]) -> usize {
        #[cfg(target_arch = "wasm32")]
        {
            let count = bytes.len().min(self.size - self.filled);
            let end = self.filled + count;
            self.bytes
                .subarray(self.filled as u32, end as u32)
                .copy_from(&bytes[..count]);
            self.filled = end;
            count
        }
        #[cfg(not(target_arch = "wasm32"))]
        {
            let count = bytes.len().min(self.size - self.bytes.len());
            self.bytes.extend_from_slice(&bytes[..count]);
            count
        }
    }

    /// Returns the collected bytes as a chunk and starts a new one. Returns `None` if there are none, or if the chunk is not full and
    /// `rest` is false.
    pub fn take(&mut self, rest: bool) -> Option<Chunk> {
        #[cfg(target_arch = "wasm32")]
        {
            if self.filled == 0 || (self.filled < self.size && !rest) {
                return None;
            }
            // The filled part is copied, so that a store never keeps a whole buffer for a short chunk.
            let chunk = self.bytes.slice(0, self.filled as u32);
            self.filled = 0;
            Some(Chunk(chunk))
        }
        #[cfg(not(target_arch = "wasm32"))]
        {
            if self.bytes.is_empty() || (self.bytes.len() < self.size && !rest) {
                return None;
            }
            Some(Chunk(std::mem::take(&mut self.bytes).into()))
        }
    }
}
