//! Lines of the input, none longer than is good for memory.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use nexus_engine::Error;
use nexus_log::event::Reason;

use crate::failure::{Failure, Result};
use crate::verbs::input::Input;

/// Longest line: the content of one record in base64, and ample space beside it.
pub(super) const LINE_BYTES_MAX: usize = 16 << 20;

pub(super) struct Lines {
    name: std::borrow::Cow<'static, str>,
    reader: BufReader<Box<dyn Read>>,
    /// Lines read so far.
    number: u64,
}

/// A line's number, and its bytes or why they were passed over.
type Numbered = (u64, nexus_engine::Result<Vec<u8>>);

impl Lines {
    /// Reads the beginning before anything else is done: whoever writes into the pipe may need the directory first.
    pub(super) fn begin(path: &Path) -> Result<Lines> {
        let Input { name, reader } = Input::open(path)?.begun()?;
        Ok(Lines { name, reader: BufReader::new(reader), number: 0 })
    }

    /// The next lines: at most `lines_max`, and none after they have come to `bytes_max`. None are left where it is
    /// empty.
    pub(super) fn chunk(&mut self, lines_max: usize, bytes_max: usize) -> Result<Vec<Numbered>> {
        let (mut chunk, mut bytes) = (Vec::new(), 0);
        while chunk.len() < lines_max && bytes < bytes_max {
            let next = self.next().map_err(|source| Failure::Input { what: self.name.clone(), source })?;
            let Some(line) = next else { break };
            bytes += line.as_ref().map_or(0, Vec::len);
            chunk.push((self.number, line));
        }
        Ok(chunk)
    }

    fn next(&mut self) -> io::Result<Option<nexus_engine::Result<Vec<u8>>>> {
        let mut line = Vec::new();
        // One more for the line's end.
        let mut bounded = (&mut self.reader).take(LINE_BYTES_MAX as u64 + 1);
        if bounded.read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        if line.last() == Some(&b'\n') {
            line.pop();
        } else if line.len() > LINE_BYTES_MAX {
            self.skip_line()?;
            let message = format!("a line is at most {LINE_BYTES_MAX} bytes; put the content by itself");
            return Ok(Some(Err(Error::new(Reason::TooLarge, message))));
        }
        Ok(Some(Ok(line)))
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let buffer = match self.reader.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                buffer => buffer?,
            };
            let (found, used) = match buffer.iter().position(|byte| *byte == b'\n') {
                Some(at) => (true, at + 1),
                None => (buffer.is_empty(), buffer.len()),
            };
            self.reader.consume(used);
            if found {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: Vec<u8>) -> Lines {
        let reader: Box<dyn Read> = Box::new(io::Cursor::new(bytes));
        Lines { name: "test".into(), reader: BufReader::new(reader), number: 0 }
    }

    #[test]
    fn a_chunk_ends_where_a_bound_is_met_and_numbers_go_on() {
        let mut input = lines(b"a\nbb\n\nccc".to_vec());
        let texts = |chunk: Vec<Numbered>| chunk.into_iter().map(|(n, line)| (n, line.unwrap())).collect::<Vec<_>>();
        assert_eq!(texts(input.chunk(10, 3).unwrap()), [(1, b"a".to_vec()), (2, b"bb".to_vec())]);
        assert_eq!(texts(input.chunk(1, 100).unwrap()), [(3, Vec::new())]);
        assert_eq!(texts(input.chunk(10, 100).unwrap()), [(4, b"ccc".to_vec())]);
        assert!(input.chunk(10, 100).unwrap().is_empty());
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over_and_the_next_is_read() {
        let mut bytes = vec![b'x'; LINE_BYTES_MAX];
        bytes.push(b'\n');
        bytes.extend(vec![b'y'; LINE_BYTES_MAX + 1]);
        bytes.extend(b"yyy\nz\n");
        let read = lines(bytes).chunk(10, usize::MAX).unwrap();
        let lengths: Vec<_> =
            read.iter().map(|(n, line)| (*n, line.as_ref().map(Vec::len).map_err(|e| e.kind))).collect();
        assert_eq!(lengths, [(1, Ok(LINE_BYTES_MAX)), (2, Err(Reason::TooLarge)), (3, Ok(1))]);
    }
}
