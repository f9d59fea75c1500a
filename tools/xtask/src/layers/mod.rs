//! Who may import whom, and how long a file may be. The rules are data ([`rules`]); this checks a tree against them.
//!
//! Tests may import what they like: items under `#[cfg(test)]`, files of modules declared under it, and the folders
//! `tests`, `benches` and `fuzz` are not looked at.

mod lexer;
mod rules;
mod source;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::finding::Finding;
use crate::tree::Tree;
use rules::{CRATES, FILE_LINES_MAX, FRAMEWORKS, MODULES, PATHS, TABLE, lies_in};
use source::{Mention, Source};

/// Everything wrong with the tree and with what `cargo metadata` says of its crates.
pub(crate) fn check(tree: &Tree, metadata: &Value) -> Vec<Finding> {
    let mut findings = check_crates(metadata);
    let sources: BTreeMap<&str, Source> =
        tree.rust().filter(|(file, _)| !in_test_folder(file)).map(|(file, text)| (file, Source::parse(text))).collect();
    let test_files = test_files(tree, &sources);
    for (file, source) in sources.iter().filter(|(file, _)| !test_files.iter().any(|place| lies_in(file, place))) {
        findings.extend(source.mentions.iter().filter_map(|mention| check_mention(file, mention)));
        if source.lines > FILE_LINES_MAX {
            let message =
                format!("has {} lines besides its tests; {FILE_LINES_MAX} is the cap: split it", source.lines);
            findings.push(Finding::whole(file, message));
        }
    }
    findings.sort();
    findings.dedup();
    findings
}

fn in_test_folder(file: &str) -> bool {
    file.split('/').any(|part| matches!(part, "tests" | "benches" | "fuzz"))
}

/// Places of the modules that are declared for tests only.
fn test_files(tree: &Tree, sources: &BTreeMap<&str, Source>) -> BTreeSet<String> {
    let mut places = BTreeSet::new();
    for (file, source) in sources {
        let (folder, name) = file.rsplit_once('/').unwrap_or(("", file));
        let children = match name {
            "mod.rs" | "lib.rs" | "main.rs" => folder.to_owned(),
            _ => file.trim_end_matches(".rs").to_owned(),
        };
        for module in &source.test_modules {
            let place = format!("{children}/{module}");
            if tree.contains(&format!("{place}.rs")) || tree.contains(&format!("{place}/mod.rs")) {
                places.insert(place);
            }
        }
    }
    places
}

fn check_mention(file: &str, mention: &Mention) -> Option<Finding> {
    let named = mention.path.join("::");
    let path = from_crate_root(file, &mention.path);
    let starts_with = |start: &[&str]| path.len() >= start.len() && path.iter().zip(start).all(|(a, b)| a == b);
    for rule in PATHS.iter().filter(|rule| starts_with(rule.path)) {
        if !rule.places.iter().any(|place| lies_in(file, place)) {
            let places = rule.places.join(", ");
            let message = format!("imports {named}; only {places} may: {} ({TABLE})", rule.why);
            return Some(Finding::at(file, mention.line, message));
        }
    }
    for rule in MODULES.iter().filter(|rule| lies_in(file, rule.place) && starts_with(&[rule.of])) {
        let module = path.get(1).copied().unwrap_or_default();
        if !rule.modules.contains(&module) {
            let (place, of, modules) = (rule.place, rule.of, rule.modules.join(", "));
            let message = format!("imports {named}; of {of}, {place} may name only {modules}: {} ({TABLE})", rule.why);
            return Some(Finding::at(file, mention.line, message));
        }
    }
    None
}

/// `path` with `self` and `super` at its start replaced by where they lead from `file`'s module.
fn from_crate_root<'a>(file: &'a str, path: &'a [String]) -> Vec<&'a str> {
    if !path.first().is_some_and(|first| first == "self" || first == "super") {
        return path.iter().map(String::as_str).collect();
    }
    let inside = file.split_once("/src/").map_or(file, |(_, inside)| inside).trim_end_matches(".rs");
    let mut parts = vec!["crate"];
    parts.extend(inside.split('/').filter(|part| !matches!(*part, "mod" | "lib" | "main")));
    for part in path {
        match part.as_str() {
            "self" => {}
            "super" => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    parts
}

/// The edges between crates, from `cargo metadata --no-deps`.
fn check_crates(metadata: &Value) -> Vec<Finding> {
    let mut findings = Vec::new();
    let packages = metadata["packages"].as_array().map_or(&[][..], Vec::as_slice);
    let ours: BTreeSet<&str> = packages.iter().filter_map(|package| package["name"].as_str()).collect();
    let root = metadata["workspace_root"].as_str().unwrap_or_default();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let manifest = package["manifest_path"].as_str().unwrap_or_default();
        let manifest = manifest.strip_prefix(root).unwrap_or(manifest).trim_start_matches('/');
        let Some(rule) = CRATES.iter().find(|rule| rule.name == name) else {
            findings.push(Finding::whole(manifest, format!("{name} has no row in {TABLE}")));
            continue;
        };
        if manifest != format!("{}/Cargo.toml", rule.folder) {
            findings.push(Finding::whole(manifest, format!("{name} belongs in {}/ ({TABLE})", rule.folder)));
        }
        let dependencies = package["dependencies"].as_array().map_or(&[][..], Vec::as_slice);
        for dependency in dependencies.iter().filter_map(|dependency| dependency["name"].as_str()) {
            if ours.contains(dependency) && !rule.may.contains(&dependency) {
                let may = if rule.may.is_empty() { "none of ours".to_owned() } else { rule.may.join(", ") };
                let message = format!("{name} depends on {dependency}; it may depend on {may} ({TABLE})");
                findings.push(Finding::whole(manifest, message));
            }
            let fenced = FRAMEWORKS.iter().find(|fence| fence.framework == dependency);
            if let Some(fence) = fenced.filter(|fence| name != "nexus-tests" && !fence.users.contains(&name)) {
                let users = fence.users.join(", ");
                let message = format!("{name} depends on {dependency}; only {users} may ({TABLE})");
                findings.push(Finding::whole(manifest, message));
            }
        }
    }
    findings
}
