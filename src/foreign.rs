//! Text from elsewhere on its way to people: what moves the cursor, starts a line or turns the direction of writing goes.
//!
//! Source: CVE-2021-42574 (bidirectional overrides); ECMA-48 (escape sequences).

/// Whether a character changes how the text around it looks, or is not seen at all.
pub(crate) fn is_disruptive(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
        )
}

/// Foreign text as a part of one line.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|character| if is_disruptive(character) { '\u{fffd}' } else { character }).collect()
}
