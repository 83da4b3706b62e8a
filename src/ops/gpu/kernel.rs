//! Launching WGSL kernels through burn's `template` feature.

use burn::backend::TensorMetadata;
use burn::cubecl::ir::attributes::BufferIOAttr;
use burn::cubecl::prelude::{CubeCount, CubeDim, KernelId};
use burn::cubecl::server::{KernelArguments, MetadataBindingInfo};
use burn::tensor::{DType, Shape};
use burn_wgpu::{CubeTensor, KernelSource, SourceKernel, SourceTemplate, into_contiguous};

use super::stats::count_dispatch;

/// The number of workgroups that WebGPU guarantees in one dimension of a dispatch (`maxComputeWorkgroupsPerDimension`).
const GROUPS_PER_DIMENSION: usize = 65_535;

/// A WGSL kernel with the entry point `main`, and the numbers that replace the `{{names}}` in its text.
///
/// Each set of numbers makes a pipeline of its own, so numbers that differ from call to call go into the info buffer instead.
pub(super) struct Kernel {
    name: &'static str,
    text: &'static str,
    constants: Vec<(&'static str, usize)>,
    /// The size of a workgroup in both dimensions, which must match the text.
    group: (u32, u32),
}

impl Kernel {
    /// Makes a kernel whose `name` no other kernel has.
    pub fn new(name: &'static str, text: &'static str, group: (u32, u32)) -> Self {
        Self {
            name,
            text,
            constants: Vec::new(),
            group,
        }
    }

    /// Replaces `{{name}}` by a number.
    pub fn with(mut self, name: &'static str, number: usize) -> Self {
        self.constants.push((name, number));
        self
    }

    /// Runs the kernel on `groups` workgroups, spread over two dimensions: a workgroup computes its number as
    /// `workgroup_id.y * num_workgroups.x + workgroup_id.x` and must return if it is not below `groups`.
    ///
    /// The bindings are `inputs` in order, the output, and the words of `info`. Inputs are contiguous.
    ///
    /// *Shapes*: `shape` is the output's; neither it nor an input may be empty.
    pub fn launch<const D: usize>(
        self,
        groups: usize,
        inputs: &[&CubeTensor],
        shape: [usize; D],
        info: &[u32],
    ) -> CubeTensor {
        let (client, device) = (inputs[0].client.clone(), inputs[0].device.clone());
        let bytes = shape.iter().product::<usize>() * size_of::<f32>();
        let output = CubeTensor::new_contiguous(
            client.clone(),
            device,
            Shape::from(shape),
            client.empty(bytes),
            DType::F32,
        );
        let arguments = inputs
            .iter()
            .fold(KernelArguments::new(), |arguments, input| {
                arguments.with_buffer_io(input.handle.clone().binding(), BufferIOAttr::ReadOnly)
            })
            .with_buffer_io(output.handle.clone().binding(), BufferIOAttr::WriteOnly)
            .with_info(MetadataBindingInfo::custom(words(info)));
        let across = groups.clamp(1, GROUPS_PER_DIMENSION);
        let count = CubeCount::Static(across as u32, groups.div_ceil(across) as u32, 1);
        let cube = CubeDim::new_2d(self.group.0, self.group.1);
        count_dispatch();
        client.launch(Box::new(SourceKernel::new(self, cube)), count, arguments);
        output
    }
}

impl KernelSource for Kernel {
    fn source(&self) -> SourceTemplate {
        let text = SourceTemplate::new(self.text);
        self.constants.iter().fold(text, |text, (name, number)| {
            text.register(*name, number.to_string())
        })
    }

    fn id(&self) -> KernelId {
        // The name stands for the text, because the id is hashed at every launch.
        KernelId::new::<Self>().info((self.name, self.constants.clone()))
    }

    fn lang(&self) -> &'static str {
        "wgsl"
    }
}

/// Packs the info buffer for burn. Burn caches uploaded buffers, so that repeating the same info costs nothing.
fn words(info: &[u32]) -> Vec<u64> {
    // Padded to 32 bytes, the smallest buffer.
    let padding = std::iter::repeat_n(0, 8usize.saturating_sub(info.len()) + info.len() % 2);
    let padded: Vec<u32> = info.iter().copied().chain(padding).collect();
    padded
        .chunks_exact(2)
        .map(|pair| u64::from(pair[0]) | u64::from(pair[1]) << 32)
        .collect()
}

/// Whether all tensors are f32, which the kernels require.
pub(super) fn all_f32<const N: usize>(tensors: [&CubeTensor; N]) -> bool {
    tensors.iter().all(|tensor| tensor.dtype == DType::F32)
}

/// Copies views to contiguous tensors, which the kernels require.
pub(super) fn contiguous<const N: usize>(tensors: [CubeTensor; N]) -> [CubeTensor; N] {
    tensors.map(into_contiguous)
}

pub(super) fn dims<const D: usize>(tensor: &CubeTensor) -> [usize; D] {
    tensor.shape().dims()
}
