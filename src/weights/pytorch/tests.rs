//! Archives and pickles that PyTorch wrote, hostile ones, and loads that are interrupted.

use async_trait::async_trait;
use pilotlight_kernels::testing::Random;
use pollster::block_on;

use super::super::{Dtype, Needs, Parameter, Resume, ResumePoint, Role, Sink, load, plan};
use super::testing::{Archive, View, checkpoint, number, pickle, tensor, text};
use super::*;
use crate::device::cpu;
use crate::error::ErrorKind;
use crate::hub::{Host, MemoryHost, MemoryStream, RetryPolicy};
use crate::scheduler::NoYield;

const FILE: &str = "pytorch_model.bin";

const RETRY: RetryPolicy<'static> = RetryPolicy {
    scheduler: &NoYield,
    stall: std::time::Duration::from_secs(1),
    seed: 1,
};

fn host(bytes: Vec<u8>) -> MemoryHost {
    MemoryHost::new([(FILE.to_string(), bytes)])
}

fn open(host: &MemoryHost) -> Fetch<'_> {
    let snapshot = block_on(host.snapshot()).unwrap();
    let fetch = Fetch::open(host, &snapshot, FILE, u64::MAX, RETRY);
    block_on(fetch).unwrap().unwrap()
}

fn header(bytes: Vec<u8>) -> Result<Header> {
    let host = host(bytes);
    let mut fetch = open(&host);
    let header = block_on(Header::read(FILE, &mut fetch))?;
    Header::check(FILE, &header, fetch.size())
}

fn golden(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/pytorch/");
    std::fs::read(format!("{folder}{name}")).unwrap()
}

/// Checks that a file is refused with an error that names it.
fn refused(bytes: Vec<u8>, kind: ErrorKind, what: &str) {
    let error = header(bytes).unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().starts_with(FILE), "{error}");
    assert!(error.to_string().contains(what), "{error}, expected {what}");
}

#[test]
fn tensors_of_each_dtype_are_where_pytorch_put_them() {
    let file = golden("dtypes.bin");
    let header = header(file.clone()).unwrap();
    assert_eq!(
        (header.format, header.end),
        (FileFormat::Pytorch, file.len() as u64)
    );
    let found = |name: &str| {
        header
            .entries
            .iter()
            .find(|entry| entry.name == name)
            .unwrap()
    };
    let bytes = |name: &str| {
        let range = &found(name).range;
        file[range.start as usize..range.end as usize].to_vec()
    };
    for (name, dtype, size) in [
        ("float32", "F32", 4),
        ("float16", "F16", 2),
        ("bfloat16", "BF16", 2),
        ("float64", "F64", 8),
        ("int64", "I64", 8),
        ("int32", "I32", 4),
        ("int16", "I16", 2),
        ("int8", "I8", 1),
        ("uint8", "U8", 1),
        ("bool", "BOOL", 1),
        ("complex64", "C64", 8),
    ] {
        let entry = found(name);
        assert_eq!(
            (entry.dtype.as_str(), entry.shape.as_slice()),
            (dtype, &[3, 4][..])
        );
        assert_eq!(entry.range.end - entry.range.start, 12 * size, "{name}");
        assert_eq!(entry.range.start % 64, 0, "{name}");
    }
    let floats = |bytes: &[u8]| -> Vec<f32> {
        let fours = bytes.as_chunks().0.iter();
        fours.map(|four| f32::from_le_bytes(*four)).collect()
    };
    let counts: Vec<f32> = (0..12).map(|i| i as f32).collect();
    assert_eq!(floats(&bytes("float32")), counts);
    let mut doubles = [0.0; 12];
    let format = pilotlight_kernels::blocks::Format::from_name("F64").unwrap();
    assert!(pilotlight_kernels::blocks::cast(
        &bytes("float64"),
        format,
        &mut doubles
    ));
    assert_eq!(doubles, counts.as_slice());
    assert_eq!(bytes("row"), bytes("float64")[32..64]);
    assert_eq!(found("row").shape, [4]);
    assert_eq!(
        (bytes("empty").len(), floats(&bytes("scalar"))),
        (0, vec![2.5])
    );
    assert_eq!(
        found("transposed").dtype,
        "F32 with strides [1, 4], as a transposed tensor has,"
    );
    assert_eq!(header.entries.len(), 15);
}

