//! A data directory of its own for every test, and the built command on it.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use std::time::{Duration, Instant};

use serde_json::Value;

pub(crate) struct Rig {
    dir: tempfile::TempDir,
}

/// What a run of the command came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn of(output: Output) -> Ran {
        let code = output.status.code().expect("the command ends by itself");
        Ran { code, stdout: output.stdout, stderr: String::from_utf8(output.stderr).unwrap() }
    }

    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (0, ""), "{}", String::from_utf8_lossy(&self.stdout));
        String::from_utf8(self.stdout).unwrap()
    }

    #[track_caller]
    pub(crate) fn lines(self) -> Vec<String> {
        self.ok().lines().map(str::to_owned).collect()
    }

    /// The JSON lines of a run that succeeded.
    #[track_caller]
    pub(crate) fn json(self) -> Vec<Value> {
        self.ok().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The message of a run that failed with `code`.
    #[track_caller]
    pub(crate) fn fails(self, code: i32) -> String {
        assert_eq!(self.code, code, "{self:?}");
        assert_eq!(self.stdout, b"", "{self:?}");
        self.stderr
    }

    /// `kind` and `code` of a run that failed with `--json`.
    #[track_caller]
    pub(crate) fn fails_json(self, code: i32) -> (String, String) {
        assert_eq!((self.code, self.stderr.as_str()), (code, ""), "{self:?}");
        let text = String::from_utf8(self.stdout).unwrap();
        let line: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        let text = |key: &str| line["error"][key].as_str().unwrap().to_owned();
        assert!(!text("message").is_empty());
        (text("kind"), text("code"))
    }
}

impl Rig {
    /// With a data directory.
    pub(crate) fn new() -> Rig {
        let rig = Rig::empty();
        // Records of what the test looks at would move the positions it counts on.
        rig.run(["init", "--reads", "off"]).ok();
        rig
    }

    pub(crate) fn empty() -> Rig {
        Rig { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn data(&self) -> std::path::PathBuf {
        self.dir.path().join("data")
    }

    pub(crate) fn command<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nexus"));
        command.args(args).env_clear().env("NEXUS_DATA", self.data()).env("TZ", "UTC0");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Ran {
        Ran::of(self.command(args).output().unwrap())
    }

    /// Words separated by blanks.
    pub(crate) fn nexus(&self, words: &str) -> Ran {
        self.run(words.split(' '))
    }

    /// With `input` on standard input.
    pub(crate) fn feed(&self, words: &str, input: &[u8]) -> Ran {
        let mut child = self.spawn(words);
        child.stdin.take().unwrap().write_all(input).unwrap();
        Ran::of(child.wait_with_output().unwrap())
    }

    /// Waits until `child` holds the data directory: then the lock's file names it.
    pub(crate) fn wait_until_held(&self, child: &Child) {
        let holder = format!("process {} ", child.id());
        let begun = Instant::now();
        while !std::fs::read_to_string(self.data().join("LOCK")).is_ok_and(|text| text.starts_with(&holder)) {
            assert!(begun.elapsed() < Duration::from_secs(60), "the process never took the directory");
            std::thread::yield_now();
        }
    }

    /// Left running, with standard input open.
    pub(crate) fn spawn(&self, words: &str) -> Child {
        self.command(words.split(' ')).stdin(Stdio::piped()).spawn().unwrap()
    }
}

/// The keys of a JSON object in alphabetical order.
#[track_caller]
pub(crate) fn keys(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}
