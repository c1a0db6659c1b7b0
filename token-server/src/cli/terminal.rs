//! Talking with the person at the terminal, if there is one.
//!
//! *Invariant:* nothing here waits for an answer unless standard input is a terminal or was named as the source.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use serde_json::Value;
use shared::secret::Secret;

use super::arguments::people::PasswordSource;
use super::arguments::{Confirmation, Output};
use super::error::CliError;
use crate::domain::login::password::{MAX_PASSWORD_BYTES, NewPassword};

/// Writes an answer.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        out.write_all(b"\n")?;
    }
    out.flush()
}

/// Writes an answer as it was asked for.
pub fn show(output: Output, table: impl FnOnce() -> String, json: impl FnOnce() -> Value) -> io::Result<()> {
    match output {
        Output::Table => print(&table()),
        Output::Json => print(&format!("{:#}", json())),
    }
}

/// Says what was done, or is about to be.
pub fn remark(sentence: &str) {
    // Somebody who closed standard error does not want to hear it.
    let _ = writeln!(io::stderr(), "{sentence}");
}

/// Says what went wrong.
pub fn complain(sentence: &str) {
    let _ = writeln!(io::stderr(), "token-server: {sentence}");
}

/// Asks before something is taken away.
pub fn confirm(question: &str, confirmation: Confirmation) -> Result<(), CliError> {
    if confirmation.yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(CliError::CannotAsk("this takes something away; add --yes to do it without being asked"));
    }
    write!(io::stderr(), "{question} [y/N] ")?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(CliError::Declined),
    }
}

/// Gets a password that may be chosen.
pub fn new_password(source: PasswordSource) -> Result<NewPassword, CliError> {
    let password = if source.password_stdin {
        read_password(io::stdin().lock())?
    } else if io::stdin().is_terminal() {
        ask_password()?
    } else {
        return Err(CliError::CannotAsk(
            "there is no terminal to ask for the password on; give it on standard input with --password-stdin",
        ));
    };
    NewPassword::parse(password).map_err(|error| CliError::Domain(error.into()))
}

fn ask_password() -> Result<Secret, CliError> {
    let first = Secret::new(rpassword::prompt_password("Password: ")?);
    let second = Secret::new(rpassword::prompt_password("Again: ")?);
    if first != second {
        return Err(CliError::Usage("the two passwords differ; nothing was done".into()));
    }
    Ok(first)
}

/// Everything there is, less one line end.
fn read_password(input: impl io::Read) -> Result<Secret, CliError> {
    let mut text = String::new();
    // Enough to see that it is too long.
    input.take(MAX_PASSWORD_BYTES as u64 + 3).read_to_string(&mut text).map_err(|error| {
        match error.kind() {
            io::ErrorKind::InvalidData => CliError::Usage("the password is not text in UTF-8".into()),
            _ => CliError::Io(error),
        }
    })?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_end_is_not_part_of_the_password() {
        for (typed, expected) in
            [("secret 1\n", "secret 1"), ("secret\r\n", "secret"), ("secret", "secret"), ("a\n\n", "a\n")]
        {
            assert_eq!(read_password(typed.as_bytes()).unwrap().expose(), expected);
        }
        let long = "a".repeat(5000);
        assert!(NewPassword::parse(read_password(long.as_bytes()).unwrap()).is_err());
        assert!(read_password(&b"\xff"[..]).is_err());
    }
}
