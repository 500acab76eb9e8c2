//! The prompt of `overgrant sql`, as somebody types at it: on a pseudo-terminal that Python makes.

use std::process::Command;

use crate::ask::run;
use crate::support::{project, told};

#[test]
fn somebody_types_at_the_prompt() {
    let has = Command::new("python3").args(["-c", "import fcntl, pty, termios"]).output();
    if !has.is_ok_and(|done| done.status.success()) {
        eprintln!("SKIPPED: there is no python3 with pty here");
        return;
    }
    let done = Command::new("python3")
        .arg(project("tests/terminal/type_prompt.py"))
        .args([env!("CARGO_BIN_EXE_overgrant").as_ref(), run().as_os_str()])
        .output()
        .unwrap();
    let told = told(&done);
    // Nothing was passed over in silence.
    assert_eq!(told.lines().filter(|line| line.starts_with("ok ")).count(), 10, "{told}");
}
