//! How well a text fits: BM25. Each clause of a query counts as one word, which is as rare as it is found.

/// How soon more of the same word counts no more.
const K1: f32 = 1.2;
/// How much the length of a text counts.
const B: f32 = 0.75;
/// Lengths below are exact.
const EXACT: u32 = 32;

/// How many words a text has, in one byte: the leading four bits count.
pub(super) fn length_code(words: usize) -> u8 {
    let words = u32::try_from(words).unwrap_or(u32::MAX);
    if words < EXACT {
        return words as u8;
    }
    let bits = words.ilog2();
    (EXACT + (bits - EXACT.ilog2()) * 8 + ((words >> (bits - 3)) & 7)) as u8
}

/// About how many words a text of this code has.
pub(super) fn length(code: u8) -> f32 {
    let code = u32::from(code);
    match code.checked_sub(EXACT) {
        None => code as f32,
        Some(above) => ((8 + u64::from(above % 8)) << (above / 8 + EXACT.ilog2() - 3).min(40)) as f32,
    }
}

/// What is known of all texts.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Statistics {
    pub(super) texts: u64,
    /// Words of all of them.
    pub(super) words: u64,
    /// How many texts have each clause.
    pub(super) with: Vec<u64>,
}

impl Statistics {
    pub(super) fn new(clauses: usize) -> Self {
        Self { texts: 0, words: 0, with: vec![0; clauses] }
    }

    /// One more text, which has the clauses so often.
    pub(super) fn add(&mut self, words: usize, counts: &[u32]) {
        self.texts += 1;
        self.words += words as u64;
        for (with, count) in self.with.iter_mut().zip(counts) {
            *with += u64::from(*count > 0);
        }
    }

    pub(super) fn weights(&self) -> Weights {
        let texts = self.texts.max(1) as f64;
        let rare = |with: &u64| {
            let with = (*with as f64).min(texts);
            (1.0 + (texts - with + 0.5) / (with + 0.5)).ln() as f32
        };
        let average = (self.words as f64 / texts).max(1.0) as f32;
        let norm = |code: u8| K1 * (1.0 - B + B * length(code) / average);
        Weights { each: self.with.iter().map(rare).collect(), norms: (0..=u8::MAX).map(norm).collect() }
    }
}

/// How much each clause counts.
#[derive(Clone, Debug)]
pub(super) struct Weights {
    each: Vec<f32>,
    /// What the length of a text takes away, by its code.
    norms: Vec<f32>,
}

impl Weights {
    /// Of a clause that a text has so often.
    pub(super) fn score(&self, clause: usize, count: u32, length_code: u8) -> f32 {
        let weight = self.each.get(clause).copied().unwrap_or_default();
        let count = count as f32;
        let norm = self.norms.get(usize::from(length_code)).copied().unwrap_or_default();
        weight * count * (K1 + 1.0) / (count + norm)
    }

    /// Of a text, by how often it has each clause.
    pub(super) fn total(&self, counts: &[u32], length_code: u8) -> f32 {
        let met = counts.iter().enumerate().filter(|(_, count)| **count > 0);
        met.map(|(clause, count)| self.score(clause, *count, length_code)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_keep_their_order_and_are_off_by_an_eighth_at_the_most() {
        let mut last = 0;
        for words in (0..5_000).chain([1 << 20, (1 << 24) - 1, usize::MAX]) {
            let code = length_code(words);
            assert!(code >= last, "{words}");
            last = code;
            let (is, want) = (length(code), (words as f32).min(u32::MAX as f32));
            assert!(is <= want && want <= is * 1.126, "{words}: {is}");
        }
        (0..=u8::MAX).for_each(|code| assert!(length(code).is_finite()));
    }

    #[test]
    fn rare_words_many_of_them_and_short_texts_count_more() {
        let statistics = Statistics { texts: 100, words: 1_000, with: vec![1, 90] };
        let weights = statistics.weights();
        assert!(weights.score(0, 1, 10) > weights.score(1, 1, 10));
        assert!(weights.score(0, 2, 10) > weights.score(0, 1, 10));
        assert!(weights.score(0, 1, 5) > weights.score(0, 1, 50));
        assert!(weights.total(&[1, 1], 10) > weights.total(&[1, 0], 10));
        // More texts with a word than there are texts: what is gone still counts in an index.
        let odd = Statistics { texts: 1, words: 0, with: vec![5] }.weights();
        assert!(odd.score(0, 1, 0) > 0.0);
    }
}
