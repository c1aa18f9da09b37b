//! The benchmark's own tools: a load generator, a backend, holders of idle connections and of
//! exchanges that stop in the middle, and `floor`, which does as little as anything in a proxy's place can do. One thread each,
//! on epoll, so that what they cost is known.

mod args;
mod backend;
mod calib;
mod floor;
mod hold;
mod http;
mod idle;
mod load;
mod slab;
mod sys;
mod tls;

use anyhow::{Result, bail};

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let command = words.next().unwrap_or_default();
    let args = args::Args::new(words.collect());
    match command.as_str() {
        "backend" => backend::main(&args),
        "load" => load::main(&args),
        "hold" => hold::main(&args),
        "idle" => idle::main(&args),
        "floor" => floor::main(&args),
        "calib" => calib::main(&args),
        _ => bail!("usage: benchtool backend|load|idle|hold|floor|calib [--option value]..."),
    }
}
