//! GGUF files: hostile headers, the values of blocks, and loads that are interrupted.

mod headers;

use async_trait::async_trait;
use half::f16;
use pilotlight_kernels::blocks::{Format, cast};
use pilotlight_kernels::testing::Random;
use pollster::block_on;

use super::header::Header;
use super::layout::PackedValues;
use super::testing::{GgufFile, Item};
use super::*;
use crate::device::cpu;
use crate::error::{Error, ErrorKind, Result};
use crate::hub::{Fetch, Host, MemoryHost, MemoryStream, RetryPolicy, Snapshot};
use crate::scheduler::NoYield;

const FILE: &str = "model.gguf";

fn host(bytes: Vec<u8>) -> MemoryHost {
    MemoryHost::new([(FILE.to_string(), bytes)])
}

const RETRY: RetryPolicy<'static> = RetryPolicy {
    scheduler: &NoYield,
    stall: std::time::Duration::from_secs(1),
    seed: 1,
};

/// The bytes of a file's header.
pub(crate) fn header_of(host: &MemoryHost, file: &str) -> Vec<u8> {
    let snapshot = block_on(host.snapshot()).unwrap();
    let fetch = Fetch::open(host, &snapshot, file, u64::MAX, RETRY);
    let mut fetch = block_on(fetch).unwrap().unwrap();
    block_on(Header::read(file, &mut fetch)).unwrap()
}

/// Opens the file of a host; `listed`: whether its size is known.
fn open(host: &MemoryHost, listed: bool) -> Fetch<'_> {
    let snapshot = match listed {
        true => block_on(host.snapshot()).unwrap(),
        false => Snapshot::default(),
    };
    let fetch = Fetch::open(host, &snapshot, FILE, u64::MAX, RETRY);
    block_on(fetch).unwrap().unwrap()
}

fn read(bytes: Vec<u8>) -> Result<Header> {
    let host = host(bytes);
    let mut fetch = open(&host, true);
    let header = block_on(Header::read(FILE, &mut fetch))?;
    Header::check(FILE, &header, fetch.size())
}

fn golden(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/gguf/");
    std::fs::read(format!("{folder}{name}")).unwrap()
}

/// The values of an f32 tensor in a safetensors file.
fn values_in(file: &[u8], name: &str) -> Vec<f32> {
    let length = u64::from_le_bytes(*file.first_chunk().unwrap()) as usize;
    let (head, data) = file.split_at(8 + length);
    let header = Header::check("x", head, Some(file.len() as u64)).unwrap();
    let entry = header
        .entries
        .iter()
        .find(|entry| entry.name == name)
        .unwrap();
    let fours = data[entry.range.start as usize..entry.range.end as usize]
        .as_chunks()
        .0;
    fours.iter().map(|four| f32::from_le_bytes(*four)).collect()
}

#[test]
fn blocks_of_each_type_have_the_values_that_the_package_gguf_gives() {
    let bytes = golden("blocks.gguf");
    let host = host(bytes.clone());
    let mut fetch = open(&host, true);
    let start = block_on(Header::read(FILE, &mut fetch)).unwrap().len();
    let header = Header::check(FILE, &bytes[..start], Some(bytes.len() as u64)).unwrap();
    let expected = golden("blocks.safetensors");
    assert_eq!(header.entries.len(), 11);
    for entry in &header.entries {
        let format = Format::from_name(&entry.dtype).unwrap();
        assert_eq!(entry.name, entry.dtype.to_lowercase());
        assert_eq!(entry.shape, [3, 512]);
        let row = format.row_bytes(512).unwrap();
        assert_eq!(entry.range.end - entry.range.start, 3 * row as u64);
        let source = &bytes[start + entry.range.start as usize..][..3 * row];
        let mut found = vec![0.0; 3 * 512];
        for (source, to) in source.chunks_exact(row).zip(found.chunks_exact_mut(512)) {
            assert!(cast(source, format, to), "{}", entry.name);
        }
        // The products are exact and only the last step rounds, so that all bits are equal, but for the sign of a zero.
        assert_eq!(found, values_in(&expected, &entry.name), "{}", entry.name);
    }
}

