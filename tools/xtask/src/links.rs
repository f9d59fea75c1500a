//! Links between the project's pages lead somewhere.

use crate::finding::Finding;
use crate::tree::Tree;

/// Links in Markdown files to files and folders that are not there. Links to other sites are not followed.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, text) in tree.markdown() {
        for (index, line) in text.lines().enumerate() {
            for target in targets(line).filter(|target| !target.contains("://") && !target.starts_with('#')) {
                let path = target.split('#').next().unwrap_or_default();
                if !tree.holds(&resolve(file, path)) {
                    findings.push(Finding::at(file, index + 1, format!("links to {target}, which is not there")));
                }
            }
        }
    }
    findings
}

/// What stands in the parentheses of `[text](target)`.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split(')').next())
}

/// `path` as seen from the folder of `file`.
fn resolve(file: &str, path: &str) -> String {
    let mut parts: Vec<&str> = file.split('/').collect();
    parts.pop();
    for part in path.split('/').filter(|part| !matches!(*part, "" | ".")) {
        match part {
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_to_nothing_is_found_where_it_stands() {
        let good = "[a](docs/A.md) [b](docs) [c](https://example.org/x) [d](docs/A.md#part) [e](#here)";
        let bad = "[up](../README.md)\n[b](B.md) and [again](../docs/A.md)";
        let tree = Tree::planted(&[("README.md", good), ("docs/A.md", bad)]);
        let found: Vec<String> = check(&tree).iter().map(|finding| format!("{finding}")).collect();
        assert_eq!(found, ["docs/A.md:2 links to B.md, which is not there"]);
    }
}
