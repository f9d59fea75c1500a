//! The archived structs of version 1. Frozen: a change of shape is a struct of a new version beside these.
//!
//! Numbers are what the newtypes of [`crate::ids`] wrap. Names and paths are raw bytes. Times of files are
//! nanoseconds since 1970 and may be negative. `path` is the path as the caller gave it, empty where the caller named
//! the inode; it is for the reader of the audit log and means nothing to replay.

use rkyv::{Archive, Deserialize, Serialize};

macro_rules! archived {
    ($($(#[$doc:meta])* pub struct $name:ident { $($(#[$fdoc:meta])* pub $field:ident: $type:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Archive, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
            pub struct $name { $($(#[$fdoc])* pub $field: $type,)* }
        )*
    };
}

archived! {
    /// On whose behalf the record was made.
    pub struct Context {
        pub tenant: String,
        pub user: String,
        pub agent: String,
        /// Any string of up to 128 bytes that the caller groups its work by.
        pub session: String,
        /// Session generation; 0 outside registered sessions.
        pub generation: u64,
        /// Key of idempotency, if the caller gave one.
        pub request_id: Option<String>,
        /// W3C trace id.
        pub trace_id: Option<[u8; 16]>,
        /// The process that called, 0 if unknown.
        pub process: u32,
        /// Its command name, empty if unknown.
        pub command: String,
    }

    /// One chunk in the record's own payload.
    pub struct StoredChunk {
        pub length: u32,
        /// BLAKE3 of the chunk.
        pub hash: [u8; 32],
    }

    /// The chunks of the payload in order; they cover it behind its salt without gaps.
    pub struct ChunkList {
        pub chunks: Vec<StoredChunk>,
    }

    /// A chunk in an earlier record.
    pub struct ForeignChunk {
        pub seq: u64,
        pub offset: u32,
        pub length: u32,
        pub hash: [u8; 32],
    }

    /// A run of a file's bytes that is a run of a chunk's bytes.
    pub struct Piece {
        pub file_offset: u64,
        pub length: u32,
        /// Bytes of the chunk before the run.
        pub skip: u32,
        /// Index into the record's own chunks and then, counting on, the event's foreign chunks.
        pub chunk: u32,
    }

    /// What a file consists of after the event. `body` 0: nothing, or one piece at offset 0 that the inode row holds.
    /// Otherwise the pieces become extents of that body.
    pub struct FileContent {
        /// Bytes; what no piece covers reads as zeros.
        pub size: u64,
        pub body: u64,
        pub pieces: Vec<Piece>,
        pub foreign: Vec<ForeignChunk>,
        /// BLAKE3 of the whole content where this operation wrote all of it and it is more than one chunk.
        pub content_id: Option<[u8; 32]>,
    }

    /// A name of an inode.
    pub struct LinkName {
        pub parent: u64,
        pub name: Vec<u8>,
    }

    /// First record of every zone: the root directory exists.
    pub struct ZoneCreated {
        pub name: String,
        pub mode: u32,
        pub uid: u32,
        pub gid: u32,
    }

    /// The log was opened after an unclean end.
    pub struct Recovered {
        /// First seq that was cut as torn, 0 if nothing was.
        pub cut_from: u64,
        /// Non-zero bytes that were cut.
        pub cut_bytes: u64,
        /// Records written again because no proof of their flush was found.
        pub rewritten: u64,
    }

    /// Counts kept in memory may have been lost: refusals repeated after their first, and reads, in the second of the
    /// end.
    pub struct AuditGap {
        /// What may be missing happened after this record.
        pub after: u64,
        /// And before this time, UTC ns.
        pub until_ns: u64,
    }

    /// No later record gets a commit time up to this one: somebody was told what the zone was then.
    pub struct TimeClosed {
        /// UTC ns; the record's own commit time is later.
        pub time_ns: u64,
    }

    /// The wall clock stepped by more than the sequencer follows without an operator's word.
    pub struct ClockHeld {
        /// What the wall clock said.
        pub wall_ns: u64,
        /// The last commit time, carried on by the clock that does not step.
        pub carried_ns: u64,
    }

    /// An operator confirmed the wall clock: it is followed from here on.
    pub struct ClockConfirmed {
        pub wall_ns: u64,
        /// What commit times were carried on to without it.
        pub carried_ns: u64,
    }

    /// How reads of an inode, and of what lies below it, are recorded.
    pub struct PolicySet {
        pub inode: u64,
        pub path: Vec<u8>,
        /// Code of the policy; absent: what holds above it holds for it.
        pub reads: Option<u16>,
    }

    /// What one actor used in one hour, as far as a record counts it.
    pub struct UsageCount {
        pub tenant: String,
        pub user: String,
        pub agent: String,
        /// Hours since 1970, UTC.
        pub hour: u64,
        pub counts: UsageCounts,
    }

    /// Operations and bytes.
    pub struct UsageCounts {
        /// Events that changed something.
        pub changes: u64,
        pub refusals: u64,
        /// As far as reads are recorded.
        pub reads: u64,
        /// Bytes of content stored.
        pub bytes_in: u64,
        /// Bytes read, as far as reads are recorded.
        pub bytes_out: u64,
    }

    /// What was used in the records behind `after` up to `until`, which is earlier than this record.
    pub struct UsageCounted {
        pub after: u64,
        pub until: u64,
        pub counts: Vec<UsageCount>,
    }

    /// What one change of a request came to.
    pub struct RequestReply {
        pub inode: u64,
        /// The inode is new.
        pub created: bool,
    }

    /// The record answers a request that named itself (`request_id` of the context): whoever repeats it is told this.
    pub struct RequestAnswered {
        /// BLAKE3 of what was asked, to tell a repeat from another request of the same name.
        pub request: [u8; 32],
        pub replies: Vec<RequestReply>,
    }

    pub struct FileCreated {
        pub inode: u64,
        pub parent: u64,
        pub name: Vec<u8>,
        pub path: Vec<u8>,
        pub mode: u32,
        pub uid: u32,
        pub gid: u32,
        /// The commit time where absent.
        pub mtime: Option<i64>,
        /// The commit time where absent.
        pub atime: Option<i64>,
        pub content: FileContent,
    }

    pub struct DirectoryCreated {
        pub inode: u64,
        pub parent: u64,
        pub name: Vec<u8>,
        pub path: Vec<u8>,
        pub mode: u32,
        pub uid: u32,
        pub gid: u32,
    }

    pub struct SymlinkCreated {
        pub inode: u64,
        pub parent: u64,
        pub name: Vec<u8>,
        pub path: Vec<u8>,
        pub uid: u32,
        pub gid: u32,
        pub mtime: Option<i64>,
        pub target: Vec<u8>,
    }

    /// A fifo, socket or device: an entry that programs open, with no content here.
    pub struct NodeCreated {
        pub inode: u64,
        pub parent: u64,
        pub name: Vec<u8>,
        pub path: Vec<u8>,
        /// The entry type's number: 7 fifo, 8 socket, 9 character device, 10 block device.
        pub kind: u8,
        pub mode: u32,
        pub uid: u32,
        pub gid: u32,
        pub mtime: Option<i64>,
        /// Of a device, its major number in the upper half and its minor number in the lower.
        pub device: u64,
    }

    /// A further hard link.
    pub struct Linked {
        pub inode: u64,
        pub parent: u64,
        pub name: Vec<u8>,
        pub path: Vec<u8>,
    }

    /// A name of a file or symlink was removed.
    pub struct Unlinked {
        pub inode: u64,
        pub parent: u64,
        pub name: Vec<u8>,
        pub path: Vec<u8>,
        /// It was the last name and the file is held open: it lives on as an orphan.
        pub orphaned: bool,
        /// The first link was removed and this further link takes its place in the inode row.
        pub promoted: Option<LinkName>,
    }

    pub struct DirectoryRemoved {
        pub inode: u64,
        pub parent: u64,
        pub name: Vec<u8>,
        pub path: Vec<u8>,
    }

    pub struct Renamed {
        pub inode: u64,
        pub from_parent: u64,
        pub from_name: Vec<u8>,
        pub from_path: Vec<u8>,
        pub to_parent: u64,
        pub to_name: Vec<u8>,
        pub to_path: Vec<u8>,
        /// The inode that had the target name, 0 if none.
        pub replaced: u64,
        pub replaced_orphaned: bool,
        pub replaced_promoted: Option<LinkName>,
    }

    pub struct AttributesSet {
        pub inode: u64,
        pub path: Vec<u8>,
        pub mode: Option<u32>,
        pub uid: Option<u32>,
        pub gid: Option<u32>,
        pub atime: Option<i64>,
        pub mtime: Option<i64>,
        pub mime: Option<String>,
    }

    pub struct XattrSet {
        pub inode: u64,
        pub path: Vec<u8>,
        pub name: Vec<u8>,
        pub value: Vec<u8>,
    }

    pub struct XattrRemoved {
        pub inode: u64,
        pub path: Vec<u8>,
        pub name: Vec<u8>,
    }

    /// Two names changed places, each with what stands under it.
    pub struct Exchanged {
        pub inode: u64,
        pub parent: u64,
        pub name: Vec<u8>,
        pub path: Vec<u8>,
        pub other: u64,
        pub other_parent: u64,
        pub other_name: Vec<u8>,
        pub other_path: Vec<u8>,
    }

    /// A directory without a name: what is built in it is seen once it is attached.
    pub struct DetachedCreated {
        pub inode: u64,
        pub mode: u32,
        pub uid: u32,
        pub gid: u32,
    }

    /// A detached directory got its name, and all that is in it with it.
    pub struct Attached {
        pub inode: u64,
        pub parent: u64,
        pub name: Vec<u8>,
        pub path: Vec<u8>,
    }

    /// Content of a body that no inode has yet; a later record attaches it.
    pub struct ContentStored {
        pub body: u64,
        pub pieces: Vec<Piece>,
        pub foreign: Vec<ForeignChunk>,
    }

    /// Bytes of a file were written.
    pub struct Written {
        pub inode: u64,
        pub path: Vec<u8>,
        pub offset: u64,
        pub length: u64,
        /// All that the file had before is gone: this is its whole content.
        pub replace: bool,
        /// Size and body after the write; the pieces are what was written.
        pub content: FileContent,
    }

    pub struct Truncated {
        pub inode: u64,
        pub path: Vec<u8>,
        pub size: u64,
    }

    /// A run of a file's bytes became a hole; its size stays.
    pub struct Punched {
        pub inode: u64,
        pub path: Vec<u8>,
        pub offset: u64,
        pub length: u64,
        /// The file's body after the event; 0 where it needs none.
        pub body: u64,
    }

    /// Unlinked files whose last handle was closed, or was lost with its process, and detached directories given up.
    pub struct OrphansReleased {
        pub inodes: Vec<u64>,
    }

    /// A call was refused. The context says to whom.
    pub struct Refused {
        /// [`super::Syscall`] code.
        pub syscall: u16,
        /// [`super::Reason`] code.
        pub reason: u16,
        /// 0 where no inode was reached.
        pub inode: u64,
        pub path: Vec<u8>,
    }

    pub struct RefusalCount {
        pub syscall: u16,
        pub reason: u16,
        pub inode: u64,
        pub count: u64,
    }

    /// Repeats of refusals in one second, beyond the first of each which has a record of its own.
    pub struct RefusalsCounted {
        pub from_ns: u64,
        pub until_ns: u64,
        pub counts: Vec<RefusalCount>,
        /// Repeats that were not counted by kind because there were too many kinds.
        pub collapsed: u64,
    }

    /// Calls that read one inode.
    pub struct AccessCount {
        /// [`super::Syscall`] code.
        pub syscall: u16,
        /// 0 where what was read is the log itself.
        pub inode: u64,
        /// The past position that was read at; 0 where it was the latest.
        pub at: u64,
        pub calls: u64,
        pub bytes: u64,
    }

    /// What the actor of the context read.
    pub struct Accessed {
        pub from_ns: u64,
        pub until_ns: u64,
        /// One for each syscall, inode and position.
        pub inodes: Vec<AccessCount>,
        /// Of further inodes the directory that held each.
        pub directories: Vec<AccessCount>,
        /// Calls that were not told apart because there were too many kinds of them.
        pub collapsed_calls: u64,
        pub collapsed_bytes: u64,
        /// Where one call is a record of its own.
        pub strict: Option<StrictAccess>,
    }

    /// A call whose record was durable before its answer was given.
    pub struct StrictAccess {
        pub path: Vec<u8>,
        /// [`super::Reason`] code of a call that failed; 0 where it was answered.
        pub reason: u16,
    }
}
