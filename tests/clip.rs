//! CLIP and SigLIP: every value is compared with that of `transformers`, for tiny models that are committed and for a ViT-B/32 whose weights a
//! generator makes.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "support/goldens.rs"]
mod goldens;
#[path = "clip/onnx.rs"]
mod onnx;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use pilotlight::{
    Dtype, EmbedOptions, ErrorKind, ImageProcessor, ImageTextEmbedder, MemoryHost, NoYield, Rgb,
    Source, Tower, Values,
};
use pilotlight_tools::data;
use pollster::block_on;
use serde_json::Value;

use goldens::Listed;

struct Expected {
    json: Value,
    tensors: HashMap<String, (usize, Vec<f32>)>,
}

impl Expected {
    fn of(folder: &Path) -> Self {
        let json = std::fs::read(folder.join("expected.json")).unwrap();
        let bytes = std::fs::read(folder.join("expected.safetensors")).unwrap();
        let (length, rest) = bytes.split_first_chunk().unwrap();
        let (head, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
        let header: serde_json::Map<String, Value> = serde_json::from_slice(head).unwrap();
        let tensors = header
            .into_iter()
            .filter(|(name, _)| name != "__metadata__");
        let tensors = tensors.map(|(name, entry)| {
            let at = |i: usize| entry["data_offsets"][i].as_u64().unwrap() as usize;
            let width = entry["shape"][1].as_u64().unwrap() as usize;
            let values = data[at(0)..at(1)].as_chunks::<4>().0.iter();
            let values: Vec<f32> = values.map(|bytes| f32::from_le_bytes(*bytes)).collect();
            (name, (width, values))
        });
        Self {
            json: serde_json::from_slice(&json).unwrap(),
            tensors: tensors.collect(),
        }
    }

    fn strings(&self, name: &str) -> Vec<String> {
        let list = self.json[name].as_array().unwrap();
        let text = |item: &Value| item.as_str().or(item["text"].as_str()).unwrap().to_string();
        list.iter().map(text).collect()
    }

    /// Rows of length one.
    fn vectors(&self, name: &str) -> Vec<Vec<f32>> {
        let (width, values) = &self.tensors[name];
        let rows = values.chunks_exact(*width);
        rows.map(|row| {
            let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
            row.iter().map(|x| x / length).collect()
        })
        .collect()
    }
}

fn load(host: &MemoryHost, towers: &[Tower], dtype: Dtype) -> ImageTextEmbedder {
    let source = Source::new(host, &NoYield);
    block_on(ImageTextEmbedder::load(
        &source,
        towers,
        dtype,
        &goldens::device(),
    ))
    .unwrap()
}

fn rows(values: Values, width: usize) -> Vec<Vec<f32>> {
    let Values::Float32(values) = values else {
        panic!("float32 was asked for")
    };
    values.chunks_exact(width).map(<[f32]>::to_vec).collect()
}

fn texts(clip: &ImageTextEmbedder, texts: &[String]) -> Vec<Vec<f32>> {
    let embeddings = block_on(clip.embed_texts(texts, &EmbedOptions::default(), &NoYield)).unwrap();
    rows(embeddings.values, embeddings.dims[1])
}

fn images(clip: &ImageTextEmbedder, files: &[PathBuf]) -> Vec<Vec<f32>> {
    let read = async |index: usize| Rgb::decode(&std::fs::read(&files[index]).unwrap());
    let options = EmbedOptions::default();
    let embed = clip.embed_images(files.len(), read, |_, error| Err(error), &options, &NoYield);
    let (values, width) = block_on(embed).unwrap();
    rows(values, width)
}

fn png(names: &[String]) -> Vec<PathBuf> {
    let folder = goldens::folder("resize");
    names.iter().map(|name| folder.join(name)).collect()
}

/// Compares each value within the golden's tolerance, which is a share of the largest value.
fn assert_equal(golden: &Listed, what: &str, got: &[Vec<f32>], expected: &[Vec<f32>]) {
    let what = format!("{}, {what}", golden.name);
    assert_eq!(got.len(), expected.len(), "{what}");
    let largest = expected
        .iter()
        .flatten()
        .fold(0.0f32, |most, x| most.max(x.abs()));
    let worst = got
        .iter()
        .flatten()
        .zip(expected.iter().flatten())
        .fold(0.0f32, |worst, (a, b)| worst.max((a - b).abs()));
    println!("{what}: {:e} of the largest value", worst / largest);
    assert!(
        worst <= golden.tolerance * largest,
        "{what}: {worst} of {largest}"
    );
}

#[test]
fn tiny_models_equal_pytorch_in_every_value() {
    for golden in Listed::committed("ImageTextEmbedder") {
        let folder = golden.folder();
        let expected = Expected::of(&folder);
        let host = MemoryHost::from_folder(&folder).unwrap();
        let clip = load(&host, &Tower::ALL, Dtype::F32);
        let got = texts(&clip, &expected.strings("texts"));
        assert_equal(&golden, "texts", &got, &expected.vectors("text_features"));
        let got = images(&clip, &png(&expected.strings("pictures")));
        assert_equal(&golden, "images", &got, &expected.vectors("image_features"));
    }
}

#[test]
fn tiny_models_stay_near_pytorch_in_q8() {
    for golden in Listed::committed("ImageTextEmbedder") {
        let folder = golden.folder();
        let expected = Expected::of(&folder);
        let host = MemoryHost::from_folder(&folder).unwrap();
        let clip = load(&host, &Tower::ALL, Dtype::Q8);
        for (got, feature) in [
            (texts(&clip, &expected.strings("texts")), "text_features"),
            (
                images(&clip, &png(&expected.strings("pictures"))),
                "image_features",
            ),
        ] {
            let wanted = expected.vectors(feature);
            assert_eq!(got.len(), wanted.len());
            // Both have length one.
            let cosine =
                |(a, b): (&Vec<f32>, &Vec<f32>)| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
            let cosines = got.iter().zip(&wanted).map(cosine);
            let least = cosines.fold(1.0, f32::min);
            println!("{}, {feature}: {least}", golden.name);
            // Random weights of 32 dimensions average the rounding out less than trained ones of 768 do.
            assert!(least > 0.995, "{}, {feature}: {least}", golden.name);
        }
    }
}

#[test]
fn pixels_are_those_that_transformers_makes() {
    for name in ["siglip-tiny", "siglip2-tiny"] {
        let folder = goldens::folder(name);
        let expected = Expected::of(&folder);
        let json = match std::fs::read(folder.join("preprocessor_config.json")) {
            Ok(json) => json,
            Err(_) => {
                let json = std::fs::read(folder.join("processor_config.json")).unwrap();
                let json: Value = serde_json::from_slice(&json).unwrap();
                json["image_processor"].to_string().into_bytes()
            }
        };
        let processor = ImageProcessor::from_json(&json).unwrap();
        let (width, pixels) = &expected.tensors["pixels"];
        let rows = pixels.chunks_exact(*width);
        let files = png(&expected.strings("pictures"));
        assert_eq!(rows.len(), files.len());
        for (file, row) in files.iter().zip(rows) {
            let image = Rgb::decode(&std::fs::read(file).unwrap()).unwrap();
            let got = processor.process(&image).unwrap();
            assert_eq!(got.len(), row.len());
            // One step of 8 bits is 8e-3.
            let worst = got
                .iter()
                .zip(row)
                .fold(0.0f32, |worst, (a, b)| worst.max((a - b).abs()));
            assert!(worst < 1e-6, "{name}, {}: {worst}", file.display());
        }
    }
}

#[test]
fn siglip_scores_each_label_by_itself() {
    for name in ["siglip-tiny", "siglip2-tiny"] {
        let folder = goldens::folder(name);
        let expected = Expected::of(&folder);
        let host = MemoryHost::from_folder(&folder).unwrap();
        let siglip = load(&host, &Tower::ALL, Dtype::F32);
        let labels = expected.strings("texts");
        let (width, logits) = &expected.tensors["logits_per_image"];
        let files = png(&expected.strings("pictures"));
        for (file, logits) in files.iter().zip(logits.chunks_exact(*width)) {
            let image = Rgb::decode(&std::fs::read(file).unwrap()).unwrap();
            let ask = |labels: &[String]| {
                let template = ["{}".to_string()];
                block_on(siglip.classify(&image, labels, &template, &NoYield)).unwrap()
            };
            let scores = ask(&labels);
            assert_eq!(scores.len(), labels.len());
            for score in &scores {
                let index = labels.iter().position(|label| *label == score.label);
                let expected = 1.0 / (1.0 + (-logits[index.unwrap()]).exp());
                let error = (score.score - expected).abs();
                assert!(error < 2e-5, "{name}: {score:?} {expected}");
            }
            assert!(scores.is_sorted_by(|a, b| a.score >= b.score));
            let alone = ask(&labels[1..2]);
            assert!(scores.contains(&alone[0]), "{alone:?}");
        }
    }
}

/// The layout is that of `sentence-transformers/clip-ViT-B-32`: all files in a folder, and the tokenizer as words and merges.
#[test]
fn a_clip_of_sentence_transformers_equals_pytorch_in_every_value() {
    let golden = Listed::named("clip-tiny");
    let folder = golden.folder();
    let expected = Expected::of(&folder);
    let read = |file: &str| std::fs::read(folder.join(file)).unwrap();
    let tokenizer: Value = serde_json::from_slice(&read("tokenizer.json")).unwrap();
    let merges = tokenizer["model"]["merges"].as_array().unwrap();
    let merges: Vec<_> = merges.iter().map(|pair| pair.as_str().unwrap()).collect();
    let vocabulary = tokenizer["model"]["vocab"].to_string();
    let modules = r#"[{"idx":0,"name":"0","path":"0_CLIPModel","type":"sentence_transformers.models.CLIPModel"}]"#;
    let files = |merges: String, vocabulary: String| {
        [
            ("modules.json", modules.into()),
            ("0_CLIPModel/config.json", read("config.json")),
            ("0_CLIPModel/model.safetensors", read("model.safetensors")),
            (
                "0_CLIPModel/preprocessor_config.json",
                read("preprocessor_config.json"),
            ),
            ("0_CLIPModel/merges.txt", merges.into_bytes()),
            ("0_CLIPModel/vocab.json", vocabulary.into_bytes()),
        ]
        .map(|(name, bytes): (&str, Vec<u8>)| (name.to_string(), bytes))
    };
    let merges = format!("#version: 0.2\n{}\n", merges.join("\n"));
    let host = MemoryHost::new(files(merges.clone(), vocabulary.clone()));
    let clip = load(&host, &Tower::ALL, Dtype::F32);
    let got = texts(&clip, &expected.strings("texts"));
    assert_equal(&golden, "texts", &got, &expected.vectors("text_features"));
    let got = images(&clip, &png(&expected.strings("pictures")));
    assert_equal(&golden, "images", &got, &expected.vectors("image_features"));
    let source = Source::new(&host, &NoYield);
    let (class, _) = block_on(pilotlight::plan_model(&source, &[], Dtype::F32)).unwrap();
    assert_eq!(class.name(), "ImageTextEmbedder");

    let words = vocabulary.replace("<|startoftext|>", "<s>");
    for (merges, vocabulary, words) in [
        (merges.clone(), "[".into(), "vocab.json: is not valid"),
        (
            merges,
            words,
            "vocab.json: the token '<|startoftext|>' is missing",
        ),
        ("q zz\n".into(), vocabulary, "tokenizer.json: is not valid"),
    ] {
        let host = MemoryHost::new(files(merges, vocabulary));
        let source = Source::new(&host, &NoYield);
        let device = pilotlight::cpu();
        let loaded = ImageTextEmbedder::load(&source, &[Tower::Text], Dtype::F32, &device);
        let Err(error) = block_on(loaded) else {
            panic!("{words}: was accepted")
        };
        assert_eq!(error.kind(), ErrorKind::InvalidWeights);
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn siglip_without_a_part_that_it_needs_is_an_error_that_names_it() {
    let folder = goldens::folder("siglip-tiny");
    let read = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap();
    let config = read("config.json");
    let refused = |file: &str, content: Option<String>, words: &str, kind: ErrorKind| {
        let names = [
            "config.json",
            "model.safetensors",
            "preprocessor_config.json",
            "tokenizer.json",
            "tokenizer_config.json",
        ];
        let mut files: HashMap<String, Vec<u8>> = names
            .iter()
            .map(|name| (name.to_string(), std::fs::read(folder.join(name)).unwrap()))
            .collect();
        match content {
            Some(content) => files.insert(file.to_string(), content.into_bytes()),
            None => files.remove(file),
        };
        let host = MemoryHost::new(files);
        let source = Source::new(&host, &NoYield);
        let device = pilotlight::cpu();
        let loaded = ImageTextEmbedder::load(&source, &Tower::ALL, Dtype::F32, &device);
        let Err(error) = block_on(loaded) else {
            panic!("{words} was accepted")
        };
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    };
    let naflex = config.replace("\"model_type\": \"siglip\"", "\"model_type\": \"siglip2\"");
    let words = "model_type is 'siglip2', which is NaFlex";
    refused(
        "config.json",
        Some(naflex),
        words,
        ErrorKind::UnsupportedModel,
    );
    let headless = config.replace("\"vision_use_head\": true", "\"vision_use_head\": false");
    let words = "vision_config.vision_use_head is false";
    refused(
        "config.json",
        Some(headless),
        words,
        ErrorKind::UnsupportedModel,
    );
    let wide = config.replace("\"projection_size\": 48", "\"projection_size\": 40");
    let words = "vision_config.hidden_size is 48, expected 40";
    refused("config.json", Some(wide), words, ErrorKind::InvalidWeights);
    let words = "tokenizer_config.json: the repository has no such file";
    refused("tokenizer_config.json", None, words, ErrorKind::FetchFailed);
    let padding = r#"{"pad_token":"[PAD]"}"#.to_string();
    let words = "tokenizer_config.json: pad_token is '[PAD]'";
    refused(
        "tokenizer_config.json",
        Some(padding),
        words,
        ErrorKind::InvalidWeights,
    );
}

#[test]
fn tokens_and_truncation_are_reported() {
    for golden in Listed::committed("ImageTextEmbedder") {
        let folder = golden.folder();
        let expected = Expected::of(&folder);
        let host = MemoryHost::from_folder(&folder).unwrap();
        let clip = load(&host, &[Tower::Text], Dtype::F32);
        let texts = expected.strings("texts");
        let embeddings =
            block_on(clip.embed_texts(&texts, &EmbedOptions::default(), &NoYield)).unwrap();
        let cases = expected.json["texts"].as_array().unwrap().iter();
        for (case, (tokens, truncated)) in
            cases.zip(embeddings.tokens.iter().zip(&embeddings.truncated))
        {
            assert_eq!(case["ids"].as_array().unwrap().len(), *tokens, "{case}");
            assert_eq!(case["truncated"].as_bool().unwrap(), *truncated, "{case}");
        }
    }
}

#[test]
fn labels_are_as_likely_as_pytorch_says() {
    let folder = goldens::folder("clip-tiny");
    let expected = Expected::of(&folder);
    let host = MemoryHost::from_folder(&folder).unwrap();
    let clip = load(&host, &Tower::ALL, Dtype::F32);
    let labels = expected.strings("texts");
    let (width, logits) = &expected.tensors["logits_per_image"];
    for (file, logits) in png(&expected.strings("pictures"))
        .iter()
        .zip(logits.chunks_exact(*width))
    {
        let image = Rgb::decode(&std::fs::read(file).unwrap()).unwrap();
        let template = ["{}".to_string()];
        let scores = block_on(clip.classify(&image, &labels, &template, &NoYield)).unwrap();
        let sum: f32 = logits.iter().map(|x| x.exp()).sum();
        for score in &scores {
            let index = labels
                .iter()
                .position(|label| *label == score.label)
                .unwrap();
            let expected = logits[index].exp() / sum;
            assert!(
                (score.score - expected).abs() < 1e-4,
                "{score:?} {expected}"
            );
        }
        assert!((scores.iter().map(|score| score.score).sum::<f32>() - 1.0).abs() < 1e-5);
        assert!(scores.is_sorted_by(|a, b| a.score >= b.score));
    }
}

#[test]
fn several_templates_are_averaged() {
    let host = MemoryHost::from_folder(&goldens::folder("clip-tiny")).unwrap();
    let clip = load(&host, &Tower::ALL, Dtype::F32);
    let image = Rgb::new(2, 2, vec![7, 200, 90, 0, 0, 0, 255, 255, 255, 90, 20, 10]).unwrap();
    let strings = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    let labels = strings(&["a dog", "the sea"]);
    let ask = |templates: &[&str]| {
        block_on(clip.classify(&image, &labels, &strings(templates), &NoYield))
    };
    let score = |templates: &[&str]| {
        let scores = ask(templates).unwrap();
        scores
            .into_iter()
            .find(|score| score.label == "a dog")
            .unwrap()
            .score
    };
    let (one, other) = (score(&["{}"]), score(&["{} by the house"]));
    let both = score(&["{}", "{} by the house"]);
    assert!(
        both > one.min(other) && both < one.max(other),
        "{one} {other} {both}"
    );
    // Calls in between do not change the scores of a repeated call.
    assert_eq!(score(&["{}"]), one);
    for templates in [&[][..], &["a photo"][..]] {
        assert_eq!(ask(templates).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    let none = block_on(clip.classify(&image, &[], &strings(&["{}"]), &NoYield));
    assert_eq!(none.unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_tower_that_was_not_loaded_is_a_typed_error() {
    let host = MemoryHost::from_folder(&goldens::folder("clip-tiny")).unwrap();
    let text = load(&host, &[Tower::Text], Dtype::Q8);
    let never = async |_| -> pilotlight::Result<Rgb> { panic!("no image is read") };
    let options = EmbedOptions::default();
    let accept = |_, _| Ok(());
    let error = block_on(text.embed_images(1, never, accept, &options, &NoYield)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(
        error.to_string(),
        "the image tower was not loaded: have 'image' in towers"
    );
    let image = load(&host, &[Tower::Image], Dtype::Q8);
    let texts = ["a".to_string()];
    let error = block_on(image.embed_texts(&texts, &EmbedOptions::default(), &NoYield));
    assert_eq!(error.unwrap_err().kind(), ErrorKind::InvalidInput);
    let source = Source::new(&host, &NoYield);
    let cpu = pilotlight::cpu();
    let none = ImageTextEmbedder::load(&source, &[], Dtype::Q8, &cpu);
    let Err(error) = block_on(none) else {
        panic!("no tower was asked for")
    };
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

fn vit_b32() -> Option<(MemoryHost, Expected, PathBuf)> {
    let data = data("clip/tokenizer.json")?;
    let folder = goldens::folder("clip-vit-b32");
    let read = |path: PathBuf| std::fs::read(path).unwrap();
    let files = HashMap::from([
        ("config.json", read(folder.join("config.json"))),
        (
            "preprocessor_config.json",
            read(folder.join("preprocessor_config.json")),
        ),
        ("tokenizer.json", read(data.join("clip/tokenizer.json"))),
        (
            "model.safetensors",
            pilotlight_tools::seeded_clip::checkpoint(),
        ),
    ]);
    let files = files
        .into_iter()
        .map(|(name, bytes)| (name.to_string(), bytes));
    Some((MemoryHost::new(files), Expected::of(&folder), data))
}

/// The first caption of each photo, in the manifest's order.
fn captions(data: &Path) -> Vec<String> {
    let manifest = std::fs::read(data.join("photos/manifest.json")).unwrap();
    let manifest: Vec<Value> = serde_json::from_slice(&manifest).unwrap();
    let first = |photo: &Value| photo["captions"][0].as_str().unwrap().to_string();
    manifest.iter().map(first).collect()
}

#[test]
fn vit_b32_equals_pytorch_in_every_value() {
    let Some((host, expected, data)) = vit_b32() else {
        return;
    };
    let golden = Listed::named("clip-vit-b32");
    let clip = load(&host, &Tower::ALL, Dtype::F32);
    let got = texts(&clip, &expected.strings("texts"));
    assert_equal(
        &golden,
        "texts",
        &got,
        &expected.vectors("text_features.texts"),
    );
    let got = texts(&clip, &captions(&data));
    assert_equal(
        &golden,
        "captions",
        &got,
        &expected.vectors("text_features.captions"),
    );
    let got = images(&clip, &png(&expected.strings("pictures")));
    assert_equal(
        &golden,
        "images",
        &got,
        &expected.vectors("image_features.pictures"),
    );
}
