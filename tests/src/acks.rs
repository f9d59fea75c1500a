//! Acknowledged operations as lines of text: what a process that will be killed tells before it dies.

use std::collections::BTreeMap;

use nexus_engine::{At, BatchItem, Caller, Change, Durability, Entry, NewFile, RenameMode, Target, Zone};
use nexus_log::env::SplitMix64;
use nexus_log::event::{Context, Event, Reason};
use nexus_log::ids::Seq;

use crate::op::Data;

/// An acknowledged operation on one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    pub seq: Seq,
    pub path: String,
    /// The whole content behind it; `None` where the file was removed.
    pub content: Option<Data>,
    /// Where zeros were made of it, and how many.
    pub hole: (usize, usize),
    /// The request's name, where it had one.
    pub request: Option<String>,
}

impl Ack {
    #[must_use]
    pub fn line(&self) -> String {
        let (seed, length) = self.content.map_or(("-".into(), 0), |data| (data.seed.to_string(), data.length));
        let ((at, zeros), request) = (self.hole, self.request.as_deref().unwrap_or("-"));
        format!("{} {} {seed} {length} {at} {zeros} {request}\n", self.seq, self.path)
    }

    /// `None` for half a line.
    #[must_use]
    pub fn parse(line: &str) -> Option<Ack> {
        let parts: Vec<&str> = line.strip_suffix('\n')?.split(' ').collect();
        let [seq, path, seed, length, at, zeros, request] = parts[..] else { return None };
        let content = match seed {
            "-" => None,
            seed => Some(Data { seed: seed.parse().ok()?, length: length.parse().ok()? }),
        };
        let hole = (at.parse().ok()?, zeros.parse().ok()?);
        let request = Some(request.to_owned()).filter(|request| request != "-");
        Some(Ack { seq: Seq(seq.parse().ok()?), path: path.to_owned(), content, hole, request })
    }

    fn expected(&self) -> Option<Vec<u8>> {
        let mut bytes = self.content?.bytes();
        let (at, zeros) = self.hole;
        bytes[at..at + zeros].fill(0);
        Some(bytes)
    }

    /// Asserts that the record is there and left what was acknowledged.
    pub fn check(&self, zone: &Zone, me: &Caller) {
        let view = zone.view(At::Exactly(self.seq)).unwrap_or_else(|e| panic!("{self:?} is lost: {e}"));
        match self.expected() {
            Some(expected) => {
                let bytes = view.read(me, self.path.as_str(), 0, expected.len() + 1);
                let bytes = bytes.unwrap_or_else(|e| panic!("{self:?}: {e:?}"));
                assert!(bytes[..] == expected[..], "the content of {self:?}");
            }
            None => {
                let gone = view.stat(me, self.path.as_str(), false).unwrap_err();
                assert_eq!(gone.kind, Reason::NotFound, "{self:?}");
            }
        }
    }
}

/// Asserts that no request with a name happened twice, and that those of `acks` happened where they were said to.
pub fn check_requests(zone: &Zone, acks: &[Ack]) {
    let mut answered: BTreeMap<String, Seq> = BTreeMap::new();
    let log = zone.log();
    for record in log.records(log.first()).map(Result::unwrap) {
        if record.events.iter().any(|event| matches!(event, Event::RequestAnswered(_))) {
            let request = record.context.request_id.clone().expect("an answered request has a name");
            let before = answered.insert(request, record.seq);
            assert_eq!(before, None, "record {} answers what was answered before", record.seq);
        }
    }
    for ack in acks {
        if let Some(request) = &ack.request {
            assert_eq!(answered.get(request), Some(&ack.seq), "{ack:?}");
        }
    }
}

/// A worker that has a directory to itself.
pub struct Worker<'a> {
    pub zone: &'a Zone,
    pub agent: String,
    pub directory: String,
    pub rng: SplitMix64,
    /// Different in each life of the process.
    pub life: u64,
    pub requests: u64,
}

