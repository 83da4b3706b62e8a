//! Tests of adding, removing and serializing vectors, and of the errors of these calls.

use wasm_bindgen_test::wasm_bindgen_test;

use super::*;
use crate::store::Chunk;

#[wasm_bindgen_test(unsupported = test)]
fn what_is_wrong_is_named_and_nothing_is_added() {
    for precision in PRECISIONS {
        let mut index = index(2, precision);
        index
            .add(&["a".into(), 1.into()], &[1.0, 0.0, 0.0, 1.0][..], None)
            .unwrap();
        let before = index.to_bytes().unwrap();
        let many = 40_000;
        let mut late = vec![1.0; 2 * many];
        late[2 * many - 1] = f32::NAN;
        let ids: Vec<Id> = integers(10..10 + many as i64);
        let cases: [(&[Id], &[f32], &str); 9] = [
            (
                &["b".into(), "a".into()],
                &[1.0; 4],
                "ids[1] is there already",
            ),
            (
                &["b".into(), "c".into(), "b".into()],
                &[1.0; 6],
                "ids[2] is the same as ids[0]",
            ),
            (
                &["b".into()],
                &[1.0; 3],
                "vectors has 3 values, expected 1 x 2",
            ),
            (
                &["b".into(), "c".into()],
                &[1.0, 1.0, 0.0, 0.0],
                "vectors[1] has nothing but zeros",
            ),
            (
                &["b".into()],
                &[f32::NAN, 1.0],
                "vectors[0] has a value that is not a number",
            ),
            (
                &["b".into()],
                &[1.0, f32::INFINITY],
                "vectors[0] has a value",
            ),
            (
                &[Id::Integer(1 << 53)],
                &[1.0; 2],
                "ids[0] is 9007199254740992",
            ),
            (&[Id::Integer(i64::MIN)], &[1.0; 2], "ids[0] is"),
            (&ids, &late, "vectors[39999] has a value"),
        ];
        for (ids, vectors, words) in cases {
            let (kind, message) = kind(index.add(ids, vectors, None));
            assert_eq!(kind, ErrorKind::InvalidInput);
            assert!(message.starts_with(words), "{message}");
            assert_eq!(index.to_bytes().unwrap(), before);
            assert_eq!((index.len(), index.has(&"b".into())), (2, false));
        }
        let cases: [(&[Id], &[f32], &str); 4] = [
            (&["a".into(), "b".into()], &[1.0; 4], "ids[1] is not there"),
            (
                &["a".into(), "a".into()],
                &[1.0; 4],
                "ids[1] is the same as ids[0]",
            ),
            (
                &["a".into(), 1.into()],
                &[1.0, 0.5, 0.0, 0.0],
                "vectors[1] has nothing but zeros",
            ),
            (&["a".into()], &[1.0], "vectors has 1 values"),
        ];
        for (ids, vectors, words) in cases {
            let (kind, message) = kind(index.update(ids, vectors, None));
            assert_eq!(kind, ErrorKind::InvalidInput);
            assert!(message.starts_with(words), "{message}");
            assert_eq!(index.to_bytes().unwrap(), before);
        }
        for (query, k, candidates) in [
            (&[1.0][..], 1, None),
            (&[0.0, 0.0], 1, None),
            (&[f32::NAN, 0.0], 1, None),
            (&[1.0, 0.0], 0, None),
            (&[1.0, 0.0], 1, Some(0)),
        ] {
            let options = SearchOptions {
                candidates,
                ..SearchOptions::default()
            };
            assert_eq!(
                kind(index.search(query, k, options)).0,
                ErrorKind::InvalidInput
            );
        }
        assert_eq!(
            index
                .remove(&["b".into(), "a".into(), "a".into(), 2.into()])
                .unwrap(),
            1
        );
    }
    for dimensions in [0, MAX_DIMENSIONS + 1] {
        let options = IndexOptions {
            dimensions,
            ..IndexOptions::default()
        };
        assert_eq!(kind(VectorIndex::new(options)).0, ErrorKind::InvalidInput);
    }
    for (precision, metric, prefilter, words) in [
        (
            IndexPrecision::Binary,
            IndexMetric::Cosine,
            true,
            "prefilter is true, but precision 'binary'",
        ),
        (
            IndexPrecision::Int8,
            IndexMetric::Dot,
            true,
            "prefilter is true, but metric 'dot'",
        ),
        (
            IndexPrecision::Binary,
            IndexMetric::Dot,
            false,
            "precision is 'binary', but metric 'dot'",
        ),
    ] {
        let options = IndexOptions {
            dimensions: 8,
            precision,
            metric,
            prefilter,
            source: None,
        };
        let (kind, message) = kind(VectorIndex::new(options));
        assert_eq!(kind, ErrorKind::InvalidInput);
        assert!(message.starts_with(words), "{message}");
    }
    assert_eq!(
        kind(row::zeros::<u8>(usize::MAX)).0,
        ErrorKind::ResourceLimit
    );
}

