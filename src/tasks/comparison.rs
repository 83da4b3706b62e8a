//! The choice between a GPU and the CPU for a model, by the time that its layers take on each. They are timed before the weights are loaded, with
//! zeros in their place.

use std::fmt;

use burn::tensor::{Device, Tensor};
use futures_util::lock::Mutex;

use super::load::Source;
use crate::device::{Gpu, cpu};
use crate::error::{Error, ErrorKind, Result};
use crate::models::{
    ImageTextConfig, SentenceEncoder, SentenceEncoderConfig, TextModel, VisionModel,
};
use crate::ops::{now_ms, read};
use crate::scheduler::NoYield;
use crate::weights::{Dtype, Tensors, zeros};

/// The most tokens of a timed text, as many as a long sentence or a batch of short ones has.
const TOKENS: usize = 128;
/// The number of layers that are made. One would not do: the last layer of CLIP computes only what the vector needs.
const LAYERS: usize = 2;
/// The number of timed runs, of which the fastest counts.
const RUNS: usize = 3;
/// No further run is started after this many milliseconds.
const TIME_LIMIT_MS: f64 = 100.0;

/// A model whose layers are timed.
pub(super) enum Timed {
    /// An encoder or a decoder, which is timed without its head.
    Texts(SentenceEncoderConfig),
    /// The text tower of CLIP or SigLIP.
    TextTower(ImageTextConfig),
    /// The image tower of CLIP or SigLIP.
    ImageTower(ImageTextConfig),
}

/// The first layers of a model.
enum Network {
    Texts(SentenceEncoder),
    TextTower(TextModel),
    ImageTower(VisionModel),
}

impl Timed {
    /// Reads the `config.json` of an encoder or a decoder.
    pub fn texts(json: &[u8]) -> Result<Self> {
        SentenceEncoderConfig::from_json(json).map(Self::Texts)
    }

    /// Reads that of CLIP or SigLIP, for the text tower.
    pub fn text_tower(json: &[u8]) -> Result<Self> {
        ImageTextConfig::from_json(json).map(Self::TextTower)
    }

    /// Reads the same for the image tower.
    pub fn image_tower(json: &[u8]) -> Result<Self> {
        ImageTextConfig::from_json(json).map(Self::ImageTower)
    }

    /// Whether the model is a static embedding, which has no layers.
    fn is_static(&self) -> bool {
        matches!(self, Self::Texts(config) if config.as_static().is_some())
    }

    /// The number of layers.
    fn layers(&mut self) -> &mut usize {
        match self {
            Self::Texts(config) => config.layers(),
            Self::TextTower(config) => config.text_layers(),
            Self::ImageTower(config) => config.image_layers(),
        }
    }

    /// The number of tokens of the text, or of rows and of columns of the image, with which the model is timed.
    fn input_size(&self) -> usize {
        match self {
            Self::Texts(config) => TOKENS.min(config.sizes()[1]),
            Self::TextTower(config) => TOKENS.min(config.max_tokens()),
            Self::ImageTower(config) => config.image_size(),
        }
    }

    /// The words for that input.
    fn input(&self) -> String {
        match self {
            Self::Texts(_) | Self::TextTower(_) => format!("{} tokens", self.input_size()),
            Self::ImageTower(_) => "an image".into(),
        }
    }

    fn network(&self, dtype: Dtype, device: &Device) -> Result<Network> {
        let mut declaring = Tensors::declaring();
        self.build(&mut declaring)?;
        self.build(&mut zeros(&declaring.into_parameters(), dtype, device)?)
    }

    fn build(&self, tensors: &mut Tensors) -> Result<Network> {
        match self {
            Self::Texts(config) => SentenceEncoder::new(config, tensors).map(Network::Texts),
            Self::TextTower(config) => TextModel::new(config, tensors).map(Network::TextTower),
            Self::ImageTower(config) => VisionModel::new(config, tensors).map(Network::ImageTower),
        }
    }
}

impl Network {
    /// Computes the layers for an input of [`Timed::input_size`].
    async fn forward(&self, size: usize) -> Result<Tensor<2>> {
        match self {
            Self::Texts(network) => {
                let ids = vec![0; size];
                let states = network.forward(&[&ids], usize::MAX, &NoYield).await;
                states.map(|(states, _)| states)
            }
            Self::ImageTower(network) => {
                let pixels = vec![0.0; 3 * size * size];
                network.forward(&[&pixels], &NoYield).await
            }
            Self::TextTower(network) => {
                // Nothing is computed of tokens after the end token, which in older configs is the largest id.
                let mut ids = vec![0; size];
                if let Some(last) = ids.last_mut() {
                    *last = 1;
                }
                network.forward(&[&ids], &NoYield).await
            }
        }
    }

    /// Milliseconds for computing the layers `repeats` times, one after the other, and reading the last values.
    async fn time(&self, size: usize, repeats: usize) -> Result<f64> {
        let start = now_ms();
        for _ in 1..repeats {
            self.forward(size).await?;
        }
        read(self.forward(size).await?).await?;
        Ok(now_ms() - start)
    }
}

