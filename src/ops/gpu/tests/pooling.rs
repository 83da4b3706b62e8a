//! Pooling.

use super::*;
use crate::ops::{Reduction, pool as pooled};

#[test]
fn pooling_agrees_with_the_plain_body() {
    let Some(gpu) = gpu() else { return };
    let mut random = Random::new(51);
    for d in [1, 33, 384] {
        // All below zero, so that the largest value is none that was put there.
        let x: Vec<f32> = random.values(40 * d).iter().map(|x| x - 2.0).collect();
        let pools: Vec<_> = [0..1, 0..40, 3..10, 39..40, 5..5]
            .into_iter()
            .flat_map(|rows| {
                [
                    Reduction::Mean,
                    Reduction::MeanSqrtLength,
                    Reduction::Max,
                    Reduction::WeightedMean { first: 1 },
                    Reduction::WeightedMean { first: 4 },
                ]
                .map(|reduction| (rows.clone(), reduction))
            })
            .collect();
        let got = list(pooled(matrix(&x, 40, gpu.device()), pools.clone()));
        let expected = super::pool::plain::<Flex>(flex(matrix(&x, 40, &cpu())), pools);
        let expected = list(Tensor::<2>::from_primitive::<Flex>(expected));
        // Means of magnitude 2, and sums of 40 values divided by a root.
        assert_close(&format!("{d}"), &got, &expected, 1e-5);
    }
    gpu.check().unwrap();
}
