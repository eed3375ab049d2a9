//! The program as it is used, over key sets of a few hundred keys.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The program, with a cache of its own.
fn bench(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_memkv-bench"));
    command.env("XDG_CACHE_HOME", folder.join("cache")).current_dir(folder);
    command
}

fn text(output: &Output) -> String {
    let (stdout, stderr) = (&output.stdout, &output.stderr);
    String::from_utf8_lossy(stdout).into_owned() + &String::from_utf8_lossy(stderr)
}

/// Maps that are there whatever the program was built with.
const PEERS: &str = "btreemap,memkv,memkv-folded,memkv-2%,sorted-vec,fst,rwlock-btreemap";

#[test]
fn a_run_is_reported_and_compared() {
    let folder = tempfile::tempdir().unwrap();
    let run = |depth: &str, peers: &str, repeats: &str, out: &str| {
        let mut command = bench(folder.path());
        command.args([depth, "--peers", peers, "--sets", "words,timestamps", "--sizes", "300,600"]);
        let output = command.args(["--repeats", repeats, "--out", out]).output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        assert!(text(&output).contains("0 maps failed on a key set; 0 wrong answers"));
    };
    run("quick", PEERS, "2", "one.jsonl");
    run("standard", "btreemap,memkv-folded,fst", "1", "two.jsonl");
    let lines = fs::read_to_string(folder.path().join("two.jsonl")).unwrap();
    for measure in ["bytes", "get_chain", "scan_back", "ycsb_e", "open", "remove", "write_all_p99"]
    {
        assert!(lines.contains(&format!("\"measure\":\"{measure}\"")), "{measure} is missing");
    }

    let output = bench(folder.path()).args(["report", "two.jsonl"]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let report = fs::read_to_string(folder.path().join("BENCHMARKS.md")).unwrap();
    for part in ["## 600 keys of `words`", "Threads:", "| memkv-folded |", "## Absent"] {
        assert!(report.contains(part), "{part} is missing:\n{report}");
    }
    assert!(!report.contains("interrupted"));
    for name in ["scatter-words-600", "memory-timestamps-300", "sizes-words"] {
        assert!(report.contains(&format!("](bench/charts/{name}.svg)")), "{name}");
        let path = folder.path().join(format!("bench/charts/{name}.svg"));
        let chart = fs::read_to_string(path).unwrap();
        assert!(chart.contains("</svg>") && chart.contains("memkv-folded"), "{name}");
    }

    let output = bench(folder.path()).args(["compare", "one.jsonl", "two.jsonl"]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("median noise band"), "{}", text(&output));
}

#[test]
fn models_and_maps_are_measured_on_every_set() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&["--keys", "300"][..], &["--keys", "300", "--maps"]] {
        let output =
            bench(folder.path()).args(["models", "--probes", "50"]).args(arguments).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", text(&output));
        let rows = if arguments.len() > 2 { "map | MemKV" } else { "elias-fano | fitted" };
        assert_eq!(text(&output).matches(rows).count(), 11, "{}", text(&output));
        assert!(!text(&output).contains("wrong"), "{}", text(&output));
    }
}

#[test]
fn a_missing_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in
        [&["report", "nowhere.jsonl"][..], &["compare", "nowhere.jsonl", "nowhere.jsonl"]]
    {
        let output = bench(folder.path()).args(arguments).output().unwrap();
        assert!(!output.status.success());
        assert!(text(&output).contains("nowhere.jsonl"), "{}", text(&output));
    }
    let mut command = bench(folder.path());
    command.args(["quick", "--peers", "btreemap", "--sets", "sosd", "--sosd", "nowhere.bin"]);
    let output = command.args(["--repeats", "1", "--out", "run.jsonl"]).output().unwrap();
    assert!(text(&output).contains("1 maps failed"), "{}", text(&output));
    let lines = fs::read_to_string(folder.path().join("run.jsonl")).unwrap();
    assert!(lines.contains("nowhere.bin"), "{lines}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = bench(folder.path());
    let output = command.args(["quick", "--sizes", "300", "--out", "/dev/full"]).output().unwrap();
    assert!(!output.status.success());
    assert!(text(&output).contains("cannot write to /dev/full"), "{}", text(&output));
}

#[test]
#[cfg(unix)]
fn an_interrupted_run_keeps_what_was_measured() {
    const PATIENCE: Duration = Duration::from_mins(1);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.jsonl");
    let mut command = bench(folder.path());
    command.args(["quick", "--peers", PEERS, "--sets", "words", "--sizes", "2000"]);
    command.args(["--repeats", "100000", "--out"]).arg(&path);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    let lines = || fs::read_to_string(&path).unwrap_or_default().lines().count();
    while lines() < 40 {
        assert!(start.elapsed() < PATIENCE, "nothing is measured");
        std::thread::sleep(Duration::from_millis(20));
    }
    let interrupt = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupt.success());
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success());
    assert!(text(&output).contains("interrupted; what was measured is kept"), "{}", text(&output));
    let output = bench(folder.path()).arg("report").arg(&path).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let report = fs::read_to_string(folder.path().join("BENCHMARKS.md")).unwrap();
    assert!(report.contains("**The run was interrupted"), "{report}");
}
