//! `xattr`.

use std::os::unix::ffi::OsStrExt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nexus_engine::{Durability, XattrMode};

use super::{changed_with, path_object};
use crate::args::{XattrGetArgs, XattrLsArgs, XattrRmArgs, XattrSetArgs, XattrVerb};
use crate::failure::{About, Failure, Result};
use crate::names::ZonePath;
use crate::output::{Object, hex, shown};
use crate::session::Session;

pub(super) fn xattr(verb: &XattrVerb, session: &mut Session) -> Result<()> {
    match verb {
        XattrVerb::Get(args) => get(args, session),
        XattrVerb::Set(args) => set(args, session),
        XattrVerb::Rm(args) => rm(args, session),
        XattrVerb::Ls(args) => ls(args, session),
    }
}

/// A value as typed: text, or `0x` and hex, or `0s` and base64.
fn typed(text: &[u8]) -> Option<Vec<u8>> {
    match text {
        [b'0', b'x' | b'X', digits @ ..] => {
            let digit = |byte: &u8| char::from(*byte).to_digit(16).map(|digit| digit as u8);
            let digits = digits.iter().map(digit).collect::<Option<Vec<u8>>>()?;
            let bytes = digits.chunks(2).map(|pair| Some(pair[0] << 4 | pair.get(1)?));
            bytes.collect()
        }
        [b'0', b's' | b'S', encoded @ ..] => STANDARD.decode(encoded).ok(),
        text => Some(text.to_vec()),
    }
}

/// A value so that [`typed`] gives it back: as text where it is some that can be shown.
fn encoded(value: &[u8], as_hex: bool) -> String {
    let escape = matches!(value, [b'0', b'x' | b'X' | b's' | b'S', ..]);
    match std::str::from_utf8(value) {
        _ if as_hex => format!("0x{}", hex(value)),
        Ok(text) if !escape && !text.chars().any(char::is_control) => text.to_owned(),
        _ => format!("0s{}", STANDARD.encode(value)),
    }
}

fn attribute(path: &ZonePath, name: &[u8], value: &[u8]) -> Object {
    path_object(path).with_bytes("name", name).with_bytes("value", value)
}

fn get(args: &XattrGetArgs, session: &mut Session) -> Result<()> {
    let view = session.view(&args.path, &args.at)?;
    let name = args.name.as_bytes();
    let value = view.get_xattr(&session.caller, &args.path.path[..], name).about(&args.path)?;
    if session.out.json {
        return session.out.object(&attribute(&args.path, name, &value));
    }
    session.out.line(encoded(&value, args.hex))
}

fn ls(args: &XattrLsArgs, session: &mut Session) -> Result<()> {
    let view = session.view(&args.path, &args.at)?;
    for (name, value) in view.list_xattrs(&session.caller, &args.path.path[..]).about(&args.path)? {
        if session.out.json {
            session.out.object(&attribute(&args.path, &name, &value))?;
        } else if args.long || args.hex {
            session.out.line(format_args!("{}={}", shown(&name), encoded(&value, args.hex)))?;
        } else {
            session.out.named_line("", &name, "")?;
        }
    }
    Ok(())
}

fn set(args: &XattrSetArgs, session: &mut Session) -> Result<()> {
    let expected = || Failure::Usage("the value is neither 0x and pairs of hex digits nor 0s and base64".into());
    let value = typed(args.value.as_bytes()).ok_or_else(expected)?;
    let (path, name) = (&args.path.path[..], args.name.as_bytes());
    let zone = session.zone(&args.path)?;
    let done = zone.set_xattr(&session.caller, path, name, &value, XattrMode::Either, Durability::Durable);
    let done = done.about(&args.path)?;
    changed_with(&mut session.out, &args.path, done.reply, &done, Object::new().with_bytes("name", name))
}

fn rm(args: &XattrRmArgs, session: &mut Session) -> Result<()> {
    let (path, name) = (&args.path.path[..], args.name.as_bytes());
    let zone = session.zone(&args.path)?;
    let done = zone.remove_xattr(&session.caller, path, name, Durability::Durable).about(&args.path)?;
    changed_with(&mut session.out, &args.path, done.reply, &done, Object::new().with_bytes("name", name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_shown_can_be_typed_back() {
        for value in [&b""[..], b"text", b"0x", b"0sabc", b"0", b"\x00\x01", b"\xff", "\u{e9}".as_bytes(), b"a\nb"] {
            assert_eq!(typed(encoded(value, false).as_bytes()).as_deref(), Some(value), "{value:?}");
            assert_eq!(typed(encoded(value, true).as_bytes()).as_deref(), Some(value), "{value:?}");
        }
        assert_eq!((encoded(b"text", false), encoded(b"a\n", true)), ("text".into(), "0x610a".into()));
        for text in [&b"0x1"[..], b"0xzz", b"0s=", b"0x+1"] {
            assert_eq!(typed(text), None, "{text:?}");
        }
    }
}
