//! What records that have no sidecar yet are about, in memory.
//!
//! Filled on the way of every write, so a record costs a few pushes: its inodes stand one after the other, and what it
//! shares with many others (who acted, which kinds of event) is one number. A question scans: a segment is bounded,
//! and a million numbers take a fraction of a millisecond.

use std::collections::BTreeMap;

use roaring::RoaringBitmap;

use crate::event::{About, Term};
use crate::ids::Inode;

/// Entries that a question looks at under one lock: a batch of appends waits that long at most.
const STEP_ENTRIES: usize = 16 << 10;

/// A filter as indexes understand it: of each group of terms one, and one of the inodes.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) groups: Vec<Vec<Term>>,
    /// Sorted.
    pub(super) inodes: Option<Vec<Inode>>,
}

impl Wanted {
    /// Does every record fit?
    pub(super) fn is_all(&self) -> bool {
        self.groups.is_empty() && self.inodes.is_none()
    }

    fn wants_terms(&self, terms: &[Term]) -> bool {
        self.groups.iter().all(|group| group.iter().any(|term| terms.binary_search(term).is_ok()))
    }
}

#[derive(Debug, Default)]
pub(super) struct Marks {
    /// One per inode that a record is about, and beside it the record's number, counted from the first marked one.
    inodes: Vec<Inode>,
    records_of: Vec<u32>,
    /// One per record: its terms, as an index into `classes`.
    class_of: Vec<u32>,
    classes: Vec<Box<[Term]>>,
    by_terms: BTreeMap<Box<[Term]>, u32>,
}

/// How far a scan has come.
#[derive(Debug, Default)]
pub(super) struct Scan {
    next: usize,
    /// Which classes are wanted, as far as they are known.
    classes: Vec<bool>,
}

impl Marks {
    /// The next record.
    pub(super) fn push(&mut self, about: &About) {
        let number = self.class_of.len() as u32;
        self.inodes.extend_from_slice(&about.inodes);
        self.records_of.resize(self.inodes.len(), number);
        // Most records come from who wrote the one before.
        let last = self.class_of.last().filter(|class| *self.classes[**class as usize] == about.terms[..]);
        let class = match last.or_else(|| self.by_terms.get(&about.terms[..])) {
            Some(class) => *class,
            None => self.add_class(&about.terms),
        };
        self.class_of.push(class);
    }

    fn add_class(&mut self, terms: &[Term]) -> u32 {
        let class = self.classes.len() as u32;
        self.classes.push(terms.into());
        self.by_terms.insert(terms.into(), class);
        class
    }

    /// Puts the numbers of wanted records into `found`, from where `scan` stands, for a while. True at the end.
    pub(super) fn find(&self, wanted: &Wanted, scan: &mut Scan, found: &mut RoaringBitmap) -> bool {
        let known = scan.classes.len();
        scan.classes.extend(self.classes[known..].iter().map(|terms| wanted.wants_terms(terms)));
        let fits = |number: u32| scan.classes[self.class_of[number as usize] as usize];
        let length = if wanted.inodes.is_some() { self.inodes.len() } else { self.class_of.len() };
        let step = scan.next..length.min(scan.next + STEP_ENTRIES);
        match wanted.inodes.as_deref() {
            Some([inode]) => {
                let entries = self.inodes[step.clone()].iter().zip(&self.records_of[step.clone()]);
                found.extend(entries.filter(|(found, _)| *found == inode).map(|(_, n)| *n).filter(|n| fits(*n)));
            }
            Some(inodes) => {
                let entries = self.inodes[step.clone()].iter().zip(&self.records_of[step.clone()]);
                let entries = entries.filter(|(found, _)| inodes.binary_search(found).is_ok());
                found.extend(entries.map(|(_, n)| *n).filter(|n| fits(*n)));
            }
            None => found.extend(step.clone().map(|n| n as u32).filter(|n| fits(*n))),
        }
        scan.next = step.end;
        scan.next == length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(marks: &Marks, wanted: &Wanted) -> (Vec<u32>, usize) {
        let (mut scan, mut found, mut steps) = (Scan::default(), RoaringBitmap::new(), 1);
        while !marks.find(wanted, &mut scan, &mut found) {
            steps += 1;
        }
        (found.into_iter().collect(), steps)
    }

    #[test]
    fn records_are_found_by_inode_and_terms_in_bounded_steps() {
        let mut marks = Marks::default();
        let records = STEP_ENTRIES as u64 * 2;
        for n in 0..records {
            let terms = vec![Term(n % 3), Term(10 + n % 2)];
            marks.push(&About { inodes: vec![Inode(1), Inode(1000 + n)], terms });
        }
        assert_eq!(marks.classes.len(), 6);
        let wanted = |groups: &[&[u64]], inodes: Option<&[u64]>| Wanted {
            groups: groups.iter().map(|g| g.iter().map(|t| Term(*t)).collect()).collect(),
            inodes: inodes.map(|inodes| inodes.iter().map(|i| Inode(*i)).collect()),
        };
        assert_eq!(find(&marks, &wanted(&[], Some(&[1007]))), (vec![7], 4));
        assert_eq!(find(&marks, &wanted(&[], Some(&[1005, 1007]))).0, [5, 7]);
        assert_eq!(find(&marks, &wanted(&[&[1]], Some(&[1005, 1007]))).0, [7]);
        let (found, steps) = find(&marks, &wanted(&[&[0, 2], &[11]], None));
        let expected: Vec<u32> = (0..records as u32).filter(|n| n % 3 != 1 && n % 2 == 1).collect();
        assert_eq!((found, steps), (expected, 2));
        assert_eq!(find(&marks, &wanted(&[], Some(&[1]))).0.len() as u64, records);
        assert_eq!(find(&marks, &wanted(&[], Some(&[]))).0, [0; 0]);
    }
}
