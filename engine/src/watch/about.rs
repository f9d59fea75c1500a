//! Whom an event is about.

use nexus_log::event::Event;
use nexus_log::ids::Inode;

/// The inodes that an event names, by their part in it.
#[derive(Debug, Default)]
pub(super) struct About<'a> {
    /// It happened to these.
    pub(super) inodes: Vec<Inode>,
    /// Who got or lost a name, and in which directory.
    pub(super) names: Vec<(Inode, Inode)>,
    /// The path as the caller gave it, empty where there is none.
    pub(super) path: &'a [u8],
}

impl<'a> About<'a> {
    fn named(inode: u64, parent: u64, path: &'a [u8]) -> About<'a> {
        About { inodes: vec![Inode(inode)], names: vec![(Inode(inode), Inode(parent))], path }
    }

    fn itself(inode: u64, path: &'a [u8]) -> About<'a> {
        let inodes = if inode == 0 { Vec::new() } else { vec![Inode(inode)] };
        About { inodes, names: Vec::new(), path }
    }

    pub(super) fn of(event: &'a Event) -> About<'a> {
        match event {
            Event::ZoneCreated(_) => About::itself(Inode::ROOT.0, b"/"),
            Event::Recovered(_)
            | Event::AuditGap(_)
            | Event::TimeClosed(_)
            | Event::ClockHeld(_)
            | Event::ClockConfirmed(_)
            | Event::UsageCounted(_)
            | Event::RequestAnswered(_)
            | Event::ContentStored(_) => About::default(),
            Event::PolicySet(e) => About::itself(e.inode, &e.path),
            Event::Accessed(e) => {
                About { inodes: e.inodes.iter().map(|count| Inode(count.inode)).collect(), ..About::default() }
            }
            Event::NodeCreated(e) => About::named(e.inode, e.parent, &e.path),
            Event::Exchanged(e) => {
                let mut about = About::named(e.inode, e.parent, &e.other_path);
                about.inodes.push(Inode(e.other));
                let (here, there) = (Inode(e.parent), Inode(e.other_parent));
                about.names.extend([(Inode(e.inode), there), (Inode(e.other), there), (Inode(e.other), here)]);
                about
            }
            Event::DetachedCreated(e) => About::itself(e.inode, b""),
            Event::Attached(e) => About::named(e.inode, e.parent, &e.path),
            Event::Punched(e) => About::itself(e.inode, &e.path),
            Event::FileCreated(e) => About::named(e.inode, e.parent, &e.path),
            Event::DirectoryCreated(e) => About::named(e.inode, e.parent, &e.path),
            Event::SymlinkCreated(e) => About::named(e.inode, e.parent, &e.path),
            Event::Linked(e) => About::named(e.inode, e.parent, &e.path),
            Event::Unlinked(e) => About::named(e.inode, e.parent, &e.path),
            Event::DirectoryRemoved(e) => About::named(e.inode, e.parent, &e.path),
            Event::Renamed(e) => {
                let mut about = About::named(e.inode, e.from_parent, &e.to_path);
                about.names.push((Inode(e.inode), Inode(e.to_parent)));
                if e.replaced != 0 {
                    about.inodes.push(Inode(e.replaced));
                    about.names.push((Inode(e.replaced), Inode(e.to_parent)));
                }
                about
            }
            Event::AttributesSet(e) => About::itself(e.inode, &e.path),
            Event::XattrSet(e) => About::itself(e.inode, &e.path),
            Event::XattrRemoved(e) => About::itself(e.inode, &e.path),
            Event::Written(e) => About::itself(e.inode, &e.path),
            Event::Truncated(e) => About::itself(e.inode, &e.path),
            Event::OrphansReleased(e) => {
                About { inodes: e.inodes.iter().map(|inode| Inode(*inode)).collect(), ..About::default() }
            }
            Event::Refused(e) => About::itself(e.inode, &e.path),
            Event::RefusalsCounted(e) => {
                let inodes = e.counts.iter().map(|count| Inode(count.inode)).filter(|inode| inode.0 != 0);
                About { inodes: inodes.collect(), ..About::default() }
            }
        }
    }

    /// Is it about `inode`: in any role of its own, or as the directory in which a name came or went?
    pub(super) fn touches(&self, inode: Inode) -> bool {
        self.inodes.contains(&inode) || self.names.iter().any(|(_, directory)| *directory == inode)
    }

    /// Everything that it names.
    pub(super) fn all(&self) -> impl Iterator<Item = Inode> {
        self.inodes.iter().copied().chain(self.names.iter().map(|(_, directory)| *directory))
    }
}
