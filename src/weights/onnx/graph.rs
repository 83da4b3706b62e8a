//! Reads the nodes of a graph, and the descriptions of its tensors.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::external::External;
use super::ops::{ATTRIBUTES, MAX_INPUTS, Node, Op};
use super::protobuf::{Field, Value, Walker, at};
use super::table::{Table, Tensor};
use super::{EXTERNAL, SCATTERED, names, quantized};
use crate::error::{Error, Result};
use crate::weights::safetensors::element_bytes;

/// The longest name of a node or tensor, in bytes.
const MAX_NAME: u64 = 4096;

/// The most bytes of names that are kept. A model of 100 layers has about 500 KB.
const MAX_NAMES: usize = 16 << 20;
/// Bytes of an entry in the lists of nodes and tensors, beside its name.
const ENTRY: usize = 64;

/// The most dimensions of a tensor.
const MAX_DIMS: usize = 8;

/// The longest values that are kept of tensors that may be scales, or beside values in another file. The walker has their bytes anyway.
const SHORT: u64 = 64 << 10;

/// The most bytes of values that are kept. The scales of a model of 135 million parameters in 4 bits take 17 MB.
const MAX_KEPT: usize = 32 << 20;

/// The parts of a graph that are kept while it is read.
#[derive(Default)]
pub(super) struct Graph {
    pub nodes: Vec<Node>,
    pub tensors: Vec<Tensor>,
    /// The values of short tensors, and of the scales that nodes name, by the names of the tensors.
    pub values: HashMap<String, Vec<u8>>,
    names: HashSet<String>,
    /// The names of scales and zero points.
    scales: HashSet<String>,
    /// The location of the file that has the values of tensors.
    location: Option<String>,
    /// Bytes of the names that are kept, and of values.
    kept: usize,
    kept_values: usize,
    /// The number of nodes so far.
    count: usize,
}

pub(super) async fn next(
    walker: &mut Walker<'_, '_>,
    end: u64,
    place: &str,
) -> Result<Option<Field>> {
    let field = walker.field(end).await;
    field.map_err(|error| at(place, error))
}

impl Graph {
    /// Reads the nodes and the descriptions of the tensors.
    pub async fn read(&mut self, walker: &mut Walker<'_, '_>, graph: &Range<u64>) -> Result<()> {
        while let Some(field) = next(walker, graph.end, "graph").await? {
            let Value::Bytes(range) = field.value else {
                continue;
            };
            match field.number {
                1 => {
                    let read = self.node(walker, &range).await;
                    read.map_err(|error| at(&format!("graph.node[{}]", self.count), error))?;
                    self.count += 1;
                }
                5 => {
                    let index = self.tensors.len();
                    let read = self.initializer(walker, &range).await;
                    read.map_err(|error| at(&format!("graph.initializer[{index}]"), error))?;
                }
                _ => {}
            }
            walker.skip_to(range.end);
        }
        Ok(())
    }

    /// Reads a node, and keeps it if names of tensors can be found by it.
    async fn node(&mut self, walker: &mut Walker<'_, '_>, node: &Range<u64>) -> Result<()> {
        let (mut name, mut op) = (String::new(), String::new());
        let (mut inputs, mut output, mut numbers) = (Vec::new(), None, Vec::new());
        while let Some(field) = walker.field(node.end).await? {
            let Value::Bytes(range) = field.value else {
                continue;
            };
            match field.number {
                1 if inputs.len() < MAX_INPUTS => {
                    inputs.push(walker.text(&range, MAX_NAME).await?);
                }
                2 if output.is_none() => output = Some(walker.text(&range, MAX_NAME).await?),
                3 => name = walker.text(&range, MAX_NAME).await?,
                4 => op = walker.text(&range, MAX_NAME).await?,
                5 if numbers.len() < ATTRIBUTES.len() => {
                    numbers.extend(attribute(walker, &range).await?);
                    walker.skip_to(range.end);
                }
                _ => walker.skip_to(range.end),
            }
        }
        let Some(op) = Op::from_name(&op) else {
            return Ok(());
        };
        let output = output.unwrap_or_default();
        self.keep(inputs.iter().chain([&name, &output]))?;
        if op == Op::NibbleProduct {
            self.scales.extend(inputs.iter().skip(2).take(2).cloned());
        }
        self.nodes.push(Node {
            op,
            name,
            inputs,
            output,
            numbers,
        });
        Ok(())
    }

