//! `edit`.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nexus_engine::Edit;
use nexus_engine::limits::EDIT_BYTES_MAX;
use nexus_log::env::{RealDisk, read_file};

use super::changed;
use crate::args::{EditArgs, options};
use crate::failure::{About, Failure, Result};
use crate::session::Session;

pub(super) fn edit(args: &EditArgs, session: &mut Session) -> Result<()> {
    if args.find.len() != args.replace.len() {
        let message = format!("{} --find and {} --replace; they come in pairs", args.find.len(), args.replace.len());
        return Err(Failure::Usage(message));
    }
    let (find, replace) = (all_typed(&args.find)?, all_typed(&args.replace)?);
    let edits: Vec<Edit<'_>> =
        find.iter().zip(&replace).map(|(find, replace)| Edit { find, replace, all: args.all }).collect();
    let zone = session.zone(&args.path)?;
    let options = options(args.expect.expect(), 1)?;
    let done = zone.edit(&session.caller, &args.path.path[..], &edits, options).about(&args.path)?;
    changed(&mut session.out, &args.path, done.reply, &done)
}

fn all_typed(texts: &[OsString]) -> Result<Vec<Cow<'_, [u8]>>> {
    texts.iter().map(|text| typed(text)).collect()
}

/// A text as typed: itself, or the bytes of the file that `@` names.
fn typed(text: &OsStr) -> Result<Cow<'_, [u8]>> {
    let bytes = text.as_bytes();
    let Some(rest) = bytes.strip_prefix(b"@") else { return Ok(bytes.into()) };
    if rest.starts_with(b"@") {
        return Ok(rest.into());
    }
    let path = Path::new(OsStr::from_bytes(rest));
    let failed = |source| Failure::Input { what: path.display().to_string().into(), source };
    let read = read_file(&RealDisk, path, EDIT_BYTES_MAX).map_err(failed)?;
    read.map(Cow::Owned).ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_itself_or_a_file() {
        let of = |text: &str| typed(OsStr::new(text)).unwrap().into_owned();
        assert_eq!((of("a@b"), of("@@a"), of("")), (b"a@b".to_vec(), b"@a".to_vec(), Vec::new()));
        assert!(of(concat!("@", env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).starts_with(b"[package]"));
        assert!(typed(OsStr::new("@/no/such/file")).is_err());
    }
}
