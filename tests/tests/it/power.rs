//! Power cuts and failed syncs over the whole engine: small histories with every syscall, stopped at each operation of
//! the disk, in several outcomes each.

use nexus_log::env::SyncFault;
use nexus_tests::long;
use nexus_tests::rig::copy_of;

use crate::scene::{Promise, Scene, check_survivor, cuts};
use crate::script::{Script, basic, further};

/// Seeds, scripts, and how many refusals the script meets.
const SCENES: [(u64, Script, u64); 4] = [(0, basic, 3), (1, basic, 3), (2, further, 1), (3, further, 1)];

fn operations_of_the_script(seed: u64, script: Script, refusals: u64) -> u64 {
    let scene = Scene::new(seed, script);
    let rig = scene.play().unwrap().rig;
    assert!(
        rig.history.len() > 20 && rig.refusals == refusals,
        "{} changes, {} refusals",
        rig.history.len(),
        rig.refusals
    );
    scene.disk.operations()
}

#[test]
fn a_power_cut_at_any_operation_of_the_disk_loses_nothing_acknowledged_and_tears_nothing() {
    for (seed, script, refusals) in SCENES {
        let operations = operations_of_the_script(seed, script, refusals);
        let step = if long() { 1 } else { 17 };
        // The founding of the zone, and then each or some.
        for nth in (1..40)
            .step_by(if long() || seed == 0 { 1 } else { 4 })
            .chain((40 + seed * 4..=operations + 1).step_by(step))
        {
            let scene = Scene::new(seed, script);
            scene.disk.stop_after(nth);
            let rig = scene.play();
            cuts(&scene, rig, if long() { 8 } else { 1 }, &format!("seed {seed}, operation {nth} of {operations}"));
        }
    }
}

#[test]
fn a_failed_sync_loses_nothing_acknowledged_and_what_was_shown_again_stays() {
    for (seed, script, _) in SCENES {
        let scene = Scene::new(seed, script);
        drop(scene.play());
        let syncs = scene.disk.syncs();
        for nth in (1..=syncs).step_by(if long() { 1 } else { 17 }) {
            for fault in [SyncFault::Lost, SyncFault::Partly { seed: nth }] {
                let scene = Scene::new(seed, script);
                scene.disk.fault_sync(nth, fault);
                let rig = scene.play();
                let note = format!("seed {seed}, {fault:?} at sync {nth} of {syncs}");
                let promise = rig.as_ref().map(Promise::of);
                cuts(&scene, rig, u64::from(long()), &note);
                // Opened again in the same uptime: whatever is shown then is on the disk.
                let again = scene.fork(copy_of(&scene.store));
                let rig = again.open().unwrap_or_else(|e| panic!("{note}: {e:?}"));
                if let Some(promise) = &promise {
                    promise.check(&rig, &note);
                }
                let shown = Promise { acknowledged: rig.zone.log().flushed(), ..Promise::of_rig(&rig) };
                drop(rig);
                again.disk.power_cut(&mut || false);
                check_survivor(&again, Some(&shown), &note);
            }
        }
    }
}

#[test]
fn reads_and_writes_that_are_short_or_interrupted_change_nothing() {
    for seed in 0..if long() { 50 } else { 4 } {
        let script = if seed % 4 < 2 { basic } else { further };
        let scene = Scene::new(seed, script);
        scene.disk.set_short_io(Some(seed));
        let rig = scene.play().unwrap();
        let promise = Promise::of(&rig);
        assert_eq!(promise.history.len(), Scene::new(seed, script).play().unwrap().rig.history.len());
        drop(rig);
        scene.disk.power_cut_seeded(seed);
        check_survivor(&scene, Some(&promise), &format!("seed {seed}"));
    }
}