impl Worker<'_> {
    fn me(&self) -> Caller {
        Caller::agent(&self.agent).unwrap()
    }

    /// The next request with a name.
    fn named(&mut self) -> (Caller, String) {
        self.requests += 1;
        let request = format!("{}-{}-{}", self.life, self.agent.replace(' ', "-"), self.requests);
        let context = Context { agent: self.agent.clone(), request_id: Some(request.clone()), ..Context::default() };
        (Caller::new(context).unwrap(), request)
    }

    fn put(&self, path: &str, data: Data, durability: Durability) -> Option<Seq> {
        let mut writer = self.zone.content_writer(&self.me());
        writer.write(&data.bytes()).unwrap();
        self.zone.put_content(&self.me(), path, &NewFile::default(), writer, durability).unwrap().seq
    }

    /// One durable operation: a file written anew, moved, copied, punched or removed, or several in one.
    pub fn work(&mut self) -> Vec<Ack> {
        const DURABLE: Durability = Durability::Durable;
        let path = format!("{}/{}", self.directory, self.rng.below(6));
        let beside = format!("{}/beside", self.directory);
        let large = if self.rng.below(40) == 0 { 10 << 20 } else { 30_000 };
        let data = Data { seed: self.rng.below(1 << 30), length: self.rng.below(large) as usize };
        let content = Some(data);
        let ack = |seq: Option<Seq>, path: &str, request: Option<String>| {
            seq.map(|seq| Ack { seq, path: path.to_owned(), content, hole: (0, 0), request })
        };
        let (me, zone) = (self.me(), self.zone);
        match self.rng.below(10) {
            0 => {
                let done = zone.unlink(&me, path.as_str(), DURABLE).ok();
                let removed = done.and_then(|done| ack(done.seq, &path, None));
                removed.map(|ack| Ack { content: None, ..ack }).into_iter().collect()
            }
            1..=3 => {
                // Beside, and then over it.
                self.put(&beside, data, Durability::Accepted);
                let done = zone.rename(&me, beside.as_str(), path.as_str(), RenameMode::Replace, DURABLE).unwrap();
                ack(done.seq, &path, None).into_iter().collect()
            }
            4 => {
                self.put(&beside, data, Durability::Accepted);
                let (caller, request) = self.named();
                let done = zone.copy(&caller, beside.as_str(), At::Latest, path.as_str(), DURABLE).unwrap();
                // To be told the same again.
                let again = zone.copy(&caller, beside.as_str(), At::Latest, path.as_str(), DURABLE).unwrap();
                assert_eq!((done.seq, true), (again.seq, again.repeated));
                ack(done.seq, &path, Some(request)).into_iter().collect()
            }
            5 => {
                self.put(&path, data, Durability::Accepted);
                let hole = (data.length / 3, data.length / 2);
                let (caller, request) = self.named();
                let target = Target::Path(path.as_bytes());
                let done = zone.punch(&caller, target, hole.0 as u64, hole.1 as u64, DURABLE).unwrap();
                let punched = ack(done.seq, &path, Some(request)).map(|ack| Ack { hole, ..ack });
                punched.into_iter().collect()
            }
            6 if data.length < 1 << 20 => {
                let (caller, request) = self.named();
                let (bytes, new) = (data.bytes(), NewFile::default());
                let paths = [&path, &beside];
                let items: Vec<BatchItem<'_>> = paths
                    .iter()
                    .map(|path| {
                        let entry = Entry::Path(path.as_bytes());
                        Change::Put { entry, new: &new, content: &bytes, attributes_too: false }.into()
                    })
                    .collect();
                let done = zone.batch_atomic(&caller, &items, DURABLE).unwrap();
                paths.iter().filter_map(|path| ack(done.seq, path, Some(request.clone()))).collect()
            }
            _ => ack(self.put(&path, data, DURABLE), &path, None).into_iter().collect(),
        }
    }
}
