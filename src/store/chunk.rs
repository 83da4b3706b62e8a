//! Bytes on their way to or from a store. In the browser they live in JavaScript's memory, not in the model's.

#[cfg(target_arch = "wasm32")]
type Bytes = js_sys::Uint8Array;
#[cfg(not(target_arch = "wasm32"))]
type Bytes = std::rc::Rc<[u8]>;

/// Immutable bytes that are cheap to clone.
#[derive(Clone, Debug)]
pub struct Chunk(pub(super) Bytes);

impl Chunk {
    /// How many bytes there are.
    pub fn len(&self) -> usize {
        #[cfg(target_arch = "wasm32")]
        return self.0.length() as usize;
        #[cfg(not(target_arch = "wasm32"))]
        return self.0.len();
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies from `offset` on; both ends must be inside.
    pub fn copy_to(&self, offset: usize, to: &mut [u8]) {
        #[cfg(target_arch = "wasm32")]
        self.0
            .subarray(offset as u32, (offset + to.len()) as u32)
            .copy_to(to);
        #[cfg(not(target_arch = "wasm32"))]
        to.copy_from_slice(&self.0[offset..offset + to.len()]);
    }

    /// All bytes, copied.
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

/// Collects bytes up to a whole chunk's size.
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

    /// Takes as many bytes as there is room for and returns how many.
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

    /// Takes what was collected, or `None` where there is nothing, or less than a whole chunk and `rest` is not set.
    pub fn take(&mut self, rest: bool) -> Option<Chunk> {
        #[cfg(target_arch = "wasm32")]
        {
            if self.filled == 0 || (self.filled < self.size && !rest) {
                return None;
            }
            // A copy of the filled part, so that a store never keeps a whole buffer for a short rest.
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