/// A sink that keeps everything: the packed file, and the resume points with the bytes before them.
#[derive(Default)]
struct Kept {
    header: Vec<u8>,
    packed: Vec<u8>,
    points: Vec<(ResumePoint, usize)>,
}

/// Bytes between two resume points.
const INTERVAL: usize = 3000;

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
        INTERVAL
    }

    async fn checkpoint(&mut self, _: &str, at: ResumePoint) -> Result<()> {
        self.points.push((at, self.packed.len()));
        Ok(())
    }
}

fn load(
    needs: &Needs<'_>,
    fetch: &mut Fetch<'_>,
    sink: &mut Kept,
    resume: Option<Resume>,
) -> Result<()> {
    let device = cpu();
    let loading = super::load(
        FILE,
        fetch,
        None,
        needs,
        &device,
        Some(sink),
        resume,
        &NoYield,
    );
    block_on(loading).map(|_| ())
}

/// The tensors of a Llama with heads of 12 rows, whose values are random.
fn llama(kind: &str, width: u64) -> (GgufFile, Vec<Parameter>) {
    let mut file = GgufFile::default();
    file.value("general.architecture", Item::Text("llama".into()));
    file.value("llama.attention.head_count", Item::Count(6));
    file.value("llama.attention.head_count_kv", Item::Count(3));
    let mut parameters = Vec::new();
    for (name, rows, role) in [
        ("embed_tokens", 40, Role::Rows),
        ("layers.0.self_attn.q_proj", 72, Role::Panels),
        ("layers.0.self_attn.k_proj", 36, Role::Panels),
        ("layers.0.self_attn.v_proj", 36, Role::Panels),
    ] {
        let name = format!("{name}.weight");
        let own = name_of(&name).unwrap();
        file.tensor(&own, &[rows, width], kind);
        parameters.push(Parameter::new(name, role, &[rows as usize, width as usize]));
    }
    let mut random = Random::new(3);
    file.data = match kind {
        "F32" => bytemuck::cast_slice(&random.values(file.end as usize / 4)).to_vec(),
        _ => {
            let size = if kind == "Q4_1" { 20 } else { 144 };
            let mut bytes: Vec<u8> = (0..file.end).map(|_| random.bits() as u8).collect();
            for tensor in &file.tensors {
                let blocks = bytes[tensor.offset as usize..].chunks_exact_mut(size);
                let count = tensor.dims.iter().product::<u64>() as usize
                    / if size == 20 { 32 } else { 256 };
                for block in blocks.take(count) {
                    let strength = 1.0 + f32::from(block[9]);
                    let scales = [0.01, -0.02].map(|x| f16::from_f32(x * strength).to_le_bytes());
                    block[..4].copy_from_slice(scales.as_flattened());
                }
            }
            bytes
        }
    };
    (file, parameters)
}

fn name_of(name: &str) -> Option<String> {
    crate::models::gguf_names::decoder(name)
}

fn needs(parameters: &[Parameter], dtype: Dtype) -> Needs<'_> {
    Needs {
        parameters,
        prefixes: &[""],
        gguf_name: name_of,
        dtype,
    }
}

#[test]
fn a_load_that_is_resumed_anywhere_gives_the_same_packed_file() {
    for (kind, width) in [("F32", 40), ("Q4_1", 96), ("Q4_K", 256)] {
        let (file, parameters) = llama(kind, width);
        let host = host(file.bytes());
        for dtype in Dtype::ALL {
            let needs = needs(&parameters, dtype);
            let mut whole = Kept::default();
            load(&needs, &mut open(&host, true), &mut whole, None).unwrap();
            assert!(whole.points.len() >= 2, "{kind}: {}", whole.points.len());
            let mut inside = 0;
            for (point, length) in &whole.points {
                inside += usize::from(point.units_done > 0);
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
                load(&needs, &mut fetch, &mut rest, Some(resume)).unwrap();
                let all = [&whole.packed[..*length], &rest.packed].concat();
                assert!(all == whole.packed, "{kind} {dtype:?} at {length}");
            }
            assert!(
                inside > 0,
                "{kind} {dtype:?}: no resume point is within a tensor"
            );
        }
    }
}

