//! Sparse content in sectors, cheap to copy: copies share all that neither side has changed since.

use std::collections::BTreeMap;
use std::sync::Arc;

/// What a disk writes whole or not at all.
pub(super) const SECTOR_BYTES: usize = 512;
const GROUP_SECTORS: u64 = 64;
const ZEROS: [u8; SECTOR_BYTES] = [0; SECTOR_BYTES];
static ZERO_SECTOR: Sector = Sector(None);

/// Content of one sector; `None` is zeros, which cost nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sector(Option<Arc<[u8; SECTOR_BYTES]>>);

impl Sector {
    pub(super) fn bytes(&self) -> &[u8; SECTOR_BYTES] {
        self.0.as_deref().unwrap_or(&ZEROS)
    }

    /// This sector with `bytes` placed at `start`.
    pub(super) fn patched(&self, start: usize, bytes: &[u8]) -> Sector {
        let mut content = *self.bytes();
        content[start..start + bytes.len()].copy_from_slice(bytes);
        Sector::from(content)
    }

    /// This sector with zeros from `start` on.
    pub(super) fn cleared_from(&self, start: usize) -> Sector {
        self.patched(start, &ZEROS[start..])
    }

    pub(super) fn flipped(&self, byte: usize, bit: u8) -> Sector {
        self.patched(byte, &[self.bytes()[byte] ^ (1 << bit)])
    }
}

impl From<[u8; SECTOR_BYTES]> for Sector {
    fn from(content: [u8; SECTOR_BYTES]) -> Sector {
        Sector((content != ZEROS).then(|| Arc::new(content)))
    }
}

#[derive(Clone, Debug)]
struct Group {
    /// Bit i: sector i was written, be it with zeros.
    mapped: u64,
    sectors: [Sector; GROUP_SECTORS as usize],
}

impl Default for Group {
    fn default() -> Group {
        Group { mapped: 0, sectors: std::array::from_fn(|_| Sector::default()) }
    }
}

/// The sectors of a file by number. A sector never written is a hole: it reads as zeros and takes no space.
#[derive(Clone, Debug, Default)]
pub(super) struct Sectors {
    groups: BTreeMap<u64, Arc<Group>>,
    mapped: u64,
}

impl Sectors {
    pub(super) fn get(&self, number: u64) -> &Sector {
        let group = self.groups.get(&(number / GROUP_SECTORS));
        group.map_or(&ZERO_SECTOR, |g| &g.sectors[(number % GROUP_SECTORS) as usize])
    }

    pub(super) fn is_mapped(&self, number: u64) -> bool {
        let group = self.groups.get(&(number / GROUP_SECTORS));
        group.is_some_and(|g| g.mapped & (1 << (number % GROUP_SECTORS)) != 0)
    }

    pub(super) fn set(&mut self, number: u64, sector: Sector) {
        let group = Arc::make_mut(self.groups.entry(number / GROUP_SECTORS).or_default());
        let bit = 1 << (number % GROUP_SECTORS);
        self.mapped += u64::from(group.mapped & bit == 0);
        group.mapped |= bit;
        group.sectors[(number % GROUP_SECTORS) as usize] = sector;
    }

    /// Makes a hole of every sector from `first` on.
    pub(super) fn truncate(&mut self, first: u64) {
        let boundary = first / GROUP_SECTORS;
        for (_, group) in self.groups.split_off(&(boundary + 1)) {
            self.mapped -= u64::from(group.mapped.count_ones());
        }
        let Some(group) = self.groups.get_mut(&boundary) else { return };
        let group = Arc::make_mut(group);
        for i in first % GROUP_SECTORS..GROUP_SECTORS {
            let bit = 1 << i;
            self.mapped -= u64::from(group.mapped & bit != 0);
            group.mapped &= !bit;
            group.sectors[i as usize] = Sector::default();
        }
    }

    pub(super) fn mapped_bytes(&self) -> u64 {
        self.mapped * SECTOR_BYTES as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_is_counted_by_sectors_ever_written_and_given_back_by_truncation() {
        let mut sectors = Sectors::default();
        for number in [0, 1, 63, 64, 200] {
            sectors.set(number, Sector::default());
        }
        sectors.set(1, Sector::from([7; SECTOR_BYTES]));
        assert_eq!(sectors.mapped_bytes(), 5 * 512);
        let copy = sectors.clone();
        sectors.truncate(63);
        assert_eq!(sectors.mapped_bytes(), 2 * 512);
        assert!(sectors.is_mapped(1) && !sectors.is_mapped(63) && !sectors.is_mapped(64) && !sectors.is_mapped(200));
        sectors.truncate(1);
        assert_eq!(sectors.get(1).bytes(), &[0; 512]);
        assert_eq!((copy.mapped_bytes(), copy.get(1).bytes()), (5 * 512, &[7; 512]));
    }
}
