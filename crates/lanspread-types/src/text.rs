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

/// Whether this is a control character, or an invisible one that reorders or hides text in a terminal: every character
/// with the Unicode property `Bidi_Control`, those of zero width, the line and paragraph separators, interlinear
/// annotations and tags. Sources: Unicode Standard Annex 9, and Unicode Technical Report 36 section 2.
pub fn is_display_hazard(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}
