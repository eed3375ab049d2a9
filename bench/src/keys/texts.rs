//! String keys. Each function gives at least as many as it is asked for, repetitions included,
//! unless its source has no more.

use super::Files;
use crate::kind::{ByteList, KeyList};
use crate::random::{Random, Zipf};
use std::fmt::Write;
use std::path::{Path, PathBuf};

const SHIPPED_WORDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../benches/data/words.txt");

fn read_lines(path: &Path) -> Result<ByteList, String> {
    let text = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut lines = ByteList::default();
    text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).for_each(|l| lines.push(l));
    Ok(lines)
}

/// The list given, or what `bench/fetch-words` made, or the shipped one.
fn word_list(files: &Files) -> Result<ByteList, String> {
    let fetched = super::cache_folder().join("words.txt");
    match &files.words {
        Some(path) => read_lines(path),
        None if fetched.exists() => read_lines(&fetched),
        None => read_lines(Path::new(SHIPPED_WORDS)),
    }
}

/// Words; and where they end, pairs `word-word` of words of 4 to 8 letters.
pub(super) fn words(count: usize, random: &mut Random, files: &Files) -> Result<ByteList, String> {
    let mut keys = word_list(files)?;
    let parts: Vec<usize> =
        (0..keys.len()).filter(|&index| (4..=8).contains(&keys.key(index).len())).collect();
    if keys.len() < count && parts.len().pow(2) / 2 < count {
        return Err(format!("{} words are too few to make {count} keys", keys.len()));
    }
    let missing = count.saturating_sub(keys.len());
    for _ in 0..missing + missing / 20 {
        let mut part = || keys.key(parts[random.below(parts.len())]).to_vec();
        let pair = [part(), b"-".to_vec(), part()].concat();
        keys.push(&pair);
    }
    Ok(keys)
}

/// Masstree takes no longer keys; nor do most people.
const LONGEST_PATH: usize = 255;

/// The paths below a folder, /usr unless another is given, sorted by name so that the order of the
/// directory does not matter.
pub(super) fn paths(count: usize, _: &mut Random, files: &Files) -> Result<ByteList, String> {
    let root = files.walk.clone().unwrap_or_else(|| PathBuf::from("/usr"));
    let mut folders = vec![root.clone()];
    let mut keys = ByteList::default();
    while let Some(folder) = folders.pop() {
        let Ok(listing) = std::fs::read_dir(&folder) else { continue };
        let mut below: Vec<_> = listing.flatten().collect();
        below.sort_by_key(std::fs::DirEntry::path);
        for entry in below {
            let path = entry.path();
            let bytes = path.as_os_str().as_encoded_bytes();
            if bytes.len() <= LONGEST_PATH {
                keys.push(bytes);
            }
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            }
        }
        if keys.len() > 4 * count {
            break;
        }
    }
    if keys.len() == 0 {
        return Err(format!("{}: there is nothing below this folder", root.display()));
    }
    Ok(keys)
}

const SYLLABLES: [&str; 32] = [
    "an", "ber", "co", "da", "el", "fi", "go", "hu", "in", "ja", "ka", "lo", "mi", "ne", "or",
    "pa", "qui", "ra", "so", "ta", "um", "ve", "wa", "xi", "yo", "za", "tech", "net", "shop",
    "blog", "data", "wiki",
];
const ENDINGS: [&str; 12] =
    ["com", "org", "net", "de", "co.uk", "io", "fr", "jp", "ru", "edu", "info", "nl"];
const SECTIONS: [&str; 16] = [
    "news",
    "blog",
    "articles",
    "products",
    "wiki",
    "users",
    "forum/thread",
    "docs/api",
    "images",
    "category",
    "archive",
    "search",
    "static/js",
    "download",
    "events",
    "tags",
];

fn name(random: &mut Random, syllables: usize) -> String {
    (0..syllables).map(|_| SYLLABLES[random.below(SYLLABLES.len())]).collect()
}

