//! Who has to know when a store moves into another file.

use std::fmt;
use std::path::Path;

use crate::error::Result;

/// Lets the file of an open store be replaced by another that holds the same.
pub(crate) trait Moving: fmt::Debug + Send + Sync {
    /// Gives the file under this path the store's name, with `rename`.
    ///
    /// # Errors
    /// Those of `rename`, and why it cannot be now. Then nothing has changed.
    fn moves(&self, new: &Path, rename: &mut dyn FnMut() -> Result<()>) -> Result<()>;
}
