//! `portcullis run` on a configuration of the scenario's, and what it says.

mod launch;
mod log;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ExitStatus, Stdio},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

pub use self::launch::Refused;
use crate::{
    binary,
    certificates::Leaf,
    port::Port,
    scenario::{eventually, eventually_within, soon},
    tool::{Finished, Tool},
};

/// A configuration and the files it names, before the process is started.
///
/// `@name@` in texts is a placeholder: a value given with [`set`](Self::set), the folder (`@dir@`), or else a free port that
/// keeps its number under this name. The table `[server]` is added, or completed by the control socket.
#[derive(Debug)]
pub struct Plan {
    text: String,
    layout: Option<Layout>,
    ground: Ground,
    environment: Vec<(String, String)>,
    wrapper: Vec<String>,
    stdout: Option<Stdio>,
    patience: Duration,
}

/// How long a start may take. Generous: the machine may be busy.
const START: Duration = Duration::from_secs(30);

/// Puts a configuration's text into a folder in its own way.
type Layout = fn(&Path, &str);

/// What placeholders stand for.
#[derive(Debug)]
struct Ground {
    folder: TempDir,
    /// What the process is told to read, in the folder.
    config: &'static str,
    values: BTreeMap<String, String>,
    // Ports are given out while a text is read.
    ports: Mutex<BTreeMap<String, Port>>,
}

/// A running proxy. Killed when dropped; when the scenario is failing, its configuration and logs are printed.
#[derive(Debug)]
pub struct Proxy {
    child: Child,
    ground: Ground,
}

impl Plan {
    /// A plan to run `text`.
    ///
    /// # Panics
    /// When no folder can be made.
    pub fn new(text: impl Into<String>) -> Self {
        let folder = tempfile::Builder::new().prefix("portcullis-").tempdir().expect("a folder can be made");
        let values = BTreeMap::from([("dir".to_owned(), folder.path().display().to_string())]);
        let ground = Ground { folder, config: "portcullis.toml", values, ports: Mutex::default() };
        Self {
            text: text.into(),
            layout: None,
            ground,
            environment: Vec::new(),
            wrapper: Vec::new(),
            stdout: None,
            patience: START,
        }
    }

    /// Runs another text, with the same files, values and ports.
    #[must_use]
    pub fn with_text(mut self, text: impl Into<String>) -> Self {
        self.text = text.into();
        self
    }

    /// The folder of the configuration.
    pub fn folder(&self) -> &Path {
        self.ground.folder.path()
    }

    /// Gives the placeholder `name` a value.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl ToString) -> Self {
        self.ground.values.insert(name.to_owned(), value.to_string());
        self
    }

    /// Writes `NAME.pem` and `NAME.key` beside the configuration.
    #[must_use]
    pub fn leaf(self, name: &str, leaf: &Leaf) -> Self {
        self.ground.write_leaf(name, leaf);
        self
    }

    /// Writes a file beside the configuration.
    #[must_use]
    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.ground.write(name, content.as_ref());
        self
    }

    /// Has the configuration somewhere else than in a plain file: `layout` gets the folder and the text, and writes it there
    /// in its own way; the process is told to read `config`, a file or a folder.
    #[must_use]
    pub fn laid_out(mut self, config: &'static str, layout: fn(&Path, &str)) -> Self {
        self.ground.config = config;
        self.layout = Some(layout);
        self
    }

    /// Sets an environment variable of the process.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts the process through another program, which gets its command line as its last arguments and must become it (`exec`).
    #[must_use]
    pub fn through(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(|&argument| argument.to_owned()).collect();
        self
    }

    /// How long the start may take, where it compiles something large.
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        self.patience = limit;
        self
    }

    /// Standard output, instead of the file `access.log`.
    #[must_use]
    pub fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.stdout = Some(stdout.into());
        self
    }

    /// Starts the process and waits until it serves.
    ///
    /// # Panics
    /// When it ends instead, or does not serve soon.
    pub async fn start(self) -> Proxy {
        self.start_while(async |_| {}).await
    }

    /// [`start`](Self::start), with something done to the process before it serves.
    ///
    /// # Panics
    /// When it ends instead, or does not serve soon.
    pub async fn start_while(mut self, work: impl AsyncFnOnce(&Proxy)) -> Proxy {
        self.write_config();
        let child = self.launch();
        let mut proxy = Proxy { child, ground: self.ground };
        work(&proxy).await;
        proxy.serves_within(self.patience).await;
        proxy
    }

    /// Starts the process, which is expected not to get up, and waits for its end.
    ///
    /// # Panics
    /// When it goes on.
    pub async fn refused(mut self) -> Refused {
        self.write_config();
        let child = self.launch();
        let mut proxy = Proxy { child, ground: self.ground };
        let status = proxy.ended().await;
        Refused { status, says: proxy.error_log(), ports: proxy.ground.numbers() }
    }

    /// Runs a command of `portcullis` on the configuration, whose path comes last, without starting the proxy.
    pub async fn command(self, arguments: &[&str]) -> Finished {
        self.write_config();
        Tool::at(binary::portcullis()).args(arguments).args([self.ground.config()]).run().await
    }

    /// The address on `127.0.0.1` that the port placeholder `name` stands for.
    pub fn address(&self, name: &str) -> SocketAddr {
        self.ground.address(name)
    }

    fn launch(&mut self) -> Child {
        let stdout = self.stdout.take();
        launch::launch(self.ground.folder.path(), &self.ground.config(), &self.environment, &self.wrapper, stdout)
    }

    fn write_config(&self) {
        let text = self.ground.config_text(&self.text);
        match self.layout {
            Some(layout) => layout(self.ground.folder.path(), &text),
            None => self.ground.write(self.ground.config, text.as_bytes()),
        }
    }
}

