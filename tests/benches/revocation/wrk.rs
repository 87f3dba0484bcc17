//! Load by wrk: a client that takes little of the machine.

use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use chancery_tests::run;

/// What wrk asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Asking<'a> {
    /// GETs of these paths, one after the other.
    Get(&'a [String]),
    /// POSTs of these bodies to `/ocsp`, one after the other.
    Post(&'a [Vec<u8>]),
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    /// Answers a second.
    pub(crate) per_second: f64,
    /// Microseconds of the server's processor time for each.
    pub(crate) cpu_us: f64,
}

/// Connections of wrk.
const CONNECTIONS: usize = 32;

/// Loads a server, which `cpu` tells the processor time of.
pub(crate) fn load(
    address: SocketAddr,
    asking: Asking<'_>,
    time: Duration,
    cpu: impl Fn() -> Duration,
) -> Result<Rate, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("ask.lua");
    fs::write(&script, lua(asking)?)?;
    let one = |seconds: u64| {
        run(Command::new("wrk")
            .args(["--threads", "2", "--timeout", "10s"])
            .args(["--connections", &CONNECTIONS.to_string()])
            .args(["--duration", &format!("{seconds}s")])
            .arg("--script")
            .arg(&script)
            .arg(format!("http://{address}")))
    };
    // What is made once is made before.
    one(1)?;
    let (before, began) = (cpu(), Instant::now());
    let said = one(time.as_secs().max(1))?;
    let (used, elapsed) = (cpu() - before, began.elapsed());
    let number = |name: &str| {
        said.lines()
            .find_map(|line| line.trim().strip_prefix(name)?.trim().parse::<f64>().ok())
    };
    let per_second = number("Requests/sec:").ok_or_else(|| format!("wrk said: {said}"))?;
    if said.contains("Non-2xx") || said.contains("Socket errors") {
        return Err(format!("not every request was answered: {said}").into());
    }
    let count = (per_second * elapsed.as_secs_f64()) as u64;
    Ok(Rate {
        per_second,
        cpu_us: crate::cpu::micros_each(used, count),
    })
}

/// Writes wrk's script.
fn lua(asking: Asking<'_>) -> Result<String, std::fmt::Error> {
    let mut script = String::from("local asked = {}\n");
    let (method, media_type) = match asking {
        Asking::Get(paths) => {
            for path in paths {
                writeln!(script, "asked[#asked + 1] = {{ {path:?} }}")?;
            }
            ("GET", "nil")
        }
        Asking::Post(bodies) => {
            for body in bodies {
                let octets: String = body.iter().map(|octet| format!("\\{octet:03}")).collect();
                writeln!(script, "asked[#asked + 1] = {{ \"/ocsp\", \"{octets}\" }}")?;
            }
            ("POST", "\"application/ocsp-request\"")
        }
    };
    write!(
        script,
        "local messages = {{}}\n\
         function init(args)\n\
           for place, one in ipairs(asked) do\n\
             local headers = {{ [\"Content-Type\"] = {media_type} }}\n\
             messages[place] = wrk.format(\"{method}\", one[1], headers, one[2])\n\
           end\n\
         end\n\
         local place = 0\n\
         function request()\n\
           place = place % #messages + 1\n\
           return messages[place]\n\
         end\n"
    )?;
    Ok(script)
}
