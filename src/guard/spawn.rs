//! Starting guardians: from a deployment, and from what a dead one leaves behind.

use std::io::{self, Read as _};
use std::net::TcpListener;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::dir::RunDir;
use super::log;

/// Finds the program that guards and works: wasmctl itself.
///
/// # Errors
/// When the running program cannot be found.
pub fn program() -> io::Result<PathBuf> {
    let current = std::env::current_exe()?;
    // A test runs as `target/<profile>/deps/<name>`; the program it tests lies one folder above.
    match current.parent() {
        Some(folder) if folder.ends_with("deps") => {
            let program = folder.with_file_name("wasmctl");
            if program.is_file() {
                Ok(program)
            } else {
                let message = format!("{} is not built", program.display());
                Err(io::Error::new(io::ErrorKind::NotFound, message))
            }
        }
        _ => Ok(current),
    }
}

/// Starts a guardian that outlives this process. `socket` is handed to it; without one it binds its own.
///
/// A second guardian for the same folder ends by itself.
///
/// # Errors
/// When the process cannot be started.
pub fn spawn(program: &Path, dir: &RunDir, socket: Option<OwnedFd>) -> io::Result<()> {
    let mut command = Command::new(program);
    command
        .arg("guard")
        .arg(dir.path())
        .stdin(socket.map_or_else(Stdio::null, Stdio::from))
        .stdout(Stdio::null())
        .stderr(log::open(&dir.log())?)
        .current_dir("/");
    only(&mut command, &["PATH", "HOME"]);
    let mut child = command.spawn()?;
    // Reaped, should it end before this process: a guardian that was one too many, or whose time is over.
    std::thread::Builder::new()
        .name("reap".to_owned())
        .stack_size(64 << 10)
        .spawn(move || child.wait())?;
    Ok(())
}

/// Leaves a child only these variables: a shell's secrets have no place in a process that lives for months.
pub(super) fn only(command: &mut Command, names: &[&str]) {
    let kept: Vec<_> = names
        .iter()
        .filter_map(|name| Some((*name, std::env::var_os(name)?)))
        .collect();
    command.env_clear().envs(kept);
}

/// Starts a new guardian in place of one that died, on the socket this process has as standard input. What `serve` and
/// `balance` do when their control line ends; nothing happens where the end is wanted.
///
/// # Errors
/// When the process cannot be started.
pub fn heal(dir: &RunDir) -> io::Result<()> {
    if dir.is_stopped() || !dir.exists() {
        return Ok(());
    }
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    let program = match program() {
        Ok(program) if program.is_file() => program,
        // The file was replaced while it ran; the path it was started from names the new one.
        _ => dir
            .spec()?
            .map(|(spec, _)| spec.program)
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "there is no spec.json"))?,
    };
    spawn(&program, dir, Some(socket))
}

/// Waits for the death of the guardian and heals it: the whole life of the process that stands by for a function
/// without a worker.
///
/// # Errors
/// When the control line or the new guardian fails.
pub fn stand_by(dir: &RunDir) -> io::Result<()> {
    let mut line = inherited_control()?;
    let mut ignored = [0_u8; 64];
    loop {
        match line.read(&mut ignored) {
            Ok(0) => return heal(dir),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return heal(dir),
        }
    }
}

/// Takes the control line from standard output.
///
/// # Errors
/// When the descriptor cannot be copied.
pub fn inherited_control() -> io::Result<UnixStream> {
    Ok(UnixStream::from(io::stdout().as_fd().try_clone_to_owned()?))
}

/// Takes the listening socket from standard input; `None` if it is none.
///
/// # Errors
/// When the descriptor cannot be copied.
pub fn inherited_listener() -> io::Result<Option<TcpListener>> {
    let stdin = io::stdin();
    if !rustix::net::sockopt::socket_acceptconn(&stdin).unwrap_or(false) {
        return Ok(None);
    }
    Ok(Some(TcpListener::from(stdin.as_fd().try_clone_to_owned()?)))
}
