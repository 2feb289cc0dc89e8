//! Go's flag syntax: one dash is as good as two, and a boolean takes its value after `=` only.

use std::ffi::OsString;

/// Gives every long flag of `controller` and `speaker` its second dash.
///
/// Other commands are ours alone and keep the usual syntax, so that `lab exec client -- ip -br a`
/// passes through untouched.
pub(super) fn normalise(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    let upstream = arguments.get(1).is_some_and(|a| a == "controller" || a == "speaker");
    if upstream {
        for argument in arguments.iter_mut().skip(2) {
            if let Some(text) = argument.to_str()
                && is_single_dash_flag(text)
            {
                *argument = format!("-{text}").into();
            }
        }
    }
    arguments
}

/// `-port`, but neither `--port`, nor `-h`, nor a value such as `-` or `-1`.
fn is_single_dash_flag(text: &str) -> bool {
    text.strip_prefix('-')
        .is_some_and(|rest| rest.len() > 1 && rest.starts_with(|c: char| c.is_ascii_alphabetic()))
}

/// Parses a boolean as Go's `strconv.ParseBool` spells them.
pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("want true or false".to_owned()),
    }
}
