//! Times the innermost steps: `cargo bench -p nexus-benches`.

use criterion::Criterion;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let cases = nexus_benches::micro::cases().expect("a zone in memory");
    for mut case in cases {
        criterion.bench_function(case.name, |bencher| bencher.iter(&mut case.run));
    }
    criterion.final_summary();
}