#[test]
fn other_files_are_refused_by_what_they_are() {
    for (bytes, kind, what) in [
        (
            golden("legacy.bin"),
            ErrorKind::UnsupportedModel,
            "before 1.6",
        ),
        (
            golden("legacy.bin"),
            ErrorKind::UnsupportedModel,
            "safe_serialization=True",
        ),
        (
            golden("module.bin"),
            ErrorKind::UnsupportedModel,
            "'torch.nn.modules.linear.Linear'",
        ),
        (pickle(&[]), ErrorKind::UnsupportedModel, "a bare pickle"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n".to_vec(),
            ErrorKind::InvalidWeights,
            "a pointer of Git LFS",
        ),
        (
            b"<!doctype html><html></html>".to_vec(),
            ErrorKind::FetchFailed,
            "an HTML page",
        ),
        (
            vec![0xff; 99],
            ErrorKind::InvalidWeights,
            "does not begin as a zip archive",
        ),
        (vec![7; 5], ErrorKind::InvalidWeights, "truncated"),
        (
            Archive::new(&[("a.txt", b"hello"), ("b/c/data.pkl", b".")]).file(),
            ErrorKind::InvalidWeights,
            "without 'data.pkl'",
        ),
        (
            Archive::new(&[]).file(),
            ErrorKind::InvalidWeights,
            "without 'data.pkl'",
        ),
    ] {
        refused(bytes, kind, what);
    }
}

/// An archive with a pickle and storage 0 of eight bytes.
fn with_pickle(pickle: &[u8]) -> Vec<u8> {
    Archive::new(&[("m/data.pkl", pickle), ("m/data/0", &[0; 8])]).file()
}

