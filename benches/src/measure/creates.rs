//! Durable creates: one file per operation, in a directory per thread, with content nobody else wrote.

use std::sync::atomic::{AtomicU64, Ordering};

use nexus_engine::{Caller, Durability, Error, NewFile, Zone};

/// The operation on a zone.
pub(crate) struct Creates {
    zone: Zone,
    caller: Caller,
    /// In front of the directories' names, so that several can work in one zone.
    prefix: String,
    counter: AtomicU64,
    content: Vec<u8>,
}

/// Content of `bytes`, of which the first eight tell it from others.
pub(crate) fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|i| (i * 31 % 251) as u8).collect()
}

impl Creates {
    pub(crate) fn new(
        zone: &Zone,
        caller: &Caller,
        prefix: &str,
        threads: usize,
        bytes: usize,
    ) -> Result<Creates, Error> {
        for thread in 0..threads {
            let path = format!("/{prefix}{thread}");
            zone.mkdir(caller, &path[..], &NewFile::default(), false, Durability::Durable)?;
        }
        let (zone, caller, prefix) = (zone.clone(), caller.clone(), prefix.to_owned());
        Ok(Creates { zone, caller, prefix, counter: AtomicU64::new(0), content: content(bytes) })
    }

    pub(crate) fn one(&self, thread: usize, durability: Durability) -> Result<(), Error> {
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        let path = format!("/{}{thread}/{number}", self.prefix);
        let mut content = self.content.clone();
        content[..8].copy_from_slice(&number.to_le_bytes());
        let mut writer = self.zone.content_writer(&self.caller);
        writer.write(&content)?;
        self.zone.put_content(&self.caller, &path[..], &NewFile::default(), writer, durability).map(|_| ())
    }
}
