//! What all requests of callers have in common: what they are about, what they expect to find, and a name under which
//! a repeat is recognised (DESIGN section 3, idempotency).

use nexus_log::event::{Reason, RequestAnswered, RequestReply, Syscall};
use nexus_log::ids::{Inode, Seq};
use nexus_projections::loads::Prior;
use nexus_projections::row::{DedupeRow, FileKind};
use nexus_projections::table::RowKey;

use super::{Created, Decision, NewFile, Operation, Turn};
use crate::caller::Caller;
use crate::error::Error;
use crate::limits::DEDUPE_WINDOW_SEQS;
use crate::lookup::{Found, Node, Stop, node, place, resolve, times};
use crate::path::{Entry, Target};

/// What a request is about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum About<'a> {
    /// Something that exists; a symlink in the last place is followed where `follow`.
    Target { target: Target<'a>, follow: bool },
    /// A name, whether something stands under it or not.
    Entry { entry: Entry<'a>, follow: bool },
    /// Several things.
    Many,
}

impl<'a> About<'a> {
    pub(crate) fn path(&self) -> &'a [u8] {
        match self {
            About::Target { target: Target::Path(path), .. } | About::Entry { entry: Entry::Path(path), .. } => path,
            _ => b"",
        }
    }

    pub(crate) fn inode(&self) -> Option<Inode> {
        match self {
            About::Target { target, .. } => target.inode(),
            About::Entry { entry, .. } => entry.inode(),
            About::Many => None,
        }
    }

    /// What stands there; `None` where nothing does, though the way to it exists.
    fn find<P: Prior>(&self, rows: &P) -> Found<Option<Node>, P> {
        let found = match *self {
            About::Target { target, follow } => resolve(rows, target, follow).map(Some),
            About::Many => return Ok(None),
            About::Entry { entry, follow } => {
                let place = place(rows, entry)?;
                match (place.found, entry) {
                    _ if place.name.is_empty() => node(rows, place.parent).map(Some),
                    (None, _) => Ok(None),
                    (Some(found), Entry::Path(path)) if found.kind == FileKind::Link && follow => {
                        resolve(rows, Target::Path(path), true).map(Some)
                    }
                    (Some(found), _) => node(rows, found.inode).map(Some),
                }
            }
        };
        match found {
            Err(Stop::Refused(error)) if error.kind == Reason::NotFound => Ok(None),
            found => found,
        }
    }
}

/// What a caller expects of what its request is about; another state refuses the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expect {
    /// The version that `stat` showed; any other is `VersionConflict`.
    pub version: Option<u64>,
    /// It must exist, or must not.
    pub exists: Option<bool>,
}

impl Expect {
    pub(super) fn check<P: Prior>(&self, rows: &P, about: About<'_>) -> Found<(), P> {
        if *self == Expect::default() {
            return Ok(());
        }
        let found = about.find(rows)?;
        let refuse = |kind, message: String| Error::new(kind, message);
        match found {
            None if self.exists == Some(true) || self.version.is_some() => {
                Err(refuse(Reason::NotFound, "it does not exist, and was expected to".into()).into())
            }
            Some(node) if self.exists == Some(false) => {
                Err(refuse(Reason::Exists, "it exists already".into()).at(node.inode).into())
            }
            Some(node) => {
                let version = match node.is_directory() {
                    true => times(rows, node.inode)?.map_or(node.row.version, |(times, _)| times.version),
                    false => node.row.version,
                };
                match self.version {
                    Some(expected) if expected != version => {
                        let message = format!("it is at version {version}, not {expected}; look at it again");
                        Err(refuse(Reason::VersionConflict, message).at(node.inode).into())
                    }
                    _ => Ok(()),
                }
            }
            None => Ok(()),
        }
    }
}

/// Takes in what a request asks for, part by part, each so that no two sequences of parts look the same.
pub(crate) struct RequestDigest(blake3::Hasher);

impl RequestDigest {
    pub(crate) fn number(&mut self, number: u64) {
        self.0.update(&number.to_le_bytes());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }

    pub(crate) fn maybe(&mut self, number: Option<u64>) {
        self.number(u64::from(number.is_some()));
        self.number(number.unwrap_or(0));
    }

    pub(crate) fn target(&mut self, target: Target<'_>) {
        self.maybe(target.inode().map(|inode| inode.0));
        self.bytes(target.path());
    }

    pub(crate) fn entry(&mut self, entry: Entry<'_>) {
        self.maybe(entry.inode().map(|inode| inode.0));
        match entry {
            Entry::Path(path) => self.bytes(path),
            Entry::In(_, name) => self.bytes(name),
        }
    }

    pub(crate) fn new_file(&mut self, new: &NewFile) {
        [new.mode, new.uid, new.gid].into_iter().for_each(|n| self.number(n.into()));
        [new.mtime, new.atime].into_iter().for_each(|time| self.maybe(time.map(|t| t as u64)));
        self.number(new.xattrs.len() as u64);
        for (name, value) in &new.xattrs {
            self.bytes(name);
            self.bytes(value);
        }
    }
}

/// What a request answers, in the form in which it is kept for a repeat.
pub(crate) trait Reply: Sized {
    fn pack(&self) -> Vec<RequestReply>;
    fn unpack(kept: &[(Inode, bool)]) -> Option<Self>;
}

impl Reply for () {
    fn pack(&self) -> Vec<RequestReply> {
        Vec::new()
    }

