//! The architecture as a test: a file uses only what stands below it, and `unsafe` has few homes.
//!
//! [`LEVELS`] is the one place that says what stands below what. A new module must be entered
//! there. Only code that ships is looked at: not tests, not comments, not strings.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What a module may use of its own level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Within {
    /// The modules listed before it.
    Earlier,
    /// Nothing: the modules are siblings that do not know each other.
    Nothing,
    /// Anything.
    All,
}

/// The modules of `src`, lowest level first.
const LEVELS: &[(&str, Within, &[&str])] = &[
    (
        "L0 vocabulary",
        Within::Earlier,
        &["error", "options", "stats", "sync", "planted", "bytes", "checksum", "key", "range"],
    ),
    (
        "L1 contracts",
        Within::Earlier,
        &[
            "mmap", "arena", "storage", "blocks", "packed", "numbers", "entry", "value", "columns",
            "strings", "batch", "cursor", "merge", "filter",
        ],
    ),
    ("L2 indexes", Within::Nothing, &["art", "segment"]),
    ("L3 state", Within::Earlier, &["partition", "directory", "snapshot"]),
    ("L4 background", Within::Earlier, &["compact"]),
    ("L5 durable", Within::Earlier, &["store"]),
    ("L6 public", Within::All, &["map", "iter", "query", "testing", "fuzzing"]),
];

/// Where the word `unsafe` may stand: folders and files of `src`.
const UNSAFE_HOMES: [&str; 5] = ["arena/", "art/", "mmap.rs", "sync/arc.rs", "sync/forks.rs"];

/// Level and position in it of a module.
fn place(module: &str) -> Option<(usize, usize)> {
    let position = |modules: &[&str]| modules.iter().position(|&known| known == module);
    let mut levels = LEVELS.iter().enumerate();
    levels.find_map(|(level, (_, _, modules))| Some((level, position(modules)?)))
}

/// Why `user` may not use `used`, if it may not.
fn objection(user: &str, used: &str) -> Option<String> {
    let Some(user_place) = place(user) else {
        return Some(format!("module `{user}` has no place in LEVELS"));
    };
    let Some(used_place) = place(used) else {
        return Some(format!("`{user}` uses `{used}`, which has no place in LEVELS"));
    };
    let (name, within, _) = LEVELS[user_place.0];
    let allowed = user == used
        || used_place.0 < user_place.0
        || used_place.0 == user_place.0
            && match within {
                Within::Earlier => used_place.1 < user_place.1,
                Within::Nothing => false,
                Within::All => true,
            };
    let (above, ..) = LEVELS[used_place.0];
    (!allowed).then(|| format!("`{user}` ({name}) uses `{used}` ({above})"))
}

/// Splits Rust source into words and single punctuation marks, `::` being one. Drops comments,
/// strings, characters and lifetimes.
fn tokens(source: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let len = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment_len(rest)
        } else if let Some(len) = string_len(rest) {
            len
        } else if first == '\'' {
            quote_len(rest)
        } else if first.is_alphanumeric() || first == '_' {
            let len = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            tokens.push(rest[..len].to_owned());
            len
        } else if rest.starts_with("::") {
            tokens.push("::".to_owned());
            2
        } else {
            if !first.is_whitespace() {
                tokens.push(first.to_string());
            }
            first.len_utf8()
        };
        rest = &rest[len..];
    }
    tokens
}

