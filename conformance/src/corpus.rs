//! Reading corpora: JSON files of cases and the safetensors files beside them.

use crate::value::{Array, Value};
use lazulite::DType;
use safetensors::SafeTensors;
use serde_json::{Map, Value as Json};
use std::fs;
use std::path::{Path, PathBuf};

/// Why a corpus cannot be read.
#[derive(Debug)]
pub struct CorpusError(String);

impl CorpusError {
    /// With this message.
    pub fn new(message: impl Into<String>) -> CorpusError {
        CorpusError(message.into())
    }
}

impl std::fmt::Display for CorpusError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CorpusError {}

fn error<T>(message: impl Into<String>) -> Result<T, CorpusError> {
    Err(CorpusError(message.into()))
}

/// A file of text.
pub fn file_text(path: &Path) -> Result<String, CorpusError> {
    fs::read_to_string(path).map_err(|e| CorpusError(format!("{}: {e}", path.display())))
}

/// The cases of one operator.
#[derive(Debug)]
pub struct Suite {
    /// PyTorch's name of the operator.
    pub op: String,
    /// A subset of its arguments, where the corpus splits them.
    pub variant: Option<String>,
    /// How arguments are passed.
    pub call: String,
    /// The parameters as PyTorch documents them.
    pub signature: String,
    /// What to compare where results are not unique.
    pub compare: Option<String>,
    /// The cases in order.
    pub cases: Vec<Case>,
}

/// One call and what comes of it.
#[derive(Debug)]
pub struct Case {
    /// Unique name.
    pub id: String,
    /// Positional arguments.
    pub args: Vec<Value>,
    /// Named arguments.
    pub kwargs: Vec<(String, Value)>,
    /// The module that is called, if it is not an operator.
    pub construction: Option<Construction>,
    /// What must come of it.
    pub expected: Expected,
}

/// How a module is made.
#[derive(Debug)]
pub struct Construction {
    /// Positional arguments of its constructor.
    pub args: Vec<Value>,
    /// Named arguments of its constructor.
    pub kwargs: Vec<(String, Value)>,
    /// Its parameters and buffers, where they are given.
    pub state: Vec<(String, Value)>,
    /// Whether it is in training.
    pub training: bool,
    /// Whether the constructor must fail already, where something must.
    pub fails: bool,
    /// Buffers that the call changes.
    pub buffers_after: Vec<(String, Value)>,
}

impl Case {
    /// Whether gradients are to be compared, too.
    pub fn has_gradients(&self) -> bool {
        match &self.expected {
            Expected::Values(expected) => !expected.gradients.is_empty(),
            Expected::Rejection(_) => false,
        }
    }
}

/// What must come of a call.
#[derive(Debug)]
pub enum Expected {
    /// These values.
    Values(Box<Values>),
    /// An error; this is what PyTorch says.
    Rejection(String),
}

/// Results of a call.
#[derive(Debug)]
pub struct Values {
    /// What the call returns.
    pub outputs: Value,
    /// Arguments that the call changes, by path.
    pub args_after: Vec<(String, Value)>,
    /// One per tensor of the outputs, `None` where no gradient flows from it.
    pub cotangents: Vec<Value>,
    /// Gradients, where some are asked for.
    pub gradients: Vec<Gradient>,
    /// Relative tolerance of outputs.
    pub rtol: f64,
    /// Absolute tolerance of outputs.
    pub atol: f64,
    /// Relative tolerance of gradients.
    pub grad_rtol: f64,
    /// Absolute tolerance of gradients.
    pub grad_atol: f64,
}

/// The gradient of one argument.
#[derive(Debug)]
pub struct Gradient {
    /// Path of the argument.
    pub path: String,
    /// In the argument's type; `None` stands for zeros.
    pub value: Value,
    /// Computed in double precision, where that is comparable.
    pub precise: Value,
}

/// The operator files of a folder, sorted by name.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>, CorpusError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) => return error(format!("{}: {e}", folder.display())),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = match entry {
            Ok(entry) => entry.path(),
            Err(e) => return error(format!("{}: {e}", folder.display())),
        };
        if path.extension().is_some_and(|e| e == "json") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// A file of cases with the tensors beside it, to be read as its kind needs.
pub struct Document {
    json: Json,
    stored: Vec<u8>,
}

impl Document {
    /// Reads both files.
    pub fn read(path: &Path) -> Result<Document, CorpusError> {
        let at = |e: CorpusError| CorpusError(format!("{}: {e}", path.display()));
        let load = |path: &Path| fs::read(path).map_err(|e| CorpusError(e.to_string()));
        let text = load(path).map_err(at)?;
        let json: Json = match serde_json::from_slice(&text) {
            Ok(json) => json,
            Err(e) => return error(format!("{}: {e}", path.display())),
        };
        let stored = match json.get("tensors").and_then(Json::as_str) {
            Some(name) => load(&path.with_file_name(name)).map_err(at)?,
            None => Vec::new(),
        };
        Ok(Document { json, stored })
    }

    /// All of its text.
    pub fn json(&self) -> &Json {
        &self.json
    }

