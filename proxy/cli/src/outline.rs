//! JSON as an outline for eyes: `status`, `explain` and `dns` answer in JSON, and this shows all of it.
//!
//! Generic on purpose: a fact that the server learns to tell is shown without a change here.

use serde_json::{Map, Value};

use crate::output::Paint;

/// Renders an answer. Objects become aligned `key  value` lines, lists of flat objects become tables, and units in
/// names (`_us`, `_ms`, `_seconds`, `_bytes`) are taken into the value.
pub(crate) fn render(value: &Value, paint: Paint) -> String {
    let mut out = String::new();
    match value {
        Value::Object(object) => lines(&mut out, object, 0, paint),
        Value::Array(items) => list(&mut out, items, 0, paint),
        other => {
            out.push_str(&scalar("", other));
            out.push('\n');
        }
    }
    out
}

fn lines(out: &mut String, object: &Map<String, Value>, depth: usize, paint: Paint) {
    let width = object
        .iter()
        .filter(|(_, value)| is_flat(value))
        .map(|(key, _)| label(key).chars().count())
        .max()
        .unwrap_or_default();
    for (key, value) in object {
        indent(out, depth);
        let label = label(key);
        if is_flat(value) {
            let gap = width.saturating_sub(label.chars().count()) + 2;
            out.push_str(&paint.faint(&label));
            out.extend(std::iter::repeat_n(' ', gap));
            out.push_str(&scalar(key, value));
            out.push('\n');
            continue;
        }
        out.push_str(&paint.heading(&label));
        out.push('\n');
        match value {
            Value::Object(inner) => lines(out, inner, depth + 1, paint),
            Value::Array(items) => list(out, items, depth + 1, paint),
            // `is_flat` holds for everything else.
            _ => {}
        }
    }
}

fn list(out: &mut String, items: &[Value], depth: usize, paint: Paint) {
    if items.is_empty() {
        indent(out, depth);
        out.push_str("none\n");
    } else if let Some(columns) = columns(items) {
        table(out, items, &columns, depth, paint);
    } else {
        for item in items {
            match item {
                Value::Object(object) if !object.is_empty() => {
                    let start = out.len();
                    lines(out, object, depth + 1, paint);
                    // The item's first line carries its mark.
                    out.replace_range(start + depth * 2..start + depth * 2 + 1, "-");
                }
                Value::Array(inner) if !is_flat(item) => list(out, inner, depth + 1, paint),
                flat => {
                    indent(out, depth);
                    out.push_str("- ");
                    out.push_str(&scalar("", flat));
                    out.push('\n');
                }
            }
        }
    }
}

/// The columns of a list whose items are flat, non-empty objects, in order of appearance.
fn columns(items: &[Value]) -> Option<Vec<&str>> {
    let mut columns = Vec::new();
    for item in items {
        let object = item.as_object().filter(|object| !object.is_empty() && object.values().all(is_flat))?;
        for key in object.keys() {
            if !columns.contains(&key.as_str()) {
                columns.push(key.as_str());
            }
        }
    }
    Some(columns)
}

fn table(out: &mut String, items: &[Value], columns: &[&str], depth: usize, paint: Paint) {
    let cell = |item: &Value, column: &str| item.get(column).map_or_else(|| "-".into(), |value| scalar(column, value));
    let mut rows = vec![columns.iter().map(|column| label(column).to_uppercase()).collect::<Vec<_>>()];
    rows.extend(items.iter().map(|item| columns.iter().map(|column| cell(item, column)).collect()));
    let widths: Vec<usize> = (0..columns.len())
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default())
        .collect();
    for (number, row) in rows.iter().enumerate() {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width - cell.chars().count() + 2));
        }
        let line = line.trim_end();
        indent(out, depth);
        out.push_str(&if number == 0 { paint.faint(line) } else { line.to_owned() });
        out.push('\n');
    }
}

fn indent(out: &mut String, depth: usize) {
    out.extend(std::iter::repeat_n("  ", depth));
}

/// Whether a value fits behind its key: a scalar, an empty container, or a list of scalars.
fn is_flat(value: &Value) -> bool {
    match value {
        Value::Object(object) => object.is_empty(),
        Value::Array(items) => items.iter().all(|item| !item.is_object() && !item.is_array()),
        _ => true,
    }
}

const UNITS: [&str; 4] = ["_us", "_ms", "_seconds", "_bytes"];

