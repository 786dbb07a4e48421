//! Text from outside, made safe to show to people.

/// Escapes what [`is_display_hazard`] names and cuts the text after `chars_max` characters of the original.
pub fn printable(text: &str, chars_max: usize) -> String {
    let mut shown = String::new();
    for (index, character) in text.chars().enumerate() {
        if index == chars_max {
            shown.push('…');
            break;
        }
        if is_display_hazard(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Whether this is a control character, or an invisible one that reorders or hides text in a terminal.
pub fn is_display_hazard(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}