#[test]
fn a_pickle_that_is_hostile_or_damaged_is_refused() {
    let two = View::whole("x", 0, &[2]);
    let state = |value: &[u8]| [b"\x80\x02}", text("x").as_slice(), value, b"s."].concat();
    let with = |change: fn(&mut View)| {
        let mut view = two.clone();
        change(&mut view);
        state(&tensor(&view))
    };
    let unsupported = ErrorKind::UnsupportedModel;
    let invalid = ErrorKind::InvalidWeights;
    header(with_pickle(&state(&tensor(&two)))).unwrap();
    for (pickle, kind, what) in [
        // Names that Python would import and call.
        (
            b"\x80\x02cos\nsystem\n(X\x02\0\0\0idtR.".to_vec(),
            unsupported,
            "asks for 'os.system'",
        ),
        (
            b"\x80\x04\x8c\x02os\x8c\x06system\x93.".to_vec(),
            unsupported,
            "asks for 'os.system'",
        ),
        (
            b"\x80\x02c__builtin__\neval\n.".to_vec(),
            unsupported,
            "'__builtin__.eval'",
        ),
        (
            b"\x80\x02ctorch\nload\n.".to_vec(),
            unsupported,
            "'torch.load'",
        ),
        (
            b"\x80\x02ctorch\nFloatStorage\n)R.".to_vec(),
            unsupported,
            "other arguments",
        ),
        (
            b"\x80\x02ccollections\nOrderedDict\n(K\x01tR.".to_vec(),
            unsupported,
            "other arguments",
        ),
        (
            b"\x80\x02i\x00os\nsystem\n.".to_vec(),
            unsupported,
            "opcode 0x69",
        ),
        (b"\x80\x02\x82\x01.".to_vec(), unsupported, "opcode 0x82"),
        (b"\x80\x09.".to_vec(), unsupported, "protocol 9"),
        // Values that contain themselves, and that are none.
        (
            b"\x80\x02}q\0X\x01\0\0\0xh\0s.".to_vec(),
            unsupported,
            "no tensors, but keys such as 'x'",
        ),
        (
            b"\x80\x02]q\0h\0a.".to_vec(),
            unsupported,
            "something else than a dict",
        ),
        (b"\x80\x02(q\0.".to_vec(), invalid, "where there is none"),
        (b"\x80\x02h\x05.".to_vec(), invalid, "value 5 of its memo"),
        (
            b"\x80\x02}(X\x01\0\0\0xu.".to_vec(),
            invalid,
            "a key without a value",
        ),
        (b"\x80\x02t.".to_vec(), invalid, "a mark that is not set"),
        (b"\x80\x02N(\x85.".to_vec(), invalid, "where there is none"),
        (b"\x80\x02NNs.".to_vec(), invalid, "where there is none"),
        (b"\x80\x02)NNs.".to_vec(), invalid, "no dict"),
        (b"\x80\x02)Na.".to_vec(), invalid, "no list"),
        (b"\x80\x02NNb.".to_vec(), unsupported, "sets attributes"),
        (b"\x80\x02N)R.".to_vec(), unsupported, "no name"),
        (b"\x80\x02NQ.".to_vec(), invalid, "a persistent id"),
        (b"\x80\x02}".to_vec(), invalid, "ends before"),
        (b"".to_vec(), invalid, "ends before"),
        // Sizes that are not there.
        (
            b"\x80\x02\x8d\0\0\0\0\0\x01\0\0.".to_vec(),
            invalid,
            "ends before",
        ),
        (
            b"\x80\x02X\xff\xff\xff\xff.".to_vec(),
            invalid,
            "ends before",
        ),
        (b"\x80\x02X\x01\0\0\0\xff.".to_vec(), invalid, "not UTF-8"),
        (b"\x80\x02cos".to_vec(), invalid, "ends within a name"),
        (
            [b"\x80\x02".as_slice(), &[b'('; 300], b"."].concat(),
            unsupported,
            "more than 256 deep",
        ),
        (
            [b"\x80\x02".as_slice(), &[b'}'; 300], b"."].concat(),
            unsupported,
            "values",
        ),
        (
            [b"\x80\x02N".as_slice(), &[0x94; 300], b"."].concat(),
            unsupported,
            "in its memo",
        ),
        // Tensors that do not lie in their storage.
        (
            with(|x| x.elements = 1 << 40),
            invalid,
            "has 8 bytes, expected 1099511627776 values",
        ),
        (with(|x| x.elements = u64::MAX), invalid, "a persistent id"),
        (
            with(|x| x.elements = 1),
            invalid,
            "has 2 values from 0 on in a storage of 1",
        ),
        (with(|x| x.offset = 1), invalid, "has 2 values from 1 on"),
        (
            with(|x| x.offset = u64::MAX >> 1),
            invalid,
            "impossible shape",
        ),
        (
            with(|x| x.shape = vec![1 << 40]),
            invalid,
            "impossible shape",
        ),
        (
            with(|x| x.shape = vec![1 << 31; 2]),
            invalid,
            "2 dimensions and 1 strides",
        ),
        (
            with(|x| (x.shape, x.strides) = (vec![1; 9], vec![1; 9])),
            invalid,
            "9 dimensions and 9 strides",
        ),
        (
            with(|x| x.kind = "DoubleStorage"),
            invalid,
            "expected 2 values of F64",
        ),
        (
            with(|x| x.kind = "OddStorage"),
            unsupported,
            "'torch.OddStorage'",
        ),
        (with(|x| x.key = 7), invalid, "'data/7', which is not there"),
        (
            [
                b"\x80\x02}(".as_slice(),
                &text("x"),
                &tensor(&two),
                &text("x"),
                &tensor(&two),
                b"u.",
            ]
            .concat(),
            invalid,
            "tensor 'x' is there twice",
        ),
        (
            state(
                &[
                    b"ctorch._utils\n_rebuild_tensor_v2\n(".as_slice(),
                    &number(1),
                    b"tR",
                ]
                .concat(),
            ),
            invalid,
            "tensor 'x' has other arguments",
        ),
        (
            state(b"ctorch._utils\n_rebuild_parameter\n(NNNtR"),
            unsupported,
            "other arguments",
        ),
    ] {
        refused(with_pickle(&pickle), kind, what);
    }
}

