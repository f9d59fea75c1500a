//! The verbs and what each takes. The doc comments here are what `--help` prints.

mod change;
mod expect;
mod find;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use jiff::Timestamp;
use nexus_engine::ReadPolicy;
use nexus_engine::watch::Token;
use nexus_log::event::{KINDS, Kind, Outcome};

pub(crate) use find::{GlobArgs, GrepArgs, TreeArgs, XattrGetArgs, XattrLsArgs, XattrRmArgs, XattrSetArgs, XattrVerb};

pub(crate) use self::change::{AppendArgs, BatchArgs, CpArgs, EditArgs, MknodArgs, NodeType, PunchArgs};
pub(crate) use self::expect::{ExistingArgs, ExpectArgs, NewArgs, options};
use crate::at::{self, Position};
use crate::mode::{self, ModeChange};
use crate::names::{Owner, ZonePath};

/// What `nexus help` shows: the verbs by what they are for.
const OVERVIEW: &str = "\
Begin:
  init       make a data directory

Look (now, or at any past position with --at):
  ls         list a directory, with -R all below it
  tree       show a directory and all below it as a tree
  stat       show all attributes of a path
  cat        write a file's bytes to standard output
  glob       find paths by a pattern
  grep       find lines in files by a regular expression

Change:
  put        store standard input as a file, or write it into one
  append     write standard input at a file's end
  edit       replace text in a file
  touch      create an empty file, or set a file's times to now
  mkdir      make directories
  ln         give a file a further name, or make a symbolic link
  mknod      make a fifo, a socket or a device
  cp         copy, also from the past with --at: content is shared, not moved
  mv         rename, or exchange two names
  rm         remove files, or whole directories with -r
  rmdir      remove an empty directory
  chmod      set permission bits
  chown      set owner and group
  truncate   set a file's size
  xattr      read and set extended attributes
  punch      make a hole in a file
  batch      make many changes, one per line of JSON; all or none with --atomic

Move trees:
  import     make a tree of this machine a tree of the zone; again, and only changes move
  export     make a tree of the zone a tree of this machine; likewise

History:
  log        what happened: to a path, by an agent, in the zone
  tail       what happened from some point on, and with --follow what happens
  usage      operations and bytes per agent and hour

Care:
  doctor     look at the data directory: what is wrong, and what to run
  policy     how reads are recorded, by path
  clock      the clock that the zone goes by
  verify     check every record and every byte of content, and the tables against the log
  rebuild    fold the log into new tables and compare
  bench      measure the canonical workload beside the raw disk, or everything beside other engines

Paths are /a/b in the zone root, or zone:/a/b.
Positions are the numbers that `nexus log` shows; times are RFC 3339, or local: 2026-03-04 05:06, \"2h ago\", yesterday.
A verb on several paths goes on after one that fails, and fails at its end.
Exit status: 0 done, 1 refused or failed (of grep: nothing matched), 2 usage, 3 damage.
`nexus help VERB` says more about a verb, with an example.";

const TEMPLATE: &str = "{about}\n\n{usage-heading} {usage}{after-help}\n\n{options}\n";

/// A filesystem for software agents whose truth is its log.
#[derive(Debug, Parser)]
#[command(name = "nexus", version, after_help = OVERVIEW, help_template = TEMPLATE, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every verb")]
pub(crate) struct Global {
    /// The data directory
    #[arg(long, global = true, env = "NEXUS_DATA", value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// The agent that acts [env: NEXUS_AGENT] [default: the OS user]; with `log` and `tail`, whose changes to show; with `usage`, whose usage
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) agent: Option<String>,
    /// What the agent groups its work by [env: NEXUS_SESSION]; with `log`, which session's changes to show
    #[arg(long, global = true, value_name = "ID")]
    pub(crate) session: Option<String>,
    /// Names the request: asked again with the same name, one change happens once and the first answer comes again.
    /// Noted with each change where a verb makes several; with `log`, which request's changes to show
    #[arg(long, global = true, value_name = "ID")]
    pub(crate) request_id: Option<String>,
    /// Print JSON lines (docs/JSON.md)
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// No notices and no progress
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
}

