//! Paths as typed, users and groups by name, modes.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nexus_engine::ROOT_ZONE;
use nexus_log::env::{RealDisk, read_file};

use crate::output::shown;

/// A path in a zone: `/a/b` in the zone `root`, or `zone:/a/b`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ZonePath {
    pub(crate) zone: String,
    pub(crate) path: Vec<u8>,
}

impl fmt::Display for ZonePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.zone != ROOT_ZONE {
            write!(f, "{}:", self.zone)?;
        }
        f.write_str(&shown(&self.path))
    }
}

impl ZonePath {
    pub(crate) fn parse(text: &OsStr) -> Result<ZonePath, String> {
        let bytes = text.as_bytes();
        if bytes.first() == Some(&b'/') {
            return Ok(ZonePath { zone: ROOT_ZONE.into(), path: bytes.to_vec() });
        }
        let expected = || format!("{:?} is not a path; give /a/b, or zone:/a/b", shown(bytes));
        let colon = bytes.windows(2).position(|pair| pair == b":/").ok_or_else(expected)?;
        let zone = std::str::from_utf8(&bytes[..colon]).map_err(|_| expected())?;
        if zone.is_empty() || zone.contains('/') {
            return Err(expected());
        }
        Ok(ZonePath { zone: zone.into(), path: bytes[colon + 1..].to_vec() })
    }

    /// The same zone's `path`.
    pub(crate) fn sibling(&self, path: Vec<u8>) -> ZonePath {
        ZonePath { zone: self.zone.clone(), path }
    }

    /// A name below this path.
    pub(crate) fn join(&self, name: &[u8]) -> ZonePath {
        let mut path = self.path.clone();
        if path.last() != Some(&b'/') {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        self.sibling(path)
    }

    /// The last name of the path; `None` of the root.
    pub(crate) fn last_name(&self) -> Option<&[u8]> {
        self.path.split(|byte| *byte == b'/').rfind(|name| !name.is_empty())
    }

    /// Every directory from below the root to this path itself, outermost first.
    pub(crate) fn ancestors(&self) -> Vec<ZonePath> {
        let mut whole = Vec::new();
        let mut paths = Vec::new();
        for name in self.path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            whole.push(b'/');
            whole.extend_from_slice(name);
            paths.push(self.sibling(whole.clone()));
        }
        paths
    }
}

/// For clap: a path as an argument.
#[derive(Clone)]
pub(crate) struct ZonePathParser;

impl clap::builder::TypedValueParser for ZonePathParser {
    type Value = ZonePath;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<ZonePath, clap::Error> {
        let argument = argument.map_or_else(String::new, |argument| format!(" for {argument}"));
        ZonePath::parse(value).map_err(|message| {
            let message = format!("invalid value{argument}: {message}\n");
            clap::Error::raw(clap::error::ErrorKind::ValueValidation, message).with_cmd(command)
        })
    }
}

impl clap::builder::ValueParserFactory for ZonePath {
    type Parser = ZonePathParser;

    fn value_parser() -> ZonePathParser {
        ZonePathParser
    }
}

/// The numeric field of the line of /etc/passwd or /etc/group whose field `key` is `value`, and its name.
fn lookup(file: &str, key: usize, value: &str) -> Option<(String, u32)> {
    /// More users than this are not kept in a file.
    const FILE_BYTES_MAX: usize = 16 << 20;
    let bytes = read_file(&RealDisk, Path::new(file), FILE_BYTES_MAX).ok().flatten()?;
    String::from_utf8_lossy(&bytes).lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        (fields.get(key) == Some(&value)).then_some(())?;
        Some((fields[0].to_owned(), fields.get(2)?.parse().ok()?))
    })
}

/// Name of a user of this machine; the number where it has none.
pub(crate) fn user_name(uid: u32) -> String {
    lookup("/etc/passwd", 2, &uid.to_string()).map_or_else(|| uid.to_string(), |(name, _)| name)
}

/// An owner as typed: `USER`, `USER:GROUP`, `USER:` or `:GROUP`, each a number or a name of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
}

impl std::str::FromStr for Owner {
    type Err = String;

    fn from_str(text: &str) -> Result<Owner, String> {
        let (user, group) = text.split_once(':').unwrap_or((text, ""));
        if user.is_empty() && group.is_empty() {
            return Err("expected UID, UID:GID or :GID, numbers or names".into());
        }
        let id = |text: &str, file, what| {
            if text.is_empty() {
                return Ok(None);
            }
            let id = text.parse().ok().or_else(|| lookup(file, 0, text).map(|(_, id)| id));
            id.map(Some).ok_or_else(|| format!("this machine has no {what} {text:?}; give its number"))
        };
        Ok(Owner { uid: id(user, "/etc/passwd", "user")?, gid: id(group, "/etc/group", "group")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_its_zone_or_means_root() {
        let parsed = |text: &str| ZonePath::parse(OsStr::new(text)).map(|path| path.to_string());
        assert_eq!(parsed("/a:/b"), Ok("/a:/b".into()));
        assert_eq!(parsed("work:/a"), Ok("work:/a".into()));
        assert_eq!(parsed("root:/a"), Ok("/a".into()));
        for text in ["", "a", "a/b:/c", ":/a", "work:a"] {
            assert!(parsed(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn names_are_joined_and_taken_apart() {
        let path = ZonePath::parse(OsStr::new("/a//b/")).unwrap();
        assert_eq!(path.last_name(), Some(&b"b"[..]));
        let ancestors: Vec<String> = path.ancestors().iter().map(ToString::to_string).collect();
        assert_eq!(ancestors, ["/a", "/a/b"]);
        let root = ZonePath::parse(OsStr::new("/")).unwrap();
        assert_eq!((root.last_name(), root.join(b"x").to_string()), (None, "/x".into()));
    }

    #[test]
    fn an_owner_is_numbers_or_names() {
        assert_eq!("1:2".parse(), Ok(Owner { uid: Some(1), gid: Some(2) }));
        assert_eq!(":7".parse(), Ok(Owner { uid: None, gid: Some(7) }));
        assert_eq!("root:".parse(), Ok(Owner { uid: Some(0), gid: None }));
        assert!(":".parse::<Owner>().is_err());
        assert!("no-such-user-here".parse::<Owner>().is_err());
    }
}
