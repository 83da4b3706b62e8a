use pollster::block_on;

use super::*;
use crate::store::{Chunk, MemoryStore};

#[test]
fn a_key_of_every_entry_parses_to_what_it_was_formed_from() {
    let key = ModelKey::of(
        "https://example.org",
        "a%23/b#c",
        "feature/#1%",
        "q8-text.1",
    );
    let (variant, id) = ("q8-text.1", "0f-text-12345678");
    for (text, entry) in [
        (
            key.reference(),
            StoreKey::Reference {
                variant,
                revision: "feature/#1%".into(),
            },
        ),
        (
            key.manifest("%23#/"),
            StoreKey::Manifest {
                variant,
                commit: "%23#/".into(),
            },
        ),
        (key.partial(), StoreKey::Partial { variant }),
        (key.used(), StoreKey::Used { variant }),
        (
            key.head(id),
            StoreKey::Head {
                write_id: id.into(),
            },
        ),
        (
            key.tokenizer(id),
            StoreKey::Tokenizer {
                write_id: id.into(),
            },
        ),
        (
            key.chunk(id, "1_Pooling/config.json", 17),
            StoreKey::Chunk {
                write_id: id.into(),
                file: "1_Pooling/config.json",
                index: 17,
            },
        ),
    ] {
        assert_eq!(StoreKey::parse(&text), Some(entry), "{text}");
        assert_eq!(model_base(&text), Some(key.lock_name()), "{text}");
    }
    assert!(
        key.chunk(id, "a", 0).starts_with(&key.chunks(id))
            && key.head(id).starts_with(&key.chunks(id))
            && key.tokenizer(id).starts_with(&key.chunks(id))
    );
}

#[test]
fn models_from_different_files_have_different_keys() {
    let key = ModelKey::new("https://example.org", "a/b", "main", Dtype::Q8);
    let names = ["gguf", "safetensors", "a.b/model-1%2F#.gguf"];
    for name in names {
        let own = key.weights(name);
        assert_eq!(own.weights_option().as_deref(), Some(name));
        assert_eq!(own.lock_name(), key.lock_name());
        assert_eq!(own.part("text").dtype_and_part(), ("q8", Some("text")));
        assert_eq!(own.part("text").weights_option().as_deref(), Some(name));
        for (text, entry) in [
            (own.manifest("c"), "manifest"),
            (own.partial(), "partial"),
            (own.reference(), "ref"),
        ] {
            let variant = match StoreKey::parse(&text).unwrap() {
                StoreKey::Manifest { variant, .. }
                | StoreKey::Partial { variant }
                | StoreKey::Reference { variant, .. } => variant,
                other => panic!("{entry}: {other:?}"),
            };
            assert_eq!(variant, own.variant, "{text}");
        }
        // No prefix of the other's keys, by which entries are listed.
        assert!(!own.manifest("c").starts_with(&key.manifests()));
    }
    assert_eq!(key.weights_option(), None);
}

#[test]
fn what_is_no_key_of_a_model_of_this_version_does_not_parse() {
    for text in [
        "",
        "pilotlight/3/h/m",
        "pilotlight/2/h/m#partial/q8.1",
        "pilotlight/30/h/m#partial/q8.1",
        "elsewhere#partial/q8.1",
        "pilotlight/3/h/m#partial",
        "pilotlight/3/h/m#manifest/q8.1",
        "pilotlight/3/h/m#other/q8.1",
        "pilotlight/3/h/m#chunk/0f/config.json",
        "pilotlight/3/h/m#chunk/0f/config.json/x",
        "pilotlight-index/1/a#manifest",
    ] {
        assert_eq!(StoreKey::parse(text), None, "{text}");
    }
}

#[test]
fn a_key_of_a_named_value_parses_to_what_it_was_formed_from_and_to_no_other_kind() {
    let name = "a#manifest/%";
    for (kind, other, key) in [
        (Named::Index, Named::Classifier, NamedKey::index(name)),
        (
            Named::Classifier,
            Named::Index,
            NamedKey::text("classifier", name),
        ),
        (
            Named::Detector,
            Named::Classifier,
            NamedKey::text("detector", name),
        ),
        (
            Named::Record,
            Named::Detector,
            NamedKey::text("record", name),
        ),
    ] {
        let key = key.unwrap();
        for (text, entry) in [
            (key.manifest(), NamedEntry::Manifest),
            (key.chunk("0f"), NamedEntry::Chunk("0f")),
        ] {
            assert_eq!(
                NamedKey::parse(kind, &text),
                Some((key.clone(), entry)),
                "{text}"
            );
            assert_eq!(NamedKey::parse(other, &text), None, "{text}");
        }
    }
    for text in [
        "pilotlight-index/1/a",
        "pilotlight-index/1/a#x",
        "pilotlight-index/2/a#manifest",
    ] {
        assert_eq!(NamedKey::parse(Named::Index, text), None, "{text}");
    }
}

#[test]
fn the_names_of_a_kind_are_those_of_its_complete_values() {
    let store = MemoryStore::default();
    for (kind, name) in [("record", "2#%"), ("record", "1"), ("detector", "3")] {
        let key = NamedKey::text(kind, name).unwrap();
        block_on(store.put(&key.manifest(), Chunk::from(b"row".as_slice()))).unwrap();
        block_on(store.put(&key.chunk("0f"), Chunk::from(b"text".as_slice()))).unwrap();
    }
    let unfinished = NamedKey::text("record", "0").unwrap();
    block_on(store.put(&unfinished.chunk("0f"), Chunk::from(b"text".as_slice()))).unwrap();
    let names = |kind| block_on(NamedKey::names(kind, &store));
    assert_eq!(names("record").unwrap(), ["1", "2#%"]);
    assert!(names("classifier").unwrap().is_empty());
    assert_eq!(
        names("index").unwrap_err().kind(),
        crate::error::ErrorKind::InvalidInput
    );
}