/// The position that a reading verb reads at.
#[derive(Debug, Args)]
pub(crate) struct AtArg {
    /// Read the past: a position of the log, or a time
    #[arg(long, value_name = "SEQ|TIME", value_parser = at::position)]
    pub(crate) at: Option<Position>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Make a data directory
    #[command(after_help = "Example: nexus --data /srv/nexus init")]
    Init(InitArgs),
    /// List a directory, sorted by name
    #[command(after_help = "Example: nexus ls -l /docs --at yesterday")]
    Ls(LsArgs),
    /// Show a directory and all below it as a tree
    #[command(after_help = "Example: nexus tree /docs -L 2 --at yesterday")]
    Tree(TreeArgs),
    /// Find paths by a pattern, in the order of names
    ///
    /// The pattern is relative to the base, `/` unless another is given. A leading dot is nothing special, symbolic links
    /// are not followed, and only directories in which something can match are looked into.
    #[command(after_help = "Example: nexus glob 'docs/**/*.{md,txt}' --at yesterday")]
    Glob(GlobArgs),
    /// Find lines in files by a regular expression
    ///
    /// Directories are searched whole; symbolic links in them are not followed. A file with a NUL in it is binary: it is
    /// not searched further below a directory, and where it is named itself is only said to match. Exit status: 0
    /// something matched, 1 nothing matched or something could not be searched, which is then said.
    #[command(after_help = "Examples: nexus grep -n 'TODO|FIXME' /src --glob '*.rs' --glob '!target/'\n          \
                            nexus grep -iF -C 2 error /logs --at '2h ago'")]
    Grep(GrepArgs),
    /// Show all attributes of a path
    #[command(after_help = "Example: nexus stat /docs/a.txt --json")]
    Stat(StatArgs),
    /// Write a file's bytes to standard output
    #[command(after_help = "Example: nexus cat /docs/a.txt --at 20 --offset 100 --length 50")]
    Cat(CatArgs),
    /// Store standard input as a file's whole content in one atomic step, or write it into a file at an offset
    #[command(after_help = "Example: echo hello | nexus put /docs/a.txt")]
    Put(PutArgs),
    /// Write standard input at a file's end, as one atomic step of at most 8 MiB
    #[command(after_help = "Example: date | nexus append /docs/diary.txt --request-id entry-17")]
    Append(AppendArgs),
    /// Replace text in a file; all edits are one atomic step
    ///
    /// A text must be there exactly once, unless --all is given. --find and --replace come in pairs, made one after the
    /// other.
    #[command(
        after_help = "Example: nexus edit /docs/a.txt --find colour --replace color --find @old.txt --replace @new.txt"
    )]
    Edit(EditArgs),
    /// Create an empty file, or set the times of what exists
    #[command(after_help = "Example: nexus touch /docs/a.txt")]
    Touch(TouchArgs),
    /// Make directories
    #[command(after_help = "Example: nexus mkdir -p /docs/2026/march")]
    Mkdir(MkdirArgs),
    /// Give a file a further name, or make a symbolic link with -s
    #[command(after_help = "Example: nexus ln -s ../a.txt /docs/link")]
    Ln(LnArgs),
    /// Make a fifo (p), a socket (s), a character device (c) or a block device (b)
    #[command(after_help = "Examples: nexus mknod /run/pipe p; nexus mknod /dev/null c 1 3 -m 666")]
    Mknod(MknodArgs),
    /// Copy files, or whole trees with -r; into the destination where that is a directory
    ///
    /// Content is referred to, not moved, so a copy of any size is quick and takes no space. An existing file gets the
    /// content of a copied file; a tree needs a free name, and appears at once. With --at what was there in the past is
    /// brought back.
    #[command(after_help = "Examples:
  nexus cp /docs/a.txt /docs/b.txt
  nexus cp --at yesterday /docs/a.txt /docs/a.txt    (bring back yesterday's version)
  nexus cp -r --at 4711 /project /project-before     (a tree as record 4711 left it)")]
    Cp(CpArgs),
    /// Rename; into the destination where that is a directory
    #[command(after_help = "Examples: nexus mv /docs/a.txt /docs/b.txt; nexus mv --exchange /live /next")]
    Mv(MvArgs),
    /// Remove files, or directories and all that is in them with -r
    #[command(after_help = "Example: nexus rm -r /docs/old")]
    Rm(RmArgs),
    /// Remove an empty directory
    #[command(after_help = "Example: nexus rmdir /docs/empty")]
    Rmdir(RmdirArgs),
    /// Set permission bits
    #[command(after_help = "Example: nexus chmod u+x,go-w /docs/run.sh")]
    Chmod(ChmodArgs),
    /// Set owner and group
    #[command(after_help = "Example: nexus chown 1000:1000 /docs/a.txt")]
    Chown(ChownArgs),
    /// Set a file's size; what is added reads as zeros
    #[command(after_help = "Example: nexus truncate -s 4K /docs/a.txt")]
    Truncate(TruncateArgs),
    /// Read and set extended attributes
    ///
    /// Values are text. What is not text that can be shown is given and taken as 0s and base64, or 0x and hex, as getfattr
    /// and setfattr have it.
    #[command(
        subcommand,
        after_help = "Example: nexus xattr set /docs/a.txt user.origin web; nexus xattr ls -l /docs/a.txt"
    )]
    Xattr(XattrVerb),
    /// Make a run of a file a hole: it reads as zeros and takes no space; the size stays
    #[command(after_help = "Example: nexus punch /docs/a.txt --offset 4K --length 1M")]
    Punch(PunchArgs),
    /// Make many changes, one per line of JSON
    ///
    /// Each line is an object: {"op": "put", "path": "/a", "content": "text"}. docs/JSON.md lists the operations and
    /// their keys. Without --atomic each change is by itself, and an error in one leaves the others alone; with it all
    /// are one record, or none happens. Exit status 1 where a change failed.
    #[command(after_help = "Example: nexus batch changes.jsonl --atomic --request-id deploy-17")]
    Batch(BatchArgs),
    /// Make a tree of this machine a tree of the zone
    ///
    /// SRC becomes DST, as with `cp -aT`: modes, owners, times, symbolic and hard links, extended attributes and holes
    /// included. A further run moves only what changed, by size and modification time, and finishes a run that was
    /// killed.
    #[command(after_help = "Example: nexus import ~/project /project")]
    Import(ImportArgs),
    /// Make a tree of the zone a tree of this machine
    ///
    /// SRC becomes DST, as with `cp -aT`. A further run moves only what changed, by size and modification time.
    #[command(after_help = "Example: nexus export /project /tmp/project --at yesterday")]
    Export(ExportArgs),
    /// Show what happened, oldest first
    ///
    /// With a path: what happened to what the path names, under whatever names it had, and, of a directory, which
    /// names came and went in it. A path that is gone is looked up where it was last there. Content that is stored
    /// ahead of the record which attaches it shows in the zone's log only.
    #[command(after_help = "Examples: nexus log /docs/a.txt; nexus log --agent alice --since yesterday --json")]
    Log(LogArgs),
    /// Show what happened from some point on, and with --follow what happens
    ///
    /// The last line is a token: given back with --from, and the same PATH, --kind and --agent, it goes on exactly there.
    /// While another process holds the data directory, the files are read, and an event shows once they prove that it is
    /// on stable storage: within some 10 ms of a pause. --follow always reads the files, so that others can work on the
    /// directory; only a PATH needs the directory for a moment.
    #[command(after_help = "Examples: nexus tail --from yesterday; nexus tail --follow --kind file_created --json")]
    Tail(TailArgs),
    /// Show who used what: operations and bytes per agent and hour, counted from the log
    #[command(after_help = "Example: nexus usage --by agent --at yesterday")]
    Usage(UsageArgs),
    /// Set or show how reads are recorded
    #[command(after_help = "Example: nexus policy set /secrets reads=strict; nexus policy show /secrets")]
    Policy(PolicyArgs),
    /// Show the clock that the zone goes by; confirm this machine's where it stepped
    #[command(after_help = "Example: nexus clock; nexus clock confirm")]
    Clock(ClockArgs),
    /// Look at the data directory: what is wrong, and what to run
    ///
    /// Changes nothing, and may be run while another process holds the directory. The log is looked at where a crash
    /// or a fault shows: its end, its segments' names and sidecars. Every byte is the matter of `verify`.
    #[command(after_help = "Example: nexus doctor; echo $?   (0 nothing wrong, 1 a problem, 3 damage)")]
    Doctor(DoctorArgs),
    /// Check every record and every byte of content, and the tables against the log
    #[command(after_help = "Example: nexus verify; echo $?   (0 sound, 3 damage)")]
    Verify(VerifyArgs),
    /// Fold the log into new tables, compare them with those in use, and take them into use
    #[command(after_help = "Example: nexus rebuild --dry-run")]
    Rebuild(RebuildArgs),
    /// Measure the canonical workload beside the raw disk, in one run
    ///
    /// With --compare, SQLite, redb, fjall and plain files are measured beside it in the same run, and what was
    /// reached is held against the project's goals. That takes the program `nexus-bench-compare`, which stands beside
    /// this one: `cargo build --release -p nexus-benches`.
    #[command(after_help = "Examples: nexus bench --dir /srv --threads 1,8; nexus bench --compare --quick")]
    Bench(BenchArgs),
}

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Permission bits of the root directory
    #[arg(long, value_name = "MODE", default_value = "755", value_parser = mode::octal)]
    pub(crate) mode: u32,
    /// Owner of the root directory [default: the OS user and group]
    #[arg(long, value_name = "UID[:GID]")]
    pub(crate) owner: Option<Owner>,
    /// How reads are recorded: off, summary or strict [default: summary]; `nexus policy` changes it
    #[arg(long, value_name = "POLICY", value_parser = read_policy)]
    pub(crate) reads: Option<ReadPolicy>,
}

