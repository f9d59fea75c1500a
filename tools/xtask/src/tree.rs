//! The files that the checkers look at, read once.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// Text files by their path from the workspace's root, with `/` between the parts.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    files: BTreeMap<String, String>,
}

impl Tree {
    /// Every Rust and Markdown file below `root`; hidden folders and build output left out.
    pub(crate) fn read(root: &Path) -> io::Result<Tree> {
        let mut tree = Tree::default();
        tree.read_dir(root, "")?;
        Ok(tree)
    }

    fn read_dir(&mut self, dir: &Path, prefix: &str) -> io::Result<()> {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{prefix}{name}");
            let file_type = entry.file_type()?;
            if file_type.is_dir() {
                if !name.starts_with('.') && name != "target" {
                    self.read_dir(&entry.path(), &format!("{path}/"))?;
                }
            } else if file_type.is_file() && (name.ends_with(".rs") || name.ends_with(".md")) {
                self.files.insert(path, fs::read_to_string(entry.path())?);
            }
        }
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn planted(files: &[(&str, &str)]) -> Tree {
        Tree { files: files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect() }
    }

    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    pub(crate) fn contains(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// Whether `path` is a file of the tree or a folder with one in it.
    pub(crate) fn holds(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        self.contains(path) || self.files.keys().any(|file| file.starts_with(&folder))
    }

    /// (path, text) of the Rust files, sorted by path.
    pub(crate) fn rust(&self) -> impl Iterator<Item = (&str, &str)> {
        self.with_extension(".rs")
    }

    /// (path, text) of the Markdown files, sorted by path.
    pub(crate) fn markdown(&self) -> impl Iterator<Item = (&str, &str)> {
        self.with_extension(".md")
    }

    fn with_extension(&self, extension: &'static str) -> impl Iterator<Item = (&str, &str)> {
        self.files
            .iter()
            .filter(move |(path, _)| path.ends_with(extension))
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_of_a_crate_has_its_sources_and_nothing_hidden_or_built() {
        let dir = std::env::temp_dir().join(format!("xtask-tree-{}", std::process::id()));
        for file in ["src/a.rs", "README.md", "src/deep/b.rs", "target/c.rs", ".git/d.md", "src/e.txt"] {
            let path = dir.join(file);
            fs::create_dir_all(path.parent().expect("has a folder")).expect("create a folder");
            fs::write(path, file).expect("write a file");
        }
        let tree = Tree::read(&dir);
        fs::remove_dir_all(&dir).expect("remove the folder");
        let tree = tree.expect("read the tree");
        assert_eq!(tree.files.keys().collect::<Vec<_>>(), ["README.md", "src/a.rs", "src/deep/b.rs"]);
        assert_eq!(tree.text("src/deep/b.rs"), Some("src/deep/b.rs"));
        assert!(tree.holds("src") && !tree.holds("sr"));
    }
}
