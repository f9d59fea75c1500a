//! What a source file names, and which part of it is tests.

use std::collections::BTreeSet;
use std::ops::Range;

use super::lexer::{Token, TokenKind, tokens};

/// A path that the code names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mention {
    pub line: usize,
    pub path: Vec<String>,
}

/// A source file, tests left out.
#[derive(Debug)]
pub(super) struct Source {
    /// Paths in `use` items, and paths of two or more parts anywhere else.
    pub mentions: Vec<Mention>,
    /// Lines that are not tests.
    pub lines: usize,
    /// Modules declared here for tests only, each in a file of its own.
    pub test_modules: BTreeSet<String>,
}

impl Source {
    pub(super) fn parse(text: &str) -> Source {
        let tokens = tokens(text);
        let tests = test_items(&tokens);
        let mut test_lines = BTreeSet::new();
        let mut test_modules = BTreeSet::new();
        for span in &tests {
            test_lines.extend(tokens[span.start].line..=tokens[span.end - 1].line);
            test_modules.extend(declared_module(&tokens[span.clone()]));
        }
        let mut mentions = Vec::new();
        let mut at = 0;
        for span in &tests {
            mentions.append(&mut mentioned(&tokens[at..span.start]));
            at = span.end;
        }
        mentions.append(&mut mentioned(&tokens[at..]));
        Source { mentions, lines: text.lines().count() - test_lines.len(), test_modules }
    }
}

/// The items under `#[cfg(test)]` or `#[cfg(all(test, ..))]`, outermost only, from their first attribute on.
fn test_items(tokens: &[Token]) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if is_test_attribute(&tokens[at..]) {
            let end = item_end(tokens, at);
            spans.push(at..end);
            at = end;
        } else {
            at += 1;
        }
    }
    spans
}

fn is_test_attribute(tokens: &[Token]) -> bool {
    let words: Vec<&Token> = tokens.iter().take(7).collect();
    match words.as_slice() {
        [hash, open, cfg, paren, rest @ ..] if hash.is('#') && open.is('[') && paren.is('(') => {
            let cfg = cfg.ident() == Some("cfg");
            let test = |t: Option<&&Token>| t.is_some_and(|t| t.ident() == Some("test"));
            let all = rest.first().is_some_and(|t| t.ident() == Some("all"));
            cfg && (test(rest.first()) || all && test(rest.get(2)))
        }
        _ => false,
    }
}

/// One past the last token of the item whose first attribute stands at `start`.
fn item_end(tokens: &[Token], start: usize) -> usize {
    let mut at = start;
    while at + 1 < tokens.len() && tokens[at].is('#') && tokens[at + 1].is('[') {
        at = group_end(tokens, at + 1);
    }
    while at < tokens.len() {
        match tokens[at].kind {
            TokenKind::Punct(';' | ',') => return at + 1,
            TokenKind::Punct('{') => return group_end(tokens, at),
            TokenKind::Punct('(' | '[') => at = group_end(tokens, at),
            _ => at += 1,
        }
    }
    tokens.len()
}

/// One past the bracket that closes the one at `open`.
fn group_end(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.kind {
            TokenKind::Punct('(' | '[' | '{') => depth += 1,
            TokenKind::Punct(')' | ']' | '}') => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    tokens.len()
}

/// The name in `mod name;` if the item is one.
fn declared_module(item: &[Token]) -> Option<String> {
    match item {
        [.., keyword, name, end] if keyword.ident() == Some("mod") && end.is(';') => name.ident().map(str::to_owned),
        _ => None,
    }
}

/// Every path that `tokens` name.
fn mentioned(tokens: &[Token]) -> Vec<Mention> {
    let mut reader = PathReader { tokens, at: 0, mentions: Vec::new() };
    let mut in_use = false;
    while let Some(token) = tokens.get(reader.at) {
        match token.ident() {
            Some("use") => {
                in_use = true;
                reader.at += 1;
            }
            Some("extern") if tokens.get(reader.at + 1).is_some_and(|t| t.ident() == Some("crate")) => {
                in_use = true;
                reader.at += 2;
            }
            Some("as") if in_use => reader.at += 2,
            Some(_) => {
                let before = reader.mentions.len();
                reader.path(&[]);
                if !in_use {
                    let alone = |m: &Mention| m.path.len() < 2;
                    let found = reader.mentions.split_off(before);
                    reader.mentions.extend(found.into_iter().filter(|m| !alone(m)));
                }
            }
            None => {
                in_use &= !token.is(';');
                // `use {a, b}` has no part before its braces: its names are read one by one.
                reader.at += 1;
            }
        }
    }
    reader.mentions
}

struct PathReader<'a> {
    tokens: &'a [Token],
    at: usize,
    mentions: Vec<Mention>,
}

