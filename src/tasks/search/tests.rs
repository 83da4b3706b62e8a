//! The whole of an index, natively and in each WebAssembly build.

use std::collections::HashMap;

use wasm_bindgen_test::wasm_bindgen_test;

use super::*;
use crate::error::ErrorKind;
use crate::store::Chunk;

const PRECISIONS: [IndexPrecision; 3] = [
    IndexPrecision::Float32,
    IndexPrecision::Int8,
    IndexPrecision::Binary,
];

/// *Source*: Marsaglia, "Xorshift RNGs", 2003.
struct Random(u32);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        self.next() as usize % end
    }

    fn value(&mut self) -> f32 {
        (self.next() >> 8) as f32 / (1 << 23) as f32 - 1.0
    }

    fn values(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.value()).collect()
    }

    /// Vectors around as many centres, as sentences lie around topics.
    fn clustered(&mut self, count: usize, dimensions: usize, centres: usize) -> Vec<f32> {
        let centres = self.values(centres * dimensions);
        let mut all = Vec::new();
        for _ in 0..count {
            let centre = self.below(centres.len() / dimensions) * dimensions;
            let vector = &centres[centre..centre + dimensions];
            all.extend(vector.iter().map(|x| x + 0.8 * self.value()));
        }
        all
    }
}

fn index(dimensions: usize, precision: IndexPrecision) -> VectorIndex {
    VectorIndex::new(IndexOptions {
        dimensions,
        precision,
        ..IndexOptions::default()
    })
    .unwrap()
}

fn integers(range: std::ops::Range<i64>) -> Vec<Id> {
    range.map(Id::Integer).collect()
}

fn kind<T>(result: Result<T>) -> (ErrorKind, String) {
    let error = result.map(|_| ()).unwrap_err();
    (error.kind(), error.to_string())
}

fn search(index: &VectorIndex, query: &[f32], k: usize) -> Vec<Hit> {
    index.search(query, k, SearchOptions::default()).unwrap()
}

fn exact(index: &VectorIndex, query: &[f32], k: usize) -> Vec<Hit> {
    let options = SearchOptions {
        exact: true,
        ..SearchOptions::default()
    };
    index.search(query, k, options).unwrap()
}

/// The cosines as the book has them, the largest first, of equal ones the first row.
fn plain(rows: &[f32], query: &[f32]) -> Vec<(usize, f64)> {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter()
            .zip(b)
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum()
    };
    let cosine = |row: &[f32]| dot(row, query) / (dot(row, row) * dot(query, query)).sqrt();
    let mut all: Vec<_> = rows
        .chunks_exact(query.len())
        .map(cosine)
        .enumerate()
        .collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    all
}

