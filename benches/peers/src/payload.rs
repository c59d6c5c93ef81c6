//! Payloads: JSON of 256 bytes, or of the sizes that real sessions have.

use crate::event::{Dice, Draft};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mix {
    Small,
    Real,
}

impl Mix {
    pub fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Real => "real",
        }
    }
}

/// Quantiles of the sizes, in bytes, of 377 events of published sessions of four kinds of software (coding agents,
/// agent servers, workflow engines), each event printed as compact JSON. Between two of them sizes lie log-linear.
const REAL: [(f64, f64); 14] = [
    (0.00, 148.0),
    (0.05, 231.0),
    (0.10, 277.0),
    (0.25, 350.0),
    (0.40, 376.0),
    (0.50, 614.0),
    (0.60, 870.0),
    (0.75, 1_343.0),
    (0.90, 3_392.0),
    (0.95, 7_224.0),
    (0.98, 19_432.0),
    (0.99, 33_078.0),
    (0.995, 46_932.0),
    (1.00, 68_374.0),
];

const SMALL_BYTES: usize = 256;
const TEXT_BYTES: usize = 1 << 19;

/// Makes payloads cheaply: the text of each is a piece, from a random place, of one long text of words.
pub struct Payloads {
    mix: Mix,
    text: String,
}

impl Payloads {
    pub fn new(mix: Mix) -> Self {
        Self { mix, text: words() }
    }

    pub fn draft(&self, n: u64) -> Draft {
        Draft { data: self.make(n) }
    }

    pub fn drafts(&self, numbers: std::ops::Range<u64>) -> Vec<Draft> {
        numbers.map(|n| self.draft(n)).collect()
    }

    fn make(&self, n: u64) -> String {
        let mut dice = Dice::new(n);
        let size = match self.mix {
            Mix::Small => SMALL_BYTES,
            Mix::Real => real_size(dice.unit()),
        };
        let mut data = String::with_capacity(size);
        data.push_str("{\"n\":");
        push_number(&mut data, n);
        data.push_str(",\"tool\":\"grep\",\"ok\":true,\"text\":\"");
        let room = size.saturating_sub(data.len() + 2).min(TEXT_BYTES / 2);
        let from = dice.below((TEXT_BYTES - room) as u64) as usize;
        data.push_str(&self.text[from..from + room]);
        data.push_str("\"}");
        data
    }
}

fn push_number(out: &mut String, n: u64) {
    if n >= 10 {
        push_number(out, n / 10);
    }
    out.push(char::from(b'0' + (n % 10) as u8));
}

fn real_size(unit: f64) -> usize {
    let above = REAL.iter().position(|(q, _)| *q >= unit).unwrap_or(REAL.len() - 1).max(1);
    let ((q0, s0), (q1, s1)) = (REAL[above - 1], REAL[above]);
    let t = (unit - q0) / (q1 - q0);
    (s0.ln() + t * (s1.ln() - s0.ln())).exp() as usize
}

/// Plain words of made-up syllables, frequent ones more often, with a number here and there: general-purpose
/// compressors take it to about 40%, as they do the text of real sessions.
fn words() -> String {
    const SYLLABLES: [&str; 24] = [
        "ta", "re", "con", "ing", "er", "al", "mo", "de", "st", "is", "pre", "ment", "or", "path", "file",
        "run", "in", "le", "sys", "ver", "to", "na", "ex", "port",
    ];
    let mut dice = Dice::new(7);
    let vocabulary: Vec<String> = (0..2_000)
        .map(|_| (0..1 + dice.below(4)).map(|_| SYLLABLES[dice.below(24) as usize]).collect())
        .collect();
    let mut text = String::with_capacity(TEXT_BYTES + 32);
    while text.len() < TEXT_BYTES {
        match dice.below(12) {
            0 => push_number(&mut text, dice.below(100_000)),
            _ => {
                let rank = (dice.unit() * dice.unit() * 2_000.0) as usize;
                text.push_str(&vocabulary[rank]);
            }
        }
        text.push(if dice.below(9) == 0 { '/' } else { ' ' });
    }
    text.truncate(TEXT_BYTES);
    text
}
