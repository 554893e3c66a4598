//! Arrays by name, from a file of safetensors.
//!
//! They are read one by one: memory that the file as a whole would take for a while is not candle's.

use candle_core::{Device, Tensor};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::error::Error;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};

/// Tensors by name.
pub type Tensors = HashMap<String, Tensor>;

/// The tensor called `name`.
pub fn get<'a>(tensors: &'a Tensors, name: &str) -> candle_core::Result<&'a Tensor> {
    let found = tensors.get(name);
    found.ok_or_else(|| candle_core::Error::Msg(format!("the file has no {name}")))
}

/// The arrays of a group (`given` or `result`) of the file at `path`.
pub fn read(path: &str, group: &str) -> Result<Tensors, Box<dyn Error>> {
    let mut file = BufReader::new(File::open(path)?);
    let length = u64::from_le_bytes(bytes(&mut file)?);
    let mut header = vec![0; usize::try_from(length)?];
    file.read_exact(&mut header)?;
    let entries: Map<String, Value> = serde_json::from_slice(&header)?;
    let mut tensors = Tensors::new();
    for (name, entry) in &entries {
        let Some(name) = name.strip_prefix(group).and_then(|n| n.strip_prefix('.')) else {
            continue;
        };
        let begin = entry["data_offsets"][0].as_u64();
        let begin = begin.ok_or_else(|| format!("{name} has no place in the file"))?;
        file.seek(SeekFrom::Start(8 + length + begin))?;
        tensors.insert(name.to_string(), array(&mut file, entry)?);
    }
    Ok(tensors)
}

/// The array that `entry` tells of, where `file` stands.
fn array(file: &mut impl Read, entry: &Value) -> Result<Tensor, Box<dyn Error>> {
    let shape: Vec<usize> = serde_json::from_value(entry["shape"].clone())?;
    let count: usize = shape.iter().product();
    match entry["dtype"].as_str() {
        Some("F32") => {
            let values: std::io::Result<Vec<f32>> = (0..count)
                .map(|_| Ok(f32::from_le_bytes(bytes(file)?)))
                .collect();
            Ok(Tensor::from_vec(values?, shape, &Device::Cpu)?)
        }
        Some("I64") => {
            let values: std::io::Result<Vec<i64>> = (0..count)
                .map(|_| Ok(i64::from_le_bytes(bytes(file)?)))
                .collect();
            Ok(Tensor::from_vec(values?, shape, &Device::Cpu)?)
        }
        other => Err(format!("arrays of {other:?} are not read").into()),
    }
}

fn bytes<const N: usize>(file: &mut impl Read) -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}
