//! The keys of one line, taken one by one; whatever is left over, or has another type, is an error that names the key.

use jiff::Timestamp;
use nexus_engine::{Error, Result};
use nexus_log::event::Reason;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::base64;
use crate::mode;
use crate::names::ZonePath;

/// A JSON object as it is written: a key that is there twice is not hidden.
struct Fields(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Fields, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> std::result::Result<Fields, M::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

pub(super) struct Keys {
    fields: Vec<(String, Value)>,
    /// All that were asked for: those that the operation takes.
    known: Vec<&'static str>,
}

pub(super) fn invalid(message: impl Into<String>) -> Error {
    Error::new(Reason::Invalid, message)
}

fn of_type(key: &str, expected: &str, found: &Value) -> Error {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    invalid(format!("the key {key:?} is {found}; expected {expected}"))
}

impl Keys {
    pub(super) fn parse(line: &[u8]) -> Result<Keys> {
        if line.trim_ascii().is_empty() {
            return Err(invalid("the line is empty; expected a JSON object"));
        }
        let Fields(fields) = serde_json::from_slice(line).map_err(|error| {
            // The position that it tells counts lines, of which this is one.
            let text = error.to_string();
            let what = text.split(" at line ").next().unwrap_or(&text);
            invalid(format!("the line is not a JSON object: {what} (column {})", error.column()))
        })?;
        for (index, (key, _)) in fields.iter().enumerate() {
            if fields[..index].iter().any(|(other, _)| other == key) {
                return Err(invalid(format!("the key {key:?} is there twice")));
            }
        }
        Ok(Keys { fields, known: Vec::new() })
    }

    /// Nothing may be left.
    pub(super) fn finish(self, op: &str) -> Result<()> {
        match self.fields.first() {
            None => Ok(()),
            Some((key, _)) => Err(invalid(format!("{op} has no key {key:?}; it takes {}", self.known.join(", ")))),
        }
    }

    fn take(&mut self, key: &'static str) -> Option<Value> {
        self.known.push(key);
        let at = self.fields.iter().position(|(name, _)| name == key)?;
        Some(self.fields.remove(at).1)
    }

    /// Takes a value that `read` understands.
    fn typed<T>(&mut self, key: &'static str, expected: &str, read: impl Fn(&Value) -> Option<T>) -> Result<Option<T>> {
        let Some(value) = self.take(key) else { return Ok(None) };
        read(&value).map(Some).ok_or_else(|| match &value {
            // It has the type, and something else is wrong.
            Value::String(text) if !expected.starts_with("a whole") && !expected.starts_with("true") => {
                invalid(format!("the key {key:?} is {:?}; expected {expected}", shortened(text)))
            }
            value => of_type(key, expected, value),
        })
    }

    pub(super) fn text(&mut self, key: &'static str) -> Result<Option<String>> {
        self.typed(key, "a text", |value| value.as_str().map(str::to_owned))
    }

    pub(super) fn flag(&mut self, key: &'static str, default: bool) -> Result<bool> {
        Ok(self.typed(key, "true or false", Value::as_bool)?.unwrap_or(default))
    }

    pub(super) fn number(&mut self, key: &'static str) -> Result<Option<u64>> {
        self.typed(key, "a whole number", Value::as_u64)
    }

    pub(super) fn small_number(&mut self, key: &'static str) -> Result<Option<u32>> {
        let small = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
        self.typed(key, "a whole number below 2^32", small)
    }

    /// Permission bits: a number, as `stat` prints them, or a text of octal digits.
    pub(super) fn mode(&mut self) -> Result<Option<u32>> {
        let read = |value: &Value| match value {
            Value::String(text) => mode::octal(text).ok(),
            value => value.as_u64().and_then(|bits| u32::try_from(bits).ok()).filter(|bits| *bits <= 0o7777),
        };
        self.typed("mode", "permission bits: a number up to 4095, or octal in a text such as \"644\"", read)
    }

    /// A file's time, as it is printed.
    pub(super) fn time(&mut self, key: &'static str) -> Result<Option<i64>> {
        let read = |value: &Value| {
            let time: Timestamp = value.as_str()?.parse().ok()?;
            i64::try_from(time.as_nanosecond()).ok()
        };
        self.typed(key, "a time such as \"2026-03-04T05:06:07Z\", within 292 years of 1970", read)
    }

    /// One of some words.
    pub(super) fn word<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> Result<Option<T>> {
        let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
        let read = |value: &Value| words.iter().find(|(name, _)| Some(*name) == value.as_str()).map(|(_, word)| *word);
        self.typed(key, &format!("one of {}", names.join(", ")), read)
    }

    /// Raw bytes: text under `key`, or hex under `in_hex`, as output has them.
    pub(super) fn raw(&mut self, key: &'static str, in_hex: &'static str) -> Result<Option<Vec<u8>>> {
        let text = self.text(key)?.map(String::into_bytes);
        let bytes = self.typed(in_hex, "bytes in hex", |value| unhex(value.as_str()?))?;
        // The text of output that comes with its bytes only shows them.
        Ok(bytes.or(text))
    }

    /// Content: text under `key`, or base64 under `in_base64`.
    pub(super) fn content(&mut self, key: &'static str, in_base64: &'static str) -> Result<Vec<u8>> {
        let text = self.text(key)?.map(String::into_bytes);
        let bytes = self.typed(in_base64, "base64 (RFC 4648, padded)", |value| base64::decode(value.as_str()?))?;
        match (text, bytes) {
            (Some(_), Some(_)) => Err(invalid(format!("give {key:?} or {in_base64:?}, not both"))),
            (None, None) => Err(missing(&format!("{key:?} or {in_base64:?}"))),
            (Some(bytes), None) | (None, Some(bytes)) => Ok(bytes),
        }
    }

    /// A path, of whatever zone.
    pub(super) fn path(&mut self, key: &'static str, in_hex: &'static str) -> Result<ZonePath> {
        use std::os::unix::ffi::OsStringExt;
        let bytes = self.raw(key, in_hex)?.ok_or_else(|| missing(&format!("{key:?}")))?;
        ZonePath::parse(&std::ffi::OsString::from_vec(bytes))
            .map_err(|message| invalid(format!("the key {key:?}: {message}")))
    }
}

pub(super) fn missing(key: &str) -> Error {
    invalid(format!("the key {key} is missing"))
}

pub(super) fn required<T>(value: Option<T>, key: &str) -> Result<T> {
    value.ok_or_else(|| missing(&format!("{key:?}")))
}

/// The beginning of a text, for messages.
fn shortened(text: &str) -> &str {
    const SHOWN_CHARACTERS_MAX: usize = 40;
    text.char_indices().nth(SHOWN_CHARACTERS_MAX).map_or(text, |(end, _)| &text[..end])
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| (byte as char).to_digit(16);
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| Some((digit(*high)? << 4 | digit(*low)?) as u8)).collect()
}