impl Proxy {
    /// Starts `text` as it is.
    pub async fn start(text: &str) -> Self {
        Plan::new(text).start().await
    }

    /// The address on `127.0.0.1` that the port placeholder `name` stands for.
    pub fn address(&self, name: &str) -> SocketAddr {
        self.ground.address(name)
    }

    /// The folder of the configuration.
    pub fn folder(&self) -> &Path {
        self.ground.folder.path()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Gives a placeholder a value from now on.
    pub fn set(&mut self, name: &str, value: impl ToString) {
        self.ground.values.insert(name.to_owned(), value.to_string());
    }

    /// Replaces the configuration as an editor does: a new file is renamed over the old one. Does not wait.
    pub fn edit(&self, text: &str) {
        self.ground.write("portcullis.toml.new", self.ground.config_text(text).as_bytes());
        let to = self.ground.config();
        std::fs::rename(self.folder().join("portcullis.toml.new"), to).expect("a file can be renamed in its folder");
    }

    /// Writes over the configuration in place. Does not wait.
    pub fn overwrite(&self, text: &str) {
        self.ground.write("portcullis.toml", self.ground.config_text(text).as_bytes());
    }

    /// [`edit`](Self::edit), and waits until the new configuration is in force.
    ///
    /// # Panics
    /// When it is not soon.
    pub async fn apply(&self, text: &str) {
        let before = self.generation().await;
        self.edit(text);
        self.reload_seen(before + 1).await;
    }

    /// Waits until at least `generation` is in force.
    ///
    /// # Panics
    /// When it is not soon.
    pub async fn reload_seen(&self, generation: u64) {
        eventually(&format!("generation {generation} is in force"), async || {
            (self.generation().await >= generation).then_some(())
        })
        .await;
    }

    /// A text with its placeholders filled.
    pub fn fill(&self, text: &str) -> String {
        self.ground.render(text)
    }

    /// A whole configuration as [`edit`](Self::edit) writes it.
    pub fn config_text(&self, text: &str) -> String {
        self.ground.config_text(text)
    }

    /// Writes a file into the folder.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        self.ground.write(name, content.as_ref());
    }

    /// Writes `NAME.pem` and `NAME.key` into the folder.
    pub fn write_leaf(&self, name: &str, leaf: &Leaf) {
        self.ground.write_leaf(name, leaf);
    }

    /// The number of the configuration in force.
    ///
    /// # Panics
    /// When the status does not say.
    pub async fn generation(&self) -> u64 {
        let status = self.status().await;
        status["generation"].as_u64().unwrap_or_else(|| panic!("no generation in {status}"))
    }

    /// What `portcullis status --json` prints.
    pub async fn status(&self) -> Value {
        self.control(&json!({ "command": "status" })).await
    }

    /// A counter of the status.
    ///
    /// # Panics
    /// When there is no counter of this name.
    pub async fn counter(&self, name: &str) -> u64 {
        let status = self.status().await;
        status["counters"][name].as_u64().unwrap_or_else(|| panic!("no counter {name} in {status}"))
    }

    /// Asks over the control socket.
    ///
    /// # Panics
    /// When the answer is an error.
    pub async fn control(&self, request: &Value) -> Value {
        match self.try_control(request).await {
            Ok(value) => value,
            Err(error) => panic!("{request} was answered with {error}"),
        }
    }

    /// Asks over the control socket.
    ///
    /// # Errors
    /// What the process said, or why it could not be asked.
    pub async fn try_control(&self, request: &Value) -> Result<Value, Value> {
        let reply = soon("the control socket answers", async {
            let mut stream = UnixStream::connect(self.control_path()).await?;
            stream.write_all(format!("{request}\n").as_bytes()).await?;
            let mut reply = Vec::new();
            stream.read_to_end(&mut reply).await?;
            Ok::<_, std::io::Error>(reply)
        })
        .await
        .map_err(|error| json!(error.to_string()))?;
        let mut reply: Value = serde_json::from_slice(&reply).map_err(|error| json!(error.to_string()))?;
        if reply.get("ok").is_some() { Ok(reply["ok"].take()) } else { Err(reply["error"].take()) }
    }

