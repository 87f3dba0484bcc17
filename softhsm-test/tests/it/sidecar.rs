//! The sidecar's text: what is written is read, and what is not ours is refused.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use fault_shim::{InvalidSidecar, Sidecar};
use proptest::prelude::*;

#[test]
fn a_sidecar_without_a_module_is_refused() {
    assert_eq!(Sidecar::parse(b"env=A=b\n"), Err(InvalidSidecar::NoModule));
    assert_eq!(
        Sidecar::parse(b"real=/a\ncolour=red\n"),
        Err(InvalidSidecar::UnknownLine { number: 2 })
    );
    assert_eq!(
        Sidecar::path_for(Path::new("/tmp/m.so")),
        Path::new("/tmp/m.conf")
    );
}

/// A value of a line: any octets but the line's end.
fn value() -> impl Strategy<Value = OsString> {
    prop::collection::vec(
        any::<u8>().prop_filter("one line", |byte| *byte != b'\n'),
        0..40,
    )
    .prop_map(OsString::from_vec)
}

proptest! {
    #[test]
    fn a_written_sidecar_is_read_back(
        real in value(),
        environment in prop::collection::vec(("[A-Z0-9_]{1,12}", value()), 0..4),
        control in prop::option::of(value()),
    ) {
        let written = Sidecar { real: real.into(), environment, control: control.map(Into::into) };
        prop_assert_eq!(Sidecar::parse(&written.to_bytes()), Ok(written));
    }

    #[test]
    fn any_bytes_are_read_or_refused(text in prop::collection::vec(any::<u8>(), 0..200)) {
        let _outcome = Sidecar::parse(&text);
    }
}