fn domain(random: &mut Random) -> String {
    let syllables = 2 + random.below(3);
    format!("{}.{}", name(random, syllables), ENDINGS[random.below(ENDINGS.len())])
}

pub(super) fn urls(count: usize, random: &mut Random, _: &Files) -> Result<ByteList, String> {
    let hosts = (count / 50).clamp(64, 200_000);
    let hosts: Vec<String> = (0..hosts).map(|_| domain(random)).collect();
    let zipf = Zipf::new(hosts.len(), 0.9);
    let mut keys = ByteList::default();
    let mut url = String::new();
    for _ in 0..count + count / 10 + 64 {
        url.clear();
        let host = &hosts[zipf.rank(random)];
        let section = SECTIONS[random.below(SECTIONS.len())];
        let written = match random.below(4) {
            0 => write!(url, "https://{host}/{section}/{}", random.below(100_000_000)),
            1 => {
                let (year, month) = (2000 + random.below(26), 1 + random.below(12));
                let slug = [name(random, 2), name(random, 3), name(random, 2)].join("-");
                write!(url, "https://www.{host}/{section}/{year}/{month:02}/{slug}.html")
            }
            2 => {
                let query = name(random, 3);
                write!(url, "https://{host}/{section}?q={query}&page={}", random.below(1_000))
            }
            _ => {
                let (id, leaf) = (random.word() >> 24, name(random, 3));
                write!(url, "https://www.{host}/{section}/{id:x}/{leaf}/index.html?ref=home")
            }
        };
        written.expect("a string takes what is written");
        keys.push(url.as_bytes());
    }
    Ok(keys)
}

pub(super) fn composite(count: usize, random: &mut Random, _: &Files) -> Result<ByteList, String> {
    let users = (count / 20).max(16);
    let zipf = Zipf::new(users, 0.6);
    let mut keys = ByteList::default();
    let mut posts = vec![0_u32; users];
    for _ in 0..count {
        let user = zipf.rank(random);
        posts[user] += 1 + random.below(3) as u32;
        keys.push(format!("user:{user:08}:post:{:08}", posts[user]).as_bytes());
    }
    Ok(keys)
}

pub(super) fn uuids(count: usize, random: &mut Random, _: &Files) -> Result<ByteList, String> {
    let mut keys = ByteList::default();
    for _ in 0..count {
        let (high, low) = (random.word(), random.word());
        let (a, b, c) = (high >> 32, (high >> 16) & 0xffff, high & 0x0fff);
        let (d, e) = ((low >> 48) & 0x3fff | 0x8000, low & 0xffff_ffff_ffff);
        keys.push(format!("{a:08x}-{b:04x}-4{c:03x}-{d:04x}-{e:012x}").as_bytes());
    }
    Ok(keys)
}

pub(super) fn hashes(count: usize, random: &mut Random, _: &Files) -> Result<ByteList, String> {
    let mut keys = ByteList::default();
    for _ in 0..count {
        let words = [random.word(), random.word(), random.word(), random.word()];
        keys.push(words.map(u64::to_le_bytes).as_flattened());
    }
    Ok(keys)
}

pub(super) fn domains(count: usize, random: &mut Random, _: &Files) -> Result<ByteList, String> {
    const LABELS: [&str; 8] = ["www", "mail", "api", "cdn", "shop", "img", "dev", "m"];
    let hosts: Vec<String> = (0..count / 3 + 64).map(|_| domain(random)).collect();
    let mut keys = ByteList::default();
    for _ in 0..2 * count + 64 {
        let host = &hosts[random.below(hosts.len())];
        let mut parts: Vec<&str> = host.rsplit('.').collect();
        let syllables = 1 + random.below(2);
        let own = name(random, syllables);
        match random.below(3) {
            0 => {}
            1 => parts.push(LABELS[random.below(LABELS.len())]),
            _ => parts.push(&own),
        }
        keys.push(parts.join(".").as_bytes());
    }
    Ok(keys)
}