    /// The control socket.
    pub fn control_path(&self) -> PathBuf {
        self.folder().join("control.sock")
    }

    /// Ends the process with `signal` and starts it again, on the same configuration and without what a [`Plan`] adds to its environment.
    ///
    /// # Panics
    /// When it does not end, or does not serve soon.
    pub async fn restart_after(&mut self, signal: Signal) {
        self.signal(signal);
        self.ended().await;
        self.child = launch::launch(self.folder(), &self.ground.config(), &[], &[], None);
        self.serves_within(START).await;
    }

    async fn serves_within(&mut self, patience: Duration) {
        eventually_within(patience, "the proxy serves", async || {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("the proxy ended with {status}");
            }
            self.try_control(&json!({ "command": "status" })).await.ok()
        })
        .await;
    }

    /// Runs a command of `portcullis` on the configuration, whose path comes last.
    pub async fn command_on_config(&self, arguments: &[&str]) -> Finished {
        Tool::at(binary::portcullis()).args(arguments).args([self.ground.config()]).run().await
    }

    /// Runs a command of `portcullis` that talks to this process.
    pub async fn command(&self, arguments: &[&str]) -> Finished {
        Tool::at(binary::portcullis()).args(arguments).args(["--control".into(), self.control_path()]).run().await
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// When the process is gone.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.rustix_pid(), signal).expect("the process is there");
    }

    /// Waits for the end of the process.
    ///
    /// # Panics
    /// When it goes on.
    pub async fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        eventually("the process ends", async || child.try_wait().expect("a child can be waited for")).await
    }

    /// Whether the process has not ended.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Resident memory in KiB.
    pub fn resident(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most resident memory in KiB since the last [`forget_peak`](Self::forget_peak).
    pub fn peak(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// Lets the peak start from what is resident now.
    ///
    /// # Panics
    /// When the system does not know how.
    pub fn forget_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.pid()), "5").expect("the peak can be reset (proc(5))");
    }

    fn memory(&self, line: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the process is there");
        status
            .lines()
            .find_map(|each| each.strip_prefix(line)?.trim().strip_suffix(" kB")?.parse().ok())
            .expect("proc(5): a process has this line")
    }

    fn rustix_pid(&self) -> Pid {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a child has a process id")
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Ours alone: the child's own handle, which waits for it afterwards so that the id cannot be somebody else's.
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            let config = std::fs::read_to_string(self.ground.config()).unwrap_or_default();
            eprintln!("---- portcullis.toml\n{config}---- access log\n{}", last(&self.access_log(), 4000));
            eprintln!("---- error log\n{}----", last(&self.error_log(), 8000));
        }
    }
}

impl Ground {
    fn config(&self) -> PathBuf {
        self.folder.path().join(self.config)
    }

    fn write(&self, name: &str, content: &[u8]) {
        let path = self.folder.path().join(name);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).expect("a folder can be made in an own folder");
        }
        std::fs::write(&path, content).unwrap_or_else(|error| panic!("{} cannot be written: {error}", path.display()));
    }

    fn write_leaf(&self, name: &str, leaf: &Leaf) {
        self.write(&format!("{name}.key"), leaf.key.as_bytes());
        self.write(&format!("{name}.pem"), leaf.cert.as_bytes());
    }

    fn address(&self, name: &str) -> SocketAddr {
        self.ports
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(name.to_owned())
            .or_insert_with(Port::reserve)
            .address()
    }

    fn numbers(&self) -> BTreeMap<String, u16> {
        let ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        ports.iter().map(|(name, port)| (name.clone(), port.number())).collect()
    }

    /// Puts values in the place of placeholders.
    fn render(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('@') {
            out.push_str(before);
            match after.split_once('@') {
                Some((name, after)) if is_name(name) => {
                    match self.values.get(name) {
                        Some(value) => out.push_str(value),
                        None => out.push_str(&self.address(name).port().to_string()),
                    }
                    rest = after;
                }
                _ => {
                    out.push('@');
                    rest = after;
                }
            }
        }
        out.push_str(rest);
        out
    }

    /// [`render`](Self::render), with the control socket where this harness looks for it.
    fn config_text(&self, text: &str) -> String {
        let control = "control = \"@dir@/control.sock\"";
        let text = if text.contains("[server]\n") {
            text.replacen("[server]\n", &format!("[server]\n{control}\n"), 1)
        } else {
            // An unfinished file must not be finished by this table: it goes first.
            format!("[server]\n{control}\n{text}")
        };
        self.render(&text)
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

fn last(text: &str, bytes: usize) -> &str {
    let start = (text.len().saturating_sub(bytes)..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    &text[start..]
}
