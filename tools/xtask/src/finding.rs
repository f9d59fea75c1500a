//! What a checker found wrong.

use std::fmt;

/// One thing to mend, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// Path from the workspace's root.
    pub file: String,
    /// Counted from 1; `None` where it is the file as a whole.
    pub line: Option<usize>,
    pub message: String,
}

impl Finding {
    pub(crate) fn whole(file: &str, message: impl Into<String>) -> Finding {
        Finding { file: file.to_owned(), line: None, message: message.into() }
    }

    pub(crate) fn at(file: &str, line: usize, message: impl Into<String>) -> Finding {
        Finding { file: file.to_owned(), line: Some(line), message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line} {}", self.file, self.message),
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}