fn block_comment_len(source: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < source.len() {
        if source[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if source[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += source[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

/// Length of the string literal at the start of `source`, if there is one.
fn string_len(source: &str) -> Option<usize> {
    let prefix = source.find(|c| !matches!(c, 'b' | 'c' | 'r')).filter(|&len| len <= 2)?;
    let raw = source[..prefix].ends_with('r');
    let hashes = if raw { source[prefix..].find(|c| c != '#')? } else { 0 };
    let open = prefix + hashes;
    if !source[open..].starts_with('"') {
        return None;
    }
    if raw {
        let close = format!("\"{}", "#".repeat(hashes));
        return Some(open + 1 + source[open + 1..].find(&close)? + close.len());
    }
    let mut escaped = false;
    for (at, c) in source[open + 1..].char_indices() {
        match c {
            '"' if !escaped => return Some(open + 1 + at + 1),
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    None
}

/// Length of the character literal or lifetime that starts with the quote.
fn quote_len(source: &str) -> usize {
    let mut chars = source.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        // From the escaped character on, the next quote ends the literal.
        (Some((_, '\\')), Some((at, escaped))) => {
            let after = at + escaped.len_utf8();
            after + source[after..].find('\'').map_or(0, |quote| quote + 1)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1,
    }
}

/// Whether the tokens start with an attribute that keeps an item for tests only.
fn is_test_attribute(tokens: &[String]) -> bool {
    let starts = |pattern: &[&str]| {
        tokens.len() >= pattern.len() && pattern.iter().zip(tokens).all(|(a, b)| a == b)
    };
    starts(&["#", "[", "cfg", "(", "test", ")"])
        || starts(&["#", "[", "cfg", "(", "any", "(", "test", ",", "fuzzing", ")"])
        || starts(&["#", "[", "cfg", "(", "all", "(", "test"])
        || starts(&["#", "[", "test", "]"])
}

/// Tokens from `open`, a bracket, to the bracket that closes it.
fn bracketed_len(tokens: &[String]) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate() {
        match token.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => {
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

/// Number of tokens of the item, statement or field that starts here, with its attributes.
fn item_len(tokens: &[String]) -> usize {
    const ITEMS: [&str; 10] =
        ["fn", "mod", "use", "struct", "enum", "impl", "trait", "static", "const", "type"];
    let mut at = 0;
    let mut is_item = false;
    while at < tokens.len() {
        match tokens[at].as_str() {
            ";" => return at + 1,
            "," if !is_item => return at + 1,
            "{" if tokens[..at].iter().any(|token| token == "use") => {
                at += bracketed_len(&tokens[at..]);
            }
            "{" => return at + bracketed_len(&tokens[at..]),
            "}" | ")" | "]" => return at,
            "(" | "[" => at += bracketed_len(&tokens[at..]),
            word => {
                is_item |= ITEMS.contains(&word);
                at += 1;
            }
        }
    }
    at
}

/// The tokens without items for tests only.
fn shipped(tokens: &[String]) -> Vec<String> {
    let mut shipped = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if is_test_attribute(&tokens[at..]) {
            at += item_len(&tokens[at..]);
        } else {
            shipped.push(tokens[at].clone());
            at += 1;
        }
    }
    shipped
}

/// What the code names at the root of the crate, by `crate::` or by enough `super::`. `depth` is
/// the number of modules around the file's own code: 0 for `lib.rs`.
fn root_names(tokens: &[String], depth: usize) -> Vec<String> {
    let mut names = Vec::new();
    // For each open brace, whether it is a module's.
    let mut braces: Vec<bool> = Vec::new();
    let is = |at: usize, word: &str| tokens.get(at).is_some_and(|token| token == word);
    let mut at = 0;
    while at < tokens.len() {
        match tokens[at].as_str() {
            "{" => braces.push(at >= 2 && is(at - 2, "mod")),
            "}" => {
                braces.pop();
            }
            "crate" if is(at + 1, "::") => names.extend(named_at(&tokens[at + 2..])),
            "super" if at == 0 || !is(at - 1, "::") => {
                let depth = depth + braces.iter().filter(|&&module| module).count();
                let mut supers = 0;
                while is(at + 2 * supers, "super") && is(at + 2 * supers + 1, "::") {
                    supers += 1;
                }
                if supers > 0 && supers == depth {
                    names.extend(named_at(&tokens[at + 2 * supers..]));
                }
            }
            _ => {}
        }
        at += 1;
    }
    names
}

/// The names at the start of a path or of each path in a group.
fn named_at(tokens: &[String]) -> Vec<String> {
    let Some(first) = tokens.first() else {
        return Vec::new();
    };
    if first != "{" {
        return vec![first.clone()];
    }
    let group = &tokens[1..bracketed_len(tokens).saturating_sub(1).max(1)];
    let mut names = Vec::new();
    let (mut at, mut fresh) = (0, true);
    while at < group.len() {
        match group[at].as_str() {
            "{" => {
                at += bracketed_len(&group[at..]);
                continue;
            }
            "," => fresh = true,
            name if fresh => {
                names.push(name.to_owned());
                fresh = false;
            }
            _ => {}
        }
        at += 1;
    }
    names
}

/// The modules that `lib.rs` declares, in order.
fn declared(tokens: &[String]) -> Vec<String> {
    let words = tokens.windows(3);
    let modules = words.filter(|words| words[0] == "mod" && words[2] == ";");
    modules.map(|words| words[1].clone()).collect()
}

/// Which module each name comes from that `lib.rs` re-exports.
fn exports(tokens: &[String]) -> BTreeMap<String, String> {
    let mut exports = BTreeMap::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at] != "use" {
            at += 1;
            continue;
        }
        let end = at + tokens[at..].iter().position(|token| token == ";").unwrap_or(0);
        let path = &tokens[at + 1..end];
        let path = if path[0] == "crate" { &path[2..] } else { path };
        for name in path.iter().filter(|name| name.starts_with(char::is_uppercase)) {
            exports.insert(name.clone(), path[0].clone());
        }
        at = end + 1;
    }
    exports
}

/// A source file: its path below `src` and its tokens.
struct Source {
    path: String,
    tokens: Vec<String>,
}

impl Source {
    /// The module at the root of the crate that it belongs to; `lib` for the root itself.
    fn module(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// Modules around its code.
    fn depth(&self) -> usize {
        let parts = self.path.split('/').count();
        let is_own_module = !self.path.ends_with("/mod.rs") && self.path != "lib.rs";
        parts - 1 + usize::from(is_own_module)
    }

    fn is_test(&self) -> bool {
        self.path.starts_with("testing/")
            || self.path.ends_with("tests.rs")
            || self.path.contains("/tests/")
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("src is readable") {
            let path: PathBuf = entry.expect("src is readable").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("sources are UTF-8");
                let below = path.strip_prefix(&root).expect("it was found there");
                let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
                sources.push(Source { path: parts.join("/"), tokens: tokens(&text) });
            }
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

fn root_of(sources: &[Source]) -> &Source {
    sources.iter().find(|source| source.path == "lib.rs").expect("there is a lib.rs")
}

#[test]
fn no_module_uses_what_stands_above_it() {
    let sources = sources();
    let exports = exports(&root_of(&sources).tokens);
    let mut objections = Vec::new();
    for source in sources.iter().filter(|source| source.path != "lib.rs" && !source.is_test()) {
        let mut names = root_names(&shipped(&source.tokens), source.depth());
        names.sort_unstable();
        names.dedup();
        for name in names {
            let used = exports.get(&name).unwrap_or(&name);
            if let Some(objection) = objection(source.module(), used) {
                objections.push(format!("src/{}: {objection}", source.path));
            }
        }
    }
    assert!(objections.is_empty(), "\n{}", objections.join("\n"));
}

#[test]
fn the_root_declares_every_module_in_level_order() {
    let sources = sources();
    let declared = declared(&root_of(&sources).tokens);
    let levels: Vec<usize> = declared
        .iter()
        .map(|module| place(module).unwrap_or_else(|| panic!("`{module}` has no place")).0)
        .collect();
    assert!(levels.is_sorted(), "{declared:?} are on the levels {levels:?}");
    for source in &sources {
        let module = source.module();
        let known = module == "lib" || declared.iter().any(|name| name == module);
        assert!(known, "src/{} belongs to no module", source.path);
    }
}

#[test]
fn unsafe_code_stays_in_its_homes() {
    let is_home = |path: &str| UNSAFE_HOMES.iter().any(|home| path.starts_with(home));
    let has_unsafe = |source: &&Source| source.tokens.iter().any(|token| token == "unsafe");
    let sources = sources();
    let strays = sources.iter().filter(|source| !is_home(&source.path)).filter(has_unsafe);
    let strays: Vec<&str> = strays.map(|source| source.path.as_str()).collect();
    assert!(strays.is_empty(), "unsafe code in {strays:?}");
}

#[test]
fn paths_are_found_in_every_form() {
    let found = |source: &str, depth| root_names(&shipped(&tokens(source)), depth);
    assert_eq!(found("use crate::map::MemKV;", 1), ["map"]);
    assert_eq!(
        found("use crate::{art::{self, Tree}, segment, map::*};", 1),
        ["art", "segment", "map"]
    );
    assert_eq!(found("fn f(x: &crate::iter::Iter) -> u8 { crate::map::f(x) }", 1), ["iter", "map"]);
    assert_eq!(found("use super::map;", 1), ["map"]);
    assert_eq!(found("use super::map;", 2), [""; 0]);
    assert_eq!(found("use super::super::map;", 2), ["map"]);
    assert_eq!(found("mod inner { use super::map; use super::super::art; }", 1), ["art"]);
    assert_eq!(found("pub(crate) fn f() {} pub(super) fn g() {}", 1), [""; 0]);
}

#[test]
fn tests_comments_and_strings_do_not_count() {
    let found = |source: &str| root_names(&shipped(&tokens(source)), 1);
    let quiet = [
        "// use crate::map;",
        "/* use /* nested */ crate::map; */",
        "/// [`crate::map`]\nfn f() {}",
        "const S: &str = \"use crate::map \\\" crate::map\";",
        "const S: &str = r#\"crate::map\" crate::map\"#;",
        "#[cfg(test)]\nmod tests { use crate::map; fn f() { crate::map::g() } }",
        "#[cfg(test)] use crate::{map, art};",
        "#[cfg(test)] pub(crate) fn f(a: A, b: B) { crate::map::g() }",
        "#[cfg(all(test, not(miri)))] #[path = \"x.rs\"] mod tests { use crate::map; }",
        "#[cfg(test)] return crate::map::f();",
        "#[cfg(any(test, fuzzing))] mod check { use crate::map; }",
    ];
    for source in quiet {
        assert_eq!(found(source), [""; 0], "{source}");
    }
    let loud = [
        "#[cfg(test)] mod tests { fn f() {} } use crate::map;",
        "#[cfg(test)] mod tests; use crate::map;",
        "#[cfg(test)] use a::{b, c}; use crate::map;",
        "struct S<'a> { #[cfg(test)] field: u8, other: &'a crate::map::M }",
        "fn f() -> char { '\"' } use crate::map; const Q: char = '\\''; const C: u8 = b'\"';",
        "fn f<'a>(x: &'a str) {} use crate::map;",
        "#[cfg(not(test))] use crate::map;",
    ];
    for source in loud {
        assert_eq!(found(source), ["map"], "{source}");
    }
}

#[test]
fn upward_and_sideways_edges_are_refused() {
    assert_eq!(objection("map", "art"), None);
    assert_eq!(objection("merge", "cursor"), None);
    assert_eq!(objection("art", "art"), None);
    for (user, used) in [
        ("art", "partition"),
        ("art", "segment"),
        ("cursor", "merge"),
        ("error", "sync"),
        ("segment", "unheard_of"),
        ("unheard_of", "error"),
    ] {
        assert!(objection(user, used).is_some(), "{user} may use {used}");
    }
}
