//! Folds for cross-validation: parts of the examples, each of which is held out once.

use super::random::Random;

/// Assigns examples to `count` folds, each class evenly; `None` for an example that is always trained on, because its class has no other.
///
/// `fixed` are the examples that are always trained on, such as the names of labels.
pub fn stratified(
    classes: &[u32],
    class_count: usize,
    count: usize,
    fixed: &[bool],
    seed: u64,
) -> Vec<Option<usize>> {
    let mut folds = vec![None; classes.len()];
    let mut random = Random::new(seed);
    // A class continues with the fold after the last one of the class before, so that folds differ by one example at most.
    let mut next = 0;
    for class in 0..class_count {
        let members = (0..classes.len()).filter(|i| classes[*i] as usize == class);
        let (free, kept): (Vec<usize>, Vec<usize>) =
            members.partition(|i| !fixed.get(*i).copied().unwrap_or(false));
        let mut free = free;
        if free.len() + kept.len() < 2 {
            continue;
        }
        random.shuffle(&mut free);
        for i in free {
            folds[i] = Some(next % count);
            next += 1;
        }
    }
    keep_one_of_each(classes, class_count, &mut folds);
    folds
}

/// Takes an example of a class out of the folds if all of them are in the same fold.
fn keep_one_of_each(classes: &[u32], class_count: usize, folds: &mut [Option<usize>]) {
    for class in 0..class_count {
        let members: Vec<usize> = (0..classes.len())
            .filter(|i| classes[*i] as usize == class)
            .collect();
        if let [first, rest @ ..] = &*members
            && rest.iter().all(|i| folds[*i] == folds[*first])
        {
            folds[*first] = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_are_even_and_each_class_is_always_trained_on() {
        let classes: Vec<u32> = (0..103)
            .map(|i| if i < 3 { i } else { 3 + i % 4 })
            .collect();
        let folds = stratified(&classes, 7, 5, &[], 1);
        for fold in 0..5 {
            let held: Vec<usize> = (0..103).filter(|i| folds[*i] == Some(fold)).collect();
            assert!((18..=22).contains(&held.len()), "{}", held.len());
            for class in 0..7 {
                assert!((0..103).any(|i| classes[i] == class && folds[i] != Some(fold)));
            }
            for class in 3..7 {
                let count = held.iter().filter(|i| classes[**i] == class).count();
                assert!((4..=6).contains(&count), "{count}");
            }
        }
        assert_eq!(folds[..3], [None; 3]);
    }

    #[test]
    fn fixed_examples_are_in_no_fold() {
        let folds = stratified(&[0, 0, 1, 1], 2, 5, &[true, false, true, false], 0);
        assert_eq!([folds[0], folds[2]], [None; 2]);
        assert!(folds[1].is_some() && folds[3].is_some());
    }

    #[test]
    fn the_seed_determines_the_folds() {
        let classes = vec![0; 50];
        let folds = |seed| stratified(&classes, 1, 5, &[], seed);
        assert_eq!(folds(3), folds(3));
        assert_ne!(folds(3), folds(4));
    }
}
