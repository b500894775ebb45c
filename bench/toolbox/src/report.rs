//! The table and the picture.

use crate::memory::Use;
use crate::runner::{Row, Setting};
use std::fmt::Write;

/// Tables in Markdown: one line per setting, then memory.
pub fn markdown(settings: &[Setting], memory: &[Use]) -> String {
    let mut text = String::new();
    let mut line = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    line("| setting | ours | ns | best rival | ns | ratio | malloc, ns | malloc / ours |".into());
    line("|---|---|---|---|---|---|---|---|".into());
    for setting in settings {
        let Some((ours, theirs)) = setting.winners() else { continue };
        let malloc = setting.malloc().map(Row::least);
        line(format!(
            "| {} | {} | {:.2} | {} | {:.2} | **{:.2}** | {} | {} |",
            setting.name,
            ours.name,
            ours.least(),
            theirs.name,
            theirs.least(),
            ours.least() / theirs.least(),
            malloc.map_or("–".into(), |least| format!("{least:.2}")),
            malloc.map_or("–".into(), |least| format!("{:.1} ×", least / ours.least())),
        ));
    }
    if !memory.is_empty() {
        line("\n10,000 blocks of 64 bytes (625 KiB):\n".into());
        line("| way | RSS, KiB | bytes per block beyond 64 |".into());
        line("|---|---|---|".into());
        for Use { name, rss_kib, overhead } in memory {
            line(format!("| {name} | {rss_kib:.0} | {overhead:.1} |"));
        }
    }
    text
}

/// Every contestant of every setting.
pub fn all_rows(settings: &[Setting], rounds: usize) -> String {
    let mut text = format!("smallest and median of {rounds} rounds, nanoseconds per operation\n\n");
    for setting in settings {
        for row in &setting.rows {
            let name = if row.is_ours { format!("{} (ours)", row.name) } else { row.name.into() };
            let _ = writeln!(text, "{:<48}{name:<30}{:>10.2}{:>10.2}", setting.name, row.least(), row.median());
        }
    }
    text
}

const BAR: usize = 14;
const LEFT: usize = 190;
const WIDTH: usize = 480;

/// A bar per contestant, grouped by setting; lengths are relative to the slowest that is not off the scale.
pub fn svg(settings: &[Setting]) -> String {
    let mut body = String::new();
    let mut y = 10;
    for setting in settings {
        let Some((ours, theirs)) = setting.winners() else { continue };
        // Contestants that are much slower than the two best are cut off, with their number beside the bar.
        let scale = 4.0 * ours.least().max(theirs.least());
        let _ = writeln!(body, r#"<text x="0" y="{}" class="setting">{}</text>"#, y + 12, setting.name);
        y += 18;
        for row in &setting.rows {
            let share = (row.least() / scale).min(1.0);
            let class = if row.is_ours {
                "ours"
            } else if row.name == "malloc" {
                "malloc"
            } else {
                "rival"
            };
            let (top, width) = (y + 3, (share * WIDTH as f64) as usize);
            let _ = writeln!(body, r#"<text x="{}" y="{}" class="name">{}</text>"#, LEFT - 6, y + 12, row.name);
            let _ = writeln!(body, r#"<rect x="{LEFT}" y="{top}" width="{width}" height="10" class="{class}"/>"#);
            let cut = if share < 1.0 { "" } else { " …" };
            let _ = writeln!(body, r#"<text x="{}" y="{}">{:.2}{cut}</text>"#, LEFT + width + 5, y + 12, row.least());
            y += BAR;
        }
        y += 10;
    }
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{w}" height="{y}" viewBox="0 0 {w} {y}" font-family="sans-serif" font-size="11">
<style>text {{ fill: #333 }} .setting {{ font-weight: bold }} .name {{ text-anchor: end }} .ours {{ fill: #2a7f62 }} .rival {{ fill: #9aa5b1 }} .malloc {{ fill: #d9b38c }} @media (prefers-color-scheme: dark) {{ text {{ fill: #ddd }} }}</style>
<title>Nanoseconds per operation, smallest of all rounds: the toolbox (green), other crates (grey), malloc (brown)</title>
{body}</svg>
"#,
        w = LEFT + WIDTH + 70,
    )
}
