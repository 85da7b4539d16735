//! `forebay man` and `forebay completions`: what packages ship.

use std::collections::BTreeSet;

use crate::bed::forebay;

/// One page for each command that the help lists, subcommands too, and every page is found by `man`.
#[tokio::test]
async fn man_writes_a_page_for_each_command() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ended = forebay(&["man", "--dir", folder.path().to_str().expect("text")]).await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), ""), "{ended:?}");
    let mut pages = BTreeSet::new();
    for entry in folder.path().read_dir().expect("the folder is there") {
        let path = entry.expect("it can be read").path();
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let page = std::fs::read_to_string(&path).expect("a page");
        let title = name.trim_end_matches(".1");
        assert!(page.contains(&format!(".TH {title} 1")), "{name}: {page}");
        assert!(page.contains(".SH SYNOPSIS"), "{name}: {page}");
        pages.insert(name);
    }
    let help = forebay(&["--help"]).await.out;
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands = commands.take_while(|line| !line.is_empty());
    // Lines that go on with a description are indented further.
    let commands = commands.filter_map(|line| line.strip_prefix("  "));
    let commands: Vec<_> = commands
        .filter(|line| !line.starts_with(' '))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(
        commands.contains(&"run") && commands.contains(&"status"),
        "{help}"
    );
    for command in commands.into_iter().filter(|command| *command != "help") {
        assert!(
            pages.contains(&format!("forebay-{command}.1")),
            "{command}: {pages:?}"
        );
    }
    for page in [
        "forebay.1",
        "forebay-leases-seek.1",
        "forebay-config-schema.1",
    ] {
        assert!(pages.contains(page), "{page}: {pages:?}");
    }
    let nowhere = forebay(&["man", "--dir", "/none/at/all"]).await;
    assert_eq!(nowhere.code, Some(74), "{nowhere:?}");
}

#[tokio::test]
async fn completions_know_every_shell() {
    for (shell, word) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef forebay"),
        ("fish", "complete -c forebay"),
        ("elvish", "edit:completion"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let ended = forebay(&["completions", shell]).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(
            ended.out.contains(word) && ended.out.contains("until-caught-up"),
            "{shell}"
        );
    }
}
