//! The programs of this folder, run so short that their figures mean nothing: they cannot rot.
#![expect(clippy::disallowed_methods, reason = "programs are started on the real machine")]
#![expect(clippy::unwrap_used, reason = "every module of this binary is tests")]

mod compare;
