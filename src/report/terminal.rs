//! What every text for a terminal shares: colour, hostile names, lines that fit.

/// Columns that a line may take where nobody knows the terminal.
pub const WIDTH: usize = 80;

/// How to draw it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Style {
    /// Colour severities and headings.
    pub color: bool,
}

/// A severity, at least so many columns wide.
#[must_use]
pub fn painted(severity: &str, columns: usize, style: Style) -> String {
    let padded = format!("{severity:<columns$}");
    let code = match severity {
        "critical" => "1;31",
        "high" => "31",
        "medium" => "33",
        _ => "2",
    };
    if style.color { format!("\u{1b}[{code}m{padded}\u{1b}[0m") } else { padded }
}

/// Text with everything that could steer a terminal made visible.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let steers = c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
        if steers {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// Breaks a text into lines of at most [`WIDTH`] columns: at a space, else wherever it must. The first
/// line begins with `first`, the others with so many spaces.
#[must_use]
pub fn wrap(first: &str, indent: usize, text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = first.to_owned();
    let mut start = first.chars().count();
    for word in text.trim_end().split(' ') {
        let mut word: Vec<char> = word.chars().collect();
        let mut held = line.chars().count();
        if held > start && held + 1 + word.len() <= WIDTH {
            line.push(' ');
            line.extend(word);
            continue;
        }
        if held > start {
            lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
            (start, held) = (indent, indent);
        }
        let mut room = WIDTH.saturating_sub(held).max(1);
        while word.len() > room {
            let rest = word.split_off(room);
            line.extend(word);
            lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
            start = indent;
            room = WIDTH.saturating_sub(indent).max(1);
            word = rest;
        }
        line.extend(word);
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_to_fit() {
        let check = |text: &str, expected: &[usize]| {
            let lines = wrap("    ", 6, text);
            let lengths: Vec<usize> = lines.iter().map(|line| line.chars().count()).collect();
            assert_eq!(lengths, expected, "{lines:#?}");
            let squeezed: String = lines.concat().split_whitespace().collect();
            assert_eq!(squeezed, text.split_whitespace().collect::<String>());
        };
        check("", &[4]);
        check("short", &[9]);
        check(&"x".repeat(100), &[80, 30]);
        check(&"word ".repeat(20), &[78, 30]);
        check(&format!("a {}", "y".repeat(80)), &[5, 80, 12]);
    }
}
