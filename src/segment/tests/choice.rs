//! What the builder chooses, against all that it could have chosen, for keys that it was not tuned on.
//!
//! The sets are made here, of seeds and forms that neither the code nor the measurements know.

use super::*;
use crate::bytes::bytes_of;
use crate::testing::rng::Rng;

/// Keys of a set.
const KEYS: usize = 6_000;

/// Made-up words, of which some come much more often than others.
struct Vocabulary(Vec<String>);

impl Vocabulary {
    fn new(rng: &mut Rng, words: usize) -> Self {
        let letters = b"etaoinshrdlucmfwypvbgkjqxz";
        let word = |rng: &mut Rng| {
            let len = 2 + rng.log_below(10);
            (0..len).map(|_| char::from(letters[rng.log_below(letters.len())])).collect()
        };
        Self((0..words).map(|_| word(rng)).collect())
    }

    fn pick(&self, rng: &mut Rng) -> &str {
        &self.0[rng.log_below(self.0.len())]
    }
}

/// Different keys of one form.
fn set(seed: u64, key: impl Fn(&mut Rng, &Vocabulary) -> Vec<u8>) -> Vec<Vec<u8>> {
    let mut rng = Rng::new(seed);
    let words = Vocabulary::new(&mut rng, 3_000);
    let mut keys = BTreeSet::new();
    while keys.len() < KEYS {
        keys.insert(key(&mut rng, &words));
    }
    keys.into_iter().collect()
}

/// Sets by name. The last ones are of forms that no codec was made for.
fn sets(seed: u64) -> Vec<(&'static str, Vec<Vec<u8>>)> {
    vec![
        (
            "three words",
            set(seed, |rng, words| {
                format!("{} {} {}", words.pick(rng), words.pick(rng), words.pick(rng)).into()
            }),
        ),
        (
            "URLs",
            set(seed, |rng, words| {
                let (host, page) = (words.pick(rng).to_owned(), rng.below(1_000_000));
                let [a, b] = [words.pick(rng), words.pick(rng)];
                format!("https://{host}.example.org/{a}/{b}?page={page}").into()
            }),
        ),
        (
            "paths",
            set(seed, |rng, words| {
                let [a, b, c] = [words.pick(rng), words.pick(rng), words.pick(rng)];
                format!("/home/{a}/src/{b}/{c}_{}.rs", rng.below(3_000)).into()
            }),
        ),
        ("random bytes", set(seed, |rng, _| rng.bytes(16))),
        (
            "numbers in text",
            set(seed, |rng, _| format!("user:{:08}:profile", 7 * rng.below(40_000)).into()),
        ),
        (
            "times of a few sensors",
            set(seed, |rng, _| {
                let time = 1_800_000_000_000 + rng.next_u64() % 5_000_000;
                let sensor = Rng::new(rng.below(10) as u64).bytes(16);
                [&bytes_of(time)[..], &sensor].concat()
            }),
        ),
        (
            "places of a few owners",
            set(seed, |rng, _| {
                let owner = Rng::new(rng.below(30) as u64).bytes(8);
                let small = bytes_of((rng.below(100) as u64).wrapping_sub(50));
                [&bytes_of(rng.next_u64())[..], &owner, &small].concat()
            }),
        ),
        ("random digits", set(seed, |rng, _| format!("{:032x}", rng.next_u64()).into())),
        (
            "times and random bytes",
            set(seed, |rng, _| {
                let time = 1_800_000_000_000 + rng.next_u64() % 5_000_000;
                [&bytes_of(time)[2..], &[0x70], &rng.bytes(9)].concat()
            }),
        ),
        (
            "users and what they bought",
            set(seed, |rng, _| {
                [rng.log_below(1 << 22), rng.below(1 << 20)].map(|n| bytes_of(n as u64)).concat()
            }),
        ),
        ("random numbers", set(seed, |rng, _| rng.next_u64().to_le_bytes().into())),
        (
            "times and sensors",
            set(seed, |rng, _| {
                let (second, sensor) = (rng.below(86_400), rng.below(40));
                let (hour, minute) = (second / 3600, second / 60 % 60);
                format!("2031-04-05T{hour:02}:{minute:02}:{:02}Z/{sensor}", second % 60).into()
            }),
        ),
        (
            "addresses of people",
            set(seed, |rng, words| {
                let [a, b, c] = [words.pick(rng), words.pick(rng), words.pick(rng)];
                format!("{a}.{b}{}@{c}.example", rng.below(100)).into()
            }),
        ),
        (
            "stock numbers",
            set(seed, |rng, words| {
                let maker = words.pick(rng).to_uppercase();
                let maker = &maker[..maker.len().min(3)];
                format!("{maker}-{:05}-{:x}", rng.below(100_000), rng.below(16)).into()
            }),
        ),
    ]
}