    /// A value within it.
    pub fn value(&self, json: &Json) -> Result<Value, CorpusError> {
        Reader::new(&self.stored)?.value(json)
    }
}

/// Reads one operator's cases.
pub fn read(path: &Path) -> Result<Suite, CorpusError> {
    let document = Document::read(path)?;
    let suite = suite(&document.json, &document.stored);
    suite.map_err(|e| CorpusError(format!("{}: {e}", path.display())))
}

fn suite(json: &Json, stored: &[u8]) -> Result<Suite, CorpusError> {
    let reader = Reader::new(stored)?;
    // Errors of modules and optimizers name their subject otherwise.
    let op = ["op", "module", "optimizer"]
        .iter()
        .find_map(|key| json.get(key)?.as_str())
        .unwrap_or_default();
    let cases = match json.get("cases").and_then(Json::as_array) {
        Some(cases) => cases,
        None => return error("there is no list of cases"),
    };
    Ok(Suite {
        op: op.into(),
        variant: json.get("variant").and_then(Json::as_str).map(Into::into),
        call: text(json, "call"),
        signature: text(json, "signature"),
        compare: json.get("compare").and_then(Json::as_str).map(Into::into),
        cases: cases
            .iter()
            .map(|case| reader.case(case))
            .collect::<Result<_, _>>()?,
    })
}

fn text(json: &Json, key: &str) -> String {
    json.get(key)
        .and_then(Json::as_str)
        .unwrap_or_default()
        .into()
}

fn number(json: &Json, key: &str) -> f64 {
    json.get(key).and_then(Json::as_f64).unwrap_or(0.0)
}

fn list<'a>(json: &'a Json, key: &str) -> &'a [Json] {
    json.get(key)
        .and_then(Json::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The keys that tell objects apart, other than tensors.
const KINDS: [&str; 11] = [
    "tuple",
    "float",
    "complex",
    "dtype",
    "slice",
    "ellipsis",
    "function",
    "module",
    "memory_format",
    "layout",
    "device",
];

struct Reader<'a> {
    tensors: Option<SafeTensors<'a>>,
}

impl<'a> Reader<'a> {
    fn new(stored: &'a [u8]) -> Result<Reader<'a>, CorpusError> {
        let tensors = match stored.is_empty() {
            true => None,
            false => match SafeTensors::deserialize(stored) {
                Ok(tensors) => Some(tensors),
                Err(e) => return error(format!("tensors: {e}")),
            },
        };
        Ok(Reader { tensors })
    }
}

impl Reader<'_> {
    fn case(&self, json: &Json) -> Result<Case, CorpusError> {
        let args = list(json, "args").iter();
        let kwargs = json.get("kwargs").and_then(Json::as_object);
        Ok(Case {
            id: text(json, "id"),
            args: args.map(|v| self.value(v)).collect::<Result<_, _>>()?,
            kwargs: match kwargs {
                Some(kwargs) => self.members(kwargs)?,
                None => Vec::new(),
            },
            construction: match json.get("ctor_args") {
                Some(_) => Some(self.construction(json)?),
                None => None,
            },
            expected: match json.get("outputs") {
                Some(outputs) => Expected::Values(Box::new(self.values(json, outputs)?)),
                None => Expected::Rejection(text(json, "pytorch_message")),
            },
        })
    }

    fn construction(&self, json: &Json) -> Result<Construction, CorpusError> {
        let members = |key: &str| match json.get(key).and_then(Json::as_object) {
            Some(object) => self.members(object),
            None => Ok(Vec::new()),
        };
        let args = list(json, "ctor_args").iter();
        Ok(Construction {
            args: args.map(|v| self.value(v)).collect::<Result<_, _>>()?,
            kwargs: members("ctor_kwargs")?,
            state: members("state_dict")?,
            training: json.get("training").and_then(Json::as_bool).unwrap_or(true),
            fails: text(json, "error_on") == "construction",
            buffers_after: members("buffers_after")?,
        })
    }

    fn values(&self, json: &Json, outputs: &Json) -> Result<Values, CorpusError> {
        let after = list(json, "args_after").iter();
        let cotangents = list(json, "cotangents").iter();
        let gradients = list(json, "grads").iter();
        Ok(Values {
            outputs: self.value(outputs)?,
            args_after: after
                .map(|v| Ok((text(v, "path"), self.value(v)?)))
                .collect::<Result<_, CorpusError>>()?,
            cotangents: cotangents
                .map(|c| self.value(c))
                .collect::<Result<_, _>>()?,
            gradients: gradients
                .map(|g| {
                    Ok(Gradient {
                        path: text(g, "wrt"),
                        value: self.optional(g.get("grad"))?,
                        precise: self.optional(g.get("grad64"))?,
                    })
                })
                .collect::<Result<_, CorpusError>>()?,
            rtol: number(json, "rtol"),
            atol: number(json, "atol"),
            grad_rtol: number(json, "grad_rtol"),
            grad_atol: number(json, "grad_atol"),
        })
    }

    fn optional(&self, json: Option<&Json>) -> Result<Value, CorpusError> {
        json.map_or(Ok(Value::None), |json| self.value(json))
    }

