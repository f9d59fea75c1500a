//! Standard input, and files of this machine that are read like it.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;

use nexus_engine::limits::WRITE_BYTES_MAX;
use rustix::fs::{Mode, OFlags};

use crate::failure::{Failure, Result};

/// Bytes to be read, and what they are called in messages.
pub(super) struct Input {
    pub(super) name: Cow<'static, str>,
    pub(super) reader: Box<dyn Read>,
}

impl Input {
    pub(super) fn standard() -> Input {
        Input { name: "standard input".into(), reader: Box::new(io::stdin()) }
    }

    /// A file of this machine; `-` is standard input.
    pub(super) fn open(path: &Path) -> Result<Input> {
        if path.as_os_str() == "-" {
            return Ok(Input::standard());
        }
        let name: Cow<'static, str> = path.display().to_string().into();
        match rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
            Ok(file) => Ok(Input { name, reader: Box::new(File::from(file)) }),
            Err(error) => Err(Failure::Input { what: name, source: error.into() }),
        }
    }

    /// Fills `buffer`; less only at the end.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.reader.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(Failure::Input { what: self.name.clone(), source }),
            }
        }
        Ok(filled)
    }

    /// The same input with its beginning read already, up to the size of one write: whoever writes into the pipe may
    /// need the data directory first.
    pub(super) fn begun(mut self) -> Result<Input> {
        let mut beginning = vec![0; WRITE_BYTES_MAX];
        let count = self.fill(&mut beginning)?;
        beginning.truncate(count);
        Ok(Input { name: self.name, reader: Box::new(Cursor::new(beginning).chain(self.reader)) })
    }
}
