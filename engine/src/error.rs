//! One error for every call: a POSIX-like kind, a message that says what to do, the cause.

use std::fmt;

use nexus_log::event::Reason;
use nexus_log::ids::Inode;

/// Why a call failed. `kind` is what programs branch on; its name and code are stable.
#[derive(Debug)]
pub struct Error {
    pub kind: Reason,
    pub message: String,
    /// How far the path was resolved: the inode the refusal is about, or the last directory that was reached.
    pub inode: Option<Inode>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    #[must_use]
    pub fn new(kind: Reason, message: impl Into<String>) -> Error {
        Error { kind, message: message.into(), inode: None, source: None }
    }

    #[must_use]
    pub fn at(mut self, inode: Inode) -> Error {
        self.inode.get_or_insert(inode);
        self
    }

    #[must_use]
    pub fn because(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Error {
        self.source = Some(Box::new(source));
        self
    }

    /// Stored bytes are not what was written; `nexus verify` says where.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        self.kind == Reason::Corrupt
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}

/// A path or name as a person reads it.
pub(crate) fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
