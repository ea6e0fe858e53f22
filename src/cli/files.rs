//! `klar ctl files`: what a broker that does not run left on disk.

use clap::Args;

use super::control::{CtlError, broker, print_line};
use crate::ids::BrokerId;
use crate::inspect::{BrokerFiles, LeftFile};

#[derive(Debug, Args)]
pub struct FilesArguments {
    #[arg(value_parser = broker)]
    pub broker: BrokerId,
    /// Print one JSON object instead of a line for each file
    #[arg(long)]
    pub json: bool,
}

/// Prints the list: path, kind, offsets and bytes of each file.
pub fn print(files: &BrokerFiles, json: bool) -> Result<(), CtlError> {
    if json {
        let text = serde_json::to_string(files).map_err(CtlError::Strange)?;
        return print_line(&text);
    }
    if let Some(trouble) = &files.trouble {
        return print_line(trouble);
    }
    for directory in &files.directories {
        for file in &directory.files {
            print_line(&line(&directory.name, file))?;
        }
        let place = match directory.name.as_str() {
            "" => &files.dir,
            name => name,
        };
        if let Some(trouble) = &directory.trouble {
            print_line(trouble)?;
        }
        if directory.left_out > 0 {
            let words = format!(
                "{} more files in {place} are not listed",
                directory.left_out
            );
            print_line(&words)?;
        }
    }
    match files.left_out {
        0 => Ok(()),
        more => print_line(&format!("{more} more directories are not listed")),
    }
}

fn line(directory: &str, file: &LeftFile) -> String {
    let path = match directory {
        "" => file.name.clone(),
        directory => format!("{directory}/{}", file.name),
    };
    let offsets = file.offsets_words(|number| number.to_string());
    let offsets = match offsets.as_str() {
        "" => "-",
        words => words,
    };
    let (kind, bytes) = (file.kind.word(), file.bytes);
    match &file.trouble {
        Some(trouble) => format!("{path}\t{kind}\t{offsets}\t{trouble}"),
        None => format!("{path}\t{kind}\t{offsets}\t{bytes} bytes"),
    }
}
