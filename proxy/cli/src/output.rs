//! What commands print, and the exit status.

use std::{
    io::{self, ErrorKind, IsTerminal, Write},
    process::ExitCode,
};

use serde_json::Value;

/// How a command ended that could do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All is well.
    Well,
    /// The command worked and found something wrong, and has said so.
    Wrong,
}

/// The exit status that goes with an outcome; an error is printed first. Usage errors never come here: clap ends the
/// process with 2.
pub(crate) fn exit_code(outcome: anyhow::Result<Outcome>) -> ExitCode {
    match outcome {
        Ok(Outcome::Well) => ExitCode::SUCCESS,
        Ok(Outcome::Wrong) => ExitCode::FAILURE,
        // `portcullis schema | head`: whoever reads has enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // Nowhere is left to complain about a standard error that is closed.
            _ = io::stderr().write_all(message(&error, Paint::for_stderr()).as_bytes());
            ExitCode::FAILURE
        }
    }
}

/// What is printed for an error. A report of a configuration's mistakes says "error" itself, once for each.
fn message(error: &anyhow::Error, paint: Paint) -> String {
    let text = format!("{error:#}");
    let text = text.trim_end();
    if text.starts_with("error: ") {
        return format!("{}\n", paint.report(text));
    }
    format!("{}: {text}\n", paint.error("error"))
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

/// Prints to standard output; unlike `print!`, a reader that went away is an error, not a panic.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Prints JSON with indentation.
pub(crate) fn print_json(value: &Value) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    print(&text)
}

/// Colours, where a person looks at a terminal and has not asked for none (<https://no-color.org>).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint(bool);

impl Paint {
    pub(crate) fn for_stdout() -> Self {
        Self(io::stdout().is_terminal() && wanted())
    }

    pub(crate) fn for_stderr() -> Self {
        Self(io::stderr().is_terminal() && wanted())
    }

    pub(crate) fn error(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    pub(crate) fn warning(self, text: &str) -> String {
        self.paint("1;33", text)
    }

    pub(crate) fn heading(self, text: &str) -> String {
        self.paint("1", text)
    }

    pub(crate) fn faint(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// A report of the configuration's mistakes, its first words coloured.
    pub(crate) fn report(self, text: &str) -> String {
        if !self.0 {
            return text.into();
        }
        let mut painted = String::with_capacity(text.len() + 256);
        for line in text.split_inclusive('\n') {
            let colour = [("error", "1;31"), ("warning", "1;33"), ("help", "1;36")].into_iter().find(|(word, _)| {
                line.trim_start_matches([' ', '=']).strip_prefix(word).is_some_and(|rest| rest.starts_with(':'))
            });
            match colour {
                Some((word, colour)) => painted.push_str(&line.replacen(word, &self.paint(colour, word), 1)),
                None if line.trim_start().starts_with("-->") => painted.push_str(&self.paint("34", line)),
                None => painted.push_str(line),
            }
        }
        painted
    }

    fn paint(self, colour: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.into() }
    }
}

fn wanted() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_pipe_is_no_failure() {
        let error = anyhow::Error::from(io::Error::from(ErrorKind::BrokenPipe)).context("cannot print");
        assert!(is_broken_pipe(&error));
        assert!(!is_broken_pipe(&anyhow::anyhow!("other")));
    }

    #[test]
    fn an_error_is_called_one_once() {
        let message = |text: &'static str| message(&anyhow::anyhow!(text), Paint(false));
        assert_eq!(message("no such file"), "error: no such file\n");
        assert_eq!(message("error: unknown key\n  --> a.toml:1:3\n\n"), "error: unknown key\n  --> a.toml:1:3\n");
    }

    #[test]
    fn report_is_coloured_on_a_terminal_only() {
        let report = "error: unknown key `lisener`\n  --> portcullis.toml:1:3\nhelp: did you mean `listener`?\n";
        assert_eq!(Paint(false).report(report), report);
        let painted = Paint(true).report(report);
        assert!(painted.starts_with("\x1b[1;31merror\x1b[0m: unknown key"));
        assert!(painted.contains("\x1b[1;36mhelp\x1b[0m: did you mean"));
    }
}