    fn members(&self, object: &Map<String, Json>) -> Result<Vec<(String, Value)>, CorpusError> {
        let members = object.iter();
        members
            .map(|(name, v)| Ok((name.clone(), self.value(v)?)))
            .collect()
    }

    fn items(&self, json: &Json) -> Result<Vec<Value>, CorpusError> {
        let items = json.as_array().map_or(&[][..], Vec::as_slice);
        items.iter().map(|v| self.value(v)).collect()
    }

    fn value(&self, json: &Json) -> Result<Value, CorpusError> {
        Ok(match json {
            Json::Null => Value::None,
            Json::Bool(v) => Value::Bool(*v),
            Json::String(v) => Value::Text(v.clone()),
            Json::Array(_) => Value::List(self.items(json)?),
            Json::Number(v) => match v.as_i64() {
                Some(v) => Value::Int(v),
                // Integers beyond i64 occur in no tensor position.
                None => Value::Float(v.as_f64().unwrap_or(f64::NAN)),
            },
            Json::Object(object) => self.object(json, object)?,
        })
    }

    fn object(&self, json: &Json, object: &Map<String, Json>) -> Result<Value, CorpusError> {
        if object.contains_key("tensor") {
            return self.tensor(json);
        }
        let Some((key, inner)) = KINDS.iter().find_map(|k| Some((*k, object.get(*k)?))) else {
            return Ok(Value::Unknown(format!("the value {json}")));
        };
        Ok(match key {
            "tuple" => Value::Tuple(self.items(inner)?),
            "float" => Value::Float(non_finite(inner)?),
            "complex" => complex(inner)?,
            "dtype" => match inner.as_str().and_then(dtype) {
                Some(dtype) => Value::DType(dtype),
                None => Value::Unknown(format!("the element type {inner}")),
            },
            "slice" => Value::Slice([0, 1, 2].map(|i| inner.get(i).and_then(Json::as_i64))),
            "ellipsis" => Value::Ellipsis,
            "function" => Value::Function(inner.as_str().unwrap_or_default().into()),
            "module" => Value::Module(
                inner.as_str().unwrap_or_default().into(),
                self.items(json.get("args").unwrap_or(&Json::Null))?,
                match json.get("kwargs").and_then(Json::as_object) {
                    Some(kwargs) => self.members(kwargs)?,
                    None => Vec::new(),
                },
            ),
            // What is left changes no values.
            _ => Value::Ignored,
        })
    }

    fn tensor(&self, json: &Json) -> Result<Value, CorpusError> {
        let key = text(json, "tensor");
        let name = text(json, "dtype");
        let Some(dtype) = dtype(&name) else {
            return Ok(Value::Unknown(format!("the element type {name}")));
        };
        let shape = list(json, "shape").iter();
        let dims: Vec<usize> = shape
            .map(|d| d.as_u64().and_then(|d| usize::try_from(d).ok()))
            .collect::<Option<_>>()
            .ok_or_else(|| CorpusError(format!("{key}: sizes are not numbers")))?;
        let stored = match &self.tensors {
            Some(tensors) => match tensors.tensor(&key) {
                Ok(stored) => stored,
                Err(e) => return error(format!("{key}: {e}")),
            },
            None => return error(format!("{key}: there is no tensor file")),
        };
        let bytes = stored.data().to_vec();
        if bytes.len() != dims.iter().product::<usize>() * dtype.size() {
            return error(format!("{key}: {} bytes for {name}{dims:?}", bytes.len()));
        }
        Ok(Value::Array(Array { dtype, dims, bytes }))
    }
}

fn non_finite(json: &Json) -> Result<f64, CorpusError> {
    match json.as_str() {
        Some("nan") => Ok(f64::NAN),
        Some("inf") => Ok(f64::INFINITY),
        Some("-inf") => Ok(f64::NEG_INFINITY),
        _ => json
            .as_f64()
            .ok_or_else(|| CorpusError(format!("{json} is no float"))),
    }
}

fn complex(json: &Json) -> Result<Value, CorpusError> {
    let part = |i: usize| match json.get(i) {
        Some(Json::Object(object)) => object.get("float").map_or(Ok(0.0), non_finite),
        Some(part) => non_finite(part),
        None => error("a complex number has two parts"),
    };
    Ok(Value::Complex(part(0)?, part(1)?))
}

/// The element type that PyTorch calls `name`, if there is one here.
pub fn dtype(name: &str) -> Option<DType> {
    Some(match name {
        "bool" => DType::Bool,
        "uint8" => DType::U8,
        "uint16" => DType::U16,
        "uint32" => DType::U32,
        "uint64" => DType::U64,
        "int8" => DType::I8,
        "int16" => DType::I16,
        "int32" => DType::I32,
        "int64" => DType::I64,
        "float16" => DType::F16,
        "bfloat16" => DType::BF16,
        "float32" => DType::F32,
        "float64" => DType::F64,
        "complex64" => DType::C64,
        "complex128" => DType::C128,
        _ => return None,
    })
}