/// Bytes of the image that a choice makes of keys with values of 8 bytes, and what it made.
fn made(model: &Model, choice: CodecChoice) -> (usize, &'static str) {
    let segment = built(model, ValueWidth::Fixed(8), choice);
    (image_of(&segment).len(), segment.stats().codec)
}

#[test]
fn the_choice_takes_at_most_a_tenth_more_than_the_best_one_would() {
    use CodecChoice::{Automatic, Direct, DirectSymbols, Fastest, Front, Fst, Int, Plain};
    use CodecChoice::{Smallest, Symbols, Wide};
    for seed in [90_001, 90_002] {
        for (name, keys) in sets(seed) {
            let model = model_of(keys, ValueWidth::Fixed(8), false);
            // Transducers are built and walked many times slower than blocks, so only `Smallest` takes
            // them; a point index takes five bytes a key, so only `Fastest` does.
            let blocks = [Front, Symbols, Int, Wide, Plain];
            let fast = [Direct, DirectSymbols];
            let all = [Front, Symbols, Int, Wide, Plain, Fst, Direct, DirectSymbols];
            let cases = [(Automatic, &blocks[..]), (Smallest, &all[..]), (Fastest, &fast[..])];
            for (choice, others) in cases {
                let (bytes, codec) = made(&model, choice);
                let others = others.iter().map(|other| made(&model, *other));
                let (least, best) = others.min().expect("some");
                // What reads faster may take a third more: symbols have to spare a quarter.
                let room = if choice == Fastest { 34 } else { 10 };
                assert!(
                    bytes * 100 <= least * (100 + room),
                    "{name} {seed}, {choice:?}: {codec} of {bytes} bytes, {best} of {least}"
                );
            }
        }
    }
}

#[test]
fn each_set_has_its_codec() {
    let expected = [
        ("three words", ["fsst", "fsst", "direct-fsst"]),
        ("URLs", ["fsst", "fsst", "direct-fsst"]),
        ("paths", ["fsst", "fsst", "direct-fsst"]),
        ("random bytes", ["wide", "wide", "wide"]),
        ("numbers in text", ["wide", "wide", "wide"]),
        ("times of a few sensors", ["fsst", "fsst", "direct-fsst"]),
        ("places of a few owners", ["fsst", "fsst", "direct"]),
        ("random digits", ["fsst", "fsst", "direct-fsst"]),
        ("times and random bytes", ["wide", "wide", "wide"]),
        ("users and what they bought", ["wide", "wide", "wide"]),
        ("random numbers", ["int", "int", "int"]),
        ("times and sensors", ["fsst", "fsst", "direct-fsst"]),
        ("addresses of people", ["fsst", "fsst", "direct-fsst"]),
        ("stock numbers", ["fsst", "fsst", "direct"]),
    ];
    let sets = sets(90_003);
    let chosen: Vec<_> = sets
        .into_iter()
        .map(|(name, keys)| {
            let model = model_of(keys, ValueWidth::Fixed(8), false);
            let choices = [CodecChoice::Automatic, CodecChoice::Smallest, CodecChoice::Fastest];
            (name, choices.map(|choice| made(&model, choice).1))
        })
        .collect();
    assert_eq!(chosen, expected);
}