#[wasm_bindgen_test(unsupported = test)]
fn an_integer_and_its_text_are_different_ids() {
    let mut index = index(1, IndexPrecision::Int8);
    let ids = [1.into(), "1".into(), "".into(), Id::Integer(-(1 << 53) + 1)];
    index.add(&ids, &[1.0; 4][..], None).unwrap();
    assert_eq!(index.remove(&["1".into()]).unwrap(), 1);
    assert!(index.has(&1.into()) && index.has(&"".into()) && !index.has(&"1".into()));
}

/// Random calls give the same results as a plain list on which the same changes are made.
#[wasm_bindgen_test(unsupported = test)]
fn any_calls_leave_what_a_plain_list_has() {
    for (precision, metric, prefilter) in [
        (IndexPrecision::Float32, IndexMetric::Cosine, true),
        (IndexPrecision::Int8, IndexMetric::Cosine, true),
        (IndexPrecision::Binary, IndexMetric::Cosine, false),
        (IndexPrecision::Float32, IndexMetric::Dot, false),
        (IndexPrecision::Int8, IndexMetric::Dot, false),
    ] {
        let (d, mut random) = (5, Random::new(11));
        let options = IndexOptions {
            dimensions: d,
            precision,
            metric,
            prefilter,
            source: Some("m".into()),
        };
        let mut index = VectorIndex::new(options.clone()).unwrap();
        let mut list: Vec<(Id, Vec<f32>, Vec<String>)> = Vec::new();
        let mut next = 0;
        for step in 0..400 {
            let count = 1 + random.below(if step < 200 { 40 } else { 10 });
            let tags: Vec<Vec<String>> = (0..count)
                .map(|_| {
                    (0..random.below(3))
                        .map(|_| format!("t{}", random.below(4)))
                        .collect()
                })
                .collect();
            let vectors = random.values(count * d);
            let snapshot =
                (random.below(4) == 0).then(|| (index.snapshot(), index.to_bytes().unwrap()));
            match random.below(3) {
                0 => {
                    let ids: Vec<Id> = (0..count)
                        .map(|i| {
                            if i % 2 == 0 {
                                Id::Integer(next + i as i64)
                            } else {
                                Id::from(format!("{}", next + i as i64).as_str())
                            }
                        })
                        .collect();
                    next += count as i64;
                    index
                        .add(&ids, &vectors[..], Some(Tags::Each(&tags)))
                        .unwrap();
                    for ((id, vector), tags) in ids.into_iter().zip(vectors.chunks(d)).zip(tags) {
                        list.push((id, vector.to_vec(), tags));
                    }
                }
                1 if !list.is_empty() => {
                    let first = random.below(list.len());
                    let some = &mut list[first..];
                    let count = some.len().min(count);
                    let ids: Vec<Id> = some[..count].iter().map(|(id, ..)| id.clone()).collect();
                    index
                        .update(
                            &ids,
                            &vectors[..count * d],
                            (step % 2 == 0).then_some(Tags::Same(&tags[0])),
                        )
                        .unwrap();
                    for ((_, vector, known), new) in
                        some.iter_mut().zip(vectors.chunks(d)).take(count)
                    {
                        *vector = new.to_vec();
                        if step % 2 == 0 {
                            known.clone_from(&tags[0]);
                        }
                    }
                }
                _ => {
                    let ids: Vec<Id> = (0..count)
                        .filter_map(|_| list.get(random.below(list.len().max(1))))
                        .map(|(id, ..)| id.clone())
                        .collect();
                    let before = list.len();
                    list.retain(|(id, ..)| !ids.contains(id));
                    assert_eq!(index.remove(&ids).unwrap(), before - list.len());
                }
            }
            if let Some((IndexSnapshot(before), bytes)) = snapshot {
                assert_eq!(
                    before.to_bytes().unwrap(),
                    bytes,
                    "a snapshot does not change"
                );
            }
            let mut fresh = VectorIndex::new(options.clone()).unwrap();
            let ids: Vec<Id> = list.iter().map(|(id, ..)| id.clone()).collect();
            let vectors: Vec<f32> = list
                .iter()
                .flat_map(|(_, vector, _)| vector.clone())
                .collect();
            let tags: Vec<Vec<String>> = list.iter().map(|(.., tags)| tags.clone()).collect();
            fresh
                .add(&ids, &vectors[..], Some(Tags::Each(&tags)))
                .unwrap();
            assert_eq!(index.len(), list.len());
            assert!(index.ids().eq(&ids) && ids.iter().all(|id| index.has(id)));
            let query = random.values(d);
            assert_eq!(exact(&index, &query, 7), exact(&fresh, &query, 7));
            assert_eq!(search(&index, &query, 7), search(&fresh, &query, 7));
            let back = VectorIndex::from_bytes(&Chunk::from(index.to_bytes().unwrap().as_slice()))
                .unwrap();
            assert_eq!(exact(&back, &query, 7), exact(&fresh, &query, 7));
            let wanted = ["t1".to_string(), "t2".to_string()];
            for any in [false, true] {
                let found = |index: &VectorIndex, exact| {
                    let filter = Some(Filter::Tags { tags: &wanted, any });
                    let options = SearchOptions {
                        filter,
                        exact,
                        ..SearchOptions::default()
                    };
                    index.search(&query, 1000, options).unwrap()
                };
                let hits = found(&index, true);
                assert_eq!(hits, found(&fresh, true));
                assert_eq!(hits, found(&back, false));
                let has = |tags: &[String]| match any {
                    true => wanted.iter().any(|tag| tags.contains(tag)),
                    false => wanted.iter().all(|tag| tags.contains(tag)),
                };
                assert_eq!(
                    hits.len(),
                    list.iter().filter(|(.., tags)| has(tags)).count()
                );
            }
        }
        assert!(next > 1000, "too few vectors were added");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn bytes_give_back_the_same_index_and_other_bytes_an_error() {
    let mut random = Random::new(13);
    let cosine = PRECISIONS.map(|precision| (precision, IndexMetric::Cosine));
    let dot = [IndexPrecision::Float32, IndexPrecision::Int8].map(|it| (it, IndexMetric::Dot));
    for (precision, metric) in cosine.into_iter().chain(dot) {
        let d = 11;
        let mut index = VectorIndex::new(IndexOptions {
            dimensions: d,
            precision,
            metric,
            prefilter: false,
            source: Some("a model".into()),
        })
        .unwrap();
        let ids = ["é".into(), 5.into(), "".into()];
        let tags = [vec!["x".to_string(), "y".into()], vec![], vec!["y".into()]];
        index
            .add(&ids, &random.values(3 * d)[..], Some(Tags::Each(&tags)))
            .unwrap();
        let bytes = index.to_bytes().unwrap();
        assert_eq!(bytes.len() as u64, index.byte_length().unwrap());
        let read = |bytes: &[u8]| VectorIndex::from_bytes(&Chunk::from(bytes));
        let back = read(&bytes).unwrap();
        assert_eq!(back.to_bytes().unwrap(), bytes);
        assert_eq!(
            (
                back.dimensions(),
                back.precision(),
                back.metric(),
                back.source(),
                back.len()
            ),
            (d, precision, metric, Some("a model"), 3)
        );
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 0x10;
            let expected = if at < 12 {
                ErrorKind::InvalidInput
            } else {
                ErrorKind::Integrity
            };
            assert_eq!(kind(read(&altered)).0, expected, "byte {at}");
            let (kind, _) = kind(read(&bytes[..at]));
            assert!(matches!(
                kind,
                ErrorKind::InvalidInput | ErrorKind::Integrity
            ));
        }
    }
}
