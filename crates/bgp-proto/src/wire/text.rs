//! What a peer wrote, made safe to show to people, and what we write.

/// Octets of a shutdown communication (RFC 9003 2).
pub const MAX_TEXT: usize = 255;

/// At most [`MAX_TEXT`] octets as text. Whatever could move a cursor, hide or turn text is replaced.
pub(super) fn shown(octets: &[u8]) -> String {
    let octets = octets.get(..MAX_TEXT).unwrap_or(octets);
    String::from_utf8_lossy(octets)
        .chars()
        .map(|c| if is_plain(c) { c } else { char::REPLACEMENT_CHARACTER })
        .collect()
}

/// The longest prefix of `text` that has at most `octets` octets.
pub(super) fn cut(text: &str, octets: usize) -> &str {
    let mut end = octets.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

fn is_plain(c: char) -> bool {
    // Control characters; then marks of direction, separators of lines, and invisible characters.
    !c.is_control()
        && !matches!(c, '\u{AD}' | '\u{61C}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}')
        && !matches!(c, '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..)
}
