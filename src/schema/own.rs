//! The event steps of this release's own types.

use super::upcast::Step;
use crate::error::Result;

/// They, by the name of their folder. None of our own types has changed so far.
const OWN: [(&str, &str); 0] = [];

// Whoever writes the first one has to say what a build without TOML does with it.
#[cfg(not(feature = "toml"))]
const _: () = assert!(OWN.is_empty());

/// The event steps of this release's own types.
///
/// # Errors
/// As `Upcasts::from_toml`; a test holds that there are none.
pub fn own_steps() -> Result<Vec<Step>> {
    #[cfg(feature = "toml")]
    return {
        let mut steps = Vec::new();
        for (folder, text) in OWN {
            let name = format!("migrations/{folder}/{}", super::migrations::STEPS);
            steps.extend(super::upcast::steps_of(&name, text)?);
        }
        Ok(steps)
    };
    #[cfg(not(feature = "toml"))]
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::migrations::STEPS;
    use std::fs;
    use std::path::Path;

    #[test]
    fn every_event_step_of_ours_is_embedded() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
        let mut folders: Vec<String> = fs::read_dir(root)
            .unwrap()
            .map(|e| e.unwrap().path())
            .filter(|p| p.join(STEPS).is_file())
            .map(|p| p.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        folders.sort();
        assert_eq!(OWN.map(|(folder, _)| folder.to_owned()).to_vec(), folders);
        own_steps().unwrap();
    }
}