#[test]
fn an_archive_that_is_hostile_or_damaged_is_refused() {
    let views = [View::whole("x", 0, &[2])];
    let archive = Archive::new(&[("m/data.pkl", &pickle(&views)), ("m/data/0", &[0; 8])]);
    header(archive.file()).unwrap();
    // The entry of the pickle has 56 bytes, so that of the storage begins there.
    let changed = |at: usize, bytes: &[u8]| {
        let mut archive = archive.clone();
        archive.directory[at..at + bytes.len()].copy_from_slice(bytes);
        archive.file()
    };
    let (invalid, unsupported) = (ErrorKind::InvalidWeights, ErrorKind::UnsupportedModel);
    let end = archive.file().len();
    let ended = |from_end: usize, bytes: &[u8]| {
        let mut file = archive.file();
        file[end - from_end..end - from_end + bytes.len()].copy_from_slice(bytes);
        file
    };
    let mut moved = archive.file();
    moved[26] += 1;
    let mut many = archive.clone();
    many.members = 200;
    let mut more = archive.clone();
    more.members = 3;
    more.directory.extend([0; 46]);
    for (file, kind, what) in [
        (
            changed(56 + 10, &[8, 0]),
            unsupported,
            "'m/data/0' of the zip archive is compressed (method 8)",
        ),
        (
            changed(10, &[8, 0]),
            unsupported,
            "'m/data.pkl' of the zip archive is compressed",
        ),
        (changed(56 + 8, &[9, 8]), unsupported, "is encrypted"),
        (changed(56 + 20, &[255; 3]), invalid, "do not lie between"),
        (changed(20, &[0; 4]), invalid, "does not have the header"),
        (changed(42, &[1]), invalid, "does not have the header"),
        (
            changed(42, &[255, 255, 0, 0]),
            invalid,
            "do not lie between",
        ),
        (changed(56 + 42, &[0; 4]), invalid, "do not lie between"),
        (changed(28, &[255; 2]), invalid, "ends within a name"),
        (
            changed(30, &[4]),
            invalid,
            "the directory of the zip archive",
        ),
        (
            ended(6, &[255; 4]),
            invalid,
            "without its second end record",
        ),
        (ended(6, &[255, 255, 255, 0]), invalid, "do not fit"),
        (ended(10, &[0; 4]), invalid, "do not fit"),
        (ended(2, &[1]), invalid, "without its end"),
        (
            archive.file()[..end - 1].to_vec(),
            invalid,
            "without its end",
        ),
        (archive.file()[..200].to_vec(), invalid, "without its end"),
        (many.file(), invalid, "200 members"),
        (more.file(), invalid, "2 members, expected 3"),
        (moved, invalid, "does not have the header"),
        (
            Archive::new(&[("m/data.pkl", &pickle(&views)), ("m/byteorder", b"big")]).file(),
            unsupported,
            "big-endian",
        ),
    ] {
        refused(file, kind, what);
    }
}

/// The file with the end record of a 64-bit archive, in which alone the numbers are right.
fn in_64_bits(archive: &Archive, at: u64) -> Vec<u8> {
    let mut file = archive.bytes.clone();
    file.extend(&archive.directory);
    file.extend(b"PK\x06\x06");
    file.extend([0; 20]);
    for number in [
        2,
        2,
        archive.directory.len() as u64,
        archive.bytes.len() as u64,
    ] {
        file.extend(number.to_le_bytes());
    }
    file.extend(b"PK\x06\x07\0\0\0\0");
    file.extend(at.to_le_bytes());
    file.extend(b"\x01\0\0\0PK\x05\x06\0\0\0\0");
    file.extend([0xff; 12]);
    file.extend([0; 2]);
    file
}

#[test]
fn an_archive_of_64_bits_is_read() {
    let views = [View::whole("x", 0, &[2])];
    let mut archive = Archive::new(&[("m/data.pkl", &pickle(&views))]);
    let before = archive.directory.len();
    archive.add("m/data/0", &[1, 2, 3, 4, 5, 6, 7, 8]);
    // The storage's entry gets numbers of 64 bits, which make its descriptor longer.
    let header_at = u32::from_le_bytes(*archive.directory[before + 42..].first_chunk().unwrap());
    archive.directory[before + 20..before + 28].fill(0xff);
    archive.directory[before + 42..before + 46].fill(0xff);
    archive.directory[before + 30] = 28;
    archive.directory.extend([1, 0, 24, 0]);
    for number in [8, 8, u64::from(header_at)] {
        archive.directory.extend(number.to_le_bytes());
    }
    archive.bytes.extend([0; 8]);
    let at = (archive.bytes.len() + archive.directory.len()) as u64;
    let file = in_64_bits(&archive, at);
    let header = header(file.clone()).unwrap();
    let range = &header.entries[0].range;
    assert_eq!(
        file[range.start as usize..range.end as usize],
        [1, 2, 3, 4, 5, 6, 7, 8]
    );
    let invalid = ErrorKind::InvalidWeights;
    refused(
        in_64_bits(&archive, at - 1),
        invalid,
        "not where it should be",
    );
    refused(in_64_bits(&archive, u64::MAX), invalid, "but the file has");
    refused(in_64_bits(&archive, at + 1000), invalid, "but the file has");
}

