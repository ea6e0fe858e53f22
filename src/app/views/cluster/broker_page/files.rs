//! The files a broker that does not run left on disk: each directory with its files, as they were read after its end.

use egui::Ui;

use crate::app::format;
use crate::app::replicas::is_up;
use crate::app::scene::Scene;
use crate::app::state::Selection;
use crate::app::theme::{Theme, size};
use crate::app::widgets::{self, Cell, Column};
use crate::ids::PartitionIndex;
use crate::inspect::{
    BrokerFiles, BrokerSnapshot, BrokerState, DirectoryFiles, Durability, FileKind, LeftFile,
};

const COLUMNS: &[Column] = &[
    Column::text("file"),
    Column::fixed("kind", 132.0),
    Column::number("offsets", 160.0),
    Column::number("size", 72.0),
];

/// One row: a directory, one of its files, or how many are not listed.
enum Line<'a> {
    Directory(&'a DirectoryFiles),
    File(&'a DirectoryFiles, &'a LeftFile),
    LeftOut(&'a DirectoryFiles),
}

pub fn draw(ui: &mut Ui, scene: &mut Scene<'_>, broker: &BrokerSnapshot, wanted: &str) {
    let picture = scene.picture.clone();
    let files = picture.files.as_ref().filter(|one| one.broker == broker.id);
    let sentence = match (files, &broker.state) {
        _ if is_up(&broker.state) => {
            "It runs, so its files change all the time: they are listed once it has ended. What its logs hold now is on each topic's Segments tab."
        }
        (_, BrokerState::Starting | BrokerState::Paused) => {
            "Its files are listed once it has ended."
        }
        _ if picture.durability == Durability::Memory => {
            "This cluster keeps its records in memory: nothing of it is in files."
        }
        (None, _) => "Its files are being read …",
        (Some(files), _) => match &files.trouble {
            Some(trouble) => trouble,
            None => return list(ui, scene, files, wanted),
        },
    };
    widgets::empty(ui, sentence, None);
}

fn list(ui: &mut Ui, scene: &mut Scene<'_>, files: &BrokerFiles, wanted: &str) {
    let lines = lines(files, wanted);
    if lines.is_empty() {
        widgets::empty(ui, "No file matches the filter.", None);
        return;
    }
    if files.left_out > 0 {
        let more = format::counted_as(files.left_out, "more directory is", "more directories are");
        widgets::small(ui, &format!("{more} not listed."));
    }
    widgets::table_header(ui, COLUMNS);
    widgets::rows(ui, "files", lines.len(), size::ROW, None, |ui, index| {
        line(ui, scene, &lines[index]);
    });
}

/// The directories whose names match and all their files; of others the files that match.
fn lines<'a>(files: &'a BrokerFiles, wanted: &str) -> Vec<Line<'a>> {
    let matches = |name: &str| wanted.is_empty() || name.to_lowercase().contains(wanted);
    let mut lines = Vec::new();
    for directory in &files.directories {
        let all = matches(&directory.name);
        let within = directory.files.iter();
        let within: Vec<&LeftFile> = within.filter(|f| all || matches(&f.name)).collect();
        if !all && within.is_empty() {
            continue;
        }
        lines.push(Line::Directory(directory));
        lines.extend(within.into_iter().map(|file| Line::File(directory, file)));
        if directory.left_out > 0 {
            lines.push(Line::LeftOut(directory));
        }
    }
    lines
}

/// What a directory is called: the broker's own has no name in itself.
fn name(directory: &DirectoryFiles) -> &str {
    match directory.name.as_str() {
        "" => "beside the logs",
        name => name,
    }
}

fn line(ui: &mut Ui, scene: &mut Scene<'_>, line: &Line<'_>) {
    let theme = Theme::of(ui);
    let (cells, said, directory) = match line {
        Line::Directory(one) => {
            let (cells, said) = directory_cells(one, theme);
            (cells, said, *one)
        }
        Line::File(one, file) => {
            let (cells, said) = file_cells(file, theme);
            (cells, format!("{}/{said}", name(one)), *one)
        }
        Line::LeftOut(one) => {
            let more = format::counted_as(one.left_out, "more file is", "more files are");
            let words = format!("{more} not listed");
            let cells = vec![Cell::text(format!("    {words}")).color(theme.muted)];
            (cells, format!("{}: {words}", name(one)), *one)
        }
    };
    if widgets::table_row(ui, COLUMNS, &cells, false, &said).clicked()
        && let Some(selection) = partition(scene, directory)
    {
        scene.state.select(selection);
    }
}

fn directory_cells(directory: &DirectoryFiles, theme: &Theme) -> (Vec<Cell>, String) {
    let count = directory.files.len() as u64 + directory.left_out;
    let count = format::counted(count, "file");
    let taken = format::bytes(directory.bytes);
    if let Some(trouble) = &directory.trouble {
        let cells = vec![Cell::text(trouble).color(theme.bad)];
        return (cells, trouble.clone());
    }
    let said = format!("{}, {count}, {taken}", name(directory));
    let cells = vec![
        Cell::text(name(directory)),
        Cell::text(count).color(theme.muted),
        Cell::mono(""),
        Cell::mono(taken),
    ];
    (cells, said)
}

fn file_cells(file: &LeftFile, theme: &Theme) -> (Vec<Cell>, String) {
    let word = file.kind.word();
    if let Some(trouble) = &file.trouble {
        let cells = vec![
            Cell::text(format!("    {trouble}")).color(theme.bad),
            Cell::text(word).color(theme.muted),
        ];
        return (cells, trouble.clone());
    }
    let (offsets, taken) = (
        file.offsets_words(format::signed),
        format::bytes(file.bytes),
    );
    let of_records = match offsets.as_str() {
        "" => String::new(),
        offsets => format!(", offsets {offsets}"),
    };
    let said = format!("{}, {word}{of_records}, {taken}", file.name);
    let ink = match file.kind {
        FileKind::Segment => theme.text,
        _ => theme.muted,
    };
    let cells = vec![
        Cell::mono(format!("    {}", file.name)).color(ink),
        Cell::text(word).color(theme.muted),
        Cell::mono(offsets),
        Cell::mono(taken).color(ink),
    ];
    (cells, said)
}

/// The partition whose log a directory holds, if the cluster still has it.
fn partition(scene: &Scene<'_>, directory: &DirectoryFiles) -> Option<Selection> {
    let (topic, index) = directory.name.rsplit_once('-')?;
    let index = PartitionIndex(index.parse().ok()?);
    let found = scene.topic(topic)?;
    let known = found.partitions.iter().any(|p| p.index == index);
    known.then(|| Selection::Partition(topic.to_owned(), index))
}
