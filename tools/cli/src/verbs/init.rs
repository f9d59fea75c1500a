//! `init`.

use nexus_engine::{Caller, Nexus, ROOT_ZONE, RootAttributes, ZoneOptions};

use crate::args::{Global, InitArgs};
use crate::failure::Result;
use crate::output::Object;
use crate::session::{Session, data_dir};

pub(super) fn init(args: &InitArgs, global: &Global, caller: Caller) -> Result<()> {
    let dir = data_dir(global)?;
    let root = RootAttributes {
        mode: args.mode,
        uid: args.owner.and_then(|owner| owner.uid).unwrap_or(rustix::process::getuid().as_raw()),
        gid: args.owner.and_then(|owner| owner.gid).unwrap_or(rustix::process::getgid().as_raw()),
    };
    let nexus = Nexus::init(&dir, root, ZoneOptions { reads: args.reads, ..ZoneOptions::default() })?;
    Session::with_open(nexus, global, caller, |session| {
        let id = session.root().identity().zone.to_string();
        let dir = session.dir().to_owned();
        let bytes = std::os::unix::ffi::OsStrExt::as_bytes(dir.as_os_str());
        if session.out.json {
            let object = Object::new().with_bytes("dir", bytes).with("zone", ROOT_ZONE).with("zone_id", id);
            return session.out.object(&object);
        }
        session.out.named_line("made ", bytes, format_args!(" a data directory; its zone {ROOT_ZONE} is {id}"))
    })
}
