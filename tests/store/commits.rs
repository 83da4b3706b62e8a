//! Branches that move: the commits that a store keeps, and the loads that name one.

use super::*;

/// The same repository at another commit.
fn moved<'a>(host: &'a MemoryHost, files: &Files, commit: &str) -> Flaky<'a> {
    let mut flaky = Flaky::new(host, files, (WEIGHTS, u64::MAX));
    flaky.snapshot.commit = Some(commit.into());
    flaky
}

fn refresh(host: &dyn Host, store: &dyn Store) {
    let source = Source {
        cache: Some(CacheConfig::new(store, key(Dtype::Q8), 5, NOW)),
        ..Source::new(host, &Hurried)
    };
    block_on(source.refresh(&[])).unwrap();
}

#[test]
fn a_commit_that_leaves_the_models_files_alone_costs_nothing() {
    let (mut files, store) = (model(), MemoryStore::default());
    let host = MemoryHost::new(files.clone());
    load(&moved(&host, &files, "old"), &store, Dtype::Q8, 1 << 20, 1).unwrap();
    let digest = digest(&store);
    files.insert("README.md".into(), b"more words".to_vec());
    let host = MemoryHost::new(files.clone());
    let next = moved(&host, &files, "new");
    refresh(&next, &store);
    assert!(next.asked.borrow().is_empty(), "{:?}", next.asked);
    next.gone.set(true);
    load(&next, &store, Dtype::Q8, 1 << 20, 2).unwrap();
    let models = block_on(Library::new(&store).list()).unwrap();
    assert_eq!((models.len(), models[0].commit.as_str()), (1, "new"));
    assert_eq!(models[0].digest, digest);
}

/// The digest of the store's only model.
fn digest(store: &MemoryStore) -> Option<String> {
    let models = block_on(Library::new(store).list()).unwrap();
    assert_eq!(models.len(), 1);
    models[0].digest.clone()
}

#[test]
fn a_commit_is_loaded_from_the_store_whatever_revision_it_was_stored_by() {
    let (files, store) = (model(), MemoryStore::default());
    let host = MemoryHost::new(files.clone());
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let known = moved(&host, &files, commit);
    let (old, _) = load(&known, &store, Dtype::Q8, 1 << 20, 1).unwrap();
    let rows = keys(&store).len();
    known.gone.set(true);
    let at = |revision| {
        let key = ModelKey::new("https://example.org", "test/bert", revision, Dtype::Q8);
        load_as(&known, &store, key, NOW)
    };
    assert_eq!(vector(&at(commit).unwrap()), vector(&old));
    assert_eq!(keys(&store).len(), rows);
    // Also where the branch has moved since, to a commit with the same files.
    let next = "2123456789abcdef0123456789abcdef01234567";
    refresh(&moved(&host, &files, next), &store);
    assert_eq!(vector(&at(commit).unwrap()), vector(&old));
    assert_eq!(vector(&at(next).unwrap()), vector(&old));
    let models = block_on(Library::new(&store).list()).unwrap();
    assert_eq!((models.len(), models[0].commit.as_str()), (1, next));
    block_on(Library::new(&store).delete(&models[0].key)).unwrap();
    assert_eq!(keys(&store), [""; 0]);
    load(&known, &store, Dtype::Q8, 1 << 20, 1)
        .map(|_| ())
        .unwrap_err();
    // Others may point elsewhere at the host.
    for revision in ["0123456", "v1", "1123456789abcdef0123456789abcdef01234567"] {
        let error = at(revision).map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FetchFailed);
    }
}

#[test]
fn a_commit_that_changes_a_file_is_fetched_by_the_next_load_and_the_old_one_goes() {
    let (mut files, store) = (model(), MemoryStore::default());
    let host = MemoryHost::new(files.clone());
    let (old, _) = load(&moved(&host, &files, "old"), &store, Dtype::Q8, 1 << 20, 1).unwrap();
    let (rows, digest_of_old) = (keys(&store).len(), digest(&store));
    let weights = files.get_mut(WEIGHTS).unwrap();
    let end = weights.len();
    weights[end - 400_000..].reverse();
    // Only the order of the floats is reversed, not that of the bytes in each.
    for bytes in weights[end - 400_000..].chunks_exact_mut(4) {
        bytes.reverse();
    }
    let host = MemoryHost::new(files.clone());
    let next = moved(&host, &files, "new");

    // Nobody asked yet: the last known commit serves, without a request.
    let (again, _) = load(&next, &store, Dtype::Q8, 1 << 20, 2).unwrap();
    assert_eq!(vector(&again), vector(&old));
    assert!(next.asked.borrow().is_empty());

    refresh(&next, &store);
    // If the host cannot be reached, the stored model is used.
    next.gone.set(true);
    let (without, _) = load(&next, &store, Dtype::Q8, 1 << 20, 3).unwrap();
    assert_eq!(vector(&without), vector(&old));

    next.gone.set(false);
    let (new, _) = load(&next, &store, Dtype::Q8, 1 << 20, 4).unwrap();
    assert_ne!(vector(&new), vector(&old));
    assert!(digest_of_old.is_some_and(|old| Some(old) != digest(&store)));
    let models = block_on(Library::new(&store).list()).unwrap();
    assert_eq!((models.len(), models[0].commit.as_str()), (1, "new"));
    assert_eq!(keys(&store).len(), rows, "{:?}", keys(&store));
}

#[test]
fn a_branch_that_moves_during_a_download_begins_anew_only_where_a_file_changed() {
    for changed in [false, true] {
        let (mut files, store) = (model(), MemoryStore::default());
        let host = MemoryHost::new(files.clone());
        let mut cut = Flaky::new(&host, &files, (WEIGHTS, 1_500_000));
        cut.snapshot.commit = Some("old".into());
        assert!(load(&cut, &store, Dtype::Q8, 100_000, 1).is_err());
        if changed {
            let weights = files.get_mut(WEIGHTS).unwrap();
            let end = weights.len();
            weights[end - 1] ^= 0x80;
        }
        let host = MemoryHost::new(files.clone());
        let next = moved(&host, &files, "new");
        load(&next, &store, Dtype::Q8, 100_000, 2).unwrap();
        assert_eq!(next.first_of_weights() == Some(0), changed);
        assert!(keys_of(&store, "partial").is_empty());
        let models = block_on(Library::new(&store).list()).unwrap();
        assert_eq!((models.len(), models[0].commit.as_str()), (1, "new"));
    }
}
