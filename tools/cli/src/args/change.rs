//! What the verbs take that change bytes in place, copy, make nodes, or make many changes.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::expect::{ExistingArgs, ExpectArgs, NewArgs};
use super::size;
use crate::at::{self, Position};
use crate::mode;
use crate::names::ZonePath;

#[derive(Debug, Args)]
pub(crate) struct AppendArgs {
    /// The file
    pub(crate) path: ZonePath,
    #[command(flatten)]
    pub(crate) expect: ExistingArgs,
}

#[derive(Debug, Args)]
pub(crate) struct EditArgs {
    /// The file
    pub(crate) path: ZonePath,
    /// The text to find, or @FILE for the bytes of a file of this machine (@@ for a text that begins with @)
    #[arg(long, value_name = "TEXT|@FILE", required = true, allow_hyphen_values = true)]
    pub(crate) find: Vec<OsString>,
    /// What takes its place; one for each --find, in their order
    #[arg(long, value_name = "TEXT|@FILE", required = true, allow_hyphen_values = true)]
    pub(crate) replace: Vec<OsString>,
    /// Every occurrence; otherwise a text that is there more than once is refused
    #[arg(long)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) expect: ExistingArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PunchArgs {
    /// The file
    pub(crate) path: ZonePath,
    /// Where the hole begins; K, M, G and T as with truncate
    #[arg(long, value_name = "BYTES", value_parser = size)]
    pub(crate) offset: u64,
    /// How long it is
    #[arg(long, value_name = "BYTES", value_parser = size)]
    pub(crate) length: u64,
    #[command(flatten)]
    pub(crate) expect: ExistingArgs,
}

/// The types of mknod(1), and `s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum NodeType {
    /// A fifo
    P,
    /// A socket
    S,
    /// A character device
    #[value(alias = "u")]
    C,
    /// A block device
    B,
}

#[derive(Debug, Args)]
pub(crate) struct MknodArgs {
    /// Where
    pub(crate) path: ZonePath,
    /// What it is
    #[arg(value_name = "TYPE")]
    pub(crate) node: NodeType,
    /// Major number of a device
    pub(crate) major: Option<u32>,
    /// Minor number of a device
    pub(crate) minor: Option<u32>,
    /// Permission bits
    #[arg(short, long, value_name = "MODE", default_value = "644", value_parser = mode::octal)]
    pub(crate) mode: u32,
    #[command(flatten)]
    pub(crate) expect: NewArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CpArgs {
    /// What to copy, and where to: SRC... DST
    #[arg(value_name = "PATH", required = true, num_args = 2..)]
    pub(crate) paths: Vec<ZonePath>,
    /// Directories and all that is in them
    #[arg(short, long, visible_short_alias = 'R')]
    pub(crate) recursive: bool,
    /// Copy what was there in the past: at a position of the log, or at a time
    #[arg(long, value_name = "SEQ|TIME", value_parser = at::position)]
    pub(crate) at: Option<Position>,
    /// Fail where the new name is taken
    #[arg(short, long)]
    pub(crate) no_clobber: bool,
    /// Take the destination as the new name even where it is a directory
    #[arg(short = 'T', long)]
    pub(crate) no_target_directory: bool,
    #[command(flatten)]
    pub(crate) expect: ExpectArgs,
}

#[derive(Debug, Args)]
pub(crate) struct BatchArgs {
    /// A file of this machine with a JSON object per line; - is standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// All changes as one record, or none
    #[arg(long)]
    pub(crate) atomic: bool,
}
