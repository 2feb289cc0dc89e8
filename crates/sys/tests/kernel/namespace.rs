//! A network namespace of the test's own: the test starts itself again inside one.

use std::{
    env,
    process::{Command, Output},
};

const INSIDE: &str = "FERROLB_TEST_STAGE";

/// Root's way, and that of everybody else where the kernel lets users make namespaces.
const WAYS: [&[&str]; 2] =
    [&["unshare", "--net"], &["unshare", "--user", "--map-root-user", "--net"]];

/// Runs `body` in a fresh namespace, where everything is still down. `test` is the path of the calling test.
pub(crate) fn run(test: &str, body: impl FnOnce()) {
    if env::var_os(INSIDE).is_some() {
        return body();
    }
    match WAYS.into_iter().find(|way| works(way)) {
        Some(way) => restart(test, "1", way),
        None => println!("skipped: cannot make a network namespace"),
    }
}

/// Like [`run`], and then `body` runs in a further process, started by the command `under`, after `setup`.
pub(crate) fn run_under(test: &str, under: &[&str], setup: impl FnOnce(), body: impl FnOnce()) {
    if env::var_os(INSIDE).is_some_and(|stage| stage == "2") {
        return body();
    }
    run(test, || {
        setup();
        if works(under) {
            restart(test, "2", under);
        } else {
            println!("skipped: cannot run {}", under.join(" "));
        }
    });
}

/// Runs `ip` with these words.
pub(crate) fn ip(words: &str) {
    let output = Command::new("ip").args(words.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "ip {words}: {}", text(&output));
}

fn works(command: &[&str]) -> bool {
    let output = Command::new(command[0]).args(&command[1..]).arg("true").output();
    output.is_ok_and(|output| output.status.success())
}

fn restart(test: &str, stage: &str, under: &[&str]) {
    let output = Command::new(under[0])
        .args(&under[1..])
        .arg(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, stage)
        .output()
        .unwrap();
    let text = text(&output);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    text.lines().filter(|line| line.starts_with("skipped: ")).for_each(|line| println!("{line}"));
}

fn text(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat()
}
