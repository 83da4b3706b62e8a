//! The tensors of a model: its layers declare them in one pass, and take them in another.

use std::collections::HashMap;

use burn::tensor::{Device, Tensor};
use pilotlight_kernels::embedding_q8;
use pilotlight_kernels::pack::pack_row_f32;

use super::layout::{PackedTensor, PackedValues, widened_rows};
use super::{ANY, INDICES, NUMBERS, Parameter, Presence, Role, StoredTable, Table};
use crate::device::cpu;
use crate::error::{Error, Result};
use crate::ops::{
    Conv2d, Embedding, GroupNorm, Groups, LayerNorm, Linear, LinearWeight, QueryKeyValue, RmsNorm,
    Window, floats, group_sums, integers, is_gpu, packed_f32_shape,
};

/// The tensors from which the layers of a model are built. A model names each of its tensors once, in the function that builds
/// its layers; that function runs twice.
///
/// * Over [`Tensors::declaring`] it records which tensors the model needs, and builds layers without values.
/// * Over loaded tensors it takes each of them out, by the same name.
pub struct Tensors {
    pass: Pass,
    device: Device,
    /// Whether int8 layers quantize their inputs in fine groups.
    fine: bool,
    /// Whether f16 weights stay in f16. A GPU converts them as it computes, the CPU when they are loaded.
    keeps_halves: bool,
}

enum Pass {
    Declaring(Vec<Parameter>),
    Loaded(HashMap<String, PackedTensor>),
}

impl Tensors {
    /// Makes a declaring pass, which records each tensor that is taken.
    pub fn declaring() -> Self {
        Self {
            pass: Pass::Declaring(Vec::new()),
            device: cpu(),
            fine: false,
            keeps_halves: false,
        }
    }

    /// Makes a loaded pass, from which each tensor can be taken once.
    pub(super) fn loaded(tensors: HashMap<String, PackedTensor>, device: Device) -> Self {
        Self {
            pass: Pass::Loaded(tensors),
            keeps_halves: is_gpu(&device),
            device,
            fine: false,
        }
    }

    /// Makes a loaded pass without tensors, to [`join`](Self::join) those of several files.
    pub fn none(device: &Device) -> Self {
        Self::loaded(HashMap::new(), device.clone())
    }

    /// Makes the int8 layers that are taken from here on quantize their inputs in fine groups, which takes a little more time.
    pub fn set_fine_groups(&mut self) {
        self.fine = true;
    }

    /// The device on which the layers are built.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Adds the loaded tensors of another file.
    pub fn join(&mut self, others: Self) {
        if let (Pass::Loaded(own), Pass::Loaded(others)) = (&mut self.pass, others.pass) {
            own.extend(others);
        }
    }

    /// Records the name of the packed file that the store has of the loaded tensors.
    pub(crate) fn packed_as(mut self, file: &str) -> Self {
        if let Pass::Loaded(tensors) = &mut self.pass {
            for tensor in tensors.values_mut() {
                tensor.file = file.into();
            }
        }
        self
    }

    /// The tensors that were declared.
    pub fn into_parameters(self) -> Vec<Parameter> {
        match self.pass {
            Pass::Declaring(parameters) => parameters,
            Pass::Loaded(_) => Vec::new(),
        }
    }

    /// Takes the linear layer of `k` inputs and `n` outputs whose tensors are `{name}.weight` and `{name}.bias`.
    ///
    /// `preceding_norm`: the name of the norm whose output the layer takes, which helps to quantize it.
    pub fn linear(
        &mut self,
        name: &str,
        [n, k]: [usize; 2],
        preceding_norm: Option<&str>,
    ) -> Result<Linear> {
        let bias = self.vector(&format!("{name}.bias"), n)?;
        let weight = format!("{name}.weight");
        self.linear_with(weight, &[n, k], Role::Panels, preceding_norm, bias)
    }

    /// Takes the linear layers of `d` inputs and outputs that compute queries, keys and values, in this order. `preceding_norm`: the norm whose
    /// output they take.
    pub fn query_key_value(
        &mut self,
        names: [impl AsRef<str>; 3],
        d: usize,
        preceding_norm: &str,
    ) -> Result<QueryKeyValue> {
        let device = std::mem::replace(&mut self.device, cpu());
        let layers = names.map(|name| self.linear(name.as_ref(), [d, d], Some(preceding_norm)));
        self.device = device;
        let [query, key, value] = layers;
        Ok(QueryKeyValue::new([query?, key?, value?], &self.device))
    }

