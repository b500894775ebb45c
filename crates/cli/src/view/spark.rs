//! A timeline as one line of letters.

use super::style::Style;
use crate::model::timeline::Moment;

const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const LETTERS: [char; 8] = ['_', '.', ',', '-', '=', '+', '*', '#'];

/// RSS over time in so many letters: each shows the highest of its part of the time, from 0 to the highest of all.
pub(crate) fn line(moments: &[Moment], cells: usize, style: Style) -> String {
    let (Some(first), Some(last)) = (moments.first(), moments.last()) else { return String::new() };
    let cells = cells.max(1);
    let span = (last.at_ms - first.at_ms).max(1);
    let place = |moment: &Moment| ((moment.at_ms - first.at_ms) * cells as u64 / span).min(cells as u64 - 1) as usize;
    let mut highest = vec![None; cells];
    for moment in moments {
        let cell: &mut Option<u64> = &mut highest[place(moment)];
        *cell = (*cell).max(Some(moment.rss));
    }
    let top = moments.iter().map(|moment| moment.rss).max().unwrap_or(0).max(1);
    let signs = if style.ascii { LETTERS } else { BLOCKS };
    let mut before = first.rss;
    let mut letter = |cell: Option<u64>| {
        // Between two samples nothing is known but the one before.
        before = cell.unwrap_or(before);
        signs[(before as u128 * 7).div_ceil(u128::from(top)) as usize]
    };
    highest.into_iter().map(&mut letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STYLE: Style = Style { color: false, ascii: false, width: 80 };

    fn spark(rss: &[u64], cells: usize, ascii: bool) -> String {
        let at = |(index, &rss): (usize, &u64)| Moment { at_ms: 10 * index as u64, rss, ..Moment::default() };
        line(&rss.iter().enumerate().map(at).collect::<Vec<_>>(), cells, Style { ascii, ..STYLE })
    }

    #[test]
    fn each_letter_shows_the_highest_of_its_time() {
        assert_eq!(spark(&[0, 1, 2, 3, 4, 5, 6, 7], 8, false), "▁▂▃▄▅▆▇█");
        assert_eq!(spark(&[0, 7, 0, 0, 1, 1, 1, 1], 2, false), "█▂");
        assert_eq!(spark(&[7, 7], 3, true), "###", "what was not sampled is as before");
        assert_eq!(spark(&[], 3, true), "");
        assert_eq!(spark(&[5], 2, true), "##");
        assert_eq!(spark(&[u64::MAX, 0], 2, true), "#_");
    }
}
