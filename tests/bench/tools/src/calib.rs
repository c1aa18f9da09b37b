//! `calib`: a fixed mix of loopback system calls and computation. How fast is this core right now?

use std::{
    hint::black_box,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::args::Args;

/// Prints microseconds per unit of work.
pub(crate) fn main(args: &Args) -> Result<()> {
    let length = Duration::from_millis(args.value_or("ms", 60)?);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let (mut server, _) = listener.accept()?;
    client.set_nodelay(true)?;
    server.set_read_timeout(Some(Duration::from_secs(1)))?;
    let mut buffer = [7; 1024];
    let (mut hash, mut units) = (0_u64, 0_u32);
    let start = Instant::now();
    while start.elapsed() < length {
        for _ in 0..8 {
            client.write_all(&buffer)?;
            server.read_exact(&mut buffer)?;
            for byte in &buffer {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            }
            units += 1;
        }
    }
    black_box(hash);
    println!("{:.4}", start.elapsed().as_secs_f64() * 1e6 / f64::from(units));
    Ok(())
}
