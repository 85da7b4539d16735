//! The console blocks of the documentation are what the binary does.
//!
//! In a block that starts with three backticks and `console`, a line with `$ ` is a command, what follows is what it prints. A line
//! `...` stands for any lines. Each page's blocks run one after the other in one folder.

use std::{path::Path, process::Command};

#[test]
fn console_blocks_are_what_the_binary_prints() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut commands = 0;
    for page in ["README.md", "../../docs/commands.md"] {
        let text = std::fs::read_to_string(root.join(page)).expect("the page");
        let folder = tempfile::tempdir().expect("a temporary folder");
        for block in text.split("```console\n").skip(1) {
            let block = block.split("```").next().unwrap_or_default();
            for step in block.split("$ ").skip(1) {
                let (line, expected) = step.split_once('\n').unwrap_or((step, ""));
                let printed = run(line, folder.path());
                assert!(
                    fits(expected.trim_end(), printed.trim_end()),
                    "{page}: $ {line}\nexpected:\n{expected}\nprinted:\n{printed}"
                );
                commands += 1;
            }
        }
    }
    assert!(commands > 5, "the pages show what the commands do");
}

/// Runs a line in the shell, with `forebay` in its path.
fn run(line: &str, folder: &Path) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_forebay"));
    let path = format!(
        "{}:{}",
        binary.parent().expect("a folder").display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let output = Command::new("sh")
        .args(["-c", &format!("{{ {line}\n}} 2>&1")])
        .current_dir(folder)
        .env("PATH", path)
        .env_remove("FOREBAY_CONFIG")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .output()
        .expect("a shell");
    String::from_utf8(output.stdout).expect("text")
}

fn fits(expected: &str, printed: &str) -> bool {
    let printed: Vec<&str> = printed.lines().collect();
    let expected: Vec<&str> = expected.lines().collect();
    fits_lines(&expected, &printed)
}

fn fits_lines(expected: &[&str], printed: &[&str]) -> bool {
    match expected.split_first() {
        None => printed.is_empty(),
        Some((&"...", rest)) => (0..=printed.len()).any(|skip| fits_lines(rest, &printed[skip..])),
        Some((line, rest)) => printed.split_first().is_some_and(|(first, others)| {
            first.trim_end() == line.trim_end() && fits_lines(rest, others)
        }),
    }
}
