use std::fmt;
use std::str::FromStr;

use super::Invalid;

/// The named levels of an event's priority, from the least urgent to the most.
///
/// A priority is any number from 0 to 255, where higher is more urgent. A level is a name for one of them; between two
/// levels there is room for numbers of your own. An event that was given no priority has 0, the lowest.
///
/// ```
/// use retold::event::Priority;
/// use retold::{Filter, NewEvent};
/// let event = NewEvent::new("run.failed").priority(Priority::High.get());
/// assert_eq!(Priority::of(event.get_priority()), Priority::High);
/// let urgent = Filter::new().priority_at_least(Priority::High.get());
/// let ordinary = Filter::new().priority_exactly("normal".parse::<Priority>()?.get());
/// # Ok::<(), retold::Invalid>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Priority {
    /// 0: what an event has that was given none.
    Lowest = 0,
    /// 40
    Lower = 40,
    /// 80
    Low = 80,
    /// 120
    Normal = 120,
    /// 160
    High = 160,
    /// 200
    Higher = 200,
    /// 240
    Highest = 240,
}

impl Priority {
    /// From the lowest to the highest.
    const ALL: [Self; 7] =
        [Self::Lowest, Self::Lower, Self::Low, Self::Normal, Self::High, Self::Higher, Self::Highest];

    /// The number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self as u8
    }

    /// The level of a number: the highest one that is not above it.
    #[must_use]
    pub fn of(number: u8) -> Self {
        Self::ALL.into_iter().rev().find(|level| level.get() <= number).unwrap_or(Self::Lowest)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Lowest => "lowest",
            Self::Lower => "lower",
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Higher => "higher",
            Self::Highest => "highest",
        }
    }
}

impl From<Priority> for u8 {
    fn from(level: Priority) -> Self {
        level.get()
    }
}

impl fmt::Display for Priority {
    /// The name, in lower case.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Priority {
    type Err = Invalid;

    /// Reads a name, in lower case.
    fn from_str(name: &str) -> Result<Self, Invalid> {
        let level = Self::ALL.into_iter().find(|level| level.name() == name);
        level.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Invalid::new(
                "priority",
                format!("`{}` is not a level; the levels are {names}", name.escape_debug()),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_a_name_for_a_number_and_higher_is_more_urgent() {
        assert!(Priority::ALL.is_sorted_by(|a, b| a < b && a.get() < b.get()));
        for level in Priority::ALL {
            assert_eq!(level.to_string().parse(), Ok(level));
            assert_eq!(Priority::of(level.get()), level);
            assert_eq!(Priority::of(level.get().saturating_add(39)).get(), level.get());
        }
        assert_eq!(Priority::of(u8::MAX), Priority::Highest);
        let refused = "urgent".parse::<Priority>().unwrap_err().to_string();
        assert!(
            refused.starts_with("priority `urgent` is not a level; the levels are lowest, lower, low, "),
            "{refused}"
        );
    }
}
