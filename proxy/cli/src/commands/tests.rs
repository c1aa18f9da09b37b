use clap::{Command, CommandFactory, Parser};

use super::Arguments;

#[test]
fn command_line_is_consistent() {
    Arguments::command().debug_assert();
}

#[test]
fn every_example_in_a_help_text_is_a_valid_command_line() {
    let mut checked = 0;
    for command in &with_subcommands(Arguments::command()) {
        let help = command.get_after_help().expect("every command has examples").to_string();
        for example in help.lines().filter_map(|line| line.strip_prefix("  portcullis ")) {
            let line = split(example.split(" > ").next().unwrap());
            if let Err(error) = Arguments::try_parse_from(std::iter::once("portcullis".to_owned()).chain(line)) {
                panic!("portcullis {example}\n{error}");
            }
            checked += 1;
        }
    }
    assert!(checked > 15, "only {checked} examples");
}

/// A command and all below it.
fn with_subcommands(command: Command) -> Vec<Command> {
    let below: Vec<_> = command.get_subcommands().cloned().flat_map(with_subcommands).collect();
    std::iter::once(command).chain(below).collect()
}

/// Words of a shell line with single quotes.
fn split(line: &str) -> Vec<String> {
    line.split('\'')
        .enumerate()
        .flat_map(|(index, part)| match index % 2 {
            0 => part.split_whitespace().map(String::from).collect(),
            _ => vec![part.to_owned()],
        })
        .collect()
}

#[test]
fn wrong_command_lines_are_refused_with_status_2() {
    for line in [
        &["portcullis"][..],
        &["portcullis", "fly"],
        &["portcullis", "run", "a", "b"],
        &["portcullis", "explain"],
        &["portcullis", "dns"],
        &["portcullis", "plugin"],
        &["portcullis", "plugin", "fly"],
        &["portcullis", "dns", "a", "--config", "f", "--control", "s"],
    ] {
        assert_eq!(Arguments::try_parse_from(line).unwrap_err().exit_code(), 2, "{line:?}");
    }
}

#[test]
fn version_names_version_and_commit() {
    let (version, commit) = super::VERSION.split_once(' ').unwrap();
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
    assert!(commit.len() > 2 && commit.starts_with('(') && commit.ends_with(')'));
}
