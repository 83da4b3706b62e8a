//! GGUF files for tests.

/// A value of the metadata.
#[derive(Clone)]
pub enum Item {
    Count(u64),
    Float(f32),
    Text(String),
    Texts(Vec<String>),
    Integers(Vec<i32>),
    /// The bytes of a value, its type before it.
    Raw(Vec<u8>),
}

impl Item {
    fn push(&self, to: &mut Vec<u8>) {
        let kind = |to: &mut Vec<u8>, kind: u32| to.extend(kind.to_le_bytes());
        match self {
            Self::Count(value) => {
                kind(to, 10);
                to.extend(value.to_le_bytes());
            }
            Self::Float(value) => {
                kind(to, 6);
                to.extend(value.to_le_bytes());
            }
            Self::Text(value) => {
                kind(to, 8);
                text(value, to);
            }
            Self::Texts(values) => {
                kind(to, 9);
                kind(to, 8);
                to.extend((values.len() as u64).to_le_bytes());
                values.iter().for_each(|value| text(value, to));
            }
            Self::Integers(values) => {
                kind(to, 9);
                kind(to, 5);
                to.extend((values.len() as u64).to_le_bytes());
                values
                    .iter()
                    .for_each(|value| to.extend(value.to_le_bytes()));
            }
            Self::Raw(bytes) => to.extend(bytes),
        }
    }
}

fn text(value: &str, to: &mut Vec<u8>) {
    to.extend((value.len() as u64).to_le_bytes());
    to.extend(value.bytes());
}

/// The description of a tensor.
#[derive(Clone)]
pub struct Described {
    pub name: String,
    /// The innermost dimension first, as in the file.
    pub dims: Vec<u64>,
    pub kind: u32,
    pub offset: u64,
}

/// A GGUF file that is being written, with zeros for tensors.
#[derive(Clone, Default)]
pub struct GgufFile {
    pub values: Vec<(String, Item)>,
    pub tensors: Vec<Described>,
    pub end: u64,
    /// The bytes of the tensors; zeros where there are none.
    pub data: Vec<u8>,
}

impl GgufFile {
    /// Sets a value of the metadata.
    pub fn value(&mut self, key: &str, item: Item) {
        self.values.retain(|(own, _)| own != key);
        self.values.push((key.into(), item));
    }

    /// Adds a tensor; `shape` has the outermost dimension first.
    pub fn tensor(&mut self, name: &str, shape: &[u64], kind: &str) {
        let (id, values, bytes) = match kind {
            "F32" => (0, 1, 4),
            "F16" => (1, 1, 2),
            "Q4_1" => (3, 32, 20),
            "Q4_K" => (12, 256, 144),
            other => panic!("{other}"),
        };
        self.tensors.push(Described {
            name: name.into(),
            dims: shape.iter().rev().copied().collect(),
            kind: id,
            offset: self.end,
        });
        let size = shape.iter().product::<u64>() / values * bytes;
        self.end = (self.end + size).next_multiple_of(32);
    }

    /// The number of bytes before the first tensor.
    pub fn header_bytes(&self) -> usize {
        self.header().len()
    }

    fn header(&self) -> Vec<u8> {
        let mut bytes = b"GGUF\x03\0\0\0".to_vec();
        bytes.extend((self.tensors.len() as u64).to_le_bytes());
        bytes.extend((self.values.len() as u64).to_le_bytes());
        for (key, item) in &self.values {
            text(key, &mut bytes);
            item.push(&mut bytes);
        }
        for tensor in &self.tensors {
            text(&tensor.name, &mut bytes);
            bytes.extend((tensor.dims.len() as u32).to_le_bytes());
            for dim in &tensor.dims {
                bytes.extend(dim.to_le_bytes());
            }
            bytes.extend(tensor.kind.to_le_bytes());
            bytes.extend(tensor.offset.to_le_bytes());
        }
        bytes.resize(bytes.len().next_multiple_of(32), 0);
        bytes
    }

    /// The whole file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.header();
        let end = bytes.len() + self.end as usize;
        bytes.extend(&self.data);
        bytes.resize(end, 0);
        bytes
    }
}
