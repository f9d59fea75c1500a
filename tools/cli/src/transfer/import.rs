//! A tree of the host becomes records of a zone.

mod apply;
mod reader;
mod walk;

use std::collections::VecDeque;
use std::path::Path;

use nexus_engine::{At, Caller, Zone};
use nexus_log::event::Reason;

use self::apply::Applier;
use self::reader::{ReadContext, Readers};
use self::walk::Walk;
use super::host::{Kind, meta_of_path};
use super::{
    ImportOptions, ImportReport, Progress, READ_AHEAD_BYTES_MAX, READ_AHEAD_STEPS_MAX, TransferError, normalized,
};

/// Makes `destination` what `source` is, as `cp -aT`; of what stands there already only differences are changed. The
/// directory above `destination` must exist. All records are on stable storage when this returns.
pub(crate) fn import(
    zone: &Zone,
    caller: &Caller,
    source: &Path,
    destination: &[u8],
    options: &ImportOptions,
    progress: &mut dyn FnMut(&Progress<'_>),
) -> Result<ImportReport, TransferError> {
    let destination = normalized(destination)?;
    let meta = meta_of_path(source).map_err(TransferError::host(source))?;
    let view = zone.view(At::Newest).map_err(TransferError::zone(&destination))?;
    let context = ReadContext { zone, view: &view, caller };
    let old = walk::root_in_zone(&context, &destination, meta.kind == Kind::Directory)?;
    if meta.kind == Kind::Unknown {
        let message = format!("{} is of no known type", source.display());
        return Err(TransferError::Refused { kind: Reason::Unsupported, message });
    }
    std::thread::scope(|scope| {
        let readers = Readers::start(scope, context).map_err(TransferError::host(source))?;
        let mut walk = Walk::new(context, source, &destination, *options, readers, old);
        let mut applier = Applier::new(context, &destination, progress);
        let mut window = VecDeque::new();
        let mut ahead_bytes = 0;
        loop {
            while window.len() < READ_AHEAD_STEPS_MAX && ahead_bytes < READ_AHEAD_BYTES_MAX {
                let Some(step) = walk.next()? else { break };
                ahead_bytes += step.ahead_bytes();
                window.push_back(step);
            }
            let Some(step) = window.pop_front() else { break };
            ahead_bytes -= step.ahead_bytes();
            applier.apply(step)?;
        }
        applier.finish()
    })
}