#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// What to list
    #[arg(default_value = "/")]
    pub(crate) path: ZonePath,
    /// Kind, mode, links, owner, group, size and time of each
    #[arg(short, long)]
    pub(crate) long: bool,
    /// All directories below too
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,
    #[command(flatten)]
    pub(crate) at: AtArg,
}

#[derive(Debug, Args)]
pub(crate) struct StatArgs {
    /// What to show
    #[arg(required = true)]
    pub(crate) paths: Vec<ZonePath>,
    /// Of what a symbolic link leads to, not of the link itself
    #[arg(short = 'L', long)]
    pub(crate) follow: bool,
    #[command(flatten)]
    pub(crate) at: AtArg,
}

#[derive(Debug, Args)]
pub(crate) struct CatArgs {
    /// The file, or files to write one after the other
    #[arg(required = true)]
    pub(crate) paths: Vec<ZonePath>,
    /// Bytes to skip
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    pub(crate) offset: u64,
    /// Bytes to write at most [default: all]
    #[arg(long, value_name = "BYTES")]
    pub(crate) length: Option<u64>,
    #[command(flatten)]
    pub(crate) at: AtArg,
}

#[derive(Debug, Args)]
pub(crate) struct PutArgs {
    /// The file
    pub(crate) path: ZonePath,
    /// Write at this offset into an existing file, instead of replacing all of it
    #[arg(long, value_name = "BYTES", conflicts_with_all = ["mode", "if_absent"])]
    pub(crate) offset: Option<u64>,
    /// Permission bits where the file is new
    #[arg(long, value_name = "MODE", default_value = "644", value_parser = mode::octal)]
    pub(crate) mode: u32,
    #[command(flatten)]
    pub(crate) expect: ExpectArgs,
}

