//! Decoding and preprocessing images: every value is compared with Pillow's.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use pilotlight::{ErrorKind, ImageProcessor, Rgb};
use pilotlight_tools::data;

const CLIP: &str = r#"{"size": {"shortest_edge": 224}, "crop_size": {"height": 224, "width": 224}, "resample": 3,
    "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}"#;

/// A config without normalization: values are those of the pixels, 0 to 1.
const SMALL: &str =
    r#"{"size": 24, "crop_size": 24, "image_mean": [0, 0, 0], "image_std": [1, 1, 1]}"#;

fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/resize")
}

fn expected() -> HashMap<String, Vec<u8>> {
    let bytes = std::fs::read(goldens().join("expected.safetensors")).unwrap();
    let (length, rest) = bytes.split_first_chunk().unwrap();
    let (head, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let header: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(head).unwrap();
    let tensors = header
        .into_iter()
        .filter(|(name, _)| name != "__metadata__");
    tensors
        .map(|(name, entry)| {
            let at = |i: usize| entry["data_offsets"][i].as_u64().unwrap() as usize;
            (name, data[at(0)..at(1)].to_vec())
        })
        .collect()
}

#[test]
fn resizing_is_pillow_s_to_the_last_bit() {
    let processor = ImageProcessor::from_json(SMALL.as_bytes()).unwrap();
    let expected = expected();
    assert_eq!(expected.len(), 8);
    for (name, expected) in expected {
        let file = std::fs::read(goldens().join(format!("{name}.png"))).unwrap();
        let planes = processor.process(&Rgb::decode(&file).unwrap()).unwrap();
        let count = expected.len() / 3;
        let got: Vec<u8> = (0..expected.len())
            .map(|i| (planes[i % 3 * count + i / 3] * 255.0).round() as u8)
            .collect();
        assert_eq!(got, expected, "{name}");
    }
}

/// The output of CLIP's own code for a JPEG, which Pillow decodes with another decoder than ours.
#[test]
fn a_jpeg_is_what_clip_s_own_code_makes_of_it() {
    let Some(data) = data("clip/franz-kafka.jpg") else {
        return;
    };
    let folder = data.join("clip");
    let file = std::fs::read(folder.join("franz-kafka.jpg")).unwrap();
    let npy = std::fs::read(folder.join("expected_preprocessed_image.npy")).unwrap();
    // The header's length stands at byte 8; the values follow, [1, 3, 224, 224] of f32.
    let start = 10 + usize::from(u16::from_le_bytes([npy[8], npy[9]]));
    let fours = npy[start..].as_chunks().0;
    let expected: Vec<f32> = fours.iter().map(|four| f32::from_le_bytes(*four)).collect();
    let processor = ImageProcessor::from_json(CLIP.as_bytes()).unwrap();
    let got = processor.process(&Rgb::decode(&file).unwrap()).unwrap();
    assert_eq!(got.len(), expected.len());
    let errors: Vec<f32> = got
        .iter()
        .zip(&expected)
        .map(|(a, b)| (a - b).abs())
        .collect();
    let largest = errors.iter().fold(0.0f32, |a, b| a.max(*b));
    let mean = errors.iter().sum::<f32>() / errors.len() as f32;
    println!("max abs error {largest:.4}, mean {mean:.5}");
    // Two grey levels of the decoder, over the smallest deviation.
    assert!(largest <= 0.032, "{largest}");
    assert!(mean <= 0.002, "{mean}");
}

#[test]
fn what_is_no_image_is_an_error_that_says_what_is_expected() {
    let png = std::fs::read(goldens().join("37x53.png")).unwrap();
    let mut huge = png.clone();
    // The header says 50,000 by 50,000 pixels.
    huge[16..24].copy_from_slice(&[0, 0, 0xc3, 0x50, 0, 0, 0xc3, 0x50]);
    let cases: [(&[u8], ErrorKind, &str); 5] = [
        (b"", ErrorKind::InvalidInput, "no bytes"),
        (
            b"a text that is no image",
            ErrorKind::InvalidInput,
            "expected PNG, JPEG, WebP or GIF",
        ),
        (
            &png[..png.len() / 2],
            ErrorKind::InvalidInput,
            "cannot be decoded",
        ),
        (&png[..20], ErrorKind::InvalidInput, "cannot be decoded"),
        (b"BM\0\0\0\0", ErrorKind::InvalidInput, "the image"),
    ];
    for (bytes, kind, words) in cases {
        let error = Rgb::decode(bytes).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    // The error names the checksum or the size, whichever the decoder checks first.
    let error = Rgb::decode(&huge).unwrap_err();
    assert!(
        matches!(
            error.kind(),
            ErrorKind::InvalidInput | ErrorKind::ResourceLimit
        ),
        "{error}"
    );
}

/// A decoder that believes the frame would allocate a gigabyte for a file of a few hundred bytes.
#[test]
fn a_webp_whose_frame_is_larger_than_the_image_is_refused() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/decode");
    for (file, name, at) in [
        ("lossy-alpha.webp", b"VP8 ", 14),
        ("exif-6.webp", b"VP8L", 9),
        ("animated.webp", b"VP8L", 9),
    ] {
        let sound = std::fs::read(format!("{folder}/{file}")).unwrap();
        Rgb::decode(&sound).unwrap();
        let mut huge = sound.clone();
        let frame = huge.windows(4).position(|four| four == name).unwrap();
        // 14 bits each are the sizes; those that are left must not change.
        huge[frame + at..][..4].copy_from_slice(&[0xff, 0xff, 0xff, 0x0f]);
        let error = Rgb::decode(&huge).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{file}: {error}");
        assert!(
            error.to_string().contains("a frame of 1638"),
            "{file}: {error}"
        );
    }
}

#[test]
fn a_config_of_other_steps_or_an_absurd_one_is_an_error_that_names_the_field() {
    for (from, to, kind, words) in [
        (
            r#""size": 24"#,
            r#""size": 0"#,
            ErrorKind::InvalidWeights,
            "size is 0",
        ),
        (
            r#""size": 24"#,
            r#""size": 99999"#,
            ErrorKind::InvalidWeights,
            "size is 99999",
        ),
        (
            r#""size": 24"#,
            r#""size": 20"#,
            ErrorKind::UnsupportedModel,
            "crop_size",
        ),
        (
            r#""size": 24"#,
            r#""size": {"height": 24, "width": 20}"#,
            ErrorKind::UnsupportedModel,
            "larger than size [24, 20]",
        ),
        (
            r#""size": 24"#,
            r#""resample": 1, "size": 24"#,
            ErrorKind::UnsupportedModel,
            "resample is 1",
        ),
        (
            r#""size": 24"#,
            r#""do_center_crop": false, "size": 24"#,
            ErrorKind::UnsupportedModel,
            "do_center_crop",
        ),
        (
            "[1, 1, 1]",
            "[1, 0, 1]",
            ErrorKind::InvalidWeights,
            "image_std",
        ),
        (
            "[1, 1, 1]",
            "[1, 1]",
            ErrorKind::InvalidWeights,
            "not valid",
        ),
        ("{", "<html>", ErrorKind::InvalidWeights, "not valid"),
    ] {
        let error = ImageProcessor::from_json(SMALL.replace(from, to).as_bytes()).unwrap_err();
        assert_eq!(error.kind(), kind, "{to}: {error}");
        let text = error.to_string();
        assert!(
            text.starts_with("preprocessor_config.json: ") && text.contains(words),
            "{text}"
        );
    }
}

/// A browser has 32-bit sizes: an image whose sizes need more is an error on every target.
#[test]
fn a_strip_too_narrow_to_be_resized_is_an_error() {
    let json = CLIP.replace("224", "4096");
    let processor = ImageProcessor::from_json(json.as_bytes()).unwrap();
    let strip = |length: usize| Rgb::new(length, 1, vec![255; 3 * length]).unwrap();
    let error = processor.process(&strip(1 << 20)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("1048576 x 1"), "{error}");
    let white = processor.process(&strip((1 << 20) - 1)).unwrap();
    assert!(white.iter().all(|value| *value > 1.9), "white is white");
}
