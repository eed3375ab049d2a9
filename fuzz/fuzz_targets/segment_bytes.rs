#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    memkv::fuzzing::segment_bytes(data, &mut memkv_fuzz::bounded);
});
