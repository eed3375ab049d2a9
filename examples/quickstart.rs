//! The map in ten lines: `cargo run --release --example quickstart`.

use memkv::MemKV;

fn main() {
    let kv: MemKV<String, u64> = MemKV::new();
    kv.insert("apple", 3); // a borrowed key is not cloned into a String first
    kv.insert(String::from("pear"), 4);
    kv.extend([("apricot", 1), ("banana", 7)]);
    assert_eq!(kv.get("apple"), Some(3));
    assert_eq!(kv.remove("pear"), Some(4));

    for (key, value) in kv.range("a".."b").rev() {
        println!("{key} = {value}");
    }
    println!("{} keys begin with ap", kv.prefix("ap").count());

    let shared = kv.clone(); // another handle to the same map
    let writer = std::thread::spawn(move || shared.put("plum", 5));
    writer.join().expect("the writer does not panic");
    println!("{} entries in {} bytes", kv.len(), kv.memory_usage().total());
}
