//! Launching WGSL through burn's `template` feature.

use burn::backend::TensorMetadata;
use burn::cubecl::ir::attributes::BufferIOAttr;
use burn::cubecl::prelude::{CubeCount, CubeDim, KernelId};
use burn::cubecl::server::{KernelArguments, MetadataBindingInfo};
use burn::tensor::{DType, Shape};
use burn_wgpu::{CubeTensor, KernelSource, SourceKernel, SourceTemplate, into_contiguous};

/// Workgroups that WebGPU promises to take in one dimension of a dispatch (`maxComputeWorkgroupsPerDimension`).
const GROUPS_PER_DIMENSION: usize = 65_535;

/// The text of a kernel with its entry point `main`, and the numbers that take the place of its `{{names}}`.
///
/// Each set of numbers is a pipeline of its own, so what differs from call to call goes into the info buffer instead.
pub(super) struct Kernel {
    name: &'static str,
    text: &'static str,
    constants: Vec<(&'static str, usize)>,
    /// Invocations in a workgroup, by dimension; the text says the same.
    group: (u32, u32),
}

impl Kernel {
    /// `name` tells this kernel from all others.
    pub fn new(name: &'static str, text: &'static str, group: (u32, u32)) -> Self {
        Self {
            name,
            text,
            constants: Vec::new(),
            group,
        }
    }

    /// Puts a number in place of `{{name}}`.
    pub fn with(mut self, name: &'static str, number: usize) -> Self {
        self.constants.push((name, number));
        self
    }

    /// Runs the kernel on `groups` workgroups, spread over two dimensions: a workgroup finds its number as
    /// `workgroup_id.y * num_workgroups.x + workgroup_id.x` and must leave when there are fewer.
    ///
    /// The bindings are `inputs` in order, the output, and the words of `info`. Inputs are contiguous.
    ///
    /// *Shapes*: `shape` is the output's; neither it nor an input may be empty.
    pub fn launch<const N: usize, const D: usize>(
        self,
        groups: usize,
        inputs: [&CubeTensor; N],
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
        // The name for the text: this is hashed for every launch.
        KernelId::new::<Self>().info((self.name, self.constants.clone()))
    }

    fn lang(&self) -> &'static str {
        "wgsl"
    }
}

/// The info buffer as burn takes it. It keeps a copy of what it has uploaded, so that the same info costs nothing again.
fn words(info: &[u32]) -> Vec<u64> {
    // Padded to 32 bytes, the least that a buffer is.
    let padding = std::iter::repeat_n(0, 8usize.saturating_sub(info.len()) + info.len() % 2);
    let padded: Vec<u32> = info.iter().copied().chain(padding).collect();
    padded
        .chunks_exact(2)
        .map(|pair| u64::from(pair[0]) | u64::from(pair[1]) << 32)
        .collect()
}

/// Whether the kernels take these tensors.
pub(super) fn all_f32<const N: usize>(tensors: [&CubeTensor; N]) -> bool {
    tensors.iter().all(|tensor| tensor.dtype == DType::F32)
}

/// The tensors as the kernels read them, without the gaps of a view.
pub(super) fn contiguous<const N: usize>(tensors: [CubeTensor; N]) -> [CubeTensor; N] {
    tensors.map(into_contiguous)
}

pub(super) fn dims<const D: usize>(tensor: &CubeTensor) -> [usize; D] {
    tensor.shape().dims()
}