/// A sink that keeps everything: the header, the packed file, and the resume points with the bytes before them.
#[derive(Default)]
struct Kept {
    header: Vec<u8>,
    packed: Vec<u8>,
    points: Vec<(ResumePoint, usize)>,
}

#[async_trait(?Send)]
impl Sink for Kept {
    async fn keep_header(&mut self, bytes: &[u8]) -> Result<()> {
        self.header = bytes.to_vec();
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.packed.extend(bytes);
        Ok(())
    }

    fn expected_size(&mut self, _: u64) {}

    fn interval(&self) -> usize {
        3000
    }

    async fn checkpoint(&mut self, _: &str, at: ResumePoint) -> Result<()> {
        self.points.push((at, self.packed.len()));
        Ok(())
    }
}

fn loaded(
    needs: &Needs<'_>,
    fetch: &mut Fetch<'_>,
    sink: &mut Kept,
    from: Option<Resume>,
) -> Result<()> {
    let device = cpu();
    let loading = load(
        FILE,
        fetch,
        None,
        needs,
        &device,
        Some(sink),
        from,
        &NoYield,
    );
    block_on(loading).map(|_| ())
}

fn needs(parameters: &[Parameter], dtype: Dtype) -> Needs<'_> {
    Needs {
        parameters,
        prefixes: &[""],
        gguf_name: |_| None,
        dtype,
    }
}

/// A checkpoint with a table, a head that is the same tensor, two views of one storage, and a tensor that nothing needs.
fn tied() -> (Vec<u8>, Vec<Parameter>) {
    let mut random = Random::new(5);
    let mut storage = |values: usize| bytemuck::cast_slice(&random.values(values)).to_vec();
    let storages = [storage(90 * 40), storage(200_000), storage(2 * 80 * 40)];
    let view = |name, key, elements, offset, shape: &[u64]| View {
        elements,
        offset,
        ..View::whole(name, key, shape)
    };
    let views = [
        view("embed.weight", 0, 3600, 0, &[90, 40]),
        view("head.weight", 0, 3600, 0, &[90, 40]),
        view("buffer", 1, 200_000, 0, &[200_000]),
        view("b.weight", 2, 6400, 3200, &[80, 40]),
        view("a.weight", 2, 6400, 0, &[80, 40]),
    ];
    let parameters = [
        ("a.weight", Role::Panels, 80),
        ("embed.weight", Role::Rows, 90),
        ("head.weight", Role::Head, 90),
        ("b.weight", Role::Panels, 80),
    ];
    let parameters = parameters.map(|(name, role, rows)| Parameter::new(name, role, &[rows, 40]));
    (checkpoint(&views, &storages), parameters.to_vec())
}

#[test]
fn a_load_that_is_resumed_anywhere_gives_the_same_packed_file() {
    let (file, parameters) = tied();
    let host = host(file);
    for dtype in [Dtype::F32, Dtype::Q8, Dtype::Q4] {
        let needs = needs(&parameters, dtype);
        let mut whole = Kept::default();
        loaded(&needs, &mut open(&host), &mut whole, None).unwrap();
        assert!(whole.points.len() >= 8, "{}", whole.points.len());
        let mut tensors: Vec<_> = whole.points.iter().map(|(point, _)| point.tensor).collect();
        tensors.dedup();
        assert_eq!(tensors, [0, 1, 2, 3, 4][..tensors.len()], "{dtype:?}");
        for (point, length) in &whole.points {
            let resume = Resume {
                header: whole.header.clone(),
                stored: Box::new(MemoryStream::new(whole.packed[..*length].into())),
                tensor: point.tensor,
                units_done: point.units_done,
                side_tensors: point.side_tensors.clone(),
                tensor_hash: None,
            };
            let mut rest = Kept::default();
            let snapshot = block_on(host.snapshot()).unwrap();
            let mut fetch = Fetch::resume(&host, &snapshot, FILE, point.state.clone(), RETRY);
            loaded(&needs, &mut fetch, &mut rest, Some(resume)).unwrap();
            let all = [&whole.packed[..*length], &rest.packed].concat();
            assert!(all == whole.packed, "{dtype:?} at {length}");
        }
    }
}

