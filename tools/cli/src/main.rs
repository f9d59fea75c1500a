mod bench;
#[cfg_attr(not(test), expect(dead_code, unused_imports, reason = "the verbs that move trees stand in front of it"))]
mod transfer;

fn main() {
    let a: Vec<String> = std::env::args().collect();
    let options = bench::BenchOptions {
        dir: a[1].clone().into(),
        pairs: a[2].parse().unwrap(),
        threads: vec![1, 8, 64],
        drivers: a.len() > 4,
        files: a[3].parse().unwrap(),
    };
    let report = bench::run(&options, &mut |s| eprintln!("{s}")).unwrap();
    print!("{}", report.table());
}
