//! Timing layers of a model on a GPU and on the CPU, before its weights are loaded.

use burn::tensor::Device;

use super::pretrained::declared;
use super::timing::LayerTimes;
use super::{Pretrained, Source};
use crate::device::{Gpu, cpu};
use crate::error::{Error, ErrorKind, Result};
use crate::ops::{now_ms, read};
use crate::weights::{Dtype, zeros};

/// The number of layers of a timed network. One would not do: the last layer of CLIP computes only what the vector needs.
const LAYERS: usize = 2;
/// The number of timed runs, of which the fastest counts.
const RUNS: usize = 3;
/// No further run is started after this many milliseconds.
const TIME_LIMIT_MS: f64 = 100.0;

/// Checks that the model with this config is faster on the GPU than on the CPU, where the source asks for that, and returns the config.
///
/// *Errors*: `BackendUnavailable` where it is not, and those of [`Gpu::check`].
pub async fn choose<T: Pretrained>(
    source: &Source<'_>,
    mut config: T::Config,
    dtype: Dtype,
    device: &Device,
) -> Result<T::Config> {
    let Some(report) = source.on_timed else {
        return Ok(config);
    };
    let all = T::set_layers(&mut config, LAYERS);
    let times = compare::<T>(&mut config, all, dtype, device).await?;
    T::set_layers(&mut config, all);
    report(&times);
    match times.is_gpu_faster() {
        true => Ok(config),
        false => Err(Error::new(
            ErrorKind::BackendUnavailable,
            format!("the GPU is no faster: {times}"),
        )),
    }
}

/// Times layers of the model on both devices. `all`: the number of its layers.
async fn compare<T: Pretrained>(
    config: &mut T::Config,
    all: usize,
    dtype: Dtype,
    gpu: &Device,
) -> Result<LayerTimes> {
    let layers = LAYERS.min(all);
    let input = T::sample_input(config);
    if layers == 0 {
        return Ok(LayerTimes {
            layers,
            input,
            dtype,
            cpu_ms: 0.0,
            gpu_ms: 0.0,
        });
    }
    T::set_layers(config, layers);
    let on_cpu = network::<T>(config, dtype, &cpu())?;
    // An engine computes the first run in slow code.
    time::<T>(&on_cpu, config, 1, &cpu()).await?;
    let once = time::<T>(&on_cpu, config, 1, &cpu()).await?;
    // Reading back takes as long after one layer as after all, so that as many are timed as a call has.
    let repeats = (TIME_LIMIT_MS / once).clamp(1.0, (all / layers) as f64) as usize;
    let cpu_ms = fastest::<T>(&on_cpu, config, repeats, &cpu()).await?;
    drop(on_cpu);
    let on_gpu = network::<T>(config, dtype, gpu)?;
    // The first run compiles the kernels.
    time::<T>(&on_gpu, config, 1, gpu).await?;
    let gpu_ms = fastest::<T>(&on_gpu, config, repeats, gpu).await?;
    Gpu::open().await?.check()?;
    Ok(LayerTimes {
        layers: layers * repeats,
        input,
        dtype,
        cpu_ms,
        gpu_ms,
    })
}

fn network<T: Pretrained>(config: &T::Config, dtype: Dtype, device: &Device) -> Result<T::Network> {
    T::network(config, &mut zeros(&declared::<T>(config)?, dtype, device)?)
}

/// The milliseconds of the fastest of [`RUNS`] runs.
async fn fastest<T: Pretrained>(
    network: &T::Network,
    config: &T::Config,
    repeats: usize,
    device: &Device,
) -> Result<f64> {
    let (mut fastest, mut spent) = (f64::INFINITY, 0.0);
    for _ in 0..RUNS {
        let elapsed = time::<T>(network, config, repeats, device).await?;
        fastest = fastest.min(elapsed);
        spent += elapsed;
        if spent > TIME_LIMIT_MS {
            break;
        }
    }
    Ok(fastest)
}

/// Milliseconds for computing the network several times, one after the other, and reading the last values.
async fn time<T: Pretrained>(
    network: &T::Network,
    config: &T::Config,
    repeats: usize,
    device: &Device,
) -> Result<f64> {
    let start = now_ms();
    let input = T::sample_input(config);
    for _ in 1..repeats {
        T::sample(network, input, device).await?;
    }
    read(T::sample(network, input, device).await?).await?;
    Ok(now_ms() - start)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::hub::MemoryHost;
    use crate::scheduler::NoYield;
    use crate::tasks::goldens::wait;
    use crate::tasks::load::SampleInput;
    use crate::tasks::{Decoder, TextEmbedder};

    macro_rules! repository {
        ($name:literal, $($file:literal),*) => {
            MemoryHost::new([$((
                $file.to_owned(),
                include_bytes!(concat!("../../../tests/goldens/", $name, "/", $file)).to_vec(),
            )),*])
        };
    }

    #[test]
    fn a_model_is_loaded_on_a_gpu_only_if_it_is_faster_there() {
        let Ok(gpu) = wait(Gpu::open()) else {
            println!("SKIPPED: no GPU to open");
            return;
        };
        let embedder = repository!(
            "bert-tiny-mean",
            "config.json",
            "modules.json",
            "1_Pooling/config.json",
            "sentence_bert_config.json",
            "tokenizer.json",
            "model.safetensors"
        );
        let decoder = repository!(
            "qwen2-tiny",
            "config.json",
            "tokenizer.json",
            "model.safetensors"
        );
        for dtype in Dtype::ALL {
            for (host, is_decoder, tokens) in [(&embedder, false, 32), (&decoder, true, 128)] {
                let times = Cell::new(None);
                let on_timed = |of: &LayerTimes| times.set(Some(*of));
                let source = Source {
                    on_timed: Some(&on_timed),
                    ..Source::new(host, &NoYield)
                };
                let loaded = match is_decoder {
                    false => wait(TextEmbedder::load(&source, dtype, gpu.device()))
                        .map(|own| own.layers()),
                    true => {
                        wait(Decoder::load(&source, dtype, gpu.device())).map(|own| own.layers())
                    }
                };
                let times = times.take().unwrap();
                println!("{times}");
                assert_eq!(times.layers, LAYERS);
                assert_eq!(
                    (times.dtype, times.input),
                    (dtype, SampleInput::Tokens(tokens))
                );
                assert!(times.cpu_ms > 0.0 && times.gpu_ms > 0.0, "{times:?}");
                match loaded {
                    // The timed network has fewer layers, the loaded one has all.
                    Ok(layers) => {
                        assert!(times.is_gpu_faster() && layers == if is_decoder { 3 } else { 2 })
                    }
                    Err(error) => {
                        assert!(!times.is_gpu_faster());
                        assert_eq!(error.to_string(), format!("the GPU is no faster: {times}"));
                    }
                }
            }
        }
    }
}