    /// Takes the linear layer that computes queries, keys and values, `d` each, in PyTorch's own attention. Its tensors are
    /// `{name}.in_proj_weight` and `{name}.in_proj_bias`.
    pub fn in_projection(&mut self, name: &str, d: usize, preceding_norm: &str) -> Result<Linear> {
        let bias = self.vector(&format!("{name}.in_proj_bias"), 3 * d)?;
        let weight = format!("{name}.in_proj_weight");
        let norm = Some(preceding_norm);
        self.linear_with(weight, &[3 * d, d], Role::Panels, norm, bias)
    }

    /// Takes the linear layer whose only tensor is `{name}.weight`. Its shape is `[n, …]`: the inputs may have several
    /// dimensions.
    pub fn linear_without_bias(
        &mut self,
        name: &str,
        shape: &[usize],
        preceding_norm: Option<&str>,
    ) -> Result<Linear> {
        let bias = self.no_bias(shape.first().copied().unwrap_or_default());
        let weight = format!("{name}.weight");
        self.linear_with(weight, shape, Role::Panels, preceding_norm, bias)
    }

    /// A bias of zeros. While declaring it is empty, because a hostile config may ask for any number of outputs.
    fn no_bias(&self, n: usize) -> Tensor<1> {
        let n = match self.pass {
            Pass::Declaring(_) => 0,
            Pass::Loaded(_) => n,
        };
        floats(vec![0.0; n], [n], &self.device)
    }

    /// Takes the vocabulary head of `v` tokens and `d` inputs, whose only tensor is `{name}.weight`.
    pub fn head(&mut self, name: &str, [v, d]: [usize; 2]) -> Result<Linear> {
        let bias = self.no_bias(v);
        self.linear_with(format!("{name}.weight"), &[v, d], Role::Head, None, bias)
    }

    /// Takes the table of `v` rows of `d` values whose tensor, `{name}.weight`, is the vocabulary head as well. It is in memory once.
    pub fn tied_embedding(
        &mut self,
        name: &str,
        [v, d]: [usize; 2],
    ) -> Result<(Embedding, Linear)> {
        let head = self.head(name, [v, d])?;
        let embedding = Embedding::tied(&head.weight).ok_or_else(|| {
            Error::internal(format!("tensor '{name}.weight' is int4, expected int8"))
        })?;
        Ok((embedding, head))
    }

    fn linear_with(
        &mut self,
        weight: String,
        shape: &[usize],
        role: Role,
        preceding_norm: Option<&str>,
        bias: Tensor<1>,
    ) -> Result<Linear> {
        let parameter = Parameter {
            preceding_norm: preceding_norm.map(str::to_owned),
            ..Parameter::new(weight, role, shape)
        };
        let Some(PackedTensor {
            values,
            shape,
            scale,
            smooth,
            sums,
            halves,
            offsets,
            ..
        }) = self.tensor(parameter)?
        else {
            let weight = LinearWeight::F32(floats(vec![], [0, 0, 0], &self.device));
            return Ok(Linear { weight, bias });
        };
        let shape = [shape[0], shape[1], shape[2]];
        let weight = match values {
            PackedValues::F32(values) => LinearWeight::F32(floats(values, shape, &self.device)),
            PackedValues::F16(values) => {
                let shape = [shape[0], shape[1], shape[2] / 2];
                match self.keeps_halves {
                    true => LinearWeight::f16(values, shape, &self.device),
                    false => LinearWeight::widened(&values, shape, &self.device),
                }
            }
            PackedValues::Q8(values) => {
                // The file has the sums of the coarse groups, whatever the model.
                let sums = match self.fine {
                    true => group_sums(&values, Groups::fine(smooth.len())),
                    false => sums,
                };
                LinearWeight::q8(values, sums, scale, smooth, &self.device)
            }
            PackedValues::Q4(values) => {
                LinearWeight::q4(values, halves, offsets, shape, &self.device)
            }
        };
        Ok(Linear { weight, bias })
    }

    /// Takes the table `{name}.weight` of `v` rows of `d` values, quantized by rows where the model is.
    pub fn embedding(&mut self, name: &str, [v, d]: [usize; 2]) -> Result<Embedding> {
        self.table(name, [v, d], Role::Rows)
    }

    /// Takes the table `{name}.weight` of `v` rows of `d` values, whose rows stay in the store. `is_head`: whether it has the layout of a
    /// vocabulary head.
    pub fn stored_table(
        &mut self,
        name: &str,
        [v, d]: [usize; 2],
        is_head: bool,
    ) -> Result<StoredTable> {
        let role = match is_head {
            true => Role::Head,
            false => Role::Rows,
        };
        let parameter = Parameter {
            in_store: true,
            ..Parameter::new(format!("{name}.weight"), role, &[v, d])
        };
        let packed = self.tensor(parameter)?;
        Ok(packed.map_or_else(StoredTable::default, |packed| {
            StoredTable::new(packed, [v, d], is_head)
        }))
    }