#[test]
fn a_resume_point_within_a_head_is_an_error() {
    let (file, parameters) = llama("F32", 40);
    let host = host(file.bytes());
    let needs = needs(&parameters, Dtype::F32);
    let mut whole = Kept::default();
    load(&needs, &mut open(&host, true), &mut whole, None).unwrap();
    let point = |(point, _): &&(ResumePoint, usize)| point.tensor == 1 && point.units_done > 0;
    let (point, length) = whole.points.iter().find(point).unwrap();
    let resume = Resume {
        header: whole.header.clone(),
        stored: Box::new(MemoryStream::new(whole.packed[..*length].into())),
        tensor: point.tensor,
        units_done: point.units_done - 8,
        side_tensors: Vec::new(),
        tensor_hash: None,
    };
    let mut fetch = open(&host, true);
    let error = load(&needs, &mut fetch, &mut Kept::default(), Some(resume)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity, "{error}");
}

/// The rows of a packed matrix in f32, also from four bits.
fn rows_of(tensor: &layout::PackedTensor, [n, k]: [usize; 2]) -> Vec<f32> {
    let at = |output: usize, input: usize| match &tensor.values {
        PackedValues::F32(values) => values[(output / 8 * k + input) * 8 + output % 8],
        PackedValues::F16(values) => {
            let pair = values[(output / 8 * k + input) * 4 + output % 8 / 2];
            f16::from_bits((pair >> (output % 2 * 16)) as u16).to_f32()
        }
        PackedValues::Q4(values) => {
            let groups = k / 32;
            let octet = values[(output / 8 * groups * 4 + input / 8) * 8 + output % 8];
            let byte = octet.to_le_bytes()[input % 4].cast_signed();
            let q = if input % 8 < 4 {
                byte << 4 >> 4
            } else {
                byte >> 4
            };
            let half = |halves: &[i32]| {
                let pair = halves[(output / 8 * groups + input / 32) * 4 + output % 8 / 2];
                f16::from_bits((pair >> (output % 2 * 16)) as u16).to_f32()
            };
            f32::from(q) * half(&tensor.halves) + half(&tensor.offsets)
        }
        PackedValues::Q8(_) => panic!("int8 is not read here"),
    };
    (0..n * k).map(|index| at(index / k, index % k)).collect()
}

/// Loads the tensors of a file.
fn tensors_of(file: &GgufFile, parameters: &[Parameter], dtype: Dtype) -> Result<Tensors> {
    let host = host(file.bytes());
    let needs = needs(parameters, dtype);
    let device = cpu();
    let mut fetch = open(&host, true);
    let loading = super::load(
        FILE, &mut fetch, None, &needs, &device, None, None, &NoYield,
    );
    block_on(loading)
}

#[test]
fn f16_rounds_each_weight_and_refuses_those_that_it_cannot_hold() {
    // Rows of an odd number of values have padding.
    for width in [40, 41] {
        let (mut file, parameters) = llama("F32", width);
        let width = width as usize;
        // The first is subnormal in f16, the second the largest.
        let small_and_large = [3e-6f32, -65_504.0].map(f32::to_le_bytes);
        let start = file.tensors[1].offset as usize;
        file.data[start..start + 8].copy_from_slice(small_and_large.as_flattened());
        let rounded = |x: &f32| f16::from_f32(*x).to_f32();
        let [(exact_table, exact), (table, found)] = [Dtype::F32, Dtype::F16].map(|dtype| {
            let mut tensors = tensors_of(&file, &parameters, dtype).unwrap();
            let query = rows_of(&tensors.take(&parameters[1].name), [72, width]);
            (
                tensors.rows(&parameters[0].name, [40, width]).unwrap(),
                query,
            )
        });
        assert_eq!(found, exact.iter().map(rounded).collect::<Vec<_>>());
        assert_eq!(table, exact_table.iter().map(rounded).collect::<Vec<_>>());
        assert!(exact != found && found.contains(&-65_504.0));

        file.data[start..start + 4].copy_from_slice(&65_520.0f32.to_le_bytes());
        let refused = tensors_of(&file, &parameters, Dtype::F16);
        let error = refused.map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidWeights);
        let message = error.to_string();
        assert!(
            message.contains("'blk.0.attn_q.weight' has a value beyond 65504"),
            "{message}"
        );
    }
}

