//! Acknowledged operations as lines of text: what a process that will be killed tells before it dies.

use nexus_engine::{At, Caller, Durability, NewFile, RenameMode, Zone};
use nexus_log::env::SplitMix64;
use nexus_log::event::Reason;
use nexus_log::ids::Seq;

use crate::op::Data;

/// An acknowledged operation on one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    pub seq: Seq,
    pub path: String,
    /// The whole content behind it; `None` where the file was removed.
    pub content: Option<Data>,
}

impl Ack {
    #[must_use]
    pub fn line(&self) -> String {
        let (seed, length) = self.content.map_or(("-".into(), 0), |data| (data.seed.to_string(), data.length));
        format!("{} {} {seed} {length}\n", self.seq, self.path)
    }

    /// `None` for half a line.
    #[must_use]
    pub fn parse(line: &str) -> Option<Ack> {
        let parts: Vec<&str> = line.strip_suffix('\n')?.split(' ').collect();
        let [seq, path, seed, length] = parts[..] else { return None };
        let content = match seed {
            "-" => None,
            seed => Some(Data { seed: seed.parse().ok()?, length: length.parse().ok()? }),
        };
        Some(Ack { seq: Seq(seq.parse().ok()?), path: path.to_owned(), content })
    }

    /// Asserts that the record is there and left what was acknowledged.
    pub fn check(&self, zone: &Zone, me: &Caller) {
        let view = zone.view(At::Exactly(self.seq)).unwrap_or_else(|e| panic!("{self:?} is lost: {e}"));
        match self.content {
            Some(data) => {
                let bytes = view.read(me, self.path.as_str(), 0, data.length + 1);
                let bytes = bytes.unwrap_or_else(|e| panic!("{self:?}: {e:?}"));
                assert!(bytes[..] == data.bytes()[..], "the content of {self:?}");
            }
            None => {
                let gone = view.stat(me, self.path.as_str(), false).unwrap_err();
                assert_eq!(gone.kind, Reason::NotFound, "{self:?}");
            }
        }
    }
}

/// One durable operation of a worker that has `directory` to itself: a file written anew, moved or removed.
pub fn work(zone: &Zone, me: &Caller, directory: &str, rng: &mut SplitMix64) -> Option<Ack> {
    let path = format!("{directory}/{}", rng.below(6));
    if rng.below(6) == 0 {
        let done = zone.unlink(me, path.as_str(), Durability::Durable).ok()?;
        return Some(Ack { seq: done.seq?, path, content: None });
    }
    let large = if rng.below(40) == 0 { 10 << 20 } else { 30_000 };
    let data = Data { seed: rng.below(1 << 30), length: rng.below(large) as usize };
    let mut writer = zone.content_writer(me);
    writer.write(&data.bytes()).unwrap();
    let new = NewFile::default();
    if rng.below(3) == 0 {
        // Beside, and then over it.
        let beside = format!("{directory}/beside");
        zone.put_content(me, beside.as_str(), &new, writer, Durability::Accepted).unwrap();
        let done = zone.rename(me, beside.as_str(), path.as_str(), RenameMode::Replace, Durability::Durable).unwrap();
        return Some(Ack { seq: done.seq?, path, content: Some(data) });
    }
    let done = zone.put_content(me, path.as_str(), &new, writer, Durability::Durable).unwrap();
    Some(Ack { seq: done.seq?, path, content: Some(data) })
}
