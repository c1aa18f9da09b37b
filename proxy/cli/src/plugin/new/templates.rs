//! What a new project has in it.

use super::sdk;
use crate::plugin::project::Language;

/// What stands in place of `{{...}}`.
pub(crate) struct Values<'a> {
    pub name: &'a str,
    pub description: &'a str,
    /// Where the SDK is, if not in the project.
    pub sdk: Option<&'a str>,
}

macro_rules! template {
    ($name:literal) => {
        include_str!(concat!("../../../templates/", $name))
    };
}

/// Files of all languages: where they are put, and what is in them.
const COMMON: [(&str, &str); 4] = [
    ("README.md", template!("README.md")),
    ("plugin.toml", template!("plugin.toml")),
    ("tests/greets.http", template!("tests/greets.http")),
    ("tests/greets.toml", template!("tests/greets.toml")),
];

const RUST: [(&str, &str); 3] = [
    ("Cargo.toml", template!("rust/Cargo.toml")),
    ("src/lib.rs", template!("rust/src/lib.rs")),
    (".gitignore", "/target\n*.wasm\n"),
];

const C: [(&str, &str); 6] = [
    ("plugin.c", template!("c/plugin.c")),
    ("config.c", include_str!("../../../../../plugins/example-c/config.c")),
    ("config.h", include_str!("../../../../../plugins/example-c/config.h")),
    ("build", template!("c/build")),
    ("world.wit", template!("world.wit")),
    (".gitignore", "/target\n*.wasm\n"),
];

const JS: [(&str, &str); 6] = [
    ("build", template!("js/build")),
    ("plugin.js", template!("js/plugin.js")),
    ("build.mjs", template!("js/build.mjs")),
    ("package.json", template!("js/package.json")),
    ("world.wit", template!("world.wit")),
    (".gitignore", "/target\n/node_modules\n*.wasm\n"),
];

const PYTHON: [(&str, &str); 6] = [
    ("build", template!("python/build")),
    ("plugin.py", template!("python/plugin.py")),
    ("filter.py", template!("python/filter.py")),
    ("requirements.txt", template!("python/requirements.txt")),
    ("world.wit", template!("world.wit")),
    (".gitignore", "/target\n/.venv\n__pycache__\n*.wasm\n"),
];

/// The word for a language in `plugin.toml` and to people.
pub(crate) fn word(language: Language) -> &'static str {
    match language {
        Language::Rust => "rust",
        Language::C => "c",
        Language::Js => "js",
        Language::Python => "python",
    }
}

/// Paths and content of a new project's own files.
pub(crate) fn files(language: Language, values: &Values<'_>) -> Vec<(String, String)> {
    let (own, tools, files): (&[_], _, _) = match language {
        Language::Rust => (
            &RUST,
            "It needs [Rust](https://rustup.rs) with `rustup target add wasm32-unknown-unknown`; where rustup cannot download, Debian's \
             packages `rustc-web` and `rust-web-src` do as well.",
            "| | |\n|---|---|\n| `src/lib.rs` | the plugin, with unit tests that need no proxy |\n| `plugin.toml` | what it says of itself |\n\
             | `tests/` | recorded exchanges, and what the plugin is to do with them |\n| `wit/` | the contract with the proxy, from which \
             the SDK is made |\n| `vendor/portcullis-sdk` | the SDK, a copy: `cargo doc --open -p portcullis-sdk` shows what there is |\n",
        ),
        Language::C => (
            &C,
            "It needs clang, lld and a C library for WebAssembly (Debian: `apt-get install clang lld wasi-libc \
             libclang-rt-dev-wasm32`).",
            "| | |\n|---|---|\n| `plugin.c` | the plugin |\n| `config.c` | reads its table |\n| `build` | makes it |\n| `world.wit` | what it imports, which the operator must grant |\n\
             | `plugin.toml` | what it says of itself |\n| `tests/` | recorded exchanges, and what the plugin is to do with them |\n\
             | `wit/` | the contract with the proxy |\n",
        ),
        Language::Js => (
            &JS,
            "It needs Node.js 18 or newer. `npm install` fetches componentize-js, which makes a component of about 12 MB: the JavaScript \
             engine is in it. `isolation = \"worker\"` (the default) is the sensible choice: a new instance begins that engine anew.",
            "| | |\n|---|---|\n| `plugin.js` | the plugin |\n| `build`, `build.mjs` | make it |\n| `world.wit` | what it imports, which \
             the operator must grant |\n| `plugin.toml` | what it says of itself |\n| `tests/` | recorded exchanges, and what the plugin is \
             to do with them |\n| `wit/` | the contract with the proxy |\n",
        ),
        Language::Python => (
            &PYTHON,
            "It needs Python 3.10 or newer and componentize-py: `python3 -m venv .venv && .venv/bin/pip install -r requirements.txt`. The \
             component has about 18 MB: Python is in it. `isolation = \"worker\"` (the default) is the sensible choice: a new instance \
             begins Python anew.",
            "| | |\n|---|---|\n| `plugin.py` | how it is configured |\n| `filter.py` | what becomes of an exchange |\n| `build` | makes it |\n| `world.wit` | what it \
             imports, which the operator must grant |\n| `plugin.toml` | what it says of itself |\n| `tests/` | recorded exchanges, and \
             what the plugin is to do with them |\n| `wit/` | the contract with the proxy |\n",
        ),
    };
    let native = match language {
        Language::Rust => "\n`cargo test` runs the unit tests natively.\n",
        _ => "",
    };
    let fill = |text: &str| {
        text.replace("{{tools}}", tools)
            .replace("{{files}}", files.trim_end())
            .replace("{{native}}", native)
            .replace("{{name}}", values.name)
            .replace("{{snake}}", &values.name.replace('-', "_"))
            .replace("{{SNAKE}}", &values.name.replace('-', "_").to_uppercase())
            .replace("{{type}}", &camel(values.name))
            .replace("{{field}}", &format!("x-{}", values.name))
            .replace("{{description}}", values.description)
            .replace("{{sdk}}", values.sdk.unwrap_or(sdk::FOLDER))
    };
    let mut filled: Vec<_> = COMMON.iter().chain(own).map(|(path, text)| ((*path).to_owned(), fill(text))).collect();
    if language != Language::Rust {
        // `plugin build` knows Rust by its Cargo.toml.
        for (_, text) in filled.iter_mut().filter(|(path, _)| path == "plugin.toml") {
            text.push_str(&format!("lang = \"{}\"\n", word(language)));
        }
    }
    filled
}

/// `geo-block` as `GeoBlock`.
fn camel(name: &str) -> String {
    let mut camel = String::new();
    for word in name.split('-') {
        let (first, rest) = word.split_at(word.len().min(1));
        camel.push_str(&first.to_uppercase());
        camel.push_str(rest);
    }
    camel
}