impl PathReader<'_> {
    /// Reads the path at the cursor, which stands on a name, and notes it behind `prefix`.
    fn path(&mut self, prefix: &[String]) {
        let mut path = prefix.to_vec();
        let line = self.tokens[self.at].line;
        while let Some(name) = self.tokens.get(self.at).and_then(Token::ident) {
            // `a::{self}` is `a`.
            if name != "self" || path.is_empty() {
                path.push(name.to_owned());
            }
            self.at += 1;
            if self.tokens.get(self.at).is_none_or(|t| t.kind != TokenKind::PathSep) {
                break;
            }
            match self.tokens.get(self.at + 1).map(|t| &t.kind) {
                Some(TokenKind::Ident(_)) => self.at += 1,
                Some(TokenKind::Punct('*')) => {
                    path.push("*".to_owned());
                    self.at += 2;
                    break;
                }
                Some(TokenKind::Punct('{')) => {
                    self.at += 2;
                    return self.group(&path);
                }
                _ => break,
            }
        }
        self.mentions.push(Mention { line, path });
    }

    /// Reads the names in braces behind `prefix`; the cursor stands behind the opening brace.
    fn group(&mut self, prefix: &[String]) {
        while let Some(token) = self.tokens.get(self.at) {
            match &token.kind {
                TokenKind::Punct('}') => {
                    self.at += 1;
                    return;
                }
                TokenKind::Punct('*') => {
                    let path = prefix.iter().cloned().chain(["*".to_owned()]).collect();
                    self.mentions.push(Mention { line: token.line, path });
                    self.at += 1;
                }
                TokenKind::Ident(name) if name == "as" => self.at += 2,
                TokenKind::Ident(_) => self.path(prefix),
                _ => self.at += 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        Source::parse(text).mentions.iter().map(|m| m.path.join("::")).collect()
    }

    #[test]
    fn a_use_tree_names_every_leaf() {
        let text =
            "use a::{self, b::{C, D as E}, f::*}; use {g, h::I}; pub(crate) use ::k::L; use m as n; extern crate o;";
        assert_eq!(paths(text), ["a", "a::b::C", "a::b::D", "a::f::*", "g", "h::I", "k::L", "m", "o"]);
    }

    #[test]
    fn paths_are_found_outside_of_use_items_too() {
        let text = "fn f(x: fjall::Db) -> Vec<u8> { let fjall = x; std::thread::spawn(|| a::<B>::c()); fjall.get() }";
        assert_eq!(paths(text), ["fjall::Db", "std::thread::spawn"]);
    }

    #[test]
    fn a_leaf_has_the_line_it_stands_on() {
        let mentions = Source::parse("use a::{\n    b,\n    c,\n};\n").mentions;
        assert_eq!(mentions.iter().map(|m| m.line).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn test_items_are_left_out_and_not_counted() {
        let text = "use a::B;\n#[cfg(test)]\n#[derive(X)]\nmod tests {\n    use fjall::C;\n}\nuse d::E;\n\
                    #[cfg(all(test, not(loom)))]\nmod more;\n#[cfg(any(test, x))]\nuse f::G;\n";
        let source = Source::parse(text);
        assert_eq!(paths(text), ["a::B", "d::E", "f::G"]);
        assert_eq!(source.lines, 4);
        assert_eq!(source.test_modules, BTreeSet::from(["more".to_owned()]));
    }

    #[test]
    fn a_test_function_ends_at_its_body_and_a_test_field_at_its_comma() {
        assert_eq!(paths("#[cfg(test)]\nfn f(a: [u8; 2]) { x::Y }\nfn g() { z::W }"), ["z::W"]);
        assert_eq!(paths("S { #[cfg(test)] a: b::C, d: e::F }"), ["e::F"]);
    }
}
