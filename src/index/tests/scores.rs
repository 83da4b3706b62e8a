//! Tests of the results of searches and of their scores.

use std::collections::HashMap;

use wasm_bindgen_test::wasm_bindgen_test;

use super::*;

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
        let mut random = Random::new(7);
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

/// Against a plain loop in f64, with rows of lengths from 0 to 1e6 and equal ones, after removals, with a filter, and read from bytes.
#[wasm_bindgen_test(unsupported = test)]
fn dot_products_keep_the_lengths_and_the_largest_come_first() {
    for (d, n) in [(1, 9), (3, 40), (7, 33), (33, 100), (384, 50)] {
        let mut random = Random::new(17);
        let mut rows = random.values(n * d);
        for (i, row) in rows.chunks_exact_mut(d).enumerate() {
            let size = [1.0, 1e6, 1e-6, 0.0, 30.0][i % 5];
            row.iter_mut().for_each(|x| *x *= size);
        }
        rows.copy_within(d..2 * d, 6 * d);
        let query = random.values(d);
        let longest = |rows: &[f32]| rows.iter().fold(0f32, |most, x| most.max(x.abs()));
        for precision in [IndexPrecision::Float32, IndexPrecision::Int8] {
            let mut index = VectorIndex::new(IndexOptions {
                dimensions: d,
                precision,
                metric: IndexMetric::Dot,
                ..IndexOptions::default()
            })
            .unwrap();
            index.add(&integers(0..n as i64), &rows[..], None).unwrap();
            index.remove(&integers(2..4)).unwrap();
            let back = VectorIndex::from_bytes(&index.to_bytes().unwrap()[..].into()).unwrap();
            assert_eq!(back.metric(), IndexMetric::Dot);
            for index in [&index, &back] {
                let hits = search(index, &query, n);
                assert_eq!(hits.len(), n - 2);
                for hit in &hits {
                    let Id::Integer(id) = hit.id else { panic!() };
                    let row = &rows[id as usize * d..][..d];
                    let values = row.iter().zip(&query);
                    let dot: f64 = values.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                    // Half a step of each quantized value, or the rounding of f32.
                    let step = match precision {
                        IndexPrecision::Int8 => longest(row) / 250.0,
                        _ => longest(row) * 1e-6,
                    };
                    let tolerance = f64::from(step) * d as f64;
                    assert!(
                        (f64::from(hit.score) - dot).abs() <= tolerance,
                        "{precision:?} {n} x {d}: {hit:?}, {dot}"
                    );
                }
                assert!(hits.is_sorted_by(|a, b| a.score >= b.score));
                let place = |row: i64| hits.iter().position(|hit| hit.id == Id::Integer(row));
                assert_eq!(
                    place(1).map(|at| at + 1),
                    place(6),
                    "equal vectors in the order of adding"
                );
                assert_eq!(search(index, &query, 3), hits[..3]);
                let even = |id: &Id| matches!(id, Id::Integer(integer) if integer % 2 == 0);
                let options = SearchOptions {
                    filter: Some(Filter::Ids(&mut { even })),
                    ..SearchOptions::default()
                };
                let expected: Vec<_> = hits.iter().filter(|hit| even(&hit.id)).take(3).collect();
                let found = index.search(&query, 3, options).unwrap();
                assert_eq!(found.iter().collect::<Vec<_>>(), expected);
                // A query of zeros is as near to all.
                let equal = search(index, &vec![0.0; d], 2);
                let zero = |row| Hit {
                    id: Id::Integer(row),
                    score: 0.0,
                };
                assert_eq!(equal, [zero(0), zero(1)]);
            }
            let half = query.iter().map(|x| x / 2.0).collect::<Vec<_>>();
            let (whole, half) = (search(&index, &query, 1), search(&index, &half, 1));
            assert!((half[0].score / whole[0].score - 0.5).abs() < 1e-3);
            let before = index.to_bytes().unwrap();
            for large in [2e15, f32::MAX] {
                let mut row = vec![0.0; d];
                row[d - 1] = large;
                let (_, message) = kind(index.add(&["large".into()], &row[..], None));
                assert!(message.starts_with("vectors[0] has a value of magnitude"));
                let (_, message) = kind(index.search(&row, 1, SearchOptions::default()));
                assert!(message.starts_with("query has a value of magnitude"));
            }
            assert_eq!(index.to_bytes().unwrap(), before);
            let most = vec![1e15; d];
            index.add(&["large".into()], &most[..], None).unwrap();
            let [best] = &search(&index, &most, 1)[..] else {
                panic!()
            };
            assert_eq!(best.id, "large".into());
            assert!((f64::from(best.score) / (d as f64 * 1e30) - 1.0).abs() < 1e-2);
            // Values that are too small for a quantization step of int8.
            index
                .update(&["large".into()], &vec![1e-44; d][..], None)
                .unwrap();
            let small = VectorIndex::from_bytes(&index.to_bytes().unwrap()[..].into()).unwrap();
            assert_eq!(search(&small, &query, n), search(&index, &query, n));
        }
    }
}

/// The header has no metric in files from before there was one.
#[wasm_bindgen_test(unsupported = test)]
fn an_index_by_cosine_is_the_file_that_it_always_was() {
    let index = index(3, IndexPrecision::Int8);
    let header = r#"{"dimensions":3,"precision":"int8","prefilter":false,"source":null}"#;
    assert_eq!(index.header().unwrap(), header);
    let read = VectorIndex::from_header(header).unwrap();
    assert_eq!(read.metric(), IndexMetric::Cosine);
    let header =
        r#"{"dimensions":3,"precision":"int8","metric":"l2","prefilter":false,"source":null}"#;
    let (_, message) = kind(VectorIndex::from_header(header));
    assert!(message.starts_with("metric is 'l2'"), "{message}");
}

#[wasm_bindgen_test(unsupported = test)]
fn a_binary_score_is_the_cosine_of_the_signs() {
    let mut random = Random::new(3);
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

/// The largest and the smallest number of dimensions: sums that could overflow, and blocks of few rows.
#[wasm_bindgen_test(unsupported = test)]
fn the_largest_vectors_are_scored_right() {
    for precision in PRECISIONS {
        let d = MAX_DIMENSIONS;
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

#[wasm_bindgen_test(unsupported = test)]
fn a_filter_is_asked_only_of_rows_that_would_be_found() {
    let (d, n, mut random) = (8, 3000, Random::new(5));
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
    let mut random = Random::new(9);
    let all = clustered(&mut random, n + queries, d, 60);
    let (rows, queries) = all.split_at(n * d);
    for precision in [IndexPrecision::Float32, IndexPrecision::Int8] {
        let mut index = VectorIndex::new(IndexOptions {
            dimensions: d,
            precision,
            metric: IndexMetric::Cosine,
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
