#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| memkv::fuzzing::map_ops(data));