    /// Takes the table `{name}.weight` of `v` rows of `d` values, which always stays in f32.
    pub fn plain_embedding(&mut self, name: &str, [v, d]: [usize; 2]) -> Result<Embedding> {
        self.table(name, [v, d], Role::Plain)
    }

    fn table(&mut self, name: &str, [v, d]: [usize; 2], role: Role) -> Result<Embedding> {
        let parameter = Parameter::new(format!("{name}.weight"), role, &[v, d]);
        let Some(tensor) = self.tensor(parameter)? else {
            return Ok(Embedding::F32(floats(vec![], [0, 0], &self.device)));
        };
        let shape = [tensor.shape[0], tensor.shape[1]];
        Ok(match tensor.values {
            PackedValues::F32(values) => Embedding::F32(floats(values, shape, &self.device)),
            #[cfg(feature = "webgpu")]
            PackedValues::F16(values) if self.keeps_halves => Embedding::F16 {
                packed: integers(values, shape, &self.device),
                dimensions: d,
            },
            PackedValues::F16(values) => {
                let rows = widened_rows(&values, d);
                Embedding::F32(floats(rows, [shape[0], d], &self.device))
            }
            PackedValues::Q8(values) | PackedValues::Q4(values) => Embedding::Q8 {
                packed: integers(values, shape, &self.device),
                scale: floats_of(tensor.scale, &self.device),
                dimensions: d,
            },
        })
    }

    /// Takes the layer norm of `d` values whose tensors are `{name}.weight` and `{name}.bias`.
    pub fn layer_norm(&mut self, name: &str, d: usize, epsilon: f32) -> Result<LayerNorm> {
        Ok(LayerNorm {
            weight: self.vector(&format!("{name}.weight"), d)?,
            bias: self.vector(&format!("{name}.bias"), d)?,
            epsilon,
        })
    }

    /// Takes the layer norm of `d` values whose only tensor is `{name}.weight`.
    pub fn layer_norm_without_bias(
        &mut self,
        name: &str,
        d: usize,
        epsilon: f32,
    ) -> Result<LayerNorm> {
        Ok(LayerNorm {
            weight: self.vector(&format!("{name}.weight"), d)?,
            bias: self.no_bias(d),
            epsilon,
        })
    }

    /// Takes the root mean square norm of `d` values whose tensor is `{name}.weight`.
    pub fn rms_norm(&mut self, name: &str, d: usize, epsilon: f32) -> Result<RmsNorm> {
        Ok(RmsNorm {
            weight: self.vector(&format!("{name}.weight"), d)?,
            epsilon,
        })
    }

    /// Takes the group norm of `c` channels whose tensors are `{name}.weight` and `{name}.bias`.
    pub fn group_norm(
        &mut self,
        name: &str,
        c: usize,
        groups: usize,
        epsilon: f32,
    ) -> Result<GroupNorm> {
        Ok(GroupNorm {
            weight: self.vector(&format!("{name}.weight"), c)?,
            bias: self.vector(&format!("{name}.bias"), c)?,
            groups,
            epsilon,
        })
    }

    /// Takes the convolution of `c` channels to `n`, computed in f32. Its tensors are `{name}.weight`, `n` rows of
    /// `[rows, columns, c]`, and `{name}.bias`.
    pub fn conv2d(&mut self, name: &str, [n, c]: [usize; 2], window: Window) -> Result<Conv2d> {
        let (weight, bias) = self.panels_of_rows(name, [n, window.size * window.size * c])?;
        Ok(Conv2d {
            weight,
            bias,
            window,
        })
    }

    /// Takes the linear layer of `k` inputs and `n` outputs, computed in f32. Its tensors are `{name}.weight`, quantized by rows
    /// where the model is, and `{name}.bias`.
    pub fn linear_of_rows(&mut self, name: &str, [n, k]: [usize; 2]) -> Result<Linear> {
        let (weight, bias) = self.panels_of_rows(name, [n, k])?;
        Ok(Linear {
            weight: LinearWeight::F32(weight),
            bias,
        })
    }

    fn panels_of_rows(&mut self, name: &str, [n, k]: [usize; 2]) -> Result<(Tensor<3>, Tensor<1>)> {
        let bias = self.vector(&format!("{name}.bias"), n)?;
        let rows = self.rows(&format!("{name}.weight"), [n, k])?;
        let shape = packed_f32_shape(n, k);
        let mut packed = vec![0.0; shape.iter().product()];
        for (output, row) in rows.chunks_exact(k).enumerate() {
            pack_row_f32(&mut packed, k, output, row);
        }
        Ok((floats(packed, shape, &self.device), bias))
    }