#[derive(Debug, Args)]
pub(crate) struct TouchArgs {
    /// Where
    #[arg(required = true)]
    pub(crate) paths: Vec<ZonePath>,
    /// The time to set [default: now]
    #[arg(short, long, value_name = "TIME", value_parser = at::time)]
    pub(crate) date: Option<Timestamp>,
    /// Do not create anything
    #[arg(short = 'c', long, conflicts_with = "if_absent")]
    pub(crate) no_create: bool,
    #[command(flatten)]
    pub(crate) expect: ExpectArgs,
}

#[derive(Debug, Args)]
pub(crate) struct MkdirArgs {
    /// Where
    #[arg(required = true)]
    pub(crate) paths: Vec<ZonePath>,
    /// Make what is missing above, and be content with what exists
    #[arg(short, long, conflicts_with = "if_absent")]
    pub(crate) parents: bool,
    /// Permission bits
    #[arg(short, long, value_name = "MODE", default_value = "755", value_parser = mode::octal)]
    pub(crate) mode: u32,
    #[command(flatten)]
    pub(crate) expect: NewArgs,
}

#[derive(Debug, Args)]
pub(crate) struct LnArgs {
    /// What exists; with -s, any text
    pub(crate) target: OsString,
    /// The new name
    pub(crate) path: ZonePath,
    /// Make a symbolic link
    #[arg(short, long)]
    pub(crate) symbolic: bool,
    #[command(flatten)]
    pub(crate) expect: ExpectArgs,
}

