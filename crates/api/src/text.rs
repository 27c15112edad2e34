//! Text from outside: what anybody may have written into an object, a label or an answer. One function for all of it,
//! used before it is stored and again before it is printed.

/// `text` in one line, without what a terminal or a reader could be deceived by, in at most `bytes` bytes; one that was
/// cut ends in `…`. Line breaks and tabs become a space. Other control characters, and the marks that turn the
/// direction of writing or show nothing at all, become `\u{FFFD}`.
pub fn clean(text: &str, bytes: usize) -> String {
    const ELLIPSIS: char = '…';
    let mut cut = String::new();
    let mut fits = 0;
    for c in text.chars().map(shown) {
        cut.push(c);
        if cut.len() > bytes {
            cut.truncate(fits);
            cut.push(ELLIPSIS);
            return cut;
        }
        if cut.len() + ELLIPSIS.len_utf8() <= bytes {
            fits = cut.len();
        }
    }
    cut
}

/// `text` as it is printed: any length, each line cleaned.
pub fn printable(text: &str) -> String {
    text.chars().map(shown).collect()
}

fn shown(c: char) -> char {
    match c {
        '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' | '\u{85}' => ' ',
        c if c.is_control() || is_mark(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

/// A character that is not seen itself and changes how others are.
const fn is_mark(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_a_cursor_or_turns_the_writing_is_not_kept() {
        let evil = "ok\u{1b}[2K\r\nPromoted\u{7}\u{9b}31m \u{202e}gpj.exe\u{2066}\u{200b}x\u{2028}y\t\u{0}";
        let clean = clean(evil, 1000);
        assert_eq!(clean, "ok\u{fffd}[2K  Promoted\u{fffd}\u{fffd}31m \u{fffd}gpj.exe\u{fffd}\u{fffd}x y \u{fffd}");
        assert_eq!(clean, printable(evil));
        assert_eq!(super::clean(&clean, 1000), clean, "once is enough");
    }

    #[test]
    fn bytes_are_counted_and_no_character_is_broken() {
        for bytes in 0..40 {
            for text in ["é".repeat(30), "a".repeat(30), "🦀".repeat(9), "a\u{1b}".repeat(15)] {
                let cut = clean(&text, bytes);
                assert!(cut.len() <= bytes.max('…'.len_utf8()), "{bytes}: {cut}");
                assert!(cut == printable(&text) || cut.ends_with('…'));
            }
        }
        assert_eq!(clean("short", 5), "short");
    }
}
