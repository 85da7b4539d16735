//! `forebay run` on a terminal, seen as a person would see it; and the same where there is none.

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::OwnedFd,
    process::Command,
    sync::{Arc, Mutex},
};

use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use tokio::time::timeout;

use crate::bed::{self, Bed, Forebay, PATIENCE, PAUSE, bytes_of};

/// A terminal of 100 columns and 30 lines with everything that was written to it.
struct Terminal {
    written: Arc<Mutex<Vec<u8>>>,
    keyboard: File,
    slave: OwnedFd,
}

impl Terminal {
    fn open() -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo terminal");
        grantpt(&master).expect("it is ours");
        unlockpt(&master).expect("it is ours");
        let size = Winsize {
            ws_row: 30,
            ws_col: WIDTH,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&master, size).expect("a size");
        let path = ptsname(&master, Vec::new()).expect("a name");
        let path = path.into_string().expect("text");
        let slave = File::options().read(true).write(true).open(path);
        let written = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&written);
        let mut master = File::from(master);
        let keyboard = master.try_clone().expect("a descriptor");
        std::thread::spawn(move || {
            let mut piece = [0; 4_096];
            // An error says that the last writer is gone.
            while let Ok(count @ 1..) = master.read(&mut piece) {
                seen.lock().expect("no panic").extend(&piece[..count]);
            }
        });
        Self {
            written,
            keyboard,
            slave: slave.expect("it opens").into(),
        }
    }

    /// Starts a command with its standard error here.
    fn start(&self, mut command: Command) -> Forebay {
        let slave = self.slave.try_clone().expect("a descriptor");
        Forebay::of(command.stderr(slave).spawn().expect("the binary starts"))
    }

    fn run(&self, bed: &Bed, words: &[&str]) -> Forebay {
        let mut command = Forebay::command(words);
        command.arg("--config").arg(&bed.config);
        command.env("TERM", "xterm").env_remove("NO_COLOR");
        self.start(command)
    }

    /// What is on the screen, and above it.
    fn screen(&self) -> String {
        Screen::of(&self.written.lock().expect("no panic")).text()
    }

    /// Waits until the screen satisfies `wanted`.
    async fn shows(&self, wanted: impl Fn(&str) -> bool) -> String {
        let seen = async {
            loop {
                let screen = self.screen();
                if wanted(&screen) {
                    return screen;
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        let Ok(screen) = timeout(PATIENCE, seen).await else {
            panic!("the screen is\n{}", self.screen());
        };
        screen
    }
}

/// The lines that a terminal makes of what is written to it: text, carriage returns, line feeds, the cursor up, clearing
/// of all behind it. Colours are skipped, anything else is a failure.
#[derive(Default)]
struct Screen {
    lines: Vec<Vec<char>>,
    row: usize,
    column: usize,
}

impl Screen {
    fn of(written: &[u8]) -> Self {
        let mut screen = Self::default();
        let text = String::from_utf8_lossy(written);
        let mut chars = text.chars();
        while let Some(char) = chars.next() {
            match char {
                '\r' => screen.column = 0,
                '\n' => screen.row += 1,
                '\u{1b}' => screen.sequence(&mut chars),
                char => screen.put(char),
            }
        }
        screen
    }

    fn sequence(&mut self, chars: &mut impl Iterator<Item = char>) {
        let mut number = String::new();
        // The last read may have ended inside.
        for char in chars {
            match char {
                '[' if number.is_empty() => {}
                '0'..='9' | ';' => number.push(char),
                'A' => return self.row = self.row.saturating_sub(number.parse().unwrap_or(1)),
                'J' => {
                    let column = self.column;
                    self.line().truncate(column);
                    return self.lines.truncate(self.row + 1);
                }
                'm' => return,
                other => panic!("ESC [ {number} {other}"),
            }
        }
    }

    fn put(&mut self, char: char) {
        if self.column == usize::from(WIDTH) {
            (self.row, self.column) = (self.row + 1, 0);
        }
        let column = self.column;
        let line = self.line();
        line.resize(line.len().max(column + 1), ' ');
        line[column] = char;
        self.column += 1;
    }

    fn line(&mut self) -> &mut Vec<char> {
        let least = self.lines.len().max(self.row + 1);
        self.lines.resize(least, Vec::new());
        &mut self.lines[self.row]
    }

    fn text(&self) -> String {
        let text = |line: &Vec<char>| line.iter().collect::<String>().trim_end().to_owned();
        let lines: Vec<_> = self.lines.iter().map(text).collect();
        lines.join("\n").trim_end().to_owned()
    }
}

const WIDTH: u16 = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_appear_follow_and_vanish_and_log_lines_scroll_above_them() {
    let mut bed = Bed::new("").await;
    let mut terminal = Terminal::open();
    let mut forebay = terminal.run(&bed, &["run", "--set", "service.worker_id=ada"]);
    let is_row = |line: &str, words: &[&str]| {
        let mut line = line.split_whitespace();
        words.iter().all(|word| line.next() == Some(word))
    };
    let has = |screen: &str, words: &[&str]| screen.lines().any(|line| is_row(line, words));
    terminal
        .shows(|screen| has(screen, &["flow", "live", "2/2", "0.0", "s"]))
        .await;
    for number in 1..=5 {
        bed.aws.put(number).await;
    }
    bed.aws
        .put_record("flow", "x", b"no payload".to_vec())
        .await;
    bytes_of(&mut bed.messages, 5).await;
    let screen = terminal
        .shows(|screen| {
            screen.contains("dead letters 1 · ada") && has(screen, &["test", "up", "0", "B"])
        })
        .await;
    let lines: Vec<_> = screen.lines().collect();
    // The rows are the last of the screen, each once, and what was logged stands whole above them.
    let [above @ .., input_head, input, output_head, output, rest] = lines.as_slice() else {
        panic!("{screen}");
    };
    assert!(
        is_row(input_head, &["input", "state", "leases", "lag", "in"]),
        "{screen}"
    );
    assert!(is_row(input, &["flow", "live", "2/2"]), "{screen}");
    assert!(
        is_row(output_head, &["output", "state", "waiting", "out"]),
        "{screen}"
    );
    assert!(is_row(output, &["test", "up"]), "{screen}");
    assert!(
        rest.starts_with("throttle off · dead letters 1"),
        "{screen}"
    );
    let logged = |screen: &[&str]| {
        // A log line that is wider than the terminal goes on in the next.
        let text = screen.concat();
        assert_eq!(text.matches("lease taken").count(), 2, "{text}");
        assert_eq!(text.matches("kept as dead letter").count(), 1, "{text}");
    };
    logged(above);

    // The terminal shows the key, in the middle of the rows.
    terminal.keyboard.write_all(b"\x03").expect("the key");
    terminal
        .shows(|_| {
            String::from_utf8_lossy(&terminal.written.lock().expect("no panic")).contains("^C")
        })
        .await;
    forebay.signal("-INT");
    assert_eq!(forebay.ended().await.code(), Some(0));
    let screen = terminal
        .shows(|screen| screen.contains("stopped accepted=5"))
        .await;
    let lines: Vec<_> = screen.lines().collect();
    logged(&lines);
    for row in ["msgs/s", "receiver", "throttle off", "^C"] {
        assert!(!screen.contains(row), "{row} is still there: {screen}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_is_down_is_seen_with_the_reason() {
    let bed = Bed::new("[output.second]\naddress = [\"127.0.0.1:9\"]\n").await;
    let terminal = Terminal::open();
    let forebay = terminal.run(&bed, &["run", "--set", "service.shutdown_grace=1s"]);
    bed.aws.put(1).await;
    terminal
        .shows(|screen| {
            screen
                .lines()
                .any(|line| line.starts_with("second    down"))
                && screen.contains("! output second is down: ")
        })
        .await;
    drop(forebay);
}

/// A stranger's terminal may understand nothing, and a pipe is none. What repeats is told once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_terminal_that_can_move_its_cursor_there_are_only_log_lines() {
    let bed = Bed::new("").await;
    for number in 0..20 {
        let data = format!("no payload {number}").into_bytes();
        bed.aws.put_record("flow", "x", data).await;
    }
    let terminal = Terminal::open();
    let mut command = Forebay::command(&["run", "--until-caught-up", "--config"]);
    command
        .arg(&bed.config)
        .env("TERM", "dumb")
        .env("NO_COLOR", "1");
    let mut forebay = terminal.start(command);
    assert_eq!(forebay.ended().await.code(), Some(0));
    let screen = terminal
        .shows(|screen| screen.contains("stopped accepted=0"))
        .await;
    assert!(!screen.contains("msgs/s"), "{screen}");
    let told = screen.matches("kept as dead letter").count();
    assert_eq!(told, 1, "of 20: {screen}");
    assert_eq!(bed::letters(bed.folder.path(), 20).await.len(), 20);
    let written = terminal.written.lock().expect("no panic").clone();
    assert!(!written.contains(&0x1b), "{screen}");
}
