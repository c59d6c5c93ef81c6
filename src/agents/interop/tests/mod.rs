//! Tests of the files of this module together; each file has its own tests.

mod detection;
mod every_format;
mod forks;
mod given_back;
mod growing;
mod own_lines;
mod real;
mod seeds;
mod transcripts;
mod work;
