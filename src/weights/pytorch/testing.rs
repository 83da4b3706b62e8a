//! Checkpoints of PyTorch for tests, as `torch.save` writes them.

/// A tensor of a state dict: a view of a storage.
#[derive(Clone, Debug)]
pub struct View {
    pub name: String,
    /// The type of the storage in `torch`.
    pub kind: &'static str,
    /// The number of the storage.
    pub key: usize,
    /// The number of elements of the storage.
    pub elements: u64,
    pub offset: u64,
    pub shape: Vec<u64>,
    pub strides: Vec<u64>,
}

impl View {
    /// A tensor that has a storage to itself.
    pub fn whole(name: &str, key: usize, shape: &[u64]) -> Self {
        Self {
            name: name.into(),
            kind: "FloatStorage",
            key,
            elements: shape.iter().product(),
            offset: 0,
            shape: shape.to_vec(),
            strides: (1..=shape.len())
                .map(|dim| shape[dim..].iter().product())
                .collect(),
        }
    }
}

/// The opcodes of a text.
pub fn text(text: &str) -> Vec<u8> {
    let mut bytes = vec![b'X'];
    bytes.extend((text.len() as u32).to_le_bytes());
    bytes.extend(text.bytes());
    bytes
}

/// The opcodes of a whole number.
pub fn number(number: u64) -> Vec<u8> {
    let mut bytes = vec![0x8a, 9];
    bytes.extend(number.to_le_bytes());
    bytes.push(0);
    if number <= i64::MAX.cast_unsigned() {
        bytes.pop();
        bytes[1] = 8;
    }
    bytes
}

fn tuple(numbers: &[u64]) -> Vec<u8> {
    let parts: Vec<u8> = numbers.iter().flat_map(|n| number(*n)).collect();
    [b"(", parts.as_slice(), b"t"].concat()
}

/// The opcodes of a tensor.
pub fn tensor(view: &View) -> Vec<u8> {
    [
        b"ctorch._utils\n_rebuild_tensor_v2\n((" as &[u8],
        &text("storage"),
        format!("ctorch\n{}\n", view.kind).as_bytes(),
        &text(&view.key.to_string()),
        &text("cpu"),
        &number(view.elements),
        b"tQ",
        &number(view.offset),
        &tuple(&view.shape),
        &tuple(&view.strides),
        b"\x89ccollections\nOrderedDict\n)RtR",
    ]
    .concat()
}

/// The pickle of a state dict.
pub fn pickle(views: &[View]) -> Vec<u8> {
    let mut bytes = b"\x80\x02ccollections\nOrderedDict\n)R(".to_vec();
    for view in views {
        bytes.extend(text(&view.name));
        bytes.extend(tensor(view));
    }
    bytes.extend(b"u.");
    bytes
}

/// An archive as PyTorch writes it: each member begins at a multiple of 64 bytes, and its size and checksum follow it.
#[derive(Clone)]
pub struct Archive {
    pub bytes: Vec<u8>,
    pub directory: Vec<u8>,
    pub members: u16,
}

impl Archive {
    pub fn new(members: &[(&str, &[u8])]) -> Self {
        let mut archive = Self {
            bytes: Vec::new(),
            directory: Vec::new(),
            members: 0,
        };
        for (name, data) in members {
            archive.add(name, data);
        }
        archive
    }

    pub fn add(&mut self, name: &str, data: &[u8]) {
        let header = self.bytes.len() as u32;
        let padding = (self.bytes.len() + 34 + name.len()).next_multiple_of(64);
        let padding = padding - (self.bytes.len() + 34 + name.len());
        self.bytes.extend(b"PK\x03\x04\0\0\x08\x08");
        self.bytes.extend([0; 18]);
        self.bytes.extend((name.len() as u16).to_le_bytes());
        self.bytes.extend((padding as u16 + 4).to_le_bytes());
        self.bytes.extend(name.bytes());
        self.bytes.extend(b"FB");
        self.bytes.extend((padding as u16).to_le_bytes());
        self.bytes.extend(vec![b'Z'; padding]);
        self.bytes.extend_from_slice(data);
        let sizes = [(data.len() as u32).to_le_bytes(); 2];
        self.bytes.extend(b"PK\x07\x08\0\0\0\0");
        self.bytes.extend(sizes.as_flattened());
        self.directory.extend(b"PK\x01\x02\0\0\0\0\x08\x08");
        self.directory.extend([0; 10]);
        self.directory.extend(sizes.as_flattened());
        self.directory.extend((name.len() as u16).to_le_bytes());
        self.directory.extend([0; 12]);
        self.directory.extend(header.to_le_bytes());
        self.directory.extend(name.bytes());
        self.members += 1;
    }

    /// The whole file.
    pub fn file(&self) -> Vec<u8> {
        let mut file = self.bytes.clone();
        file.extend(&self.directory);
        file.extend(b"PK\x05\x06\0\0\0\0");
        file.extend(self.members.to_le_bytes());
        file.extend(self.members.to_le_bytes());
        file.extend((self.directory.len() as u32).to_le_bytes());
        file.extend((self.bytes.len() as u32).to_le_bytes());
        file.extend([0; 2]);
        file
    }
}

/// A checkpoint: its tensors, and the bytes of each storage.
pub fn checkpoint(views: &[View], storages: &[Vec<u8>]) -> Vec<u8> {
    let mut archive = Archive::new(&[("m/data.pkl", &pickle(views)), ("m/byteorder", b"little")]);
    for (key, storage) in storages.iter().enumerate() {
        archive.add(&format!("m/data/{key}"), storage);
    }
    archive.add("m/version", b"3\n");
    archive.file()
}
