//! The log as its callers see it, on disks that fail: one binary, one module per promise.

#[cfg(test)]
mod codec;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod forged;
#[cfg(test)]
mod fuzzing;
#[cfg(test)]
mod group_commit;
#[cfg(test)]
mod history;
#[cfg(test)]
mod lying_disk;
#[cfg(test)]
mod power_cut;
#[cfg(test)]
mod reading;
#[cfg(test)]
mod recovery_cases;
#[cfg(test)]
mod tail;
#[cfg(test)]
mod tail_files;
#[cfg(test)]
mod verifying;
#[cfg(test)]
mod zone;
