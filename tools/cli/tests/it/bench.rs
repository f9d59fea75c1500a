//! `bench`, as short as it gets: it runs through and its figures have their names.

use crate::rig::Rig;

#[test]
fn a_short_bench_gives_its_figures_and_leaves_nothing_behind() {
    let rig = Rig::new();
    let disk = tempfile::tempdir().unwrap();
    let dir = disk.path().to_str().unwrap();
    let args = ["bench", "--dir", dir, "--pairs", "1", "--threads", "1", "--files", "50", "--json", "-q"];
    let figures = rig.run(args).json();
    let create = figures.iter().find(|f| f["name"] == "durable create 1 KiB, 1 threads").unwrap();
    assert!(create["value"].as_f64().unwrap() > 0.0 && create["ratio"].as_f64().unwrap() > 0.0, "{create}");
    for name in ["reopen after an unclean end", "resident memory", "stat 1000 versions ago", "readdir"] {
        assert!(figures.iter().any(|f| f["name"] == name), "{name} is missing from {figures:?}");
    }
    assert_eq!(std::fs::read_dir(dir).unwrap().count(), 0, "the bench cleans up");
}
