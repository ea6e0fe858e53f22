//! Tests of whole logs: on the memory disk, on real files, and on disks that fail.

mod basics;
mod crash;
mod damage;
mod failing;
mod files;
mod full;
mod measure;
mod model;
mod support;
mod timestamps;
