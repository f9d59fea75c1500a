//! Why a call was refused, and which call: numbers that stay, names that surfaces show.

macro_rules! codes {
    ($(#[$doc:meta])* $type:ident { $($(#[$vdoc:meta])* $variant:ident = $code:literal, $name:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum $type { $($(#[$vdoc])* $variant = $code,)* }

        impl $type {
            pub const ALL: &[$type] = &[$($type::$variant,)*];

            #[must_use]
            pub fn code(self) -> u16 {
                self as u16
            }

            /// The value of a code, if this release knows it.
            #[must_use]
            pub fn from_code(code: u16) -> Option<$type> {
                match code { $($code => Some($type::$variant),)* _ => None }
            }

            /// The stable, snake_case name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $($type::$variant => $name,)* }
            }
        }
    };
}

codes! {
    /// Why a call failed, in POSIX terms (SPEC part A).
    Reason {
        NotFound = 1, "not_found";
        Exists = 2, "exists";
        NotDir = 3, "not_dir";
        IsDir = 4, "is_dir";
        NotEmpty = 5, "not_empty";
        Invalid = 6, "invalid";
        NameTooLong = 7, "name_too_long";
        LinkLoop = 8, "link_loop";
        PermissionDenied = 9, "permission_denied";
        ReadOnly = 10, "read_only";
        NoSpace = 11, "no_space";
        Busy = 12, "busy";
        Locked = 13, "locked";
        VersionConflict = 14, "version_conflict";
        StaleSession = 15, "stale_session";
        CrossZone = 16, "cross_zone";
        Corrupt = 17, "corrupt";
        OutcomeUnknown = 18, "outcome_unknown";
        RateLimited = 19, "rate_limited";
        BudgetExceeded = 20, "budget_exceeded";
        Unavailable = 21, "unavailable";
        TooLarge = 22, "too_large";
        TooManyLinks = 23, "too_many_links";
        NoAttribute = 24, "no_attribute";
        Unsupported = 25, "unsupported";
    }
}

codes! {
    /// The syscall that was called.
    Syscall {
        Stat = 1, "stat";
        Read = 2, "read";
        Readdir = 3, "readdir";
        Readlink = 4, "readlink";
        GetXattr = 5, "getxattr";
        ListXattr = 6, "listxattr";
        Walk = 7, "walk";
        Glob = 8, "glob";
        Grep = 9, "grep";
        Access = 10, "access";
        Create = 16, "create";
        Mkdir = 17, "mkdir";
        Symlink = 18, "symlink";
        Link = 19, "link";
        Write = 20, "write";
        Put = 21, "put";
        Truncate = 22, "truncate";
        Setattr = 23, "setattr";
        SetXattr = 24, "setxattr";
        RemoveXattr = 25, "removexattr";
        Rename = 26, "rename";
        Unlink = 27, "unlink";
        Rmdir = 28, "rmdir";
        Log = 29, "log";
        Watch = 30, "watch";
        Batch = 31, "batch";
        Punch = 32, "punch";
        MakeNode = 33, "mknod";
        Copy = 34, "copy";
        Lock = 36, "lock";
        Unlock = 37, "unlock";
        SetPolicy = 40, "set_policy";
        ConfirmClock = 41, "confirm_clock";
    }
}

codes! {
    /// How reads are recorded. The order is that of strictness.
    ReadPolicy {
        /// Not at all.
        Off = 1, "off";
        /// Counted, one record per agent and interval, not on the way of the read.
        Summary = 2, "summary";
        /// Each by a record that is durable before the answer is given.
        Strict = 3, "strict";
    }
}
