#[cfg_attr(not(test), expect(dead_code, unused_imports, reason = "the verbs that move trees stand in front of it"))]
mod transfer;

fn main() {}
