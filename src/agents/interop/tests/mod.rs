//! What the files of this module do together; each file's own tests are in it.

mod every_format;
mod forks;
mod given_back;
mod own_lines;
mod real;
mod transcripts;
