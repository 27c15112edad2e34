//! The command line: only parsing, and one call of the library for each command.

mod demo;
mod load;
mod show;

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use clap::{Args, Parser, Subcommand};
use microapp_lab::{Artifact, Error, Extra, ImageSpec, Lab, Options, Part, Result};

/// A real Kubernetes cluster on this machine, in one network namespace: two commands start and stop it.
///
/// Kubernetes 1.34 with containerd and real pods, Contour and Envoy as the gateway (http://10.90.0.10:8080), Prometheus
/// (http://10.90.0.10:9090) and an image registry (10.90.0.10:5000). The addresses exist inside the namespace: run what
/// needs them with `lab exec -- COMMAND`. It needs Linux on x86-64 and root. Its state is in /var/lib/microapp-lab
/// ($MICROAPP_LAB), its programs are in ~/.cache/microapp-lab.
#[derive(Debug, Parser)]
#[command(name = "lab", version, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Build all programs of the lab, once: about 15 minutes on two cores, then cached
    Build {
        /// Only these
        parts: Vec<Artifact>,
    },
    /// Start the lab and wait until everything in it is ready
    Up(Up),
    /// Stop the lab and remove everything that it left on the machine
    Down,
    /// Show every part: whether it runs and answers
    Status {
        /// One JSON array
        #[arg(long)]
        json: bool,
    },
    /// Print the lab's addresses as shell variables, for `eval "$(lab env)"`
    Env,
    /// Run a command inside the lab's network, with KUBECONFIG, GATEWAY and PROMETHEUS set
    Exec {
        /// The command and its arguments
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
    /// Run kubectl in the lab
    Kubectl(Rest),
    /// Run helm in the lab
    Helm(Rest),
    /// Put container images onto the node or into the registry
    #[command(subcommand)]
    Image(ImageVerb),
    /// Kill a part with SIGKILL
    Kill { part: Part },
    /// Freeze a part with SIGSTOP: it keeps its connections and answers nothing
    Stop { part: Part },
    /// Let a frozen part go on
    Cont { part: Part },
    /// End a part if it is alive, start it again and wait until it is ready
    Restart { part: Part },
    /// Change Prometheus' scrape interval while it runs
    Scrape {
        /// Such as 1s or 500ms
        interval: String,
    },
    /// Send requests at a fixed rate and log every response as one line of JSON
    Load(load::Load),
    /// Show the whole thing: a good revision is promoted, bad ones are reverted
    Demo(demo::Demo),
    /// Measure on the lab; one JSON object a line
    #[command(subcommand)]
    Bench(demo::Bench),
    /// Show what a part printed
    Logs {
        part: Part,
        /// Go on as it grows
        #[arg(short, long)]
        follow: bool,
    },
}

#[derive(Debug, Args)]
struct Up {
    /// Leave these out
    #[arg(long, value_delimiter = ',', value_name = "EXTRA")]
    without: Vec<Extra>,
    /// Add these
    #[arg(long, value_delimiter = ',', value_name = "EXTRA")]
    with: Vec<Extra>,
    /// How often Prometheus scrapes
    #[arg(long, default_value = "5s", value_name = "INTERVAL")]
    scrape: String,
}

#[derive(Debug, Args)]
struct Rest {
    /// Its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

#[derive(Debug, Subcommand)]
enum ImageVerb {
    /// Put the images of a tar archive (docker save, OCI layout) onto the node
    Load { file: PathBuf },
    /// Make an image of one binary and the shared objects it needs, and print `name@sha256:…`
    Build {
        /// NAME:TAG with a fixed tag
        reference: String,
        /// The executable, which becomes the entry point
        binary: PathBuf,
        /// An environment variable
        #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
        env: Vec<(String, String)>,
        /// Push it to 10.90.0.10:5000, from where pods pull it, instead of putting it onto the node
        #[arg(long)]
        push: bool,
    },
}

fn key_value(text: &str) -> std::result::Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE".into()),
    }
}

pub(crate) fn run(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        Verb::Build { parts } => {
            let parts = if parts.is_empty() { Artifact::ALL.to_vec() } else { parts };
            for built in microapp_lab::build(&parts)? {
                println!("{}", built.executable().display());
            }
        }
        Verb::Up(up) => {
            show::hints(&Lab::up(&options(up))?);
        }
        Verb::Down => eprintln!("lab: {}", if Lab::down()? { "stopped" } else { "there is none" }),
        Verb::Status { json } => return show::status(&Lab::attach()?, json),
        Verb::Env => show::environment(&Lab::attach()?),
        Verb::Exec { command } => return Err(exec(&command[0], &command[1..])),
        Verb::Kubectl(rest) => return Err(exec("kubectl".as_ref(), &rest.args)),
        Verb::Helm(rest) => return Err(exec("helm".as_ref(), &rest.args)),
        Verb::Image(ImageVerb::Load { file }) => {
            for image in Lab::attach()?.load_image(&file)? {
                println!("{image}");
            }
        }
        Verb::Image(ImageVerb::Build { reference, binary, env, push }) => {
            let lab = Lab::attach()?;
            let spec = ImageSpec { reference, binary, env };
            println!("{}", if push { lab.push_image(&spec)? } else { lab.build_image(&spec)? });
        }
        Verb::Kill { part } => Lab::attach()?.kill(part)?,
        Verb::Stop { part } => Lab::attach()?.stop(part)?,
        Verb::Cont { part } => Lab::attach()?.cont(part)?,
        Verb::Restart { part } => Lab::attach()?.restart(part)?,
        Verb::Scrape { interval } => Lab::attach()?.scrape(&interval)?,
        Verb::Load(load) => load.run()?,
        Verb::Demo(demo) => return demo.run(),
        Verb::Bench(bench) => return bench.run(),
        Verb::Logs { part, follow } => {
            let mut tail = Command::new("tail");
            tail.args(["-n", "+1"]);
            if follow {
                tail.arg("-F");
            }
            return Err(replace(tail.arg(Lab::attach()?.log(part))));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn options(up: Up) -> Options {
    let options = up.without.into_iter().fold(Options::default().scrape(up.scrape), Options::without);
    up.with.into_iter().fold(options, Options::with)
}

/// Becomes a program inside the lab; comes back only with an error.
fn exec(program: &std::ffi::OsStr, args: &[OsString]) -> Error {
    match Lab::attach() {
        Ok(lab) => replace(&mut lab.in_namespace(Command::new(program).args(args))),
        Err(error) => error,
    }
}

fn replace(command: &mut Command) -> Error {
    let what = format!("run {}", command.get_program().display());
    Error::Io { what, source: command.exec() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::{CommandFactory, ValueEnum};

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn extras_are_added_and_left_out_by_lists() {
        let cli = Cli::try_parse_from(["lab", "up", "--without", "gateway,registry", "--with", "kwok"]).unwrap();
        let Verb::Up(up) = cli.command else { unreachable!() };
        assert_eq!(options(up).extras, [Extra::Prometheus, Extra::Kwok]);
    }

    #[test]
    fn options_of_the_command_inside_are_not_the_labs() {
        let cli = Cli::try_parse_from(["lab", "kubectl", "get", "pods", "-A", "--help"]).unwrap();
        let Verb::Kubectl(rest) = cli.command else { unreachable!() };
        assert_eq!(rest.args, ["get", "pods", "-A", "--help"]);
    }

    #[test]
    fn every_part_and_extra_can_be_named() {
        for part in Part::value_variants() {
            Cli::try_parse_from(["lab", "kill", part.name()]).unwrap();
        }
    }
}
