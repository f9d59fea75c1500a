//! Permission bits as typed (octal or symbolic, POSIX chmod) and as `ls -l` shows them.

use nexus_projections::row::FileKind;

/// What `chmod` is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ModeChange {
    Bits(u32),
    Clauses(Vec<Clause>),
}

/// `[ugoa]*[-+=][rwxXst]*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Clause {
    /// Bits of the classes that are meant, setuid, setgid and sticky with theirs.
    who: u32,
    operator: char,
    /// Permissions for every class, to be cut down to `who`.
    bits: u32,
    /// `X`: execute where it is a directory or someone may execute already.
    execute_if: bool,
}

/// Permission bits in octal.
pub(crate) fn octal(text: &str) -> Result<u32, String> {
    let bits = u32::from_str_radix(text, 8).ok().filter(|bits| *bits <= 0o7777 && !text.starts_with('+'));
    bits.ok_or_else(|| "expected octal permission bits such as 644 or 0755".into())
}

impl std::str::FromStr for ModeChange {
    type Err = String;

    fn from_str(text: &str) -> Result<ModeChange, String> {
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            return octal(text).map(ModeChange::Bits);
        }
        text.split(',').map(clause).collect::<Option<Vec<Clause>>>().map(ModeChange::Clauses).ok_or_else(|| {
            "expected octal bits such as 644, or clauses such as u+x, go-w or a=r, separated by commas".into()
        })
    }
}

fn clause(text: &str) -> Option<Clause> {
    let at = text.find(['+', '-', '='])?;
    let (classes, rest) = text.split_at(at);
    let mut who = 0;
    for class in classes.chars() {
        who |= match class {
            'u' => 0o4700,
            'g' => 0o2070,
            'o' => 0o1007,
            'a' => 0o7777,
            _ => return None,
        };
    }
    if classes.is_empty() {
        who = 0o7777;
    }
    let mut characters = rest.chars();
    let operator = characters.next()?;
    let (mut bits, mut execute_if) = (0, false);
    for permission in characters {
        match permission {
            'r' => bits |= 0o444,
            'w' => bits |= 0o222,
            'x' => bits |= 0o111,
            'X' => execute_if = true,
            's' => bits |= 0o6000,
            't' => {
                bits |= 0o1000;
                // The sticky bit has one class; it is meant whoever is named.
                who |= 0o1000;
            }
            _ => return None,
        }
    }
    Some(Clause { who, operator, bits, execute_if })
}

impl ModeChange {
    pub(crate) fn apply(&self, mode: u32, directory: bool) -> u32 {
        let clauses = match self {
            ModeChange::Bits(bits) => return *bits,
            ModeChange::Clauses(clauses) => clauses,
        };
        clauses.iter().fold(mode, |mode, clause| {
            let execute = clause.execute_if && (directory || mode & 0o111 != 0);
            let bits = (clause.bits | if execute { 0o111 } else { 0 }) & clause.who;
            match clause.operator {
                '+' => mode | bits,
                '-' => mode & !bits,
                _ => mode & !clause.who | bits,
            }
        })
    }
}

/// `drwxr-xr-x`.
pub(crate) fn shown(kind: FileKind, mode: u32) -> String {
    let mut text = String::from(match kind {
        FileKind::Regular => '-',
        FileKind::Directory => 'd',
        FileKind::Link => 'l',
        FileKind::Fifo => 'p',
        FileKind::Socket => 's',
        FileKind::CharDevice => 'c',
        FileKind::BlockDevice => 'b',
    });
    for (shift, special, set, unset) in [(6, 0o4000, 's', 'S'), (3, 0o2000, 's', 'S'), (0, 0o1000, 't', 'T')] {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (mode & special != 0, bits & 1 != 0) {
            (true, true) => set,
            (true, false) => unset,
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(text: &str, mode: u32) -> u32 {
        text.parse::<ModeChange>().unwrap().apply(mode, false)
    }

    #[test]
    fn octal_replaces_all_bits() {
        assert_eq!(changed("4755", 0o600), 0o4755);
        for text in ["8", "77777", "+644"] {
            assert!(octal(text).is_err(), "{text}");
        }
    }

    #[test]
    fn clauses_change_the_classes_they_name() {
        assert_eq!(changed("u+x", 0o644), 0o744);
        assert_eq!(changed("go-r,o+w", 0o644), 0o602);
        assert_eq!(changed("a=r", 0o777), 0o444);
        assert_eq!(changed("u=rw", 0o4777), 0o677);
        assert_eq!(changed("+t,u+s", 0o755), 0o5755);
        assert_eq!(changed("a+X", 0o644), 0o644);
        assert_eq!("a+X".parse::<ModeChange>().unwrap().apply(0o644, true), 0o755);
        for text in ["", "u", "u+q", "z+x", "u+x,"] {
            assert!(text.parse::<ModeChange>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn bits_are_shown_as_ls_shows_them() {
        assert_eq!(shown(FileKind::Directory, 0o1777), "drwxrwxrwt");
        assert_eq!(shown(FileKind::Regular, 0o4640), "-rwSr-----");
    }
}
