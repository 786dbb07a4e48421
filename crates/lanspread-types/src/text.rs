//! Text from outside, made safe to show to people.

/// Escapes control characters and cuts at `chars_max` characters, for words that came from outside.
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

/// Control characters and the invisible ones that reorder or hide text in a terminal.
pub fn is_display_hazard(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}
