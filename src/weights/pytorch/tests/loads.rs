//! Loads from checkpoints of PyTorch, among them interrupted ones.

use super::*;

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
    for dtype in Dtype::ALL {
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
