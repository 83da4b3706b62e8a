//! A pickle, as far as state dicts need it: values are put together, and nothing is ever called or imported.
//!
//! Python's own reader runs whatever functions a pickle names. This one knows the few names that `torch.save` writes for a state dict, gives
//! each its meaning here, and refuses every other. Values refer to each other by number, so that one may contain itself and no code recurses.
//!
//! *Source*: CPython, `Lib/pickletools.py`, for the opcodes; PyTorch, `torch/serialization.py` and `torch/_utils.py`, for the names.

use std::collections::HashMap;

use super::globals::{Element, Global};
use super::zip::shortened;
use crate::error::{Error, Result};

/// The most marks at a time, which limits how deeply values are nested while they are put together.
const MAX_MARKS: usize = 256;

/// The newest protocol.
const PROTOCOL: u8 = 5;

/// The number of a value.
pub(super) type Id = u32;

/// The one value for all that no tensor is made of: `None`, truth values and floats.
const OTHER: Id = 0;
/// The empty tuple.
const EMPTY: Id = 1;

/// A storage: a member of the archive that tensors are views of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Storage<'a> {
    pub element: Element,
    /// The name of the member.
    pub key: &'a str,
    /// The number of elements.
    pub elements: u64,
}

/// A value of a pickle.
#[derive(Debug)]
pub(super) enum Value<'a> {
    Other,
    Integer(i64),
    Text(&'a str),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(Global),
    Storage(Storage<'a>),
    /// A tensor; the value has the arguments of `_rebuild_tensor_v2`.
    Tensor(Id),
}

/// The values of a pickle.
#[derive(Debug)]
pub(super) struct Values<'a> {
    values: Vec<Value<'a>>,
    /// The value that the pickle is of.
    pub root: Id,
}

impl<'a> Values<'a> {
    /// Reads a pickle.
    ///
    /// Takes less than 100 bytes of memory for each byte of the pickle. *Errors*: `UnsupportedModel` for a name or an opcode that state dicts
    /// do not have, `InvalidWeights` for a pickle that is damaged.
    pub fn read(bytes: &'a [u8]) -> Result<Self> {
        let mut machine = Machine {
            bytes,
            at: 0,
            values: vec![Value::Other, Value::Tuple(Vec::new())],
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
        };
        while machine.step()? {}
        let root = machine.pop()?;
        Ok(Self {
            values: machine.values,
            root,
        })
    }

