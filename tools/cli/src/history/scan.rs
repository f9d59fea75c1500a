//! Records of a range, in either direction.

use std::ops::ControlFlow;

use nexus_log::ids::Seq;
use nexus_log::log::{Log, ReadError};
use nexus_log::record::Record;

/// Records that are read ahead where the log is read backwards.
const WINDOW_RECORDS: u64 = 256;

/// Positions from `first` to `last`, both of them; nothing where `last < first`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    pub(crate) first: Seq,
    pub(crate) last: Seq,
}

/// Tells `visit` the records of `range` in order, or newest first.
pub(crate) fn scan<E: From<ReadError>>(
    log: &Log,
    range: Range,
    newest_first: bool,
    mut visit: impl FnMut(Record) -> Result<ControlFlow<()>, E>,
) -> Result<(), E> {
    if range.last < range.first {
        return Ok(());
    }
    if !newest_first {
        for record in log.records(range.first).take((range.last.0 - range.first.0 + 1) as usize) {
            if visit(record?)?.is_break() {
                return Ok(());
            }
        }
        return Ok(());
    }
    let mut end = range.last;
    loop {
        let begin = Seq(end.0.saturating_sub(WINDOW_RECORDS - 1).max(range.first.0));
        let window = log.records(begin).take((end.0 - begin.0 + 1) as usize);
        for record in window.collect::<Result<Vec<Record>, ReadError>>()?.into_iter().rev() {
            if visit(record)?.is_break() {
                return Ok(());
            }
        }
        if begin <= range.first {
            return Ok(());
        }
        end = begin.prev();
    }
}
