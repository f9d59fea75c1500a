//! Paths: absolute, dots resolved lexically, one hop of a symlink followed (SPEC part A).

use nexus_log::event::Reason;

use super::{Detail, ROOT, Tree};
use crate::op::{Name, Place};

/// A name in a directory and what stands there; without a name, the directory itself.
#[derive(Clone, Debug)]
pub(super) struct Spot {
    pub(super) parent: u64,
    pub(super) name: Option<Vec<u8>>,
    pub(super) found: Option<u64>,
}

fn check_name(name: &[u8]) -> Result<(), Reason> {
    if name.is_empty() || name == b"." || name == b".." || name.contains(&b'/') || name.contains(&0) {
        return Err(Reason::Invalid);
    }
    if name.len() > 255 { Err(Reason::NameTooLong) } else { Ok(()) }
}

fn components(path: &[u8]) -> Result<Vec<Vec<u8>>, Reason> {
    if path.first() != Some(&b'/') {
        return Err(Reason::Invalid);
    }
    if path.len() > 4096 {
        return Err(Reason::NameTooLong);
    }
    let mut components: Vec<Vec<u8>> = Vec::new();
    for part in path.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(components.pop()),
            name => {
                check_name(name)?;
                components.push(name.to_vec());
            }
        }
    }
    Ok(components)
}

impl Tree {
    fn lookup(&self, directory: u64, name: &[u8]) -> Option<u64> {
        self.nodes[&directory].entries().find(|(n, _)| *n == name).map(|(_, inode)| inode)
    }

    /// Walks from the directory that `above` ends in, which it leaves where the walk ended.
    fn walk(&self, above: &mut Vec<u64>, names: &[Vec<u8>], follow: bool, hops: u32) -> Result<Spot, Reason> {
        let Some((last, directories)) = names.split_last() else {
            return Ok(Spot { parent: *above.last().unwrap(), name: None, found: None });
        };
        for name in directories {
            let inode = self.lookup(*above.last().unwrap(), name).ok_or(Reason::NotFound)?;
            let inode = match &self.nodes[&inode].detail {
                Detail::Link(target) => match self.follow(above, target, hops)? {
                    Spot { name: None, .. } => continue,
                    Spot { found, .. } => found.ok_or(Reason::NotFound)?,
                },
                _ => inode,
            };
            if !self.nodes[&inode].is_directory() {
                return Err(Reason::NotDir);
            }
            above.push(inode);
        }
        let parent = *above.last().unwrap();
        let found = self.lookup(parent, last);
        if let (true, Some(inode)) = (follow, found)
            && let Detail::Link(target) = &self.nodes[&inode].detail
        {
            return self.follow(above, target, hops);
        }
        Ok(Spot { parent, name: Some(last.clone()), found })
    }

    fn follow(&self, above: &mut Vec<u64>, target: &[u8], hops: u32) -> Result<Spot, Reason> {
        if hops == 1 {
            return Err(Reason::LinkLoop);
        }
        if target.starts_with(b"/") {
            above.truncate(1);
        }
        let mut names: Vec<Vec<u8>> = Vec::new();
        for part in target.split(|b| *b == b'/') {
            match part {
                b"" | b"." => {}
                b".." if names.is_empty() => above.truncate((above.len() - 1).max(1)),
                b".." => drop(names.pop()),
                name => names.push(name.to_vec()),
            }
        }
        self.walk(above, &names, true, hops + 1)
    }

    pub(super) fn place(&self, name: &Name) -> Result<Spot, Reason> {
        match name {
            Name::Path(path) => self.walk(&mut vec![ROOT], &components(path)?, false, 0),
            Name::In(parent, name) => {
                check_name(name)?;
                if !self.get(*parent)?.is_directory() {
                    return Err(Reason::NotDir);
                }
                Ok(Spot { parent: *parent, name: Some(name.clone()), found: self.lookup(*parent, name) })
            }
        }
    }

    /// As `place`, with a name: the root cannot be created, moved or removed.
    pub(super) fn named(&self, name: &Name) -> Result<(u64, Vec<u8>, Option<u64>), Reason> {
        let spot = self.place(name)?;
        Ok((spot.parent, spot.name.ok_or(Reason::Busy)?, spot.found))
    }

    /// Does it lead to a directory?
    #[must_use]
    pub fn is_directory_at(&self, place: &Place) -> bool {
        self.resolve(place, true).is_ok_and(|inode| self.nodes[&inode].is_directory())
    }

    pub(super) fn resolve(&self, place: &Place, follow: bool) -> Result<u64, Reason> {
        match place {
            Place::Inode(inode) => self.get(*inode).map(|_| *inode),
            Place::Path(path) => match self.walk(&mut vec![ROOT], &components(path)?, follow, 0)? {
                Spot { name: None, parent, .. } => Ok(parent),
                Spot { found, .. } => found.ok_or(Reason::NotFound),
            },
        }
    }
}
