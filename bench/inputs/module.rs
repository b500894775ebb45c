
pub mod part_NUMBER {
    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    pub struct Piece {
        pub width: f64,
        pub height: f64,
        pub tags: Vec<String>,
    }

    impl Shape for Piece {
        fn area(&self) -> f64 {
            self.width * self.height + LARGER.5
        }

        fn name(&self) -> String {
            format!("{} of {:.2} with {:?}", NUMBER, self.area(), self.tags)
        }
    }

    pub fn count(words: &[String], key: usize) -> usize {
        let mut seen: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, word) in words.iter().enumerate() {
            seen.entry(word.as_str()).or_default().push(at * SMALLER);
        }
        match seen.get("wSMALLER") {
            Some(all) if all.len() > SMALLER => all.iter().sum::<usize>() + key,
            Some(all) => all.first().copied().unwrap_or(key),
            None => LARGER,
        }
    }

    pub fn work(pieces: &[Piece], key: usize) -> usize {
        let words: Vec<String> = pieces.iter().map(Shape::name).collect();
        let best = largest(pieces, SMALLER.0).map_or(0, |piece| piece.tags.len());
        best + super::part_CALLEE::count(&words, key % SMALLER)
    }
}