/// A key without its unit, with spaces.
fn label(key: &str) -> String {
    let bare = UNITS.iter().find_map(|unit| key.strip_suffix(unit)).unwrap_or(key);
    clean(bare).replace('_', " ")
}

fn scalar(key: &str, value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.into(),
        Value::Number(number) => with_unit(key, number),
        Value::String(text) => clean(text),
        Value::Array(items) if items.is_empty() => "none".into(),
        Value::Array(items) => items.iter().map(|item| scalar(key, item)).collect::<Vec<_>>().join(", "),
        Value::Object(_) => "none".into(),
    }
}

fn with_unit(key: &str, number: &serde_json::Number) -> String {
    let (Some(value), Some(unit)) = (number.as_f64(), UNITS.iter().find(|unit| key.ends_with(**unit))) else {
        return number.to_string();
    };
    match *unit {
        "_us" => duration(value / 1e6),
        "_ms" => duration(value / 1e3),
        "_seconds" => duration(value),
        _ => size(value),
    }
}

fn duration(seconds: f64) -> String {
    match seconds {
        s if s <= 0.0 => "0s".into(),
        s if s < 1e-3 => format!("{:.0}us", s * 1e6),
        s if s < 1.0 => format!("{:.1}ms", s * 1e3),
        s if s < 60.0 => format!("{s:.1}s"),
        s => {
            let whole = s as u64;
            let parts = [(whole / 86_400, "d"), (whole / 3600 % 24, "h"), (whole / 60 % 60, "m"), (whole % 60, "s")];
            parts
                .iter()
                .skip_while(|(count, _)| *count == 0)
                .take(2)
                .map(|(count, unit)| format!("{count}{unit}"))
                .collect()
        }
    }
}

fn size(bytes: f64) -> String {
    const STEPS: [(f64, &str); 4] =
        [(1_099_511_627_776.0, "TiB"), (1_073_741_824.0, "GiB"), (1_048_576.0, "MiB"), (1024.0, "KiB")];
    STEPS
        .iter()
        .find(|(step, _)| bytes >= *step)
        .map_or_else(|| format!("{bytes:.0}B"), |(step, unit)| format!("{:.1}{unit}", bytes / step))
}

/// What clients sent is shown too: nothing of it may move the cursor, start a line or change the reading order.
pub(crate) fn clean(text: &str) -> String {
    let harmful = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(harmful) {
        return text.into();
    }
    text.chars().flat_map(|c| if harmful(c) { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plain(value: &Value) -> String {
        // Tests do not run on a terminal.
        render(value, Paint::for_stdout())
    }

    #[test]
    fn shows_objects_tables_and_units() {
        let value = json!({
            "generation": 3,
            "uptime_seconds": 90061,
            "rss_bytes": 12_582_912,
            "ready": true,
            "files": ["a.toml", "b.toml"],
            "listeners": [{ "name": "http", "address": "127.0.0.1:80" }, { "name": "https", "open": 3 }],
            "backends": [{ "name": "api", "endpoints": [{ "address": "10.0.0.1:80", "connect_us": 840 }] }],
            "last_reload": { "took_ms": 3.5, "error": null },
            "routes": [],
        });
        let expected = "\
generation  3
uptime      1d1h
rss         12.0MiB
ready       yes
files       a.toml, b.toml
listeners
  NAME   ADDRESS       OPEN
  http   127.0.0.1:80  -
  https  -             3
backends
  - name  api
    endpoints
      ADDRESS      CONNECT
      10.0.0.1:80  840us
last reload
  took   3.5ms
  error  -
routes      none
";
        assert_eq!(plain(&value), expected);
    }

    #[test]
    fn what_a_client_sent_cannot_move_the_cursor() {
        let text = plain(&json!({ "target": "/\u{1b}[2J\nroute evil\u{202e}", "\u{7}": [["\r"]] }));
        assert!(!text.contains(['\u{1b}', '\u{7}', '\r', '\u{202e}']), "{text}");
        assert_eq!(text.lines().filter(|line| line.starts_with("route")).count(), 0);
    }

    #[test]
    fn odd_shapes_are_shown_too() {
        assert_eq!(plain(&json!([])), "none\n");
        assert_eq!(plain(&json!("text")), "text\n");
        assert_eq!(
            plain(&json!([1, [2, [3]], { "a": { "b": [{}] } }])),
            "- 1\n  - 2\n  - 3\n- a\n    b\n      - none\n"
        );
    }
}