    fn unpack(_: &[(Inode, bool)]) -> Option<()> {
        Some(())
    }
}

impl Reply for Inode {
    fn pack(&self) -> Vec<RequestReply> {
        vec![RequestReply { inode: self.0, created: false }]
    }

    fn unpack(kept: &[(Inode, bool)]) -> Option<Inode> {
        kept.first().map(|(inode, _)| *inode)
    }
}

impl Reply for Created {
    fn pack(&self) -> Vec<RequestReply> {
        vec![RequestReply { inode: self.inode.0, created: self.fresh }]
    }

    fn unpack(kept: &[(Inode, bool)]) -> Option<Created> {
        kept.first().map(|(inode, fresh)| Created { inode: *inode, fresh: *fresh })
    }
}

impl Reply for Vec<Created> {
    fn pack(&self) -> Vec<RequestReply> {
        self.iter().flat_map(Reply::pack).collect()
    }

    fn unpack(kept: &[(Inode, bool)]) -> Option<Vec<Created>> {
        Some(kept.iter().map(|(inode, fresh)| Created { inode: *inode, fresh: *fresh }).collect())
    }
}

/// An operation that a caller asks for.
pub(crate) trait Request: Operation<Reply: Reply> {
    fn syscall(&self) -> Syscall;

    fn about(&self) -> About<'_>;

    /// All that makes this request another one than those with other parameters.
    fn describe(&self, digest: &mut RequestDigest);
}

/// Under which name a request's outcome is kept.
struct Key<'a> {
    row: RowKey,
    request: [u8; 32],
    id: &'a str,
}

impl<'a> Key<'a> {
    /// `None` where the caller did not name the request.
    fn of<R: Request>(caller: &'a Caller, request: &R) -> Option<Key<'a>> {
        let id = caller.request_key()?;
        let row = RowKey::dedupe(caller.context())?;
        let mut digest = RequestDigest(blake3::Hasher::new());
        digest.number(request.syscall().code().into());
        request.describe(&mut digest);
        Some(Key { row, request: *digest.0.finalize().as_bytes(), id })
    }

    /// What the request was answered before, if it was within the window.
    fn recall<P: Prior, R: Reply>(&self, rows: &P, turn: &Turn<'_>) -> Found<Option<(R, Seq)>, P> {
        let Some(version) = rows.get(&self.row).map_err(Stop::Miss)? else { return Ok(None) };
        if version.begin.0.saturating_add(DEDUPE_WINDOW_SEQS) < turn.seq.0 {
            return Ok(None);
        }
        let kept = DedupeRow::decode(&version.value)?;
        match R::unpack(&kept.replies).filter(|_| kept.request == self.request) {
            Some(reply) => Ok(Some((reply, version.begin))),
            None => {
                let (id, seq) = (self.id, version.begin);
                let message =
                    format!("the request id {id:?} was given to another request, record {seq}; take a new one");
                Err(Error::new(Reason::Invalid, message).into())
            }
        }
    }
}

/// What a request came to.
#[derive(Debug)]
pub(crate) struct Answer<R> {
    pub(crate) reply: R,
    /// It had been answered before, by this record.
    pub(crate) repeats: Option<Seq>,
}

/// A request with what its caller expects, and with a look for whether it was answered before.
pub(crate) struct Guarded<'a, R> {
    request: &'a R,
    expect: Expect,
    key: Option<Key<'a>>,
}

impl<'a, R: Request> Guarded<'a, R> {
    pub(crate) fn new(caller: &'a Caller, request: &'a R, expect: Expect) -> Guarded<'a, R> {
        Guarded { request, expect, key: Key::of(caller, request) }
    }
}

impl<R: Request> Operation for Guarded<'_, R> {
    type Reply = Answer<R::Reply>;

    fn decide<P: Prior>(&self, rows: &P, turn: &Turn<'_>) -> Found<Decision<Answer<R::Reply>>, P> {
        if let Some(key) = &self.key
            && let Some((reply, seq)) = key.recall(rows, turn)?
        {
            return Ok(Decision::nothing(Answer { reply, repeats: Some(seq) }));
        }
        self.expect.check(rows, self.request.about())?;
        let Decision { mut events, reply } = self.request.decide(rows, turn)?;
        if let Some(key) = self.key.as_ref().filter(|_| !events.is_empty()) {
            events.push(RequestAnswered { request: key.request, replies: reply.pack() }.into());
        }
        Ok(Decision { events, reply: Answer { reply, repeats: None } })
    }
}

/// Looks whether a request was answered before, and changes nothing: for requests that take several records.
pub(crate) struct Recall<'a, R> {
    key: Key<'a>,
    request: std::marker::PhantomData<&'a R>,
}

impl<'a, R: Request> Recall<'a, R> {
    /// `None` where the caller did not name the request.
    pub(crate) fn of(caller: &'a Caller, request: &R) -> Option<Recall<'a, R>> {
        Some(Recall { key: Key::of(caller, request)?, request: std::marker::PhantomData })
    }
}

impl<R: Request> Operation for Recall<'_, R> {
    type Reply = Option<(R::Reply, Seq)>;

    fn decide<P: Prior>(&self, rows: &P, turn: &Turn<'_>) -> Found<Decision<Self::Reply>, P> {
        Ok(Decision::nothing(self.key.recall(rows, turn)?))
    }
}