#[derive(Debug, Args)]
pub(crate) struct MvArgs {
    /// The old name
    pub(crate) from: ZonePath,
    /// The new name, or the directory to move into
    pub(crate) to: ZonePath,
    /// Fail where the new name is taken
    #[arg(short, long)]
    pub(crate) no_replace: bool,
    /// Both names exist and change places
    #[arg(long, conflicts_with = "no_replace")]
    pub(crate) exchange: bool,
    /// Take the destination as the new name even where it is a directory
    #[arg(short = 'T', long)]
    pub(crate) no_target_directory: bool,
    #[command(flatten)]
    pub(crate) expect: ExistingArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RmArgs {
    /// Where
    #[arg(required = true)]
    pub(crate) paths: Vec<ZonePath>,
    /// Directories and all that is in them
    #[arg(short, long, visible_short_alias = 'R')]
    pub(crate) recursive: bool,
    /// Be content where there is nothing
    #[arg(short, long, conflicts_with_all = ["if_version", "if_exists"])]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) expect: ExistingArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RmdirArgs {
    /// Where
    #[arg(required = true)]
    pub(crate) paths: Vec<ZonePath>,
    #[command(flatten)]
    pub(crate) expect: ExistingArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ChmodArgs {
    /// Octal bits such as 644, or clauses such as u+x,go-w
    #[arg(allow_hyphen_values = true)]
    pub(crate) mode: ModeChange,
    /// Where
    #[arg(required = true)]
    pub(crate) paths: Vec<ZonePath>,
    /// Directories and all that is in them; symbolic links in them stay as they are
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,
    #[command(flatten)]
    pub(crate) expect: ExistingArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ChownArgs {
    /// UID, UID:GID or :GID, as numbers or names
    pub(crate) owner: Owner,
    /// Where
    #[arg(required = true)]
    pub(crate) paths: Vec<ZonePath>,
    /// Change a symbolic link itself
    #[arg(short = 'P', long)]
    pub(crate) no_dereference: bool,
    /// Directories and all that is in them; of symbolic links in them the links themselves
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,
    #[command(flatten)]
    pub(crate) expect: ExistingArgs,
}

#[derive(Debug, Args)]
pub(crate) struct TruncateArgs {
    /// The file
    pub(crate) path: ZonePath,
    /// Bytes, or with K, M, G or T multiples of 1,024 of them
    #[arg(short, long, value_name = "SIZE", value_parser = size)]
    pub(crate) size: u64,
    #[command(flatten)]
    pub(crate) expect: ExistingArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// A path of this machine
    #[arg(value_name = "SRC")]
    pub(crate) source: PathBuf,
    /// A path of the zone
    #[arg(value_name = "DST")]
    pub(crate) destination: ZonePath,
    #[command(flatten)]
    pub(crate) how: TransferArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// A path of the zone
    #[arg(value_name = "SRC")]
    pub(crate) source: ZonePath,
    /// A path of this machine
    #[arg(value_name = "DST")]
    pub(crate) destination: PathBuf,
    #[command(flatten)]
    pub(crate) how: TransferArgs,
    #[command(flatten)]
    pub(crate) at: AtArg,
}

#[derive(Debug, Args)]
pub(crate) struct TransferArgs {
    /// Compare contents, where otherwise equal size and modification time mean equal content
    #[arg(long)]
    pub(crate) checksum: bool,
    /// Remove below DST what SRC does not have
    #[arg(long)]
    pub(crate) delete: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// What the history is of [default: the zone]
    pub(crate) path: Option<ZonePath>,
    /// From this position or time on
    #[arg(long, value_name = "SEQ|TIME", value_parser = at::position)]
    pub(crate) since: Option<Position>,
    /// Up to this position or time
    #[arg(long, value_name = "SEQ|TIME", value_parser = at::position)]
    pub(crate) until: Option<Position>,
    /// Only events of these kinds: file_created, renamed, written, refused, ... (docs/EVENTS.md)
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = event_kind)]
    pub(crate) kind: Vec<Kind>,
    /// Only what was done, or only what was refused
    #[arg(long, value_name = "ok|refused", value_parser = outcome)]
    pub(crate) outcome: Option<Outcome>,
    /// Only the last N events
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Newest first
    #[arg(short, long)]
    pub(crate) reverse: bool,
}

#[derive(Debug, Args)]
pub(crate) struct UsageArgs {
    /// One line for each agent over all hours, or for each hour over all agents [default: for each of both]
    #[arg(long, value_name = "WHAT")]
    pub(crate) by: Option<UsageBy>,
    #[command(flatten)]
    pub(crate) at: AtArg,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum UsageBy {
    Agent,
    Hour,
}

#[derive(Debug, Args)]
pub(crate) struct PolicyArgs {
    #[command(subcommand)]
    pub(crate) action: PolicyAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyAction {
    /// Set how reads of a path, and of what is below it, are recorded
    Set {
        /// Where
        path: ZonePath,
        /// reads=off, reads=summary, reads=strict, or reads=inherit for what holds above
        #[arg(value_name = "reads=POLICY", value_parser = policy_setting)]
        setting: PolicySetting,
    },
    /// Show how reads of a path are recorded, and where that was set
    Show {
        /// Of what
        path: ZonePath,
        #[command(flatten)]
        at: AtArg,
    },
}

/// `reads=...` as typed; `None` inherits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PolicySetting(pub(crate) Option<ReadPolicy>);

#[derive(Debug, Args)]
pub(crate) struct ClockArgs {
    #[command(subcommand)]
    pub(crate) action: Option<ClockAction>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClockAction {
    /// Say that the clock of this machine is right, though it is far from the zone's
    Confirm,
}

fn read_policy(text: &str) -> Result<ReadPolicy, String> {
    let found = ReadPolicy::ALL.iter().find(|policy| policy.name() == text);
    found.copied().ok_or_else(|| "expected off, summary or strict".into())
}

fn policy_setting(text: &str) -> Result<PolicySetting, String> {
    match text.strip_prefix("reads=") {
        Some("inherit") => Ok(PolicySetting(None)),
        Some(policy) => read_policy(policy).map(|policy| PolicySetting(Some(policy))),
        None => Err("expected reads=off, reads=summary, reads=strict or reads=inherit".into()),
    }
}
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {}

#[derive(Debug, Args)]
pub(crate) struct TailArgs {
    /// What it is about: what the path names, and of a directory the names in it [default: the zone]
    pub(crate) path: Option<ZonePath>,
    /// All that is below the path, through renames
    #[arg(short, long, requires = "path", conflicts_with = "follow")]
    pub(crate) recursive: bool,
    /// Where to begin [default: the first record, with --follow now]
    #[arg(long, value_name = "SEQ|TIME|TOKEN", value_parser = tail_start)]
    pub(crate) from: Option<TailStart>,
    /// Go on until Ctrl-C
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only events of this kind; may be given again
    #[arg(long = "kind", value_name = "KIND", value_parser = event_kind)]
    pub(crate) kinds: Vec<Kind>,
}

/// Where a tail begins.
#[derive(Clone, Debug)]
pub(crate) enum TailStart {
    At(Position),
    Token(Token),
}

fn tail_start(text: &str) -> Result<TailStart, String> {
    if Token::is_meant(text) {
        return Token::parse(text).map(TailStart::Token).map_err(|error| error.to_string());
    }
    at::position(text).map(TailStart::At)
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {}

#[derive(Debug, Args)]
pub(crate) struct RebuildArgs {
    /// Compare only, and keep the tables in use
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Move the tables in use aside without reading them and fold new ones: for tables that cannot be opened
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) discard: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// A directory on the disk to measure
    #[arg(long, default_value = ".")]
    pub(crate) dir: PathBuf,
    /// Pairs of turns, ours and the raw disk's, per comparison
    #[arg(long, default_value_t = 8, conflicts_with = "compare")]
    pub(crate) pairs: usize,
    /// Numbers of threads
    #[arg(long, value_delimiter = ',', default_value = "1,8,64")]
    pub(crate) threads: Vec<usize>,
    /// Compare the two drivers of the appender, and writing zeros ahead with not
    #[arg(long, conflicts_with = "compare")]
    pub(crate) drivers: bool,
    /// Files of the populated zone
    #[arg(long, default_value_t = 20_000, conflicts_with = "compare")]
    pub(crate) files: u64,
    /// Beside other engines too, and against the goals: about half an hour
    #[arg(long)]
    pub(crate) compare: bool,
    /// With --compare: three to four minutes, with fewer files
    #[arg(long, requires = "compare")]
    pub(crate) quick: bool,
    /// With --compare --quick: sustained rates over the full minute all the same
    #[arg(long, requires = "compare")]
    pub(crate) sustained: bool,
    /// With --compare: ten million files, which takes 30 GB of disk and most of an hour
    #[arg(long, requires = "compare", conflicts_with = "quick")]
    pub(crate) large: bool,
}

fn event_kind(text: &str) -> Result<Kind, String> {
    Kind::named(text).ok_or_else(|| {
        let names: Vec<&str> = KINDS.iter().map(|(_, _, name)| *name).collect();
        format!("there is no such kind of event; the kinds are {}", names.join(", "))
    })
}

fn outcome(text: &str) -> Result<Outcome, String> {
    let outcomes = [Outcome::Ok, Outcome::Refused];
    outcomes.into_iter().find(|outcome| outcome.name() == text).ok_or_else(|| "say ok or refused".into())
}

fn size(text: &str) -> Result<u64, String> {
    let shift = match text.bytes().last().map(|byte| byte.to_ascii_uppercase()) {
        Some(b'K') => 10,
        Some(b'M') => 20,
        Some(b'G') => 30,
        Some(b'T') => 40,
        _ => 0,
    };
    let digits = &text[..text.len() - usize::from(shift > 0)];
    // Signs mean something elsewhere (relative sizes); here they would be taken for nothing.
    let number: Option<u64> = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
    let bytes = number.and_then(|number| number.checked_mul(1 << shift));
    bytes.ok_or_else(|| "expected a number of bytes such as 4096, 4K or 2M".into())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_is_sound_and_the_overview_names_every_verb() {
        let command = Cli::command();
        command.clone().debug_assert();
        for verb in command.get_subcommands() {
            let line = format!("\n  {:<10} ", verb.get_name());
            assert!(OVERVIEW.contains(&line), "{} is missing from the overview", verb.get_name());
            let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains(&format!("nexus {}", verb.get_name())) || verb.get_name() == "init", "{help}");
        }
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!((size("0"), size("4k"), size("2M")), (Ok(0), Ok(4096), Ok(2 << 20)));
        for text in ["", "K", "-1", "+5", "1X", "99999999999T"] {
            assert!(size(text).is_err(), "{text:?}");
        }
    }
}