    /// Reads the description of a tensor.
    async fn initializer(
        &mut self,
        walker: &mut Walker<'_, '_>,
        tensor: &Range<u64>,
    ) -> Result<()> {
        let (mut name, mut shape, mut kind) = (String::new(), Vec::new(), 0);
        let (mut raw, mut floats, mut external) = (None, None, None);
        let (mut values, mut integers) = (None, None);
        while let Some(field) = walker.field(tensor.end).await? {
            match (field.number, field.value) {
                (1, Value::Number(dim)) => push_dim(&mut shape, dim)?,
                (1, Value::Bytes(range)) => {
                    while walker.position() < range.end {
                        push_dim(&mut shape, walker.number(range.end).await?)?;
                    }
                }
                (2, Value::Number(number)) => kind = number,
                // A list of float32 has the bytes of raw_data, where it is in one piece.
                (4, Value::Bytes(range)) => {
                    floats = match floats {
                        None => Some(Some(range.clone())),
                        Some(_) => Some(None),
                    };
                    values = self.short(walker, &range, &name).await?;
                }
                (5, Value::Bytes(range)) => integers = self.short(walker, &range, &name).await?,
                (8, Value::Bytes(range)) => name = walker.text(&range, MAX_NAME).await?,
                (9, Value::Bytes(range)) => {
                    values = self.short(walker, &range, &name).await?;
                    raw = Some(range);
                }
                (13, Value::Bytes(range)) => {
                    let external = external.get_or_insert_with(External::default);
                    external.read(walker, &range).await?;
                    walker.skip_to(range.end);
                }
                (14, Value::Number(1)) => {
                    external.get_or_insert_with(External::default);
                }
                (_, Value::Bytes(range)) => walker.skip_to(range.end),
                _ => {}
            }
        }
        if name.is_empty() {
            return Err(Error::invalid_weights("has no name"));
        }
        if !self.names.insert(name.clone()) {
            return Err(Error::invalid_weights(format!(
                "has the name '{name}', which another one has"
            ))
            .with_tensor(&name));
        }
        self.keep([&name])?;
        let floats = floats.flatten().filter(|_| kind == 1);
        let nowhere = tensor.start..tensor.start;
        let is_external = external.is_some();
        let (dtype, range) = match (external, raw.or(floats)) {
            (Some(external), _) => self.external(&external, dtype(kind), &shape)?,
            (_, Some(range)) => (dtype(kind), range),
            (_, None) if shape.contains(&0) => (dtype(kind), nowhere),
            (_, None) => (SCATTERED.into(), nowhere),
        };
        let tensor = Tensor {
            is_external,
            ..Tensor::new(name.clone(), dtype, shape, range)
        };
        tensor.check()?;
        let values = match (values, integers) {
            (Some(values), _) if !is_external => Some(values),
            (None, Some(integers)) => quantized::bytes_of(&integers),
            _ => None,
        };
        if let Some(values) = values
            && self.kept_values + values.len() <= MAX_KEPT
        {
            self.kept_values += values.len();
            self.values.insert(name, values);
        }
        self.tensors.push(Tensor { kind, ..tensor });
        Ok(())
    }

    /// The place in the file beside this one of a tensor's values.
    fn external(
        &mut self,
        external: &External,
        dtype: String,
        shape: &[u64],
    ) -> Result<(String, Range<u64>)> {
        let elements = shape.iter().try_fold(1u64, |n, dim| n.checked_mul(*dim));
        let bytes = elements.zip(element_bytes(&dtype));
        let bytes = bytes.and_then(|(elements, width)| elements.checked_mul(width));
        let range = external.range(bytes)?;
        if external.location.is_empty() {
            return Err(Error::invalid_weights(
                "has external data without a location, expected the name of a file",
            ));
        }
        let location = self
            .location
            .get_or_insert_with(|| external.location.clone());
        match *location == external.location {
            true => Ok((dtype, range)),
            false => Ok((EXTERNAL.into(), range.start..range.start)),
        }
    }

