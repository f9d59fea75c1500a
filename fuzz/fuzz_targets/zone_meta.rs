#![no_main]

#[expect(dead_code, reason = "each target runs one of the bodies")]
#[path = "../../log/tests/it/fuzzing/bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bodies::zone_meta(data);
});
