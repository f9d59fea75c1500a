//! Which files of a tree are searched: globs to search and not to search, the last that matches decides.

use globset::GlobSet;
use nexus_log::event::Reason;
use nexus_projections::row::FileKind;

use super::super::glob::{compile, is_match};
use super::super::walker::{Guide, Judged, Step};
use crate::error::{Error, Result};
use crate::limits::GREP_GLOBS_MAX;

struct Rule {
    matcher: GlobSet,
    search: bool,
    directories_only: bool,
}

pub(super) struct Select {
    rules: Vec<Rule>,
    /// Whether a file that no rule is about is searched: where nothing is asked for, everything is.
    otherwise: bool,
}

impl Rule {
    fn new(glob: &str) -> Result<Rule> {
        let (search, pattern) = glob.strip_prefix('!').map_or((true, glob), |pattern| (false, pattern));
        let (directories_only, pattern) = pattern.strip_suffix('/').map_or((false, pattern), |pattern| (true, pattern));
        let from_the_base = pattern.contains('/');
        let pattern = pattern.strip_prefix('/').unwrap_or(pattern);
        let matcher = match from_the_base {
            true => compile(pattern, false)?,
            false => compile(&format!("**/{pattern}"), false)?,
        };
        Ok(Rule { matcher, search, directories_only })
    }
}

impl Select {
    pub(super) fn new(globs: &[&str]) -> Result<Select> {
        if globs.len() > GREP_GLOBS_MAX {
            let message = format!("{} globs were given; at most {GREP_GLOBS_MAX}", globs.len());
            return Err(Error::new(Reason::TooLarge, message));
        }
        let rules = globs.iter().map(|glob| Rule::new(glob)).collect::<Result<Vec<Rule>>>()?;
        let otherwise = !rules.iter().any(|rule| rule.search);
        Ok(Select { rules, otherwise })
    }

    fn wants(&self, path: &[u8], directory: bool) -> Option<bool> {
        let about = |rule: &&Rule| (directory || !rule.directories_only) && is_match(&rule.matcher, path);
        self.rules.iter().rev().find(about).map(|rule| rule.search)
    }
}

impl Guide for Select {
    fn judge(&self, step: Step<'_>) -> Judged {
        match step.kind {
            FileKind::Directory => Judged { show: false, enter: self.wants(step.path, true).unwrap_or(true) },
            FileKind::Regular => Judged { show: self.wants(step.path, false).unwrap_or(self.otherwise), enter: false },
            _ => Judged { show: false, enter: false },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_glob_that_matches_decides() {
        let searched = |globs: &[&str], path: &str| {
            let select = Select::new(globs).unwrap();
            select.wants(path.as_bytes(), false).unwrap_or(select.otherwise)
        };
        assert!(searched(&[], "a/b.rs"));
        assert!(searched(&["*.rs"], "a/b.rs") && !searched(&["*.rs"], "a/b.md"));
        assert!(!searched(&["!*.rs"], "a/b.rs") && searched(&["!*.rs"], "a/b.md"));
        assert!(!searched(&["*.rs", "!b.*"], "a/b.rs") && searched(&["!b.*", "*.rs"], "a/b.rs"));
        assert!(searched(&["/a/*.rs"], "a/b.rs") && !searched(&["/*.rs"], "a/b.rs"));
        assert!(searched(&["a/**"], "a/c/b.rs") && !searched(&["b/"], "b"));
        let select = Select::new(&["!target/"]).unwrap();
        assert_eq!((select.wants(b"x/target", true), select.wants(b"x/target", false)), (Some(false), None));
        assert!(Select::new(&["[z-a]"]).is_err() && Select::new(&vec!["a"; 300]).is_err());
    }
}
