//! The binary `ferrolb`: one file that is controller, speaker, lab and chores.

mod args;
mod command;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    match args::parse(by_name(std::env::args_os())) {
        Ok(command) => command::run(command),
        Err(exit) => exit,
    }
}

/// Called as `controller` or `speaker`, wherever that is, the file is that command: upstream's
/// manifests name no command, their images start a program of that name. Help shows the command as
/// the program's own name has it.
fn by_name(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    let name = arguments.first().and_then(|program| Path::new(program).file_name());
    if let Some(name) = name.filter(|name| *name == "controller" || *name == "speaker") {
        let command = ["ferrolb".into(), name.to_owned()];
        arguments.splice(..1, command);
    }
    arguments
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::own_name("ferrolb speaker --port=1", "ferrolb speaker --port=1")]
    #[case::in_the_root("/speaker --port=1", "ferrolb speaker --port=1")]
    #[case::controller("/controller -port 1", "ferrolb controller -port 1")]
    #[case::anywhere("/usr/local/bin/controller", "ferrolb controller")]
    #[case::by_path("controller -h", "ferrolb controller -h")]
    #[case::a_folder_is_no_name("/speaker/ferrolb crds", "/speaker/ferrolb crds")]
    #[case::another_name("/speakers version", "/speakers version")]
    fn the_name_of_the_file_is_a_command(#[case] given: &str, #[case] meant: &str) {
        let words = given.split(' ').map(OsString::from);
        assert_eq!(by_name(words), meant.split(' ').map(OsString::from).collect::<Vec<_>>());
    }

    #[rstest]
    #[case("/controller -port 7472 --webhook-mode=disabled", "Controller")]
    #[case("/speaker -node-name n1 -ignore-exclude-lb=true", "Speaker")]
    fn flags_keep_their_go_syntax(#[case] line: &str, #[case] command: &str) {
        let parsed = args::parse(by_name(line.split(' ').map(OsString::from)));
        assert!(format!("{parsed:?}").starts_with(&format!("Ok({command}(")), "{parsed:?}");
    }
}
