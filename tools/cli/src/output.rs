//! What goes to standard output: lines for people, or JSON lines whose keys keep their order.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{BufWriter, IsTerminal, Stdout, Write};

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::failure::{Failure, Result};

/// A JSON value; objects keep the order in which they were built.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(untagged)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Unsigned(u64),
    Text(String),
    List(Vec<Json>),
    Object(Object),
}

/// A JSON object.
#[derive(Clone, Debug, Default)]
pub(crate) struct Object(Vec<(Cow<'static, str>, Json)>);

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl Object {
    pub(crate) fn new() -> Object {
        Object::default()
    }

    pub(crate) fn with(mut self, key: &'static str, value: impl Into<Json>) -> Object {
        self.set(key, value);
        self
    }

    pub(crate) fn set(&mut self, key: impl Into<Cow<'static, str>>, value: impl Into<Json>) {
        self.0.push((key.into(), value.into()));
    }

    /// Raw bytes that are mostly text: `key` as text, and `key_bytes` in hex where the text is not all of it.
    pub(crate) fn set_bytes(&mut self, key: &'static str, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let exact = matches!(text, Cow::Borrowed(_));
        self.set(key, text.into_owned());
        if !exact {
            self.set(format!("{key}_bytes"), hex(bytes));
        }
    }

    pub(crate) fn with_bytes(mut self, key: &'static str, bytes: &[u8]) -> Object {
        self.set_bytes(key, bytes);
        self
    }

    /// As it is, less what `set_bytes` set under `key`.
    pub(crate) fn without(mut self, key: &str) -> Object {
        self.0.retain(|(name, _)| name.strip_suffix("_bytes").unwrap_or(name) != key);
        self
    }

    pub(crate) fn extend(&mut self, other: Object) {
        self.0.extend(other.0);
    }
}

impl From<Object> for Json {
    fn from(value: Object) -> Json {
        Json::Object(value)
    }
}

impl From<bool> for Json {
    fn from(value: bool) -> Json {
        Json::Bool(value)
    }
}

impl From<u64> for Json {
    fn from(value: u64) -> Json {
        Json::Unsigned(value)
    }
}

impl From<u32> for Json {
    fn from(value: u32) -> Json {
        Json::Unsigned(value.into())
    }
}

impl From<String> for Json {
    fn from(value: String) -> Json {
        Json::Text(value)
    }
}

impl From<&str> for Json {
    fn from(value: &str) -> Json {
        Json::Text(value.into())
    }
}

impl<T: Into<Json>> From<Vec<T>> for Json {
    fn from(values: Vec<T>) -> Json {
        Json::List(values.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Json>> From<Option<T>> for Json {
    fn from(value: Option<T>) -> Json {
        value.map_or(Json::Null, Into::into)
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A name or path on one line: control characters and what is not UTF-8 as `\xNN`.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for part in bytes.utf8_chunks() {
        for character in part.valid().chars() {
            if character.is_control() {
                text.extend(character.to_string().bytes().map(|byte| format!("\\x{byte:02x}")));
            } else {
                text.push(character);
            }
        }
        text.extend(part.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    text
}

/// Standard output.
#[derive(Debug)]
pub(crate) struct Out {
    pub(crate) json: bool,
    /// People are told on standard error what is worth knowing.
    pub(crate) notes: bool,
    terminal: bool,
    writer: BufWriter<Stdout>,
}

impl Out {
    pub(crate) fn new(json: bool) -> Out {
        let stdout = std::io::stdout();
        Out { json, notes: false, terminal: stdout.is_terminal(), writer: BufWriter::new(stdout) }
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.writer.write_all(bytes).map_err(Failure::Output)
    }

    /// A line for people.
    pub(crate) fn line(&mut self, line: impl Display) -> Result<()> {
        writeln!(self.writer, "{line}").map_err(Failure::Output)
    }

    /// A line that ends in a name: as it is for a pipe, made harmless for a terminal.
    pub(crate) fn named_line(&mut self, before: impl Display, name: &[u8], after: impl Display) -> Result<()> {
        let name = self.name(name);
        let write = |writer: &mut BufWriter<Stdout>| {
            write!(writer, "{before}")?;
            writer.write_all(&name)?;
            writeln!(writer, "{after}")
        };
        write(&mut self.writer).map_err(Failure::Output)
    }

    /// A name as it is for a pipe, made harmless for a terminal.
    pub(crate) fn name<'n>(&self, name: &'n [u8]) -> Cow<'n, [u8]> {
        if self.terminal { shown(name).into_bytes().into() } else { name.into() }
    }

    /// A JSON line.
    pub(crate) fn object(&mut self, object: &Object) -> Result<()> {
        let line = serde_json::to_string(object).expect("keys are strings");
        self.line(line)
    }

    pub(crate) fn flush(&mut self) -> Result<()> {
        self.writer.flush().map_err(Failure::Output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_their_order_and_raw_names_come_with_their_bytes() {
        let object = Object::new().with("z", 1u64).with_bytes("name", b"a\xff").with_bytes("plain", b"b");
        let line = serde_json::to_string(&object).unwrap();
        assert_eq!(line, "{\"z\":1,\"name\":\"a\u{fffd}\",\"name_bytes\":\"61ff\",\"plain\":\"b\"}");
    }

    #[test]
    fn a_name_cannot_speak_to_the_terminal() {
        assert_eq!(shown(b"a\x1b[2Jb\n\xff\xc3\xa9"), "a\\x1b[2Jb\\x0a\\xff\u{e9}");
    }
}
