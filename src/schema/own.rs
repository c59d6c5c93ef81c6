//! The upcasters of this release's own types.

use super::upcast::Upcaster;
use crate::error::Result;

/// By folder name. None of our own types has changed so far.
const OWN: [(&str, &str); 0] = [];

// The first one has to decide what a build without TOML does with it.
#[cfg(not(feature = "toml"))]
const _: () = assert!(OWN.is_empty());

/// The upcasters of this release's own types.
///
/// # Errors
/// As `Upcasts::from_toml`; a test checks that there are none.
pub fn own_upcasters() -> Result<Vec<Upcaster>> {
    #[cfg(feature = "toml")]
    return {
        let mut upcasters = Vec::new();
        for (folder, text) in OWN {
            let name = format!("migrations/{folder}/{}", super::migrations::STEPS);
            upcasters.extend(super::upcast::upcasters_of(&name, text)?);
        }
        Ok(upcasters)
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
        own_upcasters().unwrap();
    }
}
