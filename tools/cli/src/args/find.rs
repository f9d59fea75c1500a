//! What the verbs that walk and find take.

use std::ffi::OsString;

use clap::{Args, Subcommand};

use super::{AtArg, size};
use crate::names::ZonePath;

#[derive(Debug, Args)]
pub(crate) struct GlobArgs {
    /// What to find: * and ? within a name, ** for any directories, {a,b}, [a-z], \ before what is meant as it is
    pub(crate) pattern: String,
    /// The directory that the pattern is relative to
    #[arg(default_value = "/")]
    pub(crate) base: ZonePath,
    /// Letters of ASCII match in either case
    #[arg(short, long)]
    pub(crate) ignore_case: bool,
    #[command(flatten)]
    pub(crate) at: AtArg,
}

#[derive(Debug, Args)]
pub(crate) struct GrepArgs {
    /// A regular expression, as ripgrep's; one that begins with - goes behind --
    pub(crate) pattern: String,
    /// Files, or directories to search whole
    #[arg(default_value = "/")]
    pub(crate) paths: Vec<ZonePath>,
    /// Match in either case
    #[arg(short, long)]
    pub(crate) ignore_case: bool,
    /// The pattern is text, not an expression
    #[arg(short = 'F', long)]
    pub(crate) fixed_strings: bool,
    /// Show the numbers of lines
    #[arg(short = 'n', long)]
    pub(crate) line_number: bool,
    /// Show only which files match
    #[arg(short = 'l', long, conflicts_with = "count")]
    pub(crate) files_with_matches: bool,
    /// Show only how many lines of each file match
    #[arg(short, long)]
    pub(crate) count: bool,
    /// Lines to show behind each match
    #[arg(short = 'A', long, value_name = "N")]
    pub(crate) after_context: Option<usize>,
    /// Lines to show before each match
    #[arg(short = 'B', long, value_name = "N")]
    pub(crate) before_context: Option<usize>,
    /// Lines to show on both sides of each match
    #[arg(short = 'C', long, value_name = "N", default_value_t = 0)]
    pub(crate) context: usize,
    /// Stop searching a file after N lines that match
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_count: Option<u64>,
    /// Below directories search only files that the pattern matches, or with ! before it none that it matches; the
    /// last that matches decides
    #[arg(short, long = "glob", value_name = "GLOB", allow_hyphen_values = true)]
    pub(crate) globs: Vec<String>,
    /// Search binary files too, and say only that they match
    #[arg(long)]
    pub(crate) binary: bool,
    /// Search binary files as if they were text
    #[arg(short = 'a', long, conflicts_with = "binary")]
    pub(crate) text: bool,
    /// Pass over larger files: bytes, or with K, M, G or T multiples of 1,024 of them
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) max_filesize: Option<u64>,
    #[command(flatten)]
    pub(crate) at: AtArg,
}

#[derive(Debug, Args)]
pub(crate) struct TreeArgs {
    /// Where to begin
    #[arg(default_value = "/")]
    pub(crate) path: ZonePath,
    /// Levels to show
    #[arg(short = 'L', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) level: Option<u32>,
    /// Directories only
    #[arg(short, long)]
    pub(crate) directories: bool,
    #[command(flatten)]
    pub(crate) at: AtArg,
}

#[derive(Debug, Subcommand)]
pub(crate) enum XattrVerb {
    /// Show the value of an attribute, so that `set` takes it back
    #[command(after_help = "Example: nexus xattr get /docs/a.txt user.origin --at yesterday")]
    Get(XattrGetArgs),
    /// Set an attribute
    #[command(after_help = "Example: nexus xattr set /docs/a.txt user.origin web")]
    Set(XattrSetArgs),
    /// Remove an attribute
    #[command(after_help = "Example: nexus xattr rm /docs/a.txt user.origin")]
    Rm(XattrRmArgs),
    /// List the attributes of a path
    #[command(after_help = "Example: nexus xattr ls -l /docs/a.txt")]
    Ls(XattrLsArgs),
}

#[derive(Debug, Args)]
pub(crate) struct XattrGetArgs {
    /// Of what; a symbolic link is not followed
    pub(crate) path: ZonePath,
    /// Its name
    pub(crate) name: OsString,
    /// Show the value in hex
    #[arg(long)]
    pub(crate) hex: bool,
    #[command(flatten)]
    pub(crate) at: AtArg,
}

#[derive(Debug, Args)]
pub(crate) struct XattrSetArgs {
    /// Of what; a symbolic link is not followed
    pub(crate) path: ZonePath,
    /// Its name
    pub(crate) name: OsString,
    /// Text, or bytes as 0x and hex or 0s and base64
    #[arg(default_value = "", allow_hyphen_values = true)]
    pub(crate) value: OsString,
}

#[derive(Debug, Args)]
pub(crate) struct XattrRmArgs {
    /// Of what; a symbolic link is not followed
    pub(crate) path: ZonePath,
    /// Its name
    pub(crate) name: OsString,
}

#[derive(Debug, Args)]
pub(crate) struct XattrLsArgs {
    /// Of what; a symbolic link is not followed
    pub(crate) path: ZonePath,
    /// With values
    #[arg(short, long)]
    pub(crate) long: bool,
    /// Show values in hex
    #[arg(long)]
    pub(crate) hex: bool,
    #[command(flatten)]
    pub(crate) at: AtArg,
}
