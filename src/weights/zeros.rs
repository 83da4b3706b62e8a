//! Tensors of zeros in place of loaded ones, for networks that are timed: time does not depend on the values.

use burn::tensor::Device;

use super::layout::Layout;
use super::{Dtype, Parameter, Presence, Role, Tensors};
use crate::error::Result;

/// The most rows of a table or of a vocabulary head. Tokens of timed texts are the first of the vocabulary, and no head is timed.
const ROWS: usize = 1024;

/// Makes the tensors that a model needs, filled with zeros, in the layout of a model in `dtype`.
///
/// *Errors*: `ResourceLimit` where memory is short.
pub fn zeros(parameters: &[Parameter], dtype: Dtype, device: &Device) -> Result<Tensors> {
    let needed = parameters
        .iter()
        .filter(|one| one.presence != Presence::Optional);
    let tensors = needed.map(|parameter| {
        let mut parameter = parameter.clone();
        if let (Role::Rows | Role::Head, [rows, _]) =
            (parameter.role, parameter.shape.as_mut_slice())
        {
            *rows = ROWS.min(*rows);
        }
        let layout = Layout::of(&parameter, dtype, false)?;
        let tensor = layout.allocate(&parameter.name)?;
        Ok((parameter.name, tensor))
    });
    let tensors = tensors.collect::<Result<_>>()?;
    Ok(Tensors::loaded(tensors, device.clone()))
}