    /// A value by its number.
    pub fn get(&self, id: Id) -> &Value<'a> {
        self.values.get(id as usize).unwrap_or(&Value::Other)
    }
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    values: Vec<Value<'a>>,
    stack: Vec<Id>,
    /// The lengths of the stack when marks were set.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl<'a> Machine<'a> {
    /// Reads one opcode. Returns false after the last.
    fn step(&mut self) -> Result<bool> {
        let [opcode] = self.array()?;
        match opcode {
            // Structure: PROTO, FRAME, STOP.
            0x80 => {
                let [version] = self.array()?;
                if version > PROTOCOL {
                    return Err(Error::unsupported(format!(
                        "the pickle has protocol {version}, expected at most {PROTOCOL}"
                    )));
                }
            }
            0x95 => drop(self.array::<8>()?),
            b'.' => return Ok(false),
            // Values of no parts.
            b'N' | 0x88 | 0x89 => self.stack.push(OTHER),
            b'G' => {
                self.take(8)?;
                self.stack.push(OTHER);
            }
            b')' => self.stack.push(EMPTY),
            b'J' => {
                let value = i32::from_le_bytes(self.array()?);
                self.push(Value::Integer(value.into()))?;
            }
            b'K' => {
                let [value] = self.array()?;
                self.push(Value::Integer(value.into()))?;
            }
            b'M' => {
                let value = u16::from_le_bytes(self.array()?);
                self.push(Value::Integer(value.into()))?;
            }
            0x8a => self.long()?,
            b'X' => {
                let length = u32::from_le_bytes(self.array()?);
                self.text(length.into())?;
            }
            0x8c => {
                let [length] = self.array()?;
                self.text(length.into())?;
            }
            0x8d => {
                let length = u64::from_le_bytes(self.array()?);
                self.text(length)?;
            }
            // Values of parts.
            b'(' => {
                if self.marks.len() == MAX_MARKS {
                    return Err(Error::unsupported(format!(
                        "the pickle nests values more than {MAX_MARKS} deep"
                    )));
                }
                self.marks.push(self.stack.len());
            }
            b'}' => self.push(Value::Dict(Vec::new()))?,
            b']' => self.push(Value::List(Vec::new()))?,
            b't' => {
                let parts = self.pop_to_mark()?;
                self.push(Value::Tuple(parts))?;
            }
            0x85..=0x87 => {
                let count = usize::from(opcode - 0x84);
                let parts = self.pop_parts(count)?;
                self.push(Value::Tuple(parts))?;
            }
            b'a' => {
                let part = self.pop()?;
                self.append(vec![part])?;
            }
            b'e' => {
                let parts = self.pop_to_mark()?;
                self.append(parts)?;
            }
            b's' => {
                let parts = self.pop_parts(2)?;
                self.insert(&parts)?;
            }
            b'u' => {
                let parts = self.pop_to_mark()?;
                self.insert(&parts)?;
            }
            // The memo.
            b'q' => {
                let [key] = self.array()?;
                self.remember(key.into())?;
            }
            b'r' => {
                let key = u32::from_le_bytes(self.array()?);
                self.remember(key)?;
            }
            0x94 => self.remember(self.memo.len() as u32)?,
            b'h' => {
                let [key] = self.array()?;
                self.recall(key.into())?;
            }
            b'j' => {
                let key = u32::from_le_bytes(self.array()?);
                self.recall(key)?;
            }
            // Names, and the values that are made by calling them.
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(module, name)?;
            }
            0x93 => {
                let parts = self.pop_parts(2)?;
                let [module, name] = [0, 1].map(|part| self.text_of(parts[part]));
                self.global(module?, name?)?;
            }
            b'Q' => {
                let id = self.pop()?;
                let storage = self.storage(id)?;
                self.push(Value::Storage(storage))?;
            }
            b'R' | 0x81 => self.reduce()?,
            b'b' => {
                // The attributes of a state dict, such as the versions of its modules, do not concern the tensors.
                self.pop()?;
                let id = self.top()?;
                if !matches!(self.value(id), Value::Dict(_)) {
                    return Err(self.unsupported("sets attributes of something that is no dict"));
                }
            }
            opcode => {
                let what = format!("has the opcode {opcode:#04x}, which state dicts do not have");
                return Err(self.unsupported(&what));
            }
        }
        Ok(true)
    }

    /// Returns the error for a pickle that is not supported at the current position.
    fn unsupported(&self, what: &str) -> Error {
        Error::unsupported(format!(
            "the pickle {what}, at byte {}: expected a state dict of tensors",
            self.at.saturating_sub(1)
        ))
    }

    fn damaged(&self, what: &str) -> Error {
        Error::invalid_weights(format!("the pickle {what}, at byte {}", self.at))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(length);
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or_else(|| self.damaged("ends before what it announces"))?;
        self.at += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let bytes = self.take(N)?.first_chunk();
        bytes
            .copied()
            .ok_or_else(|| Error::internal("a slice has another length than was asked for"))
    }

    fn line(&mut self) -> Result<&'a str> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|byte| *byte == b'\n');
        let length = length.ok_or_else(|| self.damaged("ends within a name"))?;
        let line = self.take(length + 1)?;
        let line = std::str::from_utf8(&line[..length]);
        line.map_err(|_| self.damaged("has a name that is not UTF-8"))
    }

    fn text(&mut self, length: u64) -> Result<()> {
        let text = self.take(usize::try_from(length).unwrap_or(usize::MAX))?;
        let text = std::str::from_utf8(text);
        let text = text.map_err(|_| self.damaged("has a text that is not UTF-8"))?;
        self.push(Value::Text(text))
    }

    /// A number of any length, of which those of eight bytes and less are read.
    fn long(&mut self) -> Result<()> {
        let [length] = self.array()?;
        let bytes = self.take(length.into())?;
        let Some(padding) = 8usize.checked_sub(bytes.len()) else {
            self.stack.push(OTHER);
            return Ok(());
        };
        let sign = match bytes.last() {
            Some(last) if last & 0x80 > 0 => 0xff,
            _ => 0,
        };
        let mut eight = [sign; 8];
        eight[..8 - padding].copy_from_slice(bytes);
        self.push(Value::Integer(i64::from_le_bytes(eight)))
    }

    fn value(&self, id: Id) -> &Value<'a> {
        self.values.get(id as usize).unwrap_or(&Value::Other)
    }

    fn text_of(&self, id: Id) -> Result<&'a str> {
        match self.value(id) {
            Value::Text(text) => Ok(text),
            _ => Err(self.damaged("has a name that is no text")),
        }
    }

    fn push(&mut self, value: Value<'a>) -> Result<()> {
        // A tensor takes about 15 values and 70 bytes.
        self.check_count(self.values.len(), "values")?;
        self.stack.push(self.values.len() as Id);
        self.values.push(value);
        Ok(())
    }

    fn check_count(&self, count: usize, what: &str) -> Result<()> {
        let limit = self.bytes.len() / 2 + 64;
        match count < limit {
            true => Ok(()),
            false => Err(self.unsupported(&format!("has more than {limit} {what}"))),
        }
    }

    /// The number of values on the stack below the last mark.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn pop(&mut self) -> Result<Id> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn top(&self) -> Result<Id> {
        let above = self.stack.get(self.floor()..);
        let top = above.and_then(<[Id]>::last).copied();
        top.ok_or_else(|| self.damaged("takes a value where there is none"))
    }

    fn pop_parts(&mut self, count: usize) -> Result<Vec<Id>> {
        let start = self.stack.len().checked_sub(count);
        let start = start.filter(|start| *start >= self.floor());
        let start = start.ok_or_else(|| self.damaged("takes a value where there is none"))?;
        Ok(self.stack.split_off(start))
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>> {
        let mark = self.marks.pop();
        let mark = mark.ok_or_else(|| self.damaged("takes values up to a mark that is not set"))?;
        Ok(self.stack.split_off(mark))
    }

    fn append(&mut self, parts: Vec<Id>) -> Result<()> {
        let id = self.top()?;
        match self.values.get_mut(id as usize) {
            Some(Value::List(list)) => {
                list.extend(parts);
                Ok(())
            }
            _ => Err(self.damaged("appends to something that is no list")),
        }
    }

    fn insert(&mut self, parts: &[Id]) -> Result<()> {
        let id = self.top()?;
        let (pairs, rest) = parts.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(self.damaged("has a key without a value"));
        }
        match self.values.get_mut(id as usize) {
            Some(Value::Dict(dict)) => {
                dict.extend(pairs.iter().map(|[key, value]| (*key, *value)));
                Ok(())
            }
            _ => Err(self.damaged("sets a key of something that is no dict")),
        }
    }

    fn remember(&mut self, key: u32) -> Result<()> {
        let top = self.top()?;
        self.check_count(self.memo.len(), "values in its memo")?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, key: u32) -> Result<()> {
        let Some(id) = self.memo.get(&key) else {
            let what = format!("takes value {key} of its memo, which is not set");
            return Err(self.damaged(&what));
        };
        self.stack.push(*id);
        Ok(())
    }

    fn global(&mut self, module: &str, name: &str) -> Result<()> {
        let global = Global::from_name(module, name).ok_or_else(|| {
            Error::unsupported(format!(
                "the pickle asks for '{}.{}', which is none of the names that a state dict needs, so it was not read on and nothing of it \
                 was run; save the model again with save_pretrained(safe_serialization=True)",
                shortened(module),
                shortened(name)
            ))
        })?;
        self.push(Value::Global(global))
    }

    /// The storage of a persistent id: `('storage', type, key, location, elements)`.
    fn storage(&self, id: Id) -> Result<Storage<'a>> {
        let parts = match self.value(id) {
            Value::Tuple(parts) => parts.as_slice(),
            _ => &[],
        };
        let [kind, element, key, _, elements] = parts else {
            return Err(self.damaged("has a persistent id that is not that of a storage"));
        };
        match [kind, element, key, elements].map(|id| self.value(*id)) {
            [
                Value::Text("storage"),
                Value::Global(Global::Storage(element)),
                Value::Text(key),
                Value::Integer(elements),
            ] if *elements >= 0 => Ok(Storage {
                element: *element,
                key,
                elements: elements.cast_unsigned(),
            }),
            _ => Err(self.damaged("has a persistent id that is not that of a storage")),
        }
    }

    /// Replaces a name and its arguments on the stack by the value that a call of the name would return.
    fn reduce(&mut self) -> Result<()> {
        let parts = self.pop_parts(2)?;
        let (name, arguments) = (parts[0], parts[1]);
        let Value::Global(name) = *self.value(name) else {
            return Err(self.unsupported("calls something that is no name"));
        };
        let Value::Tuple(parts) = self.value(arguments) else {
            return Err(self.damaged("calls a name without a tuple of arguments"));
        };
        let first = parts.first().copied();
        match (name, first) {
            (Global::OrderedDict, None) => self.push(Value::Dict(Vec::new())),
            (Global::Tensor, Some(_)) => self.push(Value::Tensor(arguments)),
            (Global::Size, Some(first)) if matches!(self.value(first), Value::Tuple(_)) => {
                self.stack.push(first);
                Ok(())
            }
            (Global::Parameter, Some(first)) if matches!(self.value(first), Value::Tensor(_)) => {
                self.stack.push(first);
                Ok(())
            }
            _ => Err(self.unsupported("calls a name with other arguments than torch.save writes")),
        }
    }
}