/// Milliseconds on each device. They are written as a clause in which "it" is the GPU.
#[derive(Clone, Debug, PartialEq)]
struct Times {
    layers: usize,
    /// The number of times that the layers were computed one after the other.
    repeats: usize,
    /// The words for the input.
    input: String,
    dtype: Dtype,
    /// On one thread of the CPU.
    cpu_ms: f64,
    /// On the GPU, including reading the values back.
    gpu_ms: f64,
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            layers,
            repeats,
            input,
            dtype,
            cpu_ms,
            gpu_ms,
        } = self;
        let times = match repeats {
            1 => String::new(),
            _ => format!("{repeats} times "),
        };
        let name = dtype.name();
        write!(
            f,
            "{times}{layers} layers of the model in {name} took {gpu_ms:.1} ms on it and {cpu_ms:.1} ms on the CPU for {input}"
        )
    }
}

/// Checks that a model is faster on the GPU `device` than on the CPU, where the source asks for that, and tells the source. `model` reads its
/// `config.json`, the bytes of `config`.
///
/// *Errors*: `BackendUnavailable` where it is not; those of `config`, `model`, the scheduler and [`Gpu::check`]; `ResourceLimit` where memory is short.
pub(super) async fn compare(
    source: &Source<'_>,
    dtype: Dtype,
    device: &Device,
    config: impl Future<Output = Result<Vec<u8>>>,
    model: fn(&[u8]) -> Result<Timed>,
) -> Result<()> {
    let Some(report) = source.on_timed else {
        return Ok(());
    };
    let mut model = match config.await {
        Ok(json) => Some(model(&json)?),
        // A static embedding may have no config, and some hosts deny what they do not have.
        Err(error) if error.status() == Some(404) || error.is_refused() => None,
        Err(error) => return Err(error),
    };
    let times = match &mut model {
        Some(model) if !model.is_static() => Some(time(source, model, dtype, device).await?),
        _ => None,
    };
    let is_faster = times
        .as_ref()
        .is_some_and(|times| times.gpu_ms < times.cpu_ms);
    let reason = match times {
        Some(times) => times.to_string(),
        None => "the model has no layers".into(),
    };
    report(&reason, is_faster);
    match is_faster {
        true => Ok(()),
        false => Err(Error::new(
            ErrorKind::BackendUnavailable,
            format!("a GPU is no faster: {reason}"),
        )),
    }
}

/// Times the first layers of a model on both devices.
async fn time(
    source: &Source<'_>,
    model: &mut Timed,
    dtype: Dtype,
    device: &Device,
) -> Result<Times> {
    /// Two comparisons at once on one thread would wait for each other.
    static COMPARING: Mutex<()> = Mutex::new(());
    let _alone = COMPARING.lock().await;
    let all = *model.layers();
    let all = source.layers.map_or(all, |wanted| wanted.min(all));
    let layers = LAYERS.min(all);
    *model.layers() = layers;
    let size = model.input_size();
    let on_cpu = model.network(dtype, &cpu())?;
    // WebAssembly is compiled further while it runs, so that the first run is slow. One that took long is the measure of the others.
    let mut once = on_cpu.time(size, 1).await?;
    if once < TIME_LIMIT_MS {
        source.scheduler.yield_now().await?;
        once = on_cpu.time(size, 1).await?;
    }
    // Values are read back once in a call, however many layers it has.
    let most = (all / layers).max(1);
    let repeats = (TIME_LIMIT_MS / once).clamp(1.0, most as f64) as usize;
    let cpu_ms = fastest(source, &on_cpu, size, repeats).await?;
    drop(on_cpu);
    let on_gpu = model.network(dtype, device)?;
    // The first run compiles the kernels.
    on_gpu.time(size, 1).await?;
    let gpu_ms = fastest(source, &on_gpu, size, repeats).await?;
    drop(on_gpu);
    device.memory_cleanup();
    Gpu::open().await?.check()?;
    Ok(Times {
        layers,
        repeats,
        input: model.input(),
        dtype,
        cpu_ms,
        gpu_ms,
    })
}