#[test]
fn four_bits_of_a_file_stay_as_they_are_in_q4_and_heads_are_put_in_order() {
    for (kind, width) in [("Q4_1", 96), ("Q4_K", 256)] {
        let (file, parameters) = llama(kind, width);
        let shape = [72, width as usize];
        let packed = |dtype| {
            let mut tensors = tensors_of(&file, &parameters, dtype).unwrap();
            rows_of(&tensors.take(&parameters[1].name), shape)
        };
        let (exact, kept) = (packed(Dtype::F32), packed(Dtype::Q4));
        let most = exact.iter().fold(0.0f32, |most, x| most.max(x.abs()));
        for (index, (exact, kept)) in exact.iter().zip(&kept).enumerate() {
            // Scale and offset are rounded to f16.
            assert!(
                (exact - kept).abs() <= most / 1000.0,
                "{kind} {index}: {kept}, expected {exact}"
            );
        }
        // Row 6 j + i of each head of twelve is row 2 i + j of the file.
        let format = Format::from_name(kind).unwrap();
        let row = format.row_bytes(width as usize).unwrap();
        let start = file.tensors[1].offset as usize;
        for (head, j, i) in [(0, 0, 0), (0, 1, 0), (2, 1, 4), (5, 0, 5)] {
            let mut expected = vec![0.0; width as usize];
            let stored = head * 12 + 2 * i + j;
            cast(
                &file.data[start + stored * row..][..row],
                format,
                &mut expected,
            );
            let own = (head * 12 + 6 * j + i) * width as usize;
            assert_eq!(
                exact[own..own + width as usize],
                expected,
                "{kind} {head} {j} {i}"
            );
        }
    }
}

#[test]
fn a_model_without_names_in_gguf_files_is_an_error_that_says_so() {
    let (file, parameters) = llama("F32", 40);
    let host = host(file.bytes());
    let needs = Needs {
        gguf_name: |_| None,
        ..needs(&parameters, Dtype::F32)
    };
    let error: Error =
        load(&needs, &mut open(&host, true), &mut Kept::default(), None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnsupportedModel);
    assert!(
        error.to_string().contains("'embed_tokens.weight'"),
        "{error}"
    );
}

/// Some values of the real file, computed by numpy with the formulas of `tests/goldens/gguf/make_goldens.py`.
#[test]
fn smollm2_has_the_values_of_its_tensors_in_the_order_of_hugging_face() {
    let file = crate::tasks::smollm2();
    let host = host(file);
    let parameters = [
        ("layers.0.self_attn.q_proj.weight", [576, 576]),
        ("layers.29.mlp.down_proj.weight", [576, 1536]),
    ]
    .map(|(name, shape)| Parameter::new(name, Role::Panels, &shape));
    let needs = needs(&parameters, Dtype::F32);
    let device = cpu();
    let mut fetch = open(&host, true);
    let loading = super::load(
        FILE, &mut fetch, None, &needs, &device, None, None, &NoYield,
    );
    let mut tensors = block_on(loading).unwrap();
    let rows = rows_of(&tensors.take(&parameters[0].name), [576, 576]);
    for (at, expected) in [
        (
            5 * 576,
            [0.012_573_24, 0.172_485_35, -0.227_294_92, -0.547_119_14],
        ),
        (
            37 * 576,
            [-0.041_015_62, -0.041_015_62, -0.041_015_62, -0.093_75],
        ),
        (
            575 * 576 + 572,
            [0.009_185_79, -0.096_832_28, -0.149_841_31, -0.255_859_38],
        ),
    ] {
        for (found, expected) in rows[at..].iter().zip(expected) {
            assert!(
                (found - expected).abs() < 1e-7,
                "{at}: {found}, expected {expected}"
            );
        }
    }
    let rows = rows_of(&tensors.take(&parameters[1].name), [576, 1536]);
    assert_eq!(rows[3 * 1536 + 1], -0.038_085_938);
}
