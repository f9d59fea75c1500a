//! Where chunks end.
//!
//! A run of data of up to [`CHUNK_BYTES_MAX`] is one chunk. A longer one is cut where its content says (FastCDC as of
//! 2020, normalized), so that a change in the middle of a file leaves the chunks around it as they were. The cuts
//! depend on the bytes of the run alone, never on the pieces in which they were handed over.

use bytes::{Bytes, BytesMut};
use fastcdc::v2020::FastCDC;

use crate::limits::{CHUNK_BYTES_AVERAGE, CHUNK_BYTES_MAX, CHUNK_BYTES_MIN};

/// Data is cut when this much is there: the next cut is certain once a whole chunk could lie before it.
const BUFFER_BYTES: usize = 2 * CHUNK_BYTES_MAX;

/// Takes a run of data piece by piece and gives it back in chunks.
#[derive(Debug, Default)]
pub(crate) struct Cutter {
    buffer: BytesMut,
    /// Part of the run was cut off already, so the rest is cut by content too.
    long: bool,
}

impl Cutter {
    /// Takes what fits of `bytes` and answers with how much that was: less than all means that chunks must be
    /// [taken](Cutter::next) first.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> usize {
        let take = bytes.len().min(BUFFER_BYTES - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..take]);
        take
    }

    /// The next chunk, if where it ends is certain. `ended`: no more data follows in this run.
    pub(crate) fn next(&mut self, ended: bool) -> Option<Bytes> {
        let length = self.buffer.len();
        if length == 0 {
            self.long = self.long && !ended;
            return None;
        }
        if ended && !self.long && length <= CHUNK_BYTES_MAX {
            return Some(self.buffer.split().freeze());
        }
        if !ended && length < if self.long { CHUNK_BYTES_MAX } else { BUFFER_BYTES } {
            return None;
        }
        self.long = true;
        let source = &self.buffer[..length.min(CHUNK_BYTES_MAX)];
        let cutter = FastCDC::new(source, CHUNK_BYTES_MIN, CHUNK_BYTES_AVERAGE, CHUNK_BYTES_MAX);
        let (_, end) = cutter.cut(0, source.len());
        Some(self.buffer.split_to(end).freeze())
    }
}

#[cfg(test)]
mod tests {
    use nexus_log::env::{Random, SeededRandom};
    use proptest::prelude::*;

    use super::*;

    fn random(seed: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        SeededRandom::new(seed).fill(&mut bytes);
        bytes
    }

    fn chunks(pieces: &[&[u8]]) -> Vec<Bytes> {
        let mut cutter = Cutter::default();
        let mut chunks = Vec::new();
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() {
                rest = &rest[cutter.take(rest)..];
                chunks.extend(std::iter::from_fn(|| cutter.next(false)));
            }
        }
        chunks.extend(std::iter::from_fn(|| cutter.next(true)));
        chunks
    }

    #[test]
    fn up_to_a_mebibyte_is_one_chunk_and_more_is_cut_within_bounds() {
        assert!(chunks(&[]).is_empty());
        for length in [1, 4096, CHUNK_BYTES_MAX] {
            assert_eq!(chunks(&[&random(1, length)]).len(), 1, "{length}");
        }
        let bytes = random(2, 5 * CHUNK_BYTES_MAX + 3);
        let cut = chunks(&[&bytes]);
        assert_eq!(cut.concat(), bytes);
        assert!(cut.len() > 5, "{} chunks", cut.len());
        let (last, before) = cut.split_last().unwrap();
        assert!(before.iter().all(|c| (CHUNK_BYTES_MIN..=CHUNK_BYTES_MAX).contains(&c.len())));
        assert!(last.len() <= CHUNK_BYTES_MAX);
    }

    #[test]
    fn a_run_after_another_begins_anew() {
        let mut cutter = Cutter::default();
        let long = random(3, 3 * CHUNK_BYTES_MAX);
        let mut rest = &long[..];
        while !rest.is_empty() {
            rest = &rest[cutter.take(rest)..];
            while cutter.next(false).is_some() {}
        }
        while cutter.next(true).is_some() {}
        let short = random(4, CHUNK_BYTES_MAX);
        cutter.take(&short);
        assert_eq!(cutter.next(true).unwrap(), short);
    }

    #[test]
    fn an_insertion_leaves_most_chunks_as_they_were() {
        let bytes = random(5, 8 << 20);
        let changed = [&bytes[..3 << 20], b"some more", &bytes[3 << 20..]].concat();
        let before: std::collections::BTreeSet<Bytes> = chunks(&[&bytes]).into_iter().collect();
        let after = chunks(&[&changed]);
        let kept = after.iter().filter(|chunk| before.contains(*chunk)).count();
        assert!(kept + 6 >= after.len(), "{kept} of {} chunks kept", after.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn cuts_do_not_depend_on_the_pieces(
            length in 0usize..6 << 20,
            at in proptest::collection::vec(any::<proptest::sample::Index>(), 0..6),
        ) {
            let bytes = random(length as u64, length);
            let mut ends: Vec<usize> = at.iter().map(|index| index.index(length + 1)).collect();
            ends.extend([0, length]);
            ends.sort_unstable();
            let pieces: Vec<&[u8]> = ends.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
            prop_assert_eq!(chunks(&pieces), chunks(&[&bytes]));
        }
    }
}