/// Milliseconds of the fastest of [`RUNS`] runs.
async fn fastest(
    source: &Source<'_>,
    network: &Network,
    size: usize,
    repeats: usize,
) -> Result<f64> {
    let (mut fastest, mut spent) = (f64::INFINITY, 0.0);
    for _ in 0..RUNS {
        source.scheduler.yield_now().await?;
        let elapsed = network.time(size, repeats).await?;
        fastest = fastest.min(elapsed);
        spent += elapsed;
        if spent > TIME_LIMIT_MS {
            break;
        }
    }
    Ok(fastest)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;
    use crate::hub::MemoryHost;
    use crate::tasks::TextEmbedder;
    use crate::tasks::goldens::wait;

    #[wasm_bindgen_test(unsupported = test)]
    fn times_are_written_as_a_clause() {
        let times = |repeats, input: &str| Times {
            layers: 2,
            repeats,
            input: input.into(),
            dtype: Dtype::Q8,
            cpu_ms: 12.34,
            gpu_ms: 5.67,
        };
        assert_eq!(
            times(3, "128 tokens").to_string(),
            "3 times 2 layers of the model in q8 took 5.7 ms on it and 12.3 ms on the CPU for 128 tokens"
        );
        assert_eq!(
            times(1, "an image").to_string(),
            "2 layers of the model in q8 took 5.7 ms on it and 12.3 ms on the CPU for an image"
        );
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn a_model_without_a_config_takes_the_cpu_and_an_unreachable_host_is_an_error() {
        let host = MemoryHost::new([]);
        for (status, is_static) in [(404, true), (403, true), (500, false)] {
            let seen = RefCell::new(Vec::new());
            let on_timed = |reason: &str, is_faster| {
                seen.borrow_mut().push((reason.to_owned(), is_faster));
            };
            let source = Source {
                on_timed: Some(&on_timed),
                ..Source::new(&host, &NoYield)
            };
            let failure = Error::fetch_failed("config.json").with_status(status);
            let failure = if status == 403 {
                failure.refused()
            } else {
                failure
            };
            let config = async { Err(failure) };
            let error =
                wait(compare(&source, Dtype::Q8, &cpu(), config, Timed::texts)).unwrap_err();
            let (kind, told) = match is_static {
                true => (
                    ErrorKind::BackendUnavailable,
                    vec![("the model has no layers".to_owned(), false)],
                ),
                false => (ErrorKind::FetchFailed, vec![]),
            };
            assert_eq!((error.kind(), seen.into_inner()), (kind, told), "{status}");
        }
    }

    macro_rules! configs {
        ($($kind:ident: $($name:literal),*;)*) => {
            [$($((
                $name,
                stringify!($kind),
                include_bytes!(concat!("../../tests/goldens/", $name, "/config.json")).as_slice(),
            )),*),*]
        };
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn each_family_computes_with_zeros_for_weights() {
        for (name, kind, json) in configs! {
            Texts: "bert-tiny-mean", "camembert-tiny", "distilbert-tiny-mean", "jina-tiny", "llama-tiny", "modernbert-tiny",
                "modernbert-tiny-classifier", "mpnet-tiny", "nomic-tiny", "qwen2-tiny", "qwen3-tiny-embedder", "roberta-tiny",
                "xlm-roberta-tiny-reranker";
            Towers: "clip-tiny", "clip-tiny-gelu", "siglip-tiny", "siglip2-tiny";
        } {
            let models = match kind {
                "Texts" => vec![Timed::texts(json).unwrap()],
                _ => vec![
                    Timed::text_tower(json).unwrap(),
                    Timed::image_tower(json).unwrap(),
                ],
            };
            for mut model in models {
                let all = *model.layers();
                for (dtype, layers) in [(Dtype::F32, 1), (Dtype::Q8, LAYERS), (Dtype::Q4, LAYERS)] {
                    assert!(layers <= all, "{name}");
                    *model.layers() = layers;
                    let network = model.network(dtype, &cpu()).unwrap();
                    let values =
                        wait(async { read(network.forward(model.input_size()).await?).await });
                    let values = values.unwrap();
                    assert!(
                        values.len() > 1 && values.iter().all(|x| x.is_finite()),
                        "{name} {dtype:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_model_is_loaded_on_a_gpu_only_if_it_is_faster_there() {
        let Ok(gpu) = wait(Gpu::open()) else {
            println!("SKIPPED: no GPU to open");
            return;
        };
        macro_rules! file {
            ($file:literal) => {
                (
                    $file.to_owned(),
                    include_bytes!(concat!("../../tests/goldens/bert-tiny-mean/", $file)).to_vec(),
                )
            };
        }
        let host = MemoryHost::new([
            file!("config.json"),
            file!("tokenizer.json"),
            file!("model.safetensors"),
        ]);
        for dtype in Dtype::ALL {
            let seen = RefCell::new(Vec::new());
            let on_timed =
                |reason: &str, is_faster| seen.borrow_mut().push((reason.to_owned(), is_faster));
            let source = Source {
                on_timed: Some(&on_timed),
                ..Source::new(&host, &NoYield)
            };
            let loaded = wait(TextEmbedder::load(&source, dtype, gpu.device()));
            let seen = seen.into_inner();
            let [(reason, is_faster)] = seen.as_slice() else {
                panic!("{seen:?}")
            };
            println!("{reason}");
            assert!(
                reason.starts_with(&format!("2 layers of the model in {} took ", dtype.name()))
            );
            match loaded {
                Ok(model) => assert!(*is_faster && model.layers() == 2),
                Err(error) => {
                    assert!(!is_faster);
                    assert_eq!(error.to_string(), format!("a GPU is no faster: {reason}"));
                }
            }
        }
    }
}
