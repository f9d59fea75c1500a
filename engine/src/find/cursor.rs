//! Where a walk goes on: the names from the walk's base to the entry that was looked at last.
//!
//! | offset | size | what                                  |
//! |--------|------|---------------------------------------|
//! | 0      | 1    | format, 1                             |
//! | 1      | rest | the names, `/` between them           |

use nexus_log::event::Reason;

use crate::error::{Error, Result};
use crate::limits::CURSOR_BYTES_MAX;
use crate::path::check_name;

const FORMAT: u8 = 1;

/// The end of a page, to go on from: in the same view or a later one, with the same base and options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(Vec<u8>);

impl Cursor {
    pub(super) fn of_path(path: &[u8]) -> Cursor {
        let mut bytes = Vec::with_capacity(1 + path.len());
        bytes.push(FORMAT);
        bytes.extend_from_slice(path);
        Cursor(bytes)
    }

    /// A cursor as it was given out.
    pub fn from_bytes(bytes: &[u8]) -> Result<Cursor> {
        let refuse = |what: &str| Err(Error::new(Reason::Invalid, format!("this is no cursor: {what}")));
        if bytes.len() > CURSOR_BYTES_MAX {
            return refuse("it is too long");
        }
        let Some((&FORMAT, path)) = bytes.split_first() else { return refuse("its format is unknown") };
        if path.split(|byte| *byte == b'/').any(|name| check_name(name).is_err()) {
            return refuse("it holds what cannot be a name");
        }
        Ok(Cursor(bytes.to_vec()))
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.0[1..].split(|byte| *byte == b'/')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_given_out_is_a_cursor() {
        let cursor = Cursor::of_path(b"a/\xff\n/c");
        assert_eq!(Cursor::from_bytes(cursor.as_bytes()).unwrap(), cursor);
        assert_eq!(cursor.names().collect::<Vec<_>>(), [&b"a"[..], b"\xff\n", b"c"]);
        for bytes in [&b""[..], b"\x01", b"\x02a", b"\x01/a", b"\x01a//b", b"\x01a/../b", b"\x01a\0"] {
            assert_eq!(Cursor::from_bytes(bytes).unwrap_err().kind, Reason::Invalid, "{bytes:?}");
        }
        let long = [b"\x01".as_slice(), &b"a/".repeat(CURSOR_BYTES_MAX / 2), b"a"].concat();
        assert_eq!(Cursor::from_bytes(&long).unwrap_err().kind, Reason::Invalid);
    }
}