    /// Reads values that are short, or that a node has named as scales; `None` for others, which are skipped.
    async fn short(
        &self,
        walker: &mut Walker<'_, '_>,
        range: &Range<u64>,
        name: &str,
    ) -> Result<Option<Vec<u8>>> {
        let length = range.end - range.start;
        let room = (MAX_KEPT - self.kept_values) as u64;
        if length > room || (length > SHORT && !self.scales.contains(name)) {
            walker.skip_to(range.end);
            return Ok(None);
        }
        walker.bytes(range).await.map(Some)
    }

    /// Counts the bytes of names that are kept, each with those of its entry.
    fn keep<'n>(&mut self, names: impl IntoIterator<Item = &'n String>) -> Result<()> {
        let names = names.into_iter().map(|name| name.len() + ENTRY);
        self.kept += names.sum::<usize>();
        match self.kept <= MAX_NAMES {
            true => Ok(()),
            false => Err(Error::unsupported(format!(
                "has a name after which all names have more than {MAX_NAMES} bytes"
            ))),
        }
    }

    /// Makes the table of the tensors, with their names in PyTorch. `size`: bytes of the file; `front`: those that were read before.
    pub fn into_table(self, size: u64, front: u64) -> Result<Table> {
        let Self {
            nodes,
            mut tensors,
            values,
            location,
            ..
        } = self;
        let mut held = Vec::new();
        if location.is_some() {
            // The other tensors of the file are kept with the table.
            for tensor in tensors.iter_mut().filter(|tensor| !tensor.is_external) {
                match values.get(&tensor.name) {
                    Some(values) if tensor.dtype != SCATTERED => {
                        let from = held.len() as u64;
                        held.extend_from_slice(values);
                        tensor.held = Some(from..held.len() as u64);
                    }
                    _ => tensor.dtype = EXTERNAL.into(),
                }
                tensor.range = 0..0;
            }
        }
        quantized::restore(&mut tensors, &nodes, &values, &mut held);
        names::restore(&mut tensors, &nodes);
        tensors.sort_by(|a, b| {
            let key = |tensor: &Tensor| (tensor.range.start, tensor.range.end);
            key(a).cmp(&key(b)).then_with(|| a.name.cmp(&b.name))
        });
        let end = tensors.iter().map(|tensor| tensor.range.end).max();
        Ok(match location {
            None => Table::new(size, front, tensors, held),
            Some(location) => Table {
                location: Some(location),
                ..Table::new(end.unwrap_or(0), 0, tensors, held)
            },
        })
    }
}

/// Reads an attribute, and returns its place in [`ATTRIBUTES`] and its number, if it is one of these.
async fn attribute(
    walker: &mut Walker<'_, '_>,
    attribute: &Range<u64>,
) -> Result<Option<(usize, u64)>> {
    let (mut index, mut found) = (None, None);
    while let Some(field) = walker.field(attribute.end).await? {
        match (field.number, field.value) {
            (1, Value::Bytes(range)) => {
                let name = walker.text(&range, MAX_NAME).await?;
                index = ATTRIBUTES.iter().position(|known| **known == name);
                if index.is_none() {
                    return Ok(None);
                }
            }
            (3, Value::Number(number)) => found = Some(number),
            (_, Value::Bytes(range)) => walker.skip_to(range.end),
            _ => {}
        }
    }
    Ok(index.zip(found))
}

fn push_dim(shape: &mut Vec<u64>, dim: u64) -> Result<()> {
    if shape.len() == MAX_DIMS {
        return Err(Error::unsupported(format!(
            "has more than {MAX_DIMS} dimensions"
        )));
    }
    shape.push(dim);
    Ok(())
}

/// The name in safetensors of a type of elements.
fn dtype(kind: u64) -> String {
    let name = match kind {
        1 => "F32",
        2 => "U8",
        3 => "I8",
        4 => "U16",
        5 => "I16",
        6 => "I32",
        7 => "I64",
        9 => "BOOL",
        10 => "F16",
        11 => "F64",
        12 => "U32",
        13 => "U64",
        16 => "BF16",
        _ => return format!("type {kind} of ONNX"),
    };
    name.into()
}