#[test]
fn a_plan_counts_the_bytes_that_are_then_read_and_only_those() {
    let (file, parameters) = tied();
    let size = file.len() as u64;
    let host = host(file);
    let fours = |values: u64| values * 4;
    for (count, tensors) in [
        (4, fours(3600 * 2 + 3200 * 2)),
        (1, fours(3200)),
        (2, fours(3600 + 3200)),
    ] {
        let needs = needs(&parameters[..count], Dtype::Q8);
        let found = block_on(plan(FILE, &mut open(&host), None, &needs)).unwrap();
        assert_eq!(found.tensors, count);
        // The end of the file, the pickle, and the header of each member come on top.
        let parts = found.fetch - tensors;
        assert!(
            parts > TAIL && parts < TAIL + 2_500 && found.fetch < size / 2,
            "{count}: {parts}"
        );
        let read = std::cell::Cell::new((0, 0));
        let mut fetch = open(&host);
        fetch.on_read(|done, all| read.set((done, all)));
        loaded(&needs, &mut fetch, &mut Kept::default(), None).unwrap();
        assert_eq!(read.get(), (found.fetch, found.fetch), "{count}");
    }
}

#[test]
fn a_needed_tensor_that_cannot_be_read_is_named() {
    let parameter = |name: &str, shape: &[usize]| vec![Parameter::new(name, Role::Rows, shape)];
    let host = host(golden("dtypes.bin"));
    for (parameters, what) in [
        (
            parameter("transposed", &[4, 3]),
            "'transposed' has dtype F32 with strides [1, 4]",
        ),
        (
            parameter("int64", &[3, 4]),
            "'int64' has dtype I64, expected F32",
        ),
        (
            parameter("float32", &[4, 3]),
            "'float32' has shape [3, 4], expected [4, 3]",
        ),
        (parameter("other", &[4]), "'other' is missing"),
        (parameter("empty", &[0, 4]), ""),
    ] {
        let found = loaded(
            &needs(&parameters, Dtype::F32),
            &mut open(&host),
            &mut Kept::default(),
            None,
        );
        match what {
            "" => found.unwrap(),
            _ => assert!(found.unwrap_err().to_string().contains(what), "{what}"),
        }
    }
    // Views that overlap, but are not the same.
    let view = |name, offset| View {
        elements: 6,
        offset,
        ..View::whole(name, 0, &[4])
    };
    let file = checkpoint(&[view("a", 0), view("b", 2)], &[vec![0; 24]]);
    let parameters = [parameter("a", &[4]), parameter("b", &[4])].concat();
    let found = loaded(
        &needs(&parameters, Dtype::F32),
        &mut open(&self::host(file)),
        &mut Kept::default(),
        None,
    );
    let error = found.unwrap_err();
    assert!(error.to_string().contains("'b' is out of order"), "{error}");
}

#[test]
fn a_stored_table_that_is_damaged_is_refused() {
    let host = host(golden("dtypes.bin"));
    let mut fetch = open(&host);
    let bytes = block_on(Header::read(FILE, &mut fetch)).unwrap();
    let whole = fetch.size();
    Header::check(FILE, &bytes, whole).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    for (from, to) in [
        ("\"size\":", "\"size\":1"),
        ("\"front\":", "\"front\":99999"),
        ("\"shape\":[3,4]", "\"shape\":[3,5]"),
        (
            "\"shape\":[3,4]",
            "\"shape\":[4294967296,4294967296,4294967296]",
        ),
        ("\"start\":", "\"start\":9"),
        ("\"end\":", "\"end\":9"),
        ("PYTORCH", "PYTORCHY"),
        ("}", ""),
    ] {
        let damaged = text.replacen(from, to, 1);
        assert_ne!(damaged, text);
        let error = Header::check(FILE, damaged.as_bytes(), whole).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidWeights, "{from}: {error}");
    }
}