#[wasm_bindgen_test(unsupported = test)]
fn scores_are_the_cosines_and_the_best_come_first() {
    for (d, n) in [
        (1, 5),
        (3, 40),
        (7, 33),
        (31, 100),
        (33, 17),
        (384, 50),
        (1536, 9),
    ] {
        let mut random = Random(7);
        let (rows, query) = (random.values(n * d), random.values(d));
        let expected = plain(&rows, &query);
        for (precision, tolerance) in [
            (IndexPrecision::Float32, 1e-6),
            (IndexPrecision::Int8, 8e-3),
        ] {
            let mut index = index(d, precision);
            index.add(&integers(0..n as i64), &rows[..], None).unwrap();
            let hits = search(&index, &query, n + 5);
            assert_eq!(hits.len(), n);
            let by_row: HashMap<_, _> = expected.iter().copied().collect();
            for hit in &hits {
                let Id::Integer(row) = hit.id else { panic!() };
                let cosine = by_row[&(row as usize)];
                assert!(
                    (f64::from(hit.score) - cosine).abs() <= tolerance,
                    "{precision:?} {n} x {d}: {hit:?}, {cosine}"
                );
            }
            assert!(hits.is_sorted_by(|a, b| a.score >= b.score));
            let first = search(&index, &query, 3);
            assert_eq!(first, hits[..first.len()]);
        }
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn a_binary_score_is_the_cosine_of_the_signs() {
    let mut random = Random(3);
    let (d, n) = (77, 100);
    let (rows, query) = (random.values(n * d), random.values(d));
    let sign = |x: &f32| if *x > 0.0 { 1.0 } else { -1.0 };
    let signs: Vec<f32> = rows.iter().map(sign).collect();
    let expected = plain(&signs, &query.iter().map(sign).collect::<Vec<_>>());
    let mut index = index(d, IndexPrecision::Binary);
    index.add(&integers(0..n as i64), &rows[..], None).unwrap();
    let hits = search(&index, &query, n);
    for (hit, (row, cosine)) in hits.iter().zip(expected) {
        assert!((f64::from(hit.score) - cosine).abs() < 1e-6);
        assert_eq!(
            hit.id,
            Id::Integer(row as i64),
            "equal scores in the order of adding"
        );
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn equal_vectors_come_in_the_order_in_which_they_were_added() {
    for precision in PRECISIONS {
        let mut index = index(4, precision);
        let rows = [1.0, 2.0, 3.0, 4.0].repeat(50);
        index.add(&integers(0..50), &rows[..], None).unwrap();
        index.remove(&integers(3..5)).unwrap();
        index
            .update(&integers(9..10), &[2.0, 4.0, 6.0, 8.0][..], None)
            .unwrap();
        let found: Vec<_> = search(&index, &[1.0, 2.0, 3.0, 4.0], 10)
            .into_iter()
            .map(|hit| hit.id)
            .collect();
        let expected: Vec<_> = [0, 1, 2, 5, 6, 7, 8, 9, 10, 11].map(Id::Integer).into();
        assert_eq!(found, expected);
        let expected: Vec<_> = integers(0..3).into_iter().chain(integers(5..50)).collect();
        assert_eq!(index.ids().cloned().collect::<Vec<_>>(), expected);
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn the_length_of_a_vector_does_not_matter_however_large_or_small() {
    for precision in PRECISIONS {
        let mut index = index(3, precision);
        let vector = [0.5, -0.25, 1.0];
        let sizes = [1e-44, 1e-30, 1.0, 1e18, 3e38];
        let rows: Vec<f32> = sizes
            .iter()
            .flat_map(|size| vector.map(|x| x * size))
            .collect();
        index.add(&integers(0..5), &rows[..], None).unwrap();
        for hit in search(&index, &vector, 5) {
            assert!(hit.score > 0.99, "{precision:?} {hit:?}");
        }
        assert!(search(&index, &vector.map(|x| x * 1e-30), 1)[0].score > 0.999);
        assert!(search(&index, &vector.map(|x| x * 2e38), 1)[0].score > 0.999);
        assert!(search(&index, &vector.map(|x| -x), 1)[0].score < -0.99);
    }
}

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
    for dimensions in [0, MOST_DIMENSIONS + 1] {
        let options = IndexOptions {
            dimensions,
            ..IndexOptions::default()
        };
        assert_eq!(kind(VectorIndex::new(options)).0, ErrorKind::InvalidInput);
    }
    let options = IndexOptions {
        dimensions: 8,
        precision: IndexPrecision::Binary,
        prefilter: true,
        source: None,
    };
    assert_eq!(kind(VectorIndex::new(options)).0, ErrorKind::InvalidInput);
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

#[wasm_bindgen_test(unsupported = test)]
fn an_empty_index_finds_nothing() {
    for precision in PRECISIONS {
        let mut index = index(3, precision);
        assert_eq!(search(&index, &[1.0; 3], 4), []);
        index.add(&[], &[0.0; 0][..], None).unwrap();
        index.add(&["a".into()], &[1.0; 3][..], None).unwrap();
        index.remove(&["a".into()]).unwrap();
        assert_eq!(search(&index, &[1.0; 3], 4), []);
        assert!(index.is_empty());
    }
}

/// The largest and the smallest dimensions: sums that could overflow, and blocks of few rows.
#[wasm_bindgen_test(unsupported = test)]
fn the_largest_vectors_are_scored_right() {
    for precision in PRECISIONS {
        let d = MOST_DIMENSIONS;
        let mut index = index(d, precision);
        let ones = vec![1.0; d];
        let minus = vec![-1.0; d];
        index
            .add(
                &[0.into(), 1.into()],
                &[ones.clone(), minus].concat()[..],
                None,
            )
            .unwrap();
        let hits = search(&index, &ones, 2);
        assert!(
            (hits[0].score - 1.0).abs() < 1e-4 && (hits[1].score + 1.0).abs() < 1e-4,
            "{hits:?}"
        );
        assert_eq!(hits[0].id, 0.into());
    }
}

/// Any order of calls, beside a list that does the same.
#[wasm_bindgen_test(unsupported = test)]
fn any_calls_leave_what_a_plain_list_has() {
    for (precision, prefilter) in [
        (IndexPrecision::Float32, true),
        (IndexPrecision::Int8, true),
        (IndexPrecision::Binary, false),
    ] {
        let (d, mut random) = (5, Random(11));
        let options = IndexOptions {
            dimensions: d,
            precision,
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
        assert!(next > 1000, "the calls were others than meant");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn a_filter_is_asked_only_of_rows_that_would_be_found() {
    let (d, n, mut random) = (8, 3000, Random(5));
    let rows = random.values(n * d);
    let query = random.values(d);
    for prefilter in [false, true] {
        let mut index = VectorIndex::new(IndexOptions {
            dimensions: d,
            prefilter,
            ..IndexOptions::default()
        })
        .unwrap();
        index.add(&integers(0..n as i64), &rows[..], None).unwrap();
        let all = exact(&index, &query, n);
        let even = |id: &Id| matches!(id, Id::Integer(integer) if integer % 2 == 0);
        let mut asked = 0;
        let mut count_even = |id: &Id| {
            asked += 1;
            even(id)
        };
        let options = SearchOptions {
            filter: Some(Filter::Ids(&mut count_even)),
            exact: true,
            ..SearchOptions::default()
        };
        let found = index.search(&query, 5, options).unwrap();
        let expected: Vec<_> = all
            .iter()
            .filter(|hit| even(&hit.id))
            .take(5)
            .cloned()
            .collect();
        assert_eq!(found, expected);
        assert!(asked < 200, "{asked}");
        let mut even = even;
        let options = SearchOptions {
            filter: Some(Filter::Ids(&mut even)),
            candidates: Some(700),
            ..SearchOptions::default()
        };
        let found = index.search(&query, 5, options).unwrap();
        assert!(
            found
                .iter()
                .all(|hit| matches!(hit.id, Id::Integer(integer) if integer % 2 == 0))
        );
        let mut none = |_: &Id| false;
        let options = SearchOptions {
            filter: Some(Filter::Ids(&mut none)),
            ..SearchOptions::default()
        };
        assert_eq!(index.search(&query, 5, options).unwrap(), []);
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn the_prefilter_finds_nearly_what_the_exact_search_finds() {
    let (d, n, queries, k) = (384, 4000, 40, 10);
    let mut random = Random(9);
    let all = random.clustered(n + queries, d, 60);
    let (rows, queries) = all.split_at(n * d);
    for precision in [IndexPrecision::Float32, IndexPrecision::Int8] {
        let mut index = VectorIndex::new(IndexOptions {
            dimensions: d,
            precision,
            prefilter: true,
            source: None,
        })
        .unwrap();
        index.add(&integers(0..n as i64), rows, None).unwrap();
        let mut found = 0;
        for query in queries.chunks_exact(d) {
            let best: Vec<_> = plain(rows, query)[..k]
                .iter()
                .map(|(row, _)| Id::Integer(*row as i64))
                .collect();
            let hits = search(&index, query, k);
            assert_eq!(hits.len(), k);
            found += hits.iter().filter(|hit| best.contains(&hit.id)).count();
        }
        let recall = found as f64 / (queries.len() / d * k) as f64;
        assert!(recall >= 0.95, "{precision:?}: recall {recall}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn bytes_give_back_the_same_index_and_other_bytes_an_error() {
    let mut random = Random(13);
    for precision in PRECISIONS {
        let d = 11;
        let mut index = VectorIndex::new(IndexOptions {
            dimensions: d,
            precision,
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
                back.source(),
                back.len()
            ),
            (d, precision, Some("a model"), 3)
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
