//! Rust source as words: comments and literals gone, lines kept.
//!
//! Enough of the language to find paths and the extent of items; what it does not know it passes through as
//! punctuation.

/// A word of source code and the line it stands on, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub line: usize,
    pub kind: TokenKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    Ident(String),
    /// `::`
    PathSep,
    Punct(char),
}

impl Token {
    pub(super) fn is(&self, punct: char) -> bool {
        self.kind == TokenKind::Punct(punct)
    }

    pub(super) fn ident(&self) -> Option<&str> {
        match &self.kind {
            TokenKind::Ident(name) => Some(name),
            _ => None,
        }
    }
}

/// The words of `text`.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut lexer = Lexer { chars: text.chars().collect(), at: 0, line: 1, tokens: Vec::new() };
    while lexer.at < lexer.chars.len() {
        lexer.step();
    }
    lexer.tokens
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    line: usize,
    tokens: Vec<Token>,
}

impl Lexer {
    fn peek(&self, ahead: usize) -> char {
        self.chars.get(self.at + ahead).copied().unwrap_or('\0')
    }

    fn advance(&mut self) {
        if self.peek(0) == '\n' {
            self.line += 1;
        }
        self.at += 1;
    }

    fn skip(&mut self, count: usize) {
        (0..count).for_each(|_| self.advance());
    }

    fn push(&mut self, kind: TokenKind) {
        self.tokens.push(Token { line: self.line, kind });
    }

    fn step(&mut self) {
        match (self.peek(0), self.peek(1)) {
            ('/', '/') => self.line_comment(),
            ('/', '*') => self.block_comment(),
            ('"', _) => self.string(),
            ('\'', _) => self.char_or_lifetime(),
            (':', ':') => {
                self.push(TokenKind::PathSep);
                self.skip(2);
            }
            (c, _) if c.is_alphabetic() || c == '_' => self.word(),
            (c, _) if c.is_ascii_digit() => self.number(),
            (c, _) => {
                if !c.is_whitespace() {
                    self.push(TokenKind::Punct(c));
                }
                self.advance();
            }
        }
    }

    fn line_comment(&mut self) {
        while self.at < self.chars.len() && self.peek(0) != '\n' {
            self.advance();
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        while self.at < self.chars.len() {
            match (self.peek(0), self.peek(1)) {
                ('/', '*') => {
                    depth += 1;
                    self.skip(2);
                }
                ('*', '/') => {
                    depth -= 1;
                    self.skip(2);
                    if depth == 0 {
                        return;
                    }
                }
                _ => self.advance(),
            }
        }
    }

    fn string(&mut self) {
        self.advance();
        while self.at < self.chars.len() {
            match self.peek(0) {
                '\\' => self.skip(2),
                '"' => return self.advance(),
                _ => self.advance(),
            }
        }
    }

    /// At the first `#` or the quote of a raw string.
    fn raw_string(&mut self) {
        let mut hashes = 0;
        while self.peek(0) == '#' {
            hashes += 1;
            self.advance();
        }
        self.advance();
        while self.at < self.chars.len() {
            let closes = self.peek(0) == '"' && (1..=hashes).all(|ahead| self.peek(ahead) == '#');
            self.advance();
            if closes {
                return self.skip(hashes);
            }
        }
    }

    fn char_or_lifetime(&mut self) {
        if self.peek(1) == '\\' {
            self.skip(3);
            while self.at < self.chars.len() && self.peek(0) != '\'' {
                self.advance();
            }
            self.advance();
        } else if self.peek(2) == '\'' {
            self.skip(3);
        } else {
            // A lifetime: its name must not pass for a path.
            self.advance();
            while self.peek(0).is_alphanumeric() || self.peek(0) == '_' {
                self.advance();
            }
        }
    }

    fn number(&mut self) {
        while self.peek(0).is_alphanumeric() || self.peek(0) == '_' {
            self.advance();
        }
    }

    fn word(&mut self) {
        let start = self.at;
        while self.peek(0).is_alphanumeric() || self.peek(0) == '_' {
            self.advance();
        }
        let word: String = self.chars[start..self.at].iter().collect();
        match (word.as_str(), self.peek(0), self.peek(1)) {
            ("r" | "br" | "cr", '"', _) | ("r" | "br" | "cr", '#', '"' | '#') => self.raw_string(),
            ("b" | "c", '"', _) => self.string(),
            ("b", '\'', _) => self.char_or_lifetime(),
            ("r", '#', _) => self.advance(),
            _ => self.push(TokenKind::Ident(word)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        tokens(text).iter().filter_map(|t| t.ident().map(str::to_owned)).collect()
    }

    #[test]
    fn comments_and_literals_leave_no_words() {
        let text = r###"
            // line fjall::A
            /* block /* nested */ fjall::B */
            a("fjall::C \" fjall::D", r#"fjall::"E"#, b"fjall", br##"fjall"# "##, 'f', '\'', b'x', '\u{1F600}');
            b
        "###;
        assert_eq!(words(text), ["a", "b"]);
    }

    #[test]
    fn a_lifetime_is_not_the_start_of_a_char() {
        assert_eq!(words("fn f<'a>(x: &'a str) -> char { 'x' } fn g() {}"), ["fn", "f", "x", "str", "char", "fn", "g"]);
    }

    #[test]
    fn lines_are_counted_through_literals_and_comments() {
        let found = tokens("/*\n\n*/ \"\n\" r\"\n\" last");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].line, 5);
    }

    #[test]
    fn unclosed_literals_end_with_the_file() {
        for text in ["\"abc", "r#\"abc", "/* abc", "'\\", "b\"", "r#"] {
            assert_eq!(words(text), [""; 0], "{text}");
        }
    }
}
