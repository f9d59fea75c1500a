//! An inode: attributes, its first link, its content.

use nexus_log::ids::{Body, ChunkHash, ChunkRef, Inode};

use super::{Reader, RowError, Writer};

/// Entry types, by the numbers that surfaces show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum FileKind {
    #[default]
    Regular = 0,
    Directory = 1,
    Link = 6,
    Fifo = 7,
    Socket = 8,
    CharDevice = 9,
    BlockDevice = 10,
}

impl FileKind {
    pub const ALL: [FileKind; 7] = [
        FileKind::Regular,
        FileKind::Directory,
        FileKind::Link,
        FileKind::Fifo,
        FileKind::Socket,
        FileKind::CharDevice,
        FileKind::BlockDevice,
    ];

    #[must_use]
    pub fn from_code(code: u8) -> Option<FileKind> {
        FileKind::ALL.into_iter().find(|k| *k as u8 == code)
    }

    #[must_use]
    pub fn is_device(self) -> bool {
        matches!(self, FileKind::CharDevice | FileKind::BlockDevice)
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            FileKind::Regular => "file",
            FileKind::Directory => "directory",
            FileKind::Link => "symlink",
            FileKind::Fifo => "fifo",
            FileKind::Socket => "socket",
            FileKind::CharDevice => "char_device",
            FileKind::BlockDevice => "block_device",
        }
    }
}

/// What a file's bytes are made of. Bytes up to the size that nothing here covers are zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Content {
    #[default]
    None,
    /// The first `length` bytes of one chunk, from the file's start.
    One { chunk: ChunkRef, length: u32 },
    /// The extents of a body.
    Body(Body),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InodeRow {
    pub kind: FileKind,
    /// Permission bits, setuid, setgid and sticky: 0o7777.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Names of a file; a directory's are counted from its [`super::TimesRow`].
    pub nlink: u32,
    pub size: u64,
    /// Grows with every change; a directory's stands in its [`super::TimesRow`].
    pub version: u64,
    /// The first link. Further ones stand in table link.
    pub parent: Inode,
    pub name: Vec<u8>,
    pub content: Content,
    /// BLAKE3 of the whole content where one operation wrote all of it in several chunks; of a single chunk, its hash
    /// says it.
    pub content_id: Option<ChunkHash>,
    /// A directory's times stand in its [`super::TimesRow`].
    pub mtime: i64,
    pub ctime: i64,
    pub atime: i64,
    pub birth: i64,
    /// The agent that created it.
    pub owner: String,
    /// Of a symlink.
    pub target: Vec<u8>,
    pub mime: String,
    /// Of a device: major number in the upper half, minor number in the lower.
    pub device: u64,
}

const HAS_ONE: u8 = 1;
const HAS_BODY: u8 = 2;
const HAS_ID: u8 = 4;
const HAS_TARGET: u8 = 8;
const HAS_MIME: u8 = 16;
const HAS_DEVICE: u8 = 32;

impl InodeRow {
    /// Memory that the row takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let heap = [self.name.capacity(), self.owner.capacity(), self.target.capacity(), self.mime.capacity()];
        size_of::<InodeRow>() + heap.iter().sum::<usize>()
    }

    fn flags(&self) -> u8 {
        let content = match self.content {
            Content::None => 0,
            Content::One { .. } => HAS_ONE,
            Content::Body(_) => HAS_BODY,
        };
        let id = if self.content_id.is_some() { HAS_ID } else { 0 };
        let target = if self.target.is_empty() { 0 } else { HAS_TARGET };
        let mime = if self.mime.is_empty() { 0 } else { HAS_MIME };
        let device = if self.device == 0 { 0 } else { HAS_DEVICE };
        content | id | target | mime | device
    }

    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.byte(self.kind as u8);
        out.byte(self.flags());
        let numbers = [
            self.mode.into(),
            self.uid.into(),
            self.gid.into(),
            self.nlink.into(),
            self.size,
            self.version,
            self.parent.0,
        ];
        numbers.into_iter().for_each(|n| out.number(n));
        out.bytes(&self.name);
        [self.mtime, self.ctime, self.atime, self.birth].into_iter().for_each(|t| out.time(t));
        out.bytes(self.owner.as_bytes());
        match &self.content {
            Content::None => {}
            Content::One { chunk, length } => {
                out.chunk(chunk);
                out.number(u64::from(*length));
            }
            Content::Body(body) => out.number(body.0),
        }
        if let Some(id) = &self.content_id {
            out.raw(&id.0);
        }
        if !self.target.is_empty() {
            out.bytes(&self.target);
        }
        if !self.mime.is_empty() {
            out.bytes(self.mime.as_bytes());
        }
        if self.device != 0 {
            out.number(self.device);
        }
        out.finish()
    }

    pub fn decode(bytes: &[u8]) -> Result<InodeRow, RowError> {
        let mut from = Reader::new(bytes, "inode");
        let kind = FileKind::from_code(from.byte()?).ok_or(from.bad())?;
        let flags = from.byte()?;
        let mut row = InodeRow {
            kind,
            mode: from.number32()?,
            uid: from.number32()?,
            gid: from.number32()?,
            nlink: from.number32()?,
            size: from.number()?,
            version: from.number()?,
            parent: Inode(from.number()?),
            name: from.bytes()?.to_vec(),
            mtime: from.time()?,
            ctime: from.time()?,
            atime: from.time()?,
            birth: from.time()?,
            owner: from.string()?,
            ..InodeRow::default()
        };
        row.content = match flags & (HAS_ONE | HAS_BODY) {
            0 => Content::None,
            HAS_ONE => Content::One { chunk: from.chunk()?, length: from.number32()? },
            HAS_BODY => Content::Body(Body(from.number()?)),
            _ => return Err(from.bad()),
        };
        if flags & HAS_ID != 0 {
            row.content_id = Some(from.hash()?);
        }
        if flags & HAS_TARGET != 0 {
            row.target = from.bytes()?.to_vec();
        }
        if flags & HAS_MIME != 0 {
            row.mime = from.string()?;
        }
        if flags & HAS_DEVICE != 0 {
            row.device = from.number()?;
        }
        from.end()?;
        match row.content {
            Content::One { chunk, length } if length > chunk.length => Err(from.bad()),
            _ => Ok(row),
        }
    }
}