    /// Takes the `v` rows of a table, `d` values each, in f32.
    pub fn rows(&mut self, name: &str, [v, d]: [usize; 2]) -> Result<Vec<f32>> {
        let Some(PackedTensor {
            values,
            shape,
            scale,
            ..
        }) = self.tensor(Parameter::new(name, Role::Rows, &[v, d]))?
        else {
            return Ok(vec![0.0; v * d]);
        };
        Ok(match values {
            PackedValues::F32(values) => values,
            PackedValues::F16(values) => widened_rows(&values, d),
            PackedValues::Q8(values) | PackedValues::Q4(values) => {
                let mut rows = vec![0.0; scale.len() * d];
                let ids: Vec<i32> = (0..scale.len() as i32).collect();
                embedding_q8(&values, &scale, &ids, shape[1], &mut rows, d);
                rows
            }
        })
    }

    /// Takes a table whose shape only the file determines, quantized by rows where the model is. `alias`: another
    /// name that the checkpoint may have for it. It is empty while declaring.
    pub fn table_of_any_size(&mut self, name: &str, alias: Option<&'static str>) -> Result<Table> {
        let parameter = Parameter {
            alias,
            dtypes: NUMBERS,
            ..Parameter::new(name, Role::Rows, &[ANY, ANY])
        };
        Ok(self.tensor(parameter)?.map(Table::new).unwrap_or_default())
    }

    /// Takes a list of plain numbers of any length; `None` where the file has none, and while declaring.
    pub fn optional_numbers(&mut self, name: &str) -> Result<Option<Vec<f32>>> {
        self.optional(name, NUMBERS)
    }

    /// Takes a list of indices of any length; `None` where the file has none, and while declaring. Those up to 2^24 are exact.
    pub fn optional_indices(&mut self, name: &str) -> Result<Option<Vec<f32>>> {
        self.optional(name, INDICES)
    }

    /// Takes a number, which a file may lack, depending on `presence`; `None` if it does, and while declaring. *Shapes*: one element.
    pub fn number(
        &mut self,
        name: &str,
        shape: &[usize],
        presence: Presence,
    ) -> Result<Option<f32>> {
        let parameter = Parameter {
            presence,
            ..Parameter::new(name, Role::Plain, shape)
        };
        let values = self.plain(parameter)?;
        Ok(values.and_then(|values| values.first().copied()))
    }

    fn optional(
        &mut self,
        name: &str,
        dtypes: &'static [&'static str],
    ) -> Result<Option<Vec<f32>>> {
        self.plain(Parameter {
            dtypes,
            presence: Presence::Optional,
            ..Parameter::new(name, Role::Plain, &[ANY])
        })
    }

    /// Takes a tensor of one dimension.
    pub fn vector(&mut self, name: &str, n: usize) -> Result<Tensor<1>> {
        let values = self.list(name, &[n])?;
        Ok(floats_of(values, &self.device))
    }

    /// Takes the values of a tensor that always stays in f32; none while declaring.
    pub fn list(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let parameter = Parameter::new(name, Role::Plain, shape);
        Ok(self.plain(parameter)?.unwrap_or_default())
    }

    /// Takes the values of a tensor that always stays in f32; zeros while declaring, because the caller may compute with them.
    pub fn values(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let values = self.plain(Parameter::new(name, Role::Plain, shape))?;
        Ok(values.unwrap_or_else(|| vec![0.0; shape.iter().product()]))
    }

    fn plain(&mut self, parameter: Parameter) -> Result<Option<Vec<f32>>> {
        let name = parameter.name.clone();
        match self.tensor(parameter)?.map(|tensor| tensor.values) {
            Some(PackedValues::F32(values)) => Ok(Some(values)),
            None => Ok(None),
            Some(_) => Err(Error::internal(format!(
                "tensor '{name}' is quantized, expected f32"
            ))),
        }
    }

    /// Takes a loaded tensor in its packed form.
    #[cfg(test)]
    pub(super) fn take(&mut self, name: &str) -> PackedTensor {
        match &mut self.pass {
            Pass::Loaded(tensors) => tensors.remove(name).unwrap(),
            Pass::Declaring(_) => panic!("no tensors are loaded"),
        }
    }

    /// Declares a tensor, or takes it out of the loaded ones.
    fn tensor(&mut self, parameter: Parameter) -> Result<Option<PackedTensor>> {
        match &mut self.pass {
            Pass::Declaring(parameters) => {
                parameters.push(parameter);
                Ok(None)
            }
            Pass::Loaded(tensors) => match tensors.remove(&parameter.name) {
                Some(tensor) => Ok(Some(tensor)),
                None if parameter.presence != Presence::Required => Ok(None),
                None => Err(Error::internal(format!(
                    "tensor '{}' is not loaded, or was taken before",
                    parameter.name
                ))),
            },
        }
    }
}

fn floats_of(values: Vec<f32>, device: &Device) -> Tensor<1> {
    let length = values.len();
    floats(values, [length], device)
}
